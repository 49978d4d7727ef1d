//! Digests and checksums, of the UTF-8 bytes of a text or of a byte string.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use xxhash_rust::xxh64::xxh64;

use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{OCTETS, Pattern as P, sig};
use crate::text::write_hex;

const HASH: Builtin = Builtin { family: Family::Hash, ..Builtin::STRICT };

macro_rules! digest {
    ($name:literal, $host:literal, $algorithm:ty, $doc:literal, $of_abc:literal) => {
        Builtin {
            name: $name,
            doc: $doc,
            overloads: &[sig(
                &[OCTETS],
                P::String,
                host($host, |_, a, out| {
                    write_hex(&<$algorithm>::digest(a[0].bytes()), false, out.open());
                    Ok(())
                }),
            )],
            examples: &[
                (concat!("LEFT(", $name, "('abc'), 16)"), $of_abc),
                (concat!($name, "(NULL)"), "NULL"),
            ],
            ..HASH
        }
    };
}

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    digest!("MD5", "md5", Md5, "The MD5 digest in hexadecimal digits.", "900150983cd24fb0"),
    digest!("SHA1", "sha1", Sha1, "The SHA-1 digest in hexadecimal digits.", "a9993e364706816a"),
    digest!(
        "SHA224",
        "sha224",
        Sha224,
        "The SHA-224 digest in hexadecimal digits.",
        "23097d223405d822"
    ),
    digest!(
        "SHA256",
        "sha256",
        Sha256,
        "The SHA-256 digest in hexadecimal digits.",
        "ba7816bf8f01cfea"
    ),
    digest!(
        "SHA384",
        "sha384",
        Sha384,
        "The SHA-384 digest in hexadecimal digits.",
        "cb00753f45a35e8b"
    ),
    digest!(
        "SHA512",
        "sha512",
        Sha512,
        "The SHA-512 digest in hexadecimal digits.",
        "ddaf35a193617aba"
    ),
    Builtin {
        name: "SHA2",
        doc: "The SHA-2 digest of 224, 256, 384 or 512 bits in hexadecimal digits.",
        overloads: &[sig(&[OCTETS, P::BigInt], P::String, host("sha2", sha2))],
        examples: &[
            ("LEFT(SHA2('abc', 256), 16)", "ba7816bf8f01cfea"),
            ("SHA2('abc', NULL)", "NULL"),
        ],
        ..HASH
    },
    Builtin {
        name: "CRC32",
        doc: "The CRC-32 checksum (ISO 3309).",
        overloads: &[sig(
            &[OCTETS],
            P::BigInt,
            host("crc32", |_, a, out| {
                out.i64(i64::from(crc32(a[0].bytes())));
                Ok(())
            }),
        )],
        examples: &[("CRC32('123456789')", "3421780262"), ("CRC32(NULL)", "NULL")],
        ..HASH
    },
    Builtin {
        name: "XXHASH64",
        aliases: &["HASH"],
        doc: "The 64-bit xxHash with seed 0.",
        overloads: &[sig(
            &[OCTETS],
            P::BigInt,
            host("xxhash64", |_, a, out| {
                out.i64(xxh64(a[0].bytes(), 0) as i64);
                Ok(())
            }),
        )],
        examples: &[("HEX(XXHASH64('abc'))", "44BC2CF5AD770999"), ("XXHASH64(NULL)", "NULL")],
        ..HASH
    },
];

fn sha2(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Result<(), HostError> {
    let bytes = args[0].bytes();
    match args[1].i64() {
        224 => write_hex(&Sha224::digest(bytes), false, out.open()),
        256 => write_hex(&Sha256::digest(bytes), false, out.open()),
        384 => write_hex(&Sha384::digest(bytes), false, out.open()),
        512 => write_hex(&Sha512::digest(bytes), false, out.open()),
        bits => return Err(HostError::bad_argument(format!("no SHA-2 of {bits} bits"))),
    }
    Ok(())
}

const CRC32_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut value = i as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| CRC32_TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}
