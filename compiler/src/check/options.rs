//! WITH (…): options against the specs of connectors and formats, `${VAR}` filled in.

use std::collections::BTreeMap;

use flow_ir::connector::{
    self, CONNECTORS, ConnectorSpec, FILE, FORMATS, FormatSpec, GROUP_ID, KAFKA, MODE_NEEDS,
    OptionKind, OptionSpec, STREAM_OPTIONS, parse_duration, parse_offsets,
};
use flow_ir::span::Span;

use super::Checker;
use crate::diagnostics::connectors as problems;
use crate::syntax::ast::{OptionEntry, Text};

/// Connectors of the language that do not run yet.
const LATER_CONNECTORS: &[&str] = &["jdbc", "postgres"];
/// Formats of the language that do not run yet.
const LATER_FORMATS: &[&str] =
    &["json_sr", "protobuf", "protobuf_nosr", "protobuf-confluent", "parquet", "orc"];
/// The format of the connector of test cases, where the program names none.
const CASE_FORMAT: &str = "json";
/// The format of records that a connector makes itself.
pub(super) const GENERATED_FORMAT: &str = "avro";

/// The options of a declaration, checked.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Keys and values, variables filled in.
    pub values: BTreeMap<String, String>,
    spans: BTreeMap<String, (Span, Span)>,
    pub connector: &'static ConnectorSpec,
    pub value_format: Option<&'static FormatSpec>,
    pub key_format: Option<&'static FormatSpec>,
}

impl Options {
    /// A connector without options.
    pub(super) fn of(connector: &'static ConnectorSpec) -> Self {
        Self {
            values: BTreeMap::new(),
            spans: BTreeMap::new(),
            connector,
            value_format: None,
            key_format: None,
        }
    }

    /// An option's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Where an option's value stands.
    pub(super) fn value_span(&self, name: &str) -> Option<Span> {
        self.spans.get(name).map(|(_, value)| *value)
    }

    /// A duration in microseconds.
    pub(super) fn duration(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(parse_duration)
    }

    /// Columns of `key.fields`.
    pub(super) fn key_fields(&self) -> Vec<String> {
        let text = self.get("key.fields").unwrap_or("");
        let fields = text.split([';', ',']).map(str::trim).filter(|f| !f.is_empty());
        fields.map(str::to_string).collect()
    }

    /// Whether records have keys that rows are read from: not so in files.
    pub(super) fn has_record_keys(&self) -> bool {
        self.connector.name == KAFKA || self.connector.name == "case"
    }

    /// Whether records say which rows come and which go: they have the rows whole, keys too.
    pub(super) fn says_changes(&self) -> bool {
        self.value_format.is_some_and(|format| connector::is_changelog(format.name))
    }

    /// A format's option, which may stand with `value.` or `key.` before it.
    pub(super) fn format_option(&self, side: &str, name: &str) -> Option<&str> {
        self.get(&format!("{side}.{name}")).or_else(|| self.get(name))
    }
}

impl Checker<'_> {
    /// The options of a declaration.
    pub(super) fn with_options(&mut self, entries: &[OptionEntry], at: Span) -> Option<Options> {
        let mut values = BTreeMap::new();
        let mut spans: BTreeMap<String, (Span, Span)> = BTreeMap::new();
        let mut whole = true;
        for entry in entries {
            let key = entry.key.value.clone();
            if let Some((first, _)) = spans.get(&key) {
                self.found.push(problems::option_twice(&key, entry.key.span, *first));
                continue;
            }
            spans.insert(key.clone(), (entry.key.span, entry.value.span));
            match self.substitute(&entry.value.text, entry.value.span) {
                Some(text) => {
                    values.insert(key, text);
                }
                None => whole = false,
            }
        }
        let connector = self.connector(&mut values, &spans, at)?;
        let named = |name: &str| values.get(name).cloned();
        let mut value_format = None;
        let mut key_format = None;
        if connector.formatted || connector.name == "case" {
            let value = named("value.format").or_else(|| named("format"));
            let value = value.or_else(|| (!connector.formatted).then(|| CASE_FORMAT.to_string()));
            value_format = match value {
                Some(name) => self.format(&name, &spans, &["value.format", "format"], at),
                None => {
                    let owner = format!("connector '{}'", connector.name);
                    let doc = "How values are written, such as json or avro.";
                    self.report(problems::missing_option("format", &owner, doc, at))
                }
            };
            whole &= value_format.is_some();
            if let Some(name) = named("key.format") {
                key_format = self.format(&name, &spans, &["key.format"], at);
                whole &= key_format.is_some();
            } else if value_format.is_some_and(|f| f.for_keys) {
                key_format = value_format;
            }
        } else if connector::is_generated(connector.name) {
            value_format = connector::format(GENERATED_FORMAT);
        }
        let prefixed = values.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("debezium-")?;
            name.starts_with("avro-confluent.").then(|| (name.to_string(), value.clone()))
        });
        values.extend(prefixed.collect::<Vec<_>>());
        if let Some(value) = values.get("scan.watermark.idle-timeout").cloned() {
            values.entry("idle.timeout".into()).or_insert(value);
        }
        if let Some(path) = values.get_mut("path").filter(|_| connector.name == FILE)
            && let Some(plain) = path.strip_prefix("file://")
        {
            *path = plain.to_string();
        }
        take_parse_errors(&mut values, &[value_format, key_format]);
        let options = Options { values, spans, connector, value_format, key_format };
        self.key_format_fits(&options);
        self.known_options(&options, entries, at);
        self.modes_are_whole(&options, at);
        whole.then_some(options)
    }

    fn connector(
        &mut self,
        values: &mut BTreeMap<String, String>,
        spans: &BTreeMap<String, (Span, Span)>,
        at: Span,
    ) -> Option<&'static ConnectorSpec> {
        let Some(name) = values.get("connector").cloned() else {
            if spans.contains_key("connector") {
                return None;
            }
            let doc = STREAM_OPTIONS.first().map_or("", |o| o.doc);
            return self.report(problems::missing_option("connector", "a stream", doc, at));
        };
        let span = spans.get("connector").map_or(at, |(_, value)| *value);
        let name = match name.as_str() {
            // Flink's names: for Kafka under a primary key, and for files.
            "upsert-kafka" => String::from(KAFKA),
            "filesystem" => String::from(FILE),
            _ => name,
        };
        if let Some(spec) = connector::connector(&name) {
            values.insert(String::from("connector"), name);
            return Some(spec);
        }
        if LATER_CONNECTORS.contains(&name.as_str()) {
            return self.later(&format!("the connector '{name}'"), span);
        }
        let shown = CONNECTORS.iter().map(|c| c.name).filter(|name| *name != "case");
        let known: Vec<String> = shown.map(str::to_string).collect();
        self.report(problems::unknown_connector(&name, span, &known))
    }

    fn format(
        &mut self,
        name: &str,
        spans: &BTreeMap<String, (Span, Span)>,
        options: &[&str],
        at: Span,
    ) -> Option<&'static FormatSpec> {
        if let Some(spec) = connector::format(name) {
            return Some(spec);
        }
        let span = options.iter().find_map(|o| spans.get(*o)).map_or(at, |(_, value)| *value);
        if LATER_FORMATS.contains(&name) {
            return self.later(&format!("the format '{name}'"), span);
        }
        let known: Vec<String> = FORMATS.iter().map(|f| f.name.to_string()).collect();
        self.report(problems::unknown_format(name, span, &known))
    }

    fn key_format_fits(&mut self, options: &Options) {
        let Some(format) = options.key_format.filter(|f| !f.for_keys) else { return };
        let span = options.value_span("key.format").unwrap_or_default();
        let what = format!("format '{}'", format.name);
        self.found.push(problems::wrong_direction(&what, "make keys", span, span));
    }

    /// Reports unknown options, bad values and missing options.
    fn known_options(&mut self, options: &Options, entries: &[OptionEntry], at: Span) {
        let connector = options.connector;
        let formats = options.value_format.iter().chain(&options.key_format).copied();
        let formats: Vec<&FormatSpec> = formats.filter(|_| !options.is_generated()).collect();
        let plain = STREAM_OPTIONS.iter().chain(connector.options);
        let of_formats = || formats.iter().flat_map(|f| f.options);
        for OptionEntry { key: Text { value: key, span }, value } in entries {
            let bare = key.strip_prefix("value.").or_else(|| key.strip_prefix("key."));
            let spec = plain.clone().find(|o| o.matches(key)).or_else(|| {
                of_formats().find(|o| o.matches(key) || bare.is_some_and(|bare| o.matches(bare)))
            });
            let Some(spec) = spec else {
                let known = plain.clone().chain(of_formats()).map(|o| o.name.to_string());
                let known: Vec<String> = known.filter(|name| !name.ends_with('*')).collect();
                let owner = format!("connector '{}'", connector.name);
                let refused = connector.refused.iter().find(|(name, _)| name == key);
                let why = refused.map(|(_, why)| *why);
                self.found.push(problems::unknown_option(key, &owner, *span, &known, why));
                continue;
            };
            let Some(text) = options.get(key) else { continue };
            if let Some(takes) = wrong_value(spec, text) {
                self.found.push(problems::bad_option(key, text, &takes, value.span));
            }
        }
        for spec in connector.options.iter().filter(|o| o.required) {
            if !entries.iter().any(|e| e.key.value == spec.name) {
                let owner = format!("connector '{}'", connector.name);
                self.found.push(problems::missing_option(spec.name, &owner, spec.doc, at));
            }
        }
    }

    /// Reports modes without the options that they need, and such options without any mode.
    fn modes_are_whole(&mut self, options: &Options, at: Span) {
        let owner = |name: &str, value: &str| format!("'{name}' = '{value}'");
        let given = |name: &str| options.spans.contains_key(name);
        for &(mode, of, needed) in MODE_NEEDS {
            let doc = |name: &str| {
                options.connector.options.iter().find(|o| o.name == name).map_or("", |o| o.doc)
            };
            if options.get(mode) == Some(of) && !given(needed) {
                let span = options.value_span(mode).unwrap_or(at);
                let found = problems::missing_option(needed, &owner(mode, of), doc(needed), span);
                self.found.push(found);
            }
            if let (Some((span, _)), false) = (options.spans.get(needed), given(mode))
                && needed != GROUP_ID
                && !doc(needed).is_empty()
            {
                let found =
                    problems::missing_option(mode, &format!("'{needed}'"), doc(mode), *span);
                self.found.push(found);
            }
        }
    }

    /// Fills in variables; those that are not set are reported.
    pub(super) fn substitute(&mut self, text: &str, span: Span) -> Option<String> {
        match fill_in(text, &self.options.variables) {
            Ok(text) => Some(text),
            Err(name) => self.report(problems::unset_variable(&name, span)),
        }
    }

    /// The direction that a use of a relation needs.
    pub(super) fn direction(
        &mut self,
        options: &Options,
        reads: bool,
        used: Span,
        declared: Span,
    ) -> Option<()> {
        let able = |d: connector::Directions| if reads { d.source } else { d.sink };
        let cannot = if reads { "be read" } else { "be written" };
        let connector = options.connector;
        if !able(connector.directions) {
            let what = format!("connector '{}'", connector.name);
            return self.report(problems::wrong_direction(&what, cannot, used, declared));
        }
        match options.value_format.filter(|f| !able(f.directions)) {
            Some(format) => {
                let what = format!("format '{}'", format.name);
                self.report(problems::wrong_direction(&what, cannot, used, declared))
            }
            None => Some(()),
        }
    }
}

/// Flink's way to ask for NULL where a value cannot be read, and to pass over records that cannot.
fn take_parse_errors(
    values: &mut BTreeMap<String, String>,
    formats: &[Option<&'static FormatSpec>],
) {
    let asks = |format: &&FormatSpec| {
        let name = format!("{}.ignore-parse-errors", format.name);
        ["", "key.", "value."]
            .iter()
            .any(|side| values.get(&format!("{side}{name}")).is_some_and(|value| value == "true"))
    };
    if formats.iter().flatten().any(asks) && !values.contains_key("dead_letter") {
        values.entry("error.policy".into()).or_insert_with(|| "null".into());
    }
}

/// Fills in `${NAME}`, and `${NAME:-TEXT}` with the text where the variable is not set;
/// `${secret:NAME}` stays.
///
/// # Errors
/// The first variable that is not set.
pub fn fill_in(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = from.find('}') else {
            rest = from;
            break;
        };
        let (reference, after) = from.split_at(end + 1);
        let (name, otherwise) = match reference[2..end].split_once(":-") {
            Some((name, otherwise)) => (name, Some(otherwise)),
            None => (&reference[2..end], None),
        };
        match variables.get(name).map(String::as_str).or(otherwise) {
            _ if name.starts_with("secret:") => out.push_str(reference),
            Some(value) => out.push_str(value),
            None => return Err(name.to_string()),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// What an option takes, if the value is not that.
pub(super) fn wrong_value(spec: &OptionSpec, text: &str) -> Option<String> {
    if text.contains("${secret:") {
        return None;
    }
    let (fits, takes) = match spec.kind {
        OptionKind::Text | OptionKind::Columns => (true, String::new()),
        OptionKind::Integer => (text.parse::<u64>().is_ok(), String::from("a whole number")),
        OptionKind::Boolean => {
            (matches!(text, "true" | "false"), String::from("'true' or 'false'"))
        }
        OptionKind::Offsets => {
            let takes = "offsets such as 'partition:0,offset:42;partition:1,offset:300'";
            (parse_offsets(text).is_some(), String::from(takes))
        }
        OptionKind::Duration => {
            (parse_duration(text).is_some(), String::from("a time such as '5 s' or '100 ms'"))
        }
        OptionKind::OneOf(words) => {
            let quoted: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
            (words.contains(&text), quoted.join(", "))
        }
    };
    (!fits).then_some(takes)
}
