//! Records that retention takes: read ones, which a rebuild would miss, and ones not read yet.

use crate::command::Sandbox;
use crate::support::Broker;

const PROGRAM: &str = "
CREATE STREAM lost (n BIGINT) WITH (connector = 'kafka', format = 'json' OPTION);
CREATE STREAM found WITH (connector = 'kafka', format = 'json');
INSERT INTO found SELECT n FROM lost;
";

/// A job on a topic that loses records.
struct Job<'a> {
    broker: &'a Broker,
    sandbox: Sandbox,
}

impl Job<'_> {
    fn program(&self, option: &str) {
        self.sandbox.write("lost.flow", PROGRAM.replace(" OPTION", option));
    }

    /// Writes one record a number; a marker follows them.
    fn produce(&self, numbers: std::ops::Range<u32>) {
        let lines: String = numbers.map(|n| format!("{{\"n\":{n}}}\n")).collect();
        self.sandbox.produce("lost", "n", &lines);
    }

    /// Deletes what stands before an offset.
    fn delete_until(&self, offset: u32) {
        let json = format!(
            r#"{{"partitions":[{{"topic":"lost","partition":0,"offset":{offset}}}],"version":1}}"#
        );
        self.sandbox.write("delete.json", json);
        let path = self.sandbox.path("delete.json").display().to_string();
        let tool = "org.apache.kafka.tools.DeleteRecordsCommand";
        self.broker.tool(tool, &["--offset-json-file", &path]);
    }

    /// Runs until everything up to this offset is committed; what it told.
    fn run_until(&self, offset: i64, name: &str, more: &[&str]) -> String {
        let run = ["run", "lost.flow", "--name", name];
        let mut job = self.sandbox.start(&[&run, more].concat());
        self.sandbox.wait_for_input(&mut job, name, &[("lost", offset)]);
        let ended = job.interrupt();
        ended.expect(0, &["stopped"]);
        ended.stderr
    }

    fn found(&self) -> Vec<u32> {
        let number = |line: String| {
            line.trim_start_matches("{\"n\":").trim_end_matches('}').parse().expect("a number")
        };
        let mut found: Vec<u32> = self.sandbox.all("found").into_iter().map(number).collect();
        found.sort_unstable();
        found
    }
}

#[test]
fn records_that_retention_takes_are_never_passed_over_in_silence() {
    let broker = Broker::shared();
    let job = Job { broker: &broker, sandbox: Sandbox::on_kafka(&broker.bootstrap()) };
    job.program("");
    job.sandbox.fill("lost", 1, "n", "");
    job.produce(0..6);
    let told = job.run_until(6, "lost", &[]);
    assert!(!told.contains("WARN"), "nothing is lost: {told}");

    // 0 to 2 are gone; the job goes on after 5 and the marker, and a rebuild would differ.
    job.delete_until(3);
    job.produce(6..10);
    let told = job.run_until(11, "lost", &[]);
    assert!(told.contains("lost-0 was read from 0 on and begins at 3 now"), "{told}");
    assert_eq!(job.found(), (0..10).collect::<Vec<_>>());

    // Of 10 to 13, which are not read yet, the first two are gone: offsets 12 and 13.
    job.produce(10..14);
    job.delete_until(14);
    let refused = job.sandbox.flow(&["run", "lost.flow"]);
    let told = ["lost-0 is read up to 1", "begins at 14 now", "--fresh", "'scan.lost-records'"];
    refused.expect(4, &told);
    assert_eq!(job.found(), (0..10).collect::<Vec<_>>(), "nothing is passed over");

    job.program(", 'scan.lost-records' = 'skip'");
    let told = job.run_until(16, "lost", &[]);
    assert!(told.contains("not read yet are gone and left out: lost-0"), "{told}");
    let left: Vec<u32> = (0..10).chain(12..14).collect();
    assert_eq!(job.found(), left);

    let mut anew = job.sandbox.start(&["run", "lost.flow", "--name", "lost", "--fresh", "--yes"]);
    anew.wait_until_told("lost-0 was read from 0 on and begins at 14 now");
    anew.interrupt().expect(0, &["lost stopped"]);
    let told = job.run_until(16, "another", &[]);
    assert!(told.contains("lost-0 begins at 14"), "a first start: {told}");
}
