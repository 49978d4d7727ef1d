//! The shell with a server of its own: streams written, read and counted on the embedded log.

use crate::pty::{CTRL_C, CTRL_D, Terminal};

const ORDERS: &str = "CREATE STREAM orders (id BIGINT, city STRING, amount DOUBLE) \
                      WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json');";

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is a temporary folder")
}

#[test]
fn a_first_session_needs_nothing_but_the_binary() {
    let home = home();
    let terminal = Terminal::flow(&["repl"], home.path());
    terminal.shows("on a temporary folder");
    terminal.prompt();
    terminal.line(ORDERS);
    terminal.shows("Stream orders declared.");
    terminal.prompt();
    terminal.line("INSERT INTO orders VALUES (1, 'Oslo', 2.5), (2, 'Bern', 4), (3, 'Oslo', 1);");
    terminal.shows("3 rows inserted.");
    terminal.prompt();
    terminal.line("SELECT city, amount FROM orders LIMIT 3;");
    terminal.shows("│ Bern │");
    terminal.shows("3 rows");
    terminal.prompt();
    terminal.line(
        "CREATE MATERIALIZED VIEW totals AS SELECT city, SUM(amount) AS total FROM orders \
         GROUP BY city;",
    );
    terminal.shows("Job totals runs the materialized view.");
    terminal.prompt();
    terminal.line("SUBSCRIBE TO totals;");
    terminal.shows("│ Oslo │   3.5 │");
    terminal.keys(CTRL_C);
    terminal.shows("Stopped after 2 rows.");
    terminal.prompt();
    terminal.line("SELECT total FROM totals WHERE town = 'Oslo';");
    terminal.shows("<stdin>:1:32");
    terminal.prompt();
    terminal.line("SHOW JOBS;");
    terminal.shows("│ totals │ running │");
    terminal.prompt();
    terminal.line("DROP MATERIALIZED VIEW totals;");
    terminal.shows("Job totals dropped.");
    terminal.prompt();
    terminal.keys(CTRL_D);
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn what_a_folder_holds_is_there_in_the_next_session() {
    let home = home();
    let terminal = Terminal::flow(&["repl", "--local", "data"], home.path());
    terminal.prompt();
    terminal.line(ORDERS);
    terminal.shows("declared.");
    terminal.prompt();
    terminal.line("INSERT INTO orders (id, city) VALUES (7, 'Rome');");
    terminal.shows("1 row inserted.");
    terminal.prompt();
    terminal.line(
        "CREATE MATERIALIZED VIEW cities AS SELECT city, COUNT(*) AS n FROM orders GROUP BY city;",
    );
    terminal.shows("Job cities runs");
    terminal.prompt();
    terminal.keys(CTRL_D);
    assert_eq!(terminal.exit_code(), 0);

    let terminal = Terminal::flow(&["repl", "--local", "data"], home.path());
    terminal.prompt();
    terminal.line("SUBSCRIBE TO cities;");
    terminal.shows("│ Rome │ 1 │");
    terminal.keys(CTRL_C);
    terminal.shows("Stopped after");
    terminal.prompt();
    terminal.line("PRINT 'orders' FROM BEGINNING LIMIT 1;");
    terminal.shows("\"city\":\"Rome\"");
    terminal.prompt();
    terminal.line("DESCRIBE cities;");
    terminal.shows("BIGINT");
    terminal.prompt();
    terminal.keys(CTRL_D);
    assert_eq!(terminal.exit_code(), 0);
}
