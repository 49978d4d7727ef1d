//! Calls that make a value of their arguments in a way of their own: maps, rows with names, CASE
//! under the name DECODE, the JSON functions of the SQL standard.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;

use super::Checker;
use super::expr::{ExprCx, joined};
use super::ksql_names::of_records;
use super::literal::constant;
use crate::diagnostics::{aggregates, names, types};
use crate::syntax::ast::{self, Arg, ArgValue, Call, Ident, JsonClauses};

/// Parts of an interval as MAKE_INTERVAL takes them.
const INTERVAL_PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

impl Checker<'_> {
    /// What such a call makes; the outer `None` where it is another call.
    pub(super) fn constructed(
        &mut self,
        name: &str,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Option<Expr>> {
        if call.json != JsonClauses::default() {
            return Some(self.json_call(name, call, span, cx));
        }
        let args = call.args.as_slice();
        match name {
            "MAP" => Some(self.map_call(name, args, span, cx)),
            "ROW" | "STRUCT" | "STRUCT_PACK" => Some(self.row_call(name, args, span, cx)),
            "NAMED_STRUCT" => Some(self.named_struct(name, args, span, cx)),
            "ARRAY" if only_query(args).is_some() => {
                only_query(args).map(|query| self.array_of_query(query, span, cx))
            }
            "ARRAY" | "LIST_VALUE" | "LIST_PACK" | "ARRAY_VALUE" => {
                Some(self.typed_args(name, args, cx).and_then(|items| self.array_of(items, span)))
            }
            "JSON" | "PARSE_JSON" | "TRY_PARSE_JSON" if args.len() == 1 => {
                let lenient = name.starts_with("TRY_");
                Some(self.typed_args(name, args, cx).and_then(|mut args| {
                    self.explicit_cast(args.pop()?, &DataType::Json, lenient, span)
                }))
            }
            "STRUCT_EXTRACT" if args.len() == 2 => {
                let args = self.typed_args(name, args, cx);
                Some(args.and_then(|args| {
                    let [row, field] = args.as_slice() else { return None };
                    self.part_at(row, field, span).unwrap_or_else(|| {
                        self.report(types::no_parts("fields", &row.ty, row.span))
                    })
                }))
            }
            "MAKE_INTERVAL" if args.iter().any(|arg| arg.name.is_some()) => {
                Some(self.interval_of_parts(name, args, span, cx))
            }
            "CURRENT_SETTING" if is_zone_setting(args) => {
                let zone = Value::String(self.module.settings.time_zone.clone());
                Some(Some(Expr::literal(zone, Type::not_null(DataType::String), span)))
            }
            "OVERLAPS" if args.len() == 4 => Some(self.overlaps(name, args, span, cx)),
            "DECODE" if args.len() > 2 => Some(self.decode(name, args, span, cx)),
            _ => None,
        }
    }

    /// The arguments as values, without names.
    pub(super) fn typed_args(
        &mut self,
        function: &str,
        args: &[Arg],
        cx: &mut ExprCx<'_>,
    ) -> Option<Vec<Expr>> {
        let typed: Vec<Option<Expr>> =
            args.iter().map(|arg| self.argument(function, arg, cx)).collect();
        typed.into_iter().collect()
    }

    /// MAP(key, value, …).
    fn map_call(
        &mut self,
        name: &str,
        args: &[Arg],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let values = self.typed_args(name, args, cx)?;
        if !values.len().is_multiple_of(2) {
            let given: Vec<Type> = values.into_iter().map(|e| e.ty).collect();
            let usage = ["MAP(key, value, …)".to_string()];
            return self.report(types::wrong_arguments(name, &given, &usage, span, None));
        }
        let (mut keys, mut of) = (Vec::new(), Vec::new());
        for (at, value) in values.into_iter().enumerate() {
            if at % 2 == 0 { &mut keys } else { &mut of }.push(Some(value));
        }
        self.map(keys, of, span)
    }

    /// `MAP[key, value, …]`.
    pub(super) fn map_of(
        &mut self,
        entries: &[(ast::Expr, ast::Expr)],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let keys: Vec<Option<Expr>> = entries.iter().map(|(key, _)| self.expr(key, cx)).collect();
        let values = entries.iter().map(|(_, value)| self.expr(value, cx)).collect();
        self.map(keys, values, span)
    }

    /// The map of these keys to these values.
    fn map(
        &mut self,
        keys: Vec<Option<Expr>>,
        values: Vec<Option<Expr>>,
        span: Span,
    ) -> Option<Expr> {
        let keys = keys.into_iter().collect::<Option<Vec<Expr>>>();
        let values = values.into_iter().collect::<Option<Vec<Expr>>>()?;
        let keys = self.array_of(keys?, span)?;
        let values = self.array_of(values, span)?;
        self.operator("MAP_FROM_ARRAYS", vec![keys, values], span)
    }

    /// `j -> key` of JSON; `row -> field` as ksqlDB writes it.
    pub(super) fn arrow(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let left = self.expr(left, cx)?;
        if matches!(left.ty.data, DataType::Row(_)) && is_path(right) {
            return self.at_path(left, right, cx);
        }
        let right = self.expr(right, cx)?;
        self.operator("->", vec![left, right], span)
    }

    /// An element of an array, a value of a map, a part of JSON.
    pub(super) fn element(
        &mut self,
        arg: Expr,
        index: Expr,
        span: Span,
        cx: &ExprCx<'_>,
    ) -> Option<Expr> {
        if arg.ty.data == DataType::Json {
            if index.ty.data.is_integer() {
                self.found.push(types::differs_from_flink(
                    "[] of JSON",
                    "counts elements from 0, as -> does",
                    "Flink counts those of a VARIANT from 1: take 1 from the index.",
                    span,
                ));
            }
            return self.operator("->", vec![arg, index], span);
        }
        if let Some(part) = self.part_at(&arg, &index, span) {
            return part;
        }
        if !matches!(arg.ty.data, DataType::Array(_) | DataType::Map(..)) {
            return self.report(types::no_parts("elements", &arg.ty, arg.span));
        }
        if of_records(cx.scope) && matches!(arg.ty.data, DataType::Array(_)) {
            return self.ksql_element(arg, index, span);
        }
        self.operator("[]", vec![arg, index], span)
    }

    /// `LIST[x]` as Materialize writes an array, where no column has that name.
    pub(super) fn list_of_one(
        &mut self,
        arg: &ast::Expr,
        item: &ast::Expr,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let ast::ExprKind::Name(name) = &arg.kind else { return None };
        name.as_single().filter(|name| name.is_word("list"))?;
        let told = self.found.len();
        let is_column = self.expr(arg, cx).is_some();
        self.found.truncate(told);
        if is_column {
            return None;
        }
        let item = self.expr(item, cx)?;
        self.array_of(vec![item], span)
    }

    /// `row -> field[1]`: the index is behind the field.
    fn at_path(&mut self, row: Expr, path: &ast::Expr, cx: &mut ExprCx<'_>) -> Option<Expr> {
        if let ast::ExprKind::Index { arg, index } = &path.kind {
            let field = self.at_path(row, arg, cx)?;
            let index = self.expr(index, cx)?;
            return self.element(field, index, path.span, cx);
        }
        let ast::ExprKind::Name(name) = &path.kind else { return None };
        self.field(row, name.as_single()?)
    }

    /// `x[from:to]`.
    pub(super) fn slice(
        &mut self,
        arg: &ast::Expr,
        from: Option<&ast::Expr>,
        to: Option<&ast::Expr>,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let mut args = vec![self.expr(arg, cx)];
        args.push(match from {
            Some(from) => self.expr(from, cx),
            None => {
                let one = Value::Int(1);
                Some(Expr::literal(one, Type::not_null(DataType::BigInt), span))
            }
        });
        args.extend(to.map(|to| self.expr(to, cx)));
        let args = args.into_iter().collect::<Option<Vec<Expr>>>()?;
        if args[0].ty.data == DataType::String {
            return self.text_slice(args, span);
        }
        if !matches!(args[0].ty.data, DataType::Array(_)) {
            return self.report(types::no_parts("slices", &args[0].ty, args[0].span));
        }
        self.operator("ARRAY_SLICE", args, span)
    }

    /// `row['field']`, `row[1]` and `text[1]`; the outer `None` where it is something else.
    pub(super) fn part_at(&mut self, arg: &Expr, index: &Expr, span: Span) -> Option<Option<Expr>> {
        match (&arg.ty.data, constant(index)) {
            (DataType::Row(_), Some(Value::String(name))) => {
                let name = Ident { text: name.clone(), quoted: true, span: index.span };
                Some(self.field(arg.clone(), &name))
            }
            (DataType::Row(fields), Some(Value::Int(at))) => {
                let index = usize::try_from(*at).ok().and_then(|at| at.checked_sub(1));
                let index = index.filter(|at| *at < fields.len())?;
                let field = &fields[index].ty;
                let ty = field.with_nullable(field.nullable || arg.ty.nullable);
                let kind = ExprKind::Field { arg: Box::new(arg.clone()), index };
                Some(Some(Expr { kind, ty, span }))
            }
            (DataType::String, _) if index.ty.data.is_integer() => {
                let args = vec![arg.clone(), index.clone(), index.clone()];
                Some(self.text_slice(args, span))
            }
            _ => None,
        }
    }

    /// `MAKE_INTERVAL(days => 1, hours => 2)`; what is not named is 0.
    fn interval_of_parts(
        &mut self,
        function: &str,
        args: &[Arg],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let zero = Expr::literal(Value::Int(0), Type::not_null(DataType::BigInt), span);
        let mut parts = vec![zero; INTERVAL_PARTS.len()];
        for (at, arg) in args.iter().enumerate() {
            let at = match &arg.name {
                None => at,
                Some(name) => {
                    let is = |part: &&str| part.eq_ignore_ascii_case(&name.text);
                    let Some(at) = INTERVAL_PARTS.iter().position(|part| is(&part)) else {
                        let known = INTERVAL_PARTS.map(str::to_owned);
                        let what = "MAKE_INTERVAL";
                        let problem = names::unknown_field(&name.text, what, name.span, &known);
                        return self.report(problem);
                    };
                    at
                }
            };
            let value = self.argument(function, &Arg { name: None, ..arg.clone() }, cx)?;
            if let Some(part) = parts.get_mut(at) {
                *part = value;
            }
        }
        self.operator(function, parts, span)
    }

    /// The characters of a text between two positions.
    fn text_slice(&mut self, args: Vec<Expr>, span: Span) -> Option<Expr> {
        let mut args = args.into_iter();
        let (text, from) = (args.next()?, args.next()?);
        let text = match args.next() {
            Some(to) => self.operator("LEFT", vec![text, to], span)?,
            None => text,
        };
        self.operator("SUBSTRING", vec![text, from], span)
    }

    /// ROW(…), STRUCT(…): fields are named by `name := value`, `value AS name`, in STRUCT also by
    /// the column that they are.
    fn row_call(
        &mut self,
        function: &str,
        args: &[Arg],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let mut fields = Vec::with_capacity(args.len());
        for arg in args {
            let ArgValue::Expr(written) = &arg.value else {
                self.argument(function, arg, cx)?;
                continue;
            };
            let column = match &written.kind {
                ast::ExprKind::Name(name) if function != "ROW" => Some(name.last()),
                _ => None,
            };
            let value = self.expr(written, cx);
            fields.push((arg.name.as_ref().or(column).cloned(), value));
        }
        self.row_of(fields, span)
    }

    /// NAMED_STRUCT('a', 1, …).
    fn named_struct(
        &mut self,
        function: &str,
        args: &[Arg],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let values = self.typed_args(function, args, cx)?;
        let mut fields = Vec::new();
        let mut values = values.into_iter();
        while let (Some(name), Some(value)) = (values.next(), values.next()) {
            let Some(Value::String(text)) = constant(&name) else {
                return self.report(types::not_constant("the name of a field", name.span));
            };
            let name = Ident { text: text.clone(), quoted: true, span: name.span };
            fields.push((Some(name), Some(value)));
        }
        self.row_of(fields, span)
    }

    fn row_of(&mut self, fields: Vec<(Option<Ident>, Option<Expr>)>, span: Span) -> Option<Expr> {
        let mut types: Vec<Field> = Vec::with_capacity(fields.len());
        let mut values = Vec::with_capacity(fields.len());
        for (at, (name, value)) in fields.iter().enumerate() {
            let text = name.as_ref().map_or_else(|| format!("f{at}"), |name| name.text.clone());
            if types.iter().any(|field| field.name == text) {
                let at = name.as_ref().map_or(span, |name| name.span);
                return self.report(names::duplicate_column(&text, "the ROW", at, None));
            }
            let value = value.clone()?;
            types.push(Field::new(text, value.ty.clone()));
            values.push(value);
        }
        let ty = Type::not_null(DataType::Row(types.into()));
        Some(Expr { kind: ExprKind::Row(values), ty, span })
    }

    /// DECODE(x, a, result, …, otherwise): NULL equals NULL.
    fn decode(
        &mut self,
        function: &str,
        args: &[Arg],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let mut values = self.typed_args(function, args, cx)?.into_iter();
        let operand = values.next()?;
        let (mut conditions, mut results) = (Vec::new(), Vec::new());
        let mut otherwise = None;
        while let Some(value) = values.next() {
            match values.next() {
                Some(result) => {
                    let equal = vec![operand.clone(), value];
                    conditions.push(self.operator("IS NOT DISTINCT FROM", equal, span)?);
                    results.push(result);
                }
                None => otherwise = Some(value),
            }
        }
        self.case_of(conditions, results, otherwise, function, span)
    }

    /// OVERLAPS(start, end, start, end): whether two spans of time share a moment, their ends left
    /// out. An end may stand first, or be an interval.
    fn overlaps(
        &mut self,
        function: &str,
        args: &[Arg],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let mut values = self.typed_args(function, args, cx)?.into_iter();
        let mut ends = Vec::with_capacity(4);
        while let (Some(start), Some(end)) = (values.next(), values.next()) {
            let end = match end.ty.data {
                DataType::Interval => self.operator("+", vec![start.clone(), end], span)?,
                _ => end,
            };
            ends.push(self.operator("LEAST", vec![start.clone(), end.clone()], span)?);
            ends.push(self.operator("GREATEST", vec![start, end], span)?);
        }
        let [a, b, c, d] = <[Expr; 4]>::try_from(ends).ok()?;
        let equal = self.operator("=", vec![a.clone(), c.clone()], span)?;
        let before = self.operator("<", vec![a, d], span)?;
        let after = self.operator("<", vec![c, b], span)?;
        let shared = joined(vec![before, after], span, ExprKind::And);
        Some(joined(vec![equal, shared], span, ExprKind::Or))
    }

    /// CASE of conditions and results, which become values of one type.
    pub(super) fn case_of(
        &mut self,
        conditions: Vec<Expr>,
        mut results: Vec<Expr>,
        otherwise: Option<Expr>,
        place: &str,
        span: Span,
    ) -> Option<Expr> {
        let has_last = otherwise.is_some();
        results.extend(otherwise);
        let mut results = self.unify(results, place, span)?;
        let last = if has_last { results.pop() } else { None };
        let nullable =
            last.as_ref().is_none_or(|e| e.ty.nullable) || results.iter().any(|e| e.ty.nullable);
        let data = results.first().or(last.as_ref())?.ty.data.clone();
        let branches = conditions.into_iter().zip(results).collect();
        let kind = ExprKind::Case { branches, otherwise: last.map(Box::new) };
        Some(Expr { kind, ty: Type { data, nullable }, span })
    }

    /// A clause that a function does not take.
    pub(super) fn clause_not_taken<T>(&mut self, name: &str, what: &str, span: Span) -> Option<T> {
        self.report(aggregates::modifier_not_taken(name, what, span))
    }
}

/// The query of `ARRAY(SELECT …)`.
fn only_query(args: &[Arg]) -> Option<&ast::Query> {
    match args {
        [Arg { name: None, value: ArgValue::Expr(only), .. }] => match &only.kind {
            ast::ExprKind::Subquery(query) => Some(query),
            _ => None,
        },
        _ => None,
    }
}

/// Whether what CURRENT_SETTING is asked for is the session's time zone.
fn is_zone_setting(args: &[Arg]) -> bool {
    let [Arg { value: ArgValue::Expr(e), .. }] = args else { return false };
    let ast::ExprKind::Literal(ast::Literal::String(name)) = &e.kind else { return false };
    ["TIMEZONE", "TIME.ZONE", "TIME ZONE"].iter().any(|zone| name.eq_ignore_ascii_case(zone))
}

/// Whether it is the name of a field, with indexes behind it.
fn is_path(e: &ast::Expr) -> bool {
    match &e.kind {
        ast::ExprKind::Name(name) => name.as_single().is_some(),
        ast::ExprKind::Index { arg, .. } => is_path(arg),
        _ => false,
    }
}
