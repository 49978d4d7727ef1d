//! What can go wrong with a registry: one variant per person who must act, each with what to look
//! at.

use std::io;
use std::path::Path;

/// An error of a registry. Addresses are shown without credentials.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No address gave an answer, although asked several times.
    #[error(
        "no answer from the schema registry at {address} after {tries} tries: {reason}; \
         is it up, and is `{setting}` right?"
    )]
    Unreachable {
        /// The address that was tried last.
        address: String,
        /// The name of the setting that gave it.
        setting: String,
        /// How often any address was tried.
        tries: u32,
        /// What happened the last time.
        reason: String,
    },
    /// The registry shows a certificate that nobody who is trusted has signed, or none.
    #[error("no secure connection to the schema registry at {address}: {reason}; check {settings}")]
    Untrusted {
        /// The address.
        address: String,
        /// What is wrong with the certificate.
        reason: String,
        /// The settings that say whom to trust.
        settings: String,
    },
    /// The registry asks for other credentials.
    #[error(
        "the schema registry at {address} refuses access ({status}): {reason}; check {settings}"
    )]
    Unauthorized {
        /// The address.
        address: String,
        /// The HTTP status, 401 or 403.
        status: u16,
        /// The registry's words.
        reason: String,
        /// The settings that give credentials.
        settings: String,
    },
    /// The new schema of a subject breaks the subject's compatibility level.
    #[error("subject `{subject}` does not accept this schema: {}", messages.join("; "))]
    Incompatible {
        /// The subject.
        subject: String,
        /// The registry's reasons.
        messages: Vec<String>,
    },
    /// The registry takes the request, but not what is in it.
    #[error("the registry refuses the request about `{subject}`: {reason}")]
    Invalid {
        /// The subject.
        subject: String,
        /// What is wrong with the schema or the subject.
        reason: String,
    },
    /// An answer that is not one of a registry, or the registry's own failure.
    #[error("unexpected answer ({status}) from the schema registry at {address}: {reason}")]
    Server {
        /// The address with the path that was asked.
        address: String,
        /// The HTTP status.
        status: u16,
        /// The registry's words, or what is wrong with the answer.
        reason: String,
    },
    /// A file of a folder registry cannot be read, written or understood.
    #[error("{path}: {reason}")]
    Folder {
        /// The file or folder.
        path: String,
        /// Why.
        reason: String,
    },
    /// A setting that cannot be used.
    #[error("`{setting}`: {reason}")]
    Setting {
        /// The setting's name.
        setting: String,
        /// Why.
        reason: String,
    },
}

impl RegistryError {
    pub(crate) fn folder(path: &Path, reason: impl Into<String>) -> RegistryError {
        RegistryError::Folder { path: path.display().to_string(), reason: reason.into() }
    }

    /// For `map_err` on file operations.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
        move |error| RegistryError::folder(path, error.to_string())
    }
}
