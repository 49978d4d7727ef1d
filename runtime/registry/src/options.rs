//! Settings of a registry over HTTP, as they stand in `WITH (…)` or on the command line, and the
//! list of addresses. Credentials never appear in an address that is shown.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{RegistryError, Result, percent};

/// How to reach a registry.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the setting that gave the address, for messages: `avro-confluent.url`,
    /// `--registry`.
    pub setting: String,
    /// Who is asking. Credentials inside an address are used for it when these are `None`.
    pub credentials: Option<Credentials>,
    /// A PEM file with the certificates to trust, in place of the usual authorities.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate that this client shows, and those that it rests on.
    pub certificate_file: Option<PathBuf>,
    /// A PEM file with its private key; left out, the key is in the certificate's file.
    pub key_file: Option<PathBuf>,
    /// How long one try may take in all.
    pub timeout: Duration,
    /// How long to wait after the first failed try; doubles with each.
    pub first_backoff: Duration,
}

/// Who is asking.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `user:password`.
    Basic(String),
    /// A bearer token.
    Bearer(String),
}

impl Credentials {
    /// Shorter texts stand in messages by chance.
    const PART_BYTES_MIN: usize = 4;

    /// What no message may show, longest first.
    pub(crate) fn parts(&self) -> Vec<String> {
        let mut parts = match self {
            Credentials::Basic(user_info) => {
                let password = user_info.split_once(':').map_or("", |(_, password)| password);
                vec![STANDARD.encode(user_info), user_info.clone(), password.to_string()]
            }
            Credentials::Bearer(token) => vec![token.clone()],
        };
        parts.retain(|part| part.len() >= Self::PART_BYTES_MIN);
        parts
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Basic(_) => "Basic(…)",
            Credentials::Bearer(_) => "Bearer(…)",
        })
    }
}

/// One address of a registry, to which `/subjects` can be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `scheme://host[:port][/path]`, without credentials and final `/`.
    pub(crate) url: String,
    /// `user:password`, if the address had them.
    pub(crate) user_info: Option<String>,
}

impl Options {
    const TIMEOUT: Duration = Duration::from_secs(30);
    const FIRST_BACKOFF: Duration = Duration::from_millis(100);

    /// Options for an address that came from `setting`.
    pub fn new(setting: impl Into<String>) -> Options {
        Options {
            setting: setting.into(),
            credentials: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            timeout: Options::TIMEOUT,
            first_backoff: Options::FIRST_BACKOFF,
        }
    }

    /// Takes one setting, named as Flink names it behind the prefix of the address's setting
    /// (`avro-confluent.`): `basic-auth.user-info`, `bearer-auth.token`, and the two
    /// `…credentials-source`, which say nothing that the others do not; and, as Kafka clients name
    /// them, `ssl.ca.location`, `ssl.certificate.location`, `ssl.key.location`. `false`: no such
    /// setting.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        match name {
            "basic-auth.user-info" => self.credentials = Some(Credentials::Basic(value.into())),
            "bearer-auth.token" => self.credentials = Some(Credentials::Bearer(value.into())),
            "ssl.ca.location" => self.ca_file = Some(value.into()),
            "ssl.certificate.location" => self.certificate_file = Some(value.into()),
            "ssl.key.location" => self.key_file = Some(value.into()),
            "basic-auth.credentials-source" | "bearer-auth.credentials-source" => {}
            _ => return false,
        }
        true
    }

    /// The name of another setting beside the address's: the same prefix.
    pub(crate) fn sibling(&self, name: &str) -> String {
        format!("{}{name}", self.setting.strip_suffix("url").unwrap_or_default())
    }

    /// Where credentials come from, for a message.
    pub(crate) fn credential_settings(&self) -> String {
        format!(
            "the user and password in `{}`, or `{}` or `{}`",
            self.setting,
            self.sibling("basic-auth.user-info"),
            self.sibling("bearer-auth.token"),
        )
    }

    /// Where certificates come from, for a message: whom to trust, or what this client shows.
    pub(crate) fn certificate_settings(&self, is_own: bool) -> String {
        match is_own {
            false => format!("`{}`", self.sibling("ssl.ca.location")),
            true => format!(
                "`{}` and `{}`",
                self.sibling("ssl.certificate.location"),
                self.sibling("ssl.key.location"),
            ),
        }
    }

    /// Reads addresses separated by commas.
    pub(crate) fn addresses(&self, list: &str) -> Result<Vec<Address>> {
        let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
        let addresses: Vec<_> = parts.map(|part| self.address(part)).collect::<Result<_>>()?;
        if addresses.is_empty() {
            return Err(self.wrong("no address".into()));
        }
        Ok(addresses)
    }

    fn address(&self, text: &str) -> Result<Address> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let scheme = scheme.to_ascii_lowercase();
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(percent::decode(user_info)), host),
            None => (None, authority),
        };
        let url = format!("{scheme}://{host}{}", path.trim_end_matches('/'));
        if !matches!(scheme.as_str(), "http" | "https") || host.is_empty() {
            return Err(self.wrong(format!("`{url}` is not an address like http://HOST:8081")));
        }
        if path.contains(['?', '#']) || url.contains(char::is_whitespace) {
            return Err(self.wrong(format!("`{url}` has more than a host, a port and a path")));
        }
        Ok(Address { url, user_info })
    }

    fn wrong(&self, reason: String) -> RegistryError {
        RegistryError::Setting { setting: self.setting.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options() -> Options {
        Options::new("avro-confluent.url")
    }

    #[test]
    fn addresses_lose_credentials_and_final_slashes() {
        let got = options().addresses("HTTPS://me:p%40ss@sr.example:8085/api/ ,http://b").unwrap();
        let want = [
            Address {
                url: "https://sr.example:8085/api".into(),
                user_info: Some("me:p@ss".into()),
            },
            Address { url: "http://b".into(), user_info: None },
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn a_wrong_address_names_the_setting_and_hides_the_password() {
        for bad in ["", " , ", "http://", "b:8081", "ftp://u:secret@b", "http://u:secret@b/?x=1"] {
            let error = options().addresses(bad).expect_err(bad).to_string();
            assert!(error.contains("avro-confluent.url") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn settings_are_taken_by_name() {
        let mut options = options();
        assert!(options.set("basic-auth.user-info", "me:pass"));
        assert_eq!(options.credentials, Some(Credentials::Basic("me:pass".into())));
        assert!(options.set("bearer-auth.token", "t0ken"));
        assert_eq!(options.credentials, Some(Credentials::Bearer("t0ken".into())));
        assert!(!options.set("basic-auth.user", "me"));
        assert_eq!(options.sibling("bearer-auth.token"), "avro-confluent.bearer-auth.token");
        assert!(!format!("{options:?}").contains("t0ken"));
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in any::<String>()) {
            if let Ok(addresses) = options().addresses(&text) {
                for address in addresses {
                    prop_assert!(address.url.starts_with("http"));
                    prop_assert!(!address.url.contains(char::is_whitespace));
                }
            }
        }
    }
}
