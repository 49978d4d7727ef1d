//! Registries by address, opened once and asked through a cache.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flow_registry::{Cached, FolderRegistry, Options, Registry, RegistryError};

/// Prefix of the options that say how to reach a registry.
const PREFIX: &str = "avro-confluent.";

/// The environment variable that names the registry of streams that name none.
const URL_VARIABLE: &str = "SCHEMA_REGISTRY_URL";

type Key = (String, BTreeMap<String, String>);

/// All registries of one command.
#[derive(Default)]
pub struct Registries {
    /// The folder registry of the embedded log, for streams that name no registry.
    local: Option<PathBuf>,
    open: Mutex<HashMap<Key, Arc<dyn Registry>>>,
}

impl Registries {
    /// Registries with the one in `DIR/schemas` for streams that name none.
    pub fn with_local(dir: Option<&Path>) -> Self {
        Self { local: dir.map(|d| d.join("schemas")), open: Mutex::default() }
    }

    /// The folder registry of the embedded log in `DIR`.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn of_folder(dir: &Path) -> Result<Arc<dyn Registry>, RegistryError> {
        let found = Self::with_local(Some(dir)).get(None, &BTreeMap::new())?;
        Ok(found.expect("a folder is a registry"))
    }

    /// The registry at this address, else the default one; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn get(
        &self,
        url: Option<&str>,
        options: &BTreeMap<String, String>,
    ) -> Result<Option<Arc<dyn Registry>>, RegistryError> {
        let (setting, url) = match (url, &self.local) {
            (Some(url), _) => ("avro-confluent.url", url.to_string()),
            (None, Some(local)) => ("--local", local.display().to_string()),
            (None, None) => match std::env::var(URL_VARIABLE) {
                Ok(url) => (URL_VARIABLE, url),
                Err(_) => return Ok(None),
            },
        };
        let options: BTreeMap<String, String> = options
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)))
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect();
        let key = (url.clone(), options.clone());
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(registry) = open.get(&key) {
            return Ok(Some(registry.clone()));
        }
        let is_local = self.local.as_ref().is_some_and(|l| l.display().to_string() == url);
        let registry: Arc<dyn Registry> = if is_local {
            let folder = Path::new(&url);
            std::fs::create_dir_all(folder)
                .map_err(|e| RegistryError::Folder { path: url.clone(), reason: e.to_string() })?;
            Arc::new(FolderRegistry::open(folder)?)
        } else {
            let mut how = Options::new(setting);
            for (name, value) in &options {
                how.set(name, value);
            }
            flow_registry::open(&url, &how)?
        };
        let registry: Arc<dyn Registry> = Arc::new(Cached::new(registry));
        open.insert(key, registry.clone());
        Ok(Some(registry))
    }
}
