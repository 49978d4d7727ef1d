//! WITH and the columns of a declaration as ksqlDB writes them: its names of options and formats,
//! `KEY` behind a column, the record's time.

use flow_ir::connector::{self, KAFKA};
use flow_ir::span::Span;

use super::Checker;
use crate::diagnostics::plans;
use crate::syntax::ast::{
    ColumnDef, ColumnKind, CreateTable, OptionEntry, OptionValue, OptionValueKind, TableElement,
    TableKind, Text, TypeExpr, TypeKind,
};

/// Options that only ksqlDB has under their name, in any case: one of them, and the declaration is
/// one of its.
const MARKS: &[&str] = &[
    "kafka_topic",
    "value_format",
    "key_format",
    "value_delimiter",
    "key_delimiter",
    "timestamp",
    "timestamp_format",
    "wrap_single_value",
];

/// Its options by ours.
const NAMES: &[(&str, &str)] = &[
    ("kafka_topic", "topic"),
    ("partitions", "topic.partitions"),
    ("value_delimiter", "value.csv.field-delimiter"),
    ("key_delimiter", "key.csv.field-delimiter"),
    ("format", "format"),
    ("value_format", "value.format"),
    ("key_format", "key.format"),
];

/// Options of it that say nothing that is asked here: how brokers keep a topic, and names of
/// schemas.
const WITHOUT_EFFECT: &[&str] = &[
    "replicas",
    "retention_ms",
    "key",
    "value_avro_schema_full_name",
    "value_schema_full_name",
    "key_schema_full_name",
];

/// Formats that have another name here.
const FORMATS: &[(&str, &str)] = &[("delimited", "csv"), ("kafka", "raw")];

/// Types of a key that has the same bytes as Kafka's own serializers give it.
const KAFKA_KEYS: &[&str] =
    &["INT", "INTEGER", "BIGINT", "DOUBLE", "STRING", "VARCHAR", "TEXT", "BYTES"];

/// A declaration's options under our names, and what is no option here.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub entries: Vec<OptionEntry>,
    /// Whether it is written as ksqlDB writes it: its rows have the record's time.
    pub ksql: bool,
    /// TIMESTAMP.
    pub time: Option<RecordTime>,
    /// Where WRAP_SINGLE_VALUE = false stands, until the format is known.
    pub bare_value: Option<Span>,
}

impl Written {
    /// The format of a side, `key` or `value`, as far as it is said.
    pub(super) fn format_of(&self, side: &str) -> Option<&str> {
        let own = format!("{side}.format");
        let said = |name: &str| self.entries.iter().find(|entry| entry.key.value == name);
        said(&own).or_else(|| said("format")).map(|entry| entry.value.text.as_str())
    }

    /// Times are numbers in ksqlDB's JSON.
    pub(super) fn times_as_numbers(&mut self, at: Span) {
        let is_json = ["value", "key"].iter().any(|side| self.format_of(side) == Some("json"));
        let said = self.entries.iter().any(|entry| {
            entry.key.value == "json.timestamp"
                || entry.key.value.ends_with("json.timestamp-format.standard")
        });
        if self.ksql && is_json && !said {
            self.entries.push(entry("json.timestamp", "numbers", at));
        }
    }

    /// A key of one column in JSON is its value, as in ksqlDB.
    pub(super) fn bare_key(&mut self, columns: usize, at: Span) {
        if self.ksql && columns == 1 && self.format_of("key") == Some("json") {
            self.entries.push(entry("key.json.wrap-single-value", "false", at));
        }
    }
}

/// The column that has a record's time.
#[derive(Clone, Debug)]
pub(super) struct RecordTime {
    pub column: Text,
    /// TIMESTAMP_FORMAT.
    pub pattern: Option<Text>,
}

impl Checker<'_> {
    /// The options of a declaration under our names, with those that its columns say.
    pub(super) fn written_options(&mut self, create: &CreateTable) -> Written {
        let is = |entry: &OptionEntry, name: &str| entry.key.value.eq_ignore_ascii_case(name);
        let ksql = create.options.iter().any(|e| MARKS.iter().any(|mark| is(e, mark)));
        let mut written = Written { ksql, ..Written::default() };
        let mut pattern = None;
        for entry in &create.options {
            if !ksql {
                written.entries.push(entry.clone());
            } else if is(entry, "timestamp") {
                written.time = Some(RecordTime { column: value_text(entry), pattern: None });
            } else if is(entry, "timestamp_format") {
                pattern = Some(value_text(entry));
            } else if is(entry, "wrap_single_value") && !is_true(entry) {
                written.bare_value = Some(entry.value.span);
            } else {
                written.entries.extend(ours(entry));
            }
        }
        if let Some(time) = &mut written.time {
            time.pattern = pattern;
        }
        if create.query.is_none() {
            self.bare_value(&mut written);
        }
        self.keyed_options(create, &mut written);
        written
    }

    /// Takes WRAP_SINGLE_VALUE = false, once the format is known.
    pub(super) fn bare_value(&mut self, written: &mut Written) {
        let Some(at) = written.bare_value.take() else { return };
        if written.format_of("value") == Some("json") {
            written.entries.push(entry("value.json.wrap-single-value", "false", at));
        } else {
            let what = "WRAP_SINGLE_VALUE = false in another format than JSON";
            self.found.push(plans::not_available(what, at, None));
        }
    }

    /// Adds what a declaration of ksqlDB leaves out, and what `KEY` behind a column says: its key
    /// is not in the value.
    fn keyed_options(&self, create: &CreateTable, written: &mut Written) {
        let at = create.name.last().span;
        let has = |written: &Written, name: &str| {
            written.entries.iter().any(|entry| entry.key.value == name)
        };
        if written.ksql && !has(written, "connector") {
            written.entries.push(entry("connector", KAFKA, at));
        }
        let with_keys = written.entries.iter().any(|entry| {
            entry.key.value == "connector"
                && matches!(entry.value.text.as_str(), KAFKA | "upsert-kafka" | "case")
        });
        let keys = key_columns(create);
        let says_key = keys.iter().any(|column| column.record_key.is_some());
        if keys.is_empty() || !with_keys || !(written.ksql || says_key) {
            return;
        }
        if create.kind == TableKind::Stream && !has(written, "key.fields") {
            let names: Vec<&str> = keys.iter().map(|column| column.name.text.as_str()).collect();
            written.entries.push(entry("key.fields", &names.join(";"), at));
        }
        if !has(written, "value.fields-include") {
            written.entries.push(entry("value.fields-include", "EXCEPT_KEY", at));
        }
        if written.ksql && !has(written, "key.format") && !has(written, "format") {
            let plain = |column: &&ColumnDef| match &column.kind {
                ColumnKind::Physical(ty) => is_plain(ty),
                ColumnKind::Computed(_)
                | ColumnKind::Metadata { .. }
                | ColumnKind::Headers { .. } => false,
            };
            let format = match keys[..] {
                [ref only] if plain(only) => "raw",
                _ => "json",
            };
            written.entries.push(entry("key.format", format, at));
        }
        written.bare_key(keys.len(), at);
    }
}

/// The columns that say of themselves that they are keys.
pub(super) fn key_columns(create: &CreateTable) -> Vec<&ColumnDef> {
    let elements = create.elements.as_deref().unwrap_or(&[]).iter();
    let columns = elements.filter_map(|element| match element {
        TableElement::Column(column) => Some(column),
        TableElement::Watermark(_) | TableElement::PrimaryKey(_) => None,
    });
    columns.filter(|c| c.record_key.is_some() || c.primary_key.is_some()).collect()
}

/// An option that the program does not write.
pub(super) fn entry(key: &str, value: &str, at: Span) -> OptionEntry {
    let value = OptionValue { text: value.to_owned(), kind: OptionValueKind::String, span: at };
    OptionEntry { key: Text { value: key.to_owned(), span: at }, value }
}

/// The format of this name, in any case and by ksqlDB's names.
fn format_name(written: &str) -> String {
    let lower = written.to_lowercase();
    let ours = FORMATS.iter().find(|(theirs, _)| *theirs == lower);
    ours.map_or(lower, |(_, ours)| (*ours).to_owned())
}

/// An option of ksqlDB as ours; nothing where it has no effect.
fn ours(entry: &OptionEntry) -> Option<OptionEntry> {
    let lower = entry.key.value.to_lowercase();
    let without = WITHOUT_EFFECT.contains(&lower.as_str()) || lower == "wrap_single_value";
    let Some((_, name)) = NAMES.iter().find(|(theirs, _)| *theirs == lower) else {
        return (!without).then(|| entry.clone());
    };
    let mut ours = entry.clone();
    ours.key.value = (*name).to_owned();
    if name.ends_with("format") && connector::format(&entry.value.text).is_none() {
        ours.value.text = format_name(&entry.value.text);
    }
    if name.ends_with("delimiter") {
        ours.value.text = match entry.value.text.as_str() {
            "SPACE" => " ".to_owned(),
            "TAB" => "\\t".to_owned(),
            other => other.to_owned(),
        };
    }
    // A key without format is none.
    (ours.key.value != "key.format" || ours.value.text != "none").then_some(ours)
}

fn value_text(entry: &OptionEntry) -> Text {
    Text { value: entry.value.text.clone(), span: entry.value.span }
}

fn is_true(entry: &OptionEntry) -> bool {
    entry.value.text.eq_ignore_ascii_case("true")
}

fn is_plain(ty: &TypeExpr) -> bool {
    match &ty.kind {
        TypeKind::Named { name, .. } => {
            KAFKA_KEYS.iter().any(|known| name.text.eq_ignore_ascii_case(known))
        }
        TypeKind::Interval(_)
        | TypeKind::Array(_)
        | TypeKind::Multiset(_)
        | TypeKind::Map(..)
        | TypeKind::Row(_) => false,
    }
}
