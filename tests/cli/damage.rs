//! Files that are not as they were written: an embedded log is not used then, and nothing is begun
//! in its place; a job's local store is restored from the changelog.

use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::command::Sandbox;
use super::{clicks, counted, counting, counts};

/// The files of a folder that end so.
fn files(sandbox: &Sandbox, folder: &str, end: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(sandbox.path(folder)).expect("the folder is there");
    let all = all.map(|file| file.expect("it can be listed").path());
    let all: Vec<_> = all.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    assert!(!all.is_empty(), "{folder} has a file that ends with {end}");
    all
}

/// Writes over a part of a file.
fn damage(path: PathBuf, at: u64) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).expect("it opens");
    file.seek(SeekFrom::Start(at)).expect("a file can be sought in");
    file.write_all(b"not what was written").expect("it can be written");
}

const LOG: &str = "data/log";
const STORE: &str = "data/jobs/counts/store";

/// A log with clicks, of which the last are in no other file than RocksDB's own log.
fn filled() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.fill("clicks", 2, "page", &clicks(0..30));
    sandbox.produce("clicks", "page", &clicks(30..60));
    sandbox
}

/// Says so each time that it is asked.
fn is_refused(sandbox: &Sandbox) {
    for _ in 0..2 {
        let told = ["the embedded log in data/log is damaged", "--local"];
        sandbox.flow(&["topic", "list", "--local", "data"]).expect(4, &told);
    }
}

#[test]
fn a_log_without_its_list_of_files_is_not_begun_anew() {
    let sandbox = filled();
    let current = sandbox.path("data/log/CURRENT");
    let kept = std::fs::read(&current).expect("it is there");
    std::fs::remove_file(&current).expect("it can be removed");
    is_refused(&sandbox);
    std::fs::write(&current, kept).expect("it can be put back");
    let listed = sandbox.must(&["topic", "list", "--local", "data"]);
    assert!(listed.contains("clicks  2 partitions, 60 records"), "{listed}");
}

#[test]
fn records_of_a_log_that_cannot_be_read_are_missed() {
    let sandbox = filled();
    files(&sandbox, LOG, ".log").into_iter().for_each(|path| damage(path, 60));
    is_refused(&sandbox);
}

#[test]
fn a_record_that_a_crash_cut_off_is_none() {
    let sandbox = filled();
    for path in files(&sandbox, LOG, ".log") {
        let file = std::fs::OpenOptions::new().write(true).open(path).expect("it opens");
        let bytes = file.metadata().expect("it has a length").len();
        file.set_len(bytes.saturating_sub(3)).expect("it can be cut");
    }
    let listed = sandbox.must(&["topic", "list", "--local", "data"]);
    assert!(listed.contains("clicks  2 partitions, 30 records"), "{listed}");
}

/// Runs the job until it has read so many clicks; what it says.
fn run(sandbox: &Sandbox, clicks: i64) -> String {
    let mut job = sandbox.start(&["run", "counts.flow", "--local", "data"]);
    sandbox.wait_for_input(&mut job, "counts", &[("clicks", clicks)]);
    let ended = job.interrupt();
    ended.expect(0, &["counts stopped"]);
    ended.stderr
}

#[test]
fn a_damaged_store_is_restored_from_the_changelog() {
    type Harm = fn(&Sandbox);
    let without_manifest: Harm = |sandbox| {
        let store = std::fs::read_dir(sandbox.path(STORE)).expect("the store is there");
        let paths = store.map(|file| file.expect("it can be listed").path());
        let is_manifest = |p: &PathBuf| p.to_string_lossy().contains("MANIFEST");
        paths.filter(is_manifest).for_each(|p| std::fs::remove_file(p).expect("it goes"));
    };
    let with_other_rows: Harm =
        |sandbox| files(sandbox, STORE, ".sst").into_iter().for_each(|path| damage(path, 20));
    for harm in [without_manifest, with_other_rows] {
        let sandbox = counting();
        run(&sandbox, 50);
        // The second start reads into the store what the first run has left.
        run(&sandbox, 50);
        harm(&sandbox);
        sandbox.produce("clicks", "page", &clicks(50..80));
        let told = run(&sandbox, 80);
        assert!(told.contains("the local store is damaged and is restored"), "{told}");
        assert_eq!(counts(&sandbox), counted(0..80));
        assert!(!run(&sandbox, 80).contains("damaged"), "it was restored");
    }
}
