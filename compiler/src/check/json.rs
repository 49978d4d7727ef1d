//! The clauses of the SQL standard's JSON functions: RETURNING, wrappers, ON EMPTY, ON ERROR, ON
//! NULL. A call with clauses is a CASE over what `JSON … STATUS` says of it.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::coerce::cast;
use super::expr::ExprCx;
use crate::diagnostics::types;
use crate::syntax::ast::{Call, JsonClauses, JsonOn, JsonWrapper};

/// What makes JSON, if only as a text.
const MADE: &[&str] =
    &["JSON_OBJECT", "JSON_OBJECT ABSENT ON NULL", "JSON_ARRAY", "JSON_BUILD_ARRAY"];

/// What `JSON … STATUS` says: nothing is reached; the text, the path or the value is wrong.
const EMPTY: i64 = 1;
const ERROR: i64 = 2;

impl Checker<'_> {
    /// A call with clauses of JSON.
    pub(super) fn json_call(
        &mut self,
        name: &str,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let args = self.typed_args(name, &call.args, cx)?;
        let json = &call.json;
        match name {
            "JSON_VALUE" => {
                self.only(name, json, &["RETURNING", "ON EMPTY", "ON ERROR"], span)?;
                let value = self.operator(name, args.clone(), span)?;
                let status = self.operator("JSON_VALUE STATUS", args, span)?;
                self.with_clauses(name, value, status, json, span, cx)
            }
            "JSON_QUERY" => {
                let taken = ["RETURNING", "WRAPPER", "ON EMPTY", "ON ERROR"];
                self.only(name, json, &taken, span)?;
                let mut args = args;
                args.push(text(wrapper_word(json.wrapper), span));
                let value = self.operator("JSON_QUERY WRAPPER", args.clone(), span)?;
                let status = self.operator("JSON_QUERY STATUS", args, span)?;
                self.with_clauses(name, value, status, json, span, cx)
            }
            "JSON_EXISTS" => {
                self.only(name, json, &["ON ERROR"], span)?;
                let value = self.operator(name, args.clone(), span)?;
                let status = self.operator("JSON_EXISTS STATUS", args, span)?;
                self.with_clauses(name, value, status, json, span, cx)
            }
            "JSON_OBJECT" | "JSON_ARRAY" => {
                self.only(name, json, &["ON NULL"], span)?;
                let keeps = json.nulls.unwrap_or(name == "JSON_OBJECT");
                let function = match (name, keeps) {
                    ("JSON_OBJECT", true) => "JSON_OBJECT",
                    ("JSON_OBJECT", false) => "JSON_OBJECT ABSENT ON NULL",
                    (_, true) => "JSON_BUILD_ARRAY",
                    (_, false) => "JSON_ARRAY",
                };
                self.operator(function, json_parts(args), span)
            }
            _ => self.clause_not_taken(name, first_clause(json), span),
        }
    }

    /// Refuses the clauses that a function does not take.
    fn only(&mut self, name: &str, json: &JsonClauses, taken: &[&str], span: Span) -> Option<()> {
        let given = clauses(json).into_iter().find(|clause| !taken.contains(clause));
        match given {
            Some(clause) => self.clause_not_taken(name, clause, span),
            None => Some(()),
        }
    }

    fn with_clauses(
        &mut self,
        name: &str,
        value: Expr,
        status: Expr,
        json: &JsonClauses,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let to = match &json.returning {
            Some(ty) => self.type_of(ty)?.data,
            None => value.ty.data.clone(),
        };
        let is = |this: &mut Self, code: i64| {
            let code = Expr::literal(Value::Int(code), Type::not_null(DataType::Int), span);
            this.operator("=", vec![status.clone(), code], span)
        };
        let mut conditions = vec![is(self, EMPTY)?, is(self, ERROR)?];
        let empty = self.in_place(json.on_empty.as_ref(), &to, name, span, cx)?;
        let error = self.in_place(json.on_error.as_ref(), &to, name, span, cx)?;
        let mut results = vec![empty, error.clone()];
        let converted = if value.ty.data == to {
            value
        } else {
            let converted = self.returned(value.clone(), &to, span)?;
            let missing = self.operator("IS DISTINCT FROM", vec![value, null(span)], span)?;
            let failed =
                self.operator("IS NOT DISTINCT FROM", vec![converted.clone(), null(span)], span)?;
            conditions.push(super::expr::joined(
                vec![missing, failed],
                span,
                flow_ir::expr::ExprKind::And,
            ));
            results.push(error);
            converted
        };
        self.case_of(conditions, results, Some(converted), name, span)
    }

    /// What RETURNING makes of a text; of a JSON array, the array of its elements.
    fn returned(&mut self, value: Expr, to: &DataType, span: Span) -> Option<Expr> {
        let value = match to {
            DataType::Array(_) => self.operator("JSON_ARRAY_ELEMENTS_TEXT", vec![value], span)?,
            _ => value,
        };
        if !flow_stdlib::coerce::castable(&value.ty.data, to) {
            let to = Type::nullable(to.clone());
            return self.report(types::no_cast(&value.ty, &to, span));
        }
        Some(match value.ty.data == *to {
            true => value,
            false => cast(value, to, true, span),
        })
    }

    /// What a clause puts in place of a value.
    fn in_place(
        &mut self,
        on: Option<&JsonOn>,
        to: &DataType,
        name: &str,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let missing = Expr::literal(Value::Null, Type::nullable(to.clone()), span);
        let boolean =
            |value| Expr::literal(Value::Boolean(value), Type::not_null(DataType::Boolean), span);
        let value = match on {
            None if *to == DataType::Boolean && name == "JSON_EXISTS" => boolean(false),
            None | Some(JsonOn::Null | JsonOn::Unknown) => return Some(missing),
            Some(JsonOn::True) => boolean(true),
            Some(JsonOn::False) => boolean(false),
            Some(JsonOn::EmptyArray) => return self.returned(text("[]", span), to, span),
            Some(JsonOn::EmptyObject) => text("{}", span),
            Some(JsonOn::Error) => {
                let why = text(&format!("{name} has no value"), span);
                let failure = self.operator("FAIL WITH", vec![why], span)?;
                return Some(cast(failure, to, false, span));
            }
            Some(JsonOn::Default(written)) => self.expr(written, cx)?,
        };
        if value.ty.data == *to {
            return Some(value);
        }
        if !flow_stdlib::coerce::castable(&value.ty.data, to) {
            let to = Type::nullable(to.clone());
            return self.report(types::no_cast(&value.ty, &to, value.span));
        }
        let at = value.span;
        Some(cast(value, to, false, at))
    }
}

/// The values of JSON_OBJECT and JSON_ARRAY: those that such calls make are JSON and no texts.
pub(super) fn json_parts(args: Vec<Expr>) -> Vec<Expr> {
    let made = |arg: &Expr| match &arg.kind {
        ExprKind::Call { function, .. } => MADE.contains(&function.as_str()),
        _ => false,
    };
    let part = |arg: Expr| match made(&arg) && arg.ty.data == DataType::String {
        true => {
            let span = arg.span;
            cast(arg, &DataType::Json, false, span)
        }
        false => arg,
    };
    args.into_iter().map(part).collect()
}

fn text(value: &str, span: Span) -> Expr {
    Expr::literal(Value::String(value.to_string()), Type::not_null(DataType::String), span)
}

fn null(span: Span) -> Expr {
    Expr::literal(Value::Null, Type::nullable(DataType::Null), span)
}

fn wrapper_word(wrapper: Option<JsonWrapper>) -> &'static str {
    match wrapper {
        None | Some(JsonWrapper::Without) => "without",
        Some(JsonWrapper::Conditional) => "conditional",
        Some(JsonWrapper::Unconditional) => "unconditional",
    }
}

/// The clauses that are given.
fn clauses(json: &JsonClauses) -> Vec<&'static str> {
    let given = [
        (json.returning.is_some(), "RETURNING"),
        (json.wrapper.is_some(), "WRAPPER"),
        (json.on_empty.is_some(), "ON EMPTY"),
        (json.on_error.is_some(), "ON ERROR"),
        (json.nulls.is_some(), "ON NULL"),
    ];
    given.into_iter().filter(|(given, _)| *given).map(|(_, name)| name).collect()
}

fn first_clause(json: &JsonClauses) -> &'static str {
    clauses(json).first().copied().unwrap_or("RETURNING")
}
