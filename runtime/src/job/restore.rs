//! The local store at start: as new as the last epoch record, or brought there from the changelog,
//! or thrown away and restored whole.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flow_ir::kernel::Record;
use serde::{Deserialize, Serialize};

use crate::commit::{Epoch, EpochRecord, state_error};
use crate::connect::{Assignment, Log, OffsetQuery};
use crate::error::{Result, RuntimeError};
use crate::metrics::Metrics;
use crate::state::{Disk, RestoreError, Restorer, StateError};
use crate::view::Views;

/// A store that was last written longer ago is restored whole, microseconds: half of the time for
/// which the changelog keeps the marks of deleted keys (7 days).
const STORE_AGE_MAX: i64 = 7 * 24 * 3_600 * 1_000_000 / 2;

/// How long one poll of the changelog waits.
const RESTORE_POLL: Duration = Duration::from_millis(100);

/// Where the local store stands; written with the rows that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocalPosition {
    /// The epoch that the store holds.
    pub(crate) epoch: Epoch,
    /// Identity of the changelog topic.
    pub(crate) changelog: String,
    /// Where each partition of the changelog goes on.
    pub(crate) offsets: Vec<i64>,
    /// Microseconds since 1970.
    pub(crate) written_at: i64,
}

impl LocalPosition {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a position has only string keys")
    }
}

/// What the store is restored from.
pub(crate) struct Changelog<'a> {
    pub(crate) log: &'a Arc<dyn Log>,
    pub(crate) topic: &'a str,
    /// Identity of the topic.
    pub(crate) id: &'a str,
    pub(crate) shards: u32,
    /// Where the job's state begins, by partition.
    pub(crate) from: &'a [i64],
    pub(crate) specs: &'a [flow_ir::physical::TableSpec],
    pub(crate) numbers: &'a [u32],
}

/// Opens the store in a folder and brings it to the record.
///
/// # Errors
/// If the store or the changelog cannot be read, or the changelog is not this job's.
pub(crate) fn open_store(
    folder: &Path,
    record: Option<&EpochRecord>,
    changelog: &Changelog<'_>,
    now: i64,
    (metrics, views): (&Metrics, &Views),
) -> Result<(Arc<Disk>, LocalPosition)> {
    let disk = views.disk(folder, || open_or_replace(folder))?;
    let empty = LocalPosition {
        epoch: 0,
        changelog: changelog.id.to_string(),
        offsets: changelog.from.to_vec(),
        written_at: now,
    };
    let stored = disk.position().map_err(|e| state_error(&e))?;
    let local = stored.and_then(|bytes| serde_json::from_slice::<LocalPosition>(&bytes).ok());
    let usable = local.filter(|local| {
        local.changelog == changelog.id
            && local.offsets.len() == changelog.shards as usize
            && record.is_some_and(|r| local.epoch <= r.epoch)
            && now.saturating_sub(local.written_at) <= STORE_AGE_MAX
    });
    let mut position = match usable {
        Some(local) => local,
        None => {
            views.withdraw();
            disk.wipe().map_err(|e| state_error(&e))?;
            empty
        }
    };
    if let Some(record) = record
        && position.epoch < record.epoch
    {
        views.withdraw();
        restore(&disk, changelog, &mut position, record.epoch, now, metrics)?;
    }
    metrics.state_disk_bytes.set(disk.bytes());
    Ok((disk, position))
}

/// Opens the store; a damaged one is removed, since the changelog holds everything.
fn open_or_replace(folder: &Path) -> Result<Disk> {
    std::fs::create_dir_all(folder).map_err(|e| {
        RuntimeError::user(format!("the folder {} cannot be made: {e}", folder.display()))
            .with_help("Choose another one with --state-dir.")
    })?;
    match Disk::open(folder) {
        Err(StateError::Corrupt { what, .. }) => {
            tracing::warn!(%what, "the local store is damaged and is restored from the changelog");
            std::fs::remove_dir_all(folder).map_err(|e| {
                let folder = folder.display();
                RuntimeError::user(format!("the damaged store {folder} cannot be removed: {e}"))
            })?;
            Disk::open(folder).map_err(|e| state_error(&e))
        }
        other => other.map_err(|e| state_error(&e)),
    }
}

/// Reads the changelog from the position to its end into the store.
fn restore(
    disk: &Disk,
    changelog: &Changelog<'_>,
    position: &mut LocalPosition,
    epoch: Epoch,
    now: i64,
    metrics: &Metrics,
) -> Result<()> {
    let assigned = |(partition, &offset): (usize, &i64)| Assignment {
        topic: changelog.topic.to_string(),
        partition: partition as u32,
        offset,
    };
    let assignment: Vec<_> = position.offsets.iter().enumerate().map(assigned).collect();
    let ends = changelog.log.offsets(changelog.topic, OffsetQuery::End)?;
    let mut reader = changelog.log.reader_of_last(&assignment)?;
    let mut restorer = Restorer::new(changelog.specs, changelog.numbers, disk);
    let behind = |reader: &dyn crate::connect::Reader| {
        ends.iter().enumerate().any(|(p, end)| reader.position(p) < *end)
    };
    while behind(&*reader) {
        let Some(fetched) = reader.poll(RESTORE_POLL)? else { continue };
        let mut records: Vec<Record<'_>> = Vec::with_capacity(fetched.batch.len());
        fetched.batch.records(&mut records);
        for record in &records {
            let applied = restorer.apply(record.key.unwrap_or(&[]), record.value);
            applied.map_err(|e| match e {
                RestoreError::State(e) => state_error(&e),
                RestoreError::Record(why) => RuntimeError::user(format!(
                    "record {}-{}@{} is no record of this job's state: {why}",
                    changelog.topic, fetched.partition, record.offset
                )),
            })?;
        }
        metrics.restored.add(records.len() as u64);
    }
    position.epoch = epoch;
    position.written_at = now;
    position.offsets = (0..ends.len()).map(|p| reader.position(p)).collect();
    restorer.finish(&position.to_bytes()).map_err(|e| state_error(&e))
}
