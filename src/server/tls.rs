//! Certificate and key from PEM files, for connections by TLS 1.2 and 1.3.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use super::config::TlsConfig;
use crate::exit::{Failure, Result};

/// What accepts TLS connections with this certificate.
///
/// # Errors
/// If a file cannot be read, or the two do not belong together.
pub(super) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor> {
    let told = |path: &Path, what: &str, why: String| {
        Failure::failed(format!("{} is no {what}: {why}", path.display()))
    };
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&config.certificate)
            .and_then(Iterator::collect)
            .map_err(|e| told(&config.certificate, "certificate", e.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|e| told(&config.key, "private key", e.to_string()))?;
    let made = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key));
    let mut made = made.map_err(|e| {
        told(&config.certificate, "certificate that can be used with the key", e.to_string())
    })?;
    made.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(made)))
}
