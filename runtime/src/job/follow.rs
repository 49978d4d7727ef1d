//! When the local store follows the log. All that a start needs is in the changelog; what the store
//! does not hold yet is read from there. So it follows many epochs at once: what came and went in
//! between is never written to it. It follows at once where views are read from it, and where
//! memory is full, since only what is on disk may leave memory. A job can do without: then it is
//! written at starts alone, and full memory is the job's end.

use crate::commit::EpochOutput;
use crate::config::LocalStore;
use crate::error::{Result, RuntimeError};

/// The store may be behind by this much of the changelog, bytes: what a start reads again takes
/// about a second.
const BEHIND_BYTES_MIN: usize = 64 << 20;

/// And by more where it is large, so that it is not written again and again as it grows: a start
/// that reads all of it reads half as much again. So much is copied at once at most, bytes.
const BEHIND_BYTES_MAX: usize = 256 << 20;

/// The store follows at the latest after this many epochs: with the default commit interval of
/// 100 ms half a minute of a job that is busy all the time.
const BEHIND_EPOCHS_MAX: u32 = 300;

/// How far the local store is behind the log.
#[derive(Debug)]
pub(super) struct Follow {
    when: When,
    epochs: u32,
    bytes: usize,
    /// Bytes of the store.
    store_bytes: usize,
    /// The last seal that is in the store.
    stored: u32,
}

/// Which epochs the store follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Each: it is read by others.
    Always,
    /// Many at once.
    Behind,
    /// None.
    Never,
}

impl When {
    /// What a job with or without views wants.
    pub(super) fn of(store: LocalStore, has_views: bool) -> Self {
        match (store, has_views) {
            (_, true) => Self::Always,
            (LocalStore::Follows, false) => Self::Behind,
            (LocalStore::AtStarts, false) => Self::Never,
        }
    }
}

impl Follow {
    /// At the start of an attempt, when the store is up to date.
    pub(super) fn new(when: When) -> Self {
        Self { when, epochs: 0, bytes: 0, store_bytes: 0, stored: 0 }
    }

    /// Whether the store is to follow the epoch that begins.
    ///
    /// # Errors
    /// If it never follows, and state is more than memory.
    pub(super) fn is_due(&mut self, state_bytes: usize, memory_bytes: usize) -> Result<bool> {
        let is_full = state_bytes > memory_bytes;
        let is_due = match self.when {
            When::Always => true,
            When::Behind => {
                let most = (self.store_bytes / 2).clamp(BEHIND_BYTES_MIN, BEHIND_BYTES_MAX);
                self.epochs >= BEHIND_EPOCHS_MAX || self.bytes >= most || is_full
            }
            When::Never if is_full => {
                let what = format!(
                    "state is {state_bytes} bytes now, and the job's memory {memory_bytes}"
                );
                return Err(RuntimeError::user(what).with_help(
                    "More memory, or SET 'state.store' = 'disk', which keeps what memory cannot.",
                ));
            }
            When::Never => false,
        };
        if is_due {
            (self.epochs, self.bytes) = (0, 0);
        }
        Ok(is_due)
    }

    /// The store is of so many bytes now.
    pub(super) fn store_is_of(&mut self, bytes: u64) {
        self.store_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn due(follow: &mut Follow, state_bytes: usize) -> Option<bool> {
        follow.is_due(state_bytes, 100).ok()
    }

    #[test]
    fn the_store_follows_many_epochs_at_once() {
        let mut follow = Follow::new(When::of(LocalStore::Follows, false));
        for seal in 1..=BEHIND_EPOCHS_MAX {
            assert_eq!(due(&mut follow, 100), Some(false), "{seal}");
            assert_eq!(follow.committed(seal, 1, false), 0);
        }
        assert_eq!(due(&mut follow, 100), Some(true), "after many epochs");
        assert_eq!(follow.committed(BEHIND_EPOCHS_MAX + 1, 1, true), BEHIND_EPOCHS_MAX + 1);
        assert_eq!(due(&mut follow, 100), Some(false));
        follow.committed(BEHIND_EPOCHS_MAX + 2, BEHIND_BYTES_MIN, false);
        assert_eq!(due(&mut follow, 100), Some(true), "after many bytes");
        follow.store_is_of(BEHIND_BYTES_MIN as u64 * 2 + 4);
        follow.committed(BEHIND_EPOCHS_MAX + 3, BEHIND_BYTES_MIN, false);
        assert_eq!(due(&mut follow, 100), Some(false), "half as many as the store has");
        follow.committed(BEHIND_EPOCHS_MAX + 4, 2, false);
        assert_eq!(due(&mut follow, 100), Some(true));
        assert_eq!(due(&mut follow, 101), Some(true), "memory is full");
    }

    #[test]
    fn views_have_each_epoch_and_memory_alone_has_none() {
        for store in [LocalStore::Follows, LocalStore::AtStarts] {
            assert_eq!(due(&mut Follow::new(When::of(store, true)), 0), Some(true));
        }
        let mut follow = Follow::new(When::of(LocalStore::AtStarts, false));
        follow.committed(1, BEHIND_BYTES_MAX, false);
        assert_eq!(due(&mut follow, 100), Some(false));
        assert_eq!(due(&mut follow, 101), None, "memory is full");
    }
}
