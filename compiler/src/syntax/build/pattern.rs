//! MATCH_RECOGNIZE.

use super::{Builder, Node, child, children, has, must};
use crate::diagnostics::syntax;
use crate::syntax::ast::{AfterMatch, MatchRecognize, Measure, MeasureRows, Pattern, RowsPerMatch};
use crate::syntax::grammar::Rule;

impl Builder<'_> {
    pub(super) fn match_recognize(&mut self, pair: &Node<'_>) -> MatchRecognize {
        let measures = child(pair, Rule::measures).map_or_else(Vec::new, |measures| {
            children(&measures, Rule::measure).map(|c| self.measure(&c)).collect()
        });
        let rows = child(pair, Rule::rows_per_match).map(|c| match has(&c, Rule::k_all) {
            true => RowsPerMatch::All,
            false => RowsPerMatch::One,
        });
        let skip = child(pair, Rule::after_match).map(|c| {
            let to = must(child(&c, Rule::skip_to));
            match child(&to, Rule::ident).map(|ident| self.ident(&ident)) {
                Some(variable) if has(&to, Rule::k_first) => AfterMatch::ToFirst(variable),
                Some(variable) => AfterMatch::ToLast(variable),
                None if has(&to, Rule::k_past) => AfterMatch::PastLastRow,
                None => AfterMatch::ToNextRow,
            }
        });
        let subsets = child(pair, Rule::subset).map_or_else(Vec::new, |subset| {
            children(&subset, Rule::subset_item)
                .map(|item| (self.first_ident(&item), self.ident_list(&item)))
                .collect()
        });
        let defines = children(&must(child(pair, Rule::defines)), Rule::define)
            .map(|define| (self.first_ident(&define), self.first_expr(&define)))
            .collect();
        MatchRecognize {
            partition_by: self.first_partition_by(pair),
            order_by: self.first_order_by(pair),
            measures,
            rows,
            skip,
            pattern: self.pattern(must(child(pair, Rule::pattern))),
            within: child(pair, Rule::within).map(|c| self.first_expr(&c)),
            subsets,
            defines,
            span: self.span(pair),
        }
    }

    fn measure(&mut self, pair: &Node<'_>) -> Measure {
        let rows = if has(pair, Rule::k_final) {
            Some(MeasureRows::Final)
        } else if has(pair, Rule::k_running) {
            Some(MeasureRows::Running)
        } else {
            None
        };
        Measure { rows, expr: self.first_expr(pair), name: self.first_ident(pair) }
    }

    /// Alternatives of sequences of factors.
    fn pattern(&mut self, pair: Node<'_>) -> Pattern {
        if !self.enter(3, &pair) {
            return Pattern::Empty(self.span(&pair));
        }
        let mut alternatives: Vec<Pattern> = children(&pair, Rule::pattern_seq)
            .map(|seq| {
                let mut factors: Vec<Pattern> =
                    children(&seq, Rule::pattern_factor).map(|c| self.pattern_factor(&c)).collect();
                match factors.len() {
                    1 => must(factors.pop()),
                    _ => Pattern::Sequence(factors),
                }
            })
            .collect();
        self.leave(3);
        match alternatives.len() {
            1 => must(alternatives.pop()),
            _ => Pattern::Alternatives(alternatives),
        }
    }

    fn pattern_factor(&mut self, pair: &Node<'_>) -> Pattern {
        let primary = must(pair.clone().into_inner().next());
        let span = self.span(&primary);
        let pattern = match primary.as_rule() {
            Rule::permute => Pattern::Permute(
                children(&primary, Rule::pattern).map(|c| self.pattern(c)).collect(),
            ),
            Rule::pattern_exclude => {
                let inner = must(child(&primary, Rule::pattern));
                Pattern::Exclude(Box::new(self.pattern(inner)))
            }
            Rule::pattern_group => match child(&primary, Rule::pattern) {
                Some(inner) => self.pattern(inner),
                None => Pattern::Empty(span),
            },
            Rule::pattern_start => Pattern::Start(span),
            Rule::pattern_end => Pattern::End(span),
            _ => Pattern::Variable(self.ident(&primary)),
        };
        match child(pair, Rule::quantifier) {
            Some(quantifier) => self.repeat(pattern, &quantifier),
            None => pattern,
        }
    }

    fn repeat(&mut self, pattern: Pattern, quantifier: &Node<'_>) -> Pattern {
        let (min, max) = match child(quantifier, Rule::repeat_bounds) {
            Some(bounds) => self.repeat_bounds(&bounds),
            None if quantifier.as_str().starts_with('*') => (0, None),
            None if quantifier.as_str().starts_with('+') => (1, None),
            None => (0, Some(1)),
        };
        let reluctant = has(quantifier, Rule::reluctant);
        Pattern::Repeat { pattern: Box::new(pattern), min, max, reluctant }
    }

    /// `{n}`, `{n,}`, `{n,m}`, `{,m}`.
    fn repeat_bounds(&mut self, pair: &Node<'_>) -> (u32, Option<u32>) {
        let number = |c: Node<'_>| {
            let digits = must(child(&c, Rule::integer));
            digits.as_str().parse::<u32>().unwrap_or(u32::MAX)
        };
        let min = child(pair, Rule::repeat_min).map(number);
        let max = match child(pair, Rule::repeat_to) {
            Some(to) if has(&to, Rule::integer) => Some(number(to)),
            Some(_) => None,
            None => min,
        };
        let empty = child(pair, Rule::repeat_to).is_none() && min.is_none();
        if empty || max.is_some_and(|max| max < min.unwrap_or(0)) {
            let span = self.span(pair);
            self.report(syntax::malformed_literal(
                span,
                "malformed quantifier",
                "Write {n}, {n,}, {n,m} or {,m} with n at most m.",
            ));
        }
        (min.unwrap_or(0), max)
    }
}
