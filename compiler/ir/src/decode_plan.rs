//! Decode plans: how payload bytes become the columns that a scan reads. `flow-schema` builds
//! them from a writer's schema and a request; unread fields are skipped, never materialised.

use serde::{Deserialize, Serialize};

use crate::types::Type;

/// A column that a scan reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DecodeColumn {
    /// Name in the stream's declaration.
    pub name: String,
    /// Type it is read as.
    pub ty: Type,
    /// Where in the record it stands.
    pub origin: Origin,
}

/// Where in a record a column stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// A field of the value: names from the outermost record inwards. An empty path is the whole
    /// payload (format `raw`).
    Value(Vec<String>),
    /// A field of the key, likewise.
    Key(Vec<String>),
    /// Something about the record.
    Metadata(Metadata),
}

/// What a record carries beside key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Metadata {
    /// Timestamp of the record (TIMESTAMP_LTZ).
    Timestamp,
    /// Topic or file name (STRING).
    Topic,
    /// Partition (INT).
    Partition,
    /// Offset (BIGINT).
    Offset,
    /// Headers (MAP<STRING, BYTES>).
    Headers,
    /// The record's position in its batch (BIGINT): hidden, for late and dead-letter routing.
    BatchPosition,
    /// Whether the value is a tombstone (BOOLEAN): hidden, for keyed tables.
    Tombstone,
    /// Watermark of the record's partition just before it (BIGINT microseconds): hidden, filled in
    /// by the source; the decoder leaves it 0.
    Watermark,
}

/// How payloads are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DecodePlan {
    /// The columns of the rows it makes.
    pub columns: Vec<DecodeColumn>,
}
