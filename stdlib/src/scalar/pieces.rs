//! Choosing among texts and taking them apart: ELT, FIELD, pieces by delimiters, maps in texts.

use flow_ir::types::{DataType, Type};
use regex::Regex;

use super::maps::put_map;
use super::pattern::compiled;
use crate::builtin::{Builtin, Family, NullRule};
use crate::host::{HostArg, HostCx, HostError, HostOut, host, host_sees_nulls};
use crate::signature::{Nullability, OCTETS, Pattern as P, sig};

const TEXT: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// From texts to texts.
const TEXTS: P = P::Map(&P::String, &P::String);

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "ELT",
        doc: "The text at a position among those that follow, counted from 1; NULL outside.",
        overloads: &[sig(&[P::BigInt, OCTETS], OCTETS, host_sees_nulls("elt", elt))
            .variadic()
            .may_be_null()],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("ELT(2, 'a', 'b', 'c')", "b"),
            ("ELT(4, 'a', 'b', 'c')", "NULL"),
            ("ELT(1, 'a', NULL)", "a"),
        ],
        ..TEXT
    },
    Builtin {
        name: "FIELD",
        doc: "The position of the first text among those that follow, counted from 1; 0 if none.",
        overloads: &[sig(&[P::String, P::String], P::Int, host_sees_nulls("field", field))
            .variadic()
            .nullability(Nullability::Never)],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("FIELD('b', 'a', 'b', 'c')", "2"),
            ("FIELD('x', 'a', NULL)", "0"),
            ("FIELD(NULL, 'a')", "0"),
        ],
        ..TEXT
    },
    Builtin {
        name: "SUBSTRING_INDEX",
        doc: "What stands before a delimiter's nth place, or below 0 after its nth from the end.",
        overloads: &[sig(
            &[P::String, P::String, P::BigInt],
            P::String,
            host("substring_index", substring_index),
        )],
        examples: &[
            ("SUBSTRING_INDEX('www.flow.dev', '.', 2)", "www.flow"),
            ("SUBSTRING_INDEX('www.flow.dev', '.', -1)", "dev"),
            ("SUBSTRING_INDEX(NULL, '.', 1)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "STR_TO_MAP",
        doc: "The map in a text of key=value pairs; the delimiters are regular expressions.",
        overloads: &[
            sig(&[P::String], TEXTS, host("str_to_map", str_to_map)),
            sig(&[P::String, P::String, P::String], TEXTS, host("str_to_map", str_to_map)),
        ],
        examples: &[
            ("STR_TO_MAP('b=2,a=1')", "{a=1, b=2}"),
            ("STR_TO_MAP('a:1; b', '; *', ':')", "{a=1, b=NULL}"),
            ("STR_TO_MAP(NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "SPLIT_TO_MAP",
        doc: "The map in a text, by the delimiters of entries and of keys; other pieces are left.",
        overloads: &[sig(
            &[P::String, P::String, P::String],
            TEXTS,
            host("split_to_map", split_to_map),
        )],
        examples: &[
            ("SPLIT_TO_MAP('a:=1|b:=2|c', '|', ':=')", "{a=1, b=2}"),
            ("SPLIT_TO_MAP('a', NULL, '=')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "QUOTE_LITERAL",
        doc: "The text as an SQL literal.",
        overloads: &[sig(
            &[P::String],
            P::String,
            host("quote_literal", |_, a, out| {
                out.str(&format!("'{}'", a[0].str().replace('\'', "''")));
                Ok(())
            }),
        )],
        examples: &[("QUOTE_LITERAL('a')", "'a'"), ("QUOTE_LITERAL(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "QUOTE_IDENT",
        doc: "The text as a quoted SQL name.",
        overloads: &[sig(
            &[P::String],
            P::String,
            host("quote_ident", |_, a, out| {
                out.str(&format!("\"{}\"", a[0].str().replace('"', "\"\"")));
                Ok(())
            }),
        )],
        examples: &[("QUOTE_IDENT('a b')", "\"a b\""), ("QUOTE_IDENT(NULL)", "NULL")],
        ..TEXT
    },
];

fn elt(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let at = usize::try_from(args[0].i64()).unwrap_or(0);
    if let Some(chosen) = args.get(at).filter(|_| at > 0) {
        out.copy(*chosen);
    }
    Ok(())
}

fn field(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let found = args[1..].iter().position(|a| !a.is_null() && *a == args[0]);
    out.i64(found.map_or(0, |at| at as i64 + 1));
    Ok(())
}

fn substring_index(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (text, delimiter, count) = (args[0].str(), args[1].str(), args[2].i64());
    let nth = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let Some(skip) = nth.checked_sub(1).filter(|_| !delimiter.is_empty()) else {
        out.str("");
        return Ok(());
    };
    out.str(if count > 0 {
        text.match_indices(delimiter).nth(skip).map_or(text, |(at, _)| &text[..at])
    } else {
        let found = text.rmatch_indices(delimiter).nth(skip);
        found.map_or(text, |(at, _)| &text[at + delimiter.len()..])
    });
    Ok(())
}

/// Puts a map of texts.
fn put_texts<'a>(
    out: &mut HostOut<'_>,
    pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Done {
    let (key, value) = (Type::not_null(DataType::String), Type::nullable(DataType::String));
    let arg = |text: &'a str| HostArg::Bytes(text.as_bytes());
    let entries = pairs.into_iter().map(|(k, v)| (arg(k), v.map_or(HostArg::Null, arg)));
    put_map((&key, &value), out, entries)
}

fn str_to_map(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let delimiter = |at: usize, usual: &'static str| args.get(at).map_or(usual, |arg| arg.str());
    let between: Regex = compiled(cx, delimiter(1, ",").as_bytes(), "")?.clone();
    let behind_key = compiled(cx, delimiter(2, "=").as_bytes(), "")?;
    let mut pieces: Vec<&str> = between.split(args[0].str()).collect();
    while pieces.last().is_some_and(|piece| piece.is_empty()) {
        pieces.pop();
    }
    let pair = |piece| {
        let mut parts = behind_key.splitn(piece, 2);
        (parts.next().unwrap_or(piece), parts.next())
    };
    put_texts(out, pieces.into_iter().map(pair))
}

fn split_to_map(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (text, between, behind_key) = (args[0].str(), args[1].str(), args[2].str());
    if between.is_empty() || behind_key.is_empty() {
        return Err(HostError::bad_argument("a delimiter is empty"));
    }
    let pairs = text.split(between).filter_map(|piece| piece.split_once(behind_key));
    put_texts(out, pairs.map(|(key, value)| (key, Some(value))))
}
