//! What the clauses of JSON_VALUE, JSON_QUERY and JSON_EXISTS go by: whether a path reaches what
//! the function gives, and what a wrapper makes of it.

use serde_json::Value as Json;

use super::json::parse;
use super::json_path::Path;
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{Pattern as P, sig};

const CLAUSE: Builtin = Builtin { family: Family::Operator, ..Builtin::STRICT };

/// What there is.
const FOUND: i64 = 0;
const EMPTY: i64 = 1;
const ERROR: i64 = 2;

type Done = Result<(), HostError>;

/// The functions; their names are none that a program can write.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "JSON_VALUE STATUS",
        doc: "What ON EMPTY (1) and ON ERROR (2) of JSON_VALUE go by; else 0.",
        overloads: &[
            sig(&[P::String, P::String], P::Int, host("json_value_status", value_status)),
            sig(&[P::Json, P::String], P::Int, host("json_value_status", value_status)),
        ],
        examples: &[
            ("JSON_VALUE('[1]', '$[0]')", "1"),
            ("JSON_VALUE(CAST(NULL AS STRING), '$')", "NULL"),
        ],
        ..CLAUSE
    },
    Builtin {
        name: "JSON_EXISTS STATUS",
        doc: "What ON ERROR (2) of JSON_EXISTS goes by; else 0.",
        overloads: &[
            sig(&[P::String, P::String], P::Int, host("json_exists_status", exists_status)),
            sig(&[P::Json, P::String], P::Int, host("json_exists_status", exists_status)),
        ],
        examples: &[
            ("JSON_EXISTS('[1]', '$[0]')", "TRUE"),
            ("JSON_EXISTS(CAST(NULL AS STRING), '$')", "NULL"),
        ],
        ..CLAUSE
    },
    Builtin {
        name: "JSON_QUERY STATUS",
        doc: "What ON EMPTY (1) and ON ERROR (2) of JSON_QUERY go by; else 0.",
        overloads: &[
            sig(
                &[P::String, P::String, P::String],
                P::Int,
                host("json_query_status", query_status),
            ),
            sig(&[P::Json, P::String, P::String], P::Int, host("json_query_status", query_status)),
        ],
        examples: &[
            ("JSON_QUERY('[[1]]', '$[0]')", "[1]"),
            ("JSON_QUERY(CAST(NULL AS STRING), '$')", "NULL"),
        ],
        ..CLAUSE
    },
    Builtin {
        name: "JSON_QUERY WRAPPER",
        doc: "The JSON at a path, in an array where WITH WRAPPER says so.",
        overloads: &[
            sig(&[P::String, P::String, P::String], P::String, host("json_query_wrapper", wrapped))
                .may_be_null(),
            sig(&[P::Json, P::String, P::String], P::String, host("json_query_wrapper", wrapped))
                .may_be_null(),
        ],
        examples: &[
            ("JSON_QUERY('[[1]]', '$[0]')", "[1]"),
            ("JSON_QUERY(CAST(NULL AS STRING), '$')", "NULL"),
        ],
        ..CLAUSE
    },
    Builtin {
        name: "FAIL WITH",
        doc: "Nothing: it fails.",
        overloads: &[sig(
            &[P::String],
            P::String,
            host("fail_with", |_, a, _| Err(HostError::bad_argument(a[0].str()))),
        )],
        examples: &[("NULL", "NULL"), ("CAST(NULL AS INT)", "NULL")],
        ..CLAUSE
    },
];

/// What a path reaches; an error if the text is no JSON, or a strict path leads nowhere.
fn reached<'j>(
    cx: &mut HostCx,
    args: &[HostArg<'_>],
    json: &'j Option<Json>,
) -> Result<Option<Vec<&'j Json>>, HostError> {
    let path = cx.cached(args[1].bytes(), Path::parse)?;
    Ok(json.as_ref().and_then(|json| path.find_all(json).ok()))
}

fn value_status(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let json = parse(args[0].str());
    out.i64(match reached(cx, args, &json)?.as_deref() {
        Some([]) => EMPTY,
        Some([one]) if !one.is_object() && !one.is_array() => FOUND,
        Some(_) | None => ERROR,
    });
    Ok(())
}

fn exists_status(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let json = parse(args[0].str());
    out.i64(if reached(cx, args, &json)?.is_some() { FOUND } else { ERROR });
    Ok(())
}

/// What a wrapper makes of what a path reaches; none if that is an error.
fn wrap(found: &[&Json], wrapper: &str) -> Option<String> {
    let list = || Json::from(found.iter().map(|json| (*json).clone()).collect::<Vec<_>>());
    match (found, wrapper) {
        (_, "unconditional") => Some(list().to_string()),
        ([one], _) if one.is_object() || one.is_array() => Some(one.to_string()),
        (_, "conditional") => Some(list().to_string()),
        _ => None,
    }
}

fn query_status(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let json = parse(args[0].str());
    out.i64(match reached(cx, args, &json)?.as_deref() {
        Some([]) => EMPTY,
        Some(found) if wrap(found, args[2].str()).is_some() => FOUND,
        Some(_) | None => ERROR,
    });
    Ok(())
}

fn wrapped(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let json = parse(args[0].str());
    let found = reached(cx, args, &json)?.filter(|found| !found.is_empty());
    if let Some(text) = found.and_then(|found| wrap(&found, args[2].str())) {
        out.str(&text);
    }
    Ok(())
}
