//! The `flow` command: the only place where compiler and runtime meet.
//!
//! | module | what |
//! | --- | --- |
//! | `cli` | one file a command, thin |
//! | `cases` | whole-program cases as data, and their runner |
//! | `driver` | files to diagnostics or a job graph, shared by every command |
//! | `ide` | what an editor or a shell asks of a program while it is written |
//! | `lsp` | the language server: `ide` over a protocol |
//! | `catalog` | the compiler's view of registries |
//! | `query` | questions to running jobs: views, streams, subscriptions |
//! | `figures` | numbers as people read them |
//! | `offered` | the views of a server, as the compiler knows them |
//! | `registries` | registries by address, opened once |
//! | `secrets` | `${secret:NAME}`, filled in where a broker or a registry is asked |
//! | `clusters` | Kafka clusters of a job |
//! | `deployment` | how a program says that it is to be run |
//! | `client` | a server as commands see it: where it is, requests, answers |
//! | `repl` | the shell, a client of a server |
//! | `server` | many jobs in one process, and the API to them |
//! | `logging` | where the process's own log goes |
//! | `plain` | text of other people for a terminal |
//! | `status` | lines that are redrawn at the bottom of the terminal |
//! | `traces` | spans to a collector, where it is built with them |
//! | `world` | logs, registries and output of a job that runs here |

#[cfg(feature = "run")]
pub mod cases;
pub mod catalog;
pub mod cli;
#[cfg(feature = "run")]
pub mod client;
#[cfg(feature = "run")]
pub mod clusters;
#[cfg(feature = "run")]
pub mod deployment;
pub mod driver;
#[cfg(feature = "run")]
mod engine;
pub mod exit;
#[cfg(feature = "run")]
pub mod figures;
pub mod ide;
mod imports;
#[cfg(feature = "run")]
pub mod lock;
#[cfg(feature = "run")]
pub mod logging;
pub mod lsp;
#[cfg(feature = "run")]
pub mod offered;
#[cfg(feature = "run")]
pub mod payload;
pub mod plain;
#[cfg(feature = "run")]
pub mod query;
pub mod registries;
#[cfg(feature = "run")]
pub mod repl;
pub mod secrets;
#[cfg(feature = "run")]
pub mod server;
#[cfg(feature = "run")]
pub mod signals;
#[cfg(feature = "run")]
pub mod status;
#[cfg(feature = "run")]
pub mod traces;
#[cfg(feature = "run")]
pub mod world;
