//! How an epoch becomes durable, once. Kafka decides, disk follows:
//!
//! 1. The workers end an epoch and hand over outputs, touched state (overlays) and positions.
//! 2. `begin`; then outputs, changelog records, input offsets and the epoch record are sent.
//! 3. `commit`. From its success on the epoch exists; before it, nobody can see any of it.
//! 4. Views and `print` show the epoch. Before that, in some epochs, the local store follows: all
//!    that has changed since it last did, and the position.
//!
//! What a crash leaves, by the last action that was performed:
//!
//! | crash after | log | local store | at the next start |
//! | --- | --- | --- | --- |
//! | `begin`, sends | open transaction | ≤ N−1 | `writer()` aborts it; N is computed again |
//! | `commit` sent, no answer | N or N−1 | ≤ N−1 | `writer()` settles it; the record tells which |
//! | `commit` answered | N | ≤ N−1 | the changelog from its position to N is read into it |
//! | publish | N | ≤ N | the same, if it is behind |
//!
//! `protocol` decides purely; `driver` performs. A commit that ends unclear (`Unknown`) ends the
//! attempt: the writer is dropped and the job starts again as after a crash. Nothing is ever begun
//! on a writer whose commit ended unclear.

mod driver;
mod protocol;
mod record;
mod span;

pub(crate) use driver::{Committer, CrashPoint, Done, EpochOutput, Target, state_error};
pub use protocol::{CommitAction, CommitEvent, CommitState, Moved, StopReason, next};
pub use record::{EpochRecord, InputPosition, RECORD_VERSION, SinkPosition, TableEntry};
pub(crate) use span::epoch_span;

/// Number of an epoch of a job; the first is 1, 0 stands before any.
pub type Epoch = u64;
