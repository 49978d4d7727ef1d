//! Regular expressions beyond a first match: all matches, positions, pieces, groups.

use regex::Regex;

use super::arrays::put_texts;
use super::pattern::{compiled, flags_of};
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{Pattern as P, sig};

const TEXT: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "REGEXP_EXTRACT_ALL",
        doc: "All matches: of a group, else the first group, else the whole.",
        overloads: &[
            sig(&[P::String, P::String], P::Array(&P::String), host("regexp_extract_all", all)),
            sig(
                &[P::String, P::String, P::BigInt],
                P::Array(&P::String),
                host("regexp_extract_all", all),
            ),
        ],
        examples: &[
            ("REGEXP_EXTRACT_ALL('a1 b22', '[0-9]+')", "[1, 22]"),
            ("REGEXP_EXTRACT_ALL('a1 b22', '([a-z])([0-9]+)', 2)", "[1, 22]"),
            ("REGEXP_EXTRACT_ALL('a1 b22', '([a-z])[0-9]+', 0)", "[a1, b22]"),
            ("REGEXP_EXTRACT_ALL(NULL, 'a')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REGEXP_INSTR",
        doc: "Where a regular expression first matches, counted from 1; 0 without a match.",
        overloads: &[sig(&[P::String, P::String], P::Int, host("regexp_instr", instr))],
        examples: &[
            ("REGEXP_INSTR('banana', 'n[a-z]')", "3"),
            ("REGEXP_INSTR('a', 'b')", "0"),
            ("REGEXP_INSTR('a', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REGEXP_SPLIT_TO_ARRAY",
        aliases: &[
            "REGEXP_SPLIT",
            "STRING_SPLIT_REGEX",
            "STR_SPLIT_REGEX",
            "REGEXP_SPLIT_TO_TABLE",
        ],
        doc: "The pieces of a text between the matches of a regular expression.",
        overloads: &[
            sig(&[P::String, P::String], P::Array(&P::String), host("regexp_split", split)),
            sig(
                &[P::String, P::String, P::String],
                P::Array(&P::String),
                host("regexp_split", split),
            ),
        ],
        examples: &[
            ("REGEXP_SPLIT_TO_ARRAY('a, b;c', '[,;] *')", "[a, b, c]"),
            ("REGEXP_SPLIT_TO_ARRAY('aXbxc', 'x', 'i')", "[a, b, c]"),
            ("REGEXP_SPLIT_TO_ARRAY('a', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REGEXP_MATCH",
        doc: "The groups of the first match, or the match where there are none; NULL without one.",
        overloads: &[
            sig(&[P::String, P::String], P::Array(&P::String), host("regexp_match", groups))
                .may_be_null(),
            sig(
                &[P::String, P::String, P::String],
                P::Array(&P::String),
                host("regexp_match", groups),
            )
            .may_be_null(),
        ],
        examples: &[
            ("REGEXP_MATCH('key=value', '([a-z]+)=([a-z]+)')", "[key, value]"),
            ("REGEXP_MATCH('key', 'e.')", "[ey]"),
            ("REGEXP_MATCH('a', 'b')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REGEXP_FULL_MATCH",
        doc: "Whether a regular expression matches the whole of a text.",
        overloads: &[
            sig(&[P::String, P::String], P::Boolean, host("regexp_full_match", full_match)),
            sig(
                &[P::String, P::String, P::String],
                P::Boolean,
                host("regexp_full_match", full_match),
            ),
        ],
        examples: &[
            ("REGEXP_FULL_MATCH('banana', '(b|an|a)*')", "TRUE"),
            ("REGEXP_FULL_MATCH('banana', 'an')", "FALSE"),
            ("REGEXP_FULL_MATCH(NULL, 'a')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REGEXP_ESCAPE",
        doc: "The regular expression that matches a text and nothing else.",
        overloads: &[sig(
            &[P::String],
            P::String,
            host("regexp_escape", |_, a, out| {
                out.str(&regex::escape(a[0].str()));
                Ok(())
            }),
        )],
        examples: &[("REGEXP_ESCAPE('a.b')", "a\\.b"), ("REGEXP_ESCAPE(NULL)", "NULL")],
        ..TEXT
    },
];

/// The group of a call without one: the first if there is any.
fn usual_group(regex: &Regex) -> i64 {
    i64::from(regex.captures_len() > 1)
}

fn all(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let regex = compiled(cx, args[1].bytes(), "")?;
    let group = args.get(2).map_or(usual_group(regex), |group| group.i64());
    if group < 0 || group >= regex.captures_len() as i64 {
        return Ok(());
    }
    let text = args[0].str();
    let found: Vec<Option<&str>> = match group {
        0 => regex.find_iter(text).map(|m| Some(m.as_str())).collect(),
        group => {
            regex.captures_iter(text).map(|c| c.get(group as usize).map(|m| m.as_str())).collect()
        }
    };
    put_texts(cx, out, found);
    Ok(())
}

fn instr(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let text = args[0].str();
    let found = compiled(cx, args[1].bytes(), "")?.find(text);
    out.i64(found.map_or(0, |m| text[..m.start()].chars().count() as i64 + 1));
    Ok(())
}

fn split(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let regex = compiled(cx, args[1].bytes(), flags_of(args, 2))?;
    let pieces: Vec<Option<&str>> = regex.split(args[0].str()).map(Some).collect();
    put_texts(cx, out, pieces);
    Ok(())
}

fn groups(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let regex = compiled(cx, args[1].bytes(), flags_of(args, 2))?;
    let Some(found) = regex.captures(args[0].str()) else { return Ok(()) };
    let skip = usize::from(found.len() > 1);
    let parts: Vec<Option<&str>> = found.iter().skip(skip).map(|m| m.map(|m| m.as_str())).collect();
    put_texts(cx, out, parts);
    Ok(())
}

fn full_match(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let whole = format!("\\A(?:{})\\z", args[1].str());
    out.bool(compiled(cx, whole.as_bytes(), flags_of(args, 2))?.is_match(args[0].str()));
    Ok(())
}
