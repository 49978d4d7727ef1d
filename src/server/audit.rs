//! Who did what: a JSON object a line in `audit.jsonl`, for every request that changes something
//! and every one that is refused for lack of rights. Bodies and tokens are never part of it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use serde::Serialize;

use super::now_ms;
use crate::exit::{Failure, Result};

/// The audit log of a server.
pub struct Audit {
    file: Mutex<File>,
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
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join("audit.jsonl");
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let file =
            file.map_err(|e| Failure::failed(format!("{} cannot be used: {e}", path.display())))?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Notes a request. One write a line, so lines of a log are whole.
    pub fn note(&self, entry: &Entry<'_>) {
        let Ok(mut line) = serde_json::to_vec(&Line { at_ms: now_ms(), entry }) else { return };
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(|e| e.into_inner());
        if let Err(error) = file.write_all(&line) {
            tracing::error!("the audit log cannot be written: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_request() {
        let root = tempfile::tempdir().unwrap();
        let entry =
            Entry { who: "t1", address: "::1", method: "POST", path: "/v1/jobs", status: 201 };
        Audit::open(root.path()).unwrap().note(&entry);
        Audit::open(root.path()).unwrap().note(&Entry { path: "/v1/jobs/\n", ..entry });
        let text = std::fs::read_to_string(root.path().join("audit.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (lines[0]["who"].as_str(), lines[0]["status"].as_u64()),
            (Some("t1"), Some(201))
        );
    }
}
