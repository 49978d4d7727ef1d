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

/// A registry without subjects that asks for certificates of its authority.
struct Registry {
    process: std::process::Child,
    port: String,
}

impl Registry {
    fn start(sandbox: &Sandbox) -> Self {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n";
        sandbox.write("subjects", format!("{head}Connection: close\r\n\r\n[]"));
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem"])
            .args(["-CAfile", "ca.pem", "-Verify", "1", "-verify_return_error", "-HTTP"])
            .current_dir(sandbox.path("."))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("openssl can be run");
        let mut said = std::io::BufReader::new(process.stdout.take().expect("it is a pipe"));
        let mut line = String::new();
        while !line.starts_with("ACCEPT") {
            line.clear();
            let read = std::io::BufRead::read_line(&mut said, &mut line).expect("it is text");
            assert!(read > 0, "openssl ended before it listened");
        }
        // Whatever else it says is taken, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let port = line.trim().rsplit(':').next().expect("an address has a port").to_string();
        Self { process, port }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_registry_that_asks_who_comes_is_shown_a_certificate() {
    let sandbox = certified();
    let registry = Registry::start(&sandbox);
    let address = format!("https://127.0.0.1:{}", registry.port);
    let ask = |options: &[&str]| {
        let mut arguments = vec!["schema", "list", "--registry", &address];
        for option in [&["ssl.ca.location=ca.pem"], options].concat() {
            arguments.extend(["--registry-option", option]);
        }
        sandbox.flow(&arguments)
    };
    let (certificate, key) = ("ssl.certificate.location=cert.pem", "ssl.key.location=key.pem");
    ask(&[certificate, key]).expect(0, &[]);
    ask(&[]).expect(4, &["CertificateRequired", "ssl.certificate.location", "ssl.key.location"]);
    ask(&[certificate, "ssl.key.location=ca.key"]).expect(4, &["ssl.key.location", "ca.key"]);
    ask(&[certificate]).expect(4, &["ssl.certificate.location", "no private key in it"]);
    ask(&[key]).expect(4, &["ssl.key.location", "needs the certificate"]);
    ask(&[certificate, "ssl.key.location=none.key"]).expect(4, &["none.key", "No such file"]);
}
