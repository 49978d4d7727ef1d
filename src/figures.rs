//! Numbers as people read them: sizes, durations and times.

use std::time::Duration;

use flow_ir::types::DataType;
use flow_ir::value::Value;

/// A size.
pub fn bytes(n: u64) -> String {
    match n {
        0..=9_999 => format!("{n} B"),
        10_000..=9_999_999 => format!("{} kB", n / 1_000),
        _ => format!("{} MB", n / 1_000_000),
    }
}

/// A duration, to about three digits.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 0.01 => format!("{:.2} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.2} s"),
        s => format!("{s:.0} s"),
    }
}

/// A time in microseconds since 1970, in UTC.
pub fn time(micros: i64) -> String {
    let ty = DataType::TimestampLtz { precision: 3 };
    flow_stdlib::text::format_value(&Value::TimestampLtz(micros), &ty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!((bytes(12), bytes(12_345), bytes(12_345_678)), {
            ("12 B".into(), "12 kB".into(), "12 MB".into())
        });
        let shown = |micros| duration(Duration::from_micros(micros));
        assert_eq!([shown(0), shown(1_234), shown(12_345)], ["0.00 ms", "1.23 ms", "12 ms"]);
        assert_eq!([shown(1_234_567), shown(123_456_789)], ["1.23 s", "123 s"]);
        assert_eq!(time(0), "1970-01-01 00:00:00Z");
    }
}
