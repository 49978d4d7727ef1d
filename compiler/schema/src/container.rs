//! Avro's object container files: a header with the writer's schema, then blocks of records, each
//! packed by the file's codec and ended by its marker. What is here works on bytes; who reads or
//! writes the file is the runtime's matter.

use apache_avro::{Codec as AvroCodec, DeflateSettings};

/// The first bytes of a file.
const MAGIC: &[u8; 4] = b"Obj\x01";

/// Bytes of a header at most.
pub const HEADER_BYTES_MAX: usize = 16 << 20;

/// Bytes of a marker.
pub const MARKER_BYTES: usize = 16;

/// How blocks are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    Null,
    /// Deflate, without a header of its own.
    Deflate,
    /// Snappy, and a checksum.
    Snappy,
}

impl Codec {
    /// The codec of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "null" => Some(Codec::Null),
            "deflate" => Some(Codec::Deflate),
            "snappy" => Some(Codec::Snappy),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Null => "null",
            Codec::Deflate => "deflate",
            Codec::Snappy => "snappy",
        }
    }

    fn of_library(self) -> AvroCodec {
        match self {
            Codec::Null => AvroCodec::Null,
            Codec::Deflate => AvroCodec::Deflate(DeflateSettings::default()),
            Codec::Snappy => AvroCodec::Snappy,
        }
    }

    /// Packs a block.
    ///
    /// # Errors
    /// If the codec's library fails.
    pub fn pack(self, block: &mut Vec<u8>) -> Result<(), String> {
        self.of_library().compress(block).map_err(|e| e.to_string())
    }

    /// Unpacks a block.
    ///
    /// # Errors
    /// If it was not packed so.
    pub fn unpack(self, block: &mut Vec<u8>) -> Result<(), String> {
        // A checksum follows.
        if self == Codec::Snappy && block.len() < 4 {
            return Err("a block that is too short".into());
        }
        self.of_library().decompress(block).map_err(|e| e.to_string())
    }
}

/// What stands at a file's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The schema of the records, as text.
    pub schema: String,
    /// How blocks are packed.
    pub codec: Codec,
    /// What ends each block.
    pub marker: [u8; MARKER_BYTES],
}

impl Header {
    /// Reads a header from the first bytes of a file: it and its length; `None` if more bytes are
    /// needed.
    ///
    /// # Errors
    /// If these are no container file's, or its codec is not known.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let magic = &bytes[..bytes.len().min(MAGIC.len())];
        if *magic != MAGIC[..magic.len()] {
            return Err("it is no Avro object container file".into());
        }
        let mut scan = Scan { bytes, at: MAGIC.len() };
        let (mut schema, mut codec) = (None, Codec::Null);
        loop {
            let Some(count) = scan.long()? else { return Ok(None) };
            if count == 0 {
                break;
            }
            if count < 0 && scan.long()?.is_none() {
                return Ok(None);
            }
            for _ in 0..count.unsigned_abs() {
                let Some(key) = scan.bytes()? else { return Ok(None) };
                let Some(value) = scan.bytes()? else { return Ok(None) };
                let text = || {
                    std::str::from_utf8(value).map_err(|_| "its header is not UTF-8".to_string())
                };
                match key {
                    b"avro.schema" => schema = Some(text()?.to_string()),
                    b"avro.codec" => {
                        let name = text()?;
                        codec = Codec::named(name).ok_or_else(|| {
                            format!("its codec is {name}; null, deflate and snappy are read")
                        })?;
                    }
                    _ => {}
                }
            }
        }
        let Some(marker) = bytes.get(scan.at..).and_then(<[u8]>::first_chunk) else {
            return Ok(None);
        };
        let schema = schema.ok_or("its header has no schema")?;
        Ok(Some((Self { schema, codec, marker: *marker }, scan.at + MARKER_BYTES)))
    }

    /// Appends the header.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        put_long(2, out);
        let entries = [("avro.schema", self.schema.as_str()), ("avro.codec", self.codec.name())];
        for (key, value) in entries {
            for text in [key, value] {
                put_long(text.len() as i64, out);
                out.extend_from_slice(text.as_bytes());
            }
        }
        put_long(0, out);
        out.extend_from_slice(&self.marker);
    }
}

/// Appends a block of packed records.
pub fn write_block(count: u64, packed: &[u8], marker: &[u8; MARKER_BYTES], out: &mut Vec<u8>) {
    put_long(count as i64, out);
    put_long(packed.len() as i64, out);
    out.extend_from_slice(packed);
    out.extend_from_slice(marker);
}

/// Reads the numbers before a block: how many records, and how many bytes, packed; and their own
/// length. `None` if more bytes are needed.
///
/// # Errors
/// If they are no such numbers.
pub fn block_head(bytes: &[u8]) -> Result<Option<(u64, usize, usize)>, String> {
    let mut scan = Scan { bytes, at: 0 };
    let (Some(count), Some(size)) = (scan.long()?, scan.long()?) else { return Ok(None) };
    let count = u64::try_from(count).map_err(|_| "a block with a negative number of records")?;
    let size = usize::try_from(size).map_err(|_| "a block of negative length")?;
    Ok(Some((count, size, scan.at)))
}

fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// A number; `None` if it goes on behind the bytes.
    fn long(&mut self) -> Result<Option<i64>, String> {
        let (mut value, mut shift) = (0u64, 0);
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            if shift > 63 {
                return Err("a number of too many bytes".into());
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(Some((value >> 1) as i64 ^ -((value & 1) as i64)));
            }
            shift += 7;
        }
        Ok(None)
    }

    /// Bytes after their length; `None` if they go on behind the bytes.
    fn bytes(&mut self) -> Result<Option<&'a [u8]>, String> {
        let Some(length) = self.long()? else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| "a negative length".to_string())?;
        if length > HEADER_BYTES_MAX {
            return Err("a header that is too long".into());
        }
        let found = self.bytes.get(self.at..).and_then(|rest| rest.get(..length));
        self.at += found.map_or(0, <[u8]>::len);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_from_as_many_bytes_as_it_has() {
        let header = Header {
            schema: r#"{"type":"record","name":"r","fields":[]}"#.into(),
            codec: Codec::Snappy,
            marker: *b"0123456789abcdef",
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        let length = bytes.len();
        for end in 0..length {
            assert_eq!(Header::read(&bytes[..end]), Ok(None), "{end}");
        }
        bytes.push(7);
        assert_eq!(Header::read(&bytes), Ok(Some((header, length))));
        assert!(Header::read(b"Obx").is_err());
        assert!(Header::read(b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").is_err());
    }

    #[test]
    fn blocks_are_packed_and_unpacked() {
        for codec in [Codec::Null, Codec::Deflate, Codec::Snappy] {
            let plain = b"again and again and again and again".to_vec();
            let mut block = plain.clone();
            codec.pack(&mut block).expect("packed");
            let mut out = Vec::new();
            write_block(3, &block, &[7; MARKER_BYTES], &mut out);
            let (count, size, head) = block_head(&out).expect("a head").expect("whole");
            assert_eq!((count, size), (3, block.len()));
            assert_eq!(out[head..head + size], block[..]);
            codec.unpack(&mut block).expect("unpacked");
            assert_eq!(block, plain);
            let mut bad = vec![1, 2, 3];
            assert!(codec == Codec::Null || codec.unpack(&mut bad).is_err());
        }
    }
}
