//! Registries by address, opened once and asked through a cache. Secrets of their options are
//! filled in here, so that programs and compiled jobs hold none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flow_registry::{Cached, FolderRegistry, Options, Registry, RegistryError};

use crate::secrets::Secrets;

/// Prefix of the options that say how to reach a registry.
pub const PREFIX: &str = "avro-confluent.";

/// The option that names a registry.
const URL: &str = "avro-confluent.url";

/// The setting that names the registry of streams that name none.
const DEFAULT_URL: &str = "schema.registry.url";

/// The environment variable that names the registry of streams and programs that name none.
const URL_VARIABLE: &str = "SCHEMA_REGISTRY_URL";

/// Options by name.
type Settings = BTreeMap<String, String>;

/// All registries of one command.
#[derive(Default)]
pub struct Registries {
    /// The folder registry of the embedded log, for streams that name no registry.
    local: Option<PathBuf>,
    /// The registry for streams that name none, where there is no embedded log.
    default: Option<String>,
    secrets: Secrets,
    /// Whether streams may name folders of this machine.
    without_folders: bool,
    open: Mutex<BTreeMap<Settings, Arc<dyn Registry>>>,
}

impl Registries {
    /// Registries with the one in `DIR/schemas` for streams that name none.
    pub fn with_local(dir: Option<&Path>) -> Self {
        Self { local: dir.map(|d| d.join("schemas")), ..Self::default() }
    }

    /// The same with this registry for streams that name none, where there is no embedded log.
    #[must_use]
    pub fn or_at(self, url: Option<String>) -> Self {
        Self { default: url, ..self }
    }

    /// The same with secrets from there.
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// The same, but streams may not name folders: for programs of others, who may not read them.
    #[must_use]
    pub fn without_folders(self) -> Self {
        Self { without_folders: true, ..self }
    }

    /// Whether programs may be answered from files of this machine.
    #[cfg(feature = "run")]
    pub(crate) fn reads_files(&self) -> bool {
        !self.without_folders
    }

    /// The folder registry of the embedded log in `DIR`.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn of_folder(dir: &Path) -> Result<Arc<dyn Registry>, RegistryError> {
        let found = Self::with_local(Some(dir)).get(None, &BTreeMap::new())?;
        Ok(found.expect("a folder is a registry"))
    }

    /// The registry at this address, else the default one; `None` if there is none. `options` are
    /// those of a stream: what begins with `avro-confluent.` says how to reach it. Secrets are
    /// filled in.
    ///
    /// # Errors
    /// If a secret is missing, an option cannot be used, or a folder cannot be opened.
    pub fn get(
        &self,
        url: Option<&str>,
        options: &BTreeMap<String, String>,
    ) -> Result<Option<Arc<dyn Registry>>, RegistryError> {
        let (setting, url) = match (url, &self.local, &self.default) {
            (Some(url), _, _) => (URL, url.to_string()),
            (None, Some(local), _) => ("--local", local.display().to_string()),
            (None, None, Some(url)) => (DEFAULT_URL, url.clone()),
            (None, None, None) => match std::env::var(URL_VARIABLE) {
                Ok(url) => (URL_VARIABLE, url),
                Err(_) => return Ok(None),
            },
        };
        if setting == URL && self.without_folders && !is_http(&url) {
            let reason = "programs on this server may not name a folder as their registry";
            return Err(RegistryError::Folder { path: url, reason: reason.to_string() });
        }
        let mut wanted: Settings =
            options.iter().filter(|(name, _)| name.starts_with(PREFIX)).map(cloned).collect();
        wanted.remove(URL);
        wanted.insert(setting.to_string(), url.clone());
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(registry) = open.get(&wanted) {
            return Ok(Some(registry.clone()));
        }
        let is_local = self.local.as_ref().is_some_and(|l| l.display().to_string() == url);
        let registry =
            if is_local { folder(&url)? } else { opened(setting, &wanted, &self.secrets)? };
        let registry: Arc<dyn Registry> = Arc::new(Cached::new(registry));
        open.insert(wanted, registry.clone());
        Ok(Some(registry))
    }
}

fn is_http(url: &str) -> bool {
    // Several addresses of one registry are parted by commas.
    url.split(',').all(|one| {
        let one = one.trim();
        one.starts_with("http://") || one.starts_with("https://")
    })
}

fn cloned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// The folder registry of an embedded log, made if it is not there yet.
fn folder(path: &str) -> Result<Arc<dyn Registry>, RegistryError> {
    std::fs::create_dir_all(path)
        .map_err(|e| RegistryError::Folder { path: path.to_string(), reason: e.to_string() })?;
    Ok(Arc::new(FolderRegistry::open(Path::new(path))?))
}

/// The registry at the address that stands under `setting`, with the options beside it.
fn opened(
    setting: &str,
    wanted: &Settings,
    secrets: &Secrets,
) -> Result<Arc<dyn Registry>, RegistryError> {
    let filled = secrets
        .fill(wanted)
        .map_err(|reason| RegistryError::Setting { setting: setting.to_string(), reason })?;
    let mut how = Options::new(setting);
    for (name, value) in &filled {
        if let Some(name) = name.strip_prefix(PREFIX) {
            how.set(name, value);
        }
    }
    flow_registry::open(&filled[setting], &how)
}

/// The options of a stream that say how to reach its registry, without `key.` or `value.` before
/// them: a stream has one registry, and its value's options win. Those of the program's settings
/// stand for what the stream leaves open.
pub fn of_stream(stream: &Settings, settings: &Settings) -> Settings {
    let mut all = Settings::new();
    if let Some(url) = settings.get(DEFAULT_URL) {
        all.insert(URL.to_string(), url.clone());
    }
    for (options, side) in [(settings, ""), (stream, ""), (stream, "key."), (stream, "value.")] {
        let own =
            options.iter().filter_map(|(name, value)| Some((name.strip_prefix(side)?, value)));
        let own = own.filter(|(name, _)| name.starts_with(PREFIX));
        all.extend(own.map(|(name, value)| (name.to_string(), value.clone())));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(all: &[(&str, &str)]) -> Settings {
        all.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
    }

    #[test]
    fn a_streams_own_options_win_over_the_programs() {
        let program = settings(&[("schema.registry.url", "http://a"), ("avro-confluent.x", "1")]);
        let stream = settings(&[
            ("topic", "t"),
            ("avro-confluent.y", "2"),
            ("key.avro-confluent.y", "3"),
            ("value.avro-confluent.url", "http://b"),
        ]);
        let wanted = [
            ("avro-confluent.url", "http://b"),
            ("avro-confluent.x", "1"),
            ("avro-confluent.y", "3"),
        ];
        assert_eq!(of_stream(&stream, &program), settings(&wanted));
        let default = of_stream(&Settings::new(), &program);
        assert_eq!(default["avro-confluent.url"], "http://a");
    }

    #[test]
    fn a_missing_secret_is_named_with_its_option() {
        let options = settings(&[("avro-confluent.bearer-auth.token", "${secret:NO_SUCH_TOKEN}")]);
        let error = Registries::default().get(Some("http://127.0.0.1:1"), &options).err();
        let told = error.expect("nobody has set it").to_string();
        assert!(told.contains("avro-confluent.bearer-auth.token"), "{told}");
        assert!(told.contains("NO_SUCH_TOKEN"), "{told}");
    }
}
