//! Rows as JSON, and what they are the answer for.

use std::collections::HashSet;

use flow_ir::row::RowBatch;
use flow_ir::types::Field;
use flow_runtime::query::JsonRows;
use flow_runtime::view::At;
use flow_stdlib::interp::Interpreter;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Unanswered;

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Column {
    /// Its name, different from those of the other columns.
    pub name: String,
    /// Its type, as SQL writes it.
    #[serde(rename = "type")]
    pub ty: String,
}

/// What of a job an answer reflects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Position {
    /// The job.
    pub job: String,
    /// Its last epoch; 0 before the first.
    pub epoch: u64,
    /// What it had read.
    pub offsets: Vec<Offset>,
}

/// How far a partition was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Offset {
    /// The topic, or the path of a file.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The first offset that was not read.
    pub offset: i64,
}

impl Position {
    /// Of a job after an epoch.
    pub fn of(job: &str, at: &At) -> Self {
        let offset = |input: &flow_runtime::commit::InputPosition| Offset {
            topic: input.topic.clone(),
            partition: input.partition,
            offset: input.offset,
        };
        Self {
            job: job.to_string(),
            epoch: at.epoch,
            offsets: at.inputs.iter().map(offset).collect(),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows: objects with a value for each column.
    #[schema(value_type = Vec<Object>)]
    pub rows: Vec<Box<RawValue>>,
    /// What it reflects; nothing for topics read to their end.
    pub at: Vec<Position>,
    /// How long it took.
    pub elapsed_micros: u64,
}

/// Changes of an answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// Rows with how often they come (above 0) or go (below 0), of equal keys the row that goes
    /// first.
    #[schema(value_type = Vec<(i64, Object)>)]
    pub changes: Vec<(i64, Box<RawValue>)>,
    /// What the answer reflects with them.
    pub at: Vec<Position>,
}

/// Turns rows of some columns into JSON.
pub struct Shown {
    /// The columns that are shown.
    pub columns: Vec<Column>,
    json: JsonRows,
}

impl Shown {
    /// For rows of these columns, the first `visible` of which are shown.
    ///
    /// # Errors
    /// If a column has no form in JSON.
    pub fn new(fields: &[Field], visible: usize) -> Result<Self, Unanswered> {
        let named = unique(fields);
        let shown = named.iter().take(visible);
        let columns = shown.map(|f| Column { name: f.name.clone(), ty: f.ty.to_string() });
        let json = JsonRows::new(&Interpreter, &named, visible)?;
        Ok(Self { columns: columns.collect(), json })
    }

    /// The rows with their weights.
    ///
    /// # Errors
    /// If a value has no form in JSON.
    pub fn rows(&mut self, rows: &RowBatch) -> Result<Vec<(i64, Box<RawValue>)>, Unanswered> {
        let mut shown = Vec::with_capacity(rows.len());
        let mut broken = None;
        self.json.write(rows, |weight, text| match RawValue::from_string(text.to_string()) {
            Ok(row) => shown.push((weight, row)),
            Err(e) => broken = Some(e.to_string()),
        })?;
        broken.map_or(Ok(shown), |why| Err(Unanswered::Internal(why)))
    }
}

/// Columns of different names: JSON has no other order than that of names.
fn unique(fields: &[Field]) -> Vec<Field> {
    let mut taken = HashSet::new();
    let named = |field: &Field| {
        let names = (1..).map(|n| match n {
            1 => field.name.clone(),
            n => format!("{}_{n}", field.name),
        });
        let name = { names }.find(|name| taken.insert(name.clone()));
        Field { name: name.unwrap_or_else(|| field.name.clone()), ..field.clone() }
    };
    fields.iter().map(named).collect()
}
