//! Literals: quotes are undone and bytes are read; numbers, times and intervals keep their text.

use flow_ir::span::Span;

use super::types::unit_named;
use super::{Builder, Node, child, has, must};
use crate::diagnostics::syntax;
use crate::syntax::ast::{
    BinaryOp, Expr, ExprKind, IntervalUnits, Literal, NumberKind, Text, TypedKind,
};
use crate::syntax::grammar::Rule;

impl Builder<'_> {
    /// An expression of one literal.
    pub(super) fn literal(&mut self, pair: &Node<'_>) -> Expr {
        let span = self.span(pair);
        let literal = match pair.as_rule() {
            Rule::string => Literal::String(unquote(pair.as_str())),
            Rule::bytes => self.bytes(pair),
            Rule::number => number(pair.as_str()),
            Rule::constant if has(pair, Rule::k_true) => Literal::Boolean(true),
            Rule::constant if has(pair, Rule::k_false) => Literal::Boolean(false),
            Rule::interval => self.interval(pair),
            Rule::typed => self.typed(pair),
            _ => Literal::Null,
        };
        Expr { kind: ExprKind::Literal(literal), span }
    }

    fn bytes(&mut self, pair: &Node<'_>) -> Literal {
        let digits: Vec<u8> = pair.as_str().bytes().skip(2).take_while(|b| *b != b'\'').collect();
        let pairs = digits.chunks(2).map(|two| match two {
            [high, low] => Some(hex(*high)? << 4 | hex(*low)?),
            _ => None,
        });
        match pairs.collect::<Option<Vec<u8>>>() {
            Some(bytes) => Literal::Bytes(bytes),
            None => {
                let span = self.span(pair);
                self.report(syntax::malformed_literal(
                    span,
                    "bytes take pairs of hexadecimal digits",
                    "Write two digits, 0 to 9 and A to F, for each byte: X'0aff'.",
                ));
                Literal::Null
            }
        }
    }

    pub(super) fn interval(&mut self, pair: &Node<'_>) -> Literal {
        let value = match self.first_text(pair) {
            Some(text) => text,
            None => {
                let digits = must(child(pair, Rule::number));
                Text { value: digits.as_str().to_owned(), span: self.span(&digits) }
            }
        };
        let units = child(pair, Rule::interval_units).map(|units| self.interval_units(&units));
        if let Some(units) = &units
            && units.to.is_some_and(|to| to <= units.from)
        {
            self.report(syntax::malformed_literal(
                units.span,
                "an interval goes from a larger unit to a smaller one",
                "Name the larger unit first: DAY TO SECOND, YEAR TO MONTH.",
            ));
        }
        Literal::Interval { negative: has(pair, Rule::minus), value, units }
    }

    /// `INTERVAL (x) DAYS`, which is x times a day.
    pub(super) fn interval_of(&mut self, pair: &Node<'_>, span: Span) -> ExprKind {
        let unit = must(child(pair, Rule::unit));
        let at = self.span(&unit);
        let from = must(unit_named(unit.as_str()));
        let value = Text { value: "1".to_owned(), span: at };
        let units = Some(IntervalUnits { from, to: None, span: at });
        let one = Literal::Interval { negative: false, value, units };
        let left = Box::new(self.first_expr(pair));
        let right = Box::new(Expr { kind: ExprKind::Literal(one), span });
        ExprKind::Binary { op: BinaryOp::Multiply, left, right }
    }

    fn typed(&mut self, pair: &Node<'_>) -> Literal {
        let kind = must(child(pair, Rule::typed_kind));
        let zone = child(&kind, Rule::time_zone);
        let with_zone = zone.is_some_and(|zone| has(&zone, Rule::k_with));
        let first = must(kind.into_inner().next()).as_rule();
        let kind = match first {
            Rule::k_date => TypedKind::Date,
            Rule::k_time => TypedKind::Time,
            Rule::k_timestamp if !with_zone => TypedKind::Timestamp,
            Rule::k_uuid => TypedKind::Uuid,
            Rule::k_json => TypedKind::Json,
            _ => TypedKind::TimestampLtz,
        };
        Literal::Typed { kind, value: must(self.first_text(pair)) }
    }
}

/// A number with its kind.
pub(super) fn number(text: &str) -> Literal {
    let kind = if text.contains(['e', 'E']) {
        NumberKind::Float
    } else if text.contains('.') {
        NumberKind::Decimal
    } else {
        NumberKind::Integer
    };
    Literal::Number { text: text.to_owned(), kind }
}

/// The text of a string literal: `'it''s'`, `$$it's$$`, or `E'a\tb'` with backslash escapes.
pub(super) fn unquote(raw: &str) -> String {
    if let Some(plain) = raw.strip_prefix("$$") {
        return plain.strip_suffix("$$").unwrap_or(plain).to_owned();
    }
    if let Some(plain) = raw.strip_prefix('\'') {
        return plain.strip_suffix('\'').unwrap_or(plain).replace("''", "'");
    }
    let inner = raw.get(2..raw.len().saturating_sub(1)).unwrap_or("");
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out),
            '\'' => {
                chars.next();
                out.push('\'');
            }
            c => out.push(c),
        }
    }
    out
}

/// What follows a backslash. An unknown escape is the character itself.
fn escape(chars: &mut std::str::Chars<'_>, out: &mut String) {
    match chars.next() {
        Some('n') => out.push('\n'),
        Some('t') => out.push('\t'),
        Some('r') => out.push('\r'),
        Some('b') => out.push('\u{8}'),
        Some('f') => out.push('\u{C}'),
        Some('u') => {
            let digits: String = chars.clone().take(4).collect();
            match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
                Some(c) if digits.len() == 4 => {
                    out.push(c);
                    chars.nth(3);
                }
                _ => out.push('u'),
            }
        }
        Some(c) => out.push(c),
        None => {}
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}
