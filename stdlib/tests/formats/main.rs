//! Formats end to end: plans as `flow-schema` builds them, run by the interpreter, held against
//! apache-avro's and serde_json's readers, on good bytes and on bad ones.

mod avro_random;
mod encode;
mod json;
mod resolution;
mod support;
