//! Formats on a real broker: delimited text, and Debezium's envelopes as a table.

use crate::job::done;
use crate::support::Broker;

const PROGRAM: &str = "
CREATE TABLE customers (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED)
WITH ('connector' = 'kafka', 'topic' = 'formats-customers', 'format' = 'debezium-json',
      'scan.bounded.mode' = 'latest-offset');
CREATE TABLE orders (customer INT, amount DECIMAL(8, 2), note STRING)
WITH ('connector' = 'kafka', 'topic' = 'formats-orders', 'format' = 'csv',
      'csv.field-delimiter' = ';', 'scan.bounded.mode' = 'latest-offset');
CREATE TABLE totals (name STRING, total DECIMAL(38, 2), PRIMARY KEY (name) NOT ENFORCED)
WITH ('connector' = 'kafka', 'topic' = 'formats-totals', 'key.format' = 'raw',
      'value.format' = 'csv');
INSERT INTO totals
SELECT name, SUM(amount) FROM orders JOIN customers ON customer = id GROUP BY name;
";

/// Writes the orders.
const FILL: &str = "
CREATE TABLE file (customer INT, amount DECIMAL(8, 2), note STRING)
WITH ('connector' = 'file', 'path' = 'orders.csv', 'format' = 'csv', 'csv.field-delimiter' = ';');
CREATE TABLE orders (customer INT, amount DECIMAL(8, 2), note STRING)
WITH ('connector' = 'kafka', 'topic' = 'formats-orders', 'format' = 'csv',
      'csv.field-delimiter' = ';');
INSERT INTO orders SELECT * FROM file;
";

const CHANGES: &str = r#"{"before":null,"after":{"id":1,"name":"Ada"},"op":"r","ts_ms":1}
{"before":null,"after":{"id":2,"name":"Bob"},"op":"c","ts_ms":2}
{"before":{"id":2,"name":"Bob"},"after":{"id":2,"name":"Bea"},"op":"u","ts_ms":3}
{"before":null,"after":{"id":3,"name":"Cy"},"op":"c","ts_ms":4}
{"before":{"id":3,"name":"Cy"},"after":null,"op":"d","ts_ms":5}
"#;

const ORDERS: &str = "1;10.50;\"first; really\"\n2;5;\n1;0.25;x\n3;99;gone\n";

#[test]
fn delimited_text_and_envelopes_on_a_broker() {
    let broker = Broker::shared();
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path();
    let servers = broker.bootstrap();
    let at = ["--bootstrap", servers.as_str()];
    let topic = |arguments: &[&str], input: &str| {
        done(&[&["topic"], arguments, &at].concat(), folder, input)
    };
    topic(&["create", "formats-customers"], "");
    topic(&["produce", "formats-customers"], CHANGES);
    let files = [("orders.csv", ORDERS), ("fill.flow", FILL), ("formats.flow", PROGRAM)];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("written");
    }
    let broker_is = format!("properties.bootstrap.servers={servers}");
    for program in ["fill.flow", "formats.flow"] {
        done(&["run", program, "-D", &broker_is], folder, "");
    }
    let totals = topic(&["consume", "formats-totals", "--keys"], "");
    let last: std::collections::BTreeMap<&str, &str> =
        totals.lines().filter_map(|line| line.split_once('\t')).collect();
    let rows = ["Ada,10.75", "Bea,5.00"];
    assert_eq!(last.into_values().filter(|row| *row != "null").collect::<Vec<_>>(), rows);
}
