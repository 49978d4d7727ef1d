//! Files as streams: a line is a record, or as many as its quotes span; a file is one partition, an
//! offset is a byte position.

mod reader;
mod sink;
mod split;

pub use reader::{FileReader, identity};
pub use sink::FileSink;
pub(crate) use split::Split;

/// The path that stands for standard input or output.
pub const STANDARD: &str = "-";

/// How the names of files end that gzip packed.
const PACKED: &str = ".gz";

/// Bytes of one line at most; a longer one is an error of the data.
pub const LINE_BYTES_MAX: usize = 16 << 20;
