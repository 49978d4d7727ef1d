//! Reads lines, also of files that gzip packed. A regular file ends at the size it had when it was
//! opened; standard input ends when its writer closes it, and cannot be read again.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, sink};
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use flow_ir::kernel::Record;
use flow_ir::row::key_hash;

use super::split::{Open, Split};
use super::{LINE_BYTES_MAX, PACKED, STANDARD};
use crate::connect::{Assignment, FETCH_RECORDS_MAX, Fetched, Reader, RecordBatch};
use crate::error::{Result, RuntimeError};

/// Bytes at a file's start whose hash identifies it.
const IDENTITY_BYTES: u64 = 4_096;
/// Bytes of lines in a batch at which it is handed out.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that wait between the thread that reads standard input and the worker.
const STANDARD_BATCHES: usize = 4;

/// What identifies a file from one start to the next: its size and the hash of its first 4 KiB.
///
/// # Errors
/// If it cannot be read.
pub fn identity(path: &str) -> Result<String> {
    if path == STANDARD {
        return Ok(STANDARD.to_string());
    }
    let mut file = open(path)?;
    let size = file.metadata().map_err(|e| unreadable(path, &e))?.len();
    let mut start = Vec::new();
    let taken = file.by_ref().take(IDENTITY_BYTES).read_to_end(&mut start);
    taken.map_err(|e| unreadable(path, &e))?;
    Ok(format!("{size}:{:016x}", key_hash(&start)))
}

pub(super) fn open(path: &str) -> Result<File> {
    let file = File::open(Path::new(path)).map_err(|e| unreadable(path, &e))?;
    let is_dir = file.metadata().is_ok_and(|m| m.is_dir());
    if is_dir {
        return Err(RuntimeError::user(format!("{path} is a folder, not a file")));
    }
    Ok(file)
}

pub(super) fn unreadable(path: &str, error: &std::io::Error) -> RuntimeError {
    RuntimeError::user(format!("the file {path} cannot be read: {error}"))
        .with_help("Check the option 'path'.")
}

/// Lines in one buffer.
struct Lines {
    bytes: Vec<u8>,
    /// Each line without its end.
    lines: Vec<Range<usize>>,
    /// Position in the file of the buffer's first byte.
    base: i64,
}

impl RecordBatch for Lines {
    fn len(&self) -> usize {
        self.lines.len()
    }

    fn records<'a>(&'a self, out: &mut Vec<Record<'a>>) {
        out.extend(self.lines.iter().map(|line| Record {
            value: Some(&self.bytes[line.clone()]),
            offset: self.base + line.start as i64,
            ..Record::default()
        }));
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// A source of lines with a position.
struct Input<R> {
    reader: BufReader<R>,
    position: i64,
    path: String,
    split: Split,
    /// Whether the first line of the file is still to come, and is no record.
    header: bool,
}

impl<R: Read> Input<R> {
    fn new(reader: R, path: &str, position: i64, split: Split) -> Self {
        let header = position == 0 && split.has_header();
        let reader = BufReader::with_capacity(BATCH_BYTES, reader);
        Self { reader, position, path: path.to_string(), split, header }
    }

    /// The next lines: those that are there, at least one; `None` at the end.
    fn next(&mut self) -> Result<Option<Lines>> {
        let base = self.position;
        let mut batch = Lines { bytes: Vec::new(), lines: Vec::new(), base };
        while batch.lines.len() < FETCH_RECORDS_MAX && batch.bytes.len() < BATCH_BYTES {
            let start = batch.bytes.len();
            if self.record(base, &mut batch.bytes)? == 0 {
                break;
            }
            if std::mem::take(&mut self.header) {
                continue;
            }
            if let Some(record) = self.split.record(&batch.bytes[start..]) {
                batch.lines.push(start + record.start..start + record.end);
            }
            // Whoever types or pipes line by line is not kept waiting for more.
            if self.reader.buffer().is_empty() && !batch.lines.is_empty() {
                break;
            }
        }
        self.position += batch.bytes.len() as i64;
        Ok((!batch.bytes.is_empty()).then_some(batch))
    }

    /// Appends the next record with its line ends; how many bytes there are of it.
    fn record(&mut self, base: i64, bytes: &mut Vec<u8>) -> Result<usize> {
        let start = bytes.len();
        let mut open = Open::default();
        loop {
            let from = bytes.len();
            let limit = (LINE_BYTES_MAX + 1 - (from - start)) as u64;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', bytes);
            let read = read.map_err(|e| unreadable(&self.path, &e))?;
            let length = bytes.len() - start;
            if length > LINE_BYTES_MAX {
                let (path, at) = (&self.path, base + start as i64);
                let message =
                    format!("{path}: the record at byte {at} is over {LINE_BYTES_MAX} bytes");
                return Err(
                    RuntimeError::user(message).with_help("Perhaps a quote in it is never closed.")
                );
            }
            open = self.split.after(&bytes[from..], open);
            if read == 0 || !open.is_open() {
                return Ok(length);
            }
        }
    }
}

/// Where lines come from.
enum Origin {
    File(Input<Box<dyn Read + Send>>),
    /// A thread reads, so that a poll can give up.
    Standard(Receiver<Result<Lines>>),
}

/// Reads one file.
pub struct FileReader {
    origin: Origin,
    position: i64,
    /// Where it ends, if that is known before it is read.
    size: Option<i64>,
    finished: bool,
    paused: bool,
}

impl FileReader {
    /// A reader of a file from a byte position on; of a packed file, of what is packed.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn open(path: &str, from: i64, split: Split) -> Result<Self> {
        if path == STANDARD {
            return Ok(Self::standard(split));
        }
        let mut file = open(path)?;
        let from = from.max(0);
        if path.ends_with(PACKED) {
            let mut unpacked = MultiGzDecoder::new(BufReader::new(file));
            let passed = std::io::copy(&mut unpacked.by_ref().take(from as u64), &mut sink());
            passed.map_err(|e| unreadable(path, &e))?;
            let input = Input::new(Box::new(unpacked) as Box<_>, path, from, split);
            return Ok(Self::new(Origin::File(input), from, None));
        }
        let size = file.metadata().map_err(|e| unreadable(path, &e))?.len();
        file.seek(SeekFrom::Start(from as u64)).map_err(|e| unreadable(path, &e))?;
        let rest = file.take(size.saturating_sub(from as u64));
        let input = Input::new(Box::new(rest) as Box<_>, path, from, split);
        Ok(Self::new(Origin::File(input), from, Some(size as i64)))
    }

    fn standard(split: Split) -> Self {
        let (send, receive) = sync_channel(STANDARD_BATCHES);
        std::thread::spawn(move || {
            let mut input = Input::new(std::io::stdin(), "standard input", 0, split);
            while let Some(lines) = input.next().transpose() {
                let failed = lines.is_err();
                if send.send(lines).is_err() || failed {
                    return;
                }
            }
        });
        Self::new(Origin::Standard(receive), 0, None)
    }

    fn new(origin: Origin, position: i64, size: Option<i64>) -> Self {
        Self { origin, position, size, finished: false, paused: false }
    }
}

impl Reader for FileReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Fetched>> {
        if self.finished || self.paused {
            return Ok(None);
        }
        let lines = match &mut self.origin {
            Origin::File(input) => input.next()?,
            Origin::Standard(lines) => match lines.recv_timeout(wait) {
                Ok(lines) => Some(lines?),
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => None,
            },
        };
        let Some(lines) = lines else {
            self.finished = true;
            return Ok(None);
        };
        self.position = lines.base + lines.bytes.len() as i64;
        let next_offset = self.position;
        Ok(Some(Fetched { partition: 0, batch: Box::new(lines), next_offset }))
    }

    fn add(&mut self, _: &[Assignment]) -> Result<()> {
        Err(RuntimeError::internal("a file is one partition"))
    }

    fn pause(&mut self, _: usize, paused: bool) {
        self.paused = paused;
    }

    fn position(&self, _: usize) -> i64 {
        self.position
    }

    fn at_end(&self, _: usize) -> bool {
        self.finished
    }

    fn finished(&self, _: usize) -> bool {
        self.finished
    }

    /// Bytes still to read, not records: a file does not tell how many lines it has.
    fn lag(&self, _: usize) -> u64 {
        match (&self.origin, self.size) {
            (Origin::Standard(_), _) => 0,
            (Origin::File(_), Some(size)) => size.saturating_sub(self.position).max(0) as u64,
            // There is more, as far as anyone knows.
            (Origin::File(_), None) => u64::from(!self.finished),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use flow_ir::csv::CsvDialect;

    use super::*;

    fn read_all(reader: &mut FileReader) -> Vec<(i64, String)> {
        let mut all = Vec::new();
        while !reader.finished(0) {
            if let Some(fetched) = reader.poll(Duration::ZERO).expect("readable") {
                let mut records = Vec::new();
                fetched.batch.records(&mut records);
                let text =
                    |v: Option<&[u8]>| String::from_utf8_lossy(v.unwrap_or(b"")).into_owned();
                all.extend(records.iter().map(|r| (r.offset, text(r.value))));
            }
        }
        all
    }

    #[test]
    fn lines_have_byte_offsets_and_reading_goes_on_from_any_of_them() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"one\r\n\ntwo\nthree").expect("written");
        let path = file.path().to_str().expect("a path");
        let all = read_all(&mut FileReader::open(path, 0, Split::Lines).expect("opens"));
        assert_eq!(all, [(0, "one".into()), (6, "two".into()), (10, "three".into())]);
        let rest = read_all(&mut FileReader::open(path, 6, Split::Lines).expect("opens"));
        assert_eq!(rest, all[1..]);
    }

    #[test]
    fn csv_records_span_lines_and_packed_files_are_read_on() {
        let text = "n,text\n1,\"a\nb\"\n# no\n\n2,c\n";
        let dialect = CsvDialect { header: true, comments: true, ..CsvDialect::default() };
        let split = Split::Csv(dialect);
        let dir = tempfile::tempdir().expect("a folder");
        let plain = dir.path().join("a.csv");
        std::fs::write(&plain, text).expect("written");
        let packed = dir.path().join("a.csv.gz");
        let mut gz =
            GzEncoder::new(std::fs::File::create(&packed).expect("made"), Default::default());
        gz.write_all(text.as_bytes()).expect("written");
        gz.finish().expect("written");
        for path in [plain, packed] {
            let path = path.to_str().expect("a path");
            let all = read_all(&mut FileReader::open(path, 0, split.clone()).expect("opens"));
            assert_eq!(all, [(7, "1,\"a\nb\"".into()), (21, "2,c".into())], "{path}");
            let rest = read_all(&mut FileReader::open(path, 15, split.clone()).expect("opens"));
            assert_eq!(rest, all[1..], "{path}");
        }
    }

    #[test]
    fn a_changed_file_has_another_identity() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("a path").to_string();
        let empty = identity(&path).expect("readable");
        file.write_all(b"x").expect("written");
        assert_ne!(identity(&path).expect("readable"), empty);
        assert!(identity("/no/such/file").is_err());
    }
}
