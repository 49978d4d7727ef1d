//! Avro's object container files. An offset is a record's number in its file. Records are handed
//! out in the registry's framing, with an identity of the writer's schema that follows from its
//! text: to whoever decodes them the files are a registry (`FileSchemas`).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use flow_ir::kernel::Record;
use flow_ir::row::key_hash;
use flow_registry::{
    CompatibilityLevel, RegisteredSchema, Registry, RegistryError, Schema, Verdict,
};
use flow_schema::container::{
    Codec, HEADER_BYTES_MAX, Header, MARKER_BYTES, block_head, write_block,
};
use flow_schema::skips;
use flow_stdlib::interp::decode::DatumSkip;

use super::reader::{open, unreadable};
use crate::commit::SinkPosition;
use crate::connect::{Assignment, Fetched, Reader, RecordBatch};
use crate::error::{Result, RuntimeError};
use crate::format::frame_prefix;

/// Bytes of one block at most.
const BLOCK_BYTES_MAX: usize = 256 << 20;
/// Bytes of records after which a block is written.
const BLOCK_BYTES: usize = 64 << 10;
/// Bytes that are read of a file to find its header; twice as many if it is longer.
const HEADER_BYTES: usize = 8 << 10;

/// The schema that a container file was written with, as text.
///
/// # Errors
/// If it cannot be read or is no container file.
pub(super) fn file_schema(path: &str) -> Result<String> {
    Ok(header(path, &mut open(path)?)?.0.schema)
}

/// Reads the header; the file then stands behind it.
fn header(path: &str, file: &mut File) -> Result<(Header, u64)> {
    let (mut bytes, mut wanted) = (Vec::new(), HEADER_BYTES);
    loop {
        let limit = (wanted - bytes.len()) as u64;
        let read = file.take(limit).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
        let found = Header::read(&bytes).map_err(|why| broken(path, 0, &why))?;
        if let Some((header, length)) = found {
            file.seek(SeekFrom::Start(length as u64)).map_err(|e| unreadable(path, &e))?;
            return Ok((header, length as u64));
        }
        if read == 0 || wanted > HEADER_BYTES_MAX {
            return Err(broken(path, 0, "its header does not end"));
        }
        wanted *= 2;
    }
}

fn broken(path: &str, at: u64, why: &str) -> RuntimeError {
    RuntimeError::user(format!("the file {path} cannot be read at byte {at}: {why}"))
}

/// The number by which records name the schema of their file.
fn schema_id(schema: &str) -> u32 {
    key_hash(schema.as_bytes()) as u32
}

/// The schemas of files, by the numbers in the records' frames.
pub(crate) struct FileSchemas(BTreeMap<u32, String>);

impl FileSchemas {
    /// The schemas of these files.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(crate) fn read<'p>(paths: impl Iterator<Item = &'p str>) -> Result<Self> {
        let mut schemas = BTreeMap::new();
        for path in paths {
            let schema = file_schema(path)?;
            let other = schemas.insert(schema_id(&schema), schema.clone());
            if other.is_some_and(|other| other != schema) {
                return Err(RuntimeError::internal("two schemas of one number"));
            }
        }
        Ok(Self(schemas))
    }
}

type Answer<T> = std::result::Result<T, RegistryError>;

impl Registry for FileSchemas {
    fn address(&self) -> &str {
        "the files"
    }

    fn subjects(&self) -> Answer<Vec<String>> {
        Ok(Vec::new())
    }

    fn versions(&self, _: &str) -> Answer<Vec<u32>> {
        Ok(Vec::new())
    }

    fn version(&self, _: &str, _: u32) -> Answer<Option<RegisteredSchema>> {
        Ok(None)
    }

    fn latest(&self, _: &str) -> Answer<Option<RegisteredSchema>> {
        Ok(None)
    }

    fn by_id(&self, id: u32) -> Answer<Option<Schema>> {
        Ok(self.0.get(&id).map(Schema::avro))
    }

    fn register(&self, subject: &str, _: &Schema) -> Answer<u32> {
        let reason = "files have the schemas that they were written with".to_string();
        Err(RegistryError::Invalid { subject: subject.to_string(), reason })
    }

    fn compatibility(&self, _: &str) -> Answer<CompatibilityLevel> {
        Ok(CompatibilityLevel::None)
    }

    fn check_compatible(&self, _: &str, _: &Schema) -> Answer<Verdict> {
        Ok(Verdict::NotChecked)
    }
}

/// Records in one buffer, each behind its frame.
struct Block {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    first: i64,
}

impl RecordBatch for Block {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn records<'a>(&'a self, out: &mut Vec<Record<'a>>) {
        let mut start = 0;
        out.extend(self.ends.iter().enumerate().map(|(i, &end)| {
            let value = Some(&self.bytes[start..end]);
            start = end;
            Record { value, offset: self.first + i as i64, ..Record::default() }
        }));
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Reads one container file.
pub(crate) struct OcfReader {
    path: String,
    file: BufReader<File>,
    codec: Codec,
    marker: [u8; MARKER_BYTES],
    frame: Vec<u8>,
    skip: DatumSkip,
    /// Where in the file the next block begins, and where the file ended when it was opened.
    at: u64,
    size: u64,
    /// Number of the next record that is handed out.
    next: u64,
    /// Number of the first record of the next block.
    first: u64,
    paused: bool,
}

impl OcfReader {
    /// A reader from a record on.
    ///
    /// # Errors
    /// If the file cannot be read, or is no container file.
    pub(crate) fn open(path: &str, from: i64) -> Result<Self> {
        let mut file = open(path)?;
        let size = file.metadata().map_err(|e| unreadable(path, &e))?.len();
        let (header, at) = header(path, &mut file)?;
        let schema = flow_schema::parse(&header.schema)
            .map_err(|e| broken(path, 0, &format!("its schema is not valid: {e}")))?;
        let (steps, recursive) = skips(&schema).map_err(|e| broken(path, 0, &e.to_string()))?;
        let mut reader = Self {
            path: path.to_string(),
            file: BufReader::new(file),
            codec: header.codec,
            marker: header.marker,
            frame: frame_prefix(schema_id(&header.schema)),
            skip: DatumSkip::new(steps, recursive),
            at,
            size,
            next: from.max(0) as u64,
            first: 0,
            paused: false,
        };
        reader.pass_blocks()?;
        Ok(reader)
    }

    /// Passes over blocks that lie before the next record.
    fn pass_blocks(&mut self) -> Result<()> {
        while self.at < self.size {
            let (count, size, head) = self.head()?;
            if self.first + count > self.next {
                return Ok(());
            }
            self.first += count;
            self.at += (head + size + MARKER_BYTES) as u64;
        }
        Ok(())
    }

    /// The numbers before the block at `at`.
    fn head(&mut self) -> Result<(u64, usize, usize)> {
        self.file.seek(SeekFrom::Start(self.at)).map_err(|e| unreadable(&self.path, &e))?;
        let mut bytes = Vec::new();
        let read = self.file.by_ref().take(20).read_to_end(&mut bytes);
        read.map_err(|e| unreadable(&self.path, &e))?;
        let head = block_head(&bytes).map_err(|why| self.broken(&why))?;
        let (count, size, head) = head.ok_or_else(|| self.broken("it ends within a block"))?;
        let rest = (self.size - self.at) as usize;
        if size > BLOCK_BYTES_MAX || head + size + MARKER_BYTES > rest {
            return Err(self.broken("a block that is longer than the file"));
        }
        Ok((count, size, head))
    }

    fn broken(&self, why: &str) -> RuntimeError {
        broken(&self.path, self.at, why)
    }

    /// The records of the next block that are still to be handed out.
    fn block(&mut self) -> Result<Block> {
        let (count, size, head) = self.head()?;
        let start = self.at + head as u64;
        let mut packed = vec![0; size];
        let mut marker = [0; MARKER_BYTES];
        let read = self.file.seek(SeekFrom::Start(start));
        let read = read.and_then(|_| self.file.read_exact(&mut packed));
        let read = read.and_then(|()| self.file.read_exact(&mut marker));
        read.map_err(|e| unreadable(&self.path, &e))?;
        if marker != self.marker {
            return Err(self.broken("a block without the file's marker behind it"));
        }
        self.codec.unpack(&mut packed).map_err(|why| self.broken(&why))?;
        let mut block = Block { bytes: Vec::new(), ends: Vec::new(), first: self.next as i64 };
        let mut rest = &packed[..];
        for number in 0..count {
            let length = self.skip.length(rest).map_err(|why| {
                let number = self.first + number;
                self.broken(&format!("record {number}: {why}"))
            })?;
            let (datum, after) = rest.split_at(length);
            rest = after;
            if self.first + number >= self.next {
                block.bytes.extend_from_slice(&self.frame);
                block.bytes.extend_from_slice(datum);
                block.ends.push(block.bytes.len());
            }
        }
        if !rest.is_empty() {
            return Err(self.broken("bytes behind the last record of a block"));
        }
        self.at = start + (size + MARKER_BYTES) as u64;
        self.first += count;
        self.next = self.first;
        Ok(block)
    }
}

impl Reader for OcfReader {
    fn poll(&mut self, _: Duration) -> Result<Option<Fetched>> {
        if self.paused || self.finished(0) {
            return Ok(None);
        }
        let block = self.block()?;
        let next_offset = self.next as i64;
        Ok(Some(Fetched { partition: 0, batch: Box::new(block), next_offset }))
    }

    fn add(&mut self, _: &[Assignment]) -> Result<()> {
        Err(RuntimeError::internal("a file is one partition"))
    }

    fn pause(&mut self, _: usize, paused: bool) {
        self.paused = paused;
    }

    fn position(&self, _: usize) -> i64 {
        self.next as i64
    }

    fn at_end(&self, _: usize) -> bool {
        self.at >= self.size
    }

    fn finished(&self, _: usize) -> bool {
        self.at >= self.size
    }

    /// Bytes still to read, not records.
    fn lag(&self, _: usize) -> u64 {
        self.size.saturating_sub(self.at)
    }
}

/// A container file that grows by committed epochs: each ends with a whole block.
pub(crate) struct OcfSink {
    path: String,
    file: File,
    header: Header,
    bytes: u64,
    records: Vec<u8>,
    count: u64,
}

impl OcfSink {
    /// Opens a file and cuts it at the committed length.
    ///
    /// # Errors
    /// If it cannot be written, or is not the file that was written before.
    pub(crate) fn open(path: &str, committed: u64, schema: &str, codec: Codec) -> Result<Self> {
        let options =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path);
        let mut file = options.map_err(|e| super::sink::unwritable(path, &e))?;
        let length = file.metadata().map_err(|e| super::sink::unwritable(path, &e))?.len();
        let (records, count) = (Vec::new(), 0);
        if committed > 0 {
            let (header, _) = header(path, &mut file)?;
            super::sink::cut(path, &mut file, length, committed)?;
            let path = path.to_string();
            return Ok(Self { path, file, header, bytes: committed, records, count });
        }
        super::sink::cut(path, &mut file, length, 0)?;
        let marker = uuid::Uuid::new_v4().into_bytes();
        let header = Header { schema: schema.to_string(), codec, marker };
        let mut sink = Self { path: path.into(), file, header, bytes: 0, records, count };
        let mut bytes = Vec::new();
        sink.header.write(&mut bytes);
        sink.put(&bytes)?;
        Ok(sink)
    }

    /// Appends a record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn append(&mut self, record: &[u8]) -> Result<()> {
        self.records.extend_from_slice(record);
        self.count += 1;
        if self.records.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let mut packed = std::mem::take(&mut self.records);
        self.header.codec.pack(&mut packed).map_err(RuntimeError::internal)?;
        let mut bytes = Vec::new();
        write_block(self.count, &packed, &self.header.marker, &mut bytes);
        self.count = 0;
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(|e| super::sink::unwritable(&self.path, &e))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Ends the block, brings everything to the disk and tells how long the file is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn sync(&mut self) -> Result<SinkPosition> {
        self.end_block()?;
        self.file.sync_data().map_err(|e| super::sink::unwritable(&self.path, &e))?;
        Ok(SinkPosition { path: self.path.clone(), bytes: self.bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"record","name":"r","fields":[
        {"name":"n","type":"long"},{"name":"t","type":"string"}]}"#;

    fn datum(n: u8) -> Vec<u8> {
        vec![n * 2, 2, b'a' + n % 26]
    }

    /// Numbers and data of the records from one on.
    fn read(path: &str, from: i64) -> Result<Vec<(i64, Vec<u8>)>> {
        let mut reader = OcfReader::open(path, from)?;
        let mut all = Vec::new();
        while let Some(fetched) = reader.poll(Duration::ZERO)? {
            let mut records = Vec::new();
            fetched.batch.records(&mut records);
            let own = |r: &Record<'_>| (r.offset, r.value.unwrap_or_default()[5..].to_vec());
            all.extend(records.iter().map(own));
        }
        assert!(reader.finished(0));
        Ok(all)
    }

    #[test]
    fn what_was_committed_is_read_back_from_any_record_on() {
        let dir = tempfile::tempdir().expect("a folder");
        for codec in [Codec::Null, Codec::Deflate, Codec::Snappy] {
            let path = dir.path().join(codec.name());
            let path = path.to_str().expect("a path");
            let mut sink = OcfSink::open(path, 0, SCHEMA, codec).expect("opens");
            (0..20).for_each(|n| sink.append(&datum(n)).expect("written"));
            let committed = sink.sync().expect("synced").bytes;
            sink.append(&datum(60)).expect("written");
            sink.sync().expect("synced");
            let mut sink = OcfSink::open(path, committed, SCHEMA, codec).expect("opens again");
            (20..30).for_each(|n| sink.append(&datum(n)).expect("written"));
            sink.sync().expect("synced");
            let all: Vec<_> = (0..30).map(|n| (i64::from(n), datum(n))).collect();
            for from in [0, 7, 20, 29, 30] {
                assert_eq!(read(path, from).expect("readable"), all[from as usize..]);
            }
            assert_eq!(file_schema(path).expect("a schema"), SCHEMA);
        }
    }

    #[test]
    fn a_damaged_file_is_told_with_the_place() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f.avro");
        let path = path.to_str().expect("a path");
        let mut sink = OcfSink::open(path, 0, SCHEMA, Codec::Deflate).expect("opens");
        (0..20).for_each(|n| sink.append(&datum(n)).expect("written"));
        sink.sync().expect("synced");
        let whole = std::fs::read(path).expect("readable");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            std::fs::write(path, &bytes).expect("written");
            // Nothing but an error, or other values; never a panic.
            let _ = read(path, 0);
            std::fs::write(path, &whole[..at]).expect("written");
            assert!(read(path, 0).map_or(true, |all| all.is_empty()), "cut at {at}");
        }
        std::fs::write(path, "no").expect("written");
        let told = read(path, 0).expect_err("no container file").to_string();
        assert!(told.contains("no Avro object container file"), "{told}");
    }
}
