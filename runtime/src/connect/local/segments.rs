//! Large values of the embedded log, in files of their own: written once and synced, where the
//! store would write them to its log first, then keep them in memory, and then write them again.
//! The store keeps where each lies. Of two kinds, so that those which go together lie together.
//!
//! A value is in its file before the store names it, so a crash leaves nothing that is named and
//! not there. A file goes when nothing in it is named any more; what a crash left goes when the
//! log is opened.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use flow_ir::row::key_hash;

/// A file that is longer is closed, bytes.
const FILE_BYTES: u64 = 64 << 20;

/// Files that are open to be read: a process has often 1,024 in all.
const OPEN_FILES_MAX: usize = 128;

/// For how long a value stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Until it is deleted.
    Long,
    /// Until the topic that it is in is cleaned.
    Short,
}

const KINDS: usize = 2;

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    file: u64,
    at: u64,
    len: u32,
    hash: u64,
}

/// The files of a folder.
pub(super) struct Segments {
    dir: PathBuf,
    files: RwLock<Files>,
    /// The file of each kind that is written.
    open: Mutex<[Option<Open>; KINDS]>,
}

/// The files to read from. While they are held none goes.
pub(super) struct Files {
    dir: PathBuf,
    /// How many values of each are named.
    named: BTreeMap<u64, usize>,
    next: u64,
    /// Those that were read last, the last of them at the end.
    opened: Mutex<VecDeque<(u64, Arc<File>)>>,
}

struct Open {
    number: u64,
    file: File,
    len: u64,
    is_synced: bool,
}

impl Place {
    /// Bytes of a place.
    const BYTES: usize = 28;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.file.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.at.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.len.to_le_bytes());
        bytes[20..].copy_from_slice(&self.hash.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (file, rest) = bytes.split_first_chunk::<8>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (len, hash) = rest.split_first_chunk::<4>()?;
        Some(Self {
            file: u64::from_le_bytes(*file),
            at: u64::from_le_bytes(*at),
            len: u32::from_le_bytes(*len),
            hash: u64::from_le_bytes(hash.try_into().ok()?),
        })
    }
}

impl Segments {
    /// The files of a folder, which is made when missing, with the values that are named; others
    /// are removed.
    pub(super) fn open(dir: &Path, named: &[Place]) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut files = Files {
            dir: dir.to_path_buf(),
            named: BTreeMap::new(),
            next: 0,
            opened: Mutex::default(),
        };
        for place in named {
            *files.named.entry(place.file).or_default() += 1;
        }
        for number in files.named.keys() {
            std::fs::metadata(path(dir, *number))?;
        }
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            let Some(number) = number else { continue };
            files.next = files.next.max(number + 1);
            if !files.named.contains_key(&number) {
                std::fs::remove_file(entry.path())?;
            }
        }
        let open = Mutex::default();
        Ok(Self { dir: dir.to_path_buf(), files: RwLock::new(files), open })
    }

    /// Writes values; they are synced when this returns, and count as named.
    pub(super) fn append(&self, values: &[(Keep, &[u8])]) -> io::Result<Vec<Place>> {
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        let written = self.write(&mut open, values);
        if written.is_err() {
            // How far a file was written is not known: nothing more goes there.
            *open = Default::default();
        }
        written
    }

    fn write(
        &self,
        open: &mut [Option<Open>; KINDS],
        values: &[(Keep, &[u8])],
    ) -> io::Result<Vec<Place>> {
        let mut places = Vec::with_capacity(values.len());
        for (keep, value) in values {
            let open = &mut open[*keep as usize];
            if open.as_ref().is_some_and(|open| open.len >= FILE_BYTES)
                && let Some(full) = open.take()
            {
                full.sync()?;
            }
            let open = match open {
                Some(open) => open,
                None => open.insert(self.begin()?),
            };
            open.file.write_all(value)?;
            let len = u32::try_from(value.len()).map_err(io::Error::other)?;
            places.push(Place { file: open.number, at: open.len, len, hash: key_hash(value) });
            (open.len, open.is_synced) = (open.len + u64::from(len), false);
        }
        for open in open.iter_mut().flatten() {
            open.sync()?;
            open.is_synced = true;
        }
        let mut files = self.files.write().unwrap_or_else(|e| e.into_inner());
        for place in &places {
            *files.named.entry(place.file).or_default() += 1;
        }
        Ok(places)
    }

    fn begin(&self) -> io::Result<Open> {
        let mut files = self.files.write().unwrap_or_else(|e| e.into_inner());
        let number = files.next;
        let path = path(&self.dir, number);
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        File::open(&self.dir)?.sync_all()?;
        files.next += 1;
        files.named.insert(number, 0);
        Ok(Open { number, file, len: 0, is_synced: true })
    }

    /// Takes note that these values are no longer named; removes the files that hold nothing else.
    pub(super) fn release(&self, places: &[Place]) -> io::Result<()> {
        let open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        let mut files = self.files.write().unwrap_or_else(|e| e.into_inner());
        for place in places {
            if let Some(named) = files.named.get_mut(&place.file) {
                *named = named.saturating_sub(1);
            }
        }
        let is_open = |number: u64| open.iter().flatten().any(|open| open.number == number);
        let done = files.named.iter().filter(|(number, named)| **named == 0 && !is_open(**number));
        for number in done.map(|(number, _)| *number).collect::<Vec<_>>() {
            files.named.remove(&number);
            files.opened().retain(|(opened, _)| *opened != number);
            std::fs::remove_file(path(&self.dir, number))?;
        }
        Ok(())
    }

    /// The files to read from.
    pub(super) fn files(&self) -> RwLockReadGuard<'_, Files> {
        self.files.read().unwrap_or_else(|e| e.into_inner())
    }
}

impl Open {
    fn sync(&self) -> io::Result<()> {
        if self.is_synced { Ok(()) } else { self.file.sync_data() }
    }
}

impl Files {
    /// Reads a value.
    pub(super) fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let mut value = vec![0; place.len as usize];
        self.file(place.file)?.read_exact_at(&mut value, place.at)?;
        match key_hash(&value) == place.hash {
            true => Ok(value),
            false => Err(io::Error::new(ErrorKind::InvalidData, "a batch of records is damaged")),
        }
    }

    /// A file to read: one that is open, or opened in place of that which was read longest ago.
    fn file(&self, number: u64) -> io::Result<Arc<File>> {
        let mut opened = self.opened();
        let file = match opened.iter().position(|(opened, _)| *opened == number) {
            Some(at) => opened.remove(at).map(|(_, file)| file),
            None => None,
        };
        let file = match file {
            Some(file) => file,
            None => Arc::new(File::open(path(&self.dir, number))?),
        };
        if opened.len() >= OPEN_FILES_MAX {
            opened.pop_front();
        }
        opened.push_back((number, file.clone()));
        Ok(file)
    }

    fn opened(&self) -> MutexGuard<'_, VecDeque<(u64, Arc<File>)>> {
        self.opened.lock().unwrap_or_else(|e| e.into_inner())
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_back_and_files_go_with_the_last_of_them() {
        let dir = tempfile::tempdir().expect("a folder");
        let segments = Segments::open(dir.path(), &[]).expect("a new folder");
        let long = vec![7; FILE_BYTES as usize];
        let places = segments
            .append(&[(Keep::Short, b"a"), (Keep::Long, b"b"), (Keep::Short, &long)])
            .expect("written");
        let later = segments.append(&[(Keep::Short, b"c")]).expect("written");
        let files = |segments: &Segments| segments.files().named.len();
        assert_eq!(files(&segments), 3, "one of each kind, and another for what came when full");
        for place in places.iter().chain(&later) {
            assert_eq!(Place::read(&place.to_bytes()), Some(*place));
        }
        assert_eq!(segments.files().read(places[0]).ok(), Some(b"a".to_vec()));
        assert_eq!(segments.files().read(later[0]).ok(), Some(b"c".to_vec()));
        segments.release(&[places[0]]).expect("noted");
        assert_eq!(files(&segments), 3, "the long value is still named");
        segments.release(&[places[2], later[0]]).expect("removed");
        assert_eq!(files(&segments), 2, "a file that is written stays");
        drop(segments);

        let again = Segments::open(dir.path(), &[places[1]]).expect("opened");
        assert_eq!(files(&again), 1, "what nothing names is gone");
        assert_eq!(again.files().read(places[1]).ok(), Some(b"b".to_vec()));
        let next = again.append(&[(Keep::Long, b"d")]).expect("written");
        assert!(next[0].file > later[0].file, "a file that was written is not written again");
        std::fs::write(path(dir.path(), places[1].file), b"x").expect("damaged");
        assert!(again.files().read(places[1]).is_err());
    }

    #[test]
    fn few_of_many_files_are_open() {
        let dir = tempfile::tempdir().expect("a folder");
        let count = OPEN_FILES_MAX as u64 + 10;
        let place = |file| Place { file, at: 0, len: 1, hash: key_hash(&[file as u8]) };
        for file in 0..count {
            std::fs::write(path(dir.path(), file), [file as u8]).expect("written");
        }
        let places: Vec<Place> = (0..count).map(place).collect();
        let segments = Segments::open(dir.path(), &places).expect("opened");
        for _ in 0..2 {
            for place in &places {
                assert_eq!(segments.files().read(*place).ok(), Some(vec![place.file as u8]));
            }
        }
        assert_eq!(segments.files().opened().len(), OPEN_FILES_MAX);
        segments.release(&places[1..]).expect("removed");
        assert_eq!(segments.files().opened().len(), 0, "the first was read longest ago");
        assert!(segments.files().read(places[1]).is_err());
        assert!(segments.files().read(places[0]).is_ok());
        std::fs::remove_file(path(dir.path(), 0)).expect("removed");
        drop(segments);
        assert!(Segments::open(dir.path(), &places[..1]).is_err(), "what is named is missing");
    }
}
