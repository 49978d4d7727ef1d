//! A registry that asks who comes: its credentials are secrets, which are filled in when it is
//! asked and are in nothing that is written or shown.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::command::Sandbox;
use crate::support::{Broker, SchemaRegistry};

const PASSWORD: &str = "registry-secret";

/// `me:registry-secret` as a header carries it.
const BASIC: &str = "Basic bWU6cmVnaXN0cnktc2VjcmV0";

const TOKEN: &str = "a-bearers-token";

const SCHEMA: &str = r#"{"type": "record", "name": "Click", "fields": [
  {"name": "page", "type": "string"}, {"name": "n", "type": "long"}]}"#;

/// Stands before the registry as a proxy that knows its users does. Whom it does not know it tells
/// what it was sent. Gives its address.
fn gate(registry: &SchemaRegistry) -> String {
    let (upstream, path) =
        registry.url().strip_prefix("http://").and_then(|a| a.split_once('/')).expect("a URL");
    let upstream = upstream.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/{path}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that goes away is no concern of the next one.
            let _ = serve(client, &upstream);
        }
    });
    address
}

fn serve(mut client: TcpStream, upstream: &str) -> std::io::Result<()> {
    let mut from = BufReader::new(client.try_clone()?);
    let (mut head, mut length, mut shown) = (String::new(), 0, String::new());
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => shown = value.trim().to_string(),
            "connection" => continue,
            _ => {}
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    if shown != BASIC && shown != format!("Bearer {TOKEN}") {
        let told = format!("nobody shows `{shown}` here");
        let head = "HTTP/1.1 401 Unauthorized\r\nConnection: close";
        return write!(client, "{head}\r\nContent-Length: {}\r\n\r\n{told}", told.len());
    }
    let mut server = TcpStream::connect(upstream)?;
    write!(server, "{head}Connection: close\r\n\r\n")?;
    server.write_all(&body)?;
    std::io::copy(&mut server, &mut client).map(|_| ())
}

fn program(gate: &str) -> String {
    let registry = format!(
        "format = 'avro', 'avro-confluent.url' = '{gate}',
  'avro-confluent.basic-auth.credentials-source' = 'USER_INFO',
  'avro-confluent.basic-auth.user-info' = 'me:${{secret:REGISTRY_PASSWORD}}'"
    );
    format!(
        "CREATE STREAM clicks WITH (connector = 'kafka', topic = 'gated',
  'scan.bounded.mode' = 'latest-offset', {registry});
CREATE STREAM more WITH (connector = 'kafka', topic = 'gated-more', {registry});
INSERT INTO more SELECT page, n + 1 AS n FROM clicks;"
    )
}

/// A sandbox with a topic of clicks and the program that reads it; and the gate's address.
fn gated() -> (Sandbox, String) {
    let gate = gate(&SchemaRegistry::shared());
    let sandbox = Sandbox::on_kafka(&Broker::shared().bootstrap());
    sandbox.write("p.flow", program(&gate));
    sandbox.write("click.avsc", SCHEMA);
    (sandbox, gate)
}

#[test]
fn credentials_are_filled_in_where_the_registry_is_asked_and_nowhere_else() {
    let (_registry, _broker) = (SchemaRegistry::shared(), Broker::shared());
    let (sandbox, gate) = gated();
    let secret = [("TOKEN", TOKEN), ("REGISTRY_PASSWORD", PASSWORD)];
    let done = |arguments: &[&str]| {
        let ended = sandbox.start_with(arguments, &secret).end();
        ended.expect(0, &[]);
        assert!(!format!("{ended:?}").contains(PASSWORD), "{ended:?}");
        ended.stdout
    };
    let bearer = ["--registry", &gate, "--registry-option", "bearer-auth.token=${secret:TOKEN}"];
    done(&[&["schema", "register", "gated-value", "click.avsc"], &bearer[..]].concat());
    assert!(done(&[&["schema", "list"], &bearer[..]].concat()).contains("gated-value"));
    done(&["topic", "create", "gated"]);
    sandbox.write("clicks.jsonl", "{\"page\":\"a\",\"n\":1}\n{\"page\":\"b\",\"n\":2}\n");
    let produce = ["topic", "produce", "gated", "clicks.jsonl", "--format", "avro"];
    done(&[&produce, &bearer[..]].concat());
    let told = done(&[&["topic", "describe", "gated"], &bearer[..]].concat());
    let partition = told.lines().nth(2).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let partition = partition.expect("it has a partition");
    assert!(partition[..2] == ["0", "0"] && partition[4].starts_with("20"), "{told}");
    assert!(told.contains("\nvalue  gated-value: id ") && told.contains(", version 1, "), "{told}");
    let check = [&["schema", "check", "gated-value", "click.avsc"], &bearer[..]].concat();
    assert!(done(&check).starts_with("gated-value: compatible with version 1 ("));
    sandbox.write("string.avsc", SCHEMA.replace("\"long\"", "\"string\""));
    let check = [&["schema", "check", "gated-value", "string.avsc"], &bearer[..]].concat();
    sandbox.start_with(&check, &secret).end().expect(1, &["version 1: n: "]);

    done(&["check", "p.flow"]);
    for stage in ["typed", "logical", "optimized", "physical"] {
        done(&["explain", "p.flow", "--stage", stage]);
    }
    done(&["build", "p.flow", "-o", "p.flowjob"]);
    let job = std::fs::read(sandbox.path("p.flowjob")).expect("it was built");
    let job = String::from_utf8_lossy(&job).into_owned();
    assert!(!job.contains(PASSWORD) && job.contains("${secret:REGISTRY_PASSWORD}"));

    std::fs::create_dir(sandbox.path("secrets")).expect("made");
    sandbox.write("secrets/REGISTRY_PASSWORD", format!("{PASSWORD}\n"));
    let run = sandbox.start_with(&["run", "p.flowjob"], &[("FLOW_SECRETS_DIR", "secrets")]);
    run.end().expect(0, &["finished", "in 2"]);
    let more = done(&[&["topic", "consume", "gated-more"], &bearer[..]].concat());
    assert_eq!(more, "{\"page\":\"a\",\"n\":2}\n{\"page\":\"b\",\"n\":3}\n");
}

#[test]
fn credentials_that_do_not_do_are_told_by_their_option_and_not_shown() {
    let (_registry, _broker) = (SchemaRegistry::shared(), Broker::shared());
    let (sandbox, gate) = gated();
    let none = sandbox.flow(&["check", "p.flow"]);
    none.expect(1, &["avro-confluent.basic-auth.user-info", "REGISTRY_PASSWORD"]);
    let wrong = [("REGISTRY_PASSWORD", "not-this-one")];
    for command in ["check", "run"] {
        let ended = sandbox.start_with(&[command, "p.flow"], &wrong).end();
        ended.expect(1, &[&gate, "(401)", "basic-auth.user-info", "bearer-auth.token"]);
        assert!(!ended.stderr.contains("not-this-one"), "{}", ended.stderr);
        // Nor as the header carries it: `me:not-this-one`.
        assert!(!ended.stderr.contains("bWU6bm90LXRoaXMtb25l"), "{}", ended.stderr);
    }
    let list = ["schema", "list", "--registry", &gate, "--registry-option"];
    sandbox.flow(&[&list[..], &["bearer-auth.tokn=x"]].concat()).expect(2, &["bearer-auth.tokn"]);
}
