//! Flow's compiler: text to job graph. No I/O, no async runtime.
//!
//! | module | what it does |
//! | --- | --- |
//! | `source` | source files and places in them |
//! | `diagnostics` | every message a user can get, as data, and its rendering |
//! | `syntax` | text to untyped AST and back |
//! | `check` | AST and catalog to the typed module |
//! | `plan` | typed module to logical plan |
//! | `optimize` | logical plan to a better one, by named passes |
//! | `lower` | logical plan to job graph |
//! | `codegen` | kernels of a job graph to machine code |
//! | `compile` | all of it in one call |

pub mod check;
pub mod codegen;
pub mod compile;
pub mod diagnostics;
mod exprs;
pub mod lower;
pub mod optimize;
pub mod plan;
mod scalar;
pub mod source;
pub mod syntax;
