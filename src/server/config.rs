//! What a server is told: `flow.toml`, and the command line, which wins. Every key is known: a
//! misspelt one is refused with the nearest that there is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::exit::{Failure, Result};

/// Where a server listens when nothing is said.
pub const LISTEN: &str = "127.0.0.1:7878";

/// Settings of a server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port.
    pub listen: Option<String>,
    /// Folder of jobs, artifacts, tokens and states.
    pub data: Option<PathBuf>,
    /// Folder of the embedded log; without it topics are on Kafka.
    pub local: Option<PathBuf>,
    /// State in memory of all jobs together.
    pub memory: Option<Size>,
    /// Properties of Kafka clients, for what programs leave open.
    pub kafka: BTreeMap<String, String>,
    /// The schema registry of streams that name none.
    pub registry: RegistryConfig,
    /// How jobs are run.
    pub jobs: JobsConfig,
    /// Where secrets are.
    pub secrets: SecretsConfig,
    /// Certificate and key.
    pub tls: Option<TlsConfig>,
    /// Limits of requests.
    pub limits: Limits,
    /// The server's own log.
    pub log: LogConfig,
    /// The log of who did what.
    pub audit: AuditConfig,
}

/// `[registry]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Its address; else that of SCHEMA_REGISTRY_URL.
    pub url: Option<String>,
}

/// `[jobs]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Workers of a job that asks for no number. One: threads then grow by the job, and many jobs
    /// share the cores as the system sees fit.
    pub parallelism: u16,
    /// How often a job is started again after failures in a row that may go away.
    pub restarts: u32,
    /// Folder in which jobs may read and write files; without it they may not.
    pub files: Option<PathBuf>,
    /// Lines of its log that are kept for a job.
    pub log_lines: usize,
    /// Whether the per-record work is compiled to native code, or else interpreted.
    pub jit: bool,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self { parallelism: 1, restarts: 10, files: None, log_lines: 1_000, jit: true }
    }
}

/// `[secrets]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    /// Folder with a file a secret, beside the environment.
    pub folder: Option<PathBuf>,
}

/// `[tls]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a request's body: an artifact holds its program, so programs fit amply.
    pub body: Size,
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
    /// Requests that are worked on at once; more wait.
    pub requests: usize,
    /// Live results and followed logs at once; more are refused.
    pub streams: usize,
    /// Requests a second of a token, or of an address without one; twice as many in a burst.
    pub rate: u32,
    /// Seconds for a request from its head to its answer, and for a client to take what it is sent.
    pub seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: Size(16 << 20),
            connections: 2_048,
            requests: 512,
            streams: 1_024,
            rate: 2_000,
            seconds: 30,
        }
    }
}

impl Limits {
    /// `seconds` as a duration.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.seconds.max(1))
    }
}

/// `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Lines for people, or a JSON object a line.
    pub format: LogFormat,
    /// What is told, such as `info` or `warn,kafka=debug`; FLOW_LOG wins.
    pub level: Option<String>,
}

/// `[audit]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// Bytes of the file at most; when it is full it is renamed, and a new one begins.
    pub size: Size,
    /// Renamed files that are kept, the newest.
    pub keep: usize,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { size: Size(64 << 20), keep: 8 }
    }
}

/// How the server's log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Bytes, written as `512MB`, `1GB` or `65536`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        crate::cli::size(text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bytes(usize),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// All keys by table; the first table is the file itself. `[kafka]` takes any key.
const KEYS: [(&str, &[&str]); 8] = [
    (
        "",
        &[
            "listen", "data", "local", "memory", "kafka", "registry", "jobs", "secrets", "tls",
            "limits", "log", "audit",
        ],
    ),
    ("registry", &["url"]),
    ("jobs", &["parallelism", "restarts", "files", "log_lines", "jit"]),
    ("secrets", &["folder"]),
    ("tls", &["certificate", "key"]),
    ("limits", &["body", "connections", "requests", "streams", "rate", "seconds"]),
    ("log", &["format", "level"]),
    ("audit", &["size", "keep"]),
];

/// A misspelt key is as similar as this to what was meant, or nothing is suggested.
const SIMILAR: f64 = 0.6;

impl Config {
    /// Reads a file. Folders in it are meant from the file's own folder.
    ///
    /// # Errors
    /// If it cannot be read, or says something that is not understood.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::failed(format!("{} cannot be read: {e}", path.display())))?;
        let mut config = Self::parse(&text)
            .map_err(|why| Failure::usage(format!("{}: {why}", path.display())))?;
        let base = path.parent().unwrap_or(Path::new(""));
        let tls = config.tls.as_mut().map(|tls| [&mut tls.certificate, &mut tls.key]);
        let optional = [
            &mut config.data,
            &mut config.local,
            &mut config.jobs.files,
            &mut config.secrets.folder,
        ];
        for folder in optional.into_iter().flatten().chain(tls.into_iter().flatten()) {
            *folder = base.join(&*folder);
        }
        Ok(config)
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let table: toml::Table = toml::from_str(text).map_err(|e| e.to_string())?;
        refuse_unknown(&table)?;
        toml::from_str(text).map_err(|e| e.to_string())
    }
}

/// Refuses the first key that is not known.
fn refuse_unknown(file: &toml::Table) -> std::result::Result<(), String> {
    for (name, keys) in KEYS {
        let table = match name {
            "" => Some(file),
            name => file.get(name).and_then(toml::Value::as_table),
        };
        let unknown = table.and_then(|t| t.keys().find(|key| !keys.contains(&key.as_str())));
        if let Some(key) = unknown {
            let place = if name.is_empty() { String::new() } else { format!(" in [{name}]") };
            let nearest = keys
                .iter()
                .map(|known| (strsim::jaro_winkler(key, known), known))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(similarity, _)| *similarity >= SIMILAR);
            return Err(match nearest {
                Some((_, known)) => format!("there is no '{key}'{place}; is '{known}' meant?"),
                None => format!("there is no '{key}'{place}; there are: {}", keys.join(", ")),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_listed_is_read_and_every_one_that_is_read_is_listed() {
        let everything = r#"
            listen = "127.0.0.1:0"
            data = "d"
            local = "l"
            memory = "2GB"
            [kafka]
            "bootstrap.servers" = "h:1"
            [registry]
            url = "http://h:2"
            [jobs]
            parallelism = 2
            restarts = 3
            files = "f"
            log_lines = 4
            jit = false
            [secrets]
            folder = "s"
            [tls]
            certificate = "c"
            key = "k"
            [limits]
            body = 5
            connections = 6
            requests = 7
            streams = 8
            rate = 9
            seconds = 10
            [log]
            format = "json"
            level = "warn"
            [audit]
            size = "1MB"
            keep = 11
        "#;
        let config = Config::parse(everything).unwrap();
        assert_eq!((config.memory, config.limits.body), (Some(Size(2 << 30)), Size(5)));
        assert_eq!(config.kafka["bootstrap.servers"], "h:1");
        let table: toml::Table = toml::from_str(everything).unwrap();
        for (name, keys) in KEYS {
            let table = if name.is_empty() { &table } else { table[name].as_table().unwrap() };
            assert_eq!(table.len(), keys.len(), "[{name}]");
        }
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_nearest() {
        let error = Config::parse("lisen = 'x'").unwrap_err();
        assert_eq!(error, "there is no 'lisen'; is 'listen' meant?");
        let error = Config::parse("[limits]\nsecond = 1").unwrap_err();
        assert_eq!(error, "there is no 'second' in [limits]; is 'seconds' meant?");
        let error = Config::parse("[tls]\ncertificate = 'c'").unwrap_err();
        assert!(error.contains("key"), "{error}");
        let error = Config::parse("memory = 'much'").unwrap_err();
        assert!(error.contains("512MB"), "{error}");
    }

    #[test]
    fn folders_are_meant_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flow.toml");
        std::fs::write(&path, "data = 'd'\nlocal = '/abs'\n").unwrap();
        let config = Config::read(&path).unwrap();
        assert_eq!(config.data, Some(dir.path().join("d")));
        assert_eq!(config.local, Some(PathBuf::from("/abs")));
    }
}
