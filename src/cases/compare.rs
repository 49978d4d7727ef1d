//! Expected against actual output. Append-only: equal multisets of JSON values. Updating: equal
//! after folding, by key or by weight.

use std::collections::BTreeMap;

use flow_ir::physical::SinkMode;
use serde_json::Value;

/// A record as it came out.
pub(super) struct Produced {
    pub(super) key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub(super) value: Option<String>,
}

/// The lines that stand for what came out, sorted.
///
/// # Errors
/// If a record is not what the mode makes.
pub(super) fn fold(records: Vec<Produced>, mode: SinkMode) -> Result<Vec<String>, String> {
    let mut lines = match mode {
        SinkMode::Append => records
            .into_iter()
            .map(|r| r.value.unwrap_or_else(|| "null".into()))
            .collect::<Vec<_>>(),
        SinkMode::Upsert => {
            let mut last = BTreeMap::new();
            for record in records {
                last.insert(record.key, record.value);
            }
            last.into_values().flatten().collect()
        }
        SinkMode::Changes => weigh(records)?,
    };
    lines.sort_by_cached_key(|line| canonical(line));
    Ok(lines)
}

/// The net rows of debezium envelopes.
fn weigh(records: Vec<Produced>) -> Result<Vec<String>, String> {
    let mut weights: BTreeMap<String, i64> = BTreeMap::new();
    for record in records {
        let text = record.value.ok_or("an envelope is a tombstone")?;
        let envelope: Value = serde_json::from_str(&text).map_err(|e| format!("{text}: {e}"))?;
        for (side, weight) in [("before", -1), ("after", 1)] {
            if !envelope[side].is_null() {
                *weights.entry(envelope[side].to_string()).or_default() += weight;
            }
        }
    }
    let mut rows = Vec::new();
    for (row, weight) in weights {
        if weight < 0 {
            return Err(format!("{row} was taken back more often than it came"));
        }
        rows.extend(std::iter::repeat_n(row, weight as usize));
    }
    Ok(rows)
}

/// A line such that equal JSON values are equal text.
fn canonical(line: &str) -> String {
    serde_json::from_str::<Value>(line).map_or_else(|_| line.to_string(), |v| v.to_string())
}

/// What is missing and what is too much; `None` if nothing is.
pub(super) fn difference(expected: &str, actual: &[String]) -> Option<String> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for line in expected.lines().filter(|line| !line.trim().is_empty()) {
        *counts.entry(canonical(line)).or_default() += 1;
    }
    for line in actual {
        *counts.entry(canonical(line)).or_default() -= 1;
    }
    let mut out = String::new();
    for (line, count) in counts {
        let (sign, times) = if count > 0 { ("missing ", count) } else { ("too much", -count) };
        for _ in 0..times {
            out.push_str(&format!("  {sign}  {line}\n"));
        }
    }
    (!out.is_empty()).then_some(out)
}

/// Text as it was expected against text as it is, line by line.
pub(super) fn text_difference(expected: &str, actual: &str) -> Option<String> {
    let (expected, actual) = (expected.trim_end(), actual.trim_end());
    if expected == actual {
        return None;
    }
    let (mut e, mut a) = (expected.lines(), actual.lines());
    let mut out = String::new();
    loop {
        match (e.next(), a.next()) {
            (None, None) => return Some(out),
            (Some(x), Some(y)) if x == y => out.push_str(&format!("    {x}\n")),
            (x, y) => {
                for (sign, line) in [("  - ", x), ("  + ", y)] {
                    if let Some(line) = line {
                        out.push_str(&format!("{sign}{line}\n"));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn produced(key: &str, value: Option<&str>) -> Produced {
        Produced { key: Some(key.into()), value: value.map(Into::into) }
    }

    #[test]
    fn the_last_record_of_a_key_stays() {
        let records = vec![
            produced("a", Some("1")),
            produced("b", Some("2")),
            produced("a", Some("3")),
            produced("b", None),
        ];
        assert_eq!(fold(records, SinkMode::Upsert).expect("folds"), ["3"]);
    }

    #[test]
    fn envelopes_add_up_and_never_fall_below_nothing() {
        let envelope = |text: &str| produced("", Some(text));
        let records = vec![
            envelope(r#"{"before":null,"after":{"n":1},"op":"c"}"#),
            envelope(r#"{"before":{"n":1},"after":{"n":2},"op":"u"}"#),
        ];
        assert_eq!(fold(records, SinkMode::Changes).expect("folds"), [r#"{"n":2}"#]);
        let taken = vec![envelope(r#"{"before":{"n":1},"after":null,"op":"d"}"#)];
        assert!(fold(taken, SinkMode::Changes).is_err());
    }

    #[test]
    fn lines_are_compared_as_values() {
        let actual = ["{\"b\": 1, \"a\": 2}".to_string()];
        assert_eq!(difference("{\"a\":2,\"b\":1}\n\n", &actual), None);
        let told = difference("{\"a\":3}\n", &actual).expect("they differ");
        assert!(told.contains("missing") && told.contains("too much"), "{told}");
    }
}
