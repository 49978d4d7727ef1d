//! Encodings of text and bytes, parts of URLs, classes of characters, UUIDs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::byte_numbers::recode;
use crate::builtin::Meaning;
use crate::builtin::{Builtin, Family, NullRule, Volatility};
use crate::host::{HostArg, HostCx, HostError, HostFn, HostOut, host, host_sees_nulls};
use crate::signature::{Nullability, Pattern as P, sig};
use crate::text::{parse_hex, write_hex};

const TEXT: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "TO_BASE64",
        aliases: &["BASE64"],
        doc: "The bytes in base 64.",
        overloads: &[
            sig(&[P::String], P::String, host("to_base64", to_base64)),
            sig(&[P::Bytes], P::String, host("to_base64", to_base64)),
        ],
        examples: &[("TO_BASE64('hello')", "aGVsbG8="), ("TO_BASE64(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "FROM_BASE64",
        aliases: &["UNBASE64"],
        doc: "The text that stands in base 64.",
        overloads: &[sig(&[P::String], P::String, host("from_base64", from_base64))],
        examples: &[("FROM_BASE64('aGVsbG8=')", "hello"), ("FROM_BASE64(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "HEX",
        aliases: &["TO_HEX"],
        doc: "An integer, or bytes, in hexadecimal digits.",
        overloads: &[
            sig(
                &[P::BigInt],
                P::String,
                host("hex_integer", |_, a, out| {
                    out.str(&format!("{:X}", a[0].i64()));
                    Ok(())
                }),
            ),
            sig(&[P::String], P::String, host("hex_bytes", hex_bytes)),
            sig(&[P::Bytes], P::String, host("hex_bytes", hex_bytes)),
        ],
        examples: &[("HEX(255)", "FF"), ("HEX('az')", "617A"), ("HEX(CAST(NULL AS INT))", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "UNHEX",
        aliases: &["FROM_HEX"],
        doc: "The bytes that stand in hexadecimal digits.",
        overloads: &[sig(
            &[P::String],
            P::Bytes,
            host("unhex", |_, a, out| {
                let bytes = parse_hex(a[0].bytes());
                out.bytes(&bytes.ok_or_else(|| HostError::bad_argument("no hexadecimal digits"))?);
                Ok(())
            }),
        )],
        examples: &[("UNHEX('617A')", "x'617a'"), ("UNHEX(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "ENCODE",
        aliases: &["CONVERT_TO"],
        doc: "A text as bytes of a character set, or bytes as text ('hex', 'base64'); with two \
              encodings a text from the first to the second: 'utf8', 'ascii', 'hex', 'base64'.",
        overloads: &[
            sig(&[P::String, P::String], P::Bytes, host("encode_text", encode_text)),
            sig(&[P::Bytes, P::String], P::String, host("encode_bytes", encode_bytes)),
            sig(&[P::String, P::String, P::String], P::String, host("recode", recode)),
        ],
        examples: &[
            ("ENCODE('é', 'UTF-8')", "x'c3a9'"),
            ("ENCODE('6869', 'hex', 'utf8')", "hi"),
            ("ENCODE(UNHEX('ff'), 'hex')", "ff"),
            ("ENCODE(CAST(NULL AS STRING), 'UTF-8')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "DECODE",
        aliases: &["CONVERT_FROM"],
        doc: "Bytes of a character set as text, or text ('hex', 'base64') as bytes.",
        overloads: &[
            sig(&[P::Bytes, P::String], P::String, host("decode_bytes", decode_bytes)),
            sig(&[P::String, P::String], P::Bytes, host("decode_text", decode_text)),
        ],
        examples: &[
            ("DECODE(UNHEX('c3a9'), 'UTF-8')", "é"),
            ("DECODE('ff', 'hex')", "x'ff'"),
            ("DECODE(CAST(NULL AS BYTES), 'UTF-8')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "TO_BYTES",
        doc: "The bytes of a text in 'utf8', 'ascii', 'hex' or 'base64'.",
        overloads: &[sig(&[P::String, P::String], P::Bytes, host("to_bytes", to_bytes))],
        examples: &[("TO_BYTES('6869', 'hex')", "x'6869'"), ("TO_BYTES(NULL, 'hex')", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "FROM_BYTES",
        doc: "Bytes as text in 'utf8', 'ascii', 'hex' or 'base64'.",
        overloads: &[sig(&[P::Bytes, P::String], P::String, host("from_bytes", from_bytes))],
        examples: &[
            ("FROM_BYTES(UNHEX('6869'), 'utf8')", "hi"),
            ("FROM_BYTES(CAST(NULL AS BYTES), 'hex')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "URL_ENCODE",
        aliases: &["URL_ENCODE_PARAM"],
        doc: "The text as parameters of URLs have it: a blank as +, what is reserved as %XX.",
        overloads: &[sig(&[P::String], P::String, host("url_encode", url_encode))],
        examples: &[("URL_ENCODE('a b&c')", "a+b%26c"), ("URL_ENCODE(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "URL_DECODE",
        aliases: &["URL_DECODE_PARAM"],
        doc: "The text with %XX and + replaced by what they stand for; NULL if it is malformed.",
        overloads: &[sig(
            &[P::String],
            P::String,
            host("url_decode", |_, a, out| {
                if let Some(text) = url_decode(a[0].str()) {
                    out.str(&text);
                }
                Ok(())
            }),
        )
        .may_be_null()],
        examples: &[("URL_DECODE('a%20b+c')", "a b c"), ("URL_DECODE(NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "URL_DECODE_RECURSIVE",
        doc: "The text decoded as by URL_DECODE until nothing changes, or as often as is said.",
        overloads: &[
            sig(&[P::String], P::String, host("url_decode_recursive", url_decode_recursive))
                .may_be_null(),
            sig(
                &[P::String, P::Int],
                P::String,
                host("url_decode_recursive", url_decode_recursive),
            )
            .may_be_null(),
        ],
        examples: &[
            ("URL_DECODE_RECURSIVE('a%252Fb')", "a/b"),
            ("URL_DECODE_RECURSIVE('a%25252Fb', 2)", "a%2Fb"),
            ("URL_DECODE_RECURSIVE(NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "IS_VALID_UTF8",
        doc: "Whether bytes are a text in UTF-8.",
        overloads: &[sig(
            &[P::Bytes],
            P::Boolean,
            host("is_valid_utf8", |_, a, out| {
                out.bool(std::str::from_utf8(a[0].bytes()).is_ok());
                Ok(())
            }),
        )],
        examples: &[
            ("IS_VALID_UTF8(UNHEX('68C3A9'))", "TRUE"),
            ("IS_VALID_UTF8(UNHEX('68FF'))", "FALSE"),
            ("IS_VALID_UTF8(CAST(NULL AS BYTES))", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "MAKE_VALID_UTF8",
        doc: "Bytes as text, what is no UTF-8 as the character U+FFFD.",
        overloads: &[sig(
            &[P::Bytes],
            P::String,
            host("make_valid_utf8", |_, a, out| {
                out.str(&String::from_utf8_lossy(a[0].bytes()));
                Ok(())
            }),
        )],
        examples: &[
            ("MAKE_VALID_UTF8(UNHEX('6869'))", "hi"),
            ("LENGTH(MAKE_VALID_UTF8(UNHEX('68FF69')))", "3"),
            ("MAKE_VALID_UTF8(CAST(NULL AS BYTES))", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "PARSE_URL",
        doc: "HOST, PATH, QUERY, REF, PROTOCOL, FILE, AUTHORITY, USERINFO or a query key of a URL.",
        overloads: &[
            sig(&[P::String, P::String], P::String, host("parse_url", parse_url)).may_be_null(),
            sig(&[P::String, P::String, P::String], P::String, host("parse_url", parse_url))
                .may_be_null(),
        ],
        examples: &[
            ("PARSE_URL('https://u@h.io:80/a/b?k=v#r', 'HOST')", "h.io"),
            ("PARSE_URL('https://h.io/a?k=v&l=w', 'QUERY', 'l')", "w"),
            ("PARSE_URL('https://h.io/a', 'QUERY')", "NULL"),
            ("PARSE_URL(NULL, 'HOST')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "IS_ALPHA",
        doc: "Whether a text is of letters only, and not empty.",
        overloads: &[class_of(host_sees_nulls("is_alpha", |_, a, out| {
            out.bool(all_chars(a[0].str(), char::is_alphabetic));
            Ok(())
        }))],
        nulls: NullRule::SeesNulls,
        examples: &[("IS_ALPHA('abc')", "TRUE"), ("IS_ALPHA(NULL)", "FALSE")],
        ..TEXT
    },
    Builtin {
        name: "IS_DIGIT",
        doc: "Whether a text is of decimal digits only, and not empty.",
        overloads: &[class_of(host_sees_nulls("is_digit", |_, a, out| {
            out.bool(all_chars(a[0].str(), |c| c.is_ascii_digit()));
            Ok(())
        }))],
        nulls: NullRule::SeesNulls,
        examples: &[("IS_DIGIT('123')", "TRUE"), ("IS_DIGIT(NULL)", "FALSE")],
        ..TEXT
    },
    Builtin {
        name: "IS_DECIMAL",
        doc: "Whether a text is a number.",
        overloads: &[class_of(host_sees_nulls("is_decimal", |_, a, out| {
            let text = a[0].str().trim();
            let numeric = text.bytes().all(|b| !b.is_ascii_alphabetic() || b == b'e' || b == b'E');
            out.bool(numeric && crate::text::parse_f64(text).is_some());
            Ok(())
        }))],
        nulls: NullRule::SeesNulls,
        examples: &[("IS_DECIMAL('-1.5')", "TRUE"), ("IS_DECIMAL(NULL)", "FALSE")],
        ..TEXT
    },
    Builtin {
        name: "UUID",
        aliases: &["GEN_RANDOM_UUID", "RANDOM_UUID"],
        doc: "A random UUID (version 4) as text, another at each call.",
        overloads: &[sig(
            &[],
            P::String,
            Meaning::Host(HostFn::impure("uuid", |_, _, out| {
                crate::text::write_uuid(uuid::Uuid::new_v4().as_u128(), out.open());
                Ok(())
            })),
        )],
        volatility: Volatility::NonDeterministic,
        examples: &[("LENGTH(UUID())", "36"), ("UUID() IS NULL", "FALSE")],
        ..TEXT
    },
];

const fn class_of(meaning: Meaning) -> crate::signature::Signature {
    sig(&[P::String], P::Boolean, meaning).nullability(Nullability::Never)
}

fn all_chars(text: &str, holds: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(holds)
}

fn to_base64(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.str(&BASE64.encode(args[0].bytes()));
    Ok(())
}

fn base64_bytes(text: &[u8]) -> Result<Vec<u8>, HostError> {
    BASE64.decode(text).map_err(|e| HostError::bad_argument(e.to_string()))
}

fn utf8(bytes: Vec<u8>) -> Result<String, HostError> {
    String::from_utf8(bytes).map_err(|_| HostError::bad_argument("the bytes are not UTF-8"))
}

fn from_base64(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.str(&utf8(base64_bytes(args[0].bytes())?)?);
    Ok(())
}

fn hex_bytes(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    write_hex(args[0].bytes(), true, out.open());
    Ok(())
}

/// Character sets that texts are encoded in.
enum Charset {
    Utf8,
    Ascii,
    Latin1,
    Utf16 { little: bool },
}

fn charset(name: &str) -> Result<Charset, HostError> {
    Ok(match name.to_ascii_uppercase().as_str() {
        "UTF-8" | "UTF8" => Charset::Utf8,
        "US-ASCII" | "ASCII" => Charset::Ascii,
        "ISO-8859-1" | "LATIN1" => Charset::Latin1,
        "UTF-16BE" | "UTF-16" => Charset::Utf16 { little: false },
        "UTF-16LE" => Charset::Utf16 { little: true },
        _ => return Err(HostError::bad_argument(format!("no character set '{name}'"))),
    })
}

fn encode_text(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (text, charset) = (args[0].str(), charset(args[1].str())?);
    let single =
        |limit: u32| move |c: char| if u32::from(c) < limit { u32::from(c) as u8 } else { b'?' };
    let bytes = out.open();
    match charset {
        Charset::Utf8 => bytes.extend_from_slice(text.as_bytes()),
        Charset::Ascii => bytes.extend(text.chars().map(single(128))),
        Charset::Latin1 => bytes.extend(text.chars().map(single(256))),
        Charset::Utf16 { little } => {
            for unit in text.encode_utf16() {
                bytes.extend(if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
            }
        }
    }
    Ok(())
}

fn decode_bytes(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let bytes = args[0].bytes();
    match charset(args[1].str())? {
        Charset::Utf8 | Charset::Ascii => out.str(&String::from_utf8_lossy(bytes)),
        Charset::Latin1 => {
            out.str(&bytes.iter().map(|&b| char::from(b)).collect::<String>());
        }
        Charset::Utf16 { little } => {
            let units = bytes.chunks_exact(2).map(|pair| {
                let pair = [pair[0], pair[1]];
                if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
            });
            let chars = char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}'));
            out.str(&chars.collect::<String>());
        }
    }
    Ok(())
}

fn encode_bytes(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    match args[1].str().to_ascii_lowercase().as_str() {
        "hex" => write_hex(args[0].bytes(), false, out.open()),
        "base64" => return to_base64(cx, args, out),
        other => return Err(HostError::bad_argument(format!("no encoding '{other}'"))),
    }
    Ok(())
}

fn decode_text(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let bytes = match args[1].str().to_ascii_lowercase().as_str() {
        "hex" => parse_hex(args[0].bytes())
            .ok_or_else(|| HostError::bad_argument("no hexadecimal digits"))?,
        "base64" => base64_bytes(args[0].bytes())?,
        other => return Err(HostError::bad_argument(format!("no encoding '{other}'"))),
    };
    out.bytes(&bytes);
    Ok(())
}

/// The bytes of a text in an encoding.
pub(super) fn decoded(text: &str, encoding: &str) -> Result<Vec<u8>, HostError> {
    match encoding.to_ascii_lowercase().as_str() {
        "hex" => parse_hex(hex_digits(text).as_bytes())
            .ok_or_else(|| HostError::bad_argument("no hexadecimal digits")),
        "base64" => base64_bytes(text.as_bytes()),
        "utf8" | "utf-8" | "ascii" => Ok(text.as_bytes().to_vec()),
        other => Err(HostError::bad_argument(format!("no encoding '{other}'"))),
    }
}

/// Hexadecimal digits without what may stand around them: `0x1a`, `X'1a'`, an odd number of them.
fn hex_digits(text: &str) -> String {
    let inner = text.strip_prefix("X'").or_else(|| text.strip_prefix("x'"));
    let inner = inner.and_then(|inner| inner.strip_suffix('\''));
    let digits = inner.or_else(|| text.strip_prefix("0x")).unwrap_or(text);
    if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() }
}

/// Bytes as a text in an encoding.
pub(super) fn encoded(bytes: &[u8], encoding: &str) -> Result<String, HostError> {
    match encoding.to_ascii_lowercase().as_str() {
        "hex" => {
            let mut digits = Vec::with_capacity(2 * bytes.len());
            write_hex(bytes, false, &mut digits);
            Ok(String::from_utf8_lossy(&digits).into_owned())
        }
        "base64" => Ok(BASE64.encode(bytes)),
        "utf8" | "utf-8" => Ok(String::from_utf8_lossy(bytes).into_owned()),
        "ascii" => {
            let one = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '\u{fffd}' };
            Ok(bytes.iter().map(one).collect())
        }
        other => Err(HostError::bad_argument(format!("no encoding '{other}'"))),
    }
}

fn is_digits(encoding: &str) -> bool {
    encoding.eq_ignore_ascii_case("hex") || encoding.eq_ignore_ascii_case("base64")
}

fn to_bytes(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    match is_digits(args[1].str()) {
        true => decode_text(cx, args, out),
        false => encode_text(cx, args, out),
    }
}

fn from_bytes(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    match is_digits(args[1].str()) {
        true => encode_bytes(cx, args, out),
        false => decode_bytes(cx, args, out),
    }
}

fn url_encode(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let result = out.open();
    for &byte in args[0].bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) {
            result.push(byte);
        } else if byte == b' ' {
            result.push(b'+');
        } else {
            result.push(b'%');
            write_hex(&[byte], true, result);
        }
    }
    Ok(())
}

pub(super) fn url_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => decoded.extend(parse_hex(&[bytes.next()?, bytes.next()?])?),
            b'+' => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).ok()
}

/// Decodes again what decoding gave, at most so many times; what is malformed ends it.
const DECODE_TIMES: i64 = 10;

fn url_decode_recursive(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let times = args.get(1).map_or(DECODE_TIMES, |times| times.i64());
    let Some(mut text) = url_decode(args[0].str()).filter(|_| times > 0) else { return Ok(()) };
    for _ in 1..times {
        match url_decode(&text) {
            Some(next) if next != text => text = next,
            Some(_) | None => break,
        }
    }
    out.str(&text);
    Ok(())
}

fn parse_url(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let part = url_part(args[0].str(), &args[1].str().to_ascii_uppercase());
    let part = match args.get(2) {
        None => part,
        Some(key) => part.and_then(|query| {
            query.split('&').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                (name == key.str()).then_some(value)
            })
        }),
    };
    if let Some(part) = part {
        out.str(part);
    }
    Ok(())
}

pub(super) fn url_part<'a>(url: &'a str, part: &str) -> Option<&'a str> {
    let (protocol, rest) = url.split_once("://")?;
    let (before_ref, reference) = match rest.split_once('#') {
        Some((before, reference)) => (before, Some(reference)),
        None => (rest, None),
    };
    let (before_query, query) = match before_ref.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (before_ref, None),
    };
    let slash = before_query.find('/').unwrap_or(before_query.len());
    let (authority, path) = before_query.split_at(slash);
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    match part {
        "PROTOCOL" => Some(protocol),
        "AUTHORITY" => Some(authority),
        "USERINFO" => user,
        "HOST" => Some(place.rsplit_once(':').map_or(place, |(host, _)| host)),
        "PATH" => Some(path),
        "QUERY" => query,
        "FILE" => Some(&before_ref[authority.len()..]),
        "REF" => reference,
        _ => None,
    }
}
