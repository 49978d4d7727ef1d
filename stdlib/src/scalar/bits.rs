//! Integers as bits.

use crate::builtin::{Builtin, Family};
use crate::host::{HostError, host};
use crate::signature::{INTEGER, Pattern as P, sig};

const MATH: Builtin = Builtin { family: Family::Math, ..Builtin::STRICT };

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "BITAND",
        doc: "The bits that both integers have.",
        overloads: &[sig(
            &[INTEGER, INTEGER],
            INTEGER,
            host("bitand", |_, a, out| {
                out.i64(a[0].i64() & a[1].i64());
                Ok(())
            }),
        )],
        examples: &[("BITAND(12, 10)", "8"), ("BITAND(12, NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "BITOR",
        doc: "The bits that one of two integers has.",
        overloads: &[sig(
            &[INTEGER, INTEGER],
            INTEGER,
            host("bitor", |_, a, out| {
                out.i64(a[0].i64() | a[1].i64());
                Ok(())
            }),
        )],
        examples: &[("BITOR(12, 10)", "14"), ("BITOR(NULL, 10)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "BITXOR",
        aliases: &["XOR"],
        doc: "The bits that exactly one of two integers has.",
        overloads: &[sig(
            &[INTEGER, INTEGER],
            INTEGER,
            host("bitxor", |_, a, out| {
                out.i64(a[0].i64() ^ a[1].i64());
                Ok(())
            }),
        )],
        examples: &[("BITXOR(12, 10)", "6"), ("BITXOR(12, NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "BITNOT",
        doc: "The bits that an integer does not have.",
        overloads: &[sig(
            &[INTEGER],
            INTEGER,
            host("bitnot", |_, a, out| {
                out.i64(!a[0].i64());
                Ok(())
            }),
        )],
        examples: &[("BITNOT(0)", "-1"), ("BITNOT(NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "BIT_COUNT",
        doc: "How many bits are set in the 64-bit form of an integer.",
        overloads: &[sig(
            &[P::BigInt],
            P::Int,
            host("bit_count", |_, a, out| {
                out.i64(i64::from(a[0].i64().count_ones()));
                Ok(())
            }),
        )],
        examples: &[("BIT_COUNT(7)", "3"), ("BIT_COUNT(NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "BIN",
        doc: "An integer in binary digits.",
        overloads: &[sig(
            &[P::BigInt],
            P::String,
            host("bin", |_, a, out| {
                out.str(&format!("{:b}", a[0].i64()));
                Ok(())
            }),
        )],
        examples: &[("BIN(5)", "101"), ("BIN(NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "SHIFT_LEFT",
        aliases: &["SHIFTLEFT"],
        doc: "The 64-bit integer with its bits moved up by 0 to 63.",
        overloads: &[sig(
            &[P::BigInt, P::BigInt],
            P::BigInt,
            host("shift_left", |_, a, out| {
                out.i64(a[0].i64() << shift(a[1].i64())?);
                Ok(())
            }),
        )],
        examples: &[("SHIFT_LEFT(1, 4)", "16"), ("SHIFT_LEFT(1, NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "SHIFT_RIGHT",
        aliases: &["SHIFTRIGHT"],
        doc: "The 64-bit integer with its bits moved down by 0 to 63, the sign kept.",
        overloads: &[sig(
            &[P::BigInt, P::BigInt],
            P::BigInt,
            host("shift_right", |_, a, out| {
                out.i64(a[0].i64() >> shift(a[1].i64())?);
                Ok(())
            }),
        )],
        examples: &[("SHIFT_RIGHT(16, 4)", "1"), ("SHIFT_RIGHT(NULL, 4)", "NULL")],
        ..MATH
    },
];

fn shift(by: i64) -> Result<u32, HostError> {
    u32::try_from(by)
        .ok()
        .filter(|by| *by < 64)
        .ok_or_else(|| HostError::bad_argument(format!("a shift by {by}")))
}
