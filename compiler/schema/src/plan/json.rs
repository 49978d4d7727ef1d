//! The members that JSON columns are read from: paths merged into a tree, so that an object is
//! read once however many of its members are wanted.

use flow_ir::decode_plan::{JsonMember, JsonStep};
use flow_ir::encode_plan::JsonTimestamps;
use flow_ir::physical::Stream;

use super::{EncodeFormat, Wanted};

/// The steps that read these columns from one JSON value.
pub(super) fn steps(wanted: &[Wanted<'_>]) -> Vec<JsonStep> {
    let mut steps: Vec<JsonStep> = Vec::new();
    for w in wanted {
        insert(&mut steps, w.path, w.column);
    }
    steps
}

fn insert(steps: &mut Vec<JsonStep>, path: &[String], column: u32) {
    let Some((name, rest)) = path.split_first() else {
        steps.push(JsonStep::Column(column));
        return;
    };
    let members = match steps.iter().position(|s| matches!(s, JsonStep::Members(_))) {
        Some(at) => at,
        None => {
            steps.push(JsonStep::Members(Vec::new()));
            steps.len() - 1
        }
    };
    let JsonStep::Members(members) = &mut steps[members] else { return };
    let member = match members.iter().position(|m| m.name == *name) {
        Some(at) => at,
        None => {
            members.push(JsonMember { name: name.clone(), into: Vec::new() });
            members.len() - 1
        }
    };
    insert(&mut members[member].into, rest, column);
}

/// How a stream's options say that timestamps are written in JSON.
pub fn json_timestamps(stream: &Stream) -> JsonTimestamps {
    let standard = ["json", "debezium-json"].into_iter().find_map(|format| {
        ["value.", "key.", ""]
            .into_iter()
            .find_map(|side| stream.option(&format!("{side}{format}.timestamp-format.standard")))
    });
    match (stream.option("json.timestamp"), standard) {
        (Some("millis"), _) => JsonTimestamps::Millis,
        (Some("numbers"), _) => JsonTimestamps::Numbers,
        (None, Some("SQL")) => JsonTimestamps::Sql,
        (Some(_) | None, _) => JsonTimestamps::Iso,
    }
}

/// Whether options say that a side's single column is the whole value in JSON. `side` is `key` or
/// `value`.
pub fn is_bare_json<'o>(option: impl Fn(&str) -> Option<&'o str>, side: &str) -> bool {
    const WRAPS: &str = "json.wrap-single-value";
    option(&format!("{side}.{WRAPS}")).or_else(|| option(WRAPS)) == Some("false")
}

/// How a stream's options say that so many columns are written in JSON.
pub fn json_format(stream: &Stream, side: &str, columns: usize) -> EncodeFormat<'static> {
    let timestamps = json_timestamps(stream);
    match columns == 1 && is_bare_json(|name| stream.option(name), side) {
        true => EncodeFormat::BareJson(timestamps),
        false => EncodeFormat::Json(timestamps),
    }
}
