//! The lock of a folder that one process uses: the state of a job, the data of a server. It names
//! its owner.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use fs4::fs_std::FileExt;

use crate::exit::{Failure, Result};

/// Held while the process uses the folder; freed by the system when the process ends in any way.
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock of a folder, which is made if it is missing.
    ///
    /// # Errors
    /// If another process holds it (its pid is named), or the folder cannot be written.
    pub fn take(dir: &Path) -> Result<Self> {
        Self::take_or(dir, |pid| {
            format!("process {pid} runs this job already ({} is locked)", dir.display())
        })
    }

    /// The same for a folder of something else than a job; `told` is the message about the process
    /// that holds it.
    ///
    /// # Errors
    /// As `take`.
    pub fn take_or(dir: &Path, told: impl FnOnce(&str) -> String) -> Result<Self> {
        let failed = |e: std::io::Error| {
            Failure::failed(format!("the folder {} cannot be used: {e}", dir.display()))
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let path = dir.join("lock");
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(failed)?;
        if !file.try_lock_exclusive().map_err(failed)? {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(Failure::failed(told(pid.trim())));
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
