//! Folders as streams: all files in them and in the folders in them, each a partition, in the order
//! of their paths. Those whose names begin with `.` or `_` are other programs' notes.

use std::path::Path;

use super::STANDARD;
use crate::error::{Result, RuntimeError};

/// Files of one stream at most.
const FILES_MAX: usize = 100_000;

/// The files that a path names: it, or all in it.
///
/// # Errors
/// If it cannot be read, is a folder without files, or has too many.
pub(crate) fn files(path: &str) -> Result<Vec<String>> {
    if path == STANDARD || !Path::new(path).is_dir() {
        return Ok(vec![path.to_string()]);
    }
    let mut files = Vec::new();
    let mut open = vec![Path::new(path).to_path_buf()];
    while let Some(folder) = open.pop() {
        let unreadable = |e: std::io::Error| {
            RuntimeError::user(format!("the folder {} cannot be read: {e}", folder.display()))
        };
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.path();
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(['.', '_']) {
                continue;
            }
            // A link to a folder may lead back here.
            if entry.is_dir() && !entry.is_symlink() {
                open.push(entry);
            } else if entry.is_file() {
                let file = entry.to_str().ok_or_else(|| {
                    let shown = entry.display();
                    RuntimeError::user(format!("the name of {shown} is not UTF-8"))
                })?;
                files.push(file.to_string());
            }
            if files.len() > FILES_MAX {
                let message = format!("the folder {path} has over {FILES_MAX} files");
                return Err(RuntimeError::user(message));
            }
        }
    }
    if files.is_empty() {
        return Err(RuntimeError::user(format!("the folder {path} has no file"))
            .with_help("Check the option 'path'; names that begin with . or _ do not count."));
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn a_folder_is_all_files_below_it_in_order() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().to_str().expect("a path");
        assert!(files(root).is_err(), "there is none");
        std::fs::create_dir(dir.path().join("b")).expect("made");
        for name in ["c.csv", "b/2.csv", "b/10.csv", "_SUCCESS", ".part"] {
            std::fs::write(dir.path().join(name), "x").expect("written");
        }
        let found = files(root).expect("readable");
        let names: Vec<_> = found.iter().map(|f| f[root.len() + 1..].to_string()).collect();
        assert_eq!(names, ["b/10.csv", "b/2.csv", "c.csv"]);
        assert_eq!(files(&found[0]).expect("a file"), found[..1]);
    }
}
