//! The artifact: a job graph as bytes. A first line `FLOWJOB <format version> <hash>` and then the
//! graph as JSON; the hash is xxh3-128 of the JSON, so an altered artifact is told from an old one.
//! JSON's nesting limit guards the reader's stack; `verify` guards everything behind it.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use super::{InvalidGraph, JobGraph, verify};

/// Version of the artifact format; another version is refused, not guessed at.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: &str = "FLOWJOB";

/// Why bytes are no artifact that this program can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactError {
    /// The first line is missing or is something else.
    NotAnArtifact,
    /// Made by a version of Flow with another format.
    OtherVersion(String),
    /// The bytes are not those that were written.
    Altered,
    /// The hash holds but the contents are no job graph.
    Malformed(String),
    /// A job graph that breaks a rule.
    Invalid(InvalidGraph),
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArtifactError::NotAnArtifact => f.write_str("not a compiled job"),
            ArtifactError::OtherVersion(v) => write!(
                f,
                "compiled for artifact format {v}, this program reads {FORMAT_VERSION}; \
                 build it again"
            ),
            ArtifactError::Altered => {
                f.write_str("the compiled job was altered or cut short after it was built")
            }
            ArtifactError::Malformed(why) => write!(f, "the compiled job cannot be read: {why}"),
            ArtifactError::Invalid(why) => write!(f, "the compiled job is not valid: {why}"),
        }
    }
}

impl std::error::Error for ArtifactError {}

/// The artifact of a graph.
pub fn encode(graph: &JobGraph) -> Vec<u8> {
    let body = serde_json::to_vec(graph).expect("a job graph has only string keys");
    let mut out = format!("{MAGIC} {FORMAT_VERSION} {:032x}\n", xxh3_128(&body)).into_bytes();
    out.extend_from_slice(&body);
    out
}

/// Reads an artifact and verifies the graph.
///
/// # Errors
/// See `ArtifactError`; no bytes make it panic.
pub fn decode(bytes: &[u8]) -> Result<JobGraph, ArtifactError> {
    let line_end = bytes.iter().take(128).position(|&b| b == b'\n');
    let line = line_end.and_then(|end| std::str::from_utf8(&bytes[..end]).ok());
    let (Some(end), Some(line)) = (line_end, line) else {
        return Err(ArtifactError::NotAnArtifact);
    };
    let parts: Vec<&str> = line.split(' ').collect();
    let [MAGIC, version, hash] = parts[..] else {
        return Err(ArtifactError::NotAnArtifact);
    };
    if version != FORMAT_VERSION.to_string() {
        return Err(ArtifactError::OtherVersion(version.to_string()));
    }
    let body = &bytes[end + 1..];
    if format!("{:032x}", xxh3_128(body)) != hash {
        return Err(ArtifactError::Altered);
    }
    let graph: JobGraph =
        serde_json::from_slice(body).map_err(|e| ArtifactError::Malformed(e.to_string()))?;
    verify(&graph).map_err(ArtifactError::Invalid)?;
    Ok(graph)
}
