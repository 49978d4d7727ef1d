//! Files as streams: a line is a record, a file is one partition, an offset is a byte position.

mod reader;
mod sink;

pub use reader::{FileReader, identity};
pub use sink::FileSink;

/// The path that stands for standard input or output.
pub const STANDARD: &str = "-";

/// Bytes of one line at most; a longer one is an error of the data.
pub const LINE_BYTES_MAX: usize = 16 << 20;
