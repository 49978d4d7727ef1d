//! Files as streams: a line is a record, or as many as its quotes span; a file is one partition, an
//! offset is a byte position.

mod folder;
mod ocf;
mod reader;
mod sink;
mod split;

use crate::commit::SinkPosition;
use crate::error::Result;

pub(crate) use folder::files;
pub(crate) use ocf::{FileSchemas, OcfReader, OcfSink};
pub use reader::{FileReader, identity};
pub use sink::TextSink;
pub(crate) use split::Split;

/// The path that stands for standard input or output.
pub const STANDARD: &str = "-";

/// How the names of files end that gzip packed.
const PACKED: &str = ".gz";

/// Bytes of one line at most; a longer one is an error of the data.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// The schema that a container file was written with, or a folder's first one, as text.
///
/// # Errors
/// If it cannot be read or is no container file.
pub fn first_schema(path: &str) -> Result<String> {
    let files = files(path)?;
    ocf::file_schema(files.first().map_or(path, String::as_str))
}

/// A file that grows by committed epochs.
pub(crate) enum FileSink {
    /// A record is a line.
    Text(TextSink),
    /// Avro's container.
    Container(OcfSink),
}

impl FileSink {
    /// Appends a record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn append(&mut self, record: &[u8]) -> Result<()> {
        match self {
            FileSink::Text(sink) => sink.append(record),
            FileSink::Container(sink) => sink.append(record),
        }
    }

    /// Brings everything to the disk and tells how long the file is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn sync(&mut self) -> Result<SinkPosition> {
        match self {
            FileSink::Text(sink) => sink.sync(),
            FileSink::Container(sink) => sink.sync(),
        }
    }
}
