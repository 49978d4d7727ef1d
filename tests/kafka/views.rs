//! A job of a server that reads the view of another one, on a real broker.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Broker;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

const KEEPER: &str = "
SET 'job.name' = 'view-keeper';
CREATE STREAM view_clicks (page STRING NOT NULL, n BIGINT)
WITH (connector = 'kafka', format = 'json');
CREATE MATERIALIZED VIEW counts AS
SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM view_clicks GROUP BY page;
CREATE MATERIALIZED VIEW quiet AS
SELECT page, COUNT(*) AS clicks FROM view_clicks GROUP BY page HAVING COUNT(*) < 12;
";

const READER: &str = "
SET 'job.name' = 'view-reader';
CREATE TABLE view_copies (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO view_copies
SELECT q.page, q.clicks, c.n FROM quiet AS q JOIN counts AS c ON q.page = c.page;
";

/// The same by `flow run`, into another topic.
const RUNNER: &str = "
CREATE TABLE view_run_copies (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO view_run_copies
SELECT q.page, q.clicks, c.n FROM quiet AS q JOIN counts AS c ON q.page = c.page;
";

/// A server; killed when a test gives it up.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(folder: &Path, servers: &str) -> Self {
        let log = folder.join("server.log");
        let arguments = ["server", "--data", "data", "--listen", "127.0.0.1:0"];
        let child = start(&arguments, folder, servers, &log);
        let mut server = Self { child, address: String::new() };
        server.address = until("the server listens", || {
            let told = std::fs::read_to_string(&log).expect("a log");
            let (_, rest) = told.split_once("listens on ")?;
            Some(rest.split_once('\n')?.0.to_string())
        });
        server
    }
}

/// Starts a command that finds the brokers in its environment.
fn start(arguments: &[&str], folder: &Path, servers: &str, log: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(arguments)
        .current_dir(folder)
        .env("KAFKA_BOOTSTRAP_SERVERS", servers)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log).expect("a log"))
        .spawn()
        .expect("the command can be run")
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "it never comes to it that {what}");
    }
}

fn clicks(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| format!("{{\"page\":\"p{}\",\"n\":{n}}}\n", n % 3)).collect()
}

/// What the reader makes of these clicks.
fn copies(clicks: u32) -> Vec<String> {
    let of = |page: u32| (0..clicks).filter(move |n| n % 3 == page);
    let copy = |page: u32| {
        let (clicks, n) = (of(page).count(), of(page).sum::<u32>());
        (clicks < 12).then(|| format!("{{\"page\":\"p{page}\",\"clicks\":{clicks},\"n\":{n}}}"))
    };
    (0..3).filter_map(copy).collect()
}

#[test]
fn a_view_is_read_by_another_job_through_a_kill() {
    let broker = Broker::shared();
    let dir = tempfile::tempdir().expect("a folder");
    let (folder, servers) = (dir.path(), broker.bootstrap());
    std::fs::write(folder.join("keeper.flow"), KEEPER).expect("written");
    std::fs::write(folder.join("reader.flow"), READER).expect("written");
    let topic = |arguments: &[&str], input: &str| {
        let at = ["--bootstrap", servers.as_str()];
        super::job::done(&[&["topic"], arguments, &at].concat(), folder, input)
    };
    let wait_for_copies_in = |copied: &str, clicks: u32| {
        let expected = copies(clicks);
        until(&format!("the copies are {expected:?}"), || {
            let shown = topic(&["consume", copied, "--keys"], "");
            let records = shown.lines().filter_map(|line| line.split_once('\t'));
            let mut last: BTreeMap<&str, &str> = records.collect();
            last.retain(|_, value| *value != "null");
            (last.into_values().collect::<Vec<_>>() == expected).then_some(())
        });
    };
    let wait_for_copies = |clicks: u32| wait_for_copies_in("view_copies", clicks);
    topic(&["create", "view_clicks", "--partitions", "2"], "");
    topic(&["create", "view_copies"], "");
    topic(&["create", "view_run_copies"], "");
    topic(&["produce", "view_clicks", "--key", "page"], &clicks(0..30));
    let server = Server::start(folder, &servers);
    for program in ["keeper.flow", "reader.flow"] {
        super::job::done(&["submit", program, "--server", &server.address], folder, "");
    }
    wait_for_copies(30);
    topic(&["produce", "view_clicks", "--key", "page"], &clicks(30..32));
    wait_for_copies(32);
    // A job that the server does not know reads the same state on the same cluster.
    std::fs::write(folder.join("view-runner.flow"), RUNNER).expect("written");
    let run = ["run", "view-runner.flow", "--server", &server.address];
    let mut runner = start(&run, folder, &servers, &folder.join("runner.log"));
    wait_for_copies_in("view_run_copies", 32);
    runner.kill().expect("it runs");
    runner.wait().expect("it ends");
    drop(server);
    // Two of three pages leave the view while nobody looks.
    topic(&["produce", "view_clicks", "--key", "page"], &clicks(32..35));
    let _server = Server::start(folder, &servers);
    wait_for_copies(35);
}
