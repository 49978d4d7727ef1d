//! A job whose disk is full: files may not grow beyond a limit that its process is given, which
//! needs no rights. The job stops and says so; on a disk with room it goes on, and nothing is lost
//! or there twice.

use crate::command::{Sandbox, canonical};

/// Pages, each with one click.
const PAGES: u32 = 20_000;

const PROGRAM: &str = "
CREATE STREAM clicks (page STRING, n BIGINT)
WITH (connector = 'kafka', topic = 'full-clicks', format = 'json',
      'scan.bounded.mode' = 'latest-offset');
CREATE TABLE counts (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', topic = 'full-counts', format = 'json', 'key.format' = 'json');
INSERT INTO counts SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM clicks GROUP BY page;
";

/// Runs the job with files of `kibibytes` at most, then without a limit. `told` is what the first
/// run says.
pub(crate) fn is_survived(sandbox: &Sandbox, kibibytes: u32, told: &str) {
    sandbox.write("full.flow", PROGRAM);
    let click = |n| format!("{{\"page\":\"page-{n}\",\"n\":{n}}}\n");
    sandbox.fill("full-clicks", 2, "page", &(0..PAGES).map(click).collect::<String>());
    let small_epochs = ["-D", "epoch.max.records=100", "--state-dir", "state"];
    let run = [&["run", "full.flow"], &small_epochs[..], sandbox.place()].concat();
    let full = sandbox.flow_with_files_of(kibibytes, &run);
    full.expect(4, &[told, "full"]);
    assert!(!full.stderr.contains('\u{1b}'), "colours are for terminals: {}", full.stderr);
    sandbox.flow(&run).expect(0, &["full finished"]);
    let counted = |n| canonical(&format!("{{\"page\":\"page-{n}\",\"clicks\":1,\"n\":{n}}}"));
    let mut expected: Vec<String> = (0..PAGES).map(counted).collect();
    expected.sort();
    assert_eq!(sandbox.all("full-counts"), expected);
}
