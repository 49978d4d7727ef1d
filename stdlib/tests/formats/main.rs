//! Formats end to end: plans as `flow-schema` builds them, run by the interpreter, case by case.
//! Random schemas and payloads, held against apache-avro and serde_json, are in `tests/engines`.

mod encode;
mod json;
mod resolution;
mod support;
