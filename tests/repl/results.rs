//! Results on a terminal: rows as they come, tables redrawn in place, Ctrl-C.

use crate::ORDERS;
use crate::pty::{CTRL_C, CTRL_D, Terminal};
use crate::server::Server;

const COLUMNS: &str = r#"{"columns":[{"name":"k","type":"STRING"},{"name":"n","type":"BIGINT"}]}"#;

fn shell(server: &Server) -> (Terminal, tempfile::TempDir) {
    let home = tempfile::tempdir().expect("there is a temporary folder");
    let terminal = Terminal::flow(&["repl", "--server", server.url()], home.path());
    terminal.prompt();
    (terminal, home)
}

#[test]
fn rows_of_a_stream_come_until_ctrl_c_and_the_shell_stays() {
    let server = Server::start();
    let (terminal, _home) = shell(&server);
    terminal.line(ORDERS);
    terminal.shows("declared.");
    terminal.prompt();
    terminal.line("SELECT id FROM orders;");
    let mut stream = server.stream();
    assert!(stream.body["declarations"].as_str().is_some_and(|d| d.contains("orders")));
    stream.send("columns", r#"{"columns":[{"name":"id","type":"BIGINT"}]}"#);
    stream.send("rows", r#"{"changes":[[1,{"id":41}]],"at":[]}"#);
    terminal.shows("│ 41 │");
    stream.send("rows", r#"{"changes":[[1,{"id":42}]],"at":[]}"#);
    let screen = terminal.shows("│ 42 │");
    assert!(screen.contains("│ 41 │"), "{screen}");
    terminal.keys(CTRL_C);
    terminal.shows("Stopped after 2 rows.");
    // The server sees that nobody listens.
    stream.closed();
    terminal.prompt();
    terminal.keys(CTRL_D);
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn a_changing_result_is_redrawn_in_place() {
    let server = Server::start();
    let (terminal, _home) = shell(&server);
    terminal.line("SUBSCRIBE TO totals;");
    let mut stream = server.stream();
    stream.send("columns", COLUMNS);
    let at = r#""at":[{"job":"totals","epoch":3,"offsets":[]}]"#;
    stream.send(
        "rows",
        &format!(r#"{{"changes":[[1,{{"k":"b","n":1}}],[1,{{"k":"a","n":2}}]],{at}}}"#),
    );
    let screen = terminal.shows("2 rows · epoch 3 of totals");
    let place = |screen: &str, text: &str| screen.find(text).unwrap_or(usize::MAX);
    assert!(place(&screen, "│ a │ 2 │") < place(&screen, "│ b │ 1 │"), "{screen}");
    stream.send("rows", r#"{"changes":[[-1,{"k":"a","n":2}],[1,{"k":"a","n":9}]],"at":[]}"#);
    let screen = terminal.shows("│ a │ 9 │");
    assert_eq!(screen.matches("│ k │ n │").count(), 1, "{screen}");
    assert!(!screen.contains("│ a │ 2 │") && screen.contains("│ b │ 1 │"), "{screen}");
    stream.send("rows", r#"{"changes":[[-1,{"k":"b","n":1}]],"at":[]}"#);
    let screen = terminal.shows("1 row ·");
    assert!(!screen.contains("│ b │ 1 │"), "{screen}");
    terminal.keys(CTRL_C);
    terminal.shows("Stopped after 1 row.");
    stream.closed();
    terminal.prompt();
}

#[test]
fn changes_are_shown_where_they_are_asked_for() {
    let server = Server::start();
    let (terminal, _home) = shell(&server);
    terminal.line("\\changelog on");
    terminal.shows("changelog is on.");
    terminal.prompt();
    terminal.line("SUBSCRIBE TO totals;");
    let mut stream = server.stream();
    stream.send("columns", COLUMNS);
    stream.send("rows", r#"{"changes":[[-1,{"k":"a","n":2}],[1,{"k":"a","n":9}]],"at":[]}"#);
    let screen = terminal.shows("│ + │ a │ 9 │");
    assert!(screen.contains("│ - │ a │ 2 │"), "{screen}");
    stream.send("end", r#"{"reason":"server_closes"}"#);
    terminal.shows("2 changes · server_closes");
    terminal.prompt();
}

#[test]
fn a_watched_query_is_asked_again_and_redrawn() {
    let server = Server::start();
    let (terminal, _home) = shell(&server);
    let answer = |n: u32| {
        format!(r#"{{"columns":[{{"name":"n","type":"BIGINT"}}],"rows":[{{"n":{n}}}],"at":[]}}"#)
    };
    server.answers("/v1/query", 200, &answer(11));
    terminal.line("\\watch 0.05 SELECT n FROM v;");
    terminal.shows("│ 11 │");
    server.answers("/v1/query", 200, &answer(12));
    let screen = terminal.shows("│ 12 │");
    assert!(!screen.contains("│ 11 │"), "{screen}");
    terminal.keys(CTRL_C);
    terminal.shows("Stopped.");
    terminal.prompt();
}

#[test]
fn what_the_server_says_is_wrong_is_shown_as_it_is() {
    let server = Server::start();
    let (terminal, _home) = shell(&server);
    let problem =
        r#"{"code":"mistakes","message":"m","diagnostics":"E0201 at <stdin>:1:15\n ^^^"}"#;
    server.answers("/v1/query", 400, problem);
    terminal.line("SELECT * FROM nowhere;");
    terminal.shows("E0201 at <stdin>:1:15");
    terminal.shows("^^^");
    terminal.prompt();
}

#[test]
fn wide_values_end_in_an_ellipsis_and_no_escape_reaches_the_terminal() {
    let server = Server::start();
    let (terminal, _home) = shell(&server);
    let long = "x".repeat(300);
    let answer = format!(
        r#"{{"columns":[{{"name":"a","type":"STRING"}},{{"name":"b","type":"STRING"}}],
            "rows":[{{"a":"{long}","b":"\u001b[2Jgone\n日本"}},{{"a":null,"b":""}}],"at":[]}}"#
    );
    server.answers("/v1/query", 200, &answer);
    terminal.line("SELECT * FROM v;");
    let screen = terminal.shows("2 rows");
    assert!(screen.contains("…") && screen.contains("\\u{1b}[2Jgone\\n日本"), "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 100), "{screen}");
    assert!(terminal.written().contains("\u{1b}[2;3mNULL"), "NULL stands out");
}
