//! LIKE and regular expressions. A pattern is compiled once a call site; matching takes time
//! linear in the text, whatever the pattern.

use regex::{Regex, RegexBuilder};

use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, check_size, host};
use crate::signature::{Pattern as P, sig};

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 4 << 20;

const TEXT: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "LIKE",
        family: Family::Operator,
        doc: "Whether a text is of a form: _ stands for one character, % for any number.",
        overloads: &[
            sig(&[P::String, P::String], P::Boolean, host("like", like)),
            sig(&[P::String, P::String, P::String], P::Boolean, host("like", like)),
        ],
        examples: &[
            ("'banana' LIKE 'b%na'", "TRUE"),
            ("'banana' LIKE 'b_na'", "FALSE"),
            ("'100%' LIKE '100!%' ESCAPE '!'", "TRUE"),
            ("'a' LIKE NULL", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "ILIKE",
        family: Family::Operator,
        doc: "LIKE, whatever the case.",
        overloads: &[
            sig(&[P::String, P::String], P::Boolean, host("ilike", ilike)),
            sig(&[P::String, P::String, P::String], P::Boolean, host("ilike", ilike)),
        ],
        examples: &[("'Banana' ILIKE 'b%NA'", "TRUE"), ("NULL ILIKE 'a'", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "SIMILAR TO",
        family: Family::Operator,
        doc: "Whether a text is of the form of an SQL regular expression.",
        overloads: &[
            sig(&[P::String, P::String], P::Boolean, host("similar", similar)),
            sig(&[P::String, P::String, P::String], P::Boolean, host("similar", similar)),
        ],
        examples: &[
            ("'abab' SIMILAR TO '(ab)+'", "TRUE"),
            ("'a.c' SIMILAR TO 'a.c'", "TRUE"),
            ("'abc' SIMILAR TO 'a.c'", "FALSE"),
            ("'a' SIMILAR TO NULL", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REGEXP_LIKE",
        aliases: &["REGEXP", "RLIKE", "REGEXP_MATCHES"],
        doc: "Whether a regular expression matches somewhere in a text.",
        overloads: &[
            sig(&[P::String, P::String], P::Boolean, host("regexp_like", regexp_like)),
            sig(&[P::String, P::String, P::String], P::Boolean, host("regexp_like", regexp_like)),
        ],
        examples: &[
            ("REGEXP_LIKE('banana', 'n.n')", "TRUE"),
            ("REGEXP_LIKE('Banana', '^b', 'i')", "TRUE"),
            ("REGEXP_LIKE('a', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REGEXP_REPLACE",
        doc: "The text with the first match, or with flag g all, replaced; $1 or \\1 is a group.",
        overloads: &[
            sig(
                &[P::String, P::String, P::String],
                P::String,
                host("regexp_replace", regexp_replace),
            ),
            sig(
                &[P::String, P::String, P::String, P::String],
                P::String,
                host("regexp_replace", regexp_replace),
            ),
        ],
        examples: &[
            ("REGEXP_REPLACE('banana', 'a', 'o')", "bonana"),
            ("REGEXP_REPLACE('banana', 'a(n)', '<$1>', 'g')", "b<n><n>a"),
            ("REGEXP_REPLACE('a', NULL, 'b')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REGEXP_EXTRACT",
        aliases: &["REGEXP_SUBSTR"],
        doc: "The first match, or one group of it; NULL without a match.",
        overloads: &[
            sig(&[P::String, P::String], P::String, host("regexp_extract", regexp_extract))
                .may_be_null(),
            sig(
                &[P::String, P::String, P::BigInt],
                P::String,
                host("regexp_extract", regexp_extract),
            )
            .may_be_null(),
        ],
        examples: &[
            ("REGEXP_EXTRACT('order-42', '[0-9]+')", "42"),
            ("REGEXP_EXTRACT('channel_id=7&x', 'channel_id=([^&]*)', 1)", "7"),
            ("REGEXP_EXTRACT('a', 'b')", "NULL"),
            ("REGEXP_EXTRACT(NULL, 'b')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "REGEXP_COUNT",
        doc: "How often a regular expression matches in a text.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Int,
            host("regexp_count", |cx, a, out| {
                let regex = compiled(cx, a[1].bytes(), "")?;
                out.i64(regex.find_iter(a[0].str()).count() as i64);
                Ok(())
            }),
        )],
        examples: &[("REGEXP_COUNT('banana', 'an')", "2"), ("REGEXP_COUNT('a', NULL)", "NULL")],
        ..TEXT
    },
];

fn build(pattern: &str, flags: &str) -> Result<Regex, HostError> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(PATTERN_BYTES_MAX);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            'g' | 'c' => &mut builder,
            other => {
                return Err(HostError::bad_argument(format!(
                    "no regular expression flag '{other}'"
                )));
            }
        };
    }
    builder.build().map_err(|e| HostError::bad_argument(e.to_string()))
}

/// The flags among the arguments; none if they are left out.
pub(super) fn flags_of<'a>(args: &[HostArg<'a>], at: usize) -> &'a str {
    args.get(at).map_or("", |flags| flags.str())
}

/// The regular expression of a pattern and flags.
pub(super) fn compiled<'a>(
    cx: &'a mut HostCx,
    pattern: &[u8],
    flags: &str,
) -> Result<&'a Regex, HostError> {
    if flags.is_empty() {
        return cx.cached(pattern, |pattern| build(pattern, ""));
    }
    let key = [flags.as_bytes(), b"\0", pattern].concat();
    cx.cached(&key, |key| build(&key[flags.len() + 1..], flags))
}

fn regexp_like(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let flags = flags_of(args, 2);
    out.bool(compiled(cx, args[1].bytes(), flags)?.is_match(args[0].str()));
    Ok(())
}

fn regexp_extract(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let regex = compiled(cx, args[1].bytes(), "")?;
    let group = args.get(2).map_or(0, |group| group.i64());
    if group < 0 || group >= regex.captures_len() as i64 {
        return Ok(());
    }
    let found = regex.captures(args[0].str()).and_then(|c| c.get(group as usize));
    if let Some(found) = found {
        out.str(found.as_str());
    }
    Ok(())
}

fn regexp_replace(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let flags = flags_of(args, 3);
    let regex = compiled(cx, args[1].bytes(), flags)?;
    let (text, replacement) = (args[0].str(), args[2].str());
    let limit = if flags.contains('g') { usize::MAX } else { 1 };
    let result = out.open();
    let start = result.len();
    let mut end = 0;
    for captures in regex.captures_iter(text).take(limit) {
        let Some(whole) = captures.get(0) else { break };
        result.extend_from_slice(&text.as_bytes()[end..whole.start()]);
        expand(replacement, &captures, result);
        end = whole.end();
        check_size(result.len() - start)?;
    }
    result.extend_from_slice(&text.as_bytes()[end..]);
    Ok(())
}

/// Appends a replacement: `$n` and `\n` are groups, `\` takes the next character as it is.
fn expand(replacement: &str, captures: &regex::Captures<'_>, out: &mut Vec<u8>) {
    let bytes = replacement.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte != b'$' && byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.get(at) {
            Some(digit) if digit.is_ascii_digit() => {
                if let Some(group) = captures.get(usize::from(digit - b'0')) {
                    out.extend_from_slice(group.as_str().as_bytes());
                }
                at += 1;
            }
            Some(next) if byte == b'\\' => {
                out.push(*next);
                at += 1;
            }
            _ => out.push(byte),
        }
    }
}

/// A pattern of LIKE, by what is quickest to ask of a text.
enum Like {
    Equal(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
}

impl Like {
    fn parse(pattern: &str, escape: Option<char>) -> Result<Like, HostError> {
        let inner = pattern.trim_matches('%');
        let plain = !inner.contains(['%', '_']) && !pattern.contains(escape.unwrap_or('\0'));
        if plain {
            let (open_start, open_end) = (pattern.starts_with('%'), pattern.ends_with('%'));
            let inner = inner.to_string();
            return Ok(match (open_start, open_end) {
                (false, false) => Like::Equal(inner),
                (false, true) => Like::Prefix(inner),
                (true, false) => Like::Suffix(inner),
                (true, true) => Like::Contains(inner),
            });
        }
        let mut regex = String::from("(?s)^");
        translate_like(pattern, escape, &mut regex)?;
        regex.push('$');
        build(&regex, "").map(Like::Regex)
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Like::Equal(other) => text == other,
            Like::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Like::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Like::Contains(part) => text.contains(part.as_str()),
            Like::Regex(regex) => regex.is_match(text),
        }
    }
}

fn translate_like(pattern: &str, escape: Option<char>, out: &mut String) -> Result<(), HostError> {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let next = chars.next().ok_or_else(|| {
                HostError::bad_argument("the pattern ends in its escape character")
            })?;
            out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
            continue;
        }
        match c {
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    Ok(())
}

/// The escape character of a LIKE: backslash unless another is given; an empty text is none.
fn escape_of(args: &[HostArg<'_>]) -> Result<Option<char>, HostError> {
    let Some(escape) = args.get(2) else { return Ok(Some('\\')) };
    let mut chars = escape.str().chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(HostError::bad_argument("ESCAPE takes one character")),
    }
}

/// What a pattern and its escape character make, compiled once.
fn prepared<'a, T: Send + 'static>(
    cx: &'a mut HostCx,
    args: &[HostArg<'_>],
    prepare: fn(&str, Option<char>) -> Result<T, HostError>,
) -> Result<&'a T, HostError> {
    let escape = escape_of(args)?;
    let pattern = args[1].bytes();
    match args.get(2) {
        None => cx.cached(pattern, |pattern| prepare(pattern, escape)),
        Some(own) => {
            let key = [own.bytes(), pattern].concat();
            cx.cached(&key, |key| prepare(&key[own.bytes().len()..], escape))
        }
    }
}

fn like(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.bool(prepared(cx, args, Like::parse)?.matches(args[0].str()));
    Ok(())
}

fn ilike(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.bool(prepared(cx, args, ilike_regex)?.is_match(args[0].str()));
    Ok(())
}

fn ilike_regex(pattern: &str, escape: Option<char>) -> Result<Regex, HostError> {
    let mut regex = String::from("(?is)^");
    translate_like(pattern, escape, &mut regex)?;
    regex.push('$');
    build(&regex, "")
}

fn similar(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.bool(prepared(cx, args, similar_regex)?.is_match(args[0].str()));
    Ok(())
}

fn similar_regex(pattern: &str, escape: Option<char>) -> Result<Regex, HostError> {
    let mut regex = String::from("(?s)^(?:");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == escape => {
                if let Some(next) = chars.next() {
                    regex.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
                }
            }
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '.' | '^' | '$' | '\\' => {
                regex.push('\\');
                regex.push(c);
            }
            other => regex.push(other),
        }
    }
    regex.push_str(")$");
    build(&regex, "")
}
