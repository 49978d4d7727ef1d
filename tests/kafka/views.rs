//! A job of a server that reads the view of another one, on a real broker.

use crate::command::{Sandbox, canonical};
use crate::server::{Server, clicks, until};
use crate::support::Broker;

const KEEPER: &str = "
SET 'job.name' = 'view-keeper';
CREATE STREAM view_clicks (page STRING NOT NULL, n BIGINT)
WITH (connector = 'kafka', format = 'json');
CREATE MATERIALIZED VIEW counts AS
SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM view_clicks GROUP BY page;
CREATE MATERIALIZED VIEW quiet AS
SELECT page, COUNT(*) AS clicks FROM view_clicks GROUP BY page HAVING COUNT(*) < 12;
";

const READER: &str = "
SET 'job.name' = 'view-reader';
CREATE TABLE view_copies (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO view_copies
SELECT q.page, q.clicks, c.n FROM quiet AS q JOIN counts AS c ON q.page = c.page;
";

/// The same by `flow run`, into another topic.
const RUNNER: &str = "
CREATE TABLE view_run_copies (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO view_run_copies
SELECT q.page, q.clicks, c.n FROM quiet AS q JOIN counts AS c ON q.page = c.page;
";

/// What the reader makes of these clicks.
fn copies(clicks: u32) -> Vec<String> {
    let of = |page: u32| (0..clicks).filter(move |n| n % 3 == page);
    let copy = |page: u32| {
        let (clicks, n) = (of(page).count(), of(page).sum::<u32>());
        let row = || format!("{{\"page\":\"p{page}\",\"clicks\":{clicks},\"n\":{n}}}");
        (clicks < 12).then(|| canonical(&row()))
    };
    (0..3).filter_map(copy).collect()
}

#[test]
fn a_view_is_read_by_another_job_through_a_kill() {
    let broker = Broker::shared();
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    sandbox.fill("view_clicks", 2, "page", &clicks(0..30));
    sandbox.must(&["topic", "create", "view_copies"]);
    sandbox.must(&["topic", "create", "view_run_copies"]);
    let wait_for_copies_in = |sandbox: &Sandbox, copied: &str, clicks: u32| {
        let expected = copies(clicks);
        until(&format!("the copies are {expected:?}"), || {
            let last = sandbox.last_of_each_key(copied);
            (last.into_values().collect::<Vec<_>>() == expected).then_some(())
        });
    };
    let wait_for_copies = |sandbox: &Sandbox, clicks: u32| {
        wait_for_copies_in(sandbox, "view_copies", clicks);
    };
    let server = Server::on_kafka(sandbox, &[]);
    for program in [KEEPER, READER] {
        server.submit("", program).expect(201);
    }
    wait_for_copies(&server.sandbox, 30);
    server.sandbox.produce("view_clicks", "page", &clicks(30..32));
    wait_for_copies(&server.sandbox, 32);
    // A job that the server does not know reads the same state on the same cluster.
    server.sandbox.write("view-runner.flow", RUNNER);
    let run = ["run", "view-runner.flow", "--server", &server.address];
    let runner = server.sandbox.start_logging(&run, &[], "runner.log");
    wait_for_copies_in(&server.sandbox, "view_run_copies", 32);
    runner.kill();
    let sandbox = server.kill();
    // Two of three pages leave the view while nobody looks.
    sandbox.produce("view_clicks", "page", &clicks(32..35));
    let server = Server::on_kafka(sandbox, &[]);
    wait_for_copies(&server.sandbox, 35);
}
