//! Writes lines. The epoch record holds how many bytes are committed; a restart cuts the file
//! there.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};

use super::STANDARD;
use crate::commit::SinkPosition;
use crate::error::{Result, RuntimeError};

/// A file that grows by committed epochs.
pub struct TextSink {
    path: String,
    out: Out,
    bytes: u64,
    /// Neither a pipe nor a device: it can be cut and brought to the disk.
    is_regular: bool,
}

enum Out {
    File(BufWriter<File>),
    Standard(std::io::Stdout),
}

impl TextSink {
    /// Opens a file and cuts it at the committed length. One of which nothing is committed begins
    /// with the header.
    ///
    /// # Errors
    /// If it cannot be written, or is shorter than what was committed.
    pub fn open(path: &str, committed: u64, header: Option<&[u8]>) -> Result<Self> {
        let mut sink = Self::cut(path, committed)?;
        if let Some(header) = header.filter(|_| committed == 0) {
            sink.append(header)?;
        }
        Ok(sink)
    }

    fn cut(path: &str, committed: u64) -> Result<Self> {
        if path == STANDARD {
            let out = Out::Standard(std::io::stdout());
            return Ok(Self { path: path.into(), out, bytes: 0, is_regular: false });
        }
        let options = OpenOptions::new().create(true).write(true).truncate(false).open(path);
        let mut file = options.map_err(|e| unwritable(path, &e))?;
        let metadata = file.metadata().map_err(|e| unwritable(path, &e))?;
        if metadata.is_file() {
            cut(path, &mut file, metadata.len(), committed)?;
        }
        let out = Out::File(BufWriter::new(file));
        Ok(Self { path: path.into(), out, bytes: committed, is_regular: metadata.is_file() })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, line: &[u8]) -> Result<()> {
        let written = match &mut self.out {
            Out::File(file) => file.write_all(line).and_then(|()| file.write_all(b"\n")),
            Out::Standard(out) => out.write_all(line).and_then(|()| out.write_all(b"\n")),
        };
        written.map_err(|e| unwritable(&self.path, &e))?;
        self.bytes += line.len() as u64 + 1;
        Ok(())
    }

    /// Brings everything to the disk and tells how long the file is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn sync(&mut self) -> Result<SinkPosition> {
        let synced = match &mut self.out {
            Out::File(file) => file.flush().and_then(|()| match self.is_regular {
                true => file.get_ref().sync_data(),
                false => Ok(()),
            }),
            Out::Standard(out) => out.flush(),
        };
        synced.map_err(|e| unwritable(&self.path, &e))?;
        Ok(SinkPosition { path: self.path.clone(), bytes: self.bytes })
    }
}

/// Takes what was not committed off the end of a file.
pub(super) fn cut(path: &str, file: &mut File, len: u64, committed: u64) -> Result<()> {
    if len < committed {
        let message = format!("{path} has {len} bytes, but {committed} were committed to it");
        return Err(RuntimeError::user(message)
            .with_help("The file was changed: start with --fresh to write it anew."));
    }
    file.set_len(committed).map_err(|e| unwritable(path, &e))?;
    file.seek(SeekFrom::Start(committed)).map_err(|e| unwritable(path, &e))?;
    Ok(())
}

pub(super) fn unwritable(path: &str, error: &std::io::Error) -> RuntimeError {
    RuntimeError::user(format!("the file {path} cannot be written: {error}"))
        .with_help("Check the option 'path', the folder's permissions and the disk's space.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_cuts_what_was_not_committed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("out.jsonl");
        let path = path.to_str().expect("a path");
        let mut sink = TextSink::open(path, 0, None).expect("opens");
        sink.append(b"one").expect("written");
        let committed = sink.sync().expect("synced").bytes;
        sink.append(b"lost").expect("written");
        sink.sync().expect("synced");
        let mut sink = TextSink::open(path, committed, None).expect("opens again");
        sink.append(b"two").expect("written");
        sink.sync().expect("synced");
        assert_eq!(std::fs::read_to_string(path).expect("readable"), "one\ntwo\n");
        assert!(TextSink::open(path, 99, None).is_err());
    }
}
