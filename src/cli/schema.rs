//! `flow schema`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use flow_registry::{Options, Registry, Schema};
use flow_schema::compat::Level;

use super::{define, say};
use crate::exit::{Exit, Failure, Result};
use crate::registries::{PREFIX as REGISTRY_PREFIX, Registries};

/// List, show and register schemas.
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
                say(&format!("{}\n", found.schema.text))
            }
            SchemaCommand::Register { subject, file, at } => register(&subject, &file, &at),
        }
    }
}

fn register(subject: &str, file: &PathBuf, at: &PlaceArgs) -> Result {
    let registry = at.open()?;
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::failed(format!("{} cannot be read: {e}", file.display())))?;
    let schema = flow_schema::parse(&text)
        .map_err(|e| Failure::failed(format!("{} is no Avro schema: {e}", file.display())))?;
    let mut before = Vec::new();
    for version in registry.versions(subject).map_err(Failure::failed)? {
        let known = registry.version(subject, version).map_err(Failure::failed)?;
        let known = known.map(|s| flow_schema::parse(&s.schema.text));
        before.extend(known.and_then(std::result::Result::ok));
    }
    let level = registry.compatibility(subject).map_err(Failure::failed)?;
    let level = Level::parse(&level.to_string()).unwrap_or(Level::Backward);
    let problems = flow_schema::compat::check(level, &schema, &before);
    if !problems.is_empty() {
        let problems: Vec<String> = problems.iter().map(|p| format!("  {p}")).collect();
        return Err(Failure {
            exit: Exit::Mistakes,
            message: format!(
                "the schema breaks {} of {subject}:\n{}",
                level.word(),
                problems.join("\n")
            ),
        });
    }
    let id = registry.register(subject, &Schema::avro(text)).map_err(Failure::failed)?;
    say(&format!("{subject}: id {id}\n"))
}
