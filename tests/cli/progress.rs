//! `flow run` on a terminal: progress that is redrawn in place, with rows above it.

use super::command::Sandbox;
use super::terminal::{CTRL_C, Terminal};

/// Shows the readings of each second when it is over.
const READINGS: &str = "
CREATE STREAM readings (k STRING, n BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at)
WITH (connector = 'kafka', format = 'json');
CREATE STREAM shown WITH (connector = 'print');
INSERT INTO shown SELECT window_start, COUNT(*) AS n
FROM TUMBLE(readings, at, INTERVAL '1' SECOND) GROUP BY window_start, window_end;
";

/// Readings a second apart, one a line.
fn readings(numbers: std::ops::Range<u32>) -> String {
    let line = |n| format!("{{\"k\":\"a\",\"n\":{n},\"at\":\"2026-01-01T00:00:{n:02}\"}}\n");
    numbers.map(line).collect()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("readings.flow", READINGS);
    sandbox.fill("readings", 1, "k", &readings(0..3));
    sandbox
}

#[test]
fn progress_is_redrawn_in_place_below_the_rows() {
    let sandbox = sandbox();
    let run = ["run", "readings.flow", "--local", "data"];
    let terminal = Terminal::flow(&run, &sandbox.path(""));
    let screen = terminal.until("progress", |s| s.contains("in         3 "));
    assert!(screen.contains("readings  running for "), "{screen}");
    for row in ["lag ", "watermark  2026-01-01 00:00:02Z (readings-0)", "state ", "epochs "] {
        assert!(screen.contains(row), "{row}: {screen}");
    }

    sandbox.produce("readings", "k", &readings(3..5));
    let screen = terminal
        .until("further progress", |s| s.contains("in         5 ") && s.contains("out        4 "));
    assert_eq!(screen.matches("running for").count(), 1, "drawn over the last one: {screen}");
    let rows: Vec<&str> = screen.lines().filter(|line| line.starts_with("shown> ")).collect();
    assert_eq!(rows.len(), 4, "{screen}");
    let place = |text: &str| screen.find(text).unwrap_or_else(|| panic!("{text}: {screen}"));
    assert!(place(rows[3]) < place("running for"), "{screen}");
    assert!(terminal.written().matches("running for").count() >= 2);

    terminal.keys(CTRL_C);
    let screen = terminal.shows("readings stopped after ");
    assert!(!screen.contains("running for"), "it is taken away: {screen}");
    assert_eq!(screen.matches("shown> ").count(), 4, "{screen}");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn a_pipe_gets_a_line_a_second_and_no_escapes() {
    let sandbox = sandbox();
    let mut job = sandbox.start(&["run", "readings.flow", "--local", "data"]);
    job.wait_until_told("  in 3  out 2  ");
    let ended = job.interrupt();
    ended.expect(0, &["watermark 2026-01-01", "readings stopped after "]);
    assert!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
    assert_eq!(ended.stdout.matches("shown> ").count(), 2, "{ended:?}");
}

#[test]
fn nothing_is_drawn_over_what_somebody_types() {
    let sandbox = Sandbox::new();
    let typed = "
CREATE STREAM typed (n BIGINT) WITH (connector = 'file', path = '-', format = 'json');
CREATE STREAM shown WITH (connector = 'print');
INSERT INTO shown SELECT n FROM typed;";
    sandbox.write("typed.flow", typed);
    let terminal = Terminal::flow(&["run", "typed.flow"], &sandbox.path(""));
    let screen = terminal.shows("s  in 0  out 0  ");
    assert!(!screen.contains("running for"), "{screen}");
}
