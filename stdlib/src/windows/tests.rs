//! Windows against their definition, for random lengths, offsets and times.

use super::*;
use proptest::prelude::*;

fn specs() -> impl Strategy<Value = WindowSpec> {
    let offset = prop_oneof![Just(0i64), -50i64..50, any::<i64>()];
    let lengths = prop_oneof![
        (1i64..40).prop_map(|size| (0, size, size)),
        (1i64..40, 1i64..40).prop_map(|(slide, size)| (1, slide, size)),
        (1i64..20, 1i64..8).prop_map(|(slide, n)| (1, slide, slide * n)),
        (1i64..20, 1i64..8).prop_map(|(step, n)| (2, step, step * n)),
    ];
    (lengths, offset).prop_map(|((kind, period, size), offset)| match kind {
        0 => WindowSpec::Tumble { size, offset },
        1 => WindowSpec::Hop { size, slide: period, offset },
        _ => WindowSpec::Cumulate { size, step: period, offset },
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

/// The windows that hold a time, by definition: every aligned start, with each of its ends.
fn windows_of(ts: i64, spec: WindowSpec) -> Vec<(i128, i128)> {
    let (size, ts) = (i128::from(spec.size()), i128::from(ts));
    let (starts, lengths) = match spec {
        WindowSpec::Cumulate { size, step, .. } => {
            let lengths = (1..=size / step).map(|n| i128::from(n * step)).collect();
            (i128::from(size), lengths)
        }
        WindowSpec::Tumble { .. } | WindowSpec::Hop { .. } | WindowSpec::Session { .. } => {
            (i128::from(spec.period()), vec![size])
        }
    };
    let aligned = |start: &i128| (start - i128::from(spec.offset())).rem_euclid(starts) == 0;
    let all = (ts - size..=ts)
        .filter(aligned)
        .flat_map(|start| lengths.iter().map(move |length| (start, start + length)));
    let mut windows: Vec<(i128, i128)> = all.filter(|(_, end)| ts < *end).collect();
    windows.sort_by_key(|(_, end)| *end);
    windows
}

fn clamped(ends: impl Iterator<Item = i128>) -> Vec<i64> {
    let mut ends: Vec<i64> = ends.map(|e| e.min(i128::from(i64::MAX)) as i64).collect();
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
fn starts_align_where_the_size_is_no_multiple_of_the_slide() {
    let spec = WindowSpec::Hop { size: 10, slide: 4, offset: 0 };
    assert_eq!(ends(5, spec).map(|end| start(end, spec)).collect::<Vec<_>>(), [-4, 0, 4]);
    assert_eq!(ends(7, spec).map(|end| start(end, spec)).collect::<Vec<_>>(), [0, 4]);
    let sparse = WindowSpec::Hop { size: 2, slide: 5, offset: 0 };
    assert_eq!(ends(1, sparse).collect::<Vec<_>>(), [2]);
    assert!(ends(3, sparse).next().is_none());
    let rule = LateRule::Windows { window: sparse, lateness: 0 };
    assert!(is_late(1, 2, rule) && !is_late(3, 100, rule));
}

#[test]
fn cumulated_windows_share_their_start() {
    let spec = WindowSpec::Cumulate { size: 30, step: 10, offset: 5 };
    let windows = |ts| ends(ts, spec).map(|end| (start(end, spec), end)).collect::<Vec<_>>();
    assert_eq!(windows(5), [(5, 15), (5, 25), (5, 35)]);
    assert_eq!(windows(34), [(5, 35)]);
    assert_eq!(windows(-1), [(-25, 5)]);
}

#[test]
fn bad_specs_are_refused() {
    for (size, slide) in [(0, 1), (1, 0), (-5, 5), (i64::MAX, 1), (1, i64::MAX)] {
        assert!(check(WindowSpec::Hop { size, slide, offset: 0 }).is_err());
    }
    assert!(check(WindowSpec::Hop { size: 10, slide: 3, offset: 3 }).is_ok());
    assert!(check(WindowSpec::Cumulate { size: 10, step: 3, offset: 0 }).is_err());
    assert!(check(WindowSpec::Session { gap: 1 }).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn ends_are_those_of_the_windows_that_hold_the_time(ts in times(), spec in specs()) {
        prop_assert!(check(spec).is_ok());
        let expected = windows_of(ts, spec);
        let slice = slice_end(ts, spec);
        // Beyond the last time a slice without windows cannot be told from one with them.
        prop_assume!(slice < i64::MAX || !expected.is_empty());
        let ends_expected = clamped(expected.iter().map(|(_, end)| *end));
        prop_assert_eq!(ends(ts, spec).collect::<Vec<_>>(), ends_expected.clone());
        if let [first, .., last] | [first @ last] = &ends_expected[..] {
            prop_assert_eq!(first_end(slice, spec), *first);
            prop_assert_eq!(last_end(slice, spec), *last);
        }
        for (from, end) in expected {
            if let (Ok(from), Ok(end)) = (i64::try_from(from), i64::try_from(end)) {
                prop_assert_eq!(start(end, spec), from);
            }
        }
    }

    #[test]
    fn open_windows_end_after_the_watermark(
        ts in times(), w in times(), lateness in prop_oneof![Just(0i64), 0i64..100],
        spec in specs(),
    ) {
        let all: Vec<i64> = ends(ts, spec).collect();
        let is_open = |end: &i64| w == i64::MIN || *end > w.saturating_sub(lateness);
        let open: Vec<i64> = all.iter().copied().filter(is_open).collect();
        let slice = slice_end(ts, spec);
        let first = first_open_end(slice, w, lateness, spec);
        prop_assert_eq!(first, open.first().copied());
        if let Some(first) = first {
            prop_assert_eq!(ends_from(slice, first, spec).collect::<Vec<_>>(), open);
        }
        let rule = LateRule::Windows { window: spec, lateness };
        prop_assert_eq!(is_late(ts, w, rule), first.is_none() && !all.is_empty());
    }

    #[test]
    fn times_of_a_slice_have_the_same_windows(ts in -500i64..500, spec in specs()) {
        let end = slice_end(ts, spec);
        for other in end - spec.slice()..end {
            prop_assert_eq!(windows_of(other, spec), windows_of(ts, spec));
        }
    }
}

#[test]
fn rows_are_late_behind_the_watermark_only() {
    assert!(is_late(4, 5, LateRule::Rows));
    assert!(!is_late(5, 5, LateRule::Rows));
    assert!(!is_late(i64::MIN, i64::MIN, LateRule::Rows));
    assert!(is_late(4, 8, LateRule::Sessions { lateness: 3 }));
    assert!(!is_late(5, 8, LateRule::Sessions { lateness: 3 }));
}
