//! Text. Positions and lengths count characters (code points), from 1 unless said otherwise.

use super::arrays::cardinality;
use crate::builtin::{Builtin, Family, NullRule};
use crate::host::{
    HostArg, HostCx, HostError, HostOut, TextOut, check_size, host, host_sees_nulls,
};
use crate::signature::{ARRAY, Nullability, Pattern as P, sig};

const TEXT: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "UPPER",
        aliases: &["UCASE"],
        doc: "The text in upper case.",
        overloads: &[sig(&[P::String], P::String, host("upper", upper))],
        examples: &[
            ("UPPER('abc')", "ABC"),
            ("UPPER('straße')", "STRASSE"),
            ("UPPER(NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "LOWER",
        aliases: &["LCASE"],
        doc: "The text in lower case.",
        overloads: &[sig(&[P::String], P::String, host("lower", lower))],
        examples: &[("LOWER('ABC')", "abc"), ("LOWER(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "LENGTH",
        aliases: &["CHAR_LENGTH", "CHARACTER_LENGTH", "LEN"],
        doc: "How many characters a text, bytes a byte string, or elements an array has.",
        overloads: &[
            sig(
                &[P::String],
                P::Int,
                host("char_length", |_, a, out| {
                    out.i64(a[0].str().chars().count() as i64);
                    Ok(())
                }),
            ),
            sig(&[P::Bytes], P::Int, host("octet_length", octet_length)),
            sig(&[ARRAY], P::Int, host("array_cardinality", cardinality)),
        ],
        examples: &[("LENGTH('naïve')", "5"), ("LENGTH('')", "0"), ("LENGTH(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "OCTET_LENGTH",
        aliases: &["STRLEN"],
        doc: "How many bytes a text has in UTF-8.",
        overloads: &[
            sig(&[P::String], P::Int, host("octet_length", octet_length)),
            sig(&[P::Bytes], P::Int, host("octet_length", octet_length)),
        ],
        examples: &[("OCTET_LENGTH('naïve')", "6"), ("OCTET_LENGTH(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "BIT_LENGTH",
        doc: "How many bits a text has in UTF-8.",
        overloads: &[
            sig(&[P::String], P::Int, host("bit_length", bit_length)),
            sig(&[P::Bytes], P::Int, host("bit_length", bit_length)),
        ],
        examples: &[("BIT_LENGTH('ab')", "16"), ("BIT_LENGTH(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "SUBSTRING",
        aliases: &["SUBSTR", "MID"],
        doc: "The characters from a position on; positions from 0 down count virtual characters.",
        overloads: &[
            sig(&[P::String, P::BigInt], P::String, host("substring", substring)),
            sig(&[P::String, P::BigInt, P::BigInt], P::String, host("substring", substring)),
        ],
        examples: &[
            ("SUBSTRING('hello', 2, 3)", "ell"),
            ("SUBSTRING('hello', 3)", "llo"),
            ("SUBSTRING('hello', -1, 3)", "h"),
            ("SUBSTRING('hello', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "LEFT",
        doc: "The first characters; with a negative count, all but the last.",
        overloads: &[sig(&[P::String, P::BigInt], P::String, host("left", left))],
        examples: &[
            ("LEFT('hello', 2)", "he"),
            ("LEFT('hello', -2)", "hel"),
            ("LEFT('hello', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "RIGHT",
        doc: "The last characters; with a negative count, all but the first.",
        overloads: &[sig(&[P::String, P::BigInt], P::String, host("right", right))],
        examples: &[
            ("RIGHT('hello', 2)", "lo"),
            ("RIGHT('hello', -2)", "llo"),
            ("RIGHT(NULL, 2)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "TRIM",
        aliases: &["BTRIM"],
        doc: "The text without blanks, or the given characters, at both ends.",
        overloads: &[
            sig(&[P::String], P::String, host("trim", trim)),
            sig(&[P::String, P::String], P::String, host("trim", trim)),
        ],
        examples: &[("TRIM('  a  ')", "a"), ("BTRIM('xyaxy', 'yx')", "a"), ("TRIM(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "LTRIM",
        doc: "The text without blanks, or the given characters, at its start.",
        overloads: &[
            sig(&[P::String], P::String, host("ltrim", ltrim)),
            sig(&[P::String, P::String], P::String, host("ltrim", ltrim)),
        ],
        examples: &[("LTRIM('xxa', 'x')", "a"), ("LTRIM(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "RTRIM",
        doc: "The text without blanks, or the given characters, at its end.",
        overloads: &[
            sig(&[P::String], P::String, host("rtrim", rtrim)),
            sig(&[P::String, P::String], P::String, host("rtrim", rtrim)),
        ],
        examples: &[("RTRIM('axx', 'x')", "a"), ("RTRIM(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "CONCAT",
        doc: "The texts end to end; NULLs are left out.",
        overloads: &[sig(&[P::String], P::String, host_sees_nulls("concat", concat))
            .variadic()
            .nullability(Nullability::Never)],
        nulls: NullRule::SeesNulls,
        examples: &[("CONCAT('a', 'b', 'c')", "abc"), ("CONCAT('a', NULL, 'c')", "ac")],
        ..TEXT
    },
    Builtin {
        name: "CONCAT_WS",
        doc: "The texts with a separator between; NULLs are left out.",
        overloads: &[sig(
            &[P::String, P::String],
            P::String,
            host_sees_nulls("concat_ws", concat_ws),
        )
        .variadic()
        .may_be_null()],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("CONCAT_WS('-', 'a', NULL, 'c')", "a-c"),
            ("CONCAT_WS(NULL, 'a', 'b')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REVERSE",
        doc: "The characters in the opposite order.",
        overloads: &[sig(
            &[P::String],
            P::String,
            host("reverse", |_, a, out| {
                put_chars(out, a[0].str().chars().rev());
                Ok(())
            }),
        )],
        examples: &[("REVERSE('abc')", "cba"), ("REVERSE(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "REPEAT",
        doc: "The text so many times over.",
        overloads: &[sig(&[P::String, P::BigInt], P::String, host("repeat", repeat))],
        examples: &[("REPEAT('ab', 3)", "ababab"), ("REPEAT('ab', NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "SPACE",
        doc: "So many blanks.",
        overloads: &[sig(
            &[P::BigInt],
            P::String,
            host("space", |_, a, out| repeat_into(out, " ", a[0].i64())),
        )],
        examples: &[("'[' || SPACE(2) || ']'", "[  ]"), ("SPACE(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "LPAD",
        doc: "The text cut or filled up at its start to a length.",
        overloads: &[
            sig(&[P::String, P::BigInt], P::String, host("lpad", lpad)),
            sig(&[P::String, P::BigInt, P::String], P::String, host("lpad", lpad)),
        ],
        examples: &[
            ("LPAD('7', 3, '0')", "007"),
            ("LPAD('hello', 2)", "he"),
            ("LPAD('7', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "RPAD",
        doc: "The text cut or filled up at its end to a length.",
        overloads: &[
            sig(&[P::String, P::BigInt], P::String, host("rpad", rpad)),
            sig(&[P::String, P::BigInt, P::String], P::String, host("rpad", rpad)),
        ],
        examples: &[("RPAD('7', 3, 'ab')", "7ab"), ("RPAD(NULL, 3)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "INITCAP",
        doc: "Each word with its first letter in upper case and the rest in lower case.",
        overloads: &[sig(&[P::String], P::String, host("initcap", initcap))],
        examples: &[("INITCAP('hello wORLD')", "Hello World"), ("INITCAP(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "ASCII",
        aliases: &["UNICODE", "ORD"],
        doc: "The code point of the first character; 0 for an empty text.",
        overloads: &[sig(
            &[P::String],
            P::Int,
            host("ascii", |_, a, out| {
                out.i64(a[0].str().chars().next().map_or(0, |c| i64::from(u32::from(c))));
                Ok(())
            }),
        )],
        examples: &[("ASCII('A')", "65"), ("ASCII('')", "0"), ("ASCII(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "CHR",
        aliases: &["CHAR"],
        doc: "The character of a code point.",
        overloads: &[sig(&[P::BigInt], P::String, host("chr", chr))],
        examples: &[("CHR(65)", "A"), ("CHR(8364)", "€"), ("CHR(NULL)", "NULL")],
        ..TEXT
    },
];

/// Puts a text of these characters.
pub(super) fn put_chars(out: &mut HostOut<'_>, chars: impl Iterator<Item = char>) {
    push_chars(out.open(), chars);
}

fn push_chars(text: &mut Vec<u8>, chars: impl Iterator<Item = char>) {
    let mut buffer = [0; 4];
    for c in chars {
        text.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
}

fn upper(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let text = args[0].str();
    if text.is_ascii() {
        out.open().extend(text.bytes().map(|b| b.to_ascii_uppercase()));
    } else {
        out.str(&text.to_uppercase());
    }
    Ok(())
}

fn lower(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let text = args[0].str();
    if text.is_ascii() {
        out.open().extend(text.bytes().map(|b| b.to_ascii_lowercase()));
    } else {
        out.str(&text.to_lowercase());
    }
    Ok(())
}

fn octet_length(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(args[0].bytes().len() as i64);
    Ok(())
}

fn bit_length(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(args[0].bytes().len() as i64 * 8);
    Ok(())
}

/// The characters from index `from` on, at most `count`.
pub(super) fn window(text: &str, from: usize, count: usize) -> &str {
    let at = |index: usize, text: &str| {
        text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
    };
    let rest = &text[at(from, text)..];
    &rest[..at(count, rest)]
}

fn substring(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let first = args[1].i64();
    let end = match args.get(2).map(|len| len.i64()) {
        None => i64::MAX,
        Some(len) if len < 0 => {
            return Err(HostError::bad_argument(format!("a length of {len}")));
        }
        Some(len) => first.saturating_add(len),
    };
    let from = first.max(1);
    let count = usize::try_from(end.saturating_sub(from)).unwrap_or(0);
    out.str(window(args[0].str(), usize::try_from(from - 1).unwrap_or(usize::MAX), count));
    Ok(())
}

/// How many characters a count means that, below 0, counts from the other end.
fn count_of(text: &str, count: i64) -> usize {
    if count >= 0 {
        return usize::try_from(count).unwrap_or(usize::MAX);
    }
    let left_out = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    text.chars().count().saturating_sub(left_out)
}

fn left(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let text = args[0].str();
    out.str(window(text, 0, count_of(text, args[1].i64())));
    Ok(())
}

fn right(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let text = args[0].str();
    let skip = text.chars().count().saturating_sub(count_of(text, args[1].i64()));
    out.str(window(text, skip, usize::MAX));
    Ok(())
}

fn trimmed(args: &[HostArg<'_>]) -> impl Fn(char) -> bool {
    let set: Vec<char> = args.get(1).map_or(vec![' '], |set| set.str().chars().collect());
    move |c| set.contains(&c)
}

fn trim(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unwanted = trimmed(args);
    out.str(args[0].str().trim_start_matches(&unwanted).trim_end_matches(&unwanted));
    Ok(())
}

fn ltrim(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.str(args[0].str().trim_start_matches(trimmed(args)));
    Ok(())
}

fn rtrim(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.str(args[0].str().trim_end_matches(trimmed(args)));
    Ok(())
}

fn concat(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let text = out.open();
    for arg in args {
        text.extend_from_slice(arg.bytes());
    }
    Ok(())
}

fn concat_ws(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if args[0].is_null() {
        return Ok(());
    }
    let text = out.open();
    for (i, arg) in args[1..].iter().filter(|arg| !arg.is_null()).enumerate() {
        if i > 0 {
            text.extend_from_slice(args[0].bytes());
        }
        text.extend_from_slice(arg.bytes());
    }
    Ok(())
}

fn repeat(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    repeat_into(out, args[0].str(), args[1].i64())
}

fn repeat_into(out: &mut HostOut<'_>, text: &str, times: i64) -> Done {
    let times = usize::try_from(times).unwrap_or(0);
    let times = if text.is_empty() { 0 } else { times };
    check_size(text.len().saturating_mul(times))?;
    let result = out.open();
    for _ in 0..times {
        result.extend_from_slice(text.as_bytes());
    }
    Ok(())
}

fn lpad(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    pad(args, out, true)
}

fn rpad(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    pad(args, out, false)
}

fn pad(args: &[HostArg<'_>], out: &mut HostOut<'_>, at_start: bool) -> Done {
    let (text, filler) = (args[0].str(), args.get(2).map_or(" ", |filler| filler.str()));
    let want = usize::try_from(args[1].i64()).unwrap_or(0);
    let kept = window(text, 0, want);
    let missing = want - kept.chars().count();
    let missing = if filler.is_empty() { 0 } else { missing };
    let widest = filler.chars().map(char::len_utf8).max().unwrap_or(0);
    check_size(missing.saturating_mul(widest))?;
    let result = out.open();
    if !at_start {
        result.extend_from_slice(kept.as_bytes());
    }
    push_chars(result, filler.chars().cycle().take(missing));
    if at_start {
        result.extend_from_slice(kept.as_bytes());
    }
    Ok(())
}

fn initcap(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    use std::fmt::Write;
    let mut inside = false;
    let TextOut(text) = out.text();
    let mut text = TextOut(text);
    for c in args[0].str().chars() {
        let written = match inside {
            true => write!(text, "{}", c.to_lowercase()),
            false => write!(text, "{}", c.to_uppercase()),
        };
        written.map_err(|_| HostError::overflow())?;
        inside = c.is_alphanumeric();
    }
    Ok(())
}

fn chr(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let code = args[0].i64();
    let c = u32::try_from(code).ok().and_then(char::from_u32);
    let c = c.ok_or_else(|| HostError::bad_argument(format!("no character {code}")))?;
    put_chars(out, std::iter::once(c));
    Ok(())
}
