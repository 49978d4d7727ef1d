//! Parts of URLs, a function each; addresses as numbers.

use std::net::Ipv4Addr;

use super::codec::{url_decode, url_part};
use crate::builtin::{Builtin, Family};
use crate::host::{HostOut, host};
use crate::signature::{Pattern as P, sig};

const TEXT: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

macro_rules! part {
    ($name:literal, $host:literal, $part:literal, $doc:literal, $of_example:literal) => {
        Builtin {
            name: $name,
            doc: $doc,
            overloads: &[sig(
                &[P::String],
                P::String,
                host($host, |_, a, out| {
                    put(url_part(a[0].str(), $part), out);
                    Ok(())
                }),
            )
            .may_be_null()],
            examples: &[
                (concat!($name, "('http://me@flow.dev:8080/a/b?x=1&y=a%20b#end')"), $of_example),
                (concat!($name, "(NULL)"), "NULL"),
            ],
            ..TEXT
        }
    };
}

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    part!("URL_EXTRACT_PROTOCOL", "url_protocol", "PROTOCOL", "A URL's protocol.", "http"),
    part!("URL_EXTRACT_HOST", "url_host", "HOST", "A URL's host.", "flow.dev"),
    part!("URL_EXTRACT_PATH", "url_path", "PATH", "A URL's path.", "/a/b"),
    part!("URL_EXTRACT_QUERY", "url_query", "QUERY", "A URL's query.", "x=1&y=a%20b"),
    part!("URL_EXTRACT_FRAGMENT", "url_fragment", "REF", "A URL's fragment.", "end"),
    Builtin {
        name: "URL_EXTRACT_PORT",
        doc: "A URL's port; NULL if it has none.",
        overloads: &[sig(
            &[P::String],
            P::Int,
            host("url_port", |_, a, out| {
                if let Some(port) = port(a[0].str()) {
                    out.i64(i64::from(port));
                }
                Ok(())
            }),
        )
        .may_be_null()],
        examples: &[
            ("URL_EXTRACT_PORT('http://flow.dev:8080/a')", "8080"),
            ("URL_EXTRACT_PORT('http://flow.dev/a')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "URL_EXTRACT_PARAMETER",
        doc: "The decoded value of a parameter in a URL's query; NULL if it has none.",
        overloads: &[sig(
            &[P::String, P::String],
            P::String,
            host("url_parameter", |_, a, out| {
                if let Some(value) = parameter(a[0].str(), a[1].str()) {
                    out.str(&value);
                }
                Ok(())
            }),
        )
        .may_be_null()],
        examples: &[
            ("URL_EXTRACT_PARAMETER('http://flow.dev/?x=1&y=a%20b', 'y')", "a b"),
            ("URL_EXTRACT_PARAMETER('http://flow.dev/?x=1', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "INET_ATON",
        doc: "An IPv4 address as a number, a.b as a.0.0.b, a.b.c as a.b.0.c; NULL if it is none.",
        overloads: &[sig(
            &[P::String],
            P::BigInt,
            host("inet_aton", |_, a, out| {
                if let Some(address) = address(a[0].str()) {
                    out.i64(i64::from(address));
                }
                Ok(())
            }),
        )
        .may_be_null()],
        examples: &[
            ("INET_ATON('10.0.0.1')", "167772161"),
            ("INET_ATON('10.1')", "167772161"),
            ("INET_ATON('10.0.0.256')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "INET_NTOA",
        doc: "The IPv4 address that a number is; NULL if it is none.",
        overloads: &[sig(
            &[P::BigInt],
            P::String,
            host("inet_ntoa", |_, a, out| {
                if let Ok(address) = u32::try_from(a[0].i64()) {
                    out.str(&Ipv4Addr::from(address).to_string());
                }
                Ok(())
            }),
        )
        .may_be_null()],
        examples: &[("INET_NTOA(167772161)", "10.0.0.1"), ("INET_NTOA(-1)", "NULL")],
        ..TEXT
    },
];

/// The number of an address; its last part fills what is left.
fn address(text: &str) -> Option<u32> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = text.split('.').collect();
    let (last, first) = parts.split_last()?;
    if parts.len() > 4 || !parts.iter().all(|part| digits(part)) {
        return None;
    }
    if first.is_empty() {
        return last.parse().ok();
    }
    let mut bytes = [0; 4];
    for (byte, part) in bytes.iter_mut().zip(first) {
        *byte = part.parse().ok()?;
    }
    bytes[3] = last.parse().ok()?;
    Some(u32::from_be_bytes(bytes))
}

fn put(part: Option<&str>, out: &mut HostOut<'_>) {
    if let Some(part) = part {
        out.str(part);
    }
}

fn port(url: &str) -> Option<u16> {
    let authority = url_part(url, "AUTHORITY")?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    place.rsplit_once(':')?.1.parse().ok()
}

fn parameter(url: &str, name: &str) -> Option<String> {
    url_part(url, "QUERY")?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (url_decode(key).as_deref() == Some(name)).then(|| url_decode(value)).flatten()
    })
}
