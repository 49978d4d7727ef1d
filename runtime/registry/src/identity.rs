//! The certificate by which this client shows who it is.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, ClientCert, PrivateKey};

use crate::{Options, RegistryError, Result};

const CERTIFICATE: &str = "ssl.certificate.location";
const KEY: &str = "ssl.key.location";

/// Reads certificate and key, if the options name them. The key may stand in the certificate's
/// file.
///
/// # Errors
/// Names the setting and the file, if one cannot be read or they do not go together.
pub(crate) fn identity(options: &Options) -> Result<Option<ClientCert>> {
    let Some(file) = &options.certificate_file else {
        return match &options.key_file {
            None => Ok(None),
            Some(_) => Err(wrong(options, KEY, "it needs the certificate of the key beside it")),
        };
    };
    let (setting, key_file) = match &options.key_file {
        Some(key) => (KEY, key),
        None => (CERTIFICATE, file),
    };
    let failed = |setting, file: &Path, why: &str| {
        wrong(options, setting, &format!("{}: {why}", file.display()))
    };
    let read = |setting, file: &Path| {
        std::fs::read(file).map_err(|error| failed(setting, file, &error.to_string()))
    };
    let pem = read(CERTIFICATE, file)?;
    let chain: std::result::Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| failed(CERTIFICATE, file, &error.to_string()))?;
    if chain.is_empty() {
        return Err(failed(CERTIFICATE, file, "no certificate in it"));
    }
    let pem = read(setting, key_file)?;
    let unread = |_| "no private key in it that can be read without a password".to_string();
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(unread);
    let shown: Vec<_> =
        chain.iter().map(|c| Certificate::from_der(c.as_ref()).to_owned()).collect();
    // The HTTP client takes for granted that they go together.
    let key = key.and_then(|key| go_together(chain, key));
    let key = key.and_then(|()| PrivateKey::from_pem(&pem).map_err(|error| error.to_string()));
    let key = key.map_err(|why| failed(setting, key_file, &why))?;
    Ok(Some(ClientCert::new_with_certs(&shown, key)))
}

fn go_together(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> std::result::Result<(), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            let config = config.with_root_certificates(RootCertStore::empty());
            config.with_client_auth_cert(chain, key)
        })
        .map(drop)
        .map_err(|error| error.to_string())
}

fn wrong(options: &Options, setting: &str, reason: &str) -> RegistryError {
    RegistryError::Setting { setting: options.sibling(setting), reason: reason.to_string() }
}
