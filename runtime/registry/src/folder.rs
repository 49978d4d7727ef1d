//! A registry that is a folder:
//!
//! ```text
//! SUBJECT/VERSION.avsc   a version of a subject (.json: JSON Schema, .proto: Protocol Buffers)
//! NAME.avsc              version 1 of subject NAME, and of NAME-value, if that has no 1 of its own
//! ids.json               {"SUBJECT/VERSION": id}, written by `register`
//! config.json            optional: {"compatibility": "FULL", "subjects": {"SUBJECT": "NONE"}}
//! .lock                  held by whoever registers
//! ```
//!
//! Names of files are percent-encoded. Version 1 of a subject is looked for as `SUBJECT/1.avsc`,
//! then `SUBJECT.avsc`, then, for `NAME-value`, `NAME.avsc`. So a folder of plain `.avsc` files is
//! a registry.
//!
//! Ids. A schema registered here has the next number from 1, below [`HASH_IDS`]; the same schema in
//! two subjects has one id. A file that was put here by hand has a hash of its content in the range
//! from [`HASH_IDS`]: the same on every machine, whatever other files there are, and reading writes
//! nothing. An edited file is another schema with another id; to go on from it, register versions.
//! Should two files ever share a hash, asking for it is an error that names both.
//!
//! "The same schema" means the same JSON value, whatever its layout. Files are replaced whole
//! (temporary file, then rename), a version before its id, so a reader at any moment finds a sound
//! folder. The level is kept here, but not checked: that takes Avro's rules, which crate
//! flow-schema knows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    CompatibilityLevel, RegisteredSchema, Registry, RegistryError, Result, Schema, SchemaType,
    Verdict, percent,
};

/// Ids from here to 2³¹ are hashes of files that were not registered; ids below are numbered.
const HASH_IDS: u32 = 1 << 30;

const IDS: &str = "ids.json";
const CONFIG: &str = "config.json";
const LOCK: &str = ".lock";

/// A folder with schemas.
pub struct FolderRegistry {
    root: PathBuf,
    /// `root`, for messages.
    shown: String,
}

/// A version of a subject, not read yet.
#[derive(Clone, Debug)]
struct SchemaFile {
    path: PathBuf,
    schema_type: SchemaType,
    /// Its name in `ids.json`, should it be there; plain files never are.
    key: Option<String>,
}

/// A schema that was read, with what makes it the same as another.
struct Loaded {
    schema: Schema,
    canonical: String,
}

/// What `config.json` may hold.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    compatibility: Option<String>,
    subjects: BTreeMap<String, String>,
}

/// The content of `ids.json`: encoded subject, `/`, version.
type Ids = BTreeMap<String, u32>;

impl FolderRegistry {
    /// Opens a folder that exists.
    pub fn open(root: &Path) -> Result<FolderRegistry> {
        if !root.is_dir() {
            return Err(RegistryError::folder(
                root,
                "no such folder (a registry's address begins with http:// or https://)",
            ));
        }
        Ok(FolderRegistry { root: root.to_owned(), shown: root.display().to_string() })
    }

    /// Opens a folder, made if it is not there.
    pub fn create(root: &Path) -> Result<FolderRegistry> {
        fs::create_dir_all(root).map_err(RegistryError::io(root))?;
        FolderRegistry::open(root)
    }

    /// The versions of a subject.
    fn files(&self, subject: &str) -> Result<BTreeMap<u32, SchemaFile>> {
        if subject.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut files = self.numbered_files(&folder_name(subject))?;
        let names = [Some(subject), subject.strip_suffix("-value")];
        let plain = names.into_iter().flatten().filter(|name| !name.is_empty()).find_map(|name| {
            let path = self.root.join(format!("{}.avsc", percent::encode(name)));
            path.is_file().then_some(path)
        });
        if let Some(path) = plain {
            let file = SchemaFile { path, schema_type: SchemaType::Avro, key: None };
            files.entry(1).or_insert(file);
        }
        Ok(files)
    }

    /// `FOLDER/VERSION.avsc` and so on.
    fn numbered_files(&self, folder: &str) -> Result<BTreeMap<u32, SchemaFile>> {
        let mut files = BTreeMap::new();
        for path in entries(&self.root.join(folder))? {
            let Some((stem, schema_type)) = schema_name(&path) else { continue };
            let Some(version) = stem.parse().ok().filter(|version| *version > 0) else { continue };
            let key = Some(format!("{folder}/{version}"));
            let file = SchemaFile { path: path.clone(), schema_type, key };
            if let Some(other) = files.insert(version, file) {
                let reason = format!("{} is version {version} as well", other.path.display());
                return Err(RegistryError::folder(&path, reason));
            }
        }
        Ok(files)
    }

    /// Every schema file, in the order of their names.
    fn all_files(&self) -> Result<Vec<SchemaFile>> {
        let mut files = Vec::new();
        for path in entries(&self.root)? {
            if path.is_dir() {
                let folder = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                files.extend(self.numbered_files(&folder)?.into_values());
            } else if let Some((_, SchemaType::Avro)) = schema_name(&path) {
                files.push(SchemaFile { path, schema_type: SchemaType::Avro, key: None });
            }
        }
        Ok(files)
    }

    fn ids(&self) -> Result<Ids> {
        Ok(read_json(&self.root.join(IDS))?.unwrap_or_default())
    }

    fn registered(
        &self,
        subject: &str,
        version: u32,
        file: &SchemaFile,
    ) -> Result<RegisteredSchema> {
        let loaded = load(file)?;
        let id = id_of(file, &loaded, &self.ids()?);
        Ok(RegisteredSchema { subject: subject.into(), version, id, schema: loaded.schema })
    }

    /// The schema to which `ids.json` gives `id`.
    fn by_number(&self, id: u32) -> Result<Option<Schema>> {
        let mut missing = None;
        for (key, _) in self.ids()?.into_iter().filter(|(_, of)| *of == id) {
            match self.file_of(&key)? {
                Some(file) => return Ok(Some(load(&file)?.schema)),
                None => missing = Some(self.root.join(key)),
            }
        }
        match missing {
            Some(path) => {
                let reason = format!("the schema with id {id} was here, but is gone");
                Err(RegistryError::folder(&path, reason))
            }
            None => Ok(None),
        }
    }

    /// The file of an entry of `ids.json`.
    fn file_of(&self, key: &str) -> Result<Option<SchemaFile>> {
        let Some((folder, version)) = key.rsplit_once('/') else { return Ok(None) };
        let Ok(version) = version.parse::<u32>() else { return Ok(None) };
        Ok(self.numbered_files(folder)?.remove(&version))
    }

    /// The schema whose content has the hash `id`. Files that cannot be understood have no hash.
    fn by_hash(&self, id: u32) -> Result<Option<Schema>> {
        let mut found: Option<(PathBuf, Loaded)> = None;
        for file in self.all_files()? {
            let Ok(loaded) = load(&file) else { continue };
            if hash_id(&loaded) != id {
                continue;
            }
            match &found {
                Some((path, other)) if !loaded.is_same(other) => {
                    let reason = format!(
                        "shares id {id} with {}: register one of them, or change it",
                        path.display()
                    );
                    return Err(RegistryError::folder(&file.path, reason));
                }
                Some(_) => {}
                None => found = Some((file.path, loaded)),
            }
        }
        Ok(found.map(|(_, loaded)| loaded.schema))
    }

    /// The id that `ids.json` gives to the same schema, if any.
    fn number_of(&self, ids: &Ids, schema: &Loaded) -> Result<Option<u32>> {
        for (key, id) in ids {
            if let Some(file) = self.file_of(key)?
                && load(&file)?.is_same(schema)
            {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }
}

impl Registry for FolderRegistry {
    fn address(&self) -> &str {
        &self.shown
    }

    fn subjects(&self) -> Result<Vec<String>> {
        let mut subjects = Vec::new();
        let mut plain = Vec::new();
        for path in entries(&self.root)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !self.numbered_files(&name)?.is_empty() {
                    subjects.push(percent::decode(&name));
                }
            } else if let Some((stem, SchemaType::Avro)) = schema_name(&path) {
                plain.push(percent::decode(&stem));
            }
        }
        plain.retain(|name| {
            !subjects.contains(name) && !subjects.contains(&format!("{name}-value"))
        });
        subjects.extend(plain);
        subjects.sort_unstable();
        Ok(subjects)
    }

    fn versions(&self, subject: &str) -> Result<Vec<u32>> {
        Ok(self.files(subject)?.into_keys().collect())
    }

    fn version(&self, subject: &str, version: u32) -> Result<Option<RegisteredSchema>> {
        let files = self.files(subject)?;
        files.get(&version).map(|file| self.registered(subject, version, file)).transpose()
    }

    fn latest(&self, subject: &str) -> Result<Option<RegisteredSchema>> {
        let files = self.files(subject)?;
        let last = files.last_key_value();
        last.map(|(version, file)| self.registered(subject, *version, file)).transpose()
    }

    fn by_id(&self, id: u32) -> Result<Option<Schema>> {
        if id < HASH_IDS { self.by_number(id) } else { self.by_hash(id) }
    }

    fn register(&self, subject: &str, schema: &Schema) -> Result<u32> {
        let invalid = |reason: &str| RegistryError::Invalid {
            subject: subject.to_owned(),
            reason: reason.to_owned(),
        };
        if subject.is_empty() {
            return Err(invalid("a subject has a name"));
        }
        if !schema.references.is_empty() {
            return Err(invalid(
                "a folder registry keeps no references: write the schema in one piece",
            ));
        }
        let schema = Loaded::new(schema.clone()).map_err(|reason| invalid(&reason))?;
        let _lock = lock(&self.root.join(LOCK))?;
        let mut ids = self.ids()?;
        let files = self.files(subject)?;
        for file in files.values() {
            let known = load(file)?;
            if known.is_same(&schema) {
                return Ok(id_of(file, &known, &ids));
            }
        }
        let id = match self.number_of(&ids, &schema)? {
            Some(id) => id,
            None => next_id(&ids).ok_or_else(|| invalid("no id is left"))?,
        };
        let version = files.last_key_value().map_or(0, |(version, _)| *version).checked_add(1);
        let version = version.ok_or_else(|| invalid("no version is left"))?;
        let folder = folder_name(subject);
        let path = self.root.join(&folder);
        fs::create_dir_all(&path).map_err(RegistryError::io(&path))?;
        let name = format!("{version}.{}", extension(schema.schema.schema_type));
        replace(&path.join(name), &format!("{}\n", schema.schema.text.trim()))?;
        ids.insert(format!("{folder}/{version}"), id);
        let text = serde_json::to_string_pretty(&ids).expect("strings and numbers become JSON");
        replace(&self.root.join(IDS), &format!("{text}\n"))?;
        Ok(id)
    }

    fn compatibility(&self, subject: &str) -> Result<CompatibilityLevel> {
        let path = self.root.join(CONFIG);
        let config: Config = read_json(&path)?.unwrap_or_default();
        let level = config.subjects.get(subject).or(config.compatibility.as_ref());
        match level {
            Some(level) => {
                level.parse().map_err(|reason: String| RegistryError::folder(&path, reason))
            }
            None => Ok(CompatibilityLevel::Backward),
        }
    }

    fn check_compatible(&self, _subject: &str, _schema: &Schema) -> Result<Verdict> {
        Ok(Verdict::NotChecked)
    }
}

impl Loaded {
    /// Fails if a schema in JSON is no JSON.
    fn new(schema: Schema) -> std::result::Result<Loaded, String> {
        let canonical = match schema.schema_type {
            SchemaType::Avro | SchemaType::Json => {
                let value: serde_json::Value = serde_json::from_str(&schema.text)
                    .map_err(|error| format!("not JSON: {error}"))?;
                value.to_string()
            }
            SchemaType::Protobuf => schema.text.trim().to_owned(),
        };
        Ok(Loaded { schema, canonical })
    }

    fn is_same(&self, other: &Loaded) -> bool {
        self.schema.schema_type == other.schema.schema_type && self.canonical == other.canonical
    }
}

fn load(file: &SchemaFile) -> Result<Loaded> {
    let text = fs::read_to_string(&file.path).map_err(RegistryError::io(&file.path))?;
    let text = text.trim().to_owned();
    Loaded::new(Schema { schema_type: file.schema_type, text, references: Vec::new() })
        .map_err(|reason| RegistryError::folder(&file.path, reason))
}

fn id_of(file: &SchemaFile, loaded: &Loaded, ids: &Ids) -> u32 {
    let number = file.key.as_ref().and_then(|key| ids.get(key)).copied();
    number.unwrap_or_else(|| hash_id(loaded))
}

fn hash_id(loaded: &Loaded) -> u32 {
    let text = format!("{} {}", loaded.schema.schema_type, loaded.canonical);
    let low_bits = xxh3_64(text.as_bytes()) % u64::from(HASH_IDS);
    HASH_IDS + u32::try_from(low_bits).expect("a remainder of a u32 is a u32")
}

fn next_id(ids: &Ids) -> Option<u32> {
    let last = ids.values().copied().max().unwrap_or(0);
    last.checked_add(1).filter(|id| *id < HASH_IDS)
}

fn extension(schema_type: SchemaType) -> &'static str {
    match schema_type {
        SchemaType::Avro => "avsc",
        SchemaType::Json => "json",
        SchemaType::Protobuf => "proto",
    }
}

/// A schema file's name without its extension, and the type that the extension says.
fn schema_name(path: &Path) -> Option<(String, SchemaType)> {
    let schema_type = match path.extension()?.to_str()? {
        "avsc" => SchemaType::Avro,
        "json" => SchemaType::Json,
        "proto" => SchemaType::Protobuf,
        _ => return None,
    };
    Some((path.file_stem()?.to_str()?.to_owned(), schema_type))
}

/// The folder of a subject; never one of the files beside the folders.
fn folder_name(subject: &str) -> String {
    let name = percent::encode(subject);
    match name.strip_suffix(".json") {
        Some(stem) => format!("{stem}%2Ejson"),
        None => name,
    }
}

/// What is in a folder, in the order of names; nothing if there is no such folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RegistryError::io(folder)(error)),
    };
    let paths = listing.map(|entry| entry.map(|entry| entry.path()));
    let mut paths =
        paths.collect::<std::io::Result<Vec<_>>>().map_err(RegistryError::io(folder))?;
    paths.sort_unstable();
    Ok(paths)
}

/// A JSON file; `None` if it is not there.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RegistryError::io(path)(error)),
    };
    let value = serde_json::from_slice(&text);
    value.map(Some).map_err(|error| RegistryError::folder(path, error.to_string()))
}

/// Waits for the lock; it is given back when the file is dropped, or its process ends.
fn lock(path: &Path) -> Result<File> {
    let file =
        File::options().create(true).append(true).open(path).map_err(RegistryError::io(path))?;
    file.lock().map_err(RegistryError::io(path))?;
    Ok(file)
}

/// Writes a file so that it has either its old content or the new, even after a crash. The lock
/// keeps the temporary name to one writer.
fn replace(path: &Path, content: &str) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(RegistryError::io(path))
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
