//! The embedded log: topics, transactions and offsets as Kafka has them, in RocksDB in a folder or
//! in memory. One process owns it; producer, log and reader are in one address space, so a
//! transaction is one atomic write and needs no coordinator.
//!
//! * A transaction's records are buffered until its commit; then offsets are given, everything is
//!   written in one batch and, on disk, synced. Readers see whole transactions only.
//! * A compacted topic holds the last record per key, and older ones until it is cleaned.
//!   Tombstones are kept for a week, so that a local store that is behind hears of deleted
//!   keys. Its readers get records in the order of their offsets: while there are readers, from
//!   what was last written, which is kept in memory; else from rounds over all keys, and then from
//!   the tail. Who only wants the last records gets those before the tail in key order.
//! * Another process reaches the log through its owner's Unix socket (`access`, `server`,
//!   `remote`).
//! * In memory, a test may hold back the markers that end transactions, partition by partition, as
//!   a Kafka cluster does when it is slow: readers then stop before the held transaction.

mod access;
mod batch;
mod clean;
mod kv;
mod log;
mod reader;
mod recent;
mod remote;
mod segments;
mod server;
mod tail;
mod wire;
mod writer;

pub use access::{Access, Purpose};
pub use log::LocalLog;
