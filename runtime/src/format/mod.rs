//! What stands around a payload: registry framing, keys, tombstones, envelopes. The payloads
//! themselves are read and written by kernels, from plans.

mod debezium;
mod decoders;
mod encoders;
mod framing;
mod view;

pub(crate) use debezium::Debezium;
pub(crate) use decoders::{Decoders, ScanSteps, WriterIds};
pub(crate) use encoders::{encoding, row_json};
pub use framing::{FRAME_BYTES, Framing, frame_id, frame_prefix};
pub(crate) use view::ViewDecoder;

/// The format that a stream uses where it names none.
pub(crate) const DEFAULT_FORMAT: &str = "json";
