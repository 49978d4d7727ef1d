//! Times read from text, in ISO form or by a Java pattern.

use flow_ir::kernel::ErrorCode;

use super::time_format::read_in_zone;
use super::time_pattern::TimePattern;
use crate::calendar::{check_days, split_micros};
use crate::host::{HostArg, HostCx, HostError, HostOut};
use crate::text;

type Done = Result<(), HostError>;

/// The timestamp in the first argument, by the pattern in the second or in ISO form.
pub(super) fn read(cx: &mut HostCx, args: &[HostArg<'_>]) -> Result<i64, HostError> {
    let text = args[0].str();
    let read = match args.get(1) {
        Some(pattern) => cx.cached(pattern.bytes(), TimePattern::read_as)?.read(text.trim()),
        None => text::parse_timestamp(text),
    };
    read.ok_or_else(|| unread(text))
}

/// A text is no timestamp, or not of the pattern.
pub(super) fn unread(text: &str) -> HostError {
    let shown: String = text.chars().take(64).collect();
    HostError::bad_cast(format!("'{shown}' is no such timestamp"))
}

pub(super) fn to_timestamp(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let micros = read(cx, args);
    put_if_any(micros, out)
}

pub(super) fn to_timestamp_of(
    cx: &mut HostCx,
    args: &[HostArg<'_>],
    out: &mut HostOut<'_>,
) -> Done {
    let micros = read_in_zone(cx, args);
    put_if_any(micros, out)
}

pub(super) fn to_date(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let days = match args.get(1) {
        None => text::parse_date(args[0].str()).map(i64::from),
        Some(_) => None,
    };
    let of_time = |micros: i64| Ok(check_days(split_micros(micros).0)?);
    let days = days.map_or_else(|| read(cx, args).and_then(of_time), Ok);
    put_if_any(days, out)
}

/// What was read; NULL of a text that is no such time. A pattern that is none is still a mistake.
fn put_if_any(read: Result<i64, HostError>, out: &mut HostOut<'_>) -> Done {
    match read {
        Ok(value) => out.i64(value),
        Err(HostError { code: ErrorCode::BadCast, .. }) => out.null(),
        Err(error) => return Err(error),
    }
    Ok(())
}
