//! What a server's jobs make of topics that are deleted, of a registry and of brokers that are away
//! for a while: whoever is not concerned goes on, nothing is lost, and the reason is told.

use serde_json::{Value, json};

use crate::command::{Sandbox, canonical};
use crate::server::{Server, clicks, until};
use crate::support::{Broker, SchemaRegistry};

/// Counts per page, and the clicks as they come.
const PROGRAM: &str = "
SET 'job.name' = '${NAME}';
CREATE STREAM clicks (page STRING NOT NULL, n BIGINT)
WITH (connector = 'kafka', topic = '${NAME}-clicks', format = 'json');
CREATE MATERIALIZED VIEW counts AS
SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM clicks GROUP BY page;
CREATE STREAM copies WITH (connector = 'kafka', topic = '${NAME}-copies', format = 'json');
INSERT INTO copies SELECT page, n FROM clicks;
";

/// A job of the program under a name of its own.
struct Job(&'static str);

impl Job {
    fn topic(&self, stream: &str) -> String {
        format!("{}-{stream}", self.0)
    }

    fn program(&self) -> String {
        PROGRAM.replace("${NAME}", self.0)
    }

    /// With its topic, and these clicks in it.
    fn submit(&self, server: &Server, numbers: std::ops::Range<u32>) {
        server.sandbox.fill(&self.topic("clicks"), 2, "page", &clicks(numbers.clone()));
        server.submit("", &self.program()).expect(201);
        server.wait_for_state(self.0, "running");
        self.wait(server, numbers);
    }

    fn produce(&self, server: &Server, numbers: std::ops::Range<u32>) {
        server.sandbox.produce(&self.topic("clicks"), "page", &clicks(numbers));
    }

    /// Waits until the copies are those of these clicks.
    fn wait(&self, server: &Server, numbers: std::ops::Range<u32>) {
        let expected = copies(numbers);
        until(&format!("{} has copied all", self.0), || {
            (server.sandbox.all(&self.topic("copies")) == expected).then_some(())
        });
    }

    fn sql(&self) -> String {
        format!("SELECT SUM(clicks) AS clicks, SUM(n) AS n FROM \"{}\".counts", self.0)
    }

    /// What its view holds, also while it rests.
    fn counts(&self, server: &Server) -> Value {
        server.post("/v1/query", &json!({ "sql": self.sql() })).expect(200)["rows"].clone()
    }

    /// Why it has stopped.
    fn error(&self, server: &Server) -> String {
        let job = server.wait_for_state(self.0, "failed");
        job["error"].as_str().expect("a reason").to_string()
    }
}

fn copies(numbers: std::ops::Range<u32>) -> Vec<String> {
    let mut all: Vec<String> = clicks(numbers).lines().map(canonical).collect();
    all.sort();
    all
}

fn sums(numbers: std::ops::Range<u32>) -> Value {
    json!([{"clicks": numbers.len(), "n": numbers.sum::<u32>()}])
}

#[test]
fn a_topic_that_is_deleted_stops_the_job_that_reads_it_alone() {
    let broker = Broker::shared();
    let server = Server::on_kafka(Sandbox::on_kafka(&broker.bootstrap()), &[]);
    let (gone, other) = (Job("deleted-read"), Job("deleted-other"));
    gone.submit(&server, 0..30);
    other.submit(&server, 0..10);
    broker.tool("topics", &["--delete", "--topic", &gone.topic("clicks")]);
    let error = gone.error(&server);
    let told = format!("topic {} was deleted while it was read", gone.topic("clicks"));
    for part in [&told, &broker.bootstrap(), "--fresh"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let lines = server.get(&format!("/v1/jobs/{}/logs", gone.0)).expect(200)["lines"].to_string();
    assert!(lines.contains(&told), "{lines}");
    // What it made is there, and the other job has not noticed.
    gone.wait(&server, 0..30);
    assert_eq!(gone.counts(&server), sums(0..30));
    other.produce(&server, 10..20);
    other.wait(&server, 0..20);
    let job = server.get(&format!("/v1/jobs/{}", other.0)).expect(200);
    assert_eq!((&job["state"], &job["failures"]), (&json!("running"), &json!(0)), "{job}");

    // It stays stopped, and says why, also when it is asked to go on.
    let resume = format!("/v1/jobs/{}/resume", gone.0);
    server.ask("POST", &resume, None).expect(200);
    let error = gone.error(&server);
    assert!(error.contains(&format!("there is no topic {}", gone.topic("clicks"))), "{error}");
    // Made again, the topic is another one.
    server.sandbox.fill(&gone.topic("clicks"), 2, "page", &clicks(0..90));
    server.ask("POST", &resume, None).expect(200);
    let error = gone.error(&server);
    assert!(error.contains("is not the one that this job began to read"), "{error}");
    assert_eq!(gone.counts(&server), sums(0..30));
    server.submit("?fresh=true", &gone.program()).expect(200);
    server.wait_for_rows(&gone.sql(), &sums(0..90));
}

#[test]
fn a_topic_that_is_made_again_is_not_read_as_the_one_before() {
    let broker = Broker::shared();
    let server = Server::on_kafka(Sandbox::on_kafka(&broker.bootstrap()), &[]);
    let job = Job("made-again");
    job.submit(&server, 0..30);
    let topic = job.topic("clicks");
    broker.tool("topics", &["--delete", "--topic", &topic]);
    // It has the offsets that are to be read next.
    until("it can be made again", || {
        let create = ["topic", "create", &topic, "--partitions", "2"];
        server.sandbox.flow(&create).status.success().then_some(())
    });
    job.produce(&server, 100..400);
    let error = job.error(&server);
    let told = format!("topic {topic} was deleted and made again while it was read");
    assert!(error.contains(&told) && error.contains("--fresh"), "{error}");
    job.wait(&server, 0..30);
    assert_eq!(job.counts(&server), sums(0..30));
    server.submit("?fresh=true", &job.program()).expect(200);
    server.wait_for_rows(&job.sql(), &sums(100..400));
}

#[test]
fn a_topic_that_is_written_and_deleted_stops_the_job_that_writes_it() {
    let broker = Broker::shared();
    let server = Server::on_kafka(Sandbox::on_kafka(&broker.bootstrap()), &[]);
    let (gone, other) = (Job("deleted-written"), Job("written-other"));
    gone.submit(&server, 0..30);
    other.submit(&server, 0..10);
    broker.tool("topics", &["--delete", "--topic", &gone.topic("copies")]);
    gone.produce(&server, 30..60);
    let error = gone.error(&server);
    let told = format!("topic {} was deleted while it was written", gone.topic("copies"));
    assert!(error.contains(&told) && error.contains("--fresh"), "{error}");
    assert_eq!(gone.counts(&server), sums(0..30), "an epoch is whole or not there");
    other.produce(&server, 10..20);
    other.wait(&server, 0..20);
    // Whoever starts it again has read what is lost. It makes the topic and goes on.
    server.ask("POST", &format!("/v1/jobs/{}/resume", gone.0), None).expect(200);
    server.wait_for_rows(&gone.sql(), &sums(0..60));
    gone.wait(&server, 30..60);
}

#[test]
fn a_job_whose_changelog_is_deleted_stops_and_does_not_go_on_without_its_state() {
    let broker = Broker::shared();
    let server = Server::on_kafka(Sandbox::on_kafka(&broker.bootstrap()), &[]);
    let job = Job("deleted-state");
    job.submit(&server, 0..30);
    broker.tool("topics", &["--delete", "--topic", "flow.deleted-state.changelog"]);
    job.produce(&server, 30..60);
    let error = job.error(&server);
    let told = "topic flow.deleted-state.changelog was deleted while it was written";
    assert!(error.contains(told), "{error}");
    server.ask("POST", "/v1/jobs/deleted-state/resume", None).expect(200);
    let error = job.error(&server);
    let told = "flow.deleted-state.changelog is not the one that this job's state is in";
    assert!(error.contains(told) && error.contains("--fresh"), "{error}");
    server.submit("?fresh=true", &job.program()).expect(200);
    server.wait_for_rows(&job.sql(), &sums(0..60));
}

#[test]
fn a_job_whose_position_is_deleted_does_not_write_its_output_again() {
    let broker = Broker::shared();
    let server = Server::on_kafka(Sandbox::on_kafka(&broker.bootstrap()), &[]);
    let job = Job("deleted-position");
    job.submit(&server, 0..30);
    let epochs = "flow.deleted-position.epochs";
    broker.tool("topics", &["--delete", "--topic", epochs]);
    job.produce(&server, 30..60);
    let error = job.error(&server);
    let told = format!("topic {epochs} was deleted while it was written");
    assert!(error.contains(&told), "{error}");
    server.ask("POST", "/v1/jobs/deleted-position/resume", None).expect(200);
    let error = job.error(&server);
    let told = format!("topic {epochs} is not the one that says how far this job is");
    assert!(error.contains(&told) && error.contains("--fresh"), "{error}");
    job.wait(&server, 0..30);

    // Where the state folder is gone as well, the changelog tells.
    server.sandbox.write("position.flow", job.program());
    let run = ["run", "position.flow", "--state-dir", "other"];
    let told = [&format!("topic {epochs} is empty"), "flow.deleted-position.changelog", "--fresh"];
    server.sandbox.flow(&run).expect(4, &told);
    job.wait(&server, 0..30);
    server.submit("?fresh=true", &job.program()).expect(200);
    server.wait_for_rows(&job.sql(), &sums(0..60));
}

/// Copies of an Avro topic.
const AVRO: &str = "
SET 'job.name' = 'schema-away';
CREATE STREAM clicks WITH (connector = 'kafka', topic = 'schema-away-clicks', format = 'avro');
CREATE STREAM copies WITH (connector = 'kafka', topic = 'schema-away-copies', format = 'json');
INSERT INTO copies SELECT page, n FROM clicks;
";

const FIRST: &str = r#"{"type": "record", "name": "Click", "fields": [
  {"name": "page", "type": "string"}, {"name": "n", "type": "long"}]}"#;

/// Begins with a field that the job does not know.
const SECOND: &str = r#"{"type": "record", "name": "Click", "fields": [
  {"name": "by", "type": "string", "default": ""},
  {"name": "page", "type": "string"}, {"name": "n", "type": "long"}]}"#;

#[test]
fn a_registry_that_is_away_for_a_while_is_waited_for() {
    let (broker, mut registry) = (Broker::shared(), SchemaRegistry::start());
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    let url = registry.url().to_string();
    let register = |sandbox: &Sandbox, schema: &str| -> u32 {
        sandbox.write("click.avsc", schema);
        let subject = "schema-away-clicks-value";
        let told = sandbox.must(&["schema", "register", subject, "click.avsc", "--registry", &url]);
        told.trim().rsplit(' ').next().and_then(|id| id.parse().ok()).expect("an id")
    };
    let first = register(&sandbox, FIRST);
    sandbox.must(&["topic", "create", "schema-away-clicks", "--partitions", "2"]);
    let server = Server::on_kafka(sandbox, &[("SCHEMA_REGISTRY_URL", &url)]);
    server.submit("", AVRO).expect(201);
    server.wait_for_state("schema-away", "running");
    let other = Job("schema-other");
    other.submit(&server, 0..10);
    // A click of a schema with these texts before its number.
    let write = |partition: u32, id: u32, texts: &[&str], n: u8| {
        let mut value = [&[0], &id.to_be_bytes()[..]].concat();
        for text in texts {
            value.push(2 * text.len() as u8);
            value.extend_from_slice(text.as_bytes());
        }
        value.push(2 * n);
        server.sandbox.produce_bytes_to("schema-away-clicks", partition, &value);
    };
    let wait_for_copies = |numbers: &[u8]| {
        let expected: Vec<String> =
            numbers.iter().map(|n| canonical(&format!("{{\"page\":\"p\",\"n\":{n}}}"))).collect();
        until(&format!("{expected:?} are copied"), || {
            (server.sandbox.all("schema-away-copies") == expected).then_some(())
        });
    };
    write(0, first, &["p"], 1);
    write(1, first, &["p"], 2);
    wait_for_copies(&[1, 2]);
    let second = register(&server.sandbox, SECOND);
    registry.stop();
    write(0, second, &["x", "p"], 3);
    write(0, first, &["p"], 4);
    write(1, first, &["p"], 5);
    // The other partition goes on, and so does the other job.
    wait_for_copies(&[1, 2, 5]);
    other.produce(&server, 10..20);
    other.wait(&server, 0..20);
    let waits = "flow_partition_waits_for_schema{job=\"schema-away\",stream=\"clicks\",\
                 partition=\"schema-away-clicks-0\"} 1";
    until("it is shown which partition waits", || {
        server.get("/metrics").text.contains(waits).then_some(())
    });
    let lines = server.get("/v1/jobs/schema-away/logs").expect(200)["lines"].to_string();
    for part in ["schema-away-clicks-0 waits for a schema", &url, "SCHEMA_REGISTRY_URL"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    registry.restart();
    assert_eq!(registry.url(), url);
    wait_for_copies(&[1, 2, 3, 4, 5]);
    let job = server.get("/v1/jobs/schema-away").expect(200);
    assert_eq!((&job["state"], &job["failures"]), (&json!("running"), &json!(0)), "{job}");
}

#[test]
fn jobs_outlive_a_broker_that_goes_away_and_comes_back() {
    let mut broker = Broker::start();
    let server = Server::on_kafka(Sandbox::on_kafka(&broker.bootstrap()), &[]);
    let jobs = [Job("broker-one"), Job("broker-two")];
    for job in &jobs {
        // An end that is not clear for so long ends the attempt.
        let patience = "SET 'properties.transaction.timeout.ms' = '3000';\n";
        server.sandbox.fill(&job.topic("clicks"), 2, "page", &clicks(0..30));
        server.submit("", &format!("{patience}{}", job.program())).expect(201);
        server.wait_for_state(job.0, "running");
        job.wait(&server, 0..30);
    }
    // It is back before anybody has given up.
    broker.kill();
    broker.restart();
    for job in &jobs {
        job.produce(&server, 30..60);
        job.wait(&server, 0..60);
    }
    // It stays away until one of them has.
    broker.kill();
    let restarts = "the job starts again from its last committed epoch";
    until("a job has noticed", || {
        let lines = server.get("/v1/jobs/broker-one/logs").expect(200)["lines"].to_string();
        lines.contains(restarts).then_some(())
    });
    server.get("/health").expect(200);
    for job in &jobs {
        assert_eq!(job.counts(&server), sums(0..60), "its view is read all the while");
    }
    broker.restart();
    for job in &jobs {
        job.produce(&server, 60..90);
        job.wait(&server, 0..90);
        server.wait_for_rows(&job.sql(), &sums(0..90));
        let told = server.wait_for_state(job.0, "running");
        assert_eq!((&told["failures"], &told["error"]), (&json!(0), &Value::Null), "{told}");
    }
}
