//! An aggregate call as it is written: its arguments, constants, order, DISTINCT and FILTER.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::physical::Direction;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::aggregates::{self, AggregateDef, NullUse, OrderUse, Param};

use super::Checker;
use super::aggregate::AggregateExpr;
use super::expr::ExprCx;
use super::literal::constant;
use super::operators::as_text;
use crate::diagnostics::{aggregates as problems, types};
use crate::syntax::ast::{ArgValue, Call, NullTreatment, OrderItem};

/// Aggregates that give an integer of integers in Flink.
pub(super) const MEANS: [&str; 8] =
    ["AVG", "MEAN", "STDDEV", "STDDEV_POP", "STDDEV_SAMP", "VARIANCE", "VAR_POP", "VAR_SAMP"];
/// Values that an aggregate keeps at most because a constant asks for them.
const COUNT_MAX: i64 = 100_000;

/// The parts of a call, each where it belongs.
struct Parts {
    args: Vec<Expr>,
    params: Vec<Expr>,
    order: Vec<(Expr, Direction)>,
    /// The argument is that of WITHIN GROUP, in descending order.
    descending: bool,
}

impl Checker<'_> {
    /// An aggregate call over the rows of a scope.
    pub(super) fn aggregate_expr(
        &mut self,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<AggregateExpr> {
        let written = call.name.last().text.to_uppercase();
        let def = aggregates::lookup(&written)?;
        let parts = self.call_parts(def, &written, call, span, cx);
        let filter = match &call.filter {
            Some(filter) => {
                cx.place = "FILTER";
                Some(self.condition(filter, cx)?)
            }
            None => None,
        };
        let Parts { args, params: constants, order, descending } = parts?;
        let mut types: Vec<Type> = args.iter().map(|e| e.ty.clone()).collect();
        if matches!(def.order, OrderUse::LastArgument { .. }) {
            types.extend(order.first().map(|(e, _)| e.ty.clone()));
        }
        let mut params = self.params(def, &written, &constants, span)?;
        let ignore_nulls = self.ignores_nulls(def, &written, call, &mut params, span)?;
        if descending {
            params.push(Value::Boolean(true));
        }
        let ty = match def.result_type(&types, &params) {
            Ok(ty) => ty,
            Err(why) => {
                let problem = types::wrong_arguments(&written, &types, &[], span, None);
                let why = why.replacen(def.name, &written, 1);
                return self.report(problem.with_help(format!("{why}.")));
            }
        };
        self.aggregate_lints(def, &written, call, &args, span);
        Some(AggregateExpr {
            function: def.name.to_string(),
            args,
            params,
            order,
            distinct: call.distinct,
            ignore_nulls,
            filter,
            by_offset: false,
            ty,
        })
    }

    fn call_parts(
        &mut self,
        def: &AggregateDef,
        written: &str,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Parts> {
        let mut args = self.aggregate_arguments(written, call, cx)?;
        let mut order = self.order_of(&call.order_by, cx)?;
        let mut within = self.order_of(&call.within_group, cx)?;
        let (mut params, mut descending) = (Vec::new(), false);
        match def.order {
            OrderUse::FirstArgument if !within.is_empty() => {
                if within.len() > 1 {
                    let what = "more than one column in WITHIN GROUP";
                    return self.report(problems::modifier_not_taken(written, what, span));
                }
                params = std::mem::take(&mut args);
                for (expr, direction) in within.drain(..) {
                    descending = direction.descending;
                    args.push(expr);
                }
            }
            OrderUse::Rows if order.is_empty() => order.append(&mut within),
            OrderUse::LastArgument { descending } if args.len() > 1 => {
                let direction = Direction { descending, nulls_first: false };
                order.splice(0..0, args.pop().map(|expr| (expr, direction)));
            }
            OrderUse::FirstArgument
            | OrderUse::Rows
            | OrderUse::Nothing
            | OrderUse::LastArgument { .. } => {}
        }
        if !within.is_empty() {
            return self.report(problems::modifier_not_taken(written, "WITHIN GROUP", span));
        }
        if params.is_empty() && !def.params.is_empty() && args.len() > 1 {
            params = args.split_off(1);
        }
        if matches!(def.order, OrderUse::Nothing | OrderUse::FirstArgument) {
            order.clear();
        }
        if def.name == "LISTAGG" {
            args = args.into_iter().map(as_text).collect();
        }
        // What is the same for all rows orders nothing.
        order.retain(|(expr, _)| constant(expr).is_none());
        Some(Parts { args, params, order, descending })
    }

    fn order_of(
        &mut self,
        items: &[OrderItem],
        cx: &mut ExprCx<'_>,
    ) -> Option<Vec<(Expr, Direction)>> {
        let direction = |item: &OrderItem| Direction {
            descending: item.descending,
            nulls_first: item.nulls_first.unwrap_or(item.descending),
        };
        let typed: Vec<Option<(Expr, Direction)>> = items
            .iter()
            .map(|item| self.expr(&item.expr, cx).map(|expr| (expr, direction(item))))
            .collect();
        typed.into_iter().collect()
    }

    /// The arguments over single rows; `*` is none.
    fn aggregate_arguments(
        &mut self,
        name: &str,
        call: &Call,
        cx: &mut ExprCx<'_>,
    ) -> Option<Vec<Expr>> {
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(match &arg.value {
                ArgValue::Expr(e) => self.expr(e, cx),
                ArgValue::Wildcard if name == "COUNT" && !call.distinct => continue,
                ArgValue::Wildcard => {
                    self.report(problems::modifier_not_taken(name, "*", arg.span))
                }
                ArgValue::Unit(_)
                | ArgValue::Lambda { .. }
                | ArgValue::Table(_)
                | ArgValue::Descriptor(_) => {
                    self.report(problems::modifier_not_taken(name, "this argument", arg.span))
                }
            });
        }
        args.into_iter().collect()
    }

    /// The constants of a call.
    fn params(
        &mut self,
        def: &AggregateDef,
        written: &str,
        constants: &[Expr],
        span: Span,
    ) -> Option<Vec<Value>> {
        if let Some(more) = constants.get(def.params.len()) {
            let what = "so many arguments";
            return self.report(problems::modifier_not_taken(written, what, more.span));
        }
        let mut params = Vec::with_capacity(def.params.len());
        for (at, param) in def.params.iter().enumerate() {
            let value = match (constants.get(at), param) {
                (Some(expr), param) => self.param(written, *param, expr)?,
                (None, Param::Separator) => Value::String(",".into()),
                (None, Param::IgnoreNulls) => Value::Boolean(true),
                (None, Param::Fraction | Param::Count) => {
                    let takes = param_takes(*param);
                    return self.report(problems::bad_constant(written, takes, span));
                }
            };
            params.push(value);
        }
        Some(params)
    }

    fn param(&mut self, written: &str, param: Param, expr: &Expr) -> Option<Value> {
        let Some(value) = constant_value(expr) else {
            let place = format!("this argument of {written}");
            return self.report(types::not_constant(&place, expr.span));
        };
        let fraction = |value: &Value| match value {
            Value::Float(v) if (0.0..=1.0).contains(v) => Some(Value::Float(*v)),
            Value::Int(v) if (0..=1).contains(v) => Some(Value::Float(*v as f64)),
            _ => None,
        };
        let fits = match (param, &value) {
            (Param::Separator, Value::String(text)) => Some(Value::String(text.clone())),
            (Param::IgnoreNulls, Value::Boolean(ignore)) => Some(Value::Boolean(*ignore)),
            (Param::Count, Value::Int(count)) => {
                (1..=COUNT_MAX).contains(count).then_some(Value::Int(*count))
            }
            (Param::Fraction, Value::Array(items)) if !items.is_empty() => {
                items.iter().map(fraction).collect::<Option<_>>().map(Value::Array)
            }
            (Param::Fraction, one) => fraction(one),
            (Param::Separator | Param::IgnoreNulls | Param::Count, _) => None,
        };
        match fits {
            Some(value) => Some(value),
            None => self.report(problems::bad_constant(written, param_takes(param), expr.span)),
        }
    }

    /// Whether NULLs are passed over although they are values to the aggregate. Takes the constant
    /// that says so away.
    fn ignores_nulls(
        &mut self,
        def: &AggregateDef,
        written: &str,
        call: &Call,
        params: &mut Vec<Value>,
        span: Span,
    ) -> Option<bool> {
        if def.params == [Param::IgnoreNulls] {
            let by_constant = params.pop() != Some(Value::Boolean(false));
            return Some(call.nulls.map_or(by_constant, |nulls| nulls == NullTreatment::Ignore));
        }
        match (def.nulls, call.nulls) {
            (NullUse::Keep, nulls) => Some(nulls == Some(NullTreatment::Ignore)),
            (NullUse::Skip | NullUse::SkipFirst, Some(NullTreatment::Respect)) => {
                self.report(problems::modifier_not_taken(written, "RESPECT NULLS", span))
            }
            (NullUse::Skip | NullUse::SkipFirst, _) => Some(false),
        }
    }

    /// Calls that mean something else in Flink SQL.
    fn aggregate_lints(
        &mut self,
        def: &AggregateDef,
        written: &str,
        call: &Call,
        args: &[Expr],
        span: Span,
    ) {
        let Some(arg) = args.first() else { return };
        if MEANS.contains(&written) && arg.ty.data.is_integer() {
            self.found.push(types::mean_with_fraction(written, span));
        }
        let end = matches!(def.name, "FIRST_VALUE" | "LAST_VALUE");
        if end && call.nulls.is_none() && arg.ty.nullable {
            let rewrite =
                format!("To pass over NULL as Flink does, write {written}(…) IGNORE NULLS.");
            let found = types::differs_from_flink(written, "NULL is a value", &rewrite, span);
            self.found.push(found);
        }
    }
}

fn param_takes(param: Param) -> &'static str {
    match param {
        Param::Separator => "a text between the texts",
        Param::Fraction => "a fraction from 0 to 1, or an array of them",
        Param::Count => "how many values to give, from 1 to 100000",
        Param::IgnoreNulls => "TRUE or FALSE: whether NULL is passed over",
    }
}

/// The value of a constant; numbers with a fraction as doubles.
fn constant_value(expr: &Expr) -> Option<Value> {
    if let ExprKind::Cast { arg, .. } = &expr.kind {
        return constant_value(arg);
    }
    if let ExprKind::Array(items) = &expr.kind {
        return items.iter().map(constant_value).collect::<Option<_>>().map(Value::Array);
    }
    let value = constant(expr)?;
    Some(match (value, &expr.ty.data) {
        (Value::Decimal(v), DataType::Decimal { scale, .. }) => {
            Value::Float(*v as f64 / 10f64.powi(i32::from(*scale)))
        }
        (value, _) => value.clone(),
    })
}
