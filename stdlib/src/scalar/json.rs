//! JSON text: what a path reaches, and what there is. What a path does not reach is NULL.

use serde_json::Value as Json;

use super::arrays::put_texts;
use super::json_path::Path;
use crate::builtin::{Builtin, Family, NullRule};
use crate::host::{HostArg, HostCx, HostError, HostOut, host, host_sees_nulls};
use crate::signature::{Nullability, Pattern as P, sig};

const JSON: Builtin = Builtin { family: Family::Json, ..Builtin::STRICT };

type Done = Result<(), HostError>;

macro_rules! kind {
    ($name:literal, $host:literal, $doc:literal, $is:expr) => {
        Builtin {
            name: $name,
            doc: $doc,
            overloads: &[sig(
                &[P::String],
                P::Boolean,
                host_sees_nulls($host, |_, a, out| {
                    out.bool(parse(a[0].str()).as_ref().is_some_and($is));
                    Ok(())
                }),
            )
            .nullability(Nullability::Never)],
            nulls: NullRule::SeesNulls,
            examples: &[
                (concat!("'nonsense' ", $name), "FALSE"),
                (concat!("CAST(NULL AS STRING) ", $name), "FALSE"),
            ],
            ..JSON
        }
    };
}

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "JSON_VALUE",
        doc: "The scalar at a path as text; NULL if there is none, or the text is no JSON.",
        overloads: &[
            sig(&[P::String, P::String], P::String, host("json_value", json_value)).may_be_null(),
            sig(&[P::Json, P::String], P::String, host("json_value", json_value)).may_be_null(),
        ],
        examples: &[
            (r#"JSON_VALUE('{"a": {"b": [1, "x"]}}', '$.a.b[1]')"#, "x"),
            (r#"JSON_VALUE('{"a": 1}', '$.b')"#, "NULL"),
            ("JSON_VALUE(NULL, '$')", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_QUERY",
        doc: "The object or array at a path as JSON text; NULL if there is none.",
        overloads: &[
            sig(&[P::String, P::String], P::String, host("json_query", json_query)).may_be_null(),
            sig(&[P::Json, P::String], P::String, host("json_query", json_query)).may_be_null(),
        ],
        examples: &[
            (r#"JSON_QUERY('{"a": [1, 2]}', '$.a')"#, "[1,2]"),
            (r#"JSON_QUERY('{"a": 1}', '$.a')"#, "NULL"),
            ("JSON_QUERY(NULL, '$')", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_EXISTS",
        aliases: &["JSONB_PATH_EXISTS"],
        doc: "Whether a path reaches a value.",
        overloads: &[
            sig(&[P::String, P::String], P::Boolean, host("json_exists", json_exists)),
            sig(&[P::Json, P::String], P::Boolean, host("json_exists", json_exists)),
        ],
        examples: &[
            (r#"JSON_EXISTS('{"a": null}', '$.a')"#, "TRUE"),
            ("JSON_EXISTS('[]', '$[0]')", "FALSE"),
            ("JSON_EXISTS(NULL, '$')", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_LENGTH",
        doc: "How many elements or members the array or object at a path has; 1 for a scalar.",
        overloads: &[
            sig(&[P::String], P::Int, host("json_length", json_length)).may_be_null(),
            sig(&[P::String, P::String], P::Int, host("json_length", json_length)).may_be_null(),
            sig(&[P::Json], P::Int, host("json_length", json_length)).may_be_null(),
            sig(&[P::Json, P::String], P::Int, host("json_length", json_length)).may_be_null(),
        ],
        examples: &[
            ("JSON_LENGTH('[1, 2, 3]')", "3"),
            (r#"JSON_LENGTH('{"a": {"b": 1}}', '$.a')"#, "1"),
            ("JSON_LENGTH(NULL)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_TYPE",
        aliases: &["JSON_TYPEOF", "JSONB_TYPEOF"],
        doc: "object, array, string, number, boolean or null; NULL if the text is no JSON.",
        overloads: &[
            sig(&[P::String], P::String, host("json_type", json_type)).may_be_null(),
            sig(&[P::Json], P::String, host("json_type", json_type)).may_be_null(),
        ],
        examples: &[
            ("JSON_TYPE('[]')", "array"),
            ("JSON_TYPE('nonsense')", "NULL"),
            ("JSON_TYPE(NULL)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_KEYS",
        aliases: &["JSON_OBJECT_KEYS", "JSONB_OBJECT_KEYS"],
        doc: "The member names of an object; NULL for anything else.",
        overloads: &[
            sig(&[P::String], P::Array(&P::String), host("json_keys", json_keys)).may_be_null(),
            sig(&[P::Json], P::Array(&P::String), host("json_keys", json_keys)).may_be_null(),
        ],
        examples: &[
            (r#"JSON_KEYS('{"a": 1, "b": 2}')"#, "[a, b]"),
            ("JSON_KEYS('[]')", "NULL"),
            ("JSON_KEYS(NULL)", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_QUOTE",
        doc: "The text as a JSON string.",
        overloads: &[sig(
            &[P::String],
            P::String,
            host("json_quote", |_, a, out| {
                out.str(&Json::from(a[0].str()).to_string());
                Ok(())
            }),
        )],
        examples: &[(r#"JSON_QUOTE('a"b')"#, r#""a\"b""#), ("JSON_QUOTE(NULL)", "NULL")],
        ..JSON
    },
    Builtin {
        name: "JSON_UNQUOTE",
        doc: "The text that a JSON string stands for; any other text as it is.",
        overloads: &[sig(
            &[P::String],
            P::String,
            host("json_unquote", |_, a, out| {
                match serde_json::from_str::<String>(a[0].str()) {
                    Ok(text) => out.str(&text),
                    Err(_) => out.str(a[0].str()),
                }
                Ok(())
            }),
        )],
        examples: &[(r#"JSON_UNQUOTE('"a\nb"') = 'x'"#, "FALSE"), ("JSON_UNQUOTE(NULL)", "NULL")],
        ..JSON
    },
    Builtin {
        name: "IS JSON",
        aliases: &["JSON_VALID", "IS_JSON_STRING"],
        doc: "Whether a text is JSON.",
        overloads: &[sig(
            &[P::String],
            P::Boolean,
            host_sees_nulls("is_json", |_, a, out| {
                out.bool(parse(a[0].str()).is_some());
                Ok(())
            }),
        )
        .nullability(Nullability::Never)],
        nulls: NullRule::SeesNulls,
        examples: &[("'[1]' IS JSON", "TRUE"), ("CAST(NULL AS STRING) IS JSON", "FALSE")],
        ..JSON
    },
    kind!("IS JSON OBJECT", "is_json_object", "Whether a text is a JSON object.", Json::is_object),
    kind!("IS JSON ARRAY", "is_json_array", "Whether a text is a JSON array.", Json::is_array),
    kind!("IS JSON SCALAR", "is_json_scalar", "Whether a text is a JSON scalar.", is_scalar),
];

fn is_scalar(json: &Json) -> bool {
    !json.is_object() && !json.is_array()
}

/// The JSON in a text.
pub(super) fn parse(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok()
}

/// Calls `then` with the value that the path reaches, if there is one.
fn at_path(
    cx: &mut HostCx,
    args: &[HostArg<'_>],
    then: impl FnOnce(&Json),
) -> Result<bool, HostError> {
    let json = parse(args[0].str());
    let root = Path::default();
    let path = match args.get(1) {
        Some(path) => cx.cached(path.bytes(), Path::parse)?,
        None => &root,
    };
    let found = json.as_ref().and_then(|json| path.find_one(json));
    Ok(found.map(then).is_some())
}

fn json_value(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    at_path(cx, args, |json| match json {
        Json::Null | Json::Array(_) | Json::Object(_) => {}
        Json::String(text) => out.str(text),
        Json::Bool(_) | Json::Number(_) => out.str(&json.to_string()),
    })?;
    Ok(())
}

fn json_query(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    at_path(cx, args, |json| {
        if json.is_array() || json.is_object() {
            out.str(&json.to_string());
        }
    })?;
    Ok(())
}

fn json_exists(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let json = parse(args[0].str());
    let path = cx.cached(args[1].bytes(), Path::parse)?;
    out.bool(json.as_ref().and_then(|json| path.find(json)).is_some());
    Ok(())
}

fn json_length(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    at_path(cx, args, |json| {
        out.i64(match json {
            Json::Array(items) => items.len() as i64,
            Json::Object(members) => members.len() as i64,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 1,
        });
    })?;
    Ok(())
}

fn json_type(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    at_path(cx, args, |json| {
        out.str(match json {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        });
    })?;
    Ok(())
}

fn json_keys(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(Json::Object(members)) = parse(args[0].str()) {
        put_texts(cx, out, members.keys().map(|name| Some(name.as_str())));
    }
    Ok(())
}
