//! Searching, splitting and replacing in texts. Positions count characters (code points) from 1.

use super::text::{put_chars, window};
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, check_size, host};
use crate::signature::{Pattern as P, sig};

const TEXT: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "REPLACE",
        doc: "The text with each occurrence of one text replaced by another.",
        overloads: &[sig(&[P::String, P::String, P::String], P::String, host("replace", replace))],
        examples: &[
            ("REPLACE('banana', 'an', 'o')", "booa"),
            ("REPLACE('a', '', 'x')", "a"),
            ("REPLACE('a', 'a', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "POSITION",
        doc: "Where the first text first occurs in the second; 0 if it does not.",
        overloads: &[sig(&[P::String, P::String], P::Int, host("locate", locate))],
        examples: &[
            ("POSITION('na' IN 'banana')", "3"),
            ("POSITION('x' IN 'banana')", "0"),
            ("POSITION(NULL IN 'a')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "LOCATE",
        doc: "Where the first text occurs in the second, from a position on; 0 if it does not.",
        overloads: &[
            sig(&[P::String, P::String], P::Int, host("locate", locate)),
            sig(&[P::String, P::String, P::BigInt], P::Int, host("locate", locate)),
        ],
        examples: &[("LOCATE('na', 'banana', 4)", "5"), ("LOCATE('a', NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "INSTR",
        aliases: &["STRPOS"],
        doc: "Where the second text first occurs in the first; 0 if it does not. From a position \
              on, below 0 from the end backwards; and the occurrence of a number from there.",
        overloads: &[
            sig(
                &[P::String, P::String],
                P::Int,
                host("instr", |cx, a, out| locate(cx, &[a[1], a[0]], out)),
            ),
            sig(&[P::String, P::String, P::Int], P::Int, host("instr_from", instr_from)),
            sig(&[P::String, P::String, P::Int, P::Int], P::Int, host("instr_from", instr_from)),
        ],
        examples: &[
            ("INSTR('banana', 'na')", "3"),
            ("INSTR('banana', 'an', 3)", "4"),
            ("INSTR('banana', 'an', -1)", "4"),
            ("INSTR('banana', 'a', 1, 3)", "6"),
            ("INSTR('a', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "CONTAINS",
        doc: "Whether the first text holds the second.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Boolean,
            host("contains", |_, a, out| {
                out.bool(a[0].str().contains(a[1].str()));
                Ok(())
            }),
        )],
        examples: &[("CONTAINS('banana', 'nan')", "TRUE"), ("CONTAINS('a', NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "STARTS_WITH",
        aliases: &["STARTSWITH", "PREFIX"],
        doc: "Whether the first text starts with the second.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Boolean,
            host("starts_with", |_, a, out| {
                out.bool(a[0].bytes().starts_with(a[1].bytes()));
                Ok(())
            }),
        )],
        examples: &[("STARTS_WITH('banana', 'ba')", "TRUE"), ("STARTS_WITH(NULL, 'a')", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "ENDS_WITH",
        aliases: &["ENDSWITH", "SUFFIX"],
        doc: "Whether the first text ends with the second.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Boolean,
            host("ends_with", |_, a, out| {
                out.bool(a[0].bytes().ends_with(a[1].bytes()));
                Ok(())
            }),
        )],
        examples: &[("ENDS_WITH('banana', 'na')", "TRUE"), ("ENDS_WITH('a', NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "SPLIT_INDEX",
        doc: "The piece at an index, counted from 0, between delimiters, a text or the code of a \
              character; NULL if there is none.",
        overloads: &[
            sig(
                &[P::String, P::String, P::BigInt],
                P::String,
                host("split_index", |_, args, out| {
                    split_index(args[0].str(), args[1].str(), args[2].i64(), out)
                }),
            )
            .may_be_null(),
            sig(
                &[P::String, P::BigInt, P::BigInt],
                P::String,
                host("split_index_code", |_, args, out| {
                    let code = u32::try_from(args[1].i64()).ok().and_then(char::from_u32);
                    let Some(code) = code else { return Ok(()) };
                    let mut bytes = [0; 4];
                    let delimiter: &str = code.encode_utf8(&mut bytes);
                    split_index(args[0].str(), delimiter, args[2].i64(), out)
                }),
            )
            .may_be_null(),
        ],
        examples: &[
            ("SPLIT_INDEX('a/b/c', '/', 1)", "b"),
            ("SPLIT_INDEX('a/b/c', 47, 1)", "b"),
            ("SPLIT_INDEX('a/b/c', '/', 3)", "NULL"),
            ("SPLIT_INDEX(NULL, '/', 0)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "SPLIT_PART",
        doc: "The piece at a position, below 0 from the end, between delimiters; empty if none.",
        overloads: &[sig(
            &[P::String, P::String, P::BigInt],
            P::String,
            host("split_part", split_part),
        )],
        examples: &[
            ("SPLIT_PART('a/b/c', '/', 1)", "a"),
            ("SPLIT_PART('a/b/c', '/', -1)", "c"),
            ("SPLIT_PART('a/b/c', '/', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "OVERLAY",
        doc: "The text with the characters from a position on replaced by another text.",
        overloads: &[
            sig(&[P::String, P::String, P::BigInt], P::String, host("overlay", overlay)),
            sig(&[P::String, P::String, P::BigInt, P::BigInt], P::String, host("overlay", overlay)),
        ],
        examples: &[
            ("OVERLAY('abcdef' PLACING 'XY' FROM 2)", "aXYdef"),
            ("OVERLAY('abcdef' PLACING 'X' FROM 2 FOR 3)", "aXef"),
            ("OVERLAY('abc' PLACING NULL FROM 2)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "TRANSLATE",
        doc: "The text with each character of one list replaced by its partner in another list.",
        overloads: &[sig(
            &[P::String, P::String, P::String],
            P::String,
            host("translate", translate),
        )],
        examples: &[
            ("TRANSLATE('12345', '143', 'ax')", "a2x5"),
            ("TRANSLATE('a', NULL, 'b')", "NULL"),
        ],
        ..TEXT
    },
];

fn replace(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (text, from, to) = (args[0].str(), args[1].str(), args[2].str());
    if from.is_empty() {
        out.str(text);
        return Ok(());
    }
    check_size(text.matches(from).count().saturating_mul(to.len()))?;
    let mut first = true;
    let result = out.open();
    for piece in text.split(from) {
        if !first {
            result.extend_from_slice(to.as_bytes());
        }
        first = false;
        result.extend_from_slice(piece.as_bytes());
    }
    Ok(())
}

fn locate(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (needle, text) = (args[0].str(), args[1].str());
    let from = args.get(2).map_or(1, |from| from.i64());
    let skip = usize::try_from(from.saturating_sub(1)).unwrap_or(0);
    let rest = window(text, skip, usize::MAX);
    let start = text.len() - rest.len();
    out.i64(match rest.find(needle) {
        Some(_) if start == text.len() && skip > text.chars().count() => 0,
        Some(at) => text[..start + at].chars().count() as i64 + 1,
        None => 0,
    });
    Ok(())
}

fn instr_from(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let text: Vec<char> = args[0].str().chars().collect();
    let part: Vec<char> = args[1].str().chars().collect();
    let (from, nth) = (args[2].i64(), args.get(3).map_or(1, |nth| nth.i64()));
    let found = |at: &usize| text[*at..].starts_with(&part);
    let skip = usize::try_from(nth.saturating_sub(1)).unwrap_or(usize::MAX);
    let first = usize::try_from(from.unsigned_abs().saturating_sub(1)).unwrap_or(usize::MAX);
    let at = match from {
        0 => None,
        1.. => (first..text.len()).filter(found).nth(skip),
        _ => (0..text.len().saturating_sub(first)).rev().filter(found).nth(skip),
    };
    out.i64(at.map_or(0, |at| at as i64 + 1));
    Ok(())
}

fn split_index(text: &str, delimiter: &str, index: i64, out: &mut HostOut<'_>) -> Done {
    let Ok(index) = usize::try_from(index) else { return Ok(()) };
    if delimiter.is_empty() {
        return Ok(());
    }
    if let Some(piece) = text.split(delimiter).nth(index) {
        out.str(piece);
    }
    Ok(())
}

fn split_part(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (text, delimiter, position) = (args[0].str(), args[1].str(), args[2].i64());
    let at = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
    let Some(skip) = at.checked_sub(1) else {
        return Err(HostError::bad_argument("SPLIT_PART counts from 1"));
    };
    let piece = match (delimiter.is_empty(), position > 0) {
        (true, _) => (at == 1).then_some(text),
        (false, true) => text.split(delimiter).nth(skip),
        (false, false) => text.rsplit(delimiter).nth(skip),
    };
    out.str(piece.unwrap_or(""));
    Ok(())
}

fn overlay(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (text, other) = (args[0].str(), args[1].str());
    let start = args[2].i64();
    if start < 1 {
        return Err(HostError::bad_argument(format!("a position of {start}")));
    }
    let start = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let len = match args.get(3) {
        Some(len) => usize::try_from(len.i64()).unwrap_or(0),
        None => other.chars().count(),
    };
    let result = out.open();
    result.extend_from_slice(window(text, 0, start).as_bytes());
    result.extend_from_slice(other.as_bytes());
    result.extend_from_slice(window(text, start.saturating_add(len), usize::MAX).as_bytes());
    Ok(())
}

fn translate(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (text, from, to) = (args[0].str(), args[1].str(), args[2].str());
    let partner = |c: char| match from.chars().position(|f| f == c) {
        Some(at) => to.chars().nth(at),
        None => Some(c),
    };
    put_chars(out, text.chars().filter_map(partner));
    Ok(())
}
