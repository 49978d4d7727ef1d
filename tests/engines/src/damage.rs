//! Payloads with something wrong: cut short, bits turned, bytes put in, taken out or repeated.

use crate::source::Source;

/// Bytes that mean something in a length, a branch number or a text.
const TELLING: [u8; 10] = [0, 1, 2, 0x7f, 0x80, 0xff, b'"', b'{', b',', b'\\'];

/// Some bytes with damage, once in a while none.
pub fn damage(s: &mut Source<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..1 + s.below(3) {
        if out.is_empty() {
            out.push(*s.pick(&TELLING));
            continue;
        }
        let at = s.below(out.len());
        match s.below(7) {
            0 | 1 => out.truncate(at),
            2 | 3 => out[at] ^= 1 << s.below(8),
            4 => out[at] = *s.pick(&TELLING),
            5 => out.insert(at, *s.pick(&TELLING)),
            _ => {
                out.remove(at);
            }
        }
    }
    out
}
