//! Flow's runtime: a job graph becomes running workers. Knows no syntax and no code generator;
//! kernels come from a `KernelFactory`.
//!
//! | module | what | never |
//! | --- | --- | --- |
//! | `ops` | operators: synchronous, single-threaded | I/O, time, threads |
//! | `state` | tables in memory, the store on disk, the changelog | decides what is committed |
//! | `worker` | the whole graph over some shards, on one thread | talks to a log's writer |
//! | `connect` | logs, files; the embedded log | looks into rows |
//! | `format` | what stands around payloads | looks into payloads |
//! | `commit` | the commit protocol, pure, and its driver | |
//! | `query` | a query over views, run at once | knows where rows come from |
//! | `view` | reading a job's materialized views | writes |
//! | `job` | attempts, starts, the loop over epochs | |
//! | `world` | what a job cannot decide: time, logs, registries | |

pub mod commit;
pub mod config;
pub mod connect;
pub mod error;
pub mod format;
pub mod job;
pub mod metrics;
pub mod ops;
mod partition;
pub mod query;
pub mod state;
pub mod view;
mod worker;
pub mod world;

pub use config::{Config, LocalStore, Memory};
pub use error::{Result, RuntimeError};
pub use job::{Ended, JobHandle, Stopper, start};
pub use world::World;

/// The target of the spans that are traces: of epochs and commits here, of requests elsewhere.
pub const TRACE: &str = "flow::trace";
