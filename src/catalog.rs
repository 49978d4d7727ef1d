//! The compiler's view of registries.

use flow_compiler::check::catalog::{Catalog, CatalogError, CatalogSchema, RegistryRef};
use flow_registry::{Registry, RegistryError};
use flow_schema::compat::Level;
use std::sync::Arc;

use crate::registries::Registries;

/// Answers the compiler's questions from real registries.
pub struct RegistryCatalog<'a> {
    registries: &'a Registries,
}

impl<'a> RegistryCatalog<'a> {
    /// A catalog over these registries.
    pub fn new(registries: &'a Registries) -> Self {
        Self { registries }
    }

    fn open(&self, registry: &RegistryRef) -> Result<Arc<dyn Registry>, CatalogError> {
        let found = self.registries.get(registry.url.as_deref(), &registry.options);
        found.map_err(|e| told(&e))?.ok_or_else(|| CatalogError {
            message: "no schema registry is given".into(),
            help: Some(
                "Set 'avro-confluent.url' to its address or to a folder of .avsc files, or the \
                 environment variable SCHEMA_REGISTRY_URL; or declare the columns and use another \
                 format."
                    .into(),
            ),
        })
    }
}

fn told(error: &RegistryError) -> CatalogError {
    CatalogError { message: error.to_string(), help: None }
}

impl Catalog for RegistryCatalog<'_> {
    fn subject(
        &self,
        registry: &RegistryRef,
        subject: &str,
    ) -> Result<Option<CatalogSchema>, CatalogError> {
        let latest = self.open(registry)?.latest(subject).map_err(|e| told(&e))?;
        Ok(latest.map(|s| CatalogSchema { text: s.schema.text, version: s.version, id: s.id }))
    }

    fn versions(
        &self,
        registry: &RegistryRef,
        subject: &str,
    ) -> Result<Vec<CatalogSchema>, CatalogError> {
        let registry = self.open(registry)?;
        let mut all = Vec::new();
        for version in registry.versions(subject).map_err(|e| told(&e))? {
            if let Some(s) = registry.version(subject, version).map_err(|e| told(&e))? {
                all.push(CatalogSchema { text: s.schema.text, version: s.version, id: s.id });
            }
        }
        Ok(all)
    }

    fn file(&self, path: &str) -> Result<Option<CatalogSchema>, CatalogError> {
        #[cfg(feature = "run")]
        if self.registries.reads_files() {
            let told = |e: flow_runtime::RuntimeError| CatalogError {
                message: e.message.clone(),
                help: None,
            };
            let text = flow_runtime::connect::file::first_schema(path).map_err(told)?;
            return Ok(Some(CatalogSchema { text, version: 0, id: 0 }));
        }
        let _ = path;
        Ok(None)
    }

    fn compatibility(&self, registry: &RegistryRef, subject: &str) -> Result<Level, CatalogError> {
        let level = self.open(registry)?.compatibility(subject).map_err(|e| told(&e))?;
        let word = level.to_string();
        Level::parse(&word).ok_or_else(|| CatalogError {
            message: format!("the registry has the unknown compatibility level {word}"),
            help: None,
        })
    }
}
