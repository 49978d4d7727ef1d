//! Reads lines. A regular file ends at the size it had when it was opened; standard input ends when
//! its writer closes it, and cannot be read again.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use flow_ir::kernel::Record;
use flow_ir::row::key_hash;

use super::{LINE_BYTES_MAX, STANDARD};
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

fn open(path: &str) -> Result<File> {
    let file = File::open(Path::new(path)).map_err(|e| unreadable(path, &e))?;
    let is_dir = file.metadata().is_ok_and(|m| m.is_dir());
    if is_dir {
        return Err(RuntimeError::user(format!("{path} is a folder, not a file")));
    }
    Ok(file)
}

fn unreadable(path: &str, error: &std::io::Error) -> RuntimeError {
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
}

impl<R: Read> Input<R> {
    /// The next lines: those that are there, at least one; `None` at the end.
    fn next(&mut self) -> Result<Option<Lines>> {
        let base = self.position;
        let mut batch = Lines { bytes: Vec::new(), lines: Vec::new(), base };
        while batch.lines.len() < FETCH_RECORDS_MAX && batch.bytes.len() < BATCH_BYTES {
            let start = batch.bytes.len();
            let limit = LINE_BYTES_MAX as u64 + 1;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut batch.bytes);
            let read = read.map_err(|e| unreadable(&self.path, &e))?;
            if read == 0 {
                break;
            }
            if read > LINE_BYTES_MAX {
                let at = base + start as i64;
                let path = &self.path;
                let message =
                    format!("{path}: the line at byte {at} is over {LINE_BYTES_MAX} bytes");
                return Err(RuntimeError::user(message));
            }
            let line = batch.bytes[start..].trim_ascii_end();
            if !line.is_empty() {
                batch.lines.push(start..start + line.len());
            }
            // Whoever types or pipes line by line is not kept waiting for more.
            if self.reader.buffer().is_empty() && !batch.lines.is_empty() {
                break;
            }
        }
        self.position += batch.bytes.len() as i64;
        Ok((!batch.bytes.is_empty()).then_some(batch))
    }
}

/// Where lines come from.
enum Origin {
    File(Input<std::io::Take<File>>),
    /// A thread reads, so that a poll can give up.
    Standard(Receiver<Result<Lines>>),
}

/// Reads one file.
pub struct FileReader {
    origin: Origin,
    position: i64,
    size: i64,
    finished: bool,
    paused: bool,
}

impl FileReader {
    /// A reader of a file from a byte position on.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(path: &str, from: i64) -> Result<Self> {
        if path == STANDARD {
            return Ok(Self::standard());
        }
        let mut file = open(path)?;
        let size = file.metadata().map_err(|e| unreadable(path, &e))?.len();
        file.seek(SeekFrom::Start(from.max(0) as u64)).map_err(|e| unreadable(path, &e))?;
        let rest = file.take(size.saturating_sub(from.max(0) as u64));
        let reader = BufReader::with_capacity(BATCH_BYTES, rest);
        let input = Input { reader, position: from, path: path.to_string() };
        Ok(Self::new(Origin::File(input), from, size as i64))
    }

    fn standard() -> Self {
        let (send, receive) = sync_channel(STANDARD_BATCHES);
        std::thread::spawn(move || {
            let reader = BufReader::new(std::io::stdin());
            let mut input = Input { reader, position: 0, path: "standard input".into() };
            while let Some(lines) = input.next().transpose() {
                let failed = lines.is_err();
                if send.send(lines).is_err() || failed {
                    return;
                }
            }
        });
        Self::new(Origin::Standard(receive), 0, i64::MAX)
    }

    fn new(origin: Origin, position: i64, size: i64) -> Self {
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
        match self.origin {
            Origin::File(_) => self.size.saturating_sub(self.position).max(0) as u64,
            Origin::Standard(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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
        let all = read_all(&mut FileReader::open(path, 0).expect("opens"));
        assert_eq!(all, [(0, "one".into()), (6, "two".into()), (10, "three".into())]);
        let rest = read_all(&mut FileReader::open(path, 6).expect("opens"));
        assert_eq!(rest, all[1..]);
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
