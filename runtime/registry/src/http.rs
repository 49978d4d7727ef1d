//! A registry over HTTP: Confluent's REST API, which Apicurio, Karapace and Redpanda speak too.
//!
//! Every request may be asked twice without harm (registering the same schema again gives the same
//! id), so failures that may pass are tried again, at the next address if there are several, with
//! growing waits and a bound; see `rest.rs` for the decisions.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use crate::identity::identity;
use crate::options::Address;
use crate::rest::{
    Answer, Exchange, MEDIA_TYPE, WireId, WireLevel, WireSchema, WireVerdict, WireVersion,
};
use crate::{
    CompatibilityLevel, Credentials, Options, RegisteredSchema, Registry, RegistryError, Result,
    Schema, Verdict, percent,
};

/// The largest answer that is read.
const BODY_BYTES_MAX: u64 = 16 << 20;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one registry at one or more addresses.
pub struct HttpRegistry {
    agent: Agent,
    options: Options,
    /// Never empty.
    addresses: Vec<Address>,
    /// For messages.
    shown: String,
    /// Index of the address that answered last; requests begin with it.
    preferred: AtomicUsize,
}

/// One request, without the address.
struct Request<'a> {
    /// The path behind the address, with its query, percent-encoded.
    path: String,
    /// JSON to post; a GET without it.
    body: Option<String>,
    /// The subject that it is about, for messages.
    subject: &'a str,
}

impl HttpRegistry {
    /// A client for a list of addresses separated by commas. Connects only when asked something.
    pub fn new(addresses: &str, options: &Options) -> Result<HttpRegistry> {
        let addresses = options.addresses(addresses)?;
        let mut tls = TlsConfig::builder().client_cert(identity(options)?);
        if let Some(file) = &options.ca_file {
            tls = tls.root_certs(certificates(file, options)?);
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(options.timeout))
            .user_agent(concat!("flow/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build();
        let shown = addresses.iter().map(|address| address.url.as_str()).collect::<Vec<_>>();
        Ok(HttpRegistry {
            agent: config.new_agent(),
            options: options.clone(),
            shown: shown.join(", "),
            addresses,
            preferred: AtomicUsize::new(0),
        })
    }

    /// Asks until there is an answer; `None` if the registry says that there is no such thing.
    fn ask<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<Option<T>> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut tries = 0;
        loop {
            let at = first.wrapping_add(tries as usize) % self.addresses.len();
            let address = &self.addresses[at];
            let exchange = self.exchange(address, request);
            tries += 1;
            if let Some(wait) = exchange.wait(tries, self.options.first_backoff) {
                std::thread::sleep(wait);
                continue;
            }
            return match exchange {
                Exchange::Answered { status, body } => {
                    self.preferred.store(at, Ordering::Relaxed);
                    self.conclude(address, request, status, &body)
                }
                Exchange::Untrusted { reason } => Err(RegistryError::Untrusted {
                    address: address.url.clone(),
                    settings: self.options.certificate_settings(reason.contains(ALERT)),
                    reason,
                }),
                Exchange::Failed { reason, .. } => Err(RegistryError::Unreachable {
                    address: address.url.clone(),
                    setting: self.options.setting.clone(),
                    tries,
                    reason,
                }),
            };
        }
    }

    /// The one place that talks to the network.
    fn exchange(&self, address: &Address, request: &Request<'_>) -> Exchange {
        let url = format!("{}{}", address.url, request.path);
        let authorization = self.authorization(address);
        let answer = match &request.body {
            Some(body) => {
                let mut call = self.agent.post(url).header("Accept", MEDIA_TYPE);
                if let Some(value) = &authorization {
                    call = call.header("Authorization", value);
                }
                call.header("Content-Type", MEDIA_TYPE).send(body)
            }
            None => {
                let mut call = self.agent.get(url).header("Accept", MEDIA_TYPE);
                if let Some(value) = &authorization {
                    call = call.header("Authorization", value);
                }
                call.call()
            }
        };
        let body = answer.and_then(|mut answer| {
            let status = answer.status().as_u16();
            let body = answer.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec()?;
            Ok(Exchange::Answered { status, body })
        });
        body.unwrap_or_else(|error| match untrusted(&error) {
            Some(reason) => Exchange::Untrusted { reason },
            None => Exchange::Failed { reason: error.to_string(), transient: is_transient(&error) },
        })
    }

    fn authorization(&self, address: &Address) -> Option<String> {
        let basic = |user_info: &str| format!("Basic {}", STANDARD.encode(user_info));
        match (&self.options.credentials, &address.user_info) {
            (Some(Credentials::Bearer(token)), _) => Some(format!("Bearer {token}")),
            (Some(Credentials::Basic(user_info)), _) | (None, Some(user_info)) => {
                Some(basic(user_info))
            }
            (None, None) => None,
        }
    }

    /// A peer's words without the credentials that it may repeat.
    fn without_credentials(&self, address: &Address, words: String) -> String {
        let sent = self.options.credentials.clone();
        let sent = sent.or_else(|| address.user_info.clone().map(Credentials::Basic));
        let parts = sent.map_or_else(Vec::new, |sent| sent.parts());
        parts.iter().fold(words, |words, part| words.replace(part, "…"))
    }

    fn conclude<T: DeserializeOwned>(
        &self,
        address: &Address,
        request: &Request<'_>,
        status: u16,
        body: &[u8],
    ) -> Result<Option<T>> {
        let subject = request.subject.to_owned();
        let unexpected = |reason| RegistryError::Server {
            address: format!("{}{}", address.url, request.path),
            status,
            reason,
        };
        let answer = Answer::of(status, body).map(|words| self.without_credentials(address, words));
        match answer {
            Answer::Done => serde_json::from_slice(body)
                .map(Some)
                .map_err(|error| unexpected(format!("the answer is not a registry's: {error}"))),
            Answer::Absent => Ok(None),
            Answer::Denied(reason) => Err(RegistryError::Unauthorized {
                address: address.url.clone(),
                status,
                reason,
                settings: self.options.credential_settings(),
            }),
            Answer::Incompatible(message) => {
                Err(RegistryError::Incompatible { subject, messages: vec![message] })
            }
            Answer::Invalid(reason) => Err(RegistryError::Invalid { subject, reason }),
            Answer::Unexpected(reason) => Err(unexpected(reason)),
        }
    }

    fn get<T: DeserializeOwned>(&self, subject: &str, path: String) -> Result<Option<T>> {
        self.ask(&Request { path, body: None, subject })
    }

    fn post<T: DeserializeOwned>(
        &self,
        subject: &str,
        path: String,
        schema: &Schema,
    ) -> Result<Option<T>> {
        let body = serde_json::to_string(&WireSchema::from(schema))
            .expect("strings and numbers become JSON");
        self.ask(&Request { path, body: Some(body), subject })
    }

    /// A subject's version, by number or as `latest`.
    fn one_version(&self, subject: &str, version: &str) -> Result<Option<RegisteredSchema>> {
        let path = format!("/subjects/{}/versions/{version}", percent::encode(subject));
        let found: Option<WireVersion> = self.get(subject, path)?;
        Ok(found.map(|wire| RegisteredSchema {
            subject: wire.subject,
            version: wire.version,
            id: wire.id,
            schema: wire.schema.into(),
        }))
    }

    /// An answer that must be there: `None` would mean that the registry contradicts itself.
    fn present<T>(&self, answer: Option<T>, what: &str) -> Result<T> {
        answer.ok_or_else(|| RegistryError::Server {
            address: self.shown.clone(),
            status: 404,
            reason: format!("the registry knows no {what}"),
        })
    }
}

impl Registry for HttpRegistry {
    fn address(&self) -> &str {
        &self.shown
    }

    fn subjects(&self) -> Result<Vec<String>> {
        let mut subjects: Vec<String> =
            self.present(self.get("", "/subjects".into())?, "list of subjects")?;
        subjects.sort_unstable();
        Ok(subjects)
    }

    fn versions(&self, subject: &str) -> Result<Vec<u32>> {
        let path = format!("/subjects/{}/versions", percent::encode(subject));
        let mut versions: Vec<u32> = self.get(subject, path)?.unwrap_or_default();
        versions.sort_unstable();
        Ok(versions)
    }

    fn version(&self, subject: &str, version: u32) -> Result<Option<RegisteredSchema>> {
        self.one_version(subject, &version.to_string())
    }

    fn latest(&self, subject: &str) -> Result<Option<RegisteredSchema>> {
        self.one_version(subject, "latest")
    }

    fn by_id(&self, id: u32) -> Result<Option<Schema>> {
        let found: Option<WireSchema> = self.get("", format!("/schemas/ids/{id}"))?;
        Ok(found.map(Schema::from))
    }

    fn register(&self, subject: &str, schema: &Schema) -> Result<u32> {
        let path = format!("/subjects/{}/versions", percent::encode(subject));
        let answer: Option<WireId> = self.post(subject, path, schema)?;
        Ok(self.present(answer, "subject to register under")?.id)
    }

    fn compatibility(&self, subject: &str) -> Result<CompatibilityLevel> {
        let path = format!("/config/{}?defaultToGlobal=true", percent::encode(subject));
        let answer: Option<WireLevel> = match self.get(subject, path)? {
            Some(level) => Some(level),
            None => self.get(subject, "/config".into())?,
        };
        let level = self.present(answer, "compatibility level")?.level;
        level.parse().map_err(|reason| RegistryError::Server {
            address: format!("{}/config", self.shown),
            status: 200,
            reason,
        })
    }

    fn check_compatible(&self, subject: &str, schema: &Schema) -> Result<Verdict> {
        // Without a version the registry compares with as many as the subject's level asks for.
        let path =
            format!("/compatibility/subjects/{}/versions?verbose=true", percent::encode(subject));
        let answer: Option<WireVerdict> = self.post(subject, path, schema)?;
        Ok(match answer {
            Some(WireVerdict { is_compatible: false, messages }) => Verdict::Incompatible(messages),
            // Nothing contradicts the first schema of a subject.
            Some(WireVerdict { is_compatible: true, .. }) | None => Verdict::Compatible,
        })
    }
}

/// How the TLS library says that the other side has ended a connection.
const ALERT: &str = "received fatal alert";

/// What is wrong with the registry's certificate, or in its eyes with this client's, if that is it:
/// the TLS library's words, which come as an error of reading or writing.
fn untrusted(error: &ureq::Error) -> Option<String> {
    let told = error.to_string();
    (told.contains("certificate") || told.contains(ALERT)).then_some(told)
}

/// Whether another try may fare better. The foreign enum can grow; what is not known here is final.
fn is_transient(error: &ureq::Error) -> bool {
    use ureq::Error;
    matches!(
        error,
        Error::Io(_)
            | Error::Timeout(_)
            | Error::HostNotFound
            | Error::ConnectionFailed
            | Error::Protocol(_)
    )
}

/// The certificates of a PEM file.
fn certificates(file: &Path, options: &Options) -> Result<RootCerts> {
    let wrong = |reason: String| RegistryError::Setting {
        setting: options.sibling("ssl.ca.location"),
        reason: format!("{}: {reason}", file.display()),
    };
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong("no certificate in it".into()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
