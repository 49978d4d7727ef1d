//! What happens to a job next: pure decisions, from what is wanted and what is. The keeper looks,
//! asks here, and acts.

use std::time::Duration;

use flow_runtime::error::{Retry, RuntimeError, Who};

use crate::server::store::{Desired, JobRecord};

/// Pause before the first restart; doubles up to `RESTART_WAIT_MAX`. The runtime has tried again
/// for half a minute before it gives up, so these are long.
const RESTART_WAIT: Duration = Duration::from_secs(1);

/// Longest pause between restarts.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(60);

/// What a job does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing: it holds no thread and no client.
    Idle,
    /// It runs this version; `stopping` once it was asked to end.
    Active {
        /// The version.
        version: u32,
        /// Whether it was asked to end.
        stopping: bool,
    },
    /// It failed and waits for its next start; `due` when the wait is over.
    Waiting {
        /// Whether the wait is over.
        due: bool,
    },
    /// Its state is being taken away.
    Dropping,
}

/// What the keeper does with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Rest,
    /// Start the version that is wanted.
    Start,
    /// Ask it to finish its epoch and end.
    Stop,
    /// No longer wait for a restart.
    GiveUpWaiting,
    /// Take it away.
    Drop,
}

/// The next step for a job.
pub(super) fn next(record: &JobRecord, activity: Activity) -> Step {
    let dropped = matches!(record.desired, Desired::Dropped | Desired::DroppedKeepingState);
    let wanted = record.desired == Desired::Running && record.settled.is_none();
    match activity {
        Activity::Dropping => Step::Rest,
        Activity::Active { stopping: true, .. } => Step::Rest,
        Activity::Active { version, .. } if !wanted || version != record.version => Step::Stop,
        Activity::Active { .. } => Step::Rest,
        Activity::Waiting { .. } if !wanted => Step::GiveUpWaiting,
        Activity::Waiting { due: true } => Step::Start,
        Activity::Waiting { due: false } => Step::Rest,
        Activity::Idle if dropped => Step::Drop,
        Activity::Idle if wanted => Step::Start,
        Activity::Idle => Step::Rest,
    }
}

/// How long a job waits after a failure, the `failures`-th in a row; `None` if it stays stopped:
/// the same would happen again, another process runs it, or it has been tried often enough.
pub(super) fn wait_after(error: &RuntimeError, failures: u32, most: u32) -> Option<Duration> {
    let may_help = error.retry == Retry::Backoff && error.who != Who::Successor;
    (may_help && failures <= most).then(|| {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        RESTART_WAIT.saturating_mul(doubled).min(RESTART_WAIT_MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::Settled;

    const ALL: [Desired; 5] = [
        Desired::Running,
        Desired::Paused,
        Desired::Stopped,
        Desired::Dropped,
        Desired::DroppedKeepingState,
    ];

    fn record(desired: Desired, settled: Option<Settled>) -> JobRecord {
        JobRecord {
            desired,
            version: 2,
            parallelism: 1,
            fresh: false,
            settled,
            created_ms: 0,
            submitted_ms: 0,
        }
    }

    #[test]
    fn only_what_is_wanted_and_not_settled_starts() {
        for desired in ALL {
            for settled in [None, Some(Settled::Finished), Some(Settled::Failed("x".into()))] {
                let step = next(&record(desired, settled.clone()), Activity::Idle);
                let expected = match (desired, settled) {
                    (Desired::Running, None) => Step::Start,
                    (Desired::Dropped | Desired::DroppedKeepingState, _) => Step::Drop,
                    _ => Step::Rest,
                };
                assert_eq!(step, expected, "{desired:?}");
            }
        }
    }

    #[test]
    fn another_version_takes_over_once_the_old_one_has_ended() {
        let wanted = record(Desired::Running, None);
        let active = |version, stopping| Activity::Active { version, stopping };
        assert_eq!(next(&wanted, active(1, false)), Step::Stop);
        assert_eq!(next(&wanted, active(1, true)), Step::Rest);
        assert_eq!(next(&wanted, Activity::Idle), Step::Start);
        assert_eq!(next(&wanted, active(2, false)), Step::Rest);
    }

    #[test]
    fn nothing_else_happens_while_a_job_ends_or_is_taken_away() {
        for desired in ALL {
            let record = record(desired, None);
            assert_eq!(next(&record, Activity::Dropping), Step::Rest);
            let active = Activity::Active { version: 2, stopping: true };
            assert_eq!(next(&record, active), Step::Rest);
        }
    }

    #[test]
    fn a_wait_ends_when_it_is_due_or_the_job_is_no_longer_wanted() {
        let waiting = |due| Activity::Waiting { due };
        assert_eq!(next(&record(Desired::Running, None), waiting(true)), Step::Start);
        assert_eq!(next(&record(Desired::Running, None), waiting(false)), Step::Rest);
        assert_eq!(next(&record(Desired::Paused, None), waiting(false)), Step::GiveUpWaiting);
    }

    #[test]
    fn waits_double_up_to_a_minute_and_end() {
        let error = RuntimeError::external("away");
        let waits: Vec<u64> =
            (1..=9).map_while(|n| wait_after(&error, n, 8)).map(|w| w.as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait_after(&RuntimeError::user("wrong"), 1, 8), None);
        assert_eq!(wait_after(&RuntimeError::fenced(), 1, 8), None);
        assert!(wait_after(&error, u32::MAX, u32::MAX).is_some());
    }
}
