//! Where jobs begin to read and where they end, by offsets: named ones and those of another job's
//! group.

use crate::command::Sandbox;

/// Numbers from 0 on, one an offset up to 10, and a job that copies those that its stream has.
struct Job<'a> {
    sandbox: &'a Sandbox,
    name: &'static str,
}

impl Job<'_> {
    fn program(&self, options: &[(&str, &str)]) {
        let name = self.name;
        let options = options.iter().map(|(option, value)| format!(", '{option}' = '{value}'"));
        let program = format!(
            "SET 'job.name' = '{name}';\n\
             CREATE STREAM numbers (n BIGINT) WITH (connector = 'kafka', format = 'json'{});\n\
             CREATE STREAM {name} WITH (connector = 'kafka', format = 'json');\n\
             INSERT INTO {name} SELECT n FROM numbers;\n",
            options.collect::<String>()
        );
        self.sandbox.write("modes.flow", program);
    }

    fn run(&self) -> Vec<&'static str> {
        [&["run", "modes.flow"], self.sandbox.place()].concat()
    }

    /// Asserts that the job copies these numbers and ends.
    fn copies(&self, options: &[(&str, &str)], numbers: std::ops::Range<u32>) {
        self.program(options);
        self.sandbox.must(&self.run());
        self.has_copied(numbers);
    }

    fn has_copied(&self, numbers: std::ops::Range<u32>) {
        let mut copied = self.sandbox.all(self.name);
        copied.sort_by_key(|line| (line.len(), line.clone()));
        assert_eq!(copied, numbers.map(line).collect::<Vec<_>>(), "{}", self.name);
    }
}

fn line(n: u32) -> String {
    format!("{{\"n\":{n}}}")
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| line(n) + "\n").collect()
}

/// Runs jobs that begin and end at offsets.
pub(crate) fn are_kept_to(sandbox: &Sandbox) {
    let job = |name| Job { sandbox, name };
    sandbox.fill("numbers", 1, "n", &lines(0..10));
    let (begins, ends) = ("scan.startup.mode", "scan.bounded.mode");
    let by_group = "group-offsets";
    let group = ("properties.group.id", "flow-first_numbers");
    let until = ("scan.bounded.specific-offsets", "partition:0,offset:4");
    job("first_numbers").copies(&[(ends, "specific-offsets"), until], 0..4);
    let rest = [(begins, by_group), group, (ends, "latest-offset")];
    job("last_numbers").copies(&rest, 4..10);
    let from = ("scan.startup.specific-offsets", "partition:0,offset:2");
    let middle = [(begins, "specific-offsets"), from, (ends, by_group), group];
    job("middle_numbers").copies(&middle, 2..4);
    let year_3000 = ("scan.bounded.timestamp-millis", "32503680000000");
    job("past_numbers").copies(&[(ends, "timestamp"), year_3000], 0..10);

    let job = job("later_numbers");
    job.program(&[(begins, by_group), ("properties.group.id", "nobody")]);
    let told = ["stream numbers: group nobody has no offset for partition 0 of topic numbers"];
    sandbox.flow(&job.run()).expect(4, &told);
    // A mode counts at the first start; the second goes on.
    let from = ("scan.startup.specific-offsets", "partition:0,offset:8");
    job.program(&[(begins, "specific-offsets"), from]);
    let until = |end| {
        let mut running = sandbox.start(&job.run());
        sandbox.wait_for_input(&mut running, job.name, &[("numbers", end)]);
        running.interrupt().expect(0, &["stopped"]);
    };
    until(10);
    sandbox.produce("numbers", "n", &lines(10..12));
    until(12);
    job.has_copied(8..12);
}
