//! The shell behind a pipe: statements in, plain output, an exit code.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::ORDERS;
use crate::server::Server;

fn pipe(server: &Server, text: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(["repl", "--server", server.url()])
        .env_remove("FLOW_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("flow starts");
    let mut input = child.stdin.take().expect("it is a pipe");
    input.write_all(text.as_bytes()).expect("flow reads");
    drop(input);
    child.wait_with_output().expect("flow ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

#[test]
fn output_is_plain_and_the_exit_code_is_zero() {
    let server = Server::start();
    let answer = r#"{"columns":[{"name":"k","type":"STRING"},{"name":"n","type":"BIGINT"}],
        "rows":[{"k":"é","n":10},{"k":null,"n":-1}],"at":[]}"#;
    server.answers("/v1/query", 200, answer);
    let ended = pipe(&server, "SELECT k,\n n FROM v; \\format json\nSELECT k, n FROM v");
    assert_eq!(text(&ended.stderr), "");
    let table = " k    |  n\n------+----\n é    | 10\n NULL | -1\n";
    let json = "{\"k\":\"é\",\"n\":10}\n{\"k\":null,\"n\":-1}\n";
    assert_eq!(text(&ended.stdout), format!("{table}{json}"));
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn the_first_error_ends_it_with_exit_code_one() {
    let server = Server::start();
    let program = format!("{ORDERS}\n\nSELECT\n  nothing FROM orders;\nSHOW STREAMS;\n");
    let ended = pipe(&server, &program);
    assert_eq!((ended.status.code(), text(&ended.stdout)), (Some(1), String::new()));
    let errors = text(&ended.stderr);
    assert!(errors.contains("<stdin>:4:3") && errors.contains("╭"), "{errors}");

    let ended = pipe(&server, &format!("\\set on_error continue\n{program}"));
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("<stdin>:5:3"), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains(" orders | Stream\n"), "{}", text(&ended.stdout));
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let server = Server::start();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = nowhere.local_addr().expect("it is bound");
    drop(nowhere);
    let mut child = Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(["repl", "--server", &format!("http://{address}")])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("flow starts");
    let mut input = child.stdin.take().expect("it is a pipe");
    input.write_all(b"SHOW JOBS;\n").expect("flow reads");
    drop(input);
    let ended = child.wait_with_output().expect("flow ends");
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("no server answers at"), "{}", text(&ended.stderr));
    drop(server);
}

#[test]
fn an_index_by_itself_is_refused_with_the_way_to_make_one() {
    let server = Server::start();
    let ended = pipe(&server, "CREATE INDEX by_total ON totals (total);\n");
    assert_eq!(ended.status.code(), Some(1));
    let errors = text(&ended.stderr);
    assert!(errors.contains("an index is made with its view"), "{errors}");
    assert!(errors.contains("CREATE MATERIALIZED VIEW totals"), "{errors}");
}
