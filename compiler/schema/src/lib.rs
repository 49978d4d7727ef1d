//! Avro and JSON schemas to and from Flow types, and the plans by which payloads are read and
//! written. Pure: schemas come in as text, nothing is fetched.
//!
//! | module | what |
//! | --- | --- |
//! | `avro` | parsing, the columns of a schema |
//! | `derive` | the schema of a sink's columns |
//! | `declared` | declared columns against a schema |
//! | `compat` | compatibility of a subject's versions |
//! | `plan` | decode and encode plans |
//! | `container` | Avro's object container files |
//!
//! Of the Avro library only its parsed `Schema` and the codecs of its files are used; data is read
//! and written by plans.

pub mod avro;
pub mod compat;
pub mod container;
pub mod declared;
pub mod derive;
pub mod plan;

pub use apache_avro::Schema;
pub use avro::{Columns, SchemaError, columns_of, parse, text_of};
pub use compat::{Incompatibility, Level};
pub use declared::{DeclaredProblem, Problem, check_declared};
pub use derive::derive;
pub use plan::{
    CsvFormat, EncodeFormat, Envelope, PayloadFormat, PlanError, csv_dialect, csv_format,
    decode_plan, encode_plan, envelope, is_bare_json, json_format, json_timestamps, skips,
};
