//! Jobs as the API shows them. Options of streams are never part of it, and secrets stay references
//! in a program and its plan: their values are only where a client is made.

use flow_runtime::job::StateChange;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::counts::JobMetrics;
use crate::server::store::Desired;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It opens its inputs and brings back its state.
    Starting,
    /// It commits epochs.
    Running,
    /// It finishes its epoch.
    Stopping,
    /// It failed, and will be started again.
    Waiting,
    /// It rests, and holds no thread and no client.
    Paused,
    /// It was stopped.
    Stopped,
    /// It cannot go on; `error` says why.
    Failed,
    /// All its inputs have ended.
    Finished,
    /// It is being taken away.
    Dropping,
}

impl State {
    /// All states.
    pub const ALL: [State; 9] = [
        State::Starting,
        State::Running,
        State::Stopping,
        State::Waiting,
        State::Paused,
        State::Stopped,
        State::Failed,
        State::Finished,
        State::Dropping,
    ];

    /// The state's word.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Running => "running",
            State::Stopping => "stopping",
            State::Waiting => "waiting",
            State::Paused => "paused",
            State::Stopped => "stopped",
            State::Failed => "failed",
            State::Finished => "finished",
            State::Dropping => "dropping",
        }
    }
}

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobInfo {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: State,
    /// What is wanted of it.
    pub desired: Desired,
    /// The version of its program, from 1.
    pub version: u32,
    /// Why it failed or waits, as `flow run` would show it.
    pub error: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Workers.
    pub parallelism: u16,
    /// Its share of the server's memory, bytes; 0 while it does not run.
    pub memory_bytes: u64,
    /// When it was first submitted, milliseconds since 1970.
    pub created_ms: i64,
    /// When this version was submitted, milliseconds since 1970.
    pub submitted_ms: i64,
    /// The jobs that read its views: while there are any, it is not dropped.
    #[serde(default)]
    pub read_by: Vec<String>,
    /// What it counts, of its last attempt.
    pub metrics: Option<JobMetrics>,
}

/// What a new version of a program does to the state of the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateChanges {
    /// Operators that keep their state.
    pub kept: Vec<String>,
    /// Operators whose state is lost.
    pub lost: Vec<LostState>,
    /// Operators that have no state yet.
    pub added: Vec<String>,
}

/// An operator whose state nothing takes up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostState {
    /// Its name.
    pub operator: String,
    /// Why.
    pub reason: String,
}

impl From<&StateChange> for StateChanges {
    fn from(change: &StateChange) -> Self {
        let lost = change.lost.iter().map(|(operator, reason)| LostState {
            operator: operator.clone(),
            reason: (*reason).to_string(),
        });
        Self { kept: change.kept.clone(), lost: lost.collect(), added: change.added.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_json() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
    }
}
