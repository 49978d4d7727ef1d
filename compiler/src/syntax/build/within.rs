//! Spans of time behind FROM and JOIN: `WINDOW TUMBLING (SIZE 1 HOUR)`, `WITHIN 5 MINUTES`.

use super::types::unit_named;
use super::{Builder, Node, child, children, has, must};
use crate::diagnostics::syntax;
use crate::syntax::ast::{
    Expr, ExprKind, IntervalUnits, JoinWithin, Literal, Text, TimeUnit, TimeWindow, TimeWindowKind,
};
use crate::syntax::grammar::Rule;

/// What the windows look like, for messages.
const WINDOWS: &str = "WINDOW TUMBLING (SIZE 1 HOUR), \
                       WINDOW HOPPING (SIZE 1 HOUR, ADVANCE BY 5 MINUTES, GRACE PERIOD 1 DAY), or \
                       WINDOW SESSION (10 MINUTES)";

impl Builder<'_> {
    pub(super) fn time_window(&mut self, pair: &Node<'_>) -> Option<TimeWindow> {
        let kind = if has(pair, Rule::k_tumbling) {
            TimeWindowKind::Tumbling
        } else if has(pair, Rule::k_hopping) {
            TimeWindowKind::Hopping
        } else {
            TimeWindowKind::Session
        };
        let parts: Vec<Node<'_>> = children(pair, Rule::window_length).collect();
        let words = [Rule::k_size, Rule::k_advance, Rule::k_retention, Rule::k_grace];
        let bare = |part: &Node<'_>| words.iter().all(|rule| !has(part, *rule));
        let is_session = kind == TimeWindowKind::Session;
        let is_size =
            |part: &Node<'_>| if is_session { bare(part) } else { has(part, Rule::k_size) };
        let whole = parts.iter().filter(|part| is_size(part)).count() == 1
            && parts.iter().all(|part| is_size(part) || !(bare(part) || has(part, Rule::k_size)))
            && words[1..].iter().all(|w| parts.iter().filter(|p| has(p, *w)).count() <= 1)
            && parts.iter().any(|p| has(p, Rule::k_advance)) == (kind == TimeWindowKind::Hopping);
        let mut length = |fits: &dyn Fn(&Node<'_>) -> bool| {
            parts.iter().find(|part| fits(part)).map(|part| self.span_of_time(part))
        };
        let size = length(&is_size);
        let [advance, retention, grace] = [Rule::k_advance, Rule::k_retention, Rule::k_grace]
            .map(|rule| length(&|part| has(part, rule)));
        let span = self.span(pair);
        match size.filter(|_| whole) {
            Some(size) => Some(TimeWindow { kind, size, advance, retention, grace, span }),
            None => {
                self.report(syntax::malformed_call(span, "WINDOW", WINDOWS));
                None
            }
        }
    }

    pub(super) fn join_within(&mut self, pair: &Node<'_>) -> JoinWithin {
        let grace = child(pair, Rule::join_grace).map(|c| self.span_of_time(&c));
        let span = self.span(pair);
        let Some(both) = child(pair, Rule::within_both) else {
            return JoinWithin { before: self.span_of_time(pair), after: None, grace, span };
        };
        let mut spans = children(&both, Rule::span_of_time);
        let before = self.one_span(&must(spans.next()));
        let after = Some(self.one_span(&must(spans.next())));
        JoinWithin { before, after, grace, span }
    }

    /// The span of time directly below.
    fn span_of_time(&mut self, pair: &Node<'_>) -> Expr {
        self.one_span(&must(child(pair, Rule::span_of_time)))
    }

    /// `5 MINUTES`, or INTERVAL '5' MINUTE, as a literal.
    fn one_span(&mut self, pair: &Node<'_>) -> Expr {
        let span = self.span(pair);
        let literal = match child(pair, Rule::interval) {
            Some(interval) => self.interval(&interval),
            None => {
                let (number, word) =
                    (must(child(pair, Rule::number)), must(child(pair, Rule::unit)));
                let from = unit_named(word.as_str()).unwrap_or(TimeUnit::Second);
                let value = number.as_str().to_owned();
                Literal::Interval {
                    negative: false,
                    value: Text { value, span: self.span(&number) },
                    units: Some(IntervalUnits { from, to: None, span: self.span(&word) }),
                }
            }
        };
        Expr { kind: ExprKind::Literal(literal), span }
    }
}
