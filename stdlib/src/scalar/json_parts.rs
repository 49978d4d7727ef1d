//! Taking JSON apart, under the names of the engines that do, and putting JSON together again.

use flow_ir::types::{DataType, Type};
use serde_json::Value as Json;

use super::arrays::put_texts;
use super::json::parse;
use super::json_path::Path;
use super::maps::put_map;
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{Pattern as P, Signature, sig};

const JSON: Builtin = Builtin { family: Family::Json, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// (JSON or text, more) with one meaning.
macro_rules! of_json {
    ($more:expr, $returns:expr, $host:literal, $call:expr) => {
        &[
            signature(&[P::Json, $more], $returns, $host, $call),
            signature(&[P::String, $more], $returns, $host, $call),
        ]
    };
    ($returns:expr, $host:literal, $call:expr) => {
        &[
            signature(&[P::Json], $returns, $host, $call),
            signature(&[P::String], $returns, $host, $call),
        ]
    };
}

/// An overload whose result may be NULL.
pub(super) const fn signature(
    params: &'static [P],
    returns: P,
    name: &'static str,
    call: crate::host::HostCall,
) -> Signature {
    sig(params, returns, host(name, call)).may_be_null()
}

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "->",
        family: Family::Operator,
        doc: "The member of a name, the element of an index from 0, or what a path reaches.",
        overloads: &[
            signature(&[P::Json, P::BigInt], P::Json, "json_element", json_element),
            signature(&[P::Json, P::String], P::Json, "json_member", json_member),
            signature(&[P::String, P::BigInt], P::Json, "json_element", json_element),
            signature(&[P::String, P::String], P::Json, "json_member", json_member),
        ],
        examples: &[
            (r#"'{"a": [1, 2]}' -> 'a' -> 1"#, "2"),
            (r#"'{"a": {"b": "x"}}' -> 'a'"#, r#"{"b":"x"}"#),
            (r#"'{"a": 1}' -> 'b'"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "->>",
        family: Family::Operator,
        doc: "As ->, as text: a string without its quotes, NULL for null.",
        overloads: &[
            signature(&[P::Json, P::BigInt], P::String, "json_element_text", json_element_text),
            signature(&[P::Json, P::String], P::String, "json_member_text", json_member_text),
            signature(&[P::String, P::BigInt], P::String, "json_element_text", json_element_text),
            signature(&[P::String, P::String], P::String, "json_member_text", json_member_text),
        ],
        examples: &[
            (r#"'{"a": {"b": "x"}}' -> 'a' ->> 'b'"#, "x"),
            (r#"'{"a": null}' ->> 'a'"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_EXTRACT",
        aliases: &["JSON_EXTRACT_PATH", "JSONB_EXTRACT_PATH", "JSONB_PATH_QUERY_FIRST"],
        doc: "The JSON at a path, or of a member's name.",
        overloads: of_json!(P::String, P::Json, "json_member", json_member),
        examples: &[
            (r#"JSON_EXTRACT('{"a": ["x"]}', '$.a[0]')"#, r#""x""#),
            (r#"JSON_EXTRACT('{"a": [1]}', 'a')"#, "[1]"),
            (r#"JSON_EXTRACT('{}', '$.a')"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_EXTRACT_STRING",
        aliases: &["JSON_EXTRACT_PATH_TEXT", "JSONB_EXTRACT_PATH_TEXT"],
        doc: "What is at a path, or of a member's name, as text.",
        overloads: of_json!(P::String, P::String, "json_member_text", json_member_text),
        examples: &[
            (r#"JSON_EXTRACT_STRING('{"a": ["x"]}', '$.a[0]')"#, "x"),
            (r#"JSON_EXTRACT_STRING('{"a": 1}', NULL)"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "EXTRACTJSONFIELD",
        aliases: &["GET_JSON_OBJECT", "JSON_EXTRACT_SCALAR", "EXTRACT_JSON_STRING"],
        doc: "What is at a path as text: a string without its quotes, the rest as JSON.",
        overloads: of_json!(P::String, P::String, "json_at_path_text", json_at_path_text),
        examples: &[
            (r#"EXTRACTJSONFIELD('{"a": {"b": ["x"]}}', '$.a.b[0]')"#, "x"),
            (r#"EXTRACTJSONFIELD('{"a": [1]}', '$.a')"#, "[1]"),
            (r#"EXTRACTJSONFIELD('nonsense', '$.a')"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_ARRAY_LENGTH",
        aliases: &["JSONB_ARRAY_LENGTH"],
        doc: "How many elements an array has; NULL for anything else.",
        overloads: of_json!(P::Int, "json_array_length", json_array_length),
        examples: &[("JSON_ARRAY_LENGTH('[1, 2]')", "2"), ("JSON_ARRAY_LENGTH('{}')", "NULL")],
        ..JSON
    },
    Builtin {
        name: "JSON_ARRAY_CONTAINS",
        doc: "Whether a JSON array has a value among its elements; NULL if the text is no array.",
        overloads: of_json!(P::Anything, P::Boolean, "json_array_contains", json_array_contains),
        examples: &[
            ("JSON_ARRAY_CONTAINS('[1, 2]', 2)", "TRUE"),
            (r#"JSON_ARRAY_CONTAINS('["a"]', 'b')"#, "FALSE"),
            ("JSON_ARRAY_CONTAINS('{}', 1)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_ITEMS",
        doc: "The elements of a JSON array, each as JSON text.",
        overloads: of_json!(P::Array(&P::String), "json_items", json_items),
        examples: &[
            (r#"JSON_ITEMS('[1, {"a": 2}]')"#, r#"[1, {"a":2}]"#),
            ("JSON_ITEMS('{}')", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_RECORDS",
        doc: "The members of a JSON object, each as JSON text.",
        overloads: of_json!(P::Map(&P::String, &P::String), "json_records", json_records),
        examples: &[
            (r#"JSON_RECORDS('{"a": "x", "b": [1]}')"#, r#"{a="x", b=[1]}"#),
            ("JSON_RECORDS('[]')", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_CONCAT",
        doc: "Objects as one, the last of equal members winning, or arrays end to end.",
        overloads: &[sig(&[P::String], P::String, host("json_concat", json_concat))
            .variadic()
            .may_be_null()],
        examples: &[
            (r#"JSON_CONCAT('{"a": 1}', '{"a": 2, "b": 3}')"#, r#"{"a":2,"b":3}"#),
            ("JSON_CONCAT('[1]', '2')", "[1,2]"),
            ("JSON_CONCAT('[1]', NULL)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_MERGE_PATCH",
        doc: "The first JSON with the changes that the second says: null removes (RFC 7396).",
        overloads: &[
            signature(&[P::Json, P::Json], P::Json, "json_merge_patch", json_merge_patch),
            signature(&[P::String, P::String], P::Json, "json_merge_patch", json_merge_patch),
        ],
        examples: &[
            (
                r#"JSON_MERGE_PATCH('{"a": 1, "b": {"c": 2}}', '{"a": null, "b": {"d": 3}}')"#,
                r#"{"b":{"c":2,"d":3}}"#,
            ),
            ("JSON_MERGE_PATCH('{}', NULL)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_STRIP_NULLS",
        aliases: &["JSONB_STRIP_NULLS"],
        doc: "The JSON without members that are null.",
        overloads: of_json!(P::Json, "json_strip_nulls", json_strip_nulls),
        examples: &[
            (r#"JSON_STRIP_NULLS('{"a": null, "b": [null]}')"#, r#"{"b":[null]}"#),
            ("JSON_STRIP_NULLS(NULL)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_PRETTY",
        aliases: &["JSONB_PRETTY"],
        doc: "The JSON with line breaks and indentation.",
        overloads: of_json!(P::String, "json_pretty", json_pretty),
        examples: &[
            ("SPLIT_PART(JSON_PRETTY('[1]'), '1', 2) = ']'", "FALSE"),
            ("JSON_PRETTY(NULL)", "NULL"),
        ],
        ..JSON
    },
];

/// Puts JSON, or its text.
fn put(json: Option<&Json>, as_text: bool, out: &mut HostOut<'_>) {
    match json {
        None => {}
        Some(Json::Null) if as_text => {}
        Some(Json::String(text)) if as_text => out.str(text),
        Some(json) => out.str(&json.to_string()),
    }
}

fn of_index(args: &[HostArg<'_>], as_text: bool, out: &mut HostOut<'_>) {
    let json = parse(args[0].str());
    let items = json.as_ref().and_then(Json::as_array);
    let found = items.and_then(|items| {
        let index = args[1].i64();
        let at = usize::try_from(index.unsigned_abs()).ok()?;
        items.get(if index < 0 { items.len().checked_sub(at)? } else { at })
    });
    put(found, as_text, out);
}

fn json_element(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    of_index(args, false, out);
    Ok(())
}

fn json_element_text(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    of_index(args, true, out);
    Ok(())
}

/// A path of a key, apart from that of a path of the same text.
struct Key(Path);

fn of_key(cx: &mut HostCx, args: &[HostArg<'_>], as_text: bool, out: &mut HostOut<'_>) -> Done {
    let key = cx.cached(args[1].bytes(), |text| Path::of_key(text).map(Key))?;
    put(parse(args[0].str()).as_ref().and_then(|json| key.0.find(json)), as_text, out);
    Ok(())
}

fn json_member(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    of_key(cx, args, false, out)
}

fn json_member_text(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    of_key(cx, args, true, out)
}

fn json_at_path_text(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let path = cx.cached(args[1].bytes(), Path::parse)?;
    put(parse(args[0].str()).as_ref().and_then(|json| path.find(json)), true, out);
    Ok(())
}

fn json_array_contains(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let mut wanted = Vec::new();
    super::json_make::write(args[1], &cx.args[1].data, &mut wanted);
    let wanted: Option<Json> = serde_json::from_slice(&wanted).ok();
    if let (Some(Json::Array(items)), Some(wanted)) = (parse(args[0].str()), wanted) {
        out.bool(items.contains(&wanted));
    }
    Ok(())
}

fn json_records(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let Some(Json::Object(members)) = parse(args[0].str()) else { return Ok(()) };
    let texts: Vec<(String, String)> =
        members.into_iter().map(|(name, json)| (name, json.to_string())).collect();
    let (key, value) = (Type::not_null(DataType::String), Type::nullable(DataType::String));
    let entries = texts
        .iter()
        .map(|(name, json)| (HostArg::Bytes(name.as_bytes()), HostArg::Bytes(json.as_bytes())));
    put_map((&key, &value), out, entries)
}

fn json_concat(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all: Option<Vec<Json>> = args.iter().map(|arg| parse(arg.str())).collect();
    let Some(all) = all else { return Ok(()) };
    let joined = if all.iter().all(Json::is_object) {
        let members = all.into_iter().filter_map(|json| match json {
            Json::Object(members) => Some(members),
            _ => None,
        });
        Json::Object(members.flatten().collect())
    } else {
        let items = all.into_iter().flat_map(|json| match json {
            Json::Array(items) => items,
            other => vec![other],
        });
        Json::Array(items.collect())
    };
    out.str(&joined.to_string());
    Ok(())
}

fn json_merge_patch(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let (Some(mut json), Some(patch)) = (parse(args[0].str()), parse(args[1].str())) {
        merge(&mut json, patch);
        out.str(&json.to_string());
    }
    Ok(())
}

fn merge(json: &mut Json, patch: Json) {
    let Json::Object(changes) = patch else {
        *json = patch;
        return;
    };
    if !json.is_object() {
        *json = Json::Object(serde_json::Map::new());
    }
    let Some(members) = json.as_object_mut() else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Json::Null), change);
        }
    }
}

fn strip_nulls(json: &mut Json) {
    match json {
        Json::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(strip_nulls);
        }
        Json::Array(items) => items.iter_mut().for_each(strip_nulls),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn json_array_length(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(Json::Array(items)) = parse(args[0].str()) {
        out.i64(items.len() as i64);
    }
    Ok(())
}

fn json_items(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(Json::Array(items)) = parse(args[0].str()) {
        let texts: Vec<String> = items.iter().map(Json::to_string).collect();
        put_texts(cx, out, texts.iter().map(|text| Some(text.as_str())));
    }
    Ok(())
}

fn json_strip_nulls(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(mut json) = parse(args[0].str()) {
        strip_nulls(&mut json);
        out.str(&json.to_string());
    }
    Ok(())
}

fn json_pretty(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(json) = parse(args[0].str()) {
        out.str(&format!("{json:#}"));
    }
    Ok(())
}
