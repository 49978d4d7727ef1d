//! Bounds on time in join conditions: which conjuncts say that both sides' rows are of the same
//! window, or that the event times of both sides lie within a constant distance. Both sides are
//! moved to the form `right time − left time (≥ | > | ≤ | < | =) constant`; a strict bound is moved
//! by a microsecond.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::logical::JoinClass;
use flow_ir::span::Span;

use super::literal::constant_interval;
use super::typed::{Bound as WindowEnd, Column, WindowBound, end_of};

/// What the conditions say about time.
pub(super) enum Found {
    /// Both bounds; the conditions that are left.
    Between(JoinClass, Vec<Expr>),
    /// No pair of event times has both bounds.
    Nothing,
    /// The bounds exclude each other; where.
    Empty(Span),
}

/// One bound on a pair of event times.
#[derive(Clone, Copy)]
struct Bound {
    pair: (usize, usize),
    lower: Option<i64>,
    upper: Option<i64>,
    /// An equality of the columns themselves, which is a key of the join too.
    is_key: bool,
}

/// Looks for windows that are the same, else for the first pair of event times, left and right,
/// that is bounded on both ends.
pub(super) fn find(conditions: &[Expr], left: &[Column], right: &[Column]) -> Found {
    if let Some(time) = same_windows(conditions, left, right) {
        return Found::Between(time, conditions.to_vec());
    }
    let bounds: Vec<Option<Bound>> = conditions.iter().map(|c| bound_of(c, left, right)).collect();
    let both = |pair: (usize, usize)| {
        let of = bounds.iter().flatten().filter(move |b| b.pair == pair);
        let lower = of.clone().filter_map(|b| b.lower).max();
        let upper = of.filter_map(|b| b.upper).min();
        lower.zip(upper).map(|(lower, upper)| (pair, lower, upper))
    };
    let found = bounds.iter().flatten().find_map(|b| both(b.pair));
    let Some((pair, lower, upper)) = found else { return Found::Nothing };
    let says = |b: &Option<Bound>| b.is_some_and(|b| b.pair == pair);
    if lower > upper {
        let at = conditions.iter().zip(&bounds).filter(|(_, b)| says(b)).map(|(c, _)| c.span);
        return Found::Empty(at.reduce(Span::to).unwrap_or_default());
    }
    let is_said = |b: &Option<Bound>| says(b) && !b.is_some_and(|b| b.is_key);
    let rest = conditions.iter().zip(&bounds).filter(|(_, b)| !is_said(b));
    let rest = rest.map(|(c, _)| c.clone()).collect();
    let (left_time, right_time) = pair;
    Found::Between(JoinClass::Interval { left_time, right_time, lower, upper }, rest)
}

/// Whether the conditions say that both rows are of the same window: that its start and its end are
/// equal, or one of them where it says the other.
fn same_windows(conditions: &[Expr], left: &[Column], right: &[Column]) -> Option<JoinClass> {
    let pairs: Vec<(WindowBound, WindowBound)> =
        conditions.iter().filter_map(|c| equal_bounds(c, left, right)).collect();
    pairs.iter().find_map(|&(l, r)| {
        let says = |which: &[WindowEnd]| {
            let of = pairs.iter().filter(|p| (p.0.origin, p.1.origin) == (l.origin, r.origin));
            of.into_iter().any(|p| which.contains(&p.0.bound))
        };
        let start = says(&[WindowEnd::Start]);
        let end = says(&[WindowEnd::End, WindowEnd::Time]);
        let [end_says, start_says] = l.spec.bounds_say_each_other();
        let whole = (start && end) || (end && end_says) || (start && start_says);
        let (left_end, right_end) = (end_of(l, left)?, end_of(r, right)?);
        let by_clock = l.by_clock;
        whole.then_some(JoinClass::Window { left_end, right_end, by_clock })
    })
}

/// The bounds, of windows that are cut alike, that a condition says are equal.
fn equal_bounds(
    condition: &Expr,
    left: &[Column],
    right: &[Column],
) -> Option<(WindowBound, WindowBound)> {
    let ExprKind::Call { function, args, .. } = &condition.kind else { return None };
    let [a, b] = args.as_slice() else { return None };
    let ((a, 0), (b, 0)) = (moved_time(a)?, moved_time(b)?) else { return None };
    let (l, r) = (a.min(b), a.max(b).checked_sub(left.len())?);
    let (l, r) = (left.get(l)?.window?, right.get(r)?.window?);
    let alike = WindowBound { origin: r.origin, ..l } == r;
    (function == "=" && alike).then_some((l, r))
}

fn bound_of(condition: &Expr, left: &[Column], right: &[Column]) -> Option<Bound> {
    let ExprKind::Call { function, args, .. } = &condition.kind else { return None };
    let [a, b] = args.as_slice() else { return None };
    let (at_a, plus_a) = moved_time(a)?;
    let (at_b, plus_b) = moved_time(b)?;
    let width = left.len();
    let is_time = |at: usize| match at.checked_sub(width) {
        None => left[at].event_time,
        Some(at) => right.get(at).is_some_and(|c| c.event_time),
    };
    if !is_time(at_a) || !is_time(at_b) {
        return None;
    }
    // `b − a OP plus_a − plus_b`, or turned round where a is the right side's.
    let (l, r, distance, op) = if at_a < width && at_b >= width {
        (at_a, at_b - width, plus_a.checked_sub(plus_b)?, turned(function)?)
    } else if at_b < width && at_a >= width {
        (at_b, at_a - width, plus_b.checked_sub(plus_a)?, function.as_str())
    } else {
        return None;
    };
    let (lower, upper) = match op {
        ">=" => (Some(distance), None),
        ">" => (Some(distance.checked_add(1)?), None),
        "<=" => (None, Some(distance)),
        "<" => (None, Some(distance.checked_sub(1)?)),
        "=" => (Some(distance), Some(distance)),
        _ => return None,
    };
    let is_key = op == "=" && plus_a == 0 && plus_b == 0;
    Some(Bound { pair: (l, r), lower, upper, is_key })
}

/// `a OP b` as `b OP' a`.
fn turned(op: &str) -> Option<&'static str> {
    Some(match op {
        ">=" => "<=",
        ">" => "<",
        "<=" => ">=",
        "<" => ">",
        "=" => "=",
        _ => return None,
    })
}

/// A column and the constant microseconds added to it.
fn moved_time(e: &Expr) -> Option<(usize, i64)> {
    if let ExprKind::Column(at) = &e.kind {
        return Some((*at, 0));
    }
    if let ExprKind::Cast { arg, lenient: false } = &e.kind {
        return if same_kind_of_time(arg, e) { moved_time(arg) } else { None };
    }
    let ExprKind::Call { function, args, .. } = &e.kind else { return None };
    let [a, b] = args.as_slice() else { return None };
    match (function.as_str(), constant_interval(a), constant_interval(b)) {
        ("+", None, Some((0, micros))) => plus(moved_time(a)?, micros),
        ("+", Some((0, micros)), None) => plus(moved_time(b)?, micros),
        ("-", None, Some((0, micros))) => plus(moved_time(a)?, micros.checked_neg()?),
        _ => None,
    }
}

fn plus((at, moved): (usize, i64), micros: i64) -> Option<(usize, i64)> {
    Some((at, moved.checked_add(micros)?))
}

/// Whether a cast only changes the precision.
fn same_kind_of_time(a: &Expr, b: &Expr) -> bool {
    use flow_ir::types::DataType::{Timestamp, TimestampLtz};
    matches!(
        (&a.ty.data, &b.ty.data),
        (Timestamp { precision: p }, Timestamp { precision: q })
            | (TimestampLtz { precision: p }, TimestampLtz { precision: q }) if p <= q
    )
}
