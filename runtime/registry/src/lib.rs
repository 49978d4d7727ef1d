//! A schema registry: over HTTP (Confluent's REST API), or a folder of schema files.
//!
//! The interface is blocking and thread-safe. It moves schemas as text: what they mean, and whether
//! one can follow another, is for crate flow-schema. An answer that something is not there is
//! `None`, or an empty list; an error says who must act and names the address and the setting.

mod cache;
mod error;
mod folder;
mod http;
mod identity;
mod options;
mod percent;
mod rest;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use cache::{Cached, LATEST_TTL, UNKNOWN_ID_TTL};
pub use error::RegistryError;
pub use folder::FolderRegistry;
pub use http::HttpRegistry;
pub use options::{Credentials, Options};

/// The result of a call to a registry.
pub type Result<T> = std::result::Result<T, RegistryError>;

/// Where schemas are kept by subject and version, each with an id that records carry.
pub trait Registry: Send + Sync {
    /// Where the registry is, for messages: its addresses without credentials, or its folder.
    fn address(&self) -> &str;

    /// All subjects, sorted.
    fn subjects(&self) -> Result<Vec<String>>;

    /// The versions of a subject, ascending; empty if the subject is unknown.
    fn versions(&self, subject: &str) -> Result<Vec<u32>>;

    /// One version of a subject.
    fn version(&self, subject: &str, version: u32) -> Result<Option<RegisteredSchema>>;

    /// The newest version of a subject.
    fn latest(&self, subject: &str) -> Result<Option<RegisteredSchema>>;

    /// The schema with this id. An id means the same schema for ever.
    fn by_id(&self, id: u32) -> Result<Option<Schema>>;

    /// Makes `schema` the newest version of `subject` and gives its id. A schema that the subject
    /// already has keeps its version; one that another subject has keeps its id.
    fn register(&self, subject: &str, schema: &Schema) -> Result<u32>;

    /// The rule for new versions of a subject: its own, else the registry's.
    fn compatibility(&self, subject: &str) -> Result<CompatibilityLevel>;

    /// Whether `schema` could be registered under `subject` now.
    fn check_compatible(&self, subject: &str, schema: &Schema) -> Result<Verdict>;
}

/// A schema's text with what is needed to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The language of `text`.
    pub schema_type: SchemaType,
    /// JSON for Avro and JSON Schema, else the schema language's own text.
    pub text: String,
    /// Schemas of other subjects that `text` names.
    pub references: Vec<Reference>,
}

impl Schema {
    /// An Avro schema without references.
    pub fn avro(text: impl Into<String>) -> Schema {
        Schema { schema_type: SchemaType::Avro, text: text.into(), references: Vec::new() }
    }
}

/// A schema as one version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// The subject, often a topic's name with `-value` or `-key`.
    pub subject: String,
    /// Counts from 1 within the subject.
    pub version: u32,
    /// What records carry in front of their bytes.
    pub id: u32,
    /// The schema itself.
    pub schema: Schema,
}

/// A name in a schema that stands for a schema of another subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The name that the referring schema uses.
    pub name: String,
    /// The subject that defines it.
    pub subject: String,
    /// The version of that subject.
    pub version: u32,
}

/// The language of a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SchemaType {
    /// Avro, in JSON. Registries leave it out.
    #[default]
    Avro,
    /// JSON Schema.
    Json,
    /// Protocol Buffers.
    Protobuf,
}

impl fmt::Display for SchemaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SchemaType::Avro => "AVRO",
            SchemaType::Json => "JSON",
            SchemaType::Protobuf => "PROTOBUF",
        })
    }
}

/// Which older versions' readers and writers a new version must get along with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompatibilityLevel {
    /// Anything goes.
    None,
    /// The new schema reads data of the latest version.
    Backward,
    /// The new schema reads data of every version.
    BackwardTransitive,
    /// The latest version reads data of the new schema.
    Forward,
    /// Every version reads data of the new schema.
    ForwardTransitive,
    /// Backward and forward.
    Full,
    /// Backward and forward with every version.
    FullTransitive,
}

impl CompatibilityLevel {
    const NAMES: [(CompatibilityLevel, &str); 7] = [
        (CompatibilityLevel::None, "NONE"),
        (CompatibilityLevel::Backward, "BACKWARD"),
        (CompatibilityLevel::BackwardTransitive, "BACKWARD_TRANSITIVE"),
        (CompatibilityLevel::Forward, "FORWARD"),
        (CompatibilityLevel::ForwardTransitive, "FORWARD_TRANSITIVE"),
        (CompatibilityLevel::Full, "FULL"),
        (CompatibilityLevel::FullTransitive, "FULL_TRANSITIVE"),
    ];
}

impl fmt::Display for CompatibilityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(level, _)| level == self).map(|(_, name)| name);
        f.write_str(name.expect("every level has a name"))
    }
}

impl FromStr for CompatibilityLevel {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(level, _)| *level);
        found.ok_or_else(|| format!("`{text}` is not a compatibility level"))
    }
}

/// A registry's answer to a compatibility question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The schema may be registered.
    Compatible,
    /// It may not, for these reasons (as far as the registry tells any).
    Incompatible(Vec<String>),
    /// This registry keeps a level but does not check; the caller has to.
    NotChecked,
}

/// Opens the registry at `address`: `http://` or `https://` addresses separated by commas, or an
/// existing folder, as a path or a `file://` address. Wrap it in [`Cached`] for repeated questions.
pub fn open(address: &str, options: &Options) -> Result<Arc<dyn Registry>> {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme.trim().to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http" | "https") => Ok(Arc::new(HttpRegistry::new(address, options)?)),
        Some("file") => {
            let path = percent::decode(address.trim().get("file://".len()..).unwrap_or_default());
            Ok(Arc::new(FolderRegistry::open(Path::new(&path))?))
        }
        Some(other) => Err(RegistryError::Setting {
            setting: options.setting.clone(),
            reason: format!("`{other}://` is no registry: give http://, https:// or a folder"),
        }),
        None => Ok(Arc::new(FolderRegistry::open(Path::new(address))?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_tells_addresses_from_folders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let options = Options::new("avro-confluent.url");
        assert_eq!(open(path, &options).unwrap().address(), path);
        assert_eq!(open(&format!("file://{path}"), &options).unwrap().address(), path);
        let http = open("http://u:p@one:8081, HTTPS://two/sr/", &options).unwrap();
        assert_eq!(http.address(), "http://one:8081, https://two/sr");
        let error = open("ftp://x", &options).err().unwrap().to_string();
        assert!(error.contains("avro-confluent.url") && error.contains("ftp"), "{error}");
        let error = open("/no/such/folder", &options).err().unwrap().to_string();
        assert!(error.contains("/no/such/folder"), "{error}");
    }

    #[test]
    fn levels_are_read_as_they_are_written() {
        for (level, name) in CompatibilityLevel::NAMES {
            assert_eq!(level.to_string(), name);
            assert_eq!(name.parse(), Ok(level));
        }
        assert!("backward".parse::<CompatibilityLevel>().is_err());
    }
}
