//! The parser that pest derives from `grammar/flow.pest`, and nothing else.

// The derive makes one variant and one function per rule of the grammar, without documentation.
#![allow(missing_docs)]

/// The derived parser.
#[derive(pest_derive::Parser)]
#[grammar = "../../grammar/flow.pest"]
pub(crate) struct FlowParser;
