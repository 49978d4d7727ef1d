//! Lines on a terminal: more than one to a statement, history, completion, errors, leaving.

use crate::ORDERS;
use crate::pty::{CTRL_C, CTRL_D, ENTER, LEFT, TAB, Terminal, UP};
use crate::server::Server;

const ONE_ROW: &str = r#"{"columns":[{"name":"n","type":"BIGINT"}],"rows":[{"n":7}],"at":[]}"#;

fn shell(server: &Server, home: &tempfile::TempDir) -> Terminal {
    let terminal = Terminal::flow(&["repl", "--server", server.url()], home.path());
    terminal.prompt();
    terminal
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is a temporary folder")
}

#[test]
fn a_statement_goes_on_until_its_semicolon() {
    let (server, home) = (Server::start(), home());
    server.answers("/v1/query", 200, ONE_ROW);
    let terminal = shell(&server, &home);
    terminal.line("SELECT n");
    terminal.shows("…");
    terminal.line("FROM v WHERE s = 'a;b';");
    let screen = terminal.shows("1 row");
    for part in ["┌───┐", "│ n │", "│ 7 │", "└───┘"] {
        assert!(screen.contains(part), "{part}\n{screen}");
    }
    terminal.prompt();
    terminal.keys(CTRL_D);
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn keys_move_and_change_and_ctrl_c_gives_up_what_was_begun() {
    let (server, home) = (Server::start(), home());
    let terminal = shell(&server, &home);
    terminal.keys("\\timing of");
    terminal.keys(LEFT);
    terminal.keys("f");
    terminal.shows("\\timing off");
    terminal.keys(ENTER);
    terminal.shows("timing is off.");
    terminal.prompt();
    terminal.keys("SELECT 'never");
    terminal.shows("never");
    terminal.keys(CTRL_C);
    terminal.prompt();
    terminal.line("\\q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn history_survives_the_shell_with_its_lines() {
    let (server, home) = (Server::start(), home());
    server.answers("/v1/query", 200, ONE_ROW);
    let terminal = shell(&server, &home);
    terminal.line("SELECT n");
    terminal.shows("…");
    terminal.line("FROM first;");
    terminal.shows("1 row");
    terminal.prompt();
    terminal.keys(CTRL_D);
    assert_eq!(terminal.exit_code(), 0);

    let terminal = shell(&server, &home);
    terminal.keys(UP);
    terminal.shows("FROM first;");
    terminal.keys(ENTER);
    terminal.shows("1 row");
    let history = home.path().join(".flow_history");
    let mode = std::fs::metadata(&history).expect("the history is there").permissions();
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o077,
        0,
        "only the owner reads it"
    );
    assert!(std::fs::read_to_string(history).expect("text").contains("FROM first;"));
}

#[test]
fn a_menu_completes_columns_of_what_the_session_declares() {
    let (server, home) = (Server::start(), home());
    let terminal = shell(&server, &home);
    terminal.line(ORDERS);
    terminal.shows("Stream orders declared.");
    terminal.prompt();
    terminal.keys("SELECT id FROM orders WHERE amo");
    terminal.shows("WHERE amo");
    terminal.keys(TAB);
    terminal.shows("WHERE amount");
    terminal.keys(CTRL_C);
    terminal.prompt();
    terminal.keys("CREATE ");
    terminal.keys(TAB);
    let screen = terminal.shows("MATERIALIZED");
    assert!(screen.contains("STREAM"), "{screen}");
}

#[test]
fn words_have_their_colours() {
    let (server, home) = (Server::start(), home());
    let terminal = shell(&server, &home);
    terminal.keys("SELECT 'text'");
    terminal.shows("'text'");
    let written = terminal.written();
    assert!(written.contains("\u{1b}[1;34mSELECT"), "{written:?}");
    assert!(written.contains("\u{1b}[32m'text'"), "{written:?}");
}

#[test]
fn a_mistake_has_its_caret_and_the_shell_goes_on() {
    let (server, home) = (Server::start(), home());
    let terminal = shell(&server, &home);
    terminal.line(ORDERS);
    terminal.shows("declared.");
    terminal.prompt();
    terminal.line("SELECT id,");
    terminal.shows("…");
    terminal.line("  amuont FROM orders;");
    let screen = terminal.shows("no column is named amuont");
    assert!(screen.contains("<stdin>:2:3"), "{screen}");
    assert!(screen.contains("is amount meant") || screen.contains("amount"), "{screen}");
    terminal.prompt();
    terminal.line("\\q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn pasted_lines_are_one_text() {
    let (server, home) = (Server::start(), home());
    server.answers("/v1/query", 200, ONE_ROW);
    let terminal = shell(&server, &home);
    terminal.keys("\u{1b}[200~SELECT n\nFROM v;\nSELECT n\nFROM w;\u{1b}[201~");
    terminal.shows("FROM w;");
    assert!(!terminal.screen().contains("1 row"), "nothing runs before Enter");
    terminal.keys(ENTER);
    terminal.until("two answers", |screen| screen.matches("1 row").count() == 2);
}
