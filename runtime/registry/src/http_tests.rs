//! The HTTP client against a peer of a few lines that answers as it is told and keeps what it was
//! sent.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::rest::TRIES_MAX;
use crate::{
    CompatibilityLevel, Credentials, HttpRegistry, Options, Registry, RegistryError, Schema,
    Verdict,
};

/// Answers one connection after the other, each with the next status and body; status 0 hangs up.
/// Gives its address, and on join the requests: first line, `Authorization`, and body.
fn peer(answers: Vec<(u16, &'static str)>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            requests.push(read_request(&mut BufReader::new(&stream)));
            if status > 0 {
                let length = body.len();
                let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
                write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
            }
        }
        requests
    });
    (address, thread)
}

fn read_request(from: &mut impl BufRead) -> String {
    let (mut shown, mut length, mut line) = (String::new(), 0, String::new());
    while from.read_line(&mut line).unwrap() > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if shown.is_empty() {
            shown = line.trim_end_matches(" HTTP/1.1\r\n").to_owned();
        } else if lower.starts_with("authorization:") {
            shown = format!("{shown} [{}]", line[14..].trim());
        }
        line.clear();
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).unwrap();
    format!("{shown} {}", String::from_utf8(body).unwrap()).trim_end().to_owned()
}

fn options() -> Options {
    let mut options = Options::new("avro-confluent.url");
    options.first_backoff = Duration::from_millis(1);
    options.timeout = Duration::from_secs(20);
    options
}

fn registry(addresses: &str) -> HttpRegistry {
    HttpRegistry::new(addresses, &options()).unwrap()
}

#[test]
fn requests_are_confluents() {
    let version = r#"{"subject":"a/b","version":3,"id":7,"schema":"\"long\""}"#;
    let (address, peer) = peer(vec![
        (200, r#"["b","a"]"#),
        (200, version),
        (200, r#"{"schema":"\"long\""}"#),
        (200, r#"{"id":7}"#),
        (404, r#"{"error_code":40408,"message":"no level"}"#),
        (200, r#"{"compatibilityLevel":"FULL"}"#),
        (200, r#"{"is_compatible":false,"messages":["no default"]}"#),
        (404, r#"{"error_code":40401,"message":"no subject"}"#),
    ]);
    let registry = registry(&address);
    let schema = Schema::avro("\"long\"");
    assert_eq!(registry.subjects().unwrap(), ["a", "b"]);
    let latest = registry.latest("a/b").unwrap().unwrap();
    assert_eq!((latest.version, latest.id, &latest.schema), (3, 7, &schema));
    assert_eq!(registry.by_id(7).unwrap(), Some(schema.clone()));
    assert_eq!(registry.register("a/b", &schema).unwrap(), 7);
    assert_eq!(registry.compatibility("a/b").unwrap(), CompatibilityLevel::Full);
    let verdict = registry.check_compatible("a/b", &schema).unwrap();
    assert_eq!(verdict, Verdict::Incompatible(vec!["no default".into()]));
    assert_eq!(registry.check_compatible("new", &schema).unwrap(), Verdict::Compatible);
    let body = r#"{"schema":"\"long\""}"#;
    let want = [
        "GET /subjects".to_owned(),
        "GET /subjects/a%2Fb/versions/latest".to_owned(),
        "GET /schemas/ids/7".to_owned(),
        format!("POST /subjects/a%2Fb/versions {body}"),
        "GET /config/a%2Fb?defaultToGlobal=true".to_owned(),
        "GET /config".to_owned(),
        format!("POST /compatibility/subjects/a%2Fb/versions?verbose=true {body}"),
        format!("POST /compatibility/subjects/new/versions?verbose=true {body}"),
    ];
    assert_eq!(peer.join().unwrap(), want);
}

#[test]
fn failures_that_may_pass_are_tried_again() {
    let (address, peer) = peer(vec![(503, ""), (0, ""), (429, "slow down"), (200, "[1]")]);
    assert_eq!(registry(&address).versions("s").unwrap(), [1]);
    assert_eq!(peer.join().unwrap().len(), 4);
}

#[test]
fn a_registry_that_stays_broken_ends_in_its_own_words() {
    let answer = (500, r#"{"error_code":50001,"message":"store is down"}"#);
    let (address, peer) = peer(vec![answer; TRIES_MAX as usize]);
    let error = registry(&address).versions("s").unwrap_err();
    assert!(matches!(error, RegistryError::Server { status: 500, .. }), "{error}");
    assert!(error.to_string().contains("store is down"), "{error}");
    assert_eq!(peer.join().unwrap().len(), TRIES_MAX as usize);
}

/// An address at which nothing listens.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn an_unreachable_registry_is_named_with_its_setting() {
    let with_password = NOBODY.replace("http://", "http://me:secret@");
    let error = registry(&with_password).latest("s").unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { tries: TRIES_MAX, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(NOBODY) && text.contains("avro-confluent.url"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn the_next_address_is_tried_and_then_kept() {
    let (address, peer) = peer(vec![(200, "[1]"), (200, "[1, 2]")]);
    let registry = registry(&format!("{NOBODY},{address}"));
    assert_eq!(registry.versions("s").unwrap(), [1]);
    assert_eq!(registry.versions("s").unwrap(), [1, 2]);
    assert_eq!(peer.join().unwrap().len(), 2);
}

#[test]
fn credentials_go_with_every_request_and_a_refusal_names_the_settings() {
    let (address, peer) = peer(vec![(200, "[]"), (200, "[]"), (401, "no entry for `me:wrong`")]);
    let ask = |address: &str, credentials| {
        let options = Options { credentials, ..options() };
        HttpRegistry::new(address, &options).unwrap().subjects()
    };
    ask(&address.replace("http://", "http://me:p%40ss@"), None).unwrap();
    ask(&address, Some(Credentials::Bearer("t0ken".into()))).unwrap();
    let error = ask(&address, Some(Credentials::Basic("me:wrong".into()))).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { status: 401, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("avro-confluent.basic-auth.user-info"), "{text}");
    assert!(!text.contains("wrong") && text.contains("no entry for `…`"), "{text}");
    let want = [
        "GET /subjects [Basic bWU6cEBzcw==]",
        "GET /subjects [Bearer t0ken]",
        "GET /subjects [Basic bWU6d3Jvbmc=]",
    ];
    assert_eq!(peer.join().unwrap(), want);
}

#[test]
fn refusals_and_strange_answers_are_told_apart() {
    let (address, peer) = peer(vec![
        (409, r#"{"error_code":409,"message":"field x has no default"}"#),
        (422, r#"{"error_code":42201,"message":"not Avro"}"#),
        (404, "<h1>Not Found</h1>"),
        (200, "<h1>Welcome</h1>"),
        (200, r#"{"compatibilityLevel":"SIDEWAYS"}"#),
    ]);
    let registry = registry(&address);
    let schema = Schema::avro("{}");
    let error = registry.register("s", &schema).unwrap_err();
    let RegistryError::Incompatible { messages, .. } = &error else { panic!("{error}") };
    assert_eq!(messages, &["field x has no default"]);
    let error = registry.register("s", &schema).unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error}");
    for _ in 0..2 {
        let error = registry.subjects().unwrap_err();
        assert!(matches!(error, RegistryError::Server { .. }), "{error}");
        assert!(error.to_string().contains("/subjects"), "{error}");
    }
    let error = registry.compatibility("s").unwrap_err();
    assert!(error.to_string().contains("SIDEWAYS"), "{error}");
    peer.join().unwrap();
}

#[test]
fn a_certificate_file_is_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let open = || {
        let options = Options { ca_file: Some(file.clone()), ..options() };
        HttpRegistry::new("https://sr", &options).err().unwrap().to_string()
    };
    let missing = open();
    std::fs::write(&file, "no certificate").unwrap();
    for error in [missing, open()] {
        assert!(error.contains("avro-confluent.ssl.ca.location"), "{error}");
        assert!(error.contains("ca.pem"), "{error}");
    }
}
