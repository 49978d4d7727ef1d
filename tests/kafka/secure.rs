//! Brokers that ask who comes: jobs over SASL and TLS, and what is told when they are not let in.

use std::sync::{Arc, Mutex, Weak};

use crate::command::Sandbox;
use crate::support::{Broker, Door, shared};

/// The user of `tests/infra/kafka-up --secure`.
const PASSWORD: &str = "alice-secret";

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

fn broker() -> Arc<Broker> {
    static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
    shared(&SHARED, Broker::start_secure)
}

/// Copies a topic by a door, with these client properties.
fn program(broker: &Broker, door: Door, properties: &[(&str, &str)]) -> String {
    let mut options = format!("'properties.bootstrap.servers' = '{}'", broker.bootstrap_by(door));
    for (name, value) in properties {
        options.push_str(&format!(",\n  'properties.{name}' = '{value}'"));
    }
    format!(
        "SET 'epoch.max.records' = '100';
CREATE STREAM numbers (n BIGINT) WITH (connector = 'kafka', topic = '${{TOPIC}}', format = 'json',
  'scan.bounded.mode' = '${{MODE}}', {options});
CREATE STREAM copies WITH (connector = 'kafka', topic = '${{TOPIC}}-copies', format = 'json',
  {options});
INSERT INTO copies SELECT n FROM numbers;"
    )
}

fn numbers(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

fn sorted(range: std::ops::Range<u32>) -> Vec<String> {
    let mut all: Vec<String> = numbers(range).lines().map(str::to_string).collect();
    all.sort();
    all
}

/// Arguments that run `NAME.flow` on a topic of that name.
fn run(name: &str, mode: &str) -> Vec<String> {
    let (topic, mode) = (format!("TOPIC={name}"), format!("MODE={mode}"));
    ["run", &format!("{name}.flow"), "-D", &topic, "-D", &mode].map(str::to_string).to_vec()
}

/// A job by this door with these properties copies every record once.
fn goes(name: &str, door: Door, properties: &[(&str, &str)]) {
    let broker = broker();
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    sandbox.write(&format!("{name}.flow"), program(&broker, door, properties));
    sandbox.fill(name, 2, "n", &numbers(0..500));
    let run = run(name, "latest-offset");
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    sandbox.start_with(&run, &[("ALICE", PASSWORD)]).end().expect(0, &["finished"]);
    assert_eq!(sandbox.all(&format!("{name}-copies")), sorted(0..500));
}

#[test]
fn a_user_with_a_password() {
    let jaas = format!("{PLAIN} required username=\"alice\" password=\"{PASSWORD}\";");
    let plain = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.jaas.config", &jaas)];
    goes("plain", Door::SaslPlaintext, &plain);
    let jaas = format!("{SCRAM} required username=\"alice\" password=\"${{secret:ALICE}}\";");
    let scram = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.jaas.config", &jaas),
    ];
    goes("scram", Door::SaslPlaintext, &scram);
}

#[test]
fn a_user_over_tls() {
    let ca = broker().tls("ca.pem");
    let properties = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", "alice"),
        ("sasl.password", "${secret:ALICE}"),
        ("ssl.ca.location", &ca),
    ];
    goes("sasl-ssl", Door::SaslSsl, &properties);
}

#[test]
fn a_client_with_a_certificate() {
    let broker = broker();
    let file = |name| broker.tls(name);
    let own = [
        ("security.protocol", "SSL"),
        ("ssl.ca.location", &*file("ca.pem")),
        ("ssl.certificate.location", &*file("client.pem")),
        ("ssl.key.location", &*file("client.key")),
    ];
    goes("ssl", Door::Ssl, &own);
    let as_java = [
        ("security.protocol", "SSL"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", &*file("ca.pem")),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", &*file("client-both.pem")),
    ];
    goes("ssl-java", Door::Ssl, &as_java);
    let text = |name| std::fs::read_to_string(broker.tls(name)).expect("it was made");
    let inside = [
        ("security.protocol", "SSL"),
        ("ssl.truststore.certificates", &*text("ca.pem")),
        ("ssl.keystore.certificate.chain", &*text("client.pem")),
        ("ssl.keystore.key", &*text("client.key")),
    ];
    goes("ssl-text", Door::Ssl, &inside);
}

/// A job by this door with these properties is not let in, and is told so with the address.
fn is_refused(name: &str, door: Door, properties: &[(&str, &str)], told: &[&str]) {
    let broker = broker();
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    sandbox.write(&format!("{name}.flow"), program(&broker, door, properties));
    let run = run(name, "latest-offset");
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let ended = sandbox.start_with(&run, &[("WRONG", "not-it-at-all")]).end();
    ended.expect(4, &[&broker.bootstrap_by(door), "properties.bootstrap.servers"]);
    ended.expect(4, told);
    assert!(!ended.stderr.contains("not-it-at-all"), "{}", ended.stderr);
}

#[test]
fn a_user_who_is_not_known() {
    let login = |mechanism, user| {
        [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", user),
            ("sasl.password", "${secret:WRONG}"),
        ]
    };
    let told = ["refuses this client", "'properties.sasl.username'", "'properties.sasl.password'"];
    is_refused("wrong-plain", Door::SaslPlaintext, &login("PLAIN", "alice"), &told);
    is_refused("wrong-scram", Door::SaslPlaintext, &login("SCRAM-SHA-256", "alice"), &told);
    is_refused("nobody", Door::SaslPlaintext, &login("SCRAM-SHA-256", "bob"), &told);
    let told = ["refuses this client", "'properties.sasl.mechanism'", "SCRAM-SHA-256"];
    is_refused("mechanism", Door::SaslPlaintext, &login("SCRAM-SHA-512", "alice"), &told);
}

#[test]
fn certificates_that_do_not_do() {
    let broker = broker();
    let (ca, other) = (broker.tls("ca.pem"), broker.tls("other-ca.pem"));
    let told = ["refuses this client", "verif", "'properties.ssl.ca.location'"];
    let unknown = [("security.protocol", "SSL")];
    is_refused("unknown-authority", Door::Ssl, &unknown, &told);
    let wrong = [("security.protocol", "SSL"), ("ssl.ca.location", &*other)];
    is_refused("wrong-authority", Door::Ssl, &wrong, &told);
    let nothing_shown = [("security.protocol", "SSL"), ("ssl.ca.location", &*ca)];
    let told = ["refuses this client", "'properties.ssl.certificate.location'"];
    is_refused("no-certificate", Door::Ssl, &nothing_shown, &told);
}

#[test]
fn a_protocol_that_is_not_spoken_there() {
    let (broker, sandbox) = (broker(), Sandbox::new());
    let told = |door, properties: &[&str]| {
        let address = broker.bootstrap_by(door);
        let properties = properties.iter().flat_map(|property| ["--property", property]);
        let list: Vec<&str> =
            ["topic", "list", "--bootstrap", &address].into_iter().chain(properties).collect();
        let parts = ["no broker answers at", &address, "'properties.security.protocol'"];
        sandbox.flow(&list).expect(4, &parts);
    };
    told(Door::Ssl, &[]);
    told(Door::SaslPlaintext, &[]);
    let user = ["sasl.mechanism=PLAIN", "sasl.username=alice", "sasl.password=alice-secret"];
    told(Door::SaslPlaintext, &[&user[..], &["security.protocol=SASL_SSL"]].concat());
}

#[test]
fn settings_that_no_client_can_be_made_of() {
    let broker = broker();
    let sandbox = Sandbox::new();
    let told = |properties: &[(&str, &str)], parts: &[&str]| {
        sandbox.write("bad.flow", program(&broker, Door::SaslSsl, properties));
        let run = run("bad", "latest-offset");
        let run: Vec<&str> = run.iter().map(String::as_str).collect();
        sandbox.flow(&run).expect(4, parts);
    };
    told(&[("security.protocol", "TLS")], &["'properties.security.protocol'", "TLS"]);
    told(&[("security.protocol", "SASL_SSL")], &["'properties.sasl.mechanism'", "SCRAM-SHA-256"]);
    let no_file = [("security.protocol", "SSL"), ("ssl.ca.location", "/no/such.pem")];
    told(&no_file, &["ssl.ca.location", "No such file"]);
    told(&[("sasl.password", "${secret:NOT_SET}")], &["'sasl.password'", "NOT_SET"]);
    told(&[("ssl.truststore.location", "t.jks")], &["'properties.ssl.ca.location'", "keytool"]);
    let kerberos = [("sasl.jaas.config", "a.Krb5LoginModule required;")];
    told(&kerberos, &["'properties.sasl.jaas.config'", "Krb5LoginModule"]);
}

#[test]
fn a_job_over_tls_outlives_a_kill_and_a_broker_that_comes_back() {
    let mut broker = Broker::start_secure();
    let ca = broker.tls("ca.pem");
    let properties = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", "alice"),
        ("sasl.password", PASSWORD),
        ("ssl.ca.location", &*ca),
    ];
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    sandbox.write("copy.flow", program(&broker, Door::SaslSsl, &properties));
    sandbox.fill("copy", 2, "n", &numbers(0..1_000));
    let run = run("copy", "unbounded");
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let mut job = sandbox.start(&run);
    assert!(sandbox.wait_for_epochs(&mut job, "copy", 3), "it goes on");
    job.kill();
    let mut job = sandbox.start(&run);
    sandbox.wait_for_input(&mut job, "copy", &[("numbers", 1_000)]);
    broker.kill();
    broker.restart();
    sandbox.produce("copy", "n", &numbers(1_000..2_000));
    sandbox.wait_for_input(&mut job, "copy", &[("numbers", 2_000)]);
    job.interrupt().expect(0, &["stopped"]);
    assert_eq!(sandbox.all("copy-copies"), sorted(0..2_000));
}
