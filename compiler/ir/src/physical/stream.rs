//! Streams as the runtime sees them: connector, options and columns, all checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decode_plan::Origin;
use crate::types::Type;

/// A declared stream or table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Name in the program.
    pub name: String,
    /// Connector name (`connector::ConnectorSpec`).
    pub connector: String,
    /// The WITH options, checked against the specs; `${secret:NAME}` unfilled.
    pub options: BTreeMap<String, String>,
    /// Format of values.
    pub value_format: Option<String>,
    /// Format of keys.
    pub key_format: Option<String>,
    /// The physical columns, in order: computed columns are in the plan.
    pub columns: Vec<StreamColumn>,
    /// Primary key, as positions in `columns`.
    pub primary_key: Vec<usize>,
    /// Schemas known at compile time.
    pub schemas: StreamSchemas,
}

/// A column that stands in the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub ty: Type,
    /// Where in the record.
    pub origin: Origin,
}

/// Avro schemas of a stream as JSON text, with the subjects that they are registered under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSchemas {
    /// Schema of values: for a sink what is registered at start and written; for a source what was
    /// the latest at compile time (bare Avro is read with it).
    pub value: Option<SubjectSchema>,
    /// Schema of keys, likewise.
    pub key: Option<SubjectSchema>,
}

/// A schema under a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectSchema {
    /// Subject in the registry; `None`: bare payloads without framing.
    pub subject: Option<String>,
    /// The schema as JSON text.
    pub schema: String,
}

impl Stream {
    /// An option's value.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Whether a column stands in the value: also one of the key's, unless it is to be in the key
    /// alone.
    pub fn in_value(&self, column: usize) -> bool {
        match &self.columns[column].origin {
            Origin::Value(_) => true,
            Origin::Key(_) => self.option("value.fields-include") != Some("EXCEPT_KEY"),
            Origin::Metadata(_) => false,
        }
    }

    /// Types of the columns.
    pub fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|c| c.ty.clone()).collect()
    }
}
