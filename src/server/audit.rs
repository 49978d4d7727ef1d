//! Who did what: a JSON object a line in `audit.jsonl`, for every request that changes something
//! and every one that is refused for lack of rights. Bodies and tokens are never part of it.
//!
//! A file that would grow beyond its size becomes `audit.jsonl.1`, the one before it
//! `audit.jsonl.2`, and so on; the oldest goes. A line is never cut, and none is lost because files
//! cannot be renamed: the log then goes on where it is.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;

use super::config::AuditConfig;
use super::now_ms;
use crate::exit::{Failure, Result};

/// The file that is written.
const FILE: &str = "audit.jsonl";

/// The audit log of a server.
pub struct Audit {
    log: Mutex<Log>,
}

/// What is noted of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Entry<'a> {
    /// Id of the token, `local`, or `-` for a caller that is not known.
    pub who: &'a str,
    /// The caller's address.
    pub address: &'a str,
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// The answer's status.
    pub status: u16,
}

#[derive(Serialize)]
struct Line<'a> {
    at_ms: i64,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
}

impl Audit {
    /// Goes on with the log in a server's own folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(root: &Path, config: AuditConfig) -> Result<Self> {
        let path = root.join(FILE);
        let opened = open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = opened
            .map_err(|e| Failure::failed(format!("{} cannot be used: {e}", path.display())))?;
        Ok(Self { log: Mutex::new(Log { path, file, bytes, config }) })
    }

    /// Notes a request. One write a line, so lines of a log are whole.
    pub fn note(&self, entry: &Entry<'_>) {
        let Ok(mut line) = serde_json::to_vec(&Line { at_ms: now_ms(), entry }) else { return };
        line.push(b'\n');
        let mut log = self.log.lock().unwrap_or_else(|e| e.into_inner());
        if let Err(error) = log.write(&line) {
            tracing::error!("the audit log cannot be written: {error}");
        }
    }
}

/// The file that is written, and those before it.
struct Log {
    path: PathBuf,
    file: File,
    /// Bytes in the file; after a rotation that failed, since then.
    bytes: u64,
    config: AuditConfig,
}

impl Log {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.bytes > 0 && self.bytes + length > self.config.size.0 as u64 {
            self.bytes = 0;
            if let Err(error) = self.rotate() {
                tracing::error!("the audit log cannot be rotated, and grows on: {error}");
            }
        }
        self.bytes += length;
        self.file.write_all(line)
    }

    /// Makes room for a new file.
    fn rotate(&mut self) -> io::Result<()> {
        let keep = self.config.keep;
        for number in (keep.max(1)..).take_while(|&n| n <= keep || self.kept(n).exists()) {
            if_there(std::fs::remove_file(self.kept(number)))?;
        }
        for number in (1..keep).rev() {
            if_there(std::fs::rename(self.kept(number), self.kept(number + 1)))?;
        }
        if_there(match keep {
            0 => std::fs::remove_file(&self.path),
            _ => std::fs::rename(&self.path, self.kept(1)),
        })?;
        self.file = open(&self.path)?;
        Ok(())
    }

    /// A file of before: 1 is the newest.
    fn kept(&self, number: usize) -> PathBuf {
        self.path.with_file_name(format!("{FILE}.{number}"))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// What was done to a file, if there was one.
fn if_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Size;
    use super::*;

    const ENTRY: Entry<'_> =
        Entry { who: "t1", address: "::1", method: "POST", path: "/v1/jobs", status: 201 };

    /// The paths that were noted in a file, which has to be whole lines.
    fn paths(file: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        let path = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["path"].as_str().unwrap().to_string()
        };
        text.lines().map(path).collect()
    }

    fn note(audit: &Audit, numbers: std::ops::Range<u32>) {
        for number in numbers {
            audit.note(&Entry { path: &format!("/{number:03}"), ..ENTRY });
        }
    }

    fn files(root: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(root).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Bytes of two lines, and of one more that does not fit.
    fn two_lines(keep: usize) -> AuditConfig {
        let root = tempfile::tempdir().unwrap();
        let audit = Audit::open(root.path(), AuditConfig::default()).unwrap();
        note(&audit, 0..1);
        let line = std::fs::metadata(root.path().join(FILE)).unwrap().len() as usize;
        AuditConfig { size: Size(line * 3 - 1), keep }
    }

    #[test]
    fn a_line_a_request() {
        let root = tempfile::tempdir().unwrap();
        Audit::open(root.path(), AuditConfig::default()).unwrap().note(&ENTRY);
        let again = Audit::open(root.path(), AuditConfig::default()).unwrap();
        again.note(&Entry { path: "/v1/jobs/\n", ..ENTRY });
        let text = std::fs::read_to_string(root.path().join(FILE)).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (lines[0]["who"].as_str(), lines[0]["status"].as_u64()),
            (Some("t1"), Some(201))
        );
    }

    #[test]
    fn the_newest_files_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let (config, file) = (two_lines(2), root.path().join(FILE));
        let audit = Audit::open(root.path(), config).unwrap();
        note(&audit, 0..3);
        assert_eq!((paths(&file), files(root.path()).len()), (vec!["/002".to_string()], 2));
        // What is there counts after a start too.
        drop(audit);
        let audit = Audit::open(root.path(), config).unwrap();
        note(&audit, 3..9);
        assert_eq!(files(root.path()), ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]);
        assert_eq!(paths(&file), ["/008"]);
        assert_eq!(paths(&root.path().join("audit.jsonl.1")), ["/006", "/007"]);
        assert_eq!(paths(&root.path().join("audit.jsonl.2")), ["/004", "/005"]);
        // Fewer are to be kept from now on.
        for (keep, kept) in [(1, 2), (0, 1)] {
            let audit = Audit::open(root.path(), AuditConfig { keep, ..config }).unwrap();
            note(&audit, 10..13);
            assert_eq!(files(root.path()).len(), kept, "{:?}", files(root.path()));
        }
    }

    #[test]
    fn a_line_that_is_longer_than_a_file_has_one_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let config = AuditConfig { size: Size(10), keep: 9 };
        let audit = Audit::open(root.path(), config).unwrap();
        note(&audit, 0..3);
        assert_eq!(files(root.path()).len(), 3);
        assert_eq!(paths(&root.path().join("audit.jsonl.2")), ["/000"]);
    }

    #[test]
    fn a_log_that_cannot_be_rotated_goes_on() {
        let root = tempfile::tempdir().unwrap();
        let (config, file) = (two_lines(1), root.path().join(FILE));
        // A folder that is not empty stands where the file is to go.
        let blocked = root.path().join("audit.jsonl.1");
        std::fs::create_dir_all(blocked.join("inner")).unwrap();
        let audit = Audit::open(root.path(), config).unwrap();
        note(&audit, 0..7);
        assert_eq!(paths(&file).len(), 7);
        std::fs::remove_dir_all(&blocked).unwrap();
        note(&audit, 7..9);
        assert_eq!((paths(&blocked).len(), paths(&file)), (8, vec!["/008".to_string()]));
    }
}
