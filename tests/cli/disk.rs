//! A disk that is really full, in a file system of a few megabytes that only this process sees.

use std::process::Command;

use super::command::{Sandbox, canonical};
use super::{COUNTS, bounded};

/// Pages, each with one click.
const PAGES: u32 = 20_000;

/// Runs the job on a disk of SIZE, which is too small, then on one that has grown.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=$SIZE tmpfs disk 2>/dev/null || exit 99
set -e
"$FLOW" topic create clicks --partitions 2 --local $LOG >/dev/null
"$FLOW" topic produce clicks in.jsonl --key page --local $LOG >/dev/null
run() { "$FLOW" run bounded.flow --local $LOG --state-dir $STATE -D epoch.max.records=100; }
code=0
run 2>full || code=$?
echo "$code" >code
mount -o remount,size=300m disk
run 2>grown
"$FLOW" topic consume counts --local $LOG >counts
"#;

#[test]
fn a_full_disk_under_the_log_stops_the_job_and_nothing_is_lost_or_twice() {
    fill_the_disk("8m", "disk/data", "state");
}

/// The log takes the epoch, the local store does not.
#[test]
fn a_full_disk_under_the_local_store_stops_the_job_and_nothing_is_lost_or_twice() {
    fill_the_disk("1m", "data", "disk/state");
}

fn fill_the_disk(size: &str, log: &str, state: &str) {
    let sandbox = Sandbox::new();
    sandbox.write("bounded.flow", bounded(COUNTS));
    let click = |n| format!("{{\"page\":\"page-{n}\",\"n\":{n}}}\n");
    sandbox.write("in.jsonl", (0..PAGES).map(click).collect::<String>());
    std::fs::create_dir(sandbox.path("disk")).expect("the folder can be made");
    let ran = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT])
        .env("FLOW", env!("CARGO_BIN_EXE_flow"))
        .envs([("SIZE", size), ("LOG", log), ("STATE", state)])
        .current_dir(sandbox.path("."))
        .output();
    let forbidden = ran.as_ref().map_or(true, |ran| {
        let told = String::from_utf8_lossy(&ran.stderr);
        ran.status.code() == Some(99) || told.contains("unshare:")
    });
    if forbidden {
        // A container may forbid file systems of one's own.
        eprintln!("not tested: no file system of one's own can be mounted here: {ran:?}");
        return;
    }
    let ran = ran.expect("it ran");
    assert!(ran.status.success(), "{ran:?}");
    let full = sandbox.read("full");
    assert_eq!(sandbox.read("code"), "4\n", "{full}");
    let told = full.contains("No space left on device") || full.contains("is full");
    assert!(told, "{full}");
    assert!(!full.contains('\u{1b}'), "colours are for terminals: {full}");
    assert!(sandbox.read("grown").contains("bounded finished"));
    let mut counts: Vec<String> = sandbox.read("counts").lines().map(canonical).collect();
    counts.sort();
    let counted = |n| canonical(&format!("{{\"page\":\"page-{n}\",\"clicks\":1,\"n\":{n}}}"));
    let mut expected: Vec<String> = (0..PAGES).map(counted).collect();
    expected.sort();
    assert_eq!(counts, expected);
}
