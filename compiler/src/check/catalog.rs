//! What the compiler asks of the world: subjects of schema registries. A pure view that the caller
//! supplies; the compiler itself does no I/O.

use std::collections::BTreeMap;
use std::fmt;

use flow_schema::Level;

/// Which registry is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryRef {
    /// Address of a registry or a folder of schemas, as `'avro-confluent.url'` says it; `None`: the
    /// caller's default.
    pub url: Option<String>,
    /// The options for reaching it (`avro-confluent.*`), secrets unfilled.
    pub options: BTreeMap<String, String>,
}

/// The latest version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogSchema {
    /// The Avro schema as JSON text.
    pub text: String,
    /// Version within the subject.
    pub version: u32,
    /// Id of the schema in the registry.
    pub id: u32,
}

/// Why a registry gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogError {
    /// One sentence without a full stop, the address in it.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

/// Registries as the checker sees them. Answers must not change during one check.
pub trait Catalog: Sync {
    /// The latest version of a subject; `None`: there is no such subject.
    fn subject(
        &self,
        registry: &RegistryRef,
        subject: &str,
    ) -> Result<Option<CatalogSchema>, CatalogError>;

    /// All versions of a subject, oldest first; none: there is no such subject.
    fn versions(
        &self,
        registry: &RegistryRef,
        subject: &str,
    ) -> Result<Vec<CatalogSchema>, CatalogError> {
        Ok(self.subject(registry, subject)?.into_iter().collect())
    }

    /// The schema that a file's records were written with, for declarations without columns; `None`
    /// where files are not looked at.
    fn file(&self, path: &str) -> Result<Option<CatalogSchema>, CatalogError> {
        let _ = path;
        Ok(None)
    }

    /// What the registry demands of the next version of a subject.
    fn compatibility(&self, registry: &RegistryRef, subject: &str) -> Result<Level, CatalogError>;
}

/// A catalog in memory: for tests, and for programs that read no registry. All registries share
/// its subjects.
#[derive(Clone, Debug, Default)]
pub struct MemoryCatalog {
    /// Schema texts by subject, all of version 1.
    pub subjects: BTreeMap<String, String>,
}

impl Catalog for MemoryCatalog {
    fn subject(
        &self,
        _registry: &RegistryRef,
        subject: &str,
    ) -> Result<Option<CatalogSchema>, CatalogError> {
        let position = self.subjects.keys().position(|name| name == subject);
        Ok(position.and_then(|at| {
            let text = self.subjects.get(subject)?.clone();
            let id = u32::try_from(at + 1).ok()?;
            Some(CatalogSchema { text, version: 1, id })
        }))
    }

    fn compatibility(
        &self,
        _registry: &RegistryRef,
        _subject: &str,
    ) -> Result<Level, CatalogError> {
        Ok(Level::Backward)
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CatalogError {}
