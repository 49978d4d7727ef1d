//! The shell against a server that answers from a list: what is asked, and what is shown.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use super::server::{Event, Problem, Request, Server, Verb};
use super::*;
use crate::registries::Registries;

/// What a shell has written.
#[derive(Clone, Default)]
pub(super) struct Written {
    out: Arc<Mutex<Vec<u8>>>,
    err: Arc<Mutex<Vec<u8>>>,
}

struct Into(Arc<Mutex<Vec<u8>>>);

impl Write for Into {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    pub(super) fn screen() -> (Screen, Written) {
        let written = Written::default();
        let (out, err) = (Into(written.out.clone()), Into(written.err.clone()));
        (Screen::plain(Box::new(out), Box::new(err)), written)
    }

    pub(super) fn out(&self) -> String {
        String::from_utf8(self.out.lock().unwrap().clone()).unwrap()
    }

    fn err(&self) -> String {
        String::from_utf8(self.err.lock().unwrap().clone()).unwrap()
    }
}

/// A server that gives these answers in turn, and notes what it was asked.
#[derive(Default)]
struct Listed {
    /// The list of views; empty: it does not tell.
    views: &'static str,
    answers: Mutex<Vec<Result<String, Problem>>>,
    events: Vec<(&'static str, &'static str)>,
    asked: Mutex<Vec<Request>>,
}

impl Server for Listed {
    fn ask(&self, request: &Request) -> std::result::Result<String, Problem> {
        if request.path == "/v1/views" {
            return match self.views {
                "" => Err(Problem::Away("it does not tell".into())),
                views => Ok(views.to_string()),
            };
        }
        self.asked.lock().unwrap().push(request.clone());
        let mut answers = self.answers.lock().unwrap();
        match answers.is_empty() {
            true => Err(Problem::Away("nobody is there".into())),
            false => answers.remove(0),
        }
    }

    fn follow(
        &self,
        request: &Request,
        take: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> std::result::Result<(), Problem> {
        self.asked.lock().unwrap().push(request.clone());
        for (name, data) in &self.events {
            let event = Event { name: (*name).into(), data: (*data).into(), more: false };
            if take(&event).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn hang_up(&self) {}
}

type Result<T, E> = std::result::Result<T, E>;

const DECLARED: &str = "CREATE STREAM orders (id BIGINT, amount DECIMAL(10, 2), note STRING)\n  \
                        WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json');\n";

/// Pipes a text into a shell; what it ends with, and what it has written and asked.
fn pipe(server: Listed, text: &str) -> (bool, Written, Vec<Request>) {
    let (screen, written) = Written::screen();
    let server = Arc::new(server);
    let session = Session::new(Registries::with_local(None));
    let mut shell = Shell::new(server.clone(), session, screen);
    let ended = input::pipe(&mut shell, &mut text.as_bytes()).is_ok();
    let asked = server.asked.lock().unwrap().clone();
    (ended, written, asked)
}

fn answering(answers: &[&str]) -> Listed {
    let answers = answers.iter().map(|a| Ok((*a).to_string())).collect();
    Listed { answers: Mutex::new(answers), ..Listed::default() }
}

#[test]
fn a_query_over_a_view_is_asked_once() {
    let answer = r#"{"columns":[{"name":"k","type":"STRING"},{"name":"n","type":"BIGINT"}],
        "rows":[{"k":"a","n":1},{"n":null,"k":"b"}],"at":[],"elapsed_micros":5}"#;
    let (ok, written, asked) = pipe(answering(&[answer]), "SELECT k, n FROM totals;\n");
    assert!(ok, "{}", written.err());
    assert_eq!(written.out(), " k |    n\n---+------\n a |    1\n b | NULL\n");
    assert_eq!(asked[0].path, "/v1/query");
    assert_eq!(asked[0].body.as_ref().unwrap()["sql"], "SELECT k, n FROM totals");
}

#[test]
fn a_query_over_a_stream_is_followed_with_its_declarations() {
    let server = Listed {
        events: vec![
            ("columns", r#"{"columns":[{"name":"id","type":"BIGINT"}]}"#),
            ("rows", r#"{"changes":[[1,{"id":1}],[1,{"id":2}]],"at":[]}"#),
            ("end", r#"{"reason":"the job ended"}"#),
        ],
        ..Listed::default()
    };
    let text = format!("{DECLARED}SELECT id FROM orders;\n");
    let (ok, written, asked) = pipe(server, &text);
    assert!(ok, "{}", written.err());
    assert_eq!(written.out(), " id\n----\n  1\n  2\n");
    assert_eq!(asked[0].path, "/v1/query/stream");
    let body = asked[0].body.as_ref().unwrap();
    assert_eq!(body["declarations"], DECLARED);
    // The statement keeps its line.
    assert_eq!(body["sql"], "\n\nSELECT id FROM orders");
}

#[test]
fn changes_of_an_updating_query_have_their_sign_on_a_pipe() {
    let server = Listed {
        events: vec![
            ("columns", r#"{"columns":[{"name":"n","type":"BIGINT"}]}"#),
            ("rows", r#"{"changes":[[1,{"n":1}]],"at":[]}"#),
            ("rows", r#"{"changes":[[-1,{"n":1}],[1,{"n":2}]],"at":[]}"#),
        ],
        ..Listed::default()
    };
    let text = format!("{DECLARED}SELECT COUNT(*) AS n FROM orders;\n");
    let (ok, written, _) = pipe(server, &text);
    assert!(ok, "{}", written.err());
    assert_eq!(written.out(), "   | n\n---+---\n + | 1\n - | 1\n + | 2\n");
}

#[test]
fn mistakes_point_into_what_was_typed_and_end_a_pipe() {
    let text = format!("{DECLARED}SELECT\n  idd FROM orders;\nSHOW TOPICS;\n");
    let (ok, written, asked) = pipe(Listed::default(), &text);
    assert!(!ok && asked.is_empty());
    let err = written.err();
    assert!(err.contains("<stdin>:4:3") && err.contains("idd"), "{err}");
    assert!(err.contains("no column is named idd"), "{err}");

    let text = format!("\\set on_error continue\n{text}\\timing on\n");
    let (ok, written, asked) = pipe(answering(&[r#"{"topics":[]}"#]), &text);
    assert!(!ok && written.err().contains("<stdin>:5:3"), "{}", written.err());
    assert_eq!(asked.len(), 1);
}

#[test]
fn a_view_and_an_insert_become_jobs_of_their_names() {
    let submitted = r#"{"name":"totals","outcome":"created","version":1,"warnings":""}"#;
    let text = format!(
        "{DECLARED}CREATE MATERIALIZED VIEW totals AS SELECT COUNT(*) AS n FROM orders;\n\
         DROP MATERIALIZED VIEW totals;\n"
    );
    let (ok, written, asked) = pipe(answering(&[submitted, r#"{"state":"running"}"#, "{}"]), &text);
    assert!(ok, "{}", written.err());
    assert_eq!(asked[0].path, "/v1/jobs?name=totals");
    let source = asked[0].body.as_ref().unwrap()["source"].as_str().unwrap().to_string();
    assert!(source.starts_with("CREATE STREAM orders"), "{source}");
    assert!(source.contains("\nCREATE MATERIALIZED VIEW totals"), "{source}");
    assert_eq!((asked[1].verb, asked[1].path.as_str()), (Verb::Get, "/v1/jobs/totals"));
    assert_eq!((asked[2].verb, asked[2].path.as_str()), (Verb::Delete, "/v1/jobs/totals"));
}

#[test]
fn what_a_job_makes_of_a_query_can_be_read_made_anew_and_saved() {
    let submitted = r#"{"name":"big","outcome":"created","version":1,"warnings":""}"#;
    let running = r#"{"state":"running"}"#;
    let dir = tempfile::tempdir().unwrap();
    let saved = dir.path().join("saved.flow");
    let make = "CREATE TABLE big (PRIMARY KEY (id) NOT ENFORCED)\nWITH (connector = 'kafka', \
                'format' = 'json', 'key.format' = 'json')\n\
                AS SELECT id, COUNT(*) AS `n o` FROM orders GROUP BY id";
    let text = format!(
        "{DECLARED}{make};\nSHOW TABLES;\nDESCRIBE big;\n{make};\n\
         CREATE VIEW v AS SELECT `n o` + 1 AS m FROM big;\n\\save {}\n",
        saved.display()
    );
    let (ok, written, asked) = pipe(answering(&[submitted, running, submitted, running]), &text);
    assert!(ok, "{}", written.err());
    let out = written.out();
    for part in [" big  | Table", " id     | BIGINT", " n o    | BIGINT NOT NULL", "primary key"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    for request in [&asked[0], &asked[2]] {
        let source = request.body.as_ref().unwrap()["source"].as_str().unwrap();
        assert_eq!(source.matches("TABLE").count(), 1, "{source}");
    }
    let saved = std::fs::read_to_string(saved).unwrap();
    assert_eq!(saved.matches("TABLE big").count(), 1, "{saved}");
    assert!(saved.find("TABLE big") < saved.find("VIEW v"), "{saved}");
}

#[test]
fn a_job_that_fails_at_its_start_is_told() {
    let submitted = r#"{"name":"n","outcome":"created","version":1}"#;
    let info = r#"{"name":"n","state":"failed","error":"there is no topic orders"}"#;
    let text = format!("{DECLARED}CREATE MATERIALIZED VIEW n AS SELECT id FROM orders;\n");
    let starting = r#"{"name":"n","state":"starting","error":null}"#;
    let (ok, written, asked) = pipe(answering(&[submitted, starting, info]), &text);
    assert!(!ok && asked.len() == 3);
    assert_eq!(written.err(), "error: job n is failed: there is no topic orders\n");
}

#[test]
fn values_are_written_as_objects_in_the_order_of_the_columns() {
    let text = format!(
        "{DECLARED}INSERT INTO orders VALUES (1, 2.50, 'it''s'), (-2, NULL, NULL);\n\
         INSERT INTO orders (note, id) VALUES ('x', 3);\nINSERT INTO orders VALUES (1);\n"
    );
    let (ok, written, asked) = pipe(answering(&["{}", "{}"]), &text);
    assert!(!ok);
    assert!(written.err().contains("<stdin>:5:28: 1 values for 3 columns"), "{}", written.err());
    assert_eq!(asked[0].path, "/v1/streams");
    let records = |request: &Request| request.body.as_ref().unwrap()["records"].clone();
    let first = serde_json::json!([
        {"id": 1, "amount": "2.50", "note": "it's"},
        {"id": -2, "amount": null, "note": null},
    ]);
    assert_eq!(records(&asked[0]), first);
    assert_eq!(records(&asked[1]), serde_json::json!([{"note": "x", "id": 3}]));
    assert_eq!(asked[1].body.as_ref().unwrap()["declarations"], DECLARED);
}

#[test]
fn what_is_declared_is_shown_described_and_dropped() {
    let text = format!(
        "{DECLARED}CREATE VIEW big AS SELECT id FROM orders WHERE amount > 10;\n\
         SHOW STREAMS LIKE 'ord%'; DESCRIBE big;\nDROP STREAM orders;\n"
    );
    let (ok, written, _) = pipe(Listed::default(), &text);
    assert!(!ok);
    let out = written.out();
    assert!(out.contains(" orders | Stream\n") && out.contains(" id     | BIGINT |"), "{out}");
    assert!(written.err().contains("orders is read by big"), "{}", written.err());
}

#[test]
fn topics_are_printed_and_formats_chosen() {
    let server = Listed {
        answers: Mutex::new(vec![Ok(
            r#"{"topics":[{"name":"a","partitions":2},{"name":"b","partitions":1}]}"#.into(),
        )]),
        events: vec![("record", r#"{"offset":0,"value":{"a":1}}"#)],
        ..Listed::default()
    };
    let text = "\\format csv\nSHOW TOPICS LIKE 'b';\nPRINT 'b' FROM BEGINNING LIMIT 1;\n";
    let (ok, written, asked) = pipe(server, text);
    assert!(ok, "{}", written.err());
    assert_eq!(written.out(), "name,partitions\nb,1\n{\"offset\":0,\"value\":{\"a\":1}}\n");
    assert_eq!(asked[1].path, "/v1/topics/b/records?from=beginning&follow=true&limit=1");
}

#[test]
fn a_file_is_done_with_its_own_name_in_messages_and_a_session_saved() {
    let dir = tempfile::tempdir().unwrap();
    let (file, saved) = (dir.path().join("a.flow"), dir.path().join("saved.flow"));
    std::fs::write(&file, format!("{DECLARED}\nSELECT nothing FROM orders;\n")).unwrap();
    let text =
        format!("\\set on_error continue\n\\i {}\n\\save {}\n", file.display(), saved.display());
    let (ok, written, _) = pipe(Listed::default(), &text);
    assert!(!ok && written.err().contains("a.flow:4:8"), "{}", written.err());
    assert_eq!(std::fs::read_to_string(saved).unwrap(), DECLARED);

    std::fs::write(&file, format!("\\i {}\n", file.display())).unwrap();
    let (ok, written, _) = pipe(Listed::default(), &format!("\\i {}\n", file.display()));
    assert!(!ok && written.err().contains("is being read already"), "{}", written.err());
}

#[test]
fn a_server_that_is_away_and_unknown_commands_are_told() {
    let (ok, written, _) = pipe(Listed::default(), "SHOW JOBS;\n");
    assert!(!ok);
    assert_eq!(written.err(), "error: nobody is there\n");
    let (ok, written, _) = pipe(Listed::default(), "\\timming\n");
    assert!(!ok && written.err().contains("is \\timing meant?"), "{}", written.err());
}

#[test]
fn jobs_are_dropped_stopped_and_resumed_by_their_whole_names() {
    let paths = |text: &str| -> Vec<String> {
        let running = r#"{"name":"x","state":"running"}"#;
        let (ok, written, asked) = pipe(answering(&[running]), text);
        assert!(ok, "{text}: {}", written.err());
        asked.into_iter().map(|request| request.path).collect()
    };
    for (text, path) in [
        ("DROP JOB a.b;\n", "/v1/jobs/a.b"),
        ("DROP JOB `a b`;\n", "/v1/jobs/a-b"),
        ("STOP JOB 'a-b';\n", "/v1/jobs/a-b/stop"),
        ("TERMINATE QUERY a.b;\n", "/v1/jobs/a.b/stop"),
        ("pause a;\n", "/v1/jobs/a/pause"),
        ("RESUME JOB a;\n", "/v1/jobs/a/resume"),
    ] {
        assert_eq!(paths(text), [path], "{text}");
    }
    let failed = r#"{"name":"a","state":"failed","error":"no \u001b[31m topic"}"#;
    let (ok, written, _) = pipe(answering(&[failed]), "RESUME JOB a;\n");
    assert!(!ok);
    assert_eq!(written.err(), "error: job a is failed: no \\u{1b}[31m topic\n");
}

#[test]
fn a_view_is_dropped_with_its_job_only_if_that_does_nothing_else() {
    let views = r#"[{"name":"alone","job":"alone","columns":[]},
        {"name":"one","job":"both","columns":[]},{"name":"two","job":"both","columns":[]},
        {"name":"v","job":"a","columns":[]},{"name":"v","job":"v","columns":[]}]"#;
    let drop = |text: &str| {
        let server = Listed { views, ..answering(&["{}"]) };
        let (ok, written, asked) = pipe(server, text);
        assert_eq!(ok, written.err().is_empty());
        (written.err(), asked.into_iter().map(|request| request.path).collect::<Vec<_>>())
    };
    assert_eq!(drop("DROP VIEW alone;\n").1, ["/v1/jobs/alone"]);
    assert_eq!(drop("DROP VIEW v.v;\n").1, ["/v1/jobs/v"]);
    assert_eq!(drop("DROP VIEW IF EXISTS none;\n"), (String::new(), Vec::new()));
    for (text, told) in [
        ("DROP VIEW none;\n", "no view is named none"),
        ("DROP MATERIALIZED VIEW one;\n", "one of the things that job both does"),
        ("DROP VIEW v;\n", "jobs a, v have a view v each"),
        ("DROP VIEW a.v;\n", "one of the things that job a does"),
        ("DROP STREAM none;\n", "no stream is named none"),
    ] {
        let (err, asked) = drop(text);
        assert!(err.contains(told) && asked.is_empty(), "{text}: {err}");
    }
}

#[test]
fn words_of_other_shells_and_all_settings_are_known() {
    let text = "SET 'commit.interval' = '1 s';\nSET;\nHELP;\nexit\nSELECT nothing;\n";
    let (ok, written, asked) = pipe(Listed::default(), text);
    assert!(ok && asked.is_empty(), "{}", written.err());
    let out = written.out();
    for part in ["| 1 s ", " time.zone ", "\\watch"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (_, written, _) =
        pipe(Listed::default(), "SET 'sql-client.execution.result-mode' = 'table';\n");
    assert!(written.err().contains("changelog on"), "{}", written.err());
}

#[test]
fn the_plan_of_a_query_is_shown() {
    let text = format!("{DECLARED}EXPLAIN SELECT id FROM orders WHERE id > 1;\n");
    let (ok, written, asked) = pipe(Listed::default(), &text);
    assert!(ok && asked.is_empty(), "{}", written.err());
    let by_statement = written.out();
    assert!(by_statement.contains("orders"), "{by_statement}");
    let text = format!("{DECLARED}\\explain SELECT id FROM orders WHERE id > 1;\n");
    assert_eq!(pipe(Listed::default(), &text).1.out(), by_statement);
}

#[test]
fn the_plan_of_what_is_created_is_shown_and_nothing_is_made() {
    let of_query = |text: &str| {
        let (ok, written, asked) = pipe(Listed::default(), &format!("{DECLARED}{text};\n"));
        assert!(ok && asked.is_empty(), "{text}: {}", written.err());
        written.out()
    };
    let kept = "SELECT id, COUNT(*) AS n FROM orders GROUP BY id";
    let plan = of_query(&format!("EXPLAIN CREATE MATERIALIZED VIEW v AS {kept}"));
    assert!(plan.contains("GroupAggregate") && plan.contains("Materialize"), "{plan}");
    let plan = of_query(&format!("EXPLAIN CREATE VIEW v AS {kept}"));
    assert_eq!(plan, of_query(&format!("EXPLAIN PLAN FOR {kept}")));
    let made = "CREATE STREAM o WITH (connector = 'blackhole') AS SELECT id FROM orders";
    assert!(of_query(&format!("EXPLAIN {made}")).contains("Sink o"));
    let (ok, written, _) = pipe(Listed::default(), "EXPLAIN CREATE FUNCTION f(x) AS x;\n");
    assert!(!ok && written.err().contains("has no plan"), "{}", written.err());
}

#[test]
fn a_function_is_described() {
    let text = "\\format csv\nDESCRIBE FUNCTION left;\nDESC FUNCTION EXTENDED `sum`;\n\
                CREATE FUNCTION twice(x BIGINT) AS 2 * x;\nDESCRIBE FUNCTION TWICE;\n";
    let (ok, written, asked) = pipe(Listed::default(), text);
    assert!(ok && asked.is_empty(), "{}", written.err());
    let out = written.out();
    for part in ["name,LEFT\nusage,", "name,SUM\n", "example,", "name,twice\nmade by,"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (ok, written, _) = pipe(Listed::default(), "DESCRIBE FUNCTION nothing;\n");
    assert!(!ok && written.err().contains("no function is named nothing"), "{}", written.err());
}

#[test]
fn indexes_are_listed_with_their_views() {
    let views = r#"[{"name":"a","job":"j","indexes":[{"name":"by_x","columns":["x","y"]}]},
        {"name":"b","job":"j","indexes":[{"name":"by_z","columns":["z"]}]}]"#;
    let listed = |text: &str| {
        let server = Listed { views, ..Listed::default() };
        pipe(server, &format!("\\format csv\n{text};\n"))
    };
    let (_, written, _) = listed("SHOW INDEXES");
    assert_eq!(written.out(), "name,view,columns\nby_x,a,\"x, y\"\nby_z,b,z\n");
    let (_, written, _) = listed("SHOW INDEXES FROM j.B");
    assert_eq!(written.out(), "name,view,columns\nby_z,b,z\n");
    let (ok, written, _) = listed("SHOW INDEXES FROM c");
    assert!(!ok && written.err().contains("no materialized view is named c"), "{}", written.err());
}

#[test]
fn what_the_operators_of_a_job_did_is_asked_of_the_server() {
    let answering =
        |text: &str| Listed { answers: vec![Ok(text.into())].into(), ..Listed::default() };
    let plan = "orders: running, workers: 1\n0: Source \u{1b}[31m\n     1 records in\n";
    let (ok, written, asked) = pipe(answering(plan), "EXPLAIN ANALYZE JOB `my orders`;\n");
    assert!(ok, "{}", written.err());
    assert_eq!(asked[0].path, "/v1/jobs/my-orders/plan?analyze=true");
    assert!(written.out().starts_with("orders: running, workers: 1\n0: Source "));
    assert!(written.out().ends_with("\n     1 records in\n"), "{}", written.out());
    assert!(!written.out().contains('\u{1b}'), "a name of a program does not reach the terminal");

    let counts = r#"{"records_in":1,"operators":[{"vertex":0,"operator":"source-orders",
        "kind":"Source","rows_in":1,"rows_out":1,"busy_seconds":0.25,"watermark_micros":null,
        "state_rows":null,"state_bytes":null}]}"#;
    let text = "\\format csv\nEXPLAIN ANALYZE JOB orders;\n";
    let (ok, written, asked) = pipe(answering(counts), text);
    assert!(ok && asked[0].path == "/v1/jobs/orders/metrics", "{}", written.err());
    assert!(written.out().contains("\n0,source-orders,Source,,1,1,0.25,,,\n"), "{}", written.out());

    let (ok, written, asked) = pipe(Listed::default(), "EXPLAIN ANALYZE SELECT 1 AS n;\n");
    assert!(!ok && asked.is_empty());
    assert!(written.err().contains("EXPLAIN ANALYZE JOB and a name"), "{}", written.err());
}
