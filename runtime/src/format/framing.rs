//! Confluent's framing of registry payloads: a zero byte, the schema's id as big-endian u32, then
//! the payload.

/// Bytes before a framed payload.
pub const FRAME_BYTES: usize = 5;

/// Whether payloads carry the id of their schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The payload alone.
    Bare,
    /// Confluent's.
    Registry,
}

impl Framing {
    /// Bytes before the payload proper.
    pub fn bytes(self) -> usize {
        match self {
            Framing::Bare => 0,
            Framing::Registry => FRAME_BYTES,
        }
    }
}

/// The schema id in front of a framed payload; `None` if there is no such frame.
pub fn frame_id(payload: &[u8]) -> Option<u32> {
    match payload.first_chunk::<FRAME_BYTES>()? {
        [0, id @ ..] => Some(u32::from_be_bytes(*id)),
        _ => None,
    }
}

/// The bytes before a payload of the schema with this id.
pub fn frame_prefix(id: u32) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_read_back_and_nothing_else_is_a_frame() {
        assert_eq!(frame_id(&frame_prefix(77)), Some(77));
        assert_eq!(frame_id(&[]), None);
        assert_eq!(frame_id(&[0, 0, 0, 1]), None);
        assert_eq!(frame_id(b"{\"a\":1}"), None);
    }
}
