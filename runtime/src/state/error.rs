//! What can go wrong with state: on disk (`StateError`), and in changelog records (`RecordError`).
//! Each message says what the user can do.

use std::path::{Path, PathBuf};

use rocksdb::ErrorKind;
use thiserror::Error;

/// The store on disk cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// No room for more.
    #[error(
        "the disk that holds the state in {} is full: free space and start again",
        path.display()
    )]
    DiskFull {
        /// The store's folder.
        path: PathBuf,
    },
    /// Someone else has the store open.
    #[error(
        "the state in {} is in use by another process: stop it, or choose another --state-dir",
        path.display()
    )]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// The bytes on disk are not what was written.
    #[error(
        "the state in {} is damaged ({what}): the next start restores it from the changelog",
        path.display()
    )]
    Corrupt {
        /// The store's folder.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Anything else.
    #[error("the state in {} cannot be used: {message}", path.display())]
    Io {
        /// The store's folder.
        path: PathBuf,
        /// What RocksDB says.
        message: String,
    },
}

impl StateError {
    /// Classifies what RocksDB says about the store in `path`.
    pub(super) fn from_rocks(path: &Path, error: rocksdb::Error) -> Self {
        let (kind, path) = (error.kind(), path.to_path_buf());
        let message = error.into_string();
        let lower = message.to_ascii_lowercase();
        let full = ["no space left", "disk quota exceeded", "file too large"];
        if full.iter().any(|text| lower.contains(text)) {
            Self::DiskFull { path }
        } else if lower.contains("lock hold by current process")
            || lower.contains("while lock file")
        {
            Self::Locked { path }
        } else if kind == ErrorKind::Corruption || lower.contains("no such file or directory") {
            Self::Corrupt { path, what: message }
        } else {
            Self::Io { path, message }
        }
    }
}

/// A changelog record is not one that this job wrote. The caller adds topic, partition and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The record key is shorter than table number, key group and what the table's keys begin with.
    #[error("its key has {len} bytes, too few for a key of the state")]
    ShortKey {
        /// Bytes of the key.
        len: usize,
    },
    /// No table of the job has this number.
    #[error("it belongs to table {number}, which the job does not have")]
    UnknownTable {
        /// The table's number.
        number: u32,
    },
    /// The value is no row of the table.
    #[error("its value is no row of table {number}")]
    BadRow {
        /// The table's number.
        number: u32,
    },
}

/// Restoring from the changelog stopped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// The record is not one that this job wrote.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The store on disk cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}
