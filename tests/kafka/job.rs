//! A program from its text to committed records, by the command, on a real broker and registry.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Broker, SchemaRegistry};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

const SCHEMA: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "customer", "type": "string"},
    {"name": "country", "type": ["null", "string"]},
    {"name": "amount", "type": "long"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;

const PROGRAM: &str = "
SET 'job.name' = 'orders-on-kafka';
CREATE STREAM orders (
  WATERMARK FOR at AS at - INTERVAL '5' SECOND
) WITH (connector = 'kafka', format = 'avro-confluent', 'avro-confluent.url' = '${registry}',
        'scan.bounded.mode' = 'latest-offset');

CREATE STREAM per_minute WITH (connector = 'kafka', format = 'avro-confluent',
                               'avro-confluent.url' = '${registry}');
INSERT INTO per_minute
SELECT window_start, country, COUNT(*) AS orders, SUM(amount) AS revenue
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '1' MINUTE))
WHERE amount > 0
GROUP BY window_start, window_end, country;

CREATE TABLE totals (PRIMARY KEY (customer) NOT ENFORCED)
WITH (connector = 'kafka', format = 'avro-confluent', 'avro-confluent.url' = '${registry}',
      'key.format' = 'json', 'properties.client.id' = 'totals');
INSERT INTO totals
SELECT customer, COUNT(*) AS orders, SUM(amount) AS total FROM orders WHERE amount > 0
GROUP BY customer;
";

/// Orders of ten minutes, six a second; every seventh is for nothing.
const ORDERS: i64 = 3_600;

/// Runs the command, with `input` as its standard input.
fn flow(arguments: &[&str], folder: &Path, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("KAFKA_BOOTSTRAP_SERVERS")
        .env_remove("SCHEMA_REGISTRY_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command can be run");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    stdin.write_all(input.as_bytes()).expect("the command reads it");
    drop(stdin);
    child.wait_with_output().expect("the command ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The same, which must go well; its standard output.
pub(crate) fn done(arguments: &[&str], folder: &Path, input: &str) -> String {
    let output = flow(arguments, folder, input);
    assert!(output.status.success(), "flow {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

struct Order {
    customer: i64,
    country: Option<&'static str>,
    amount: i64,
    second: i64,
}

fn orders() -> impl Iterator<Item = Order> {
    (0..ORDERS).map(|i| Order {
        customer: i % 17,
        country: [Some("NL"), Some("DE"), None][(i % 3) as usize],
        amount: if i % 7 == 0 { 0 } else { i },
        second: i / 6,
    })
}

fn json_lines() -> String {
    let line = |o: Order| {
        let country = o.country.map_or("null".to_string(), |c| format!("\"{c}\""));
        let (minute, second) = (o.second / 60, o.second % 60);
        format!(
            "{{\"customer\":\"c{}\",\"country\":{country},\"amount\":{},\
             \"at\":\"2026-01-01T12:{minute:02}:{second:02}Z\"}}\n",
            o.customer, o.amount
        )
    };
    orders().map(line).collect()
}

/// (count, sum) by group, of the orders that are not for nothing.
fn expected<K: Ord>(group: impl Fn(&Order) -> K) -> Vec<(K, i64, i64)> {
    let mut groups = std::collections::BTreeMap::new();
    for order in orders().filter(|o| o.amount > 0) {
        let (count, sum) = groups.entry(group(&order)).or_insert((0, 0));
        *count += 1;
        *sum += order.amount;
    }
    groups.into_iter().map(|(key, (count, sum))| (key, count, sum)).collect()
}

#[test]
fn a_program_runs_on_kafka_with_a_registry() {
    let (broker, registry) = (Broker::shared(), SchemaRegistry::shared());
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path();
    std::fs::write(folder.join("orders.avsc"), SCHEMA).expect("written");
    std::fs::write(folder.join("orders.flow"), PROGRAM).expect("written");
    let (servers, url) = (broker.bootstrap(), registry.url().to_string());
    let at = ["--bootstrap", servers.as_str(), "--registry", url.as_str()];
    let topic = |arguments: &[&str], input: &str| {
        done(&[&["topic"], arguments, &at].concat(), folder, input)
    };
    done(&["schema", "register", "orders-value", "orders.avsc", "--registry", &url], folder, "");
    topic(&["create", "orders", "--partitions", "3"], "");
    let produce = ["produce", "orders", "--format", "avro", "--key", "customer"];
    topic(&produce, &json_lines());

    let (registry_is, broker_is) =
        (format!("registry={url}"), format!("properties.bootstrap.servers={servers}"));
    let run = ["run", "orders.flow", "-D", &registry_is, "-D", &broker_is, "--parallelism", "2"];
    done(&run, folder, "");

    let mut windows: Vec<String> =
        topic(&["consume", "per_minute"], "").lines().map(str::to_string).collect();
    windows.sort();
    let window = |((minute, country), count, sum): ((i64, Option<&str>), i64, i64)| {
        let country = country.map_or("null".to_string(), |c| format!("\"{c}\""));
        format!(
            "{{\"window_start\":\"2026-01-01T12:{minute:02}:00Z\",\"country\":{country},\
             \"orders\":{count},\"revenue\":{sum}}}"
        )
    };
    let mut wanted: Vec<String> =
        expected(|o| (o.second / 60, o.country)).into_iter().map(window).collect();
    wanted.sort();
    assert_eq!(windows, wanted);

    // The last record of a key is the answer.
    let totals = topic(&["consume", "totals", "--keys"], "");
    let last: std::collections::BTreeMap<&str, &str> =
        totals.lines().filter_map(|line| line.split_once('\t')).collect();
    let total = |(customer, count, sum): (i64, i64, i64)| {
        format!("{{\"customer\":\"c{customer}\",\"orders\":{count},\"total\":{sum}}}")
    };
    let mut wanted: Vec<String> = expected(|o| o.customer).into_iter().map(total).collect();
    wanted.sort();
    let mut found: Vec<&str> = last.into_values().collect();
    found.sort_unstable();
    assert_eq!(found, wanted);

    let again = flow(&run, folder, "");
    assert!(again.status.success());
    assert!(text(&again.stderr).contains("has finished before"), "{}", text(&again.stderr));
    let groups = broker.tool("groups", &["--describe", "--group", "flow-orders-on-kafka"]);
    assert!(groups.contains("orders"), "tools see the positions: {groups}");
}

/// A command that runs; it is killed when a test gives it up.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the command and leaves it running.
fn spawn(arguments: &[&str], folder: &Path) -> Running {
    let command = Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    Running(command.expect("the command can be run"))
}

#[test]
fn a_second_start_elsewhere_takes_an_idle_job_over() {
    let broker = Broker::shared();
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path();
    let program = "CREATE STREAM calm (v BIGINT) WITH (connector = 'kafka', format = 'json');\n\
                   CREATE STREAM calm_out WITH (connector = 'kafka', format = 'json');\n\
                   INSERT INTO calm_out SELECT v FROM calm;";
    std::fs::write(folder.join("calm.flow"), program).expect("written");
    let servers = broker.bootstrap();
    let at = ["--bootstrap", servers.as_str()];
    let topic = |arguments: &[&str], input: &str| {
        done(&[&["topic"], arguments, &at].concat(), folder, input)
    };
    topic(&["create", "calm"], "");
    topic(&["produce", "calm"], "{\"v\":1}\n");
    let broker_is = format!("properties.bootstrap.servers={servers}");
    let run = |state| spawn(&["run", "calm.flow", "-D", &broker_is, "--state-dir", state], folder);
    let comes = |record: &str, count: usize| {
        let start = Instant::now();
        loop {
            let output = flow(&[&["topic", "consume", "calm_out"][..], &at].concat(), folder, "");
            let shown = text(&output.stdout);
            if shown.lines().filter(|line| *line == record).count() >= count {
                return shown;
            }
            assert!(start.elapsed() < PATIENCE, "{record} never comes: {shown}");
        }
    };
    let mut first = run("first");
    comes("{\"v\":1}", 1);
    let second = run("second");
    let mut told = String::new();
    let stderr = first.0.stderr.as_mut().expect("stderr is a pipe");
    stderr.read_to_string(&mut told).expect("the first ends");
    assert_eq!(first.0.wait().expect("it has ended").code(), Some(3), "{told}");
    assert!(told.contains(&format!("process {}", second.0.id())), "{told}");
    topic(&["produce", "calm"], "{\"v\":2}\n");
    let shown = comes("{\"v\":2}", 1);
    assert_eq!(shown.lines().collect::<Vec<_>>(), ["{\"v\":1}", "{\"v\":2}"]);
}

#[test]
fn a_job_without_an_address_says_how_to_give_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let program = "CREATE STREAM s (v STRING) WITH (connector = 'kafka', format = 'json');\n\
                   CREATE STREAM t WITH (connector = 'blackhole');\n\
                   INSERT INTO t SELECT v FROM s;";
    std::fs::write(dir.path().join("p.flow"), program).expect("written");
    let output = flow(&["run", "p.flow"], dir.path(), "");
    assert_eq!(output.status.code(), Some(4));
    let told = text(&output.stderr);
    assert!(told.contains("properties.bootstrap.servers") && told.contains("--local"), "{told}");
}
