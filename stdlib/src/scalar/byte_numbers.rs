//! Numbers from their bytes, and texts from one encoding to another.

use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{Pattern as P, sig};

use super::codec::{decoded, encoded};

const BYTES: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "INT_FROM_BYTES",
        doc: "The integer that four bytes are, by 'BIG_ENDIAN' (also when left out) or \
              'LITTLE_ENDIAN'.",
        overloads: &[
            sig(&[P::Bytes], P::Int, host("int_from_bytes", int)),
            sig(&[P::Bytes, P::String], P::Int, host("int_from_bytes", int)),
        ],
        examples: &[
            ("INT_FROM_BYTES(UNHEX('0000010A'))", "266"),
            ("INT_FROM_BYTES(UNHEX('0A010000'), 'LITTLE_ENDIAN')", "266"),
            ("INT_FROM_BYTES(CAST(NULL AS BYTES))", "NULL"),
        ],
        ..BYTES
    },
    Builtin {
        name: "BIGINT_FROM_BYTES",
        doc: "The integer that eight bytes are, likewise.",
        overloads: &[
            sig(&[P::Bytes], P::BigInt, host("bigint_from_bytes", bigint)),
            sig(&[P::Bytes, P::String], P::BigInt, host("bigint_from_bytes", bigint)),
        ],
        examples: &[
            ("BIGINT_FROM_BYTES(UNHEX('FFFFFFFFFFFFFFFE'))", "-2"),
            ("BIGINT_FROM_BYTES(CAST(NULL AS BYTES))", "NULL"),
        ],
        ..BYTES
    },
    Builtin {
        name: "DOUBLE_FROM_BYTES",
        doc: "The floating point number that eight bytes are, likewise.",
        overloads: &[
            sig(&[P::Bytes], P::Double, host("double_from_bytes", double)),
            sig(&[P::Bytes, P::String], P::Double, host("double_from_bytes", double)),
        ],
        examples: &[
            ("DOUBLE_FROM_BYTES(UNHEX('3FF8000000000000'))", "1.5"),
            ("DOUBLE_FROM_BYTES(CAST(NULL AS BYTES))", "NULL"),
        ],
        ..BYTES
    },
];

/// `ENCODE(text, from, to)`.
pub(super) fn recode(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let bytes = decoded(args[0].str(), args[1].str())?;
    out.str(&encoded(&bytes, args[2].str())?);
    Ok(())
}

/// The bytes, the largest first.
fn ordered<const N: usize>(args: &[HostArg<'_>]) -> Result<[u8; N], HostError> {
    let bytes = args[0].bytes();
    let mut ordered: [u8; N] = bytes.try_into().map_err(|_| {
        HostError::bad_argument(format!("{} bytes where there must be {N}", bytes.len()))
    })?;
    match args.get(1).map(|order| order.str().to_ascii_uppercase()) {
        None => {}
        Some(order) if order == "BIG_ENDIAN" => {}
        Some(order) if order == "LITTLE_ENDIAN" => ordered.reverse(),
        Some(order) => return Err(HostError::bad_argument(format!("no byte order '{order}'"))),
    }
    Ok(ordered)
}

fn int(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(i64::from(i32::from_be_bytes(ordered(args)?)));
    Ok(())
}

fn bigint(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(i64::from_be_bytes(ordered(args)?));
    Ok(())
}

fn double(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.f64(f64::from_be_bytes(ordered(args)?));
    Ok(())
}
