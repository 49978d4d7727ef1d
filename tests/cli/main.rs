//! The command line through the real binary: exit codes, messages, files, and what a user does in
//! a second terminal. Exit codes: 0 done, 1 mistakes, 2 usage, 3 fenced, 4 failures.

#[path = "../support/command.rs"]
mod command;
#[path = "../support/full_disk.rs"]
mod full_disk;
#[path = "../support/growing.rs"]
mod growing;
#[path = "../support/start_modes.rs"]
mod start_modes;
#[path = "../support/terminal.rs"]
mod terminal;

mod bad_input;
mod damage;
mod deployment;
mod disk;
mod files;
mod formats;
mod forms;
mod idle;
mod modes;
mod partitions;
mod programs;
mod progress;
mod runs;
mod topics;

use command::Sandbox;

/// Counts per key: state that lives on, and a sink whose last record of a key is the answer.
const COUNTS: &str = "
CREATE STREAM clicks (page STRING, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE TABLE counts (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO counts SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM clicks GROUP BY page;
";

/// The same over what is there when it starts.
fn bounded(program: &str) -> String {
    program.replace(
        "format = 'json');\nCREATE TABLE",
        "format = 'json', 'scan.bounded.mode' = 'latest-offset');\nCREATE TABLE",
    )
}

/// A sandbox with `counts.flow` and clicks.
fn counting() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("counts.flow", COUNTS);
    sandbox.write("bounded.flow", bounded(COUNTS));
    sandbox.fill("clicks", 2, "page", &clicks(0..50));
    sandbox
}

/// Clicks on three pages, one a line.
fn clicks(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| format!("{{\"page\":\"p{}\",\"n\":{n}}}\n", n % 3)).collect()
}

/// What `counts` holds after these clicks.
fn counted(numbers: std::ops::Range<u32>) -> Vec<String> {
    let of = |page: u32| {
        let all: Vec<u32> = numbers.clone().filter(|n| n % 3 == page).collect();
        let (clicks, n) = (all.len(), all.iter().sum::<u32>());
        command::canonical(&format!("{{\"page\":\"p{page}\",\"clicks\":{clicks},\"n\":{n}}}"))
    };
    (0..3).map(of).collect()
}

/// What `counts` holds.
fn counts(sandbox: &Sandbox) -> Vec<String> {
    sandbox.last_of_each_key("counts").into_values().collect()
}
