//! A disk that is really full, in a file system of a few megabytes that only this process sees.

use std::process::Command;

use super::command::{Sandbox, canonical};
use super::{COUNTS, bounded};

/// Pages, each with one click.
const PAGES: u32 = 20_000;

/// Runs the job on a disk that is too small, then on one that has grown.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=8m tmpfs disk 2>/dev/null || exit 99
set -e
"$FLOW" topic create clicks --partitions 2 --local disk/data >/dev/null
"$FLOW" topic produce clicks in.jsonl --key page --local disk/data >/dev/null
code=0
"$FLOW" run bounded.flow --local disk/data -D epoch.max.records=100 2>full || code=$?
echo "$code" >code
mount -o remount,size=300m disk
"$FLOW" run bounded.flow --local disk/data -D epoch.max.records=100 2>grown
"$FLOW" topic consume counts --local disk/data >counts
"#;

#[test]
fn a_full_disk_stops_the_job_and_nothing_is_lost_or_twice() {
    let sandbox = Sandbox::new();
    sandbox.write("bounded.flow", bounded(COUNTS));
    let click = |n| format!("{{\"page\":\"page-{n}\",\"n\":{n}}}\n");
    sandbox.write("in.jsonl", (0..PAGES).map(click).collect::<String>());
    std::fs::create_dir(sandbox.path("disk")).expect("the folder can be made");
    let ran = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT])
        .env("FLOW", env!("CARGO_BIN_EXE_flow"))
        .current_dir(sandbox.path("."))
        .output();
    let allowed =
        ran.as_ref().is_ok_and(|ran| sandbox.path("code").exists() || ran.status.success());
    if !allowed {
        // A container may forbid file systems of one's own.
        eprintln!("not tested: no file system of one's own can be mounted here: {ran:?}");
        return;
    }
    let ran = ran.expect("it ran");
    assert!(ran.status.success(), "{ran:?}");
    let full = sandbox.read("full");
    assert_eq!(sandbox.read("code"), "4\n", "{full}");
    assert!(
        full.contains("No space left on device") && full.contains("The disk is full"),
        "{full}"
    );
    assert!(!full.contains('\u{1b}'), "colours are for terminals: {full}");
    assert!(sandbox.read("grown").contains("bounded finished"));
    let mut counts: Vec<String> = sandbox.read("counts").lines().map(canonical).collect();
    counts.sort();
    let counted = |n| canonical(&format!("{{\"page\":\"page-{n}\",\"clicks\":1,\"n\":{n}}}"));
    let mut expected: Vec<String> = (0..PAGES).map(counted).collect();
    expected.sort();
    assert_eq!(counts, expected);
}
