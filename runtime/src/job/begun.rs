//! A job that finds no epoch record is at its first start, or has lost what says where it stands:
//! its epochs topic was deleted. Then it must not begin again as if nothing had been, since it
//! would write its output a second time. Two things tell: the note in the state folder of which
//! epochs topic the job goes by, and state in the changelog.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::connect::{Log, OffsetQuery, TopicInfo};
use crate::error::{Result, RuntimeError};

/// The note's file in the state folder.
const FILE: &str = "epochs.json";

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
    let is_written = |topic: &TopicInfo| -> Result<bool> {
        Ok(home.offsets(&topic.name, OffsetQuery::End)?.iter().any(|end| *end > 0))
    };
    if is_written(changelog)? && !is_written(epochs)? {
        let (epochs, changelog) = (&epochs.name, &changelog.name);
        let why = format!("topic {epochs} is empty, and {changelog} holds state of this job");
        return Err(lost(&why));
    }
    Ok(())
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
