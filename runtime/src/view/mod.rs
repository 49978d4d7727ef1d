//! Materialized views as their readers see them: always whole epochs.
//!
//! ```text
//! Committer ──publish(overlays, record, changes)──> Views ──read──────> Snapshot     queries
//!                                                     ├────subscribe──> Snapshot, then Steps
//!                                                     └────at─────────> who waits for an epoch
//! ```
//!
//! What always holds:
//! * A snapshot is the state after one committed epoch, of all views of the job, and names it. The
//!   store takes an epoch and its position in one write, so there is nothing between two.
//! * A subscription's first step belongs to the epoch after its snapshot's; none is left out.
//! * Readers never make the job wait: they read a snapshot of the store, and one that does not take
//!   its steps is cut off.
//! * The store stays open from one attempt of a job to the next, and while the job is paused, for
//!   as long as someone holds its `Views`.

mod hub;
mod order;
mod snapshot;
mod spec;
mod subscription;

#[cfg(test)]
mod tests;

use thiserror::Error;

pub use hub::{At, Views};
pub use snapshot::Snapshot;
pub use spec::{Order, ViewSpec, views};
pub use subscription::{Step, Subscription, SubscriptionEnd};

pub(crate) use hub::Published;

use crate::commit::Epoch;
use crate::state::StateError;

/// Why views cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ViewError {
    /// The job has not come so far yet, or starts again.
    #[error("the job is starting; its views cannot be read yet")]
    NotReady,
    /// There is no such view.
    #[error("job {job} has no materialized view {view}")]
    Unknown {
        /// The job.
        job: String,
        /// The name that was asked for.
        view: String,
    },
    /// The epoch after which a subscription is to go on is too long ago.
    #[error("the changes after epoch {asked} are no longer kept; the first that are follow {kept}")]
    Forgotten {
        /// The epoch that was asked for.
        asked: Epoch,
        /// The oldest epoch after which it is possible to go on.
        kept: Epoch,
    },
    /// The store cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}
