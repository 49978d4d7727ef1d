//! Masks over what others are not to read: letters, digits and the rest, each by a character of
//! its own.

use super::text::put_chars;
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{Pattern as P, Signature, sig};

const TEXT: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// Which characters are masked: the position from 0, of so many, and the count asked for.
type Masked = fn(usize, usize, usize) -> bool;

macro_rules! mask {
    ($name:literal, $host:literal, $doc:literal, $masked:expr, $examples:expr) => {
        Builtin {
            name: $name,
            doc: $doc,
            overloads: &overloads(host($host, |_, a, out| {
                let masked: Masked = $masked;
                mask_some(a, out, masked)
            })),
            examples: $examples,
            ..TEXT
        }
    };
}

/// (text, count), and with masks for capitals, small letters, digits and the rest.
const fn overloads(meaning: crate::builtin::Meaning) -> [Signature; 2] {
    [
        sig(&[P::String, P::BigInt], P::String, meaning),
        sig(
            &[P::String, P::BigInt, P::String, P::String, P::String, P::String],
            P::String,
            meaning,
        ),
    ]
}

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "MASK",
        doc: "The text with X, x, n and - for capitals, small letters, digits and the rest.",
        overloads: &[
            sig(&[P::String], P::String, host("mask", mask)),
            sig(
                &[P::String, P::String, P::String, P::String, P::String],
                P::String,
                host("mask", mask),
            ),
        ],
        examples: &[
            ("MASK('My Test $123')", "Xx-Xxxx--nnn"),
            ("MASK('Ab1', '*', '*', '9', '')", "**9"),
            ("MASK(NULL)", "NULL"),
        ],
        ..TEXT
    },
    mask!(
        "MASK_LEFT",
        "mask_left",
        "The text with its first characters masked.",
        |at, _, count| at < count,
        &[("MASK_LEFT('Ab12-c', 3)", "Xxn2-c"), ("MASK_LEFT('a', NULL)", "NULL")]
    ),
    mask!(
        "MASK_RIGHT",
        "mask_right",
        "The text with its last characters masked.",
        |at, len, count| len - at <= count,
        &[("MASK_RIGHT('Ab12-c', 3)", "Ab1n-x"), ("MASK_RIGHT('a', NULL)", "NULL")]
    ),
    mask!(
        "MASK_KEEP_LEFT",
        "mask_keep_left",
        "The text with all but its first characters masked.",
        |at, _, count| at >= count,
        &[("MASK_KEEP_LEFT('Ab12-c', 3)", "Ab1n-x"), ("MASK_KEEP_LEFT(NULL, 1)", "NULL")]
    ),
    mask!(
        "MASK_KEEP_RIGHT",
        "mask_keep_right",
        "The text with all but its last characters masked.",
        |at, len, count| len - at > count,
        &[("MASK_KEEP_RIGHT('Ab12-c', 3)", "Xxn2-c"), ("MASK_KEEP_RIGHT(NULL, 1)", "NULL")]
    ),
];

/// A character as the masks want it; an empty mask leaves it as it is.
fn masked(c: char, masks: &[HostArg<'_>]) -> char {
    let (kind, usual) = if c.is_uppercase() {
        (0, 'X')
    } else if c.is_lowercase() {
        (1, 'x')
    } else if c.is_numeric() {
        (2, 'n')
    } else {
        (3, '-')
    };
    match masks.get(kind) {
        None => usual,
        Some(mask) => mask.str().chars().next().unwrap_or(c),
    }
}

fn mask(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    put_chars(out, args[0].str().chars().map(|c| masked(c, &args[1..])));
    Ok(())
}

fn mask_some(args: &[HostArg<'_>], out: &mut HostOut<'_>, which: Masked) -> Done {
    let text = args[0].str();
    let len = text.chars().count();
    let count = usize::try_from(args[1].i64())
        .map_err(|_| HostError::bad_argument(format!("a count of {}", args[1].i64())))?;
    let mask = |(at, c)| if which(at, len, count) { masked(c, &args[2..]) } else { c };
    put_chars(out, text.chars().enumerate().map(mask));
    Ok(())
}
