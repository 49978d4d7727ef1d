//! What the grammar says about the tokens of a statement: which words are keywords, what is written
//! without a blank, and where a line may break.

use pest::iterators::Pair;

use crate::syntax::grammar::Rule;
use crate::syntax::scan::Token;

/// A place where a line may break, the outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Break {
    /// A line always breaks here.
    Always,
    /// Before a clause: FROM, WHERE, WITH (…).
    Clause,
    /// Before an element of a declaration or a branch of CASE: if one breaks, all do.
    Element,
    /// Before an item of any other list.
    Item,
    /// Before the condition of a join.
    Condition,
    Or,
    And,
    /// Before any other operator.
    Operator,
}

/// By token of one statement.
pub(super) struct Marks {
    /// Words that are names, as written; the others are keywords.
    pub(super) name: Vec<bool>,
    /// No blank before it.
    pub(super) glued: Vec<bool>,
    /// A part of the grammar of its own begins here, so it is not the rest of an operator.
    pub(super) begins: Vec<bool>,
    /// Inside of what is one word to the grammar: -1.5, scan.startup-mode.
    pub(super) inner: Vec<bool>,
    /// A blank before it only where there was one: patterns of rows.
    pub(super) as_written: Vec<bool>,
    pub(super) breaks: Vec<Option<Break>>,
    /// The last token of what this one opens: a bracket or CASE.
    pub(super) close: Vec<Option<usize>>,
}

impl Marks {
    /// The marks of a statement whose tokens these are; positions of `piece` count from the first.
    pub(super) fn of(piece: Pair<'_, Rule>, tokens: &[Token]) -> Self {
        let count = tokens.len();
        let base = tokens.first().map_or(0, |token| token.start);
        let mut marker = Marker {
            starts: tokens.iter().map(|token| token.start - base).collect(),
            marks: Marks {
                name: vec![false; count],
                glued: vec![false; count],
                begins: vec![false; count],
                inner: vec![false; count],
                as_written: vec![false; count],
                breaks: vec![None; count],
                close: vec![None; count],
            },
        };
        marker.visit(piece, Rule::piece);
        marker.marks
    }
}

struct Marker {
    /// First bytes of the tokens, from the beginning of the statement.
    starts: Vec<usize>,
    marks: Marks,
}

impl Marker {
    /// The first token that begins at this byte or later.
    fn token(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start < byte)
    }

    fn glue(&mut self, token: usize) {
        if let Some(glued) = self.marks.glued.get_mut(token) {
            *glued = true;
        }
    }

    fn may_break(&mut self, token: usize, kind: Break) {
        if let Some(place) = self.marks.breaks.get_mut(token) {
            *place = Some(place.map_or(kind, |there| there.min(kind)));
        }
    }

    fn visit(&mut self, pair: Pair<'_, Rule>, parent: Rule) {
        let rule = pair.as_rule();
        let first = self.token(pair.as_span().start());
        let behind = self.token(pair.as_span().end());
        if first >= behind {
            return;
        }
        self.blanks(rule, parent, first, behind);
        if let Some(kind) = break_before(rule, parent) {
            self.may_break(first, kind);
        }
        match rule {
            Rule::with | Rule::set_op => self.may_break(behind, Break::Clause),
            Rule::set_begin => self.may_break(behind, Break::Always),
            Rule::case => self.marks.close[first] = Some(behind - 1),
            Rule::call_name | Rule::type_name | Rule::ident | Rule::word | Rule::option_word => {
                self.marks.name[first..behind].fill(true);
            }
            // Its words are keywords, though the grammar takes them for names.
            Rule::show_words => return,
            _ => {}
        }
        let children: Vec<Pair<'_, Rule>> = pair.into_inner().collect();
        if children.is_empty() {
            self.marks.begins[first] = true;
            self.marks.inner[first + 1..behind].fill(true);
        }
        self.items(rule, &children);
        self.brackets(&children);
        for child in children {
            self.visit(child, rule);
        }
    }

    /// Where there is no blank, whatever stands there.
    fn blanks(&mut self, rule: Rule, parent: Rule, first: usize, behind: usize) {
        match (rule, parent) {
            (
                Rule::lparen,
                Rule::call
                | Rule::table_call
                | Rule::table_wrapped
                | Rule::cast
                | Rule::type_params
                | Rule::unit_digits
                | Rule::row_type
                | Rule::permute,
            )
            | (Rule::ident_list, Rule::descriptor)
            | (Rule::lbracket | Rule::rangle | Rule::cast_to | Rule::bare_type, _) => {
                self.glue(first);
            }
            (Rule::langle, _) => {
                self.glue(first);
                self.glue(behind);
            }
            (Rule::minus | Rule::plus, Rule::prefix | Rule::interval) => self.glue(behind),
            (Rule::pattern, _) => self.marks.as_written[first..behind].fill(true),
            _ => {}
        }
    }

    /// The items of a list, if commas stand between these.
    fn items(&mut self, list: Rule, children: &[Pair<'_, Rule>]) {
        let kind = match list {
            Rule::table_elements | Rule::with_options => Break::Element,
            _ => Break::Item,
        };
        let mut is_first = true;
        for (before, comma) in children.iter().zip(children.iter().skip(1)) {
            let text = comma.as_str();
            if !matches!(comma.as_rule(), Rule::comma | Rule::arg_separator) || text.trim() != "," {
                continue;
            }
            if std::mem::take(&mut is_first) {
                self.may_break(self.token(before.as_span().start()), kind);
            }
            self.may_break(self.token(comma.as_span().end()), kind);
        }
    }

    /// Brackets among these; they do not nest here.
    fn brackets(&mut self, children: &[Pair<'_, Rule>]) {
        let mut open = None;
        for child in children {
            let token = self.token(child.as_span().start());
            match child.as_rule() {
                Rule::lparen | Rule::lbracket => open = Some(token),
                Rule::rparen | Rule::rbracket => {
                    if let Some(open) = open.take() {
                        self.marks.close[open] = Some(token);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Where a line may break before a part of the grammar.
fn break_before(rule: Rule, parent: Rule) -> Option<Break> {
    match (rule, parent) {
        (Rule::set_end, _) => Some(Break::Always),
        (Rule::arg_keys | Rule::order_by, Rule::arg_partition) => Some(Break::Condition),
        (
            Rule::from
            | Rule::filter_rows
            | Rule::group_by
            | Rule::having
            | Rule::window
            | Rule::qualify
            | Rule::partition_by
            | Rule::order_by
            | Rule::frame
            | Rule::limit
            | Rule::offset
            | Rule::fetch
            | Rule::emit
            | Rule::set_op
            | Rule::join
            | Rule::measures
            | Rule::rows_per_match
            | Rule::after_match
            | Rule::within
            | Rule::subset
            | Rule::defines,
            _,
        )
        | (Rule::query, Rule::insert | Rule::as_query)
        | (Rule::k_pattern, Rule::match_recognize)
        | (Rule::comment | Rule::partitioned | Rule::with_options, Rule::create_table)
        | (Rule::comment | Rule::with_options, Rule::create_view)
        | (Rule::like_table | Rule::with_options, _) => Some(Break::Clause),
        (Rule::when | Rule::otherwise, _) => Some(Break::Element),
        (Rule::join_on | Rule::join_using, _) => Some(Break::Condition),
        (Rule::k_or, Rule::infix) => Some(Break::Or),
        (Rule::k_and, Rule::infix) => Some(Break::And),
        (Rule::arith_op, _) | (Rule::compare, Rule::infix) => Some(Break::Operator),
        _ => None,
    }
}
