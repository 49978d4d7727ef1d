//! JSON as Postgres asks and changes it: containment, keys, paths of names, elements as values.

use flow_ir::types::{DataType, Slot, Type};
use serde_json::Value as Json;

use super::arrays::{elements, put, put_texts};
use super::json::parse;
use super::json_parts::signature;
use super::maps::put_map;
use super::pg_arrays::items_of;
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut};
use crate::signature::Pattern as P;

const JSON: Builtin = Builtin { family: Family::Json, ..Builtin::STRICT };
const TEXTS: P = P::Array(&P::String);

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "JSONB_CONTAINS",
        doc: "Whether the first JSON contains the second (@>): members and elements, at any depth.",
        overloads: &[
            signature(&[P::Json, P::Json], P::Boolean, "jsonb_contains", jsonb_contains),
            signature(&[P::String, P::String], P::Boolean, "jsonb_contains", jsonb_contains),
        ],
        examples: &[
            (r#"JSONB_CONTAINS('{"a": [1, 2], "b": 3}', '{"a": [2]}')"#, "TRUE"),
            (r#"JSONB_CONTAINS('[1, [2]]', '2')"#, "FALSE"),
            (r#"JSONB_CONTAINS('{}', NULL)"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_EXISTS",
        doc: "Whether a text is a member's name or an element of an array (?).",
        overloads: &[
            signature(&[P::Json, P::String], P::Boolean, "jsonb_exists", jsonb_exists),
            signature(&[P::String, P::String], P::Boolean, "jsonb_exists", jsonb_exists),
        ],
        examples: &[
            (r#"JSONB_EXISTS('{"a": null}', 'a')"#, "TRUE"),
            (r#"JSONB_EXISTS('["a"]', 'b')"#, "FALSE"),
            (r#"JSONB_EXISTS('{}', NULL)"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_EXISTS_ANY",
        doc: "Whether any of these texts is a member's name or an element of an array (?|).",
        overloads: &[
            signature(&[P::Json, TEXTS], P::Boolean, "jsonb_exists_any", jsonb_exists_any),
            signature(&[P::String, TEXTS], P::Boolean, "jsonb_exists_any", jsonb_exists_any),
        ],
        examples: &[
            (r#"JSONB_EXISTS_ANY('{"a": 1}', ARRAY['x', 'a'])"#, "TRUE"),
            (r#"JSONB_EXISTS_ANY('{}', NULL)"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_EXISTS_ALL",
        doc: "Whether all of these texts are members' names or elements of an array (?&).",
        overloads: &[
            signature(&[P::Json, TEXTS], P::Boolean, "jsonb_exists_all", jsonb_exists_all),
            signature(&[P::String, TEXTS], P::Boolean, "jsonb_exists_all", jsonb_exists_all),
        ],
        examples: &[
            (r#"JSONB_EXISTS_ALL('{"a": 1}', ARRAY['x', 'a'])"#, "FALSE"),
            (r#"JSONB_EXISTS_ALL('{}', NULL)"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_AT_PATH",
        doc: "What a path of names and indexes from 0 reaches (#>): '{a,0}' or an array.",
        overloads: &[
            signature(&[P::Json, P::String], P::Json, "jsonb_path", at_path),
            signature(&[P::String, P::String], P::Json, "jsonb_path", at_path),
            signature(&[P::Json, TEXTS], P::Json, "jsonb_path_of", at_path_of),
            signature(&[P::String, TEXTS], P::Json, "jsonb_path_of", at_path_of),
        ],
        examples: &[
            (r#"JSONB_AT_PATH('{"a": [{"b": 1}]}', '{a,0}')"#, r#"{"b":1}"#),
            (r#"JSONB_AT_PATH('{"a": 1}', ARRAY['b'])"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_AT_PATH_TEXT",
        doc: "As JSONB_AT_PATH, as text (#>>): a string without its quotes, NULL for null.",
        overloads: &[
            signature(&[P::Json, P::String], P::String, "jsonb_path_text", at_path_text),
            signature(&[P::String, P::String], P::String, "jsonb_path_text", at_path_text),
            signature(&[P::Json, TEXTS], P::String, "jsonb_path_text_of", at_path_text_of),
            signature(&[P::String, TEXTS], P::String, "jsonb_path_text_of", at_path_text_of),
        ],
        examples: &[
            (r#"JSONB_AT_PATH_TEXT('{"a": [{"b": "x"}]}', '{a,0,b}')"#, "x"),
            (r#"JSONB_AT_PATH_TEXT('{"a": 1}', ARRAY['b'])"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_DELETE_PATH",
        doc: "JSON without what is at a path of names and indexes (#-).",
        overloads: &[
            signature(&[P::Json, P::String], P::Json, "jsonb_delete_path", jsonb_delete_path),
            signature(&[P::String, P::String], P::Json, "jsonb_delete_path", jsonb_delete_path),
            signature(&[P::Json, TEXTS], P::Json, "jsonb_delete_path_of", jsonb_delete_path_of),
            signature(&[P::String, TEXTS], P::Json, "jsonb_delete_path_of", jsonb_delete_path_of),
        ],
        examples: &[
            (r#"JSONB_DELETE_PATH('{"a": [1, 2]}', '{a,0}')"#, r#"{"a":[2]}"#),
            (r#"JSONB_DELETE_PATH('{"a": {"b": 1}}', ARRAY['a', 'c'])"#, r#"{"a":{"b":1}}"#),
            ("JSONB_DELETE_PATH(NULL, '{a}')", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_CANONICAL",
        doc: "JSON without blanks, its names in order and each of them once, the last one: what is \
              equal has equal texts then. `x::JSONB` and comparisons make it.",
        overloads: &[
            signature(&[P::Json], P::Json, "json_canonical", json_canonical),
            signature(&[P::String], P::Json, "json_canonical", json_canonical),
        ],
        examples: &[
            (r#"JSON_CANONICAL('{"b": 1, "a": [ 2 ], "b": 3}')"#, r#"{"a":[2],"b":3}"#),
            ("JSON_CANONICAL(NULL)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_CONCAT",
        doc: "Two objects as one, the second's members winning, or arrays end to end (||).",
        overloads: &[
            signature(&[P::Json, P::Json], P::Json, "jsonb_concat", jsonb_concat),
            signature(&[P::String, P::String], P::Json, "jsonb_concat", jsonb_concat),
        ],
        examples: &[
            (r#"JSONB_CONCAT('{"a": 1}', '{"b": 2}')"#, r#"{"a":1,"b":2}"#),
            ("JSONB_CONCAT('[1]', '2')", "[1,2]"),
            ("JSONB_CONCAT('[1]', NULL)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_DELETE",
        doc: "JSON without a member, an equal text of an array, or the element at an index (-).",
        overloads: &[
            signature(&[P::Json, P::BigInt], P::Json, "jsonb_delete_at", jsonb_delete_at),
            signature(&[P::String, P::BigInt], P::Json, "jsonb_delete_at", jsonb_delete_at),
            signature(&[P::Json, P::String], P::Json, "jsonb_delete", jsonb_delete),
            signature(&[P::String, P::String], P::Json, "jsonb_delete", jsonb_delete),
            signature(&[P::Json, TEXTS], P::Json, "jsonb_delete_all", jsonb_delete_all),
            signature(&[P::String, TEXTS], P::Json, "jsonb_delete_all", jsonb_delete_all),
        ],
        examples: &[
            (r#"JSONB_DELETE('{"a": 1, "b": 2}', 'a')"#, r#"{"b":2}"#),
            ("JSONB_DELETE('[1, 2, 3]', -1)", "[1,2]"),
            ("JSONB_DELETE('{}', NULL)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_SET",
        doc: "JSON with a new value at a path; a member that is missing there is made.",
        overloads: &[
            signature(&[P::Json, P::String, P::Json], P::Json, "jsonb_set", jsonb_set),
            signature(&[P::String, P::String, P::String], P::Json, "jsonb_set", jsonb_set),
            signature(&[P::Json, TEXTS, P::Json], P::Json, "jsonb_set_of", jsonb_set_of),
            signature(&[P::String, TEXTS, P::String], P::Json, "jsonb_set_of", jsonb_set_of),
        ],
        examples: &[
            (r#"JSONB_SET('{"a": [1, 2]}', '{a,1}', '9')"#, r#"{"a":[1,9]}"#),
            (r#"JSONB_SET('{"a": {}}', ARRAY['a', 'b'], '"x"')"#, r#"{"a":{"b":"x"}}"#),
            (r#"JSONB_SET('{}', '{a}', NULL)"#, "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_ARRAY_ELEMENTS",
        aliases: &["JSON_ARRAY_ELEMENTS"],
        doc: "The elements of a JSON array; in FROM and SELECT a row for each.",
        overloads: &[
            signature(&[P::Json], P::Array(&P::Json), "jsonb_elements", jsonb_elements),
            signature(&[P::String], P::Array(&P::Json), "jsonb_elements", jsonb_elements),
        ],
        examples: &[
            (r#"JSONB_ARRAY_ELEMENTS('[1, "a"]')"#, r#"[1, "a"]"#),
            ("JSONB_ARRAY_ELEMENTS('{}')", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_ARRAY_ELEMENTS_TEXT",
        aliases: &["JSON_ARRAY_ELEMENTS_TEXT"],
        doc: "The elements of a JSON array as text: strings without quotes, NULL for null.",
        overloads: &[
            signature(&[P::Json], TEXTS, "jsonb_elements_text", jsonb_elements_text),
            signature(&[P::String], TEXTS, "jsonb_elements_text", jsonb_elements_text),
        ],
        examples: &[
            (r#"JSONB_ARRAY_ELEMENTS_TEXT('["x", null, 1]')"#, "[x, NULL, 1]"),
            ("JSONB_ARRAY_ELEMENTS_TEXT('{}')", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_EACH",
        aliases: &["JSON_EACH"],
        doc: "The members of a JSON object; in FROM a row of key and value for each.",
        overloads: &[
            signature(&[P::Json], P::Map(&P::String, &P::Json), "jsonb_each", jsonb_each),
            signature(&[P::String], P::Map(&P::String, &P::Json), "jsonb_each", jsonb_each),
        ],
        examples: &[
            (r#"JSONB_EACH('{"a": "x", "b": 1}')"#, r#"{a="x", b=1}"#),
            ("JSONB_EACH('[]')", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSONB_EACH_TEXT",
        aliases: &["JSON_EACH_TEXT"],
        doc: "The members of a JSON object as text: strings without quotes, NULL for null.",
        overloads: &[
            signature(
                &[P::Json],
                P::Map(&P::String, &P::String),
                "jsonb_each_text",
                jsonb_each_text,
            ),
            signature(
                &[P::String],
                P::Map(&P::String, &P::String),
                "jsonb_each_text",
                jsonb_each_text,
            ),
        ],
        examples: &[
            (r#"JSONB_EACH_TEXT('{"a": "x", "b": 1}')"#, "{a=x, b=1}"),
            ("JSONB_EACH_TEXT('[]')", "NULL"),
        ],
        ..JSON
    },
];

/// As text: a string without its quotes, none for null.
fn text_of(json: &Json) -> Option<String> {
    match json {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn texts<'a>(cx: &HostCx, arg: HostArg<'a>, at: usize) -> Vec<&'a str> {
    let all = elements(arg, &cx.args[at]).into_iter();
    all.filter(|text| !text.is_null()).map(HostArg::str).collect()
}

fn contains(json: &Json, part: &Json, top: bool) -> bool {
    match (json, part) {
        (Json::Object(members), Json::Object(wanted)) => wanted.iter().all(|(name, wanted)| {
            members.get(name).is_some_and(|member| contains(member, wanted, false))
        }),
        (Json::Array(items), Json::Array(wanted)) => {
            wanted.iter().all(|wanted| items.iter().any(|item| contains(item, wanted, false)))
        }
        // An array contains a scalar that it has.
        (Json::Array(items), scalar) if top && !scalar.is_object() => items.contains(scalar),
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn jsonb_contains(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let (Some(json), Some(part)) = (parse(args[0].str()), parse(args[1].str())) {
        out.bool(contains(&json, &part, true));
    }
    Ok(())
}

fn has(json: &Json, name: &str) -> bool {
    match json {
        Json::Object(members) => members.contains_key(name),
        Json::Array(items) => items.iter().any(|item| item.as_str() == Some(name)),
        other => other.as_str() == Some(name),
    }
}

fn jsonb_exists(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(json) = parse(args[0].str()) {
        out.bool(has(&json, args[1].str()));
    }
    Ok(())
}

fn jsonb_exists_any(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(json) = parse(args[0].str()) {
        out.bool(texts(cx, args[1], 1).into_iter().any(|name| has(&json, name)));
    }
    Ok(())
}

fn jsonb_exists_all(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(json) = parse(args[0].str()) {
        out.bool(texts(cx, args[1], 1).into_iter().all(|name| has(&json, name)));
    }
    Ok(())
}

/// Where an index leads; below 0 from the end.
fn position(index: &str, count: usize) -> Option<usize> {
    let index = index.trim().parse::<i64>().ok()?;
    let at = usize::try_from(index.unsigned_abs()).ok()?;
    let at = if index < 0 { count.checked_sub(at)? } else { at };
    (at < count).then_some(at)
}

fn find<'j>(json: &'j Json, path: &[&str]) -> Option<&'j Json> {
    path.iter().try_fold(json, |json, step| match json {
        Json::Object(members) => members.get(*step),
        Json::Array(items) => position(step, items.len()).and_then(|at| items.get(at)),
        _ => None,
    })
}

/// A path as `{a,0}`.
fn steps(text: &str) -> Result<Vec<String>, HostError> {
    Ok(items_of(text)?.into_iter().flatten().collect())
}

fn found(json: &str, path: &[&str], as_text: bool, out: &mut HostOut<'_>) {
    let json = parse(json);
    let Some(json) = json.as_ref().and_then(|json| find(json, path)) else { return };
    match as_text {
        false => out.str(&json.to_string()),
        true => {
            if let Some(text) = text_of(json) {
                out.str(&text);
            }
        }
    }
}

fn at_path(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let steps = steps(args[1].str())?;
    found(args[0].str(), &steps.iter().map(String::as_str).collect::<Vec<_>>(), false, out);
    Ok(())
}

fn at_path_text(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let steps = steps(args[1].str())?;
    found(args[0].str(), &steps.iter().map(String::as_str).collect::<Vec<_>>(), true, out);
    Ok(())
}

fn at_path_of(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    found(args[0].str(), &texts(cx, args[1], 1), false, out);
    Ok(())
}

fn at_path_text_of(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    found(args[0].str(), &texts(cx, args[1], 1), true, out);
    Ok(())
}

fn jsonb_delete_path(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let steps = steps(args[1].str())?;
    deleted(args[0].str(), &steps.iter().map(String::as_str).collect::<Vec<_>>(), out);
    Ok(())
}

fn jsonb_delete_path_of(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    deleted(args[0].str(), &texts(cx, args[1], 1), out);
    Ok(())
}

fn deleted(text: &str, path: &[&str], out: &mut HostOut<'_>) {
    if let Some(mut json) = parse(text) {
        delete_at(&mut json, path);
        out.str(&json.to_string());
    }
}

fn delete_at(json: &mut Json, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else { return };
    match json {
        Json::Object(members) if rest.is_empty() => {
            members.remove(*first);
        }
        Json::Object(members) => members.get_mut(*first).into_iter().for_each(|member| {
            delete_at(member, rest);
        }),
        Json::Array(items) => match position(first, items.len()) {
            Some(at) if rest.is_empty() => {
                items.remove(at);
            }
            Some(at) => delete_at(&mut items[at], rest),
            None => {}
        },
        _ => {}
    }
}

fn json_canonical(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(json) = parse(args[0].str()) {
        out.str(&json.to_string());
    }
    Ok(())
}

fn jsonb_concat(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (Some(a), Some(b)) = (parse(args[0].str()), parse(args[1].str())) else { return Ok(()) };
    let joined = match (a, b) {
        (Json::Object(mut members), Json::Object(more)) => {
            members.extend(more);
            Json::Object(members)
        }
        (a, b) => {
            let items = |json| match json {
                Json::Array(items) => items,
                other => vec![other],
            };
            Json::Array(items(a).into_iter().chain(items(b)).collect())
        }
    };
    out.str(&joined.to_string());
    Ok(())
}

fn without(json: Json, names: &[&str]) -> Json {
    match json {
        Json::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| !names.contains(&name.as_str()));
            Json::Object(kept.collect())
        }
        Json::Array(items) => {
            let named = |item: &Json| item.as_str().is_some_and(|text| names.contains(&text));
            Json::Array(items.into_iter().filter(|item| !named(item)).collect())
        }
        other => other,
    }
}

fn jsonb_delete(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(json) = parse(args[0].str()) {
        out.str(&without(json, &[args[1].str()]).to_string());
    }
    Ok(())
}

fn jsonb_delete_all(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(json) = parse(args[0].str()) {
        out.str(&without(json, &texts(cx, args[1], 1)).to_string());
    }
    Ok(())
}

fn jsonb_delete_at(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(mut json) = parse(args[0].str()) {
        if let Json::Array(items) = &mut json
            && let Some(at) = position(&args[1].i64().to_string(), items.len())
        {
            items.remove(at);
        }
        out.str(&json.to_string());
    }
    Ok(())
}

fn set(json: &mut Json, path: &[&str], value: Json) {
    let Some((last, steps)) = path.split_last() else { return };
    let mut at = json;
    for step in steps {
        let next = match at {
            Json::Object(members) => members.get_mut(*step),
            Json::Array(items) => {
                position(step, items.len()).and_then(|position| items.get_mut(position))
            }
            _ => None,
        };
        let Some(next) = next else { return };
        at = next;
    }
    match at {
        Json::Object(members) => {
            members.insert((*last).to_string(), value);
        }
        Json::Array(items) => match position(last, items.len()) {
            Some(position) => items[position] = value,
            None if last.trim().starts_with('-') => items.insert(0, value),
            None => items.push(value),
        },
        _ => {}
    }
}

fn jsonb_set(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let steps = steps(args[1].str())?;
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    put_set(args, &steps, out);
    Ok(())
}

fn jsonb_set_of(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    put_set(args, &texts(cx, args[1], 1), out);
    Ok(())
}

fn put_set(args: &[HostArg<'_>], path: &[&str], out: &mut HostOut<'_>) {
    if let (Some(mut json), Some(value)) = (parse(args[0].str()), parse(args[2].str())) {
        set(&mut json, path, value);
        out.str(&json.to_string());
    }
}

fn jsonb_elements(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(Json::Array(items)) = parse(args[0].str()) {
        let texts: Vec<String> = items.iter().map(Json::to_string).collect();
        put(cx, out, Slot::Var, texts.iter().map(|text| HostArg::Bytes(text.as_bytes())));
    }
    Ok(())
}

fn jsonb_elements_text(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(Json::Array(items)) = parse(args[0].str()) {
        let texts: Vec<Option<String>> = items.iter().map(text_of).collect();
        put_texts(cx, out, texts.iter().map(Option::as_deref));
    }
    Ok(())
}

fn members(json: &str, value: DataType, as_text: bool, out: &mut HostOut<'_>) -> Done {
    let Some(Json::Object(members)) = parse(json) else { return Ok(()) };
    let of = |json: &Json| if as_text { text_of(json) } else { Some(json.to_string()) };
    let texts: Vec<(&String, Option<String>)> =
        members.iter().map(|(name, json)| (name, of(json))).collect();
    let (key, value) = (Type::not_null(DataType::String), Type::nullable(value));
    let entries = texts.iter().map(|(name, text)| {
        let text = text.as_ref().map_or(HostArg::Null, |text| HostArg::Bytes(text.as_bytes()));
        (HostArg::Bytes(name.as_bytes()), text)
    });
    put_map((&key, &value), out, entries)
}

fn jsonb_each(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    members(args[0].str(), DataType::Json, false, out)
}

fn jsonb_each_text(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    members(args[0].str(), DataType::String, true, out)
}
