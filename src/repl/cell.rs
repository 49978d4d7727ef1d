//! Values of a result as they are shown, ordered and exported. A value comes as the JSON that the
//! server wrote; numbers keep their digits.

use crate::plain;
use std::cmp::Ordering;

use super::server::{Column, Row};

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// A number, as written.
    Number(String),
    /// Text, unescaped.
    Text(String),
    /// Anything else, as JSON: true, arrays, objects.
    Json(String),
    /// NULL.
    Null,
}

impl Cell {
    /// A value from its JSON text.
    pub(super) fn read(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => match serde_json::from_str(json) {
                Ok(text) => Self::Text(text),
                Err(_) => Self::Json(json.to_string()),
            },
            Some(b'-' | b'0'..=b'9') => Self::Number(json.to_string()),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Json(json.to_string()),
        }
    }

    /// Text as a value.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A row's values in the order of the columns; NULL where it has none.
    pub(super) fn row(columns: &[Column], row: &Row) -> Vec<Self> {
        let cell = |column: &Column| row.get(&column.name).map(|json| Self::read(json.get()));
        columns.iter().map(|column| cell(column).unwrap_or(Self::Null)).collect()
    }

    /// As shown on a terminal or in a plain table: in one line, and without anything that a
    /// terminal would obey.
    pub(super) fn shown(&self) -> String {
        match self {
            Cell::Null => "NULL".to_string(),
            Cell::Number(text) | Cell::Text(text) | Cell::Json(text) => {
                plain::line(text).into_owned()
            }
        }
    }

    /// As JSON.
    pub(super) fn json(&self) -> String {
        match self {
            Cell::Null => "null".to_string(),
            Cell::Number(text) | Cell::Json(text) => text.clone(),
            Cell::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        }
    }

    /// As a field of CSV (RFC 4180): NULL is nothing, empty text is `""`.
    pub(super) fn csv(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Number(text) => text.clone(),
            Cell::Text(text) | Cell::Json(text) => csv_field(text),
        }
    }
}

/// A text as a field of CSV.
pub(super) fn csv_field(text: &str) -> String {
    match text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

/// A row as a JSON object, columns in order.
pub(super) fn json_object(columns: &[Column], row: &[Cell]) -> String {
    let name = |column: &Column| serde_json::Value::from(column.name.as_str()).to_string();
    let fields = columns.iter().zip(row).map(|(c, v)| format!("{}:{}", name(c), v.json()));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Numbers by value, text by its characters, NULL last: so that a table keeps its order while it
/// changes.
impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Cell::Number(a), Cell::Number(b)) => by_value(a, b).then_with(|| a.cmp(b)),
            (Cell::Text(a), Cell::Text(b)) | (Cell::Json(a), Cell::Json(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Cell {
    fn rank(&self) -> u8 {
        match self {
            Cell::Number(_) => 0,
            Cell::Text(_) => 1,
            Cell::Json(_) => 2,
            Cell::Null => 3,
        }
    }
}

fn by_value(a: &str, b: &str) -> Ordering {
    match (a.parse::<i128>(), b.parse::<i128>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => {
            let value = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
            value(a).total_cmp(&value(b))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_by_their_json() {
        assert_eq!(Cell::read("null"), Cell::Null);
        assert_eq!(Cell::read("\"null\""), Cell::text("null"));
        assert_eq!(Cell::read("-1.50"), Cell::Number("-1.50".into()));
        assert_eq!(Cell::read("[1,2]"), Cell::Json("[1,2]".into()));
        assert_eq!(Cell::read("\"a\\nb\""), Cell::text("a\nb"));
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown() {
        assert_eq!(Cell::text("a\tb\n\u{1b}[2J\u{202e}x").shown(), "a\\tb\\n\\u{1b}[2J\\u{202e}x");
    }

    #[test]
    fn exports_keep_null_and_empty_text_apart() {
        let row = [Cell::Null, Cell::text(""), Cell::text("a,\"b\""), Cell::Number("1".into())];
        let csv: Vec<String> = row.iter().map(Cell::csv).collect();
        assert_eq!(csv, ["", "\"\"", "\"a,\"\"b\"\"\"", "1"]);
        let columns: Vec<Column> = ["a", "b", "c", "d"]
            .map(|name| Column { name: name.into(), ty: "STRING".into() })
            .into();
        assert_eq!(json_object(&columns, &row), r#"{"a":null,"b":"","c":"a,\"b\"","d":1}"#);
    }

    #[test]
    fn numbers_are_ordered_by_value_and_null_is_last() {
        let mut cells = ["null", "10", "9", "9.5", "\"a\"", "-3"].map(Cell::read).to_vec();
        cells.sort();
        let shown: Vec<String> = cells.iter().map(Cell::shown).collect();
        assert_eq!(shown, ["-3", "9", "9.5", "10", "a", "NULL"]);
    }
}
