//! Arithmetic with intervals, timestamps, dates and times. Months are added before microseconds,
//! and the day is cut to the month's length.

use flow_ir::kernel::ErrorCode;
use flow_ir::scalar::ArithOp;
use flow_ir::types::{DataType, TIME_MAX_PRECISION, Type};
use flow_ir::value::Value;

use crate::builder::{Operand, ScalarBuilder};
use crate::calendar::{DAY, add_interval, check_days};
use crate::host::{HostArg, HostCx, HostError, HostFn, HostOut};

/// Host functions that expansions call.
pub(super) static HELPERS: &[HostFn] = &[ADD_INTERVAL, NEG_INTERVAL];

const ADD_INTERVAL: HostFn = HostFn::strict("timestamp_add_interval", timestamp_add_interval);
const NEG_INTERVAL: HostFn = HostFn::strict("interval_neg", interval_neg);

type Done = Result<(), HostError>;

/// `instant + interval`; integer arithmetic where the interval is constant and has no months.
pub(super) fn shift(
    b: &mut ScalarBuilder,
    instant: Operand,
    interval: Operand,
    ty: &Type,
) -> Operand {
    match b.as_constant(interval) {
        Some(&Value::Interval { months: 0, micros }) => {
            let micros = b.int(micros);
            let count = b.reinterpret(instant, DataType::BigInt);
            let moved = b.arith_int(ArithOp::Add, count, micros);
            b.reinterpret(moved, ty.data.clone())
        }
        _ => b.host(&ADD_INTERVAL, &[instant, interval], ty),
    }
}

/// `instant - interval`.
pub(super) fn instant_minus(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    let negated = negate(b, args[1]);
    shift(b, args[0], negated, ty)
}

fn negate(b: &mut ScalarBuilder, interval: Operand) -> Operand {
    let ty = b.ty(interval).clone();
    if let Some(&Value::Interval { months, micros }) = b.as_constant(interval)
        && let (Some(months), Some(micros)) = (months.checked_neg(), micros.checked_neg())
    {
        return b.constant(Value::Interval { months, micros }, ty);
    }
    b.host(&NEG_INTERVAL, &[interval], &ty)
}

/// The type of a date that is moved: DATE if the interval is known to be of whole days.
pub(super) fn moved_date(_: &[Type], literals: &[Option<&Value>]) -> DataType {
    let whole = |v: &Value| matches!(v, Value::Interval { micros, .. } if micros % DAY == 0);
    if literals.iter().flatten().any(|v| whole(v)) {
        DataType::Date
    } else {
        DataType::Timestamp { precision: TIME_MAX_PRECISION }
    }
}

/// `date + interval`, by way of the timestamp at midnight.
pub(super) fn date_plus(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    let nullable = b.any_nullable(args);
    let data = DataType::Timestamp { precision: TIME_MAX_PRECISION };
    let instant = Type { data, nullable };
    let midnight = b.cast(args[0], &instant);
    let moved = shift(b, midnight, args[1], &instant);
    b.cast(moved, ty)
}

/// `interval + date`.
pub(super) fn date_plus_swapped(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    date_plus(b, &[args[1], args[0]], ty)
}

/// `date - interval`.
pub(super) fn date_minus(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    let negated = negate(b, args[1]);
    date_plus(b, &[args[0], negated], ty)
}

fn timestamp_add_interval(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (months, micros) = args[1].interval();
    out.i64(add_interval(args[0].i64(), months, micros)?);
    Ok(())
}

fn interval_neg(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (months, micros) = args[0].interval();
    put(out, months.checked_neg(), micros.checked_neg())
}

fn put(out: &mut HostOut<'_>, months: Option<i64>, micros: Option<i64>) -> Done {
    match (months, micros) {
        (Some(months), Some(micros)) => {
            out.interval(months, micros);
            Ok(())
        }
        _ => Err(HostError::overflow()),
    }
}

/// INTERVAL + INTERVAL.
pub(super) fn interval_add(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let ((a, b), (c, d)) = (args[0].interval(), args[1].interval());
    put(out, a.checked_add(c), b.checked_add(d))
}

/// INTERVAL − INTERVAL.
pub(super) fn interval_sub(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let ((a, b), (c, d)) = (args[0].interval(), args[1].interval());
    put(out, a.checked_sub(c), b.checked_sub(d))
}

/// INTERVAL × BIGINT.
pub(super) fn interval_mul(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let ((months, micros), by) = (args[0].interval(), args[1].i64());
    put(out, months.checked_mul(by), micros.checked_mul(by))
}

/// BIGINT × INTERVAL.
pub(super) fn mul_interval(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    interval_mul(cx, &[args[1], args[0]], out)
}

/// INTERVAL × DOUBLE: a part of a month is of 30 days, as in Postgres.
pub(super) fn interval_scale(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    scaled(args[0].interval(), args[1].f64(), out)
}

/// DOUBLE × INTERVAL.
pub(super) fn scale_interval(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    interval_scale(cx, &[args[1], args[0]], out)
}

/// INTERVAL ÷ DOUBLE, likewise.
pub(super) fn interval_part(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let by = args[1].f64();
    if by == 0.0 {
        return Err(ErrorCode::DivisionByZero.into());
    }
    scaled(args[0].interval(), by.recip(), out)
}

fn scaled((months, micros): (i64, i64), by: f64, out: &mut HostOut<'_>) -> Done {
    let all = months as f64 * by;
    let days = (all - all.trunc()) * 30.0 * DAY as f64;
    let whole = |number: f64| (number.abs() < i64::MAX as f64).then(|| number.round() as i64);
    put(out, whole(all.trunc()), whole(micros as f64 * by + days))
}

/// INTERVAL ÷ BIGINT, both parts cut toward zero.
pub(super) fn interval_div(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let ((months, micros), by) = (args[0].interval(), args[1].i64());
    if by == 0 {
        return Err(ErrorCode::DivisionByZero.into());
    }
    put(out, months.checked_div(by), micros.checked_div(by))
}

/// The time between two timestamps or two times.
pub(super) fn timestamp_diff(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    put(out, Some(0), args[0].i64().checked_sub(args[1].i64()))
}

/// The time between two dates.
pub(super) fn date_diff(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    put(out, Some(0), (args[0].i64() - args[1].i64()).checked_mul(DAY))
}

/// TIME + INTERVAL, around midnight.
pub(super) fn time_add(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (_, micros) = args[1].interval();
    out.i64((args[0].i64() % DAY + micros % DAY).rem_euclid(DAY));
    Ok(())
}

/// TIME − INTERVAL, around midnight.
pub(super) fn time_sub(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (_, micros) = args[1].interval();
    out.i64((args[0].i64() % DAY - micros % DAY).rem_euclid(DAY));
    Ok(())
}

/// DATE + days.
pub(super) fn date_add_days(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(check_days(args[0].i64() + args[1].i64())?);
    Ok(())
}

/// DATE − days.
pub(super) fn date_sub_days(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(check_days(args[0].i64() - args[1].i64())?);
    Ok(())
}
