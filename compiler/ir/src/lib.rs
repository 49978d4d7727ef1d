//! Flow's data: the representations that a program passes through and the rows it works on. No
//! I/O, no parsing, no meaning of builtins.
//!
//! | module | what | made by | read by |
//! | --- | --- | --- | --- |
//! | `span`, `ids`, `types`, `value` | the vocabulary | everyone | everyone |
//! | `expr` | typed scalar expressions | the checker | planner, optimiser |
//! | `logical` | logical plans | the planner | optimiser, lowering |
//! | `physical` | job graphs, their verifier and wire form | lowering | the runtime |
//! | `scalar`, `decode_plan`, `encode_plan` | closed IRs | lowering, `flow-schema` | interpreter |
//! | `update` | the closed IR of accumulators | `flow-stdlib` | interpreter, codegen |
//! | `row` | the row format | decoders, kernels, operators | all of the data path |
//! | `kernel` | the interface of per-batch work | `flow-stdlib`, codegen | the runtime |
//! | `aggregate` | aggregate calls and windows as data | the planner | operators |
//! | `csv` | dialects of delimited text | options | plans, the reader of files |
//! | `connector` | what WITH (…) may say | here | checker, runtime |

pub mod aggregate;
pub mod connector;
pub mod csv;
pub mod decode_plan;
pub mod each;
pub mod encode_plan;
pub mod expr;
pub mod ids;
pub mod kernel;
pub mod logical;
pub mod over;
pub mod physical;
pub mod row;
pub mod scalar;
pub mod span;
pub mod types;
pub mod update;
pub mod value;
