//! Percent encoding of names, for URL paths and for file names.
//!
//! An encoded name consists of ASCII letters, digits, `-`, `_`, `.`, `~` and `%XX`, and does not
//! begin with a dot: it is one path segment and one file name on any system.

/// Encodes a name; [`decode`] gives it back.
pub(crate) fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'.' if at > 0 => encoded.push('.'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Decodes `%XX`; a `%` without two hexadecimal digits stands for itself, as do bytes that are not
/// UTF-8 for the replacement character.
pub(crate) fn decode(encoded: &str) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().and_then(|[high, low]| {
            Some((char::from(*high).to_digit(16)? * 16) + char::from(*low).to_digit(16)?)
        });
        match digits.map(u8::try_from) {
            Some(Ok(value)) if byte == b'%' => {
                bytes.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_subjects_stay_readable() {
        assert_eq!(encode("orders-v1.eu-value"), "orders-v1.eu-value");
        assert_eq!(encode("a/b c:é"), "a%2Fb%20c%3A%C3%A9");
        assert_eq!(encode(".."), "%2E.");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%4"), "%4");
        assert_eq!(decode("%zz%41"), "%zzA");
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(name in "\\PC{0,40}") {
            let encoded = encode(&name);
            prop_assert!(!encoded.contains(['/', '\\', '\0', ':']) && !encoded.starts_with('.'));
            prop_assert_eq!(decode(&encoded), name);
        }

        #[test]
        fn decode_takes_any_text(text in any::<String>()) {
            prop_assert!(decode(&text).chars().count() <= text.chars().count());
        }
    }
}
