//! The changes of views, epoch by epoch, to whoever asked for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flow_ir::row::RowBatch;
use tokio::sync::mpsc;

use super::At;
use crate::commit::Epoch;

/// Changes that a subscriber may leave lying, bytes; one that lets more pile up is cut off.
const BEHIND_BYTES_MAX: usize = 64 << 20;

/// Changes that a job keeps for subscribers that come back, bytes.
const HISTORY_BYTES_MAX: usize = 16 << 20;

/// Epochs that a job keeps for them.
const HISTORY_EPOCHS_MAX: usize = 10_000;

/// What one epoch did to the views of a job.
#[derive(Clone, Debug)]
pub struct Step {
    /// The epoch.
    pub at: Arc<At>,
    /// Net changes by number of the view, of one key the row that goes first; only of views that
    /// changed.
    pub changes: Vec<(usize, Arc<RowBatch>)>,
}

impl Step {
    fn bytes(&self) -> usize {
        self.changes.iter().map(|(_, rows)| rows.bytes()).sum()
    }

    /// What of it concerns these views.
    fn of(&self, views: &[usize]) -> Step {
        let changes = self.changes.iter().filter(|(view, _)| views.contains(view));
        Step { at: self.at.clone(), changes: changes.cloned().collect() }
    }
}

/// Why a subscription has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionEnd {
    /// The subscriber was too slow: what waited for it would have taken too much memory.
    TooSlow,
    /// The views are gone: dropped, or made anew from the beginning.
    Gone,
}

/// Receives the steps that concern some views.
#[derive(Debug)]
pub struct Subscription {
    steps: mpsc::UnboundedReceiver<Step>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes that wait for the subscriber.
    behind: AtomicUsize,
    too_slow: std::sync::atomic::AtomicBool,
}

impl Subscription {
    /// The next step.
    ///
    /// # Errors
    /// Why there will be none.
    pub async fn next(&mut self) -> Result<Step, SubscriptionEnd> {
        let step = self.steps.recv().await;
        self.taken(step)
    }

    /// The next step; blocks the thread, which must be none of an async runtime.
    ///
    /// # Errors
    /// Why there will be none.
    pub fn blocking_next(&mut self) -> Result<Step, SubscriptionEnd> {
        let step = self.steps.blocking_recv();
        self.taken(step)
    }

    /// A step that has come already.
    pub fn try_next(&mut self) -> Option<Step> {
        let step = self.steps.try_recv().ok();
        self.taken(step).ok()
    }

    fn taken(&self, step: Option<Step>) -> Result<Step, SubscriptionEnd> {
        match step {
            Some(step) => {
                self.shared.behind.fetch_sub(step.bytes(), Ordering::Relaxed);
                Ok(step)
            }
            None if self.shared.too_slow.load(Ordering::Relaxed) => Err(SubscriptionEnd::TooSlow),
            None => Err(SubscriptionEnd::Gone),
        }
    }
}

/// All subscriptions of a job, and the last changes.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    feeds: Vec<Feed>,
    history: VecDeque<Step>,
    history_bytes: usize,
    /// The epoch before the first that `history` holds.
    forgotten: Epoch,
    /// The last epoch that was sent.
    last: Epoch,
}

#[derive(Debug)]
struct Feed {
    views: Vec<usize>,
    steps: mpsc::UnboundedSender<Step>,
    shared: Arc<Shared>,
}

impl Feeds {
    /// A subscription to the steps that come from now on.
    pub(super) fn subscribe(&mut self, views: &[usize]) -> Subscription {
        let (sender, steps) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let feed = Feed { views: views.to_vec(), steps: sender, shared: shared.clone() };
        self.feeds.push(feed);
        Subscription { steps, shared }
    }

    /// A subscription to the steps after an epoch; or the oldest epoch for which there is one.
    pub(super) fn resume(&mut self, views: &[usize], after: Epoch) -> Result<Subscription, Epoch> {
        if after < self.forgotten {
            return Err(self.forgotten);
        }
        let subscription = self.subscribe(views);
        let feed = self.feeds.last().expect("it was just added");
        for step in self.history.iter().filter(|step| step.at.epoch > after) {
            feed.send(step);
        }
        Ok(subscription)
    }

    /// Hands a step on. Who is gone or too slow is let go.
    pub(super) fn send(&mut self, step: Step) {
        self.last = step.at.epoch;
        if step.changes.is_empty() {
            return;
        }
        self.feeds.retain(|feed| feed.send(&step));
        self.history_bytes += step.bytes();
        self.history.push_back(step);
        while self.history_bytes > HISTORY_BYTES_MAX || self.history.len() > HISTORY_EPOCHS_MAX {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.bytes();
            self.forgotten = oldest.at.epoch;
        }
    }

    /// Ends all subscriptions, and forgets what was before this epoch.
    pub(super) fn end(&mut self, at: Epoch) {
        *self = Self { forgotten: at, last: at, ..Self::default() };
    }

    /// The last epoch that was sent.
    pub(super) fn last(&self) -> Epoch {
        self.last
    }

    /// Subscriptions.
    pub(super) fn len(&self) -> usize {
        self.feeds.len()
    }
}

impl Feed {
    /// Sends what concerns it; whether it is still there.
    fn send(&self, step: &Step) -> bool {
        let step = step.of(&self.views);
        if step.changes.is_empty() {
            return !self.steps.is_closed();
        }
        let bytes = step.bytes();
        let behind = self.shared.behind.fetch_add(bytes, Ordering::Relaxed);
        if behind > 0 && behind + bytes > BEHIND_BYTES_MAX {
            self.shared.too_slow.store(true, Ordering::Relaxed);
            return false;
        }
        self.steps.send(step).is_ok()
    }
}
