//! Operators that are functions under another name, most of them Postgres', and those whose meaning
//! depends on what stands beside them: `||` of arrays, JSON and texts, `-` of JSON.

use flow_ir::expr::Expr;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::coerce::{cast, is_untyped};
use super::expr::not;
use super::literal::constant;
use crate::syntax::ast::{self, BinaryOp};

impl Checker<'_> {
    /// `left op right`.
    pub(super) fn applied(
        &mut self,
        op: BinaryOp,
        left: Expr,
        right: Expr,
        span: Span,
    ) -> Option<Expr> {
        let is_json = |e: &Expr| e.ty.data == DataType::Json;
        let is_array = |e: &Expr| matches!(e.ty.data, DataType::Array(_));
        let name = match op {
            BinaryOp::Concat => return self.concatenated(left, right, span),
            BinaryOp::Eq | BinaryOp::NotEq if is_json(&left) || is_json(&right) => {
                let sides = vec![self.canonical(left)?, self.canonical(right)?];
                return self.operator(symbol(op), sides, span);
            }
            BinaryOp::Subtract if is_json(&left) => "JSONB_DELETE",
            BinaryOp::Matches | BinaryOp::NotMatches => {
                let found = self.operator("REGEXP_LIKE", vec![left, right], span)?;
                return Some(if op == BinaryOp::Matches { found } else { not(found, span) });
            }
            BinaryOp::MatchesAnyCase | BinaryOp::NotMatchesAnyCase => {
                let flag = Value::String(String::from("i"));
                let flag = Expr::literal(flag, Type::not_null(DataType::String), span);
                let found = self.operator("REGEXP_LIKE", vec![left, right, flag], span)?;
                let negated = op == BinaryOp::NotMatchesAnyCase;
                return Some(if negated { not(found, span) } else { found });
            }
            BinaryOp::Contains if is_array(&left) => "ARRAY_HAS_ALL",
            BinaryOp::Contains => "JSONB_CONTAINS",
            BinaryOp::ContainedIn => {
                let name = if is_array(&right) { "ARRAY_HAS_ALL" } else { "JSONB_CONTAINS" };
                return self.operator(name, vec![right, left], span);
            }
            _ => symbol(op),
        };
        self.operator(name, vec![left, right], span)
    }

    /// JSON as it is compared: by what it says, not by its text.
    fn canonical(&mut self, side: Expr) -> Option<Expr> {
        let span = side.span;
        let side = match is_untyped(&side) {
            true => self.widen(side, &DataType::Json)?,
            false => side,
        };
        match side.ty.data {
            DataType::Json => self.operator("JSON_CANONICAL", vec![side], span),
            _ => Some(side),
        }
    }

    /// `left || right`: of arrays and their elements, of JSON, else of texts.
    fn concatenated(&mut self, left: Expr, right: Expr, span: Span) -> Option<Expr> {
        let is_array = |e: &Expr| matches!(e.ty.data, DataType::Array(_));
        let is_json = |e: &Expr| e.ty.data == DataType::Json;
        let name = match (is_array(&left), is_array(&right)) {
            _ if constant(&left).or(constant(&right)).is_some_and(Value::is_null) => "||",
            (true, false) => "ARRAY_APPEND",
            (false, true) => return self.operator("ARRAY_PREPEND", vec![right, left], span),
            (true, true) if self.nests(&left, &right) => "ARRAY_APPEND",
            (true, true) => "||",
            (false, false) if is_json(&left) || is_json(&right) => "JSONB_CONCAT",
            (false, false) => {
                let is_text = |e: &Expr| e.ty.data == DataType::String;
                let one = is_text(&left) != is_text(&right);
                let texts = [left, right].map(|e| if one { as_text(e) } else { e });
                return self.operator("||", texts.into(), span);
            }
        };
        self.operator(name, vec![left, right], span)
    }

    /// Whether one array is an element of the other.
    fn nests(&self, outer: &Expr, inner: &Expr) -> bool {
        let DataType::Array(item) = &outer.ty.data else { return false };
        item.data == inner.ty.data
    }

    /// Arguments as texts, where what they are can be shown.
    pub(super) fn texts(args: Vec<Expr>) -> Vec<Expr> {
        args.into_iter().map(as_text).collect()
    }

    /// A JSON value as a number or BOOLEAN; JSON's null is NULL.
    pub(super) fn json_as(
        &mut self,
        json: Expr,
        to: &DataType,
        lenient: bool,
        span: Span,
    ) -> Option<Expr> {
        let text = cast(json, &DataType::String, false, span);
        let null = Value::String(String::from("null"));
        let null = Expr::literal(null, Type::not_null(DataType::String), span);
        let text = self.operator("NULLIF", vec![text, null], span)?;
        Some(cast(text, to, lenient, span))
    }

    /// A text of the length that its type says: `VARCHAR(2)` cuts, `CHAR(2)` also fills up.
    pub(super) fn to_length(
        &mut self,
        text: Expr,
        written: &ast::TypeExpr,
        span: Span,
    ) -> Option<Expr> {
        let ast::TypeKind::Named { name, params, .. } = &written.kind else { return Some(text) };
        let [length] = params.as_slice() else { return Some(text) };
        if text.ty.data != DataType::String {
            return Some(text);
        }
        let count = Value::Int(i64::from(length.value));
        let count = Expr::literal(count, Type::not_null(DataType::Int), span);
        match name.text.to_uppercase().as_str() {
            "CHAR" | "CHARACTER" => {
                let blank = Value::String(String::from(" "));
                let blank = Expr::literal(blank, Type::not_null(DataType::String), span);
                self.operator("RPAD", vec![text, count, blank], span)
            }
            _ => self.operator("LEFT", vec![text, count], span),
        }
    }

    /// A text as an array, as Postgres writes one: `'{1,2}'`.
    pub(super) fn text_as_array(
        &mut self,
        text: Expr,
        item: &Type,
        lenient: bool,
        span: Span,
    ) -> Option<Expr> {
        let texts = self.operator("ARRAY_OF_TEXT", vec![text], span)?;
        if item.data == DataType::String {
            return Some(texts);
        }
        self.each_element(texts, span, |checker, element| {
            checker.explicit_cast(element, &item.data, lenient, span)
        })
    }
}

/// A value that is no text yet, as one.
pub(super) fn as_text(e: Expr) -> Expr {
    let shown = match &e.ty.data {
        DataType::Boolean | DataType::Date | DataType::Interval | DataType::Uuid => true,
        DataType::Time { .. } | DataType::Timestamp { .. } | DataType::TimestampLtz { .. } => true,
        DataType::Json => true,
        data => data.is_numeric(),
    };
    let span = e.span;
    if shown && !is_untyped(&e) { cast(e, &DataType::String, false, span) } else { e }
}

/// The builtin's name of an operator.
pub(super) fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Modulo => "%",
        BinaryOp::Concat => "||",
        BinaryOp::Arrow => "->",
        BinaryOp::ArrowText => "->>",
        BinaryOp::Power => "POWER",
        BinaryOp::BitAnd => "BITAND",
        BinaryOp::BitOr => "BITOR",
        BinaryOp::BitXor => "BITXOR",
        BinaryOp::ShiftLeft => "SHIFT_LEFT",
        BinaryOp::ShiftRight => "SHIFT_RIGHT",
        BinaryOp::Matches
        | BinaryOp::MatchesAnyCase
        | BinaryOp::NotMatches
        | BinaryOp::NotMatchesAnyCase => "REGEXP_LIKE",
        BinaryOp::Contains | BinaryOp::ContainedIn => "JSONB_CONTAINS",
        BinaryOp::Overlaps => "ARRAYS_OVERLAP",
        BinaryOp::HasKey => "JSONB_EXISTS",
        BinaryOp::HasAnyKey => "JSONB_EXISTS_ANY",
        BinaryOp::HasAllKeys => "JSONB_EXISTS_ALL",
        BinaryOp::Path => "JSONB_AT_PATH",
        BinaryOp::PathText => "JSONB_AT_PATH_TEXT",
        BinaryOp::DeletePath => "JSONB_DELETE_PATH",
        BinaryOp::StartsWith => "STARTS_WITH",
        BinaryOp::Eq => "=",
        BinaryOp::NotEq => "<>",
        BinaryOp::Lt => "<",
        BinaryOp::LtEq => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::GtEq => ">=",
    }
}
