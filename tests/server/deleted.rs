//! Topics of the embedded log that are deleted under a running job: it stops and says so, what it
//! made stays, and no other job notices.

use serde_json::json;

use super::{COPY, COUNTS, Server, clicks, until};

/// Why a job has stopped.
fn error(server: &Server, job: &str) -> String {
    let job = server.wait_for_state(job, "failed");
    job["error"].as_str().expect("a reason").to_string()
}

fn resume(server: &Server, job: &str) {
    server.ask("POST", &format!("/v1/jobs/{job}/resume"), None).expect(200);
}

/// Copies another topic.
const OTHER: &str = "
SET 'job.name' = 'other';
CREATE STREAM others (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE STREAM kept WITH (connector = 'kafka', format = 'json');
INSERT INTO kept SELECT page, n FROM others;
";

#[test]
fn a_topic_that_is_deleted_stops_the_job_that_reads_it_alone() {
    let server = Server::with_clicks(0..20);
    server.sandbox.fill("others", 1, "page", &clicks(0..5));
    server.submit("", COUNTS).expect(201);
    server.submit("", OTHER).expect(201);
    server.wait_for_counts(0..20);
    server.wait_for_input("other", 5);
    server.sandbox.delete_topic("clicks");
    let told = error(&server, "counts");
    for part in ["topic clicks in the embedded log", "was deleted while it was in use", "--fresh"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    server.sandbox.produce("others", "page", &clicks(5..9));
    server.wait_for_input("other", 9);
    assert_eq!(server.get("/v1/jobs/other").json()["failures"], 0);

    // It stays stopped, over a restart and when it is asked to go on.
    let server = Server::start_in(server.kill(), &[]);
    assert!(error(&server, "counts").contains("was deleted while it was in use"));
    resume(&server, "counts");
    let told = server.wait_for("counts", "without its topic", |job| {
        job["error"].as_str().is_some_and(|error| error.contains("there is no topic clicks"))
    });
    assert_eq!(told["state"], "failed");
    // Made again, the topic is another one.
    server.sandbox.fill("clicks", 2, "page", &clicks(0..60));
    resume(&server, "counts");
    server.wait_for("counts", "told of the other topic", |job| {
        job["state"] == "failed"
            && job["error"]
                .as_str()
                .is_some_and(|error| error.contains("is not the one that this job began to read"))
    });
    server.submit("?fresh=true", COUNTS).expect(200);
    server.wait_for_counts(0..60);
}

#[test]
fn a_topic_that_is_made_again_is_neither_read_nor_written_as_the_one_before() {
    let server = Server::with_clicks(0..20);
    server.submit("", COPY).expect(201);
    server.wait_for_input("copy", 20);
    until("all are copied", || (server.sandbox.all("copies").len() == 20).then_some(()));
    server.sandbox.delete_topic("copies");
    server.sandbox.must(&["topic", "create", "copies", "--local", "data"]);
    server.sandbox.produce("clicks", "page", &clicks(20..30));
    let told = error(&server, "copy");
    assert!(told.contains("topic copies") && told.contains("was deleted"), "{told}");
    assert_eq!(
        server.sandbox.all("copies"),
        Vec::<String>::new(),
        "an epoch is whole or not there"
    );
    // Whoever starts it again has read what is lost.
    resume(&server, "copy");
    until("it goes on", || (server.sandbox.all("copies").len() == 10).then_some(()));
}

#[test]
fn a_job_whose_changelog_is_deleted_does_not_go_on_without_its_state() {
    let server = Server::with_clicks(0..20);
    server.submit("", COUNTS).expect(201);
    server.wait_for_counts(0..20);
    server.sandbox.delete_topic("flow.counts.changelog");
    server.sandbox.produce("clicks", "page", &clicks(20..30));
    let told = error(&server, "counts");
    assert!(told.contains("topic flow.counts.changelog"), "{told}");
    resume(&server, "counts");
    server.wait_for("counts", "told that its state is gone", |job| {
        let told = "flow.counts.changelog is not the one that this job's state is in";
        job["state"] == "failed" && job["error"].as_str().is_some_and(|error| error.contains(told))
    });
    // A job without state does not need its changelog.
    server.submit("", COPY).expect(201);
    server.wait_for_input("copy", 30);
    until("all are copied", || (server.sandbox.all("copies").len() == 30).then_some(()));
    let sandbox = server.kill();
    sandbox.delete_topic("flow.copy.changelog");
    let server = Server::start_in(sandbox, &[]);
    server.sandbox.produce("clicks", "page", &clicks(30..31));
    server.wait_for_input("copy", 1);
    assert_eq!(server.get("/v1/jobs/copy").json()["error"], json!(null));
    server.submit("?fresh=true", COUNTS).expect(200);
    server.wait_for_counts(0..31);
}
