//! When the local store follows the log. All that a start needs is in the changelog; what the store
//! does not hold yet is read from there. So it follows many epochs at once: what came and went in
//! between is never written to it. It follows at once where views are read from it, and where
//! memory is full, since only what is on disk may leave memory.

use crate::commit::EpochOutput;

/// The store follows at the latest when this much of the changelog is beyond it, bytes: what a
/// start reads again takes about a second, and so much is copied at once.
const BEHIND_BYTES_MAX: usize = 64 << 20;

/// The store follows at the latest after this many epochs: with the default commit interval of
/// 100 ms half a minute of a job that is busy all the time.
const BEHIND_EPOCHS_MAX: u32 = 300;

/// How far the local store is behind the log.
#[derive(Debug)]
pub(super) struct Follow {
    /// The store is read by others.
    always: bool,
    epochs: u32,
    bytes: usize,
    /// The last seal that is in the store.
    stored: u32,
}

impl Follow {
    /// At the start of an attempt, when the store is up to date.
    pub(super) fn new(always: bool) -> Self {
        Self { always, epochs: 0, bytes: 0, stored: 0 }
    }

    /// Whether the store is to follow the epoch that begins.
    pub(super) fn is_due(&mut self, state_bytes: usize, memory_bytes: usize) -> bool {
        let is_due = self.always
            || self.epochs >= BEHIND_EPOCHS_MAX
            || self.bytes >= BEHIND_BYTES_MAX
            || state_bytes > memory_bytes;
        if is_due {
            (self.epochs, self.bytes) = (0, 0);
        }
        is_due
    }

    /// An epoch is committed and, if it was to be, in the store. Returns the last seal there.
    pub(super) fn committed(&mut self, seal: u32, bytes: usize, stored: bool) -> u32 {
        if stored {
            self.stored = seal;
        } else {
            self.epochs += 1;
            self.bytes += bytes;
        }
        self.stored
    }
}

/// Bytes of the changelog that an epoch makes, about.
pub(super) fn changelog_bytes(output: &EpochOutput) -> usize {
    output.state.iter().map(|of_worker| of_worker.changes.bytes()).sum()
}
