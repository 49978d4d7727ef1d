//! Questions to running jobs: SELECT over their materialized views, SELECT over streams, SUBSCRIBE.
//!
//! | module | what |
//! | --- | --- |
//! | `offer` | the views that jobs offer |
//! | `compile` | a question's text to a compiled query, once for each text |
//! | `once` | a query over views, answered from one epoch of each job |
//! | `streams` | a query over streams, as a job of its own that keeps nothing |
//! | `follow` | rows, then what changes them |
//! | `lookup` | rows of one view by the values of some columns, without SQL |
//! | `answer` | rows as JSON, and what they are the answer for |
//!
//! What always holds: what is read of a job is its state after one epoch, and the answer names it.

pub mod answer;
pub mod compile;
pub mod follow;
pub mod lookup;
pub mod offer;
pub mod once;
pub mod streams;

use std::time::{Duration, Instant};

use flow_runtime::RuntimeError;
use flow_runtime::view::ViewError;

pub use answer::{Answer, Column, Position};
pub use compile::{Compiler, Question};
pub use offer::Offer;

/// Memory that the state of one query may take, bytes.
pub const QUERY_MEMORY_BYTES: usize = 256 << 20;

/// Rows that one answer may have; more come by subscription, or with LIMIT and OFFSET.
pub const ANSWER_ROWS_MAX: usize = 1_000_000;

/// How long a question may take where it does not say.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The text has mistakes; they are rendered.
    Mistakes(String),
    /// It cannot be answered as it was asked: what is wrong, and what to do about it.
    Refused(String, Option<String>),
    /// Nothing of this name is offered.
    Missing(String),
    /// Not now: a job starts, or something that it needs is away.
    NotNow(String),
    /// It took longer than it may.
    TimedOut(String),
    /// A bug.
    Internal(String),
}

impl From<ViewError> for Unanswered {
    fn from(error: ViewError) -> Self {
        let message = error.to_string();
        match error {
            ViewError::NotReady | ViewError::State(_) => Self::NotNow(message),
            ViewError::Unknown { .. } => Self::Missing(message),
            ViewError::Forgotten { .. } => {
                let help = "Subscribe without an epoch: the snapshot comes first.";
                Self::Refused(message, Some(help.into()))
            }
        }
    }
}

impl From<RuntimeError> for Unanswered {
    fn from(error: RuntimeError) -> Self {
        use flow_runtime::error::Who;
        match error.who {
            Who::User => Self::Refused(error.message, error.help),
            Who::External | Who::Successor => Self::NotNow(error.to_string()),
            Who::Internal => Self::Internal(error.message),
        }
    }
}

/// Whether there is still time.
fn in_time(deadline: Instant) -> Result<(), Unanswered> {
    if Instant::now() < deadline {
        return Ok(());
    }
    Err(Unanswered::TimedOut("the query took longer than it may".into()))
}
