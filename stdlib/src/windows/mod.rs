//! How time is cut into windows: pure functions from a time to window ends.
//!
//! Times and lengths are microseconds. A window is `[end − size, end)` and is named by its end. A
//! slice is the piece of time that belongs to the same windows: for TUMBLE the window itself, for
//! HOP one slide; it too is named by its end, which is the end of its first window.
//!
//! What always holds: ends align to 1970-01-01 plus the offset, before it too; every time has at
//! least one window; a bound that does not fit 64 bits is the nearest that does.

use flow_ir::aggregate::WindowSpec;
use flow_ir::physical::LateRule;

/// Windows that one row may belong to, at most.
pub const WINDOWS_PER_ROW_MAX: i64 = 100_000;

/// Checks that a window can be computed with; the other functions rely on it.
///
/// # Errors
/// What is wrong, for a message.
pub fn check(spec: WindowSpec) -> Result<(), String> {
    let (size, slice) = (spec.size(), spec.slice());
    if size <= 0 || slice <= 0 {
        return Err("a window's size and slide must be positive".into());
    }
    if size % slice != 0 {
        return Err("a window's size must be a multiple of its slide".into());
    }
    if size / slice > WINDOWS_PER_ROW_MAX {
        return Err(format!("a row would belong to over {WINDOWS_PER_ROW_MAX} windows"));
    }
    Ok(())
}

/// The end of the slice that holds `ts`.
pub fn slice_end(ts: i64, spec: WindowSpec) -> i64 {
    let slice = spec.slice();
    let past = ts.rem_euclid(slice) - spec.offset().rem_euclid(slice);
    let past = if past < 0 { past + slice } else { past };
    ts.saturating_add(slice - past)
}

/// Start of the window that ends at `end`.
pub fn start(end: i64, spec: WindowSpec) -> i64 {
    end.saturating_sub(spec.size())
}

/// The end of the last window of the slice that ends at `slice_end`.
pub fn last_end(slice_end: i64, spec: WindowSpec) -> i64 {
    slice_end.saturating_add(spec.size() - spec.slice())
}

/// Ends of the windows of a slice from `first` (one of them) on, ascending, each once.
pub fn ends_from(slice_end: i64, first: i64, spec: WindowSpec) -> impl Iterator<Item = i64> {
    let (slice, last) = (spec.slice(), last_end(slice_end, spec));
    std::iter::successors((first <= last).then_some(first), move |end| {
        let next = end.saturating_add(slice);
        (*end < last).then_some(next.min(last))
    })
}

/// Ends of all windows that hold `ts`, ascending.
pub fn ends(ts: i64, spec: WindowSpec) -> impl Iterator<Item = i64> {
    let first = slice_end(ts, spec);
    ends_from(first, first, spec)
}

/// The first window of a slice that is open under the watermark `w`: whose end + lateness > w.
/// `None`: all of them are closed. `w` = `i64::MIN` is no watermark yet.
pub fn first_open_end(slice_end: i64, w: i64, lateness: i64, spec: WindowSpec) -> Option<i64> {
    let closed = w.saturating_sub(lateness);
    if w == i64::MIN || slice_end > closed {
        return Some(slice_end);
    }
    let last = last_end(slice_end, spec);
    if last <= closed {
        return None;
    }
    let slice = i128::from(spec.slice());
    let behind = (i128::from(closed) - i128::from(slice_end)) / slice + 1;
    let first = i128::from(slice_end) + behind * slice;
    Some(i64::try_from(first).map_or(last, |first| first.min(last)))
}

/// Whether a row with time `ts` is late under its partition's watermark `w`.
pub fn is_late(ts: i64, w: i64, rule: LateRule) -> bool {
    match rule {
        LateRule::Windows { window, lateness } => {
            first_open_end(slice_end(ts, window), w, lateness, window).is_none()
        }
        LateRule::Rows => ts < w,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn specs() -> impl Strategy<Value = WindowSpec> {
        let offset = prop_oneof![Just(0i64), -50i64..50, any::<i64>()];
        (1i64..40, 1i64..6, offset).prop_map(|(slide, n, offset)| {
            if n == 1 {
                WindowSpec::Tumble { size: slide, offset }
            } else {
                WindowSpec::Hop { size: slide * n, slide, offset }
            }
        })
    }

    fn times() -> impl Strategy<Value = i64> {
        prop_oneof![
            -500i64..500,
            any::<i64>(),
            (0i64..300).prop_map(|d| i64::MAX - d),
            (0i64..300).prop_map(|d| i64::MIN + d),
        ]
    }

    /// The ends by definition: every aligned end in (ts, ts + size].
    fn ends_by_definition(ts: i64, spec: WindowSpec) -> Vec<i128> {
        let (size, slice) = (i128::from(spec.size()), i128::from(spec.slice()));
        (i128::from(ts) + 1..=i128::from(ts) + size)
            .filter(|end| (end - i128::from(spec.offset())).rem_euclid(slice) == 0)
            .collect()
    }

    fn clamped(ends: Vec<i128>) -> Vec<i64> {
        let mut ends: Vec<i64> =
            ends.into_iter().map(|e| e.min(i128::from(i64::MAX)) as i64).collect();
        ends.dedup();
        ends
    }

    #[test]
    fn windows_before_1970_align_too() {
        let spec = WindowSpec::Tumble { size: 10, offset: 0 };
        assert_eq!(slice_end(-1, spec), 0);
        assert_eq!(slice_end(-10, spec), 0);
        assert_eq!(slice_end(-11, spec), -10);
        assert_eq!(slice_end(0, spec), 10);
        assert_eq!(slice_end(i64::MAX, spec), i64::MAX);
    }

    #[test]
    fn bad_specs_are_refused() {
        for (size, slide) in [(0, 1), (1, 0), (-5, 5), (10, 3), (i64::MAX, 1)] {
            assert!(check(WindowSpec::Hop { size, slide, offset: 0 }).is_err());
        }
        assert!(check(WindowSpec::Hop { size: 10, slide: 5, offset: 3 }).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn ends_are_the_aligned_ends_around_the_time(ts in times(), spec in specs()) {
            let expected = clamped(ends_by_definition(ts, spec));
            prop_assert_eq!(ends(ts, spec).collect::<Vec<_>>(), expected.clone());
            let slice = slice_end(ts, spec);
            prop_assert_eq!(slice, expected[0]);
            prop_assert_eq!(last_end(slice, spec), expected[expected.len() - 1]);
            for end in expected.iter().filter(|e| **e < i64::MAX) {
                prop_assert!(start(*end, spec) <= ts && ts < *end);
            }
        }

        #[test]
        fn open_windows_end_after_the_watermark(
            ts in times(), w in times(), lateness in prop_oneof![Just(0i64), 0i64..100],
            spec in specs(),
        ) {
            let open: Vec<i64> = ends(ts, spec)
                .filter(|e| w == i64::MIN || *e > w.saturating_sub(lateness))
                .collect();
            let slice = slice_end(ts, spec);
            let first = first_open_end(slice, w, lateness, spec);
            prop_assert_eq!(first, open.first().copied());
            if let Some(first) = first {
                prop_assert_eq!(ends_from(slice, first, spec).collect::<Vec<_>>(), open);
            }
            let rule = LateRule::Windows { window: spec, lateness };
            prop_assert_eq!(is_late(ts, w, rule), first.is_none());
        }
    }

    #[test]
    fn rows_are_late_behind_the_watermark_only() {
        assert!(is_late(4, 5, LateRule::Rows));
        assert!(!is_late(5, 5, LateRule::Rows));
        assert!(!is_late(i64::MIN, i64::MIN, LateRule::Rows));
    }
}
