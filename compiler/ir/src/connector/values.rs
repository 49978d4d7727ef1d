//! Values of options: durations, sizes, offsets.

use std::collections::BTreeMap;

/// A time such as `5 s`, `100 ms`, `1 min`, `1h 30min` in microseconds; a bare number is seconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let micros = match unit.to_ascii_lowercase().as_str() {
            "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1,
            "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000,
            "" if rest == text.trim() && next.is_empty() => 1_000_000,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000_000,
            "h" | "hour" | "hours" => 3_600_000_000,
            "d" | "day" | "days" => 86_400_000_000,
            _ => return None,
        };
        let number: i64 = number.parse().ok()?;
        total = total.checked_add(number.checked_mul(micros)?)?;
        rest = next.trim_start();
    }
    Some(total)
}

/// Offsets by partition: `partition:0,offset:42;partition:1,offset:300`. `None` if the text is
/// none, or names a partition twice.
pub fn parse_offsets(text: &str) -> Option<BTreeMap<u32, i64>> {
    let mut offsets = BTreeMap::new();
    for pair in text.trim().trim_end_matches(';').split(';') {
        let (partition, offset) = pair.split_once(',')?;
        let partition = partition.trim().strip_prefix("partition:")?.trim().parse().ok()?;
        let offset: u64 = offset.trim().strip_prefix("offset:")?.trim().parse().ok()?;
        if offsets.insert(partition, i64::try_from(offset).ok()?).is_some() {
            return None;
        }
    }
    Some(offsets)
}

/// A size such as `64 MB`, `512 kb`, `1g` in bytes, by powers of 1,024; a bare number is bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(parse_duration("100 ms"), Some(100_000));
        assert_eq!(parse_duration("5"), Some(5_000_000));
        assert_eq!(parse_duration("1h 30min"), Some(5_400_000_000));
        for bad in ["", "x", "5 parsecs", "-1 s", "1 s 5", "99999999999999999 d"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert_eq!(parse_size("64 MB"), Some(64 << 20));
        assert_eq!(parse_size("7"), Some(7));
        for bad in ["", "MB", "1.5 GB", "99999999999 TB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn offsets_by_partition() {
        let offsets = |text| parse_offsets(text).map(|o| o.into_iter().collect::<Vec<_>>());
        let two = Some(vec![(0, 42), (1, 300)]);
        assert_eq!(offsets("partition:0,offset:42;partition:1,offset:300"), two);
        assert_eq!(offsets(" partition: 1, offset: 300; partition:0,offset:42; "), two);
        for bad in [
            "",
            ";",
            "0:42",
            "partition:0",
            "partition:0,offset:-1",
            "partition:0,offset:1;;partition:1,offset:1",
            "partition:0,offset:1;partition:0,offset:2",
            "partition:0,offset:99999999999999999999",
        ] {
            assert_eq!(offsets(bad), None, "{bad}");
        }
    }
}
