//! Connections by TLS, with a certificate of one's own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use super::{Sandbox, Server};

/// An authority, and a certificate of it for this machine: `ca.pem`, `cert.pem`, `key.pem`.
fn certified() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("san.cnf", "subjectAltName=IP:127.0.0.1\n");
    for command in [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
        "req -newkey rsa:2048 -nodes -keyout key.pem -out cert.csr -subj /CN=localhost",
        "x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 \
         -extfile san.cnf",
    ] {
        let made = Command::new("openssl")
            .args(command.split_whitespace())
            .current_dir(sandbox.path("."))
            .output()
            .expect("openssl can be run");
        assert!(made.status.success(), "{command}: {made:?}");
    }
    sandbox.write("flow.toml", "[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n");
    sandbox
}

#[test]
fn commands_reach_it_if_they_trust_its_authority_and_plain_http_does_not() {
    let server = Server::start_in(certified(), &[]);
    assert!(server.address.starts_with("https://127.0.0.1:"), "{}", server.address);
    std::fs::create_dir_all(server.sandbox.path("config/flow")).expect("a folder");
    std::fs::copy(server.sandbox.path("ca.pem"), server.sandbox.path("config/flow/ca.pem"))
        .expect("it can be copied");
    let context = |ca: &str| {
        let address = &server.address;
        let text = format!("context = 'a'\n[contexts.a]\nserver = '{address}'\n{ca}\n");
        server.sandbox.write("config/flow/config.toml", text);
        let config = server.sandbox.path("config").display().to_string();
        let listed = server.sandbox.start_with(&["jobs", "list"], &[("XDG_CONFIG_HOME", &config)]);
        listed.end()
    };
    context("ca = 'ca.pem'").expect(0, &[]);
    context("").expect(4, &["no server answers", "certificate"]);
    let mut plain = TcpStream::connect(server.host()).expect("it accepts");
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    // A connection that is reset has ended too.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    context("ca = 'ca.pem'").expect(0, &[]);
}

#[test]
fn a_key_that_does_not_belong_to_the_certificate_is_refused_at_start() {
    let sandbox = certified();
    for (key, part) in [("ca.key", "cert.pem"), ("none.pem", "none.pem"), ("cert.pem", "cert.pem")]
    {
        sandbox.write("flow.toml", format!("[tls]\ncertificate = 'cert.pem'\nkey = '{key}'\n"));
        let started = ["server", "--local", "data", "--listen", "127.0.0.1:0"];
        sandbox.flow(&started).expect(4, &[part]);
    }
}
