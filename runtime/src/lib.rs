//! Flow's runtime: a job graph becomes running workers. Knows no syntax and no code generator;
//! kernels come from a `KernelFactory`.
//!
//! | module | what | never |
//! | --- | --- | --- |
//! | `ops` | operators: synchronous, single-threaded | I/O, time, threads |
//! | `state` | tables in memory, the store on disk, the changelog | decides what is committed |
//! | `connect` | logs, files, print; the embedded log | looks into rows |
//! | `commit` | the commit protocol, pure, and its driver | |

pub mod commit;
pub mod connect;
pub mod error;
pub mod ops;
pub mod state;
