//! A job whose disk is full: files may not grow beyond a limit that its process is given, which
//! needs no rights. The job stops and says so; on a disk with room it goes on, and nothing is lost
//! or there twice.

use crate::command::{Ended, Sandbox, canonical};

/// Pages, each with one click.
const PAGES: u32 = 20_000;

/// `${COUNTED}` says what is counted, and so how much is kept of a page.
const PROGRAM: &str = "
CREATE STREAM clicks (page STRING, n BIGINT)
WITH (connector = 'kafka', topic = '${TOPIC}-clicks', format = 'json',
      'scan.bounded.mode' = 'latest-offset');
CREATE TABLE counts (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', topic = '${TOPIC}-counts', format = 'json', 'key.format' = 'json');
INSERT INTO counts SELECT page, COUNT(${COUNTED}) AS clicks, SUM(n) AS n FROM clicks GROUP BY page;
";

/// A job on a sandbox's log.
pub(crate) struct Job<'a> {
    pub(crate) sandbox: &'a Sandbox,
    /// Of the job, and its topics begin with it.
    pub(crate) name: &'a str,
    pub(crate) counted: &'a str,
    /// Of `flow run`.
    pub(crate) options: &'a [&'a str],
}

impl Job<'_> {
    fn arguments(&self) -> Vec<&str> {
        let always = ["run", "full.flow", "--name", self.name, "--state-dir", "state"];
        [&always[..], self.options, self.sandbox.place()].concat()
    }

    /// Makes it and its input.
    pub(crate) fn make(&self) {
        let program = PROGRAM.replace("${TOPIC}", self.name).replace("${COUNTED}", self.counted);
        self.sandbox.write("full.flow", program);
        let click = |n| format!("{{\"page\":\"page-{n}\",\"n\":{n}}}\n");
        let clicks: String = (0..PAGES).map(click).collect();
        self.sandbox.fill(&format!("{}-clicks", self.name), 2, "page", &clicks);
    }

    /// Runs it with files of `kibibytes` at most.
    pub(crate) fn run_with_files_of(&self, kibibytes: u32) -> Ended {
        self.sandbox.flow_with_files_of(kibibytes, &self.arguments())
    }

    /// Runs it without a limit.
    pub(crate) fn run(&self) -> Ended {
        self.sandbox.flow(&self.arguments())
    }

    /// All of its output is there, once.
    pub(crate) fn is_whole(&self) {
        let counted = |n| canonical(&format!("{{\"page\":\"page-{n}\",\"clicks\":1,\"n\":{n}}}"));
        let mut expected: Vec<String> = (0..PAGES).map(counted).collect();
        expected.sort();
        assert_eq!(self.sandbox.all(&format!("{}-counts", self.name)), expected);
    }

    /// Runs the job with files of `kibibytes` at most, then without a limit. `told` is what the
    /// first run says.
    pub(crate) fn is_stopped_and_goes_on(&self, kibibytes: u32, told: &str) {
        self.make();
        let full = self.run_with_files_of(kibibytes);
        full.expect(4, &[told, "full"]);
        assert!(!full.stderr.contains('\u{1b}'), "colours are for terminals: {}", full.stderr);
        self.run().expect(0, &[self.name, "finished"]);
        self.is_whole();
    }
}
