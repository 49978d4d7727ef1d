//! WITH (…) and SET: which option a cursor is at, and what can stand there. The tables of
//! connectors, formats and settings are the compiler's own.

use std::ops::Range;

use flow_compiler::check::SETTINGS;
use flow_compiler::syntax::TokenKind;
use flow_ir::connector::{
    CONNECTORS, FORMATS, OptionKind, OptionSpec, STREAM_OPTIONS, connector, format,
};

use super::place::Place;

/// Connectors that are for tests of programs, not for programs.
const HIDDEN: &[&str] = &["case"];

/// An option around the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OptionPlace {
    /// The key of the option whose value the cursor is at; none at a key.
    pub key: Option<String>,
    /// What is written where the cursor is.
    pub written: Range<usize>,
    /// The keys and values of the list, as far as they are written.
    pub entries: Vec<(String, String)>,
    /// SET rather than WITH.
    pub is_setting: bool,
    /// Whether `=` follows the key already.
    pub has_value: bool,
}

/// A value that an option takes, and what it means where that is known.
pub(super) struct OptionValue {
    /// The value.
    pub text: &'static str,
    /// A sentence, or nothing.
    pub doc: String,
}

impl OptionPlace {
    /// The option around a cursor.
    pub(super) fn at(place: &Place<'_>) -> Option<Self> {
        let cursor = place
            .tokens
            .iter()
            .position(|t| match t.kind {
                TokenKind::Symbol => place.offset <= t.start,
                TokenKind::Word | TokenKind::QuotedName | TokenKind::String | TokenKind::Number => {
                    place.offset <= t.end
                }
            })
            .unwrap_or(place.tokens.len());
        let first = match place.open_bracket(cursor) {
            Some(open) if place.is(0, "CREATE") && place.word_before(open) == "WITH" => open + 1,
            None if (place.is(0, "SET") || place.is(0, "RESET")) && cursor > 0 => 1,
            Some(_) | None => return None,
        };
        let touched = place.tokens.get(cursor).filter(|t| t.start < place.offset);
        let touched = touched.filter(|t| t.kind != TokenKind::Symbol);
        let mut entries = vec![(String::new(), String::new(), false)];
        let mut begins = None;
        for at in first..cursor {
            let token = place.tokens[at];
            match (place.text_of(&token), entries.last_mut()) {
                (",", _) => {
                    entries.push((String::new(), String::new(), false));
                    begins = None;
                }
                (text, Some(entry)) if is_equals(text, first == 1) => {
                    entry.2 = true;
                    begins = None;
                }
                (text, Some(entry)) => {
                    begins = begins.or(Some(token.start));
                    let part = if entry.2 { &mut entry.1 } else { &mut entry.0 };
                    part.push_str(unquoted(text));
                }
                (_, None) => {}
            }
        }
        let (key, _, at_value) = entries.pop()?;
        let start = begins.or(touched.map(|t| t.start)).unwrap_or(place.offset);
        let end = touched.map_or(place.offset, |t| t.end);
        // A string that is not closed reaches into what follows.
        let runs_on = place.text.get(start..end).is_none_or(|text| text.contains('\n'));
        let written = start..if runs_on { place.offset } else { end };
        let next = place.tokens.iter().find(|t| t.start >= written.end);
        Some(Self {
            key: at_value.then_some(key),
            entries: following(place, cursor, entries),
            is_setting: !place.is(0, "CREATE"),
            has_value: next.is_some_and(|t| place.text_of(t) == "="),
            written,
        })
    }

    fn value_of(&self, key: &str) -> Option<&str> {
        let found = self.entries.iter().find(|(k, _)| k.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.as_str())
    }

    /// The options that the list takes, given what is written in it.
    pub(super) fn known(&self) -> Vec<&'static OptionSpec> {
        if self.is_setting {
            return SETTINGS.iter().collect();
        }
        let of_connector = match self.value_of("connector").and_then(connector) {
            Some(spec) => spec.options.iter().collect(),
            None => Vec::new(),
        };
        let formats = ["format", "value.format", "key.format"];
        let named: Vec<_> = formats.iter().filter_map(|f| format(self.value_of(f)?)).collect();
        let of_formats = FORMATS.iter().filter(|f| named.iter().any(|n| n.name == f.name));
        let mut all: Vec<&OptionSpec> = STREAM_OPTIONS.iter().collect();
        all.extend(of_connector);
        all.extend(of_formats.flat_map(|f| f.options));
        all
    }

    /// The keys that are not yet written.
    pub(super) fn open_keys(&self) -> Vec<&'static OptionSpec> {
        let is_open =
            |spec: &&OptionSpec| !spec.name.ends_with('*') && self.value_of(spec.name).is_none();
        self.known().into_iter().filter(is_open).collect()
    }

    /// The option of a key.
    pub(super) fn spec(&self, key: &str) -> Option<&'static OptionSpec> {
        let known = self.known();
        let exact = known.iter().find(|spec| spec.name == key).copied();
        exact.or_else(|| known.into_iter().find(|spec| spec.matches(key)))
    }

    /// The values that an option takes, where they can be listed.
    pub(super) fn values(&self, key: &str) -> Vec<OptionValue> {
        let plain = |text| OptionValue { text, doc: String::new() };
        if !self.is_setting && key == "connector" {
            let shown = CONNECTORS.iter().filter(|c| !HIDDEN.contains(&c.name));
            return shown.map(|c| OptionValue { text: c.name, doc: directions(c) }).collect();
        }
        if !self.is_setting && (key == "format" || key.ends_with(".format")) {
            let is_key = key == "key.format";
            return FORMATS
                .iter()
                .filter(|f| f.for_keys || !is_key)
                .map(|f| plain(f.name))
                .collect();
        }
        match self.spec(key).map(|spec| spec.kind) {
            Some(OptionKind::OneOf(words)) => words.iter().map(|word| plain(word)).collect(),
            Some(OptionKind::Boolean) => vec![plain("true"), plain("false")],
            Some(
                OptionKind::Text
                | OptionKind::Integer
                | OptionKind::Duration
                | OptionKind::Columns
                | OptionKind::Offsets,
            )
            | None => Vec::new(),
        }
    }
}

fn directions(spec: &flow_ir::connector::ConnectorSpec) -> String {
    match (spec.directions.source, spec.directions.sink) {
        (true, true) => "Can be read and written.".into(),
        (true, false) => "Can be read.".into(),
        (false, _) => "Can be written.".into(),
    }
}

/// Whether a value follows: SET also takes TO.
fn is_equals(text: &str, in_set: bool) -> bool {
    text == "=" || (in_set && text.eq_ignore_ascii_case("to"))
}

/// The entries before the cursor's and those behind it in the same list.
fn following(
    place: &Place<'_>,
    cursor: usize,
    before: Vec<(String, String, bool)>,
) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> =
        before.into_iter().map(|(key, value, _)| (key, value)).collect();
    let rest = place.tokens.get(cursor..).unwrap_or(&[]);
    let comma = rest.iter().position(|t| place.text_of(t) == ",").map_or(rest.len(), |at| at + 1);
    let list: Vec<&str> = rest[comma.min(rest.len())..]
        .iter()
        .map(|t| place.text_of(t))
        .take_while(|text| *text != ")")
        .collect();
    for entry in list.split(|text| *text == ",") {
        let mut sides = entry.splitn(2, |text| *text == "=");
        let mut side = || -> String {
            sides.next().unwrap_or(&[]).iter().map(|text| unquoted(text)).collect()
        };
        entries.push((side(), side()));
    }
    entries
}

/// A string without its quotes, other text as it is.
pub(super) fn unquoted(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) => rest.strip_suffix('\'').unwrap_or(rest),
        None => text,
    }
}

/// What an option takes, for people.
pub(super) fn takes(kind: OptionKind) -> String {
    match kind {
        OptionKind::Text => "text".into(),
        OptionKind::Integer => "a whole number".into(),
        OptionKind::Boolean => "true or false".into(),
        OptionKind::Duration => "a time such as '5 s'".into(),
        OptionKind::OneOf(words) => words.join(", "),
        OptionKind::Columns => "column names separated by ;".into(),
        OptionKind::Offsets => {
            "offsets such as 'partition:0,offset:42;partition:1,offset:300'".into()
        }
    }
}
