//! A job that finds no epoch record is at its first start, or has lost what says where it stands:
//! its epochs topic was deleted. Then it must not begin again as if nothing had been, since it
//! would write its output a second time. Two things tell: the note in the state folder of which
//! epochs topic the job goes by, and committed state in the changelog.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::connect::{Assignment, Log, OffsetQuery, TopicInfo};
use crate::error::{Result, RuntimeError};

/// The note's file in the state folder.
const FILE: &str = "epochs.json";
/// How long a poll waits for records.
const WAIT: Duration = Duration::from_millis(100);

/// Which epochs topic a job goes by.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    cluster: String,
    topic: String,
    /// Identity of the topic.
    id: String,
}

impl Note {
    fn of(home: &Arc<dyn Log>, epochs: &TopicInfo) -> Self {
        Self { cluster: home.cluster(), topic: epochs.name.clone(), id: epochs.id.clone() }
    }

    /// The note that is there, if it can be read.
    fn read(state_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(state_dir.join(FILE)).ok()?).ok()
    }
}

/// Refuses a start without an epoch record that is not the first.
pub(super) fn must_be_first(
    state_dir: &Path,
    home: &Arc<dyn Log>,
    epochs: &TopicInfo,
    changelog: &TopicInfo,
) -> Result<()> {
    let now = Note::of(home, epochs);
    let before = Note::read(state_dir);
    let is_other = before.is_some_and(|before| {
        (&before.cluster, &before.topic) == (&now.cluster, &now.topic) && before.id != now.id
    });
    if is_other {
        let why = format!("topic {} is not the one that says how far this job is", epochs.name);
        return Err(lost(&why));
    }
    let ends = home.offsets(&epochs.name, OffsetQuery::End)?;
    if ends.iter().all(|end| *end == 0) && holds_records(home, changelog)? {
        let (epochs, changelog) = (&epochs.name, &changelog.name);
        let why = format!("topic {epochs} is empty, and {changelog} holds state of this job");
        return Err(lost(&why));
    }
    Ok(())
}

/// Whether a topic holds committed records: a first epoch that was aborted leaves others.
fn holds_records(home: &Arc<dyn Log>, topic: &TopicInfo) -> Result<bool> {
    let starts = home.offsets(&topic.name, OffsetQuery::Earliest)?;
    let ends = home.offsets(&topic.name, OffsetQuery::End)?;
    let (mut unread, mut until) = (Vec::new(), Vec::new());
    for (partition, (offset, end)) in (0u32..).zip(starts.into_iter().zip(ends)) {
        if offset < end {
            unread.push(Assignment { topic: topic.name.clone(), partition, offset });
            until.push(end);
        }
    }
    if unread.is_empty() {
        return Ok(false);
    }
    let mut reader = home.reader(&unread)?;
    while (0..until.len()).any(|i| reader.position(i) < until[i]) {
        if reader.poll(WAIT)?.is_some_and(|fetched| !fetched.batch.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn lost(why: &str) -> RuntimeError {
    RuntimeError::user(format!("{why}: the topic was deleted")).with_help(
        "Without it the job would begin again, and write what it has written a second time. If \
         that is meant, start anew with --fresh.",
    )
}

/// Notes which epochs topic the job goes by.
pub(super) fn note(state_dir: &Path, home: &Arc<dyn Log>, epochs: &TopicInfo) -> Result<()> {
    let note = Note::of(home, epochs);
    if Note::read(state_dir).as_ref() == Some(&note) {
        return Ok(());
    }
    let json = serde_json::to_vec(&note).expect("a note has only texts");
    let path = state_dir.join(FILE);
    std::fs::create_dir_all(state_dir).and_then(|()| std::fs::write(&path, json)).map_err(|e| {
        RuntimeError::user(format!("{} cannot be written: {e}", path.display()))
            .with_help("Choose another folder with --state-dir.")
    })
}

/// Takes the note away: the job is to begin anew.
pub(super) fn forget(state_dir: &Path) -> Result<()> {
    let path = state_dir.join(FILE);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(RuntimeError::user(format!("{} cannot be removed: {e}", path.display())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
