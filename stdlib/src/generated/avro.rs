//! Avro data, as far as generated records need it.

/// Appends a zig-zag variable-length integer.
#[inline]
pub(super) fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends bytes or text with their length.
#[inline]
pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// Appends a number of any width as bytes: big-endian, as short as it can be.
pub(super) fn put_decimal(value: i128, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let is_spare = |i: &usize| {
        let sign = if value < 0 { 0xff } else { 0 };
        bytes[*i] == sign && (bytes[i + 1] ^ sign) & 0x80 == 0
    };
    let spare = (0..bytes.len() - 1).take_while(is_spare).count();
    put_bytes(&bytes[spare..], out);
}
