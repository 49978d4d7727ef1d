//! Calls with OVER as written: windows resolved, arguments typed over the rows of a SELECT. Each
//! call stands as a column past `FIRST_OVER`, wherever it is in SELECT, QUALIFY or ORDER BY, until
//! `windowed` has made the columns that it stands for.

use flow_ir::expr::Expr;
use flow_ir::physical::{Direction, Numbering};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::aggregates;

use super::Checker;
use super::aggregate::AggregateExpr;
use super::expr::{ExprCx, same};
use super::frame::FrameExpr;
use super::literal::constant;
use super::order::direction;
use super::window_rows::flat;
use crate::diagnostics::{aggregates as problems, names, plans, types};
use crate::syntax::ast::{Call, NamedWindow, NullTreatment, OrderItem, Over, WindowSpec};

/// Columns from here on stand for calls of OVER; those before stand for subqueries.
pub(super) const FIRST_OVER: usize = 1 << 40;

/// A call over the columns of a SELECT's rows.
#[derive(Clone, Debug)]
pub(super) struct OverExpr {
    pub function: OverKind,
    pub partition: Vec<Expr>,
    pub order: Vec<(Expr, Direction)>,
    pub frame: FrameExpr,
    pub ty: Type,
    pub span: Span,
}

/// What is computed.
#[derive(Clone, Debug)]
pub(super) enum OverKind {
    Number(Numbering),
    PercentRank,
    CumeDist,
    Ntile(u64),
    Shift { arg: Expr, by: i64, default: Option<Expr>, ignore_nulls: bool },
    Nth { arg: Expr, nth: u64, from_last: bool, ignore_nulls: bool },
    Aggregate(AggregateExpr),
}

impl OverExpr {
    /// All expressions, to be put over other columns.
    pub(super) fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let mut all: Vec<&mut Expr> = self.partition.iter_mut().collect();
        all.extend(self.order.iter_mut().map(|(expr, _)| expr));
        all.extend(self.frame.exprs_mut());
        match &mut self.function {
            OverKind::Number(_)
            | OverKind::PercentRank
            | OverKind::CumeDist
            | OverKind::Ntile(_) => {}
            OverKind::Shift { arg, default, .. } => all.extend([arg].into_iter().chain(default)),
            OverKind::Nth { arg, .. } => all.push(arg),
            OverKind::Aggregate(call) => all.extend(call.exprs_mut()),
        }
        all
    }

    /// Whether two calls give the same values.
    fn same_as(&self, other: &Self) -> bool {
        let (mut a, mut b) = (self.clone(), other.clone());
        let (a_exprs, b_exprs) = (a.exprs_mut(), b.exprs_mut());
        let equal =
            a_exprs.len() == b_exprs.len() && a_exprs.iter().zip(&b_exprs).all(|(a, b)| same(a, b));
        equal && self.shape() == other.shape()
    }

    /// What it is, its expressions apart.
    fn shape(&self) -> String {
        let directions: Vec<Direction> = self.order.iter().map(|(_, d)| *d).collect();
        let function = match &self.function {
            OverKind::Number(numbering) => numbering.name().to_string(),
            OverKind::PercentRank => String::from("PERCENT_RANK"),
            OverKind::CumeDist => String::from("CUME_DIST"),
            OverKind::Ntile(buckets) => format!("NTILE {buckets}"),
            OverKind::Shift { by, default, ignore_nulls, .. } => {
                format!("SHIFT {by} {} {ignore_nulls}", default.is_some())
            }
            OverKind::Nth { nth, from_last, ignore_nulls, .. } => {
                format!("NTH {nth} {from_last} {ignore_nulls}")
            }
            OverKind::Aggregate(call) => call.shape(),
        };
        format!("{function} {} {directions:?} {}", self.partition.len(), self.frame.shape())
    }
}

impl Checker<'_> {
    /// A call with OVER.
    pub(super) fn over_call(
        &mut self,
        call: &Call,
        over: &Over,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let name = call.name.last().text.to_uppercase();
        if cx.overs.is_none() {
            return self.report(problems::over_not_allowed_here(&name, cx.place, span));
        }
        let spec = self.window_of(over, cx.windows)?;
        let mut inner = ExprCx {
            aggregates: cx.aggregates.as_deref_mut(),
            group_window: cx.group_window,
            aliases: cx.aliases,
            ..ExprCx::rows(cx.scope, "OVER")
        };
        let partition = self.exprs(&spec.partition_by, &mut inner);
        let mut order = self.sort_exprs(&spec.order_by, &mut inner)?;
        let partition = flat(partition?);
        let frame = self.frame(spec.frame.as_ref(), &mut order, &mut inner)?;
        let (function, ty) = self.over_function(&name, call, span, &mut inner)?;
        if spec.frame.is_some() && matches!(function, OverKind::Number(_)) {
            let at = spec.frame.as_ref().map_or(span, |frame| frame.span);
            return self.report(problems::modifier_not_taken(&name, "a frame", at));
        }
        let over = OverExpr { function, partition, order, frame, ty: ty.clone(), span };
        let calls = cx.overs.as_deref_mut()?;
        let at = calls.iter().position(|known| known.same_as(&over)).unwrap_or(calls.len());
        if at == calls.len() {
            calls.push(over);
        }
        Some(Expr::column(FIRST_OVER + at, ty, span))
    }

    fn sort_exprs(
        &mut self,
        items: &[OrderItem],
        cx: &mut ExprCx<'_>,
    ) -> Option<Vec<(Expr, Direction)>> {
        let typed: Vec<Option<Expr>> = items.iter().map(|o| self.expr(&o.expr, cx)).collect();
        let typed = typed.into_iter().collect::<Option<Vec<Expr>>>()?;
        Some(typed.into_iter().zip(items.iter().map(direction)).collect())
    }

    /// The window that OVER names or writes, with what it builds on put in.
    fn window_of(&mut self, over: &Over, windows: &[NamedWindow]) -> Option<WindowSpec> {
        match over {
            Over::Spec(spec) => self.whole_window_spec(spec, windows),
            Over::Named(name) => {
                let at = windows.iter().position(|w| w.name.text == name.text);
                let blind = |w: &NamedWindow| w.name.text.eq_ignore_ascii_case(&name.text);
                match at.or_else(|| windows.iter().position(blind)) {
                    // A window builds on those before it.
                    Some(at) => self.whole_window_spec(&windows[at].spec, &windows[..at]),
                    None => {
                        let known: Vec<String> =
                            windows.iter().map(|w| w.name.text.clone()).collect();
                        self.report(names::unknown_alias(&name.text, name.span, &known))
                    }
                }
            }
        }
    }

    fn whole_window_spec(
        &mut self,
        spec: &WindowSpec,
        windows: &[NamedWindow],
    ) -> Option<WindowSpec> {
        let Some(base) = &spec.base else { return Some(spec.clone()) };
        let of = self.window_of(&Over::Named(base.clone()), windows)?;
        let wrong = if !spec.partition_by.is_empty() {
            Some("PARTITION BY")
        } else if !spec.order_by.is_empty() && !of.order_by.is_empty() {
            Some("another ORDER BY")
        } else if of.frame.is_some() {
            Some("more, since it has a frame,")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let name = format!("window {base}");
            return self.report(problems::modifier_not_taken(&name, wrong, spec.span));
        }
        let order_by = if of.order_by.is_empty() { &spec.order_by } else { &of.order_by };
        Some(WindowSpec {
            base: None,
            partition_by: of.partition_by.clone(),
            order_by: order_by.clone(),
            frame: spec.frame.clone(),
            span: spec.span,
        })
    }

    fn over_function(
        &mut self,
        name: &str,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<(OverKind, Type)> {
        let bigint = Type::not_null(DataType::BigInt);
        let double = Type::not_null(DataType::Double);
        let simple = match name {
            "ROW_NUMBER" => (OverKind::Number(Numbering::RowNumber), bigint),
            "RANK" => (OverKind::Number(Numbering::Rank), bigint),
            "DENSE_RANK" => (OverKind::Number(Numbering::DenseRank), bigint),
            "PERCENT_RANK" => (OverKind::PercentRank, double),
            "CUME_DIST" => (OverKind::CumeDist, double),
            "NTILE" | "LAG" | "LEAD" | "FIRST_VALUE" | "LAST_VALUE" | "NTH_VALUE" => {
                self.plain_call(name, call, name != "NTILE", span)?;
                return self.value_function(name, call, span, cx);
            }
            _ => return self.aggregate_over(name, call, span, cx),
        };
        self.plain_call(name, call, false, span)?;
        match call.args.is_empty() {
            true => Some(simple),
            false => {
                let takes = [format!("{name}()")];
                self.report(types::wrong_arguments(name, &[], &takes, span, None))
            }
        }
    }

    /// Refuses what only aggregates take.
    fn plain_call(&mut self, name: &str, call: &Call, nulls: bool, span: Span) -> Option<()> {
        let modifier = if call.distinct {
            "DISTINCT"
        } else if call.filter.is_some() {
            "FILTER"
        } else if !call.order_by.is_empty() || !call.within_group.is_empty() {
            "ORDER BY"
        } else if call.nulls.is_some() && !nulls {
            "IGNORE NULLS"
        } else {
            return Some(());
        };
        self.report(problems::modifier_not_taken(name, modifier, span))
    }

    /// NTILE and the functions that give a value of another row.
    fn value_function(
        &mut self,
        name: &str,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<(OverKind, Type)> {
        let args: Vec<Option<Expr>> =
            call.args.iter().map(|arg| self.argument(name, arg, cx)).collect();
        let mut args = args.into_iter().collect::<Option<Vec<Expr>>>()?.into_iter();
        let (first, second, third) = (args.next(), args.next(), args.next());
        let counts = match name {
            "NTILE" | "FIRST_VALUE" | "LAST_VALUE" => 1..=1,
            "NTH_VALUE" => 2..=2,
            _ => 1..=3,
        };
        let Some(arg) = first.filter(|_| counts.contains(&call.args.len())) else {
            let takes = [match name {
                "NTILE" => String::from("NTILE(buckets)"),
                "NTH_VALUE" => String::from("NTH_VALUE(value, n)"),
                "FIRST_VALUE" | "LAST_VALUE" => format!("{name}(value)"),
                _ => format!("{name}(value, distance, default)"),
            }];
            return self.report(types::wrong_arguments(name, &[], &takes, span, None));
        };
        let ignore_nulls = call.nulls == Some(NullTreatment::Ignore);
        if name == "NTILE" {
            let buckets = self.positive("the number of buckets", &arg, 1)?;
            return Some((OverKind::Ntile(buckets), Type::not_null(DataType::BigInt)));
        }
        let ty = arg.ty.with_nullable(true);
        let from_last = name == "LAST_VALUE";
        if !matches!(name, "LAG" | "LEAD") {
            let nth = match &second {
                Some(nth) => self.positive("the number of the row", nth, 1)?,
                None => 1,
            };
            return Some((OverKind::Nth { arg, nth, from_last, ignore_nulls }, ty));
        }
        let by = match &second {
            Some(by) => self.positive("the distance", by, 0)?,
            None => 1,
        };
        let by = i64::try_from(by).unwrap_or(i64::MAX);
        let by = if name == "LAG" { -by } else { by };
        let Some(default) = third else {
            return Some((OverKind::Shift { arg, by, default: None, ignore_nulls }, ty));
        };
        let mut both = self.unify(vec![arg, default], name, span)?.into_iter();
        let (arg, default) = both.next().zip(both.next())?;
        let ty = arg.ty.with_nullable(arg.ty.nullable || default.ty.nullable);
        let default = Some(default);
        Some((OverKind::Shift { arg, by, default, ignore_nulls }, ty))
    }

    /// A whole number, at least so large, that is a constant.
    fn positive(&mut self, what: &str, expr: &Expr, least: u64) -> Option<u64> {
        let number = match constant(expr) {
            Some(Value::Int(number)) => u64::try_from(*number).ok(),
            Some(_) | None => None,
        };
        match number.filter(|number| *number >= least) {
            Some(number) => Some(number),
            None => {
                let what = format!("{what}, {least} or more,");
                self.report(types::not_constant(&what, expr.span))
            }
        }
    }

    fn aggregate_over(
        &mut self,
        name: &str,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<(OverKind, Type)> {
        if aggregates::lookup(name).is_none() {
            return self.report(plans::not_available(&format!("{name} OVER (…)"), span, None));
        }
        let mut calls = Vec::new();
        let mut outer = ExprCx {
            aggregates: Some(&mut calls),
            inner_aggregates: cx.aggregates.as_deref_mut(),
            group_window: cx.group_window,
            ..ExprCx::rows(cx.scope, "OVER")
        };
        self.aggregate_call(call, span, &mut outer)?;
        let call = calls.pop()?;
        let ty = call.ty.clone();
        Some((OverKind::Aggregate(call), ty))
    }
}
