//! What means something else in ksqlDB than here: functions, casts, what aggregates give where
//! there are no values, groups without a key. Over what is declared as ksqlDB does it means what it
//! means there.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;

use super::Checker;
use super::call::epoch_clock;
use super::coerce::{cast, truncated};
use super::expr::all_of;
use super::ksql_names::of_records;
use super::literal::constant;
use super::scope::Scope;
use super::typed::QueryId;

/// How ksqlDB shows a timestamp.
const TIMESTAMP_TEXT: &str = "yyyy-MM-dd'T'HH:mm:ss.SSS";

impl Checker<'_> {
    /// A call of a function as ksqlDB means it; its arguments where it means the same here.
    pub(super) fn as_in_ksql(
        &mut self,
        name: &str,
        mut args: Vec<Expr>,
        span: Span,
    ) -> Result<Option<Expr>, Vec<Expr>> {
        let text = |text: &str| literal(Value::String(text.to_owned()), DataType::String, span);
        Ok(match (name, args.len()) {
            ("REGEXP_EXTRACT" | "REGEXP_EXTRACT_ALL", 2 | 3) => {
                args.swap(0, 1);
                if args.len() == 2 {
                    args.push(int(0, span));
                }
                self.operator(name, args, span)
            }
            ("REGEXP_REPLACE", 3) => {
                args.push(text("g"));
                self.operator(name, args, span)
            }
            ("GREATEST", _) => self.of_array("ARRAY_MAX", args, span),
            ("LEAST", _) => self.of_array("ARRAY_MIN", args, span),
            ("ARRAY_JOIN", 1 | 2) => {
                if args.len() == 1 {
                    args.push(text(","));
                }
                args.push(text("null"));
                self.operator(name, args, span)
            }
            ("ARRAY_SORT", 2) if args[1].ty.data == DataType::String => {
                args.push(text("NULLS LAST"));
                self.operator(name, args, span)
            }
            ("SUBSTRING" | "SUBSTR", 2 | 3) if below_zero(&args[1]) => self.from_end(args, span),
            ("UNIX_TIMESTAMP", 0) => self.operator("EPOCH_MILLIS", vec![epoch_clock(span)], span),
            ("UNIX_TIMESTAMP", 1) => self.operator("EPOCH_MILLIS", args, span),
            ("UNIX_DATE", 0) => {
                let today = cast(epoch_clock(span), &DataType::Date, false, span);
                self.operator(name, vec![today], span)
            }
            ("FROM_UNIXTIME", 1) => self.operator("TIMESTAMP_MILLIS", args, span),
            ("SIGN", 1) => self.operator(name, args, span).map(|e| as_type(e, &DataType::Int)),
            ("ROUND", 1) if args[0].ty.data.is_float() => self.half_up(args, span),
            ("FROM_BYTES", 2) if is_word(&args[1], "hex") => {
                self.operator(name, args, span).and_then(|e| self.operator("UPPER", vec![e], span))
            }
            ("ENTRIES", _) => self.operator("MAP_ENTRIES", args, span).map(as_entries),
            _ => return Err(args),
        })
    }

    /// A function of all the values, as an array, that are there.
    fn of_array(&mut self, function: &str, values: Vec<Expr>, span: Span) -> Option<Expr> {
        let values = self.array_of(values, span)?;
        self.operator(function, vec![values], span)
    }

    /// SUBSTRING from a position that counts from the end.
    fn from_end(&mut self, mut args: Vec<Expr>, span: Span) -> Option<Expr> {
        let length = self.operator("LENGTH", vec![args[0].clone()], span)?;
        let behind = self.operator("+", vec![length, int(1, span)], span)?;
        let position = self.operator("+", vec![behind, args[1].clone()], span)?;
        args[1] = self.operator("GREATEST", vec![position, int(1, span)], span)?;
        self.operator("SUBSTRING", args, span)
    }

    /// The nearest whole number, of two the larger one.
    fn half_up(&mut self, mut args: Vec<Expr>, span: Span) -> Option<Expr> {
        let half = literal(Value::Float(0.5), DataType::Double, span);
        let sum = self.operator("+", vec![args.pop()?, half], span)?;
        Some(as_type(self.operator("FLOOR", vec![sum], span)?, &DataType::BigInt))
    }

    /// An element of an array, below 0 counted from its end.
    pub(super) fn ksql_element(&mut self, array: Expr, index: Expr, span: Span) -> Option<Expr> {
        let known = constant(&index).is_some() && !below_zero(&index);
        self.operator(if known { "[]" } else { "ELEMENT_AT" }, vec![array, index], span)
    }

    /// A CAST as ksqlDB does it; what is cast where it is done so here.
    pub(super) fn ksql_cast(
        &mut self,
        arg: Expr,
        to: &DataType,
        span: Span,
    ) -> Result<Option<Expr>, Expr> {
        let text = |text: &str| literal(Value::String(text.to_owned()), DataType::String, span);
        let from = &arg.ty.data;
        if *to == DataType::String && matches!(from, DataType::Timestamp { .. }) {
            return Ok(self.operator("FORMAT_TIMESTAMP", vec![arg, text(TIMESTAMP_TEXT)], span));
        }
        if *to == DataType::String && *from == DataType::Boolean {
            return Ok(self.operator("LOWER", vec![cast(arg, to, false, span)], span));
        }
        let fraction = from.is_float() || matches!(from, DataType::Decimal { .. });
        if to.is_integer() && fraction {
            return Ok(Some(cast(truncated(arg), to, false, span)));
        }
        Err(arg)
    }

    /// What an aggregate gives, where ksqlDB has something else than NULL for no values.
    pub(super) fn ksql_aggregate(&mut self, name: &str, value: Expr, span: Span) -> Option<Expr> {
        let data = value.ty.data.clone();
        let nothing = match name {
            "SUM" | "AVG" | "STDDEV_SAMP" | "STDDEV_SAMPLE" => int(0, span),
            _ if matches!(data, DataType::Array(_)) => {
                Expr { kind: ExprKind::Array(Vec::new()), ty: Type::not_null(data), span }
            }
            "HISTOGRAM" => {
                let DataType::Map(key, of) = &data else { return Some(value) };
                let none = |of: &Type| Expr {
                    kind: ExprKind::Array(Vec::new()),
                    ty: Type::not_null(DataType::Array(Box::new(of.clone()))),
                    span,
                };
                self.operator("MAP_FROM_ARRAYS", vec![none(key), none(of)], span)?
            }
            _ => return Some(value),
        };
        self.operator("COALESCE", vec![value, nothing], span)
    }

    /// The rows of which every key of GROUP BY is there: ksqlDB leaves others out.
    pub(super) fn with_keys_there(
        &mut self,
        input: QueryId,
        keys: &[Vec<Expr>],
        scope: &Scope,
        span: Span,
    ) -> QueryId {
        if !of_records(scope) {
            return input;
        }
        let there = |key: &Expr| {
            let boolean = Type::not_null(DataType::Boolean);
            let is = ExprKind::IsNull(Box::new(key.clone()));
            let is = Expr { kind: is, ty: boolean.clone(), span: key.span };
            Expr { kind: ExprKind::Not(Box::new(is)), ty: boolean, span: key.span }
        };
        let keys = keys.iter().flatten().filter(|key| key.ty.nullable);
        match all_of(keys.map(there).collect()) {
            Some(condition) => self.filter(input, condition, span),
            None => input,
        }
    }
}

fn literal(value: Value, ty: DataType, span: Span) -> Expr {
    Expr::literal(value, Type::not_null(ty), span)
}

fn int(value: i64, span: Span) -> Expr {
    literal(Value::Int(value), DataType::Int, span)
}

fn as_type(e: Expr, to: &DataType) -> Expr {
    let span = e.span;
    cast(e, to, false, span)
}

fn is_word(e: &Expr, word: &str) -> bool {
    matches!(constant(e), Some(Value::String(text)) if text.eq_ignore_ascii_case(word))
}

/// Whether it is written as a number below 0.
fn below_zero(e: &Expr) -> bool {
    match (&e.kind, constant(e)) {
        (_, Some(Value::Int(value))) => *value < 0,
        (ExprKind::Call { function, args, .. }, _) => {
            function == "neg" && args.iter().all(|arg| constant(arg).is_some())
        }
        _ => false,
    }
}

/// Entries of a map with ksqlDB's names of their parts.
fn as_entries(e: Expr) -> Expr {
    let DataType::Array(entry) = &e.ty.data else { return e };
    let DataType::Row(fields) = &entry.data else { return e };
    let named = fields.iter().zip(["K", "V"]);
    let named = named.map(|(f, name)| Field { name: name.to_owned(), ..f.clone() }).collect();
    let entry = Type { data: DataType::Row(named), nullable: entry.nullable };
    as_type(e, &DataType::Array(Box::new(entry)))
}
