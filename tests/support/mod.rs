//! A Kafka broker and a schema registry for tests, started and stopped by the scripts in
//! `tests/infra`. A test file takes this module in with `#[path = "…/tests/support/mod.rs"]`.
//!
//! Each server has a temporary folder and ports of its own, so tests run side by side. It ends when
//! its value is dropped, and also when the test process dies in any other way: the script that
//! attends it waits for the end of our pipe.
#![allow(dead_code)] // each test binary uses its own part

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A start is tried again with other ports when another process took one in between.
const STARTS_MAX: usize = 3;

/// Below the ports that the system gives to outgoing connections: a client that knocks at a stopped
/// server's port again and again could else be given that very port, and hold it.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// An Apache Kafka broker. It does not create topics by itself.
pub(crate) struct Broker {
    server: Server,
    port: u16,
    controller: u16,
    /// Of the listeners with security, if there are any: SASL_PLAINTEXT, SASL_SSL, SSL.
    secure: Option<[u16; 3]>,
}

/// A way into a broker that asks who comes; see `tests/infra/kafka-up`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    SaslPlaintext,
    SaslSsl,
    Ssl,
}

impl Broker {
    /// Starts a broker with no data; takes about 3 seconds.
    pub(crate) fn start() -> Broker {
        Broker::start_with("")
    }

    /// The same with more lines for its `server.properties`.
    pub(crate) fn start_with(properties: &str) -> Broker {
        Broker::start_as(properties, false)
    }

    /// A broker that also listens with SASL and TLS.
    pub(crate) fn start_secure() -> Broker {
        Broker::start_as("", true)
    }

    fn start_as(properties: &str, secure: bool) -> Broker {
        for _ in 0..STARTS_MAX {
            let mut broker = Broker {
                server: Server::new(),
                port: free_port(),
                controller: free_port(),
                secure: secure.then(|| [free_port(), free_port(), free_port()]),
            };
            let extra = broker.server.dir.path().join("extra.properties");
            std::fs::write(extra, properties).expect("the temporary folder can be written");
            if broker.up() {
                return broker;
            }
        }
        panic!("no broker after {STARTS_MAX} starts: see the messages above");
    }

    /// One broker for all tests of a process that are running at the same time.
    pub(crate) fn shared() -> Arc<Broker> {
        static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
        shared(&SHARED, Broker::start)
    }

    /// For `bootstrap.servers`.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The same by a door of a broker that was started with security.
    pub(crate) fn bootstrap_by(&self, door: Door) -> String {
        let [sasl, sasl_ssl, ssl] = self.secure.expect("started with security");
        let port = match door {
            Door::SaslPlaintext => sasl,
            Door::SaslSsl => sasl_ssl,
            Door::Ssl => ssl,
        };
        format!("127.0.0.1:{port}")
    }

    /// A file with a certificate or a key of a broker that was started with security.
    pub(crate) fn tls(&self, name: &str) -> String {
        self.server.tls(name)
    }

    /// Ends the broker with SIGKILL. Its data stays.
    pub(crate) fn kill(&mut self) {
        run("kafka-down", &[&self.server.path(), "KILL"]);
        self.server.leave();
    }

    /// Ends the broker in order. Its data stays.
    pub(crate) fn stop(&mut self) {
        run("kafka-down", &[&self.server.path()]);
        self.server.leave();
    }

    /// Starts a broker that was killed or stopped again, at the same address.
    pub(crate) fn restart(&mut self) {
        assert!(self.up(), "the broker did not start again: see the messages above");
    }

    /// Runs one of Kafka's command-line tools (see `tests/infra/kafka-tool`); its standard output.
    pub(crate) fn tool(&self, name: &str, arguments: &[&str]) -> String {
        let bootstrap = self.bootstrap();
        let mut all = vec![name, "--bootstrap-server", &bootstrap];
        all.extend(arguments);
        run("kafka-tool", &all)
    }

    fn up(&mut self) -> bool {
        let mut arguments = vec![self.port.to_string(), self.controller.to_string()];
        if let Some(ports) = self.secure {
            arguments.push("--secure".into());
            arguments.extend(ports.map(|port| port.to_string()));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.server.start("kafka-up", &arguments).is_some()
    }
}

/// A schema registry with Confluent's REST API and its default compatibility level, BACKWARD.
pub(crate) struct SchemaRegistry {
    server: Server,
    port: u16,
    secure: bool,
    url: String,
}

impl SchemaRegistry {
    /// Starts an empty registry; takes about 3 seconds.
    pub(crate) fn start() -> SchemaRegistry {
        SchemaRegistry::start_as(false)
    }

    /// The same by https only, with a certificate of an authority of its own.
    pub(crate) fn start_secure() -> SchemaRegistry {
        SchemaRegistry::start_as(true)
    }

    fn start_as(secure: bool) -> SchemaRegistry {
        for _ in 0..STARTS_MAX {
            let (server, port, url) = (Server::new(), free_port(), String::new());
            let mut registry = SchemaRegistry { server, port, secure, url };
            if registry.up() {
                return registry;
            }
        }
        panic!("no schema registry after {STARTS_MAX} starts: see the messages above");
    }

    /// One registry for all tests of a process that are running at the same time.
    pub(crate) fn shared() -> Arc<SchemaRegistry> {
        static SHARED: Mutex<Weak<SchemaRegistry>> = Mutex::new(Weak::new());
        shared(&SHARED, SchemaRegistry::start)
    }

    /// The address to which `/subjects` can be appended.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A file with a certificate of a registry that was started with security.
    pub(crate) fn tls(&self, name: &str) -> String {
        self.server.tls(name)
    }

    /// Ends the registry. Its schemas stay.
    pub(crate) fn stop(&mut self) {
        run("registry-down", &[&self.server.path()]);
        self.server.leave();
    }

    /// Starts a registry that was stopped again, at the same address.
    pub(crate) fn restart(&mut self) {
        assert!(self.up(), "the registry did not start again: see the messages above");
    }

    fn up(&mut self) -> bool {
        let port = self.port.to_string();
        let arguments: &[&str] = if self.secure { &[&port, "--secure"] } else { &[&port] };
        match self.server.start("registry-up", arguments) {
            Some(url) => self.url = url,
            None => return false,
        }
        true
    }
}

/// A folder, and the script that attends the server in it.
struct Server {
    dir: tempfile::TempDir,
    attendant: Option<Child>,
}

impl Server {
    fn new() -> Server {
        let dir = tempfile::Builder::new().prefix("flow-test-").tempdir();
        Server { dir: dir.expect("a temporary folder can be made"), attendant: None }
    }

    fn path(&self) -> String {
        self.dir.path().display().to_string()
    }

    fn tls(&self, name: &str) -> String {
        self.dir.path().join("tls").join(name).display().to_string()
    }

    /// Runs `script DIR ARGUMENT… --attend` and gives the line that it prints once the server
    /// answers.
    fn start(&mut self, script: &str, arguments: &[&str]) -> Option<String> {
        assert!(self.attendant.is_none(), "{script}: stop it before it is started again");
        let mut child = Command::new(infra().join(script))
            .arg(self.dir.path())
            .args(arguments)
            .arg("--attend")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script can be run");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the pipe can be read");
        self.attendant = Some(child);
        if line.is_empty() {
            self.leave();
            return None;
        }
        Some(line.trim_end().to_owned())
    }

    /// Closes the attendant's input, upon which it kills a server that still runs, and waits for
    /// it.
    fn leave(&mut self) {
        if let Some(mut child) = self.attendant.take() {
            drop(child.stdin.take());
            // Also called on drop: no panic, and a script that failed has said so itself.
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One server for all tests of a process that are running at the same time.
pub(crate) fn shared<T>(slot: &Mutex<Weak<T>>, start: fn() -> T) -> Arc<T> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    slot.upgrade().unwrap_or_else(|| {
        let value = Arc::new(start());
        *slot = Arc::downgrade(&value);
        value
    })
}

/// Runs a script of `tests/infra` to its end and gives its standard output.
fn run(script: &str, arguments: &[&str]) -> String {
    let output = Command::new(infra().join(script))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .expect("the script can be run");
    assert!(output.status.success(), "{script} {arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// `tests/infra`, from whichever crate of the workspace includes this file.
fn infra() -> PathBuf {
    let mut folders = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = folders.find_map(|folder| {
        let infra = folder.join("tests/infra");
        infra.join("kafka-up").is_file().then_some(infra)
    });
    found.expect("the crate is inside the workspace")
}

/// A port of `PORTS` on which nothing listens now.
fn free_port() -> u16 {
    let start = RandomState::new().hash_one(0u8);
    let count = u64::from(PORTS.end - PORTS.start);
    let mut ports = (0..count).filter_map(|i| u16::try_from((start % count + i) % count).ok());
    ports
        .find_map(|offset| {
            let port = PORTS.start + offset;
            TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
        })
        .expect("some port is free")
}
