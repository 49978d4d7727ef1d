//! The session time zone: what reads a TIMESTAMP_LTZ as a date and a time of day, or makes one of
//! these, goes by `time.zone`. Expressions are written in UTC, as the standard library means them;
//! where another zone is set they are rewritten here, once, by `AT TIME ZONE`.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::logical::{Plan, PlanNode};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::builtin::lookup;
use flow_stdlib::signature::{Class, Pattern, Returns};

use super::cast_to;

const UTC: &str = "UTC";

/// What takes a TIMESTAMP_LTZ for the instant that it is.
const OF_INSTANTS: &[&str] =
    &["+", "-", "EPOCH", "EPOCH_MICROS", "EPOCH_MILLIS", "TIME_SERIES", "UNIX_TIMESTAMP"];

/// What counts units, which it takes first: those of less than a day are time that passes.
const COUNTING: &[&str] =
    &["DATEADD", "DATEDIFF", "DATESUB", "DATE_DIFF", "TIMESTAMPADD", "TIMESTAMPDIFF"];

/// The units of less than a day.
const SHORT_UNITS: &[&str] = &["HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND"];

/// Rewrites all expressions of a plan.
pub(super) fn in_zone(plan: &mut Plan, zone: &str) {
    if zone == UTC {
        return;
    }
    let zone = Zone(zone);
    for id in plan.order() {
        for expr in plan.nodes[id.index()].op.exprs_mut() {
            expr.rewrite(&mut |e| zone.rewrite(e));
        }
    }
}

struct Zone<'a>(&'a str);

impl Zone<'_> {
    /// Rewrites an expression whose operands are rewritten.
    fn rewrite(&self, expr: &mut Expr) {
        let rewritten = match &expr.kind {
            ExprKind::Cast { arg, lenient } => self.cast(arg, &expr.ty, *lenient),
            ExprKind::Call { function, overload, args } => {
                self.call(function, *overload, args, expr)
            }
            ExprKind::Column(_)
            | ExprKind::Literal(_)
            | ExprKind::Case { .. }
            | ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Not(_)
            | ExprKind::IsNull(_)
            | ExprKind::Field { .. }
            | ExprKind::Row(_)
            | ExprKind::Array(_)
            | ExprKind::Param(_)
            | ExprKind::Each { .. }
            | ExprKind::Clock => None,
        };
        if let Some(rewritten) = rewritten {
            *expr = cast_to(rewritten, &expr.ty);
        }
    }

    /// A conversion between an instant and a date, a time of day, or a text.
    fn cast(&self, arg: &Expr, to: &Type, lenient: bool) -> Option<Expr> {
        let conversion = |arg: Expr, data: DataType| {
            let ty = Type { data, nullable: to.nullable };
            let span = arg.span;
            Expr { kind: ExprKind::Cast { arg: Box::new(arg), lenient }, ty, span }
        };
        let precision = 6;
        match (&arg.ty.data, &to.data) {
            (
                DataType::TimestampLtz { .. },
                DataType::String
                | DataType::Date
                | DataType::Time { .. }
                | DataType::Timestamp { .. },
            ) => Some(conversion(self.at_zone(arg.clone()), to.data.clone())),
            (DataType::Timestamp { .. } | DataType::Date, DataType::TimestampLtz { .. }) => {
                Some(self.at_zone(conversion(arg.clone(), DataType::Timestamp { precision })))
            }
            (DataType::String, DataType::TimestampLtz { .. }) if !lenient => {
                Some(self.with_zone("TO_INSTANT", vec![arg.clone()], arg.span))
            }
            (DataType::String, DataType::TimestampLtz { .. }) => {
                // Its text is looked at twice: NULL where it is none.
                let read = self.with_zone("TO_INSTANT", vec![arg.clone()], arg.span);
                let is_none = conversion(arg.clone(), to.data.clone());
                let ty = Type::not_null(DataType::Boolean);
                let is_none = Expr { kind: ExprKind::IsNull(is_none.into()), ty, span: arg.span };
                let null = Expr::literal(Value::Null, read.ty.with_nullable(true), arg.span);
                let ty = null.ty.clone();
                let branches = vec![(is_none, null)];
                let kind = ExprKind::Case { branches, otherwise: Some(read.into()) };
                Some(Expr { kind, ty, span: arg.span })
            }
            _ => None,
        }
    }

    fn call(&self, function: &str, overload: u16, args: &[Expr], expr: &Expr) -> Option<Expr> {
        let builtin = lookup(function)?;
        let clock = Expr { kind: ExprKind::Clock, ty: clock_type(), span: expr.span };
        match (builtin.name, args) {
            ("CURRENT_DATE" | "CURRENT_TIME" | "LOCALTIMESTAMP", _) => {
                return Some(self.at_zone(clock));
            }
            ("TO_TIMESTAMP_LTZ", [text]) if is_text(text) => {
                return Some(self.with_zone("TO_INSTANT", vec![text.clone()], expr.span));
            }
            ("TO_TIMESTAMP_LTZ", [text, pattern]) if is_text(text) => {
                let args = vec![text.clone(), pattern.clone()];
                return Some(self.with_zone("TO_TIMESTAMP_LTZ", args, expr.span));
            }
            ("FROM_UNIXTIME", [seconds, pattern @ ..]) => {
                let shown = Value::String("yyyy-MM-dd HH:mm:ss".into());
                let pattern = pattern.first().cloned().unwrap_or_else(|| text(shown, expr.span));
                let instant = call("TO_TIMESTAMP_LTZ", vec![seconds.clone(), zero(expr.span)]);
                return Some(call("DATE_FORMAT", vec![self.at_zone(instant), pattern]));
            }
            ("UNIX_TIMESTAMP", [text, pattern @ ..]) if is_text(text) => {
                let local = call("TO_TIMESTAMP", [&[text.clone()], pattern].concat());
                return Some(call("EPOCH", vec![self.at_zone(local)]));
            }
            _ => {}
        }
        let of_unit = |units: &[&str]| args.first().is_some_and(|unit| is_one_of(unit, units));
        let exact = OF_INSTANTS.contains(&builtin.name)
            || builtin.name == "EXTRACT" && of_unit(&["EPOCH"])
            || COUNTING.contains(&builtin.name) && of_unit(SHORT_UNITS);
        let signature = builtin.overloads.get(usize::from(overload)).filter(|_| !exact)?;
        let is_either = |pattern: &Pattern| matches!(pattern, Pattern::Var(_, Class::Instant));
        let reads = |(pattern, arg): (&Pattern, &Expr)| is_either(pattern) && is_instant(&arg.ty);
        if !signature.params.iter().zip(args).any(reads) {
            return None;
        }
        let local = args.iter().zip(signature.params);
        let local = local.map(|(arg, pattern)| match reads((pattern, arg)) {
            true => self.at_zone(arg.clone()),
            false => arg.clone(),
        });
        let read = call(builtin.name, local.collect());
        let back = matches!(&signature.returns, Returns::Is(pattern) if is_either(pattern));
        Some(if back { self.at_zone(read) } else { read })
    }

    /// The local time of an instant, or the instant of a local time.
    fn at_zone(&self, time: Expr) -> Expr {
        let span = time.span;
        self.with_zone("AT TIME ZONE", vec![time], span)
    }

    /// A call whose last argument is the zone.
    fn with_zone(&self, function: &str, mut args: Vec<Expr>, span: Span) -> Expr {
        args.push(text(Value::String(self.0.into()), span));
        call(function, args)
    }
}

/// Whether a constant names one of these units, in singular or plural.
fn is_one_of(unit: &Expr, units: &[&str]) -> bool {
    let ExprKind::Literal(Value::String(unit)) = &unit.kind else { return false };
    let unit = unit.trim().to_ascii_uppercase();
    let unit = unit.strip_prefix("SQL_TSI_").unwrap_or(&unit);
    units.iter().any(|name| unit == *name || unit.strip_suffix('S') == Some(name))
}

/// A call of a builtin whose arguments fit one of its overloads.
fn call(function: &str, args: Vec<Expr>) -> Expr {
    let span = args.first().map_or_else(Span::default, |first| first.span);
    let builtin = lookup(function).expect("it is a builtin");
    let types: Vec<Type> = args.iter().map(|arg| arg.ty.clone()).collect();
    let resolved = builtin.resolve(&types).expect("an overload takes a time, or a text and a zone");
    let args = args.into_iter().zip(&resolved.arg_types);
    let kind = ExprKind::Call {
        function: builtin.name.to_string(),
        overload: resolved.overload,
        args: args.map(|(arg, ty)| cast_to(arg, ty)).collect(),
    };
    Expr { kind, ty: resolved.ty, span }
}

fn text(value: Value, span: Span) -> Expr {
    Expr::literal(value, Type::not_null(DataType::String), span)
}

fn zero(span: Span) -> Expr {
    Expr::literal(Value::Int(0), Type::not_null(DataType::Int), span)
}

fn clock_type() -> Type {
    Type::not_null(DataType::TimestampLtz { precision: 6 })
}

fn is_text(expr: &Expr) -> bool {
    expr.ty.data == DataType::String
}

fn is_instant(ty: &Type) -> bool {
    matches!(ty.data, DataType::TimestampLtz { .. })
}
