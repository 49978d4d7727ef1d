//! The `flow` command: the only place where compiler and runtime meet.
//!
//! | module | what |
//! | --- | --- |
//! | `cli` | one file a command, thin |
//! | `cases` | whole-program cases as data, and their runner |
//! | `driver` | files to diagnostics or a job graph, shared by every command |
//! | `catalog` | the compiler's view of registries |
//! | `registries` | registries by address, opened once |
//! | `secrets` | `${secret:NAME}`, filled in where a broker or a registry is asked |
//! | `clusters` | Kafka clusters of a job |
//! | `world` | logs, registries and output of a job that runs here |

#[cfg(feature = "run")]
pub mod cases;
pub mod catalog;
pub mod cli;
#[cfg(feature = "run")]
pub mod clusters;
pub mod driver;
pub mod exit;
#[cfg(feature = "run")]
pub mod lock;
#[cfg(feature = "run")]
pub mod payload;
pub mod registries;
pub mod secrets;
#[cfg(feature = "run")]
pub mod signals;
#[cfg(feature = "run")]
pub mod world;
