//! `flow schema`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use flow_registry::{CompatibilityLevel, Options, Registry, Schema, Verdict};
use flow_schema::compat::{Incompatibility, Level};

use super::{define, put, say};
use crate::exit::{Exit, Failure, Result};
use crate::registries::{PREFIX as REGISTRY_PREFIX, Registries};

/// List, show, check and register schemas.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  flow schema list --local data\n  \
    flow schema register orders-value orders.avsc --registry http://127.0.0.1:8081")]
pub(super) enum SchemaCommand {
    /// List subjects with their versions
    #[command(after_help = "Example:\n  flow schema list --local data")]
    List {
        #[command(flatten)]
        at: PlaceArgs,
    },
    /// Show a schema
    #[command(after_help = "Example:\n  flow schema get orders-value --version 1 --local data")]
    Get {
        /// Subject, such as orders-value
        subject: String,
        /// Version; the newest when left out
        #[arg(long)]
        version: Option<u32>,
        #[command(flatten)]
        at: PlaceArgs,
    },
    /// Check whether a schema can be the newest version of a subject
    #[command(after_help = "Examples:\n  \
        flow schema check orders-value orders.avsc --local data\n  \
        flow schema check orders-value orders.avsc --registry http://127.0.0.1:8081\n\n\
        The exit code is 1 for a schema that is not compatible, or that is none.")]
    Check {
        /// Subject, such as orders-value
        subject: String,
        /// File with the Avro schema
        #[arg(value_name = "FILE.avsc")]
        file: PathBuf,
        #[command(flatten)]
        at: PlaceArgs,
    },
    /// Make a schema the newest version of a subject
    #[command(after_help = "Example:\n  \
        flow schema register orders-value orders.avsc --registry http://127.0.0.1:8081")]
    Register {
        /// Subject, such as orders-value
        subject: String,
        /// File with the Avro schema
        #[arg(value_name = "FILE.avsc")]
        file: PathBuf,
        #[command(flatten)]
        at: PlaceArgs,
    },
}

/// Which registry, and how to reach it.
#[derive(Debug, Args)]
pub(super) struct RegistryArgs {
    /// Address of the schema registry, or a folder; else the embedded log's, or
    /// SCHEMA_REGISTRY_URL
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
    /// How to reach it: an option of streams without `avro-confluent.`, such as
    /// basic-auth.user-info='me:${secret:PASSWORD}'
    #[arg(long, value_name = "NAME=VALUE", value_parser = define)]
    registry_option: Vec<(String, String)>,
}

impl RegistryArgs {
    /// The registry; `None` if nothing names one.
    pub(super) fn find(&self, local: Option<&Path>) -> Result<Option<Arc<dyn Registry>>> {
        let option =
            |(name, value): &(String, String)| match Options::new("--registry").set(name, value) {
                true => Ok((format!("{REGISTRY_PREFIX}{name}"), value.clone())),
                false => Err(Failure::usage(format!("--registry-option: there is no `{name}`"))),
            };
        let options = self.registry_option.iter().map(option).collect::<Result<_>>()?;
        let found = Registries::with_local(local).get(self.registry.as_deref(), &options);
        found.map_err(Failure::failed)
    }
}

#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    registry: RegistryArgs,
    /// Folder of the embedded log: its schemas
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
}

impl PlaceArgs {
    fn open(&self) -> Result<Arc<dyn Registry>> {
        self.registry.find(self.local.as_deref())?.ok_or_else(|| {
            Failure::usage(
                "which registry? Give --registry URL, --local DIR, or SCHEMA_REGISTRY_URL",
            )
        })
    }
}

impl SchemaCommand {
    pub(super) fn run(self) -> Result {
        match self {
            SchemaCommand::List { at } => {
                let registry = at.open()?;
                for subject in registry.subjects().map_err(Failure::failed)? {
                    let versions = registry.versions(&subject).map_err(Failure::failed)?;
                    let versions: Vec<String> = versions.iter().map(u32::to_string).collect();
                    say(&format!("{subject}  versions {}\n", versions.join(", ")))?;
                }
                Ok(())
            }
            SchemaCommand::Get { subject, version, at } => {
                let registry = at.open()?;
                let found = match version {
                    Some(version) => registry.version(&subject, version),
                    None => registry.latest(&subject),
                };
                let found = found.map_err(Failure::failed)?.ok_or_else(|| {
                    Failure::failed(format!("{subject} is not in {}", registry.address()))
                })?;
                put(&format!("{}\n", found.schema.text))
            }
            SchemaCommand::Check { subject, file, at } => check(&subject, &file, &at),
            SchemaCommand::Register { subject, file, at } => register(&subject, &file, &at),
        }
    }
}

/// A schema beside the versions that a subject's level holds it against.
struct Comparison {
    level: CompatibilityLevel,
    /// The versions that it was held against, oldest first.
    versions: Vec<u32>,
    /// Those of them that could not be read, with the reason.
    unread: Vec<String>,
    /// The incompatible places, with their versions.
    problems: Vec<String>,
}

impl Comparison {
    fn of(schema: &flow_schema::Schema, subject: &str, registry: &dyn Registry) -> Result<Self> {
        let level = registry.compatibility(subject).map_err(Failure::failed)?;
        let versions = registry.versions(subject).map_err(Failure::failed)?;
        let versions = held_against(level, versions);
        let (mut known, mut numbers, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        for version in &versions {
            let Some(held) = registry.version(subject, *version).map_err(Failure::failed)? else {
                continue;
            };
            match flow_schema::parse(&held.schema.text) {
                Ok(schema) => {
                    known.push(schema);
                    numbers.push(version);
                }
                Err(why) => unread.push(format!("version {version}: {why}")),
            }
        }
        let rule = Level::parse(&level.to_string()).unwrap_or(Level::Backward);
        let found = flow_schema::compat::check(rule, schema, &known);
        let place = |p: &Incompatibility| format!("version {}: {p}", numbers[p.version]);
        Ok(Self { level, problems: found.iter().map(place).collect(), versions, unread })
    }

    /// The problems as a failure.
    fn refuse_problems(&self, subject: &str) -> Result {
        match self.problems.as_slice() {
            [] => Ok(()),
            problems => Err(Failure {
                exit: Exit::Mistakes,
                message: format!(
                    "the schema breaks {} of {subject}:\n  {}",
                    self.level,
                    problems.join("\n  ")
                ),
            }),
        }
    }
}

/// Of a subject's versions, oldest first, those that its level holds a new one against.
fn held_against(level: CompatibilityLevel, versions: Vec<u32>) -> Vec<u32> {
    match level {
        CompatibilityLevel::None => Vec::new(),
        CompatibilityLevel::Backward | CompatibilityLevel::Forward | CompatibilityLevel::Full => {
            versions.last().copied().into_iter().collect()
        }
        CompatibilityLevel::BackwardTransitive
        | CompatibilityLevel::ForwardTransitive
        | CompatibilityLevel::FullTransitive => versions,
    }
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|e| Failure::failed(format!("{} cannot be read: {e}", file.display())))
}

fn check(subject: &str, file: &Path, at: &PlaceArgs) -> Result {
    let text = read(file)?;
    let schema = flow_schema::parse(&text).map_err(|e| Failure {
        exit: Exit::Mistakes,
        message: format!("{} is no Avro schema: {e}", file.display()),
    })?;
    let registry = at.open()?;
    let mut compared = Comparison::of(&schema, subject, &*registry)?;
    let verdict = registry.check_compatible(subject, &Schema::avro(text));
    match verdict.map_err(Failure::failed)? {
        // The registry's own words are worth something only where nothing else names the place.
        Verdict::Incompatible(reasons) if compared.problems.is_empty() => {
            compared.problems = match reasons.is_empty() {
                true => vec!["the registry does not say why".to_string()],
                false => reasons,
            };
        }
        Verdict::NotChecked if compared.problems.is_empty() && !compared.unread.is_empty() => {
            let unread = compared.unread.join("\n  ");
            return Err(Failure::failed(format!("{subject} cannot be compared with\n  {unread}")));
        }
        Verdict::Compatible | Verdict::Incompatible(_) | Verdict::NotChecked => {}
    }
    compared.refuse_problems(subject)?;
    let versions: Vec<String> = compared.versions.iter().map(u32::to_string).collect();
    let with = match versions.as_slice() {
        [] => "with anything: there is no version to compare".to_string(),
        [one] => format!("with version {one}"),
        all => format!("with versions {}", all.join(", ")),
    };
    say(&format!("{subject}: compatible {with} ({})\n", compared.level))
}

fn register(subject: &str, file: &Path, at: &PlaceArgs) -> Result {
    let registry = at.open()?;
    let text = read(file)?;
    let schema = flow_schema::parse(&text)
        .map_err(|e| Failure::failed(format!("{} is no Avro schema: {e}", file.display())))?;
    // Versions that cannot be read here are for the registry to judge.
    Comparison::of(&schema, subject, &*registry)?.refuse_problems(subject)?;
    let id = registry.register(subject, &Schema::avro(text)).map_err(Failure::failed)?;
    say(&format!("{subject}: id {id}\n"))
}
