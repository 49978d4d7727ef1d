//! How time is cut into windows: pure functions from a time to window ends.
//!
//! Times and lengths are microseconds. A window is `[start, end)` and is named by its end, which
//! says its start. A slice is a piece of time that belongs to the same windows: for TUMBLE the
//! window itself, for HOP as long as the greatest common divisor of size and slide, for CUMULATE a
//! step; it too is named by its end. Sessions depend on rows, and have neither slices nor a place
//! here.
//!
//! What always holds: starts align to 1970-01-01 plus the offset, before it too; a time has at
//! least one window, but between those of a HOP that are further apart than they are long; a bound
//! that does not fit 64 bits is the nearest that does.

#[cfg(test)]
mod tests;

use flow_ir::aggregate::WindowSpec;
use flow_ir::physical::LateRule;

/// Windows that one row may belong to, at most.
pub const WINDOWS_PER_ROW_MAX: i64 = 100_000;

/// Lengths at most, microseconds: 73,000 years.
const LENGTH_MAX: i64 = 1 << 61;

/// Checks that windows can be computed with; the other functions rely on it.
///
/// # Errors
/// What is wrong, for a message.
pub fn check(spec: WindowSpec) -> Result<(), String> {
    let lengths = match spec {
        WindowSpec::Tumble { size, .. } => [("size", size), ("size", size)],
        WindowSpec::Hop { size, slide, .. } => [("size", size), ("slide", slide)],
        WindowSpec::Cumulate { size, step, .. } => [("size", size), ("step", step)],
        WindowSpec::Session { .. } => return Err("sessions are not cut by time alone".into()),
    };
    lengths.into_iter().try_for_each(|(name, length)| check_length(name, length))?;
    if let WindowSpec::Cumulate { size, step, .. } = spec
        && size % step != 0
    {
        return Err("the size of CUMULATE must be a multiple of its step".into());
    }
    if spec.size() / spec.period() >= WINDOWS_PER_ROW_MAX {
        return Err(format!("a row would belong to over {WINDOWS_PER_ROW_MAX} windows"));
    }
    Ok(())
}

/// Checks one length of a window: a session's gap too.
///
/// # Errors
/// What is wrong, for a message.
pub fn check_length(name: &str, length: i64) -> Result<(), String> {
    match length {
        ..=0 => Err(format!("a window's {name} must be positive")),
        LENGTH_MAX.. => Err(format!("a window's {name} is too long")),
        _ => Ok(()),
    }
}

/// How far `time` lies behind the last number that is `phase` plus a multiple of `period`.
fn past(time: i64, phase: i64, period: i64) -> i64 {
    let past = time.rem_euclid(period) - phase.rem_euclid(period);
    if past < 0 { past + period } else { past }
}

/// How far the next such number is, at `time` or after it.
fn ahead(time: i64, phase: i64, period: i64) -> i64 {
    match past(time, phase, period) {
        0 => 0,
        past => period - past,
    }
}

/// The end of the slice that holds `ts`.
pub fn slice_end(ts: i64, spec: WindowSpec) -> i64 {
    let slice = spec.slice();
    ts.saturating_add(slice - past(ts, spec.offset(), slice))
}

/// Start of the window that ends at `end`.
pub fn start(end: i64, spec: WindowSpec) -> i64 {
    match spec {
        WindowSpec::Cumulate { size, offset, .. } => {
            let last = end.saturating_sub(1);
            last.saturating_sub(past(last, offset, size))
        }
        WindowSpec::Tumble { .. } | WindowSpec::Hop { .. } | WindowSpec::Session { .. } => {
            end.saturating_sub(spec.size())
        }
    }
}

/// What ends leave when divided by the period.
fn phase_of_ends(spec: WindowSpec) -> i64 {
    let period = spec.period();
    spec.offset().rem_euclid(period) + spec.size() % period
}

/// The end of the first window of the slice that ends at `slice_end`. In a slice without windows it
/// lies behind the `last_end`.
pub fn first_end(slice_end: i64, spec: WindowSpec) -> i64 {
    match spec {
        WindowSpec::Hop { size, slide, .. } if size % slide != 0 => {
            slice_end.saturating_add(ahead(slice_end, phase_of_ends(spec), slide))
        }
        WindowSpec::Tumble { .. }
        | WindowSpec::Hop { .. }
        | WindowSpec::Cumulate { .. }
        | WindowSpec::Session { .. } => slice_end,
    }
}

/// The end of the last window of the slice that ends at `slice_end`.
pub fn last_end(slice_end: i64, spec: WindowSpec) -> i64 {
    if slice_end == i64::MAX {
        return slice_end;
    }
    match spec {
        WindowSpec::Tumble { .. } | WindowSpec::Session { .. } => slice_end,
        WindowSpec::Hop { size, slide, .. } if size % slide == 0 => {
            slice_end.saturating_add(size - slide)
        }
        WindowSpec::Hop { size, slide, .. } => {
            let latest = i128::from(slice_end) + i128::from(size - spec.slice());
            let past = (latest - i128::from(phase_of_ends(spec))).rem_euclid(slide.into());
            (latest - past).clamp(i64::MIN.into(), i64::MAX.into()) as i64
        }
        WindowSpec::Cumulate { size, offset, .. } => {
            slice_end.saturating_add(ahead(slice_end, offset, size))
        }
    }
}

/// Ends of the windows of a slice from `first` (one of them) on, ascending, each once.
pub fn ends_from(slice_end: i64, first: i64, spec: WindowSpec) -> impl Iterator<Item = i64> {
    let (period, last) = (spec.period(), last_end(slice_end, spec));
    std::iter::successors((first <= last).then_some(first), move |end| {
        let next = end.saturating_add(period);
        (*end < last).then_some(next.min(last))
    })
}

/// Ends of all windows that hold `ts`, ascending.
pub fn ends(ts: i64, spec: WindowSpec) -> impl Iterator<Item = i64> {
    let slice = slice_end(ts, spec);
    ends_from(slice, first_end(slice, spec), spec)
}

/// The first window of a slice that is open under the watermark `w`: whose end + lateness > w.
/// `None`: all of them are closed, or there is none. `w` = `i64::MIN` is no watermark yet.
pub fn first_open_end(slice_end: i64, w: i64, lateness: i64, spec: WindowSpec) -> Option<i64> {
    let (first, last) = (first_end(slice_end, spec), last_end(slice_end, spec));
    if first > last {
        return None;
    }
    let closed = w.saturating_sub(lateness);
    if w == i64::MIN || first > closed {
        return Some(first);
    }
    if last <= closed {
        return None;
    }
    let period = i128::from(spec.period());
    let behind = (i128::from(closed) - i128::from(first)) / period + 1;
    let open = i128::from(first) + behind * period;
    Some(i64::try_from(open).map_or(last, |open| open.min(last)))
}

/// Whether a row with time `ts` is late under its partition's watermark `w`. A row without windows
/// is never late.
pub fn is_late(ts: i64, w: i64, rule: LateRule) -> bool {
    match rule {
        LateRule::Windows { window, lateness } => {
            let slice = slice_end(ts, window);
            first_open_end(slice, w, lateness, window).is_none()
                && first_end(slice, window) <= last_end(slice, window)
        }
        LateRule::Sessions { lateness } | LateRule::SessionChanges { lateness, .. } => {
            ts.saturating_add(lateness) < w
        }
        LateRule::Rows => ts < w,
    }
}
