//! The commit protocol as a pure function: (state, event) → (state, actions). The driver performs
//! the actions and reports what came of them; the simulator does the same with crashes between.

use super::Epoch;
use crate::connect::Outcome;
use crate::error::RuntimeError;

/// Positions alone are committed at most once in this time, milliseconds.
pub(super) const POSITIONS_COMMIT_INTERVAL_MS: u64 = 1_000;

/// What an epoch changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moved {
    /// Nothing at all.
    Nothing,
    /// Input positions or watermarks only.
    Positions,
    /// Outputs or state.
    Data,
}

/// Where the commit of epochs stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitState {
    /// No epoch is being committed.
    Idle {
        /// The last epoch that is durable.
        committed: Epoch,
        /// When it was committed, milliseconds of the process's clock.
        at_ms: u64,
        /// Whether positions of merged epochs are still to be committed.
        carries: bool,
    },
    /// The transaction is begun; outputs, changelog and record are being sent.
    Staging(Epoch),
    /// The commit was asked for.
    Committing(Epoch),
    /// The epoch is durable in the log; the local store follows.
    Publishing(Epoch),
    /// This attempt is over.
    Stopped,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitEvent {
    /// The workers have ended an epoch.
    Ended {
        /// Which.
        epoch: Epoch,
        /// What it changed.
        moved: Moved,
        /// Whether the job ends with it, so that even positions must be written now.
        last: bool,
        /// Now, milliseconds of the process's clock.
        now_ms: u64,
    },
    /// Everything was sent.
    Staged,
    /// Something could not be sent.
    StageFailed(String),
    /// The commit was answered.
    Answered(Outcome),
    /// The local store holds the epoch.
    Published {
        /// Now, milliseconds of the process's clock.
        now_ms: u64,
    },
    /// The local store cannot be written.
    PublishFailed(String),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitAction {
    /// Begin a transaction and send everything that belongs to the epoch.
    Stage(Epoch),
    /// Ask for the commit.
    Commit(Epoch),
    /// Give the transaction up.
    Abort,
    /// Write the overlays and the position to the local store, then show the epoch.
    Publish(Epoch),
    /// Carry the epoch's positions over to the next one.
    Merge(Epoch),
    /// End this attempt.
    Stop(StopReason),
}

/// Why an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Nothing of the epoch is there. The error says whether to start again as after a crash.
    Aborted(RuntimeError),
    /// Start again as after a crash.
    Restart(String),
    /// Another process runs the job.
    Fenced,
    /// The local store is broken: start again without it.
    StoreFailed(String),
}

/// The protocol.
///
/// # Panics
/// If an event comes that the state does not allow: a bug in the driver.
pub fn next(state: CommitState, event: CommitEvent) -> (CommitState, Vec<CommitAction>) {
    use CommitAction as Do;
    use CommitEvent as On;
    use CommitState as At;
    let stop = |reason| (At::Stopped, vec![Do::Stop(reason)]);
    match (state, event) {
        (At::Idle { committed, at_ms, carries }, On::Ended { epoch, moved, last, now_ms }) => {
            assert_eq!(epoch, committed + 1, "epochs follow each other without gap");
            let moved = if carries { moved.max(Moved::Positions) } else { moved };
            let due = last || now_ms.saturating_sub(at_ms) >= POSITIONS_COMMIT_INTERVAL_MS;
            match moved {
                Moved::Data => (At::Staging(epoch), vec![Do::Stage(epoch)]),
                Moved::Positions if due => (At::Staging(epoch), vec![Do::Stage(epoch)]),
                Moved::Nothing if last => (At::Staging(epoch), vec![Do::Stage(epoch)]),
                Moved::Positions | Moved::Nothing => {
                    let carries = moved == Moved::Positions;
                    (At::Idle { committed, at_ms, carries }, vec![Do::Merge(epoch)])
                }
            }
        }
        (At::Staging(epoch), On::Staged) => (At::Committing(epoch), vec![Do::Commit(epoch)]),
        (At::Staging(_), On::StageFailed(why)) => {
            (At::Stopped, vec![Do::Abort, Do::Stop(StopReason::Restart(why))])
        }
        (At::Committing(epoch), On::Answered(outcome)) => match outcome {
            Outcome::Committed => (At::Publishing(epoch), vec![Do::Publish(epoch)]),
            Outcome::Aborted(why) => stop(StopReason::Aborted(why)),
            Outcome::Unknown(why) => stop(StopReason::Restart(why)),
            Outcome::Fenced => stop(StopReason::Fenced),
        },
        (At::Publishing(epoch), On::Published { now_ms }) => {
            (At::Idle { committed: epoch, at_ms: now_ms, carries: false }, Vec::new())
        }
        (At::Publishing(_), On::PublishFailed(why)) => stop(StopReason::StoreFailed(why)),
        (state, event) => panic!("{event:?} cannot come while {state:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(epoch: Epoch, moved: Moved, last: bool, now_ms: u64) -> CommitEvent {
        CommitEvent::Ended { epoch, moved, last, now_ms }
    }

    fn idle(committed: Epoch, at_ms: u64) -> CommitState {
        CommitState::Idle { committed, at_ms, carries: false }
    }

    fn carrying(committed: Epoch, at_ms: u64) -> CommitState {
        CommitState::Idle { committed, at_ms, carries: true }
    }

    #[test]
    fn an_epoch_with_data_is_staged_committed_and_published_in_this_order() {
        let (state, actions) = next(idle(4, 0), ended(5, Moved::Data, false, 10));
        assert_eq!(actions, [CommitAction::Stage(5)]);
        let (state, actions) = next(state, CommitEvent::Staged);
        assert_eq!(actions, [CommitAction::Commit(5)]);
        let (state, actions) = next(state, CommitEvent::Answered(Outcome::Committed));
        assert_eq!(actions, [CommitAction::Publish(5)]);
        let (state, actions) = next(state, CommitEvent::Published { now_ms: 12 });
        assert_eq!((state, actions), (idle(5, 12), vec![]));
    }

    #[test]
    fn positions_alone_wait_for_a_second_unless_the_job_ends() {
        let event = |now| ended(5, Moved::Positions, false, now);
        assert_eq!(next(idle(4, 0), event(999)), (carrying(4, 0), vec![CommitAction::Merge(5)]));
        assert_eq!(next(idle(4, 0), event(1_000)).1, [CommitAction::Stage(5)]);
        let last = ended(5, Moved::Positions, true, 1);
        assert_eq!(next(idle(4, 0), last).1, [CommitAction::Stage(5)]);
        let nothing = ended(5, Moved::Nothing, false, 9_999);
        assert_eq!(next(idle(4, 0), nothing).1, [CommitAction::Merge(5)]);
    }

    #[test]
    fn positions_that_waited_are_committed_though_nothing_follows() {
        let nothing = |now| ended(5, Moved::Nothing, false, now);
        let merge = vec![CommitAction::Merge(5)];
        assert_eq!(next(carrying(4, 0), nothing(999)), (carrying(4, 0), merge));
        assert_eq!(next(carrying(4, 0), nothing(1_000)).1, [CommitAction::Stage(5)]);
        let published = CommitEvent::Published { now_ms: 7 };
        assert_eq!(next(CommitState::Publishing(5), published).0, idle(5, 7));
    }

    #[test]
    fn an_unclear_commit_ends_the_attempt_and_nothing_else_is_done_with_the_writer() {
        let gone = RuntimeError::user("the topic is gone");
        for (outcome, reason) in [
            (Outcome::Unknown("lost".into()), StopReason::Restart("lost".into())),
            (Outcome::Aborted(gone.clone()), StopReason::Aborted(gone)),
        ] {
            let (state, actions) = next(CommitState::Committing(3), CommitEvent::Answered(outcome));
            assert_eq!(state, CommitState::Stopped);
            assert_eq!(actions, [CommitAction::Stop(reason)]);
        }
        let fenced = CommitEvent::Answered(Outcome::Fenced);
        let actions = next(CommitState::Committing(3), fenced).1;
        assert_eq!(actions, [CommitAction::Stop(StopReason::Fenced)]);
    }

    #[test]
    fn what_could_not_be_sent_is_aborted_before_the_attempt_ends() {
        let (_, actions) = next(CommitState::Staging(3), CommitEvent::StageFailed("full".into()));
        let stop = CommitAction::Stop(StopReason::Restart("full".into()));
        assert_eq!(actions, [CommitAction::Abort, stop]);
    }

    #[test]
    #[should_panic(expected = "epochs follow each other")]
    fn an_epoch_cannot_be_skipped() {
        next(idle(4, 0), ended(6, Moved::Data, false, 10));
    }
}
