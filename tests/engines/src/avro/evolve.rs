//! A reader's schema for a writer's, as Avro allows them to differ: fields that come and go, other
//! names, wider numbers, text for bytes, unions with null, other symbols.

use serde_json::{Map, Value as Json, json};

use super::schema::nameless;
use crate::source::Source;
use crate::values::value_of;
use flow_ir::types::DataType;
use flow_ir::value::Value;

/// A reader's schema, and the same one without other names: apache-avro finds fields by name only.
pub(super) struct Reader {
    /// With aliases.
    pub(super) renamed: Json,
    /// Without.
    pub(super) plain: Json,
}

/// A reader's schema of a writer's.
pub(super) fn reader(s: &mut Source<'_>, writer: &Json) -> Reader {
    let plain = change(s, writer);
    let mut renamed = plain.clone();
    rename(s, &mut renamed);
    Reader { renamed, plain }
}

fn change(s: &mut Source<'_>, schema: &Json) -> Json {
    match schema {
        Json::String(name) if name == "null" && s.once_in(2) => json!(["null", "int"]),
        Json::String(name) => json!(promoted(s, name)),
        // Which branch of several a value goes to is read by name; they stay as they are.
        Json::Array(branches) if branches.len() > 2 => schema.clone(),
        Json::Array(branches) => {
            let is_null = |branch: &Json| *branch == json!("null");
            match branches.iter().position(|branch| !is_null(branch)) {
                Some(at) if branches.iter().any(is_null) => {
                    let inner = change(s, &branches[at]);
                    match s.below(6) {
                        0 if !inner.is_array() => inner,
                        1 => json!([inner, "null"]),
                        _ => json!(["null", inner]),
                    }
                }
                _ => schema.clone(),
            }
        }
        Json::Object(object) => change_object(s, object),
        other => other.clone(),
    }
}

fn change_object(s: &mut Source<'_>, object: &Map<String, Json>) -> Json {
    let mut out = object.clone();
    match object["type"].as_str() {
        Some("array") => {
            out["items"] = change(s, &object["items"]);
        }
        Some("map") => {
            out["values"] = change(s, &object["values"]);
        }
        Some("record") => {
            let fields = object["fields"].as_array().map_or(&[][..], Vec::as_slice);
            out["fields"] = Json::Array(change_fields(s, fields));
        }
        Some("enum") if s.once_in(2) => {
            let mut symbols = object["symbols"].as_array().cloned().unwrap_or_default();
            symbols.retain(|_| !s.once_in(3));
            symbols.push(json!("OTHER"));
            let at = s.below(symbols.len());
            symbols.rotate_left(at);
            out["symbols"] = Json::Array(symbols);
            if !s.once_in(4) {
                out.insert("default".into(), json!("OTHER"));
            }
        }
        _ => {}
    }
    Json::Object(out)
}

fn change_fields(s: &mut Source<'_>, fields: &[Json]) -> Vec<Json> {
    let mut out = Vec::new();
    for field in fields {
        // What is left out may define a name that stands elsewhere; only plain types go.
        if field["type"].is_string() && s.once_in(5) {
            continue;
        }
        let mut field = field.clone();
        let changed = change(s, &field["type"]);
        let plain = |ty: &Json| ty.is_string() || ty["logicalType"].is_string();
        field["type"] = match s.once_in(8) && plain(&changed) && changed != json!("null") {
            true => json!(["null", changed]),
            false => changed,
        };
        out.push(field);
    }
    for i in 0..s.below(3) {
        let ty = nameless(s);
        if let Some(default) = default_of(s, &ty) {
            out.push(json!({"name": format!("added{i}"), "type": ty, "default": default}));
        }
    }
    if !out.is_empty() && s.once_in(3) {
        let at = s.below(out.len());
        // A name is defined where it stands first, so that only plain fields change places.
        if out.iter().all(|field| field["type"].is_string()) {
            out.rotate_left(at);
        }
    }
    out
}

/// A type that the writer's becomes.
fn promoted(s: &mut Source<'_>, name: &str) -> String {
    let wider: &[&str] = match name {
        "int" => &["int", "long", "float", "double"],
        "long" => &["long", "float", "double"],
        "float" => &["float", "double"],
        "string" => &["string", "bytes"],
        "bytes" => &["bytes", "string"],
        other => return other.to_string(),
    };
    if s.once_in(3) { (*s.pick(wider)).to_string() } else { name.to_string() }
}

/// Gives some fields other names, with the old ones as aliases.
fn rename(s: &mut Source<'_>, schema: &mut Json) {
    match schema {
        Json::Array(branches) => branches.iter_mut().for_each(|branch| rename(s, branch)),
        Json::Object(object) => {
            for inside in ["items", "values"] {
                if let Some(schema) = object.get_mut(inside) {
                    rename(s, schema);
                }
            }
            let Some(Json::Array(fields)) = object.get_mut("fields") else { return };
            for field in fields {
                rename(s, &mut field["type"]);
                let old = field["name"].as_str().unwrap_or_default().to_string();
                if old.starts_with('f') && s.once_in(4) {
                    field["name"] = json!(format!("new_{old}"));
                    field["aliases"] = json!(["older", old]);
                }
            }
        }
        _ => {}
    }
}

/// A default of a type; `None` for types whose defaults Flow does not take.
fn default_of(s: &mut Source<'_>, ty: &Json) -> Option<Json> {
    let logical = ty["logicalType"].as_str();
    let base = ty.as_str().or(ty["type"].as_str());
    let small = |s: &mut Source<'_>| s.below(80_000) as i64;
    Some(match (ty, base, logical) {
        (Json::Array(branches), ..) => default_of(s, branches.first()?)?,
        (_, _, Some("uuid")) => return None,
        (_, _, Some("decimal")) => json!("\u{0}\u{7}"),
        (_, Some("array"), _) => {
            let items: Option<Vec<Json>> =
                (0..s.below(3)).map(|_| default_of(s, &ty["items"])).collect();
            Json::Array(items?)
        }
        (_, Some("map"), _) => match s.below(2) {
            0 => json!({}),
            _ => json!({"k": default_of(s, &ty["values"])?}),
        },
        (_, Some("null"), _) => Json::Null,
        (_, Some("boolean"), _) => json!(s.once_in(2)),
        (_, Some("int" | "long"), _) => json!(small(s)),
        (_, Some("float" | "double"), _) => json!(small(s) as f64 / 8.0),
        // Above 0x7f apache-avro takes UTF-8 where Avro says one character a byte.
        (_, Some("bytes"), _) => json!("\u{0}\u{7f}a"),
        (_, Some("string"), _) => match value_of(s, &DataType::String) {
            Value::String(text) => json!(text),
            _ => json!(""),
        },
        _ => return None,
    })
}
