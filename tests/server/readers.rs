//! Jobs that read the views of other jobs.

use serde_json::{Value, json};

use super::{Server, clicks, until};

/// Two views; a page leaves `quiet` at its twelfth click.
const KEEPER: &str = "
SET 'job.name' = 'keeper';
CREATE STREAM clicks (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE MATERIALIZED VIEW counts AS
SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM clicks GROUP BY page;
CREATE MATERIALIZED VIEW quiet AS
SELECT page, COUNT(*) AS clicks FROM clicks GROUP BY page HAVING COUNT(*) < 12;
CREATE MATERIALIZED VIEW sizes AS
SELECT clicks FROM (SELECT page, COUNT(*) AS clicks FROM clicks GROUP BY page) AS pages;
";

/// Joins and aggregates them, keeps a view of its own, and writes a topic.
const READER: &str = "
SET 'job.name' = 'reader';
CREATE MATERIALIZED VIEW summary AS
SELECT COUNT(*) AS pages, SUM(q.clicks) AS clicks, SUM(c.n) AS n
FROM quiet AS q JOIN keeper.counts AS c ON q.page = c.page;
CREATE TABLE copies (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO copies SELECT page, clicks FROM quiet;
";

/// Reads a view without a key, whose equal rows are counted.
const SIZES: &str = "
SET 'job.name' = 'by-size';
CREATE MATERIALIZED VIEW by_size AS
SELECT clicks, COUNT(*) AS pages FROM sizes GROUP BY clicks;
";

/// What `summary` holds after these clicks.
fn summary(clicks: u64) -> Value {
    let of = |page: u64| (0..clicks).filter(move |n| n % 3 == page);
    let quiet = (0..3).filter(|page| of(*page).count() < 12);
    let (mut pages, mut all, mut n) = (0, 0, 0);
    for page in quiet {
        pages += 1;
        all += of(page).count();
        n += of(page).sum::<u64>();
    }
    match pages {
        0 => json!([{"pages": 0, "clicks": null, "n": null}]),
        _ => json!([{"pages": pages, "clicks": all, "n": n}]),
    }
}

impl Server {
    fn wait_for_summary(&self, clicks: u64) {
        let expected = summary(clicks);
        let question = json!({"sql": "SELECT * FROM summary"});
        let mut last = String::new();
        let found = super::try_until(|| {
            last = self.post("/v1/query", &question).text;
            let answer: Value = serde_json::from_str(&last).ok()?;
            (answer["rows"] == expected).then_some(())
        });
        let reader = || self.get("/v1/jobs/reader").text;
        found.unwrap_or_else(|| panic!("{expected} never comes: {last}; {}", reader()));
    }

    fn command(&self, arguments: &[&str]) -> super::command::Ended {
        self.sandbox.start_with(arguments, &[("FLOW_SERVER", &self.address)]).end()
    }
}

#[test]
fn a_view_is_read_by_another_job_through_changes_deletes_and_a_kill() {
    let server = Server::with_clicks(0..30);
    server.submit("", KEEPER).expect(201);
    server.submit("", READER).expect(201);
    server.wait_for_summary(30);
    server.sandbox.produce("clicks", "page", &clicks(30..32));
    server.wait_for_summary(32);
    let sandbox = server.kill();
    // Two of three pages leave the view while nobody looks.
    sandbox.produce("clicks", "page", &clicks(32..35));
    let server = Server::start_in(sandbox, &[]);
    server.wait_for_summary(35);
    until("the topic has what is left of the view", || {
        let copies = server.sandbox.last_of_each_key("copies");
        let left = copies.into_values().collect::<Vec<_>>();
        (left == [super::canonical(r#"{"page":"p2","clicks":11}"#)]).then_some(())
    });
    // Each job goes on where it was while the other rests.
    server.ask("POST", "/v1/jobs/reader/pause", None).expect(200);
    server.sandbox.produce("clicks", "page", &clicks(35..36));
    server.wait_for("keeper", "at the end", |job| job["metrics"]["lag"] == 0);
    server.ask("POST", "/v1/jobs/keeper/pause", None).expect(200);
    server.ask("POST", "/v1/jobs/reader/resume", None).expect(200);
    server.wait_for("reader", "running", |job| job["state"] == "running");
    server.ask("POST", "/v1/jobs/keeper/resume", None).expect(200);
    server.wait_for_summary(36);
}

#[test]
fn what_is_read_stays_until_its_readers_are_gone() {
    let server = Server::with_clicks(0..30);
    server.submit("", READER).tells(422, "quiet");
    server.submit("", KEEPER).expect(201);
    server.submit("", READER).expect(201);
    server.wait_for_summary(30);
    for refused in [
        server.ask("DELETE", "/v1/jobs/keeper", None),
        server.ask("DELETE", "/v1/jobs/keeper?state=keep", None),
        server.submit("?fresh=true", KEEPER),
        server.submit("?fresh=true&dry_run=true", KEEPER),
    ] {
        let problem = refused.expect(409);
        assert_eq!(problem["code"], "is_read");
        assert!(problem["message"].as_str().unwrap().ends_with("read by reader"), "{problem}");
    }
    assert_eq!(server.get("/v1/jobs/keeper").json()["read_by"], json!(["reader"]));
    let jobs = server.get("/v1/jobs").json();
    let read_by: Vec<&Value> =
        jobs["jobs"].as_array().unwrap().iter().map(|job| &job["read_by"]).collect();
    assert_eq!(read_by, [&json!(["reader"]), &json!([])]);
    let views = server.get("/v1/views").json();
    let readers = |name: &str| {
        let view = views.as_array().unwrap().iter().find(|view| view["name"] == name);
        view.unwrap_or_else(|| panic!("{name}: {views}"))["readers"].clone()
    };
    assert_eq!(readers("quiet"), json!(["reader"]));
    assert_eq!(readers("summary"), json!([]));
    let circle = format!("{KEEPER} CREATE MATERIALIZED VIEW more AS SELECT * FROM summary;");
    assert_eq!(server.submit("", &circle).expect(422)["code"], "reads_itself");

    server.ask("DELETE", "/v1/jobs/reader", None).expect(204);
    server.ask("DELETE", "/v1/jobs/keeper", None).expect(204);
}

#[test]
fn a_reader_notices_that_its_view_was_made_anew() {
    let server = Server::with_clicks(0..30);
    server.submit("", KEEPER).expect(201);
    server.submit("", READER).expect(201);
    server.wait_for_summary(30);
    server.ask("DELETE", "/v1/jobs/reader?state=keep", None).expect(204);
    server.ask("DELETE", "/v1/jobs/keeper", None).expect(204);
    server.submit("", KEEPER).expect(201);
    server.wait_for_state("keeper", "running");
    server.submit("", READER).expect(201);
    let failed = server.wait_for_state("reader", "failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("view keeper.") && error.contains("--fresh"), "{error}");
    server.submit("?fresh=true", READER).expect(200);
    server.wait_for_summary(30);
}

#[test]
fn commands_know_the_views_of_the_server() {
    let server = Server::with_clicks(0..30);
    server.sandbox.write("keeper.flow", KEEPER);
    server.sandbox.write("reader.flow", READER);
    server.command(&["submit", "reader.flow"]).expect(1, &["E0201", "quiet"]);
    server.command(&["submit", "keeper.flow"]).expect(0, &[]);
    server.command(&["check", "reader.flow"]).expect(1, &["E0201"]);
    server.command(&["check", "reader.flow", "--server", &server.address]).expect(0, &[]);
    server.command(&["submit", "reader.flow"]).expect(0, &[]);
    server.wait_for_summary(30);
    let shown = server.command(&["jobs", "show", "keeper"]);
    assert!(shown.stdout.contains("read by       reader"), "{}", shown.stdout);
    server.command(&["jobs", "drop", "keeper", "--yes"]).expect(2, &["read by reader"]);
    // It rests, and its views are still known.
    server.ask("POST", "/v1/jobs/keeper/pause", None).expect(200);
    let again = server.command(&["submit", "reader.flow"]);
    assert!(again.stdout.ends_with("version 1 is this program already\n"), "{}", again.stdout);
}

#[test]
fn a_view_without_a_key_is_read_with_the_numbers_of_its_rows() {
    let server = Server::with_clicks(0..30);
    server.submit("", KEEPER).expect(201);
    server.submit("", SIZES).expect(201);
    let wait_for = |server: &Server, expected: Value| {
        let question = json!({"sql": "SELECT clicks, pages FROM by_size ORDER BY clicks"});
        until(&format!("the pages are {expected}"), || {
            let answer = server.post("/v1/query", &question);
            (answer.status == 200 && answer.json()["rows"] == expected).then_some(())
        });
    };
    wait_for(&server, json!([{"clicks": 10, "pages": 3}]));
    server.sandbox.produce("clicks", "page", &clicks(30..31));
    wait_for(&server, json!([{"clicks": 10, "pages": 2}, {"clicks": 11, "pages": 1}]));
    let sandbox = server.kill();
    sandbox.produce("clicks", "page", &clicks(31..33));
    let server = Server::start_in(sandbox, &[]);
    wait_for(&server, json!([{"clicks": 11, "pages": 3}]));
    server.ask("DELETE", "/v1/jobs/keeper", None).tells(409, "by-size");
}

#[test]
fn a_program_that_runs_elsewhere_is_told_where_it_can_read_a_view() {
    let server = Server::with_clicks(0..30);
    server.submit("", KEEPER).expect(201);
    server.sandbox.write("reader.flow", READER);
    let at = ["--server", server.address.as_str()];
    server.command(&[&["explain", "reader.flow"], &at[..]].concat()).expect(0, &[]);
    let in_its_log = ["run", "reader.flow", "--local", "data"];
    server.command(&[&in_its_log, &at[..]].concat()).expect(4, &["runs a job on", "flow submit"]);
    let in_another = ["run", "reader.flow", "--local", "other"];
    let told = ["view keeper.", "has committed nothing yet in the embedded log"];
    server.command(&[&in_another, &at[..]].concat()).expect(4, &told);
}
