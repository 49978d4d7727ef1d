//! `flow submit` and `flow jobs`, as a user types them.

use super::{COPY, COUNTS, Sandbox, Server, clicks, until};

impl Server {
    /// A command that asks this server.
    fn flow(&self, arguments: &[&str]) -> super::command::Ended {
        self.sandbox.start_with(arguments, &[("FLOW_SERVER", &self.address)]).end()
    }
}

#[test]
fn a_program_is_submitted_changed_and_controlled() {
    let server = Server::with_clicks(0..9);
    server.sandbox.write("counts.flow", COUNTS);
    let made = server.flow(&["submit", "counts.flow"]);
    made.expect(0, &[]);
    assert!(made.stdout.contains("counts is new on http://"), "{}", made.stdout);
    assert!(made.stdout.contains("GroupAggregate"), "{}", made.stdout);
    assert!(made.stdout.ends_with("counts: submitted\n"), "{}", made.stdout);
    server.wait_for_counts(0..9);

    let again = server.flow(&["submit", "counts.flow"]);
    again.expect(0, &["goes on with its state"]);
    assert!(again.stdout.ends_with("version 1 is this program already\n"), "{}", again.stdout);

    server.sandbox.write("counts.flow", COUNTS.replace("COUNT(*) AS clicks", "MAX(n) AS clicks"));
    // Nobody answers the question.
    let asked = server.flow(&["submit", "counts.flow"]);
    asked.expect(2, &["loses its state", "Forget the state of counts", "nothing was changed"]);
    server.flow(&["submit", "counts.flow", "--yes"]).expect(2, &["agree with --fresh"]);
    let fresh = server.flow(&["submit", "counts.flow", "--fresh", "--yes"]);
    fresh.expect(0, &["loses its state"]);
    assert!(fresh.stdout.ends_with("counts: version 2 takes over\n"), "{}", fresh.stdout);

    let paused = server.flow(&["jobs", "pause", "counts"]);
    assert_eq!(paused.stdout, "counts: paused\n");
    assert_eq!(server.flow(&["jobs", "resume", "counts"]).stdout, "counts: running\n");
    let plan = server.flow(&["jobs", "plan", "counts"]);
    assert!(plan.stdout.contains("GroupAggregate"));
    assert_eq!(server.flow(&["jobs", "stop", "counts"]).stdout, "counts: stopped\n");
    server.flow(&["jobs", "drop", "counts"]).expect(2, &["nothing was changed"]);
    assert_eq!(server.flow(&["jobs", "drop", "counts", "--yes"]).stdout, "counts: dropped\n");
    server.flow(&["jobs", "show", "counts"]).expect(2, &["there is no job counts"]);
}

#[test]
fn jobs_are_listed_for_people_and_for_programs() {
    let server = Server::with_clicks(0..6);
    server.submit("", COPY).expect(201);
    server.wait_for("copy", "at the end", |job| {
        job["state"] == "running" && job["metrics"]["records_out"] == 6
    });
    let table = server.flow(&["jobs", "list"]).stdout;
    let mut lines = table.lines();
    assert!(lines.next().is_some_and(|head| head.starts_with("name  state")), "{table}");
    assert!(
        lines.next().is_some_and(|job| job.starts_with("copy  running  1        6")),
        "{table}"
    );
    let json = server.flow(&["jobs", "list", "--format", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json[0]["name"], &json[0]["metrics"]["records_in"]), (&"copy".into(), &6.into()));
    let csv = server.flow(&["jobs", "list", "--format", "csv"]).stdout;
    assert!(csv.starts_with("name,state,version,in,"), "{csv}");
    assert!(csv.contains("\ncopy,running,1,6,"), "{csv}");
    let shown = server.flow(&["jobs", "show", "copy"]).stdout;
    assert!(shown.contains("copy: running, version 1"), "{shown}");
    let operators = shown.split_once("  operators\n").expect("its operators").1;
    assert!(operators.lines().count() == 3 && operators.contains(" source-clicks "), "{shown}");
    let top = server.flow(&["jobs", "top", "--looks", "2"]).stdout;
    assert!(top.contains("copy") && !top.contains('\u{1b}'), "{top:?}");
    let [head, first, again, second] = top.lines().collect::<Vec<_>>()[..] else {
        panic!("two looks at one job: {top}")
    };
    assert!(head == again && head.contains("in/s  out  out/s  lag  busy"), "{top}");
    // Nothing comes any more; at the first look no rate is known.
    assert!(!first.contains('%') && second.contains(" 0  "), "{top}");
    let top = server.flow(&["jobs", "top", "copy", "--looks", "1"]).stdout;
    assert!(top.contains("source-clicks") && top.contains("sink-copies"), "{top}");
    let plan = server.flow(&["jobs", "plan", "copy", "--analyze"]).stdout;
    assert!(plan.contains("\n     6 records in, 6 out, "), "{plan}");
    let asked = "EXPLAIN ANALYZE JOB copy";
    let by_query = server.flow(&["query", asked]).stdout;
    assert!(by_query.contains("\n     6 records in, 6 out, "), "{by_query}");
    let json = server.flow(&["query", asked, "--format", "json"]).stdout;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["operator"], &first["rows_in"]), (&"source-clicks".into(), &6.into()));
}

#[test]
fn logs_are_shown_and_followed() {
    let server = Server::with_clicks(0..3);
    server.sandbox.write(
        "shown.flow",
        "
CREATE STREAM clicks (page STRING, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE STREAM shown WITH (connector = 'print');
INSERT INTO shown SELECT n FROM clicks;",
    );
    server.flow(&["submit", "shown.flow", "--parallelism", "2"]).expect(0, &[]);
    server.wait_for_input("shown", 3);
    let lines = until("rows are shown", || {
        let lines = server.flow(&["jobs", "logs", "shown"]).stdout;
        (lines.matches("PRINT").count() == 3 && lines.contains("running")).then_some(lines)
    });
    assert!(lines.contains("INFO  running"), "{lines}");
    let following = server
        .sandbox
        .start_with(&["jobs", "logs", "shown", "--follow"], &[("FLOW_SERVER", &server.address)]);
    server.sandbox.produce("clicks", "page", &clicks(3..5));
    until("two more rows are shown", || {
        let lines = server.flow(&["jobs", "logs", "shown"]).stdout;
        (lines.matches("PRINT").count() == 5).then_some(())
    });
    // The stream ends with the server.
    server.interrupt();
    let followed = following.end();
    followed.expect(0, &[]);
    assert_eq!(followed.stdout.matches("PRINT").count(), 5, "{}", followed.stdout);
}

#[test]
fn mistakes_are_found_before_anything_is_sent() {
    let server = Server::start();
    server.sandbox.write("wrong.flow", "INSERT INTO nowhere SELECT 1 AS n;");
    server.flow(&["submit", "wrong.flow"]).expect(1, &["nowhere"]);
    assert_eq!(server.sandbox.read("data/server/audit.jsonl"), "", "nothing was sent");
    server.sandbox.write("copy.flow", COPY);
    let nobody = [("FLOW_SERVER", "http://127.0.0.1:1")];
    let told = ["no server answers at http://127.0.0.1:1", "FLOW_SERVER"];
    server.sandbox.start_with(&["submit", "copy.flow"], &nobody).end().expect(4, &told);
}

#[test]
fn a_context_names_server_and_token() {
    let sandbox = Sandbox::new();
    let token = sandbox.must(&["server", "token", "new", "--scope", "read", "--data", "data"]);
    let server = Server::start_in(sandbox, &[]);
    let folder = server.sandbox.path("config/flow");
    std::fs::create_dir_all(&folder).expect("a folder");
    let contexts = format!(
        "context = 'here'\n[contexts.here]\nserver = '{}'\ntoken = '{}'\n",
        server.address,
        token.trim()
    );
    server.sandbox.write("config/flow/config.toml", contexts);
    let config = server.sandbox.path("config").display().to_string();
    let with = |arguments: &[&str], more: &[(&str, &str)]| {
        let variables = [&[("XDG_CONFIG_HOME", config.as_str())], more].concat();
        server.sandbox.start_with(arguments, &variables).end()
    };
    with(&["jobs", "list"], &[]).expect(0, &[]);
    with(&["jobs", "list", "--context", "there"], &[]).expect(2, &["there are: here"]);
    // The token is for that server alone: by another address nothing is sent.
    let other = server.address.replace("127.0.0.1", "localhost");
    with(&["jobs", "list", "--server", &other], &[]).expect(4, &["with a token only"]);
    let given = [("FLOW_TOKEN", token.trim())];
    with(&["jobs", "list", "--server", &other], &given).expect(0, &[]);
}
