//! The store of one job, shared between the attempt that writes it and whoever reads its views.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use flow_ir::physical::JobGraph;
use flow_ir::row::RowBatch;
use tokio::sync::watch;

use super::subscription::Feeds;
use super::{Snapshot, Step, Subscription, ViewError, ViewSpec, views};
use crate::commit::{Epoch, EpochRecord, InputPosition};
use crate::error::{Result, RuntimeError};
use crate::state::Disk;

/// How long a store that must be opened anew waits for the readers of the old one.
const READERS_WAIT: Duration = Duration::from_secs(30);
const READERS_LOOK: Duration = Duration::from_millis(10);

/// A committed epoch, as answers name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// Its number; 0: nothing is committed yet.
    pub epoch: Epoch,
    /// What was read up to it.
    pub inputs: Vec<InputPosition>,
    /// All inputs have ended.
    pub finished: bool,
}

impl At {
    /// Of a record.
    pub(crate) fn of(record: &EpochRecord) -> Self {
        let EpochRecord { epoch, inputs, finished, .. } = record;
        Self { epoch: *epoch, inputs: inputs.clone(), finished: *finished }
    }
}

/// What an epoch changed, for publication.
pub(crate) struct Published {
    pub(crate) at: At,
    /// By number of the view.
    pub(crate) changes: Vec<(usize, RowBatch)>,
}

/// The materialized views of a job. Held by the job and by its readers; the store is open while
/// anyone holds it.
#[derive(Debug)]
pub struct Views {
    job: String,
    specs: Vec<ViewSpec>,
    store: RwLock<Store>,
    feeds: Mutex<Feeds>,
    /// Readers are to give up: the store closes.
    closing: AtomicBool,
    /// The last published epoch; `None` while views cannot be read.
    published: watch::Sender<Option<Arc<At>>>,
}

#[derive(Debug, Default)]
struct Store {
    folder: PathBuf,
    disk: Option<Arc<Disk>>,
    /// Table numbers by `TableId`.
    numbers: Arc<[u32]>,
    at: Option<Arc<At>>,
}

impl Views {
    /// Of a graph that `verify` accepted; nothing is opened yet.
    ///
    /// # Errors
    /// If the graph is not what the compiler makes.
    pub fn new(graph: &JobGraph) -> Result<Self> {
        Ok(Self {
            job: graph.name.clone(),
            specs: views(graph).map_err(RuntimeError::internal)?,
            store: RwLock::default(),
            feeds: Mutex::default(),
            closing: AtomicBool::new(false),
            published: watch::Sender::new(None),
        })
    }

    /// The views.
    pub fn specs(&self) -> &[ViewSpec] {
        &self.specs
    }

    /// The number of a view.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn find(&self, name: &str) -> std::result::Result<usize, ViewError> {
        let place = self.specs.iter().position(|spec| spec.name == name);
        place.ok_or_else(|| ViewError::Unknown { job: self.job.clone(), view: name.to_string() })
    }

    /// Gives `read` the views after the last committed epoch.
    ///
    /// # Errors
    /// If they cannot be read yet; what `read` says.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Snapshot<'_>) -> std::result::Result<T, ViewError>,
    ) -> std::result::Result<T, ViewError> {
        let store = self.shared();
        let (disk, numbers, at) = store.parts()?;
        let snapshot = self.snapshot(&disk, &numbers, at);
        drop(store);
        read(&snapshot)
    }

    /// Gives `read` the views after the last committed epoch, and all that changes some of them
    /// later as steps.
    ///
    /// # Errors
    /// As `read`.
    pub fn subscribe<T>(
        &self,
        views: &[usize],
        read: impl FnOnce(&Snapshot<'_>) -> std::result::Result<T, ViewError>,
    ) -> std::result::Result<(T, Subscription), ViewError> {
        let store = self.shared();
        let (disk, numbers, at) = store.parts()?;
        let snapshot = self.snapshot(&disk, &numbers, at);
        // No epoch is published while the store is looked at: the next one is the first step.
        let subscription = self.feeds().subscribe(views);
        drop(store);
        Ok((read(&snapshot)?, subscription))
    }

    /// The steps after an epoch that the subscriber has seen.
    ///
    /// # Errors
    /// If they are no longer kept.
    pub fn resume(
        &self,
        views: &[usize],
        after: Epoch,
    ) -> std::result::Result<Subscription, ViewError> {
        let _store = self.shared();
        let resumed = self.feeds().resume(views, after);
        resumed.map_err(|kept| ViewError::Forgotten { asked: after, kept })
    }

    /// The last committed epoch, as it changes; `None` while views cannot be read.
    pub fn at(&self) -> watch::Receiver<Option<Arc<At>>> {
        self.published.subscribe()
    }

    /// Subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.feeds().len()
    }

    fn snapshot<'a>(&'a self, disk: &'a Disk, numbers: &'a [u32], at: Arc<At>) -> Snapshot<'a> {
        let (views, closing) = (&self.specs, &self.closing);
        Snapshot { views, numbers, at, disk: disk.snapshot(), closing }
    }

    fn shared(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(|e| e.into_inner())
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(|e| e.into_inner())
    }

    fn feeds(&self) -> std::sync::MutexGuard<'_, Feeds> {
        self.feeds.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// What a snapshot is made of: the store, table numbers, the epoch.
type Parts = (Arc<Disk>, Arc<[u32]>, Arc<At>);

impl Store {
    fn parts(&self) -> std::result::Result<Parts, ViewError> {
        match (&self.disk, &self.at) {
            (Some(disk), Some(at)) => Ok((disk.clone(), self.numbers.clone(), at.clone())),
            (Some(_) | None, _) => Err(ViewError::NotReady),
        }
    }
}

/// What the attempt that runs the job does.
impl Views {
    /// The store in a folder: the one that is open already, else what `open` opens.
    pub(crate) fn disk(
        &self,
        folder: &Path,
        open: impl FnOnce() -> Result<Disk>,
    ) -> Result<Arc<Disk>> {
        if self.shared().disk.as_ref().is_some_and(|disk| disk.has_failed()) {
            self.close();
        }
        let mut store = self.exclusive();
        if store.folder == folder
            && let Some(disk) = &store.disk
        {
            return Ok(disk.clone());
        }
        let disk = Arc::new(open()?);
        self.closing.store(false, Ordering::Relaxed);
        *store =
            Store { folder: folder.to_path_buf(), disk: Some(disk.clone()), ..Store::default() };
        Ok(disk)
    }

    /// Views cannot be read until they are offered again.
    pub(crate) fn withdraw(&self) {
        self.exclusive().at = None;
        self.published.send_replace(None);
    }

    /// The store holds the state after this epoch.
    pub(crate) fn offer(&self, numbers: &[u32], at: At) {
        let at = Arc::new(at);
        let mut store = self.exclusive();
        store.numbers = numbers.into();
        store.at = Some(at.clone());
        let mut feeds = self.feeds();
        // An epoch whose end was unclear may be committed after all, and nobody has its changes.
        if feeds.last() != at.epoch {
            feeds.end(at.epoch);
        }
        drop((feeds, store));
        self.published.send_replace(Some(at));
    }

    /// Publishes an epoch: `write` brings it to the store.
    pub(crate) fn publish(
        &self,
        write: impl FnOnce() -> Result<()>,
        published: Published,
    ) -> Result<()> {
        let at = Arc::new(published.at);
        let mut store = self.exclusive();
        write()?;
        store.at = Some(at.clone());
        let changes = published.changes.into_iter().map(|(view, rows)| (view, Arc::new(rows)));
        self.feeds().send(Step { at: at.clone(), changes: changes.collect() });
        drop(store);
        self.published.send_replace(Some(at));
        Ok(())
    }

    /// Closes the store for good: the job is gone, or has other views now. Subscriptions end.
    pub fn retire(&self) {
        self.close();
        let mut feeds = self.feeds();
        let last = feeds.last();
        feeds.end(last);
    }

    /// Closes the store, after its readers are done. Views cannot be read then; a job that starts
    /// with them opens it again.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        let disk = std::mem::take(&mut *self.exclusive()).disk;
        self.published.send_replace(None);
        let Some(disk) = disk else { return };
        let asked = Instant::now();
        while Arc::strong_count(&disk) > 1 && asked.elapsed() < READERS_WAIT {
            std::thread::sleep(READERS_LOOK);
        }
    }
}
