//! Decode plans: how payload bytes become the columns that a scan reads. `flow-schema` builds
//! them from a writer's schema and a request; unread fields are skipped, never materialised.
//!
//! A plan is a closed IR: key and value each have a payload plan of one format; its steps set
//! columns of the row being made, which begins as all NULL. What holds for every plan that
//! `verify` accepts:
//! * every column number is one of the plan's columns (or of the nested ROW's fields);
//! * a datum's wire form can be read as the type of the column it goes to;
//! * a step that names a recursive type names one in the plan's own list.
//!
//! After the steps, a NOT NULL column that is still NULL is an error of the record; for a
//! tombstone only when the plan has no `Metadata::Tombstone` column to show it.

mod avro;
mod print;
mod verify;

use serde::{Deserialize, Serialize};

use crate::csv::CsvDialect;
use crate::types::{DataType, Type};
use crate::value::Value;

pub use avro::AvroScalar;
pub(crate) use verify::ensure;
pub use verify::{InvalidPlan, csv_reads_as, json_reads_as, json_writes_as, raw_reads_as};

/// Steps and data of one plan at most.
pub const PLAN_STEPS_MAX: usize = 100_000;
/// Levels of blocks, unions and recursive records to which data is followed when it is skipped.
pub const AVRO_DEPTH_MAX: usize = 512;

/// A column that a scan reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DecodeColumn {
    /// Name in the stream's declaration.
    pub name: String,
    /// Type it is read as.
    pub ty: Type,
    /// Where in the record it stands.
    pub origin: Origin,
}

impl DecodeColumn {
    /// A field of this ROW column as a column of its own, named by its path; NULL where the row is.
    /// The column itself where it is no ROW of the record's key or value, or has no such field.
    #[must_use]
    pub fn field(&self, index: usize) -> Self {
        let mut column = self.clone();
        if let DataType::Row(fields) = &self.ty.data
            && let Some(field) = fields.get(index)
            && let Origin::Value(path) | Origin::Key(path) = &mut column.origin
        {
            path.push(field.name.clone());
            column.name = format!("{}.{}", self.name, field.name);
            column.ty = field.ty.with_nullable(self.ty.nullable || field.ty.nullable);
        }
        column
    }
}

/// Where in a record a column stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// A field of the value: names from the outermost record inwards. An empty path is the whole
    /// payload (format `raw`).
    Value(Vec<String>),
    /// A field of the key, likewise.
    Key(Vec<String>),
    /// Something about the record.
    Metadata(Metadata),
}

/// The column of a stream's rows that CURRENT_WATERMARK reads, of `Metadata::Watermark`.
pub const CURRENT_WATERMARK: &str = "$current_watermark";

/// What a record carries beside key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Metadata {
    /// Timestamp of the record (TIMESTAMP_LTZ).
    Timestamp,
    /// Topic or file name (STRING).
    Topic,
    /// Partition (INT).
    Partition,
    /// Offset (BIGINT).
    Offset,
    /// Headers (MAP<STRING, BYTES>).
    Headers,
    /// The record's position in its batch (BIGINT): hidden, for late and dead-letter routing.
    BatchPosition,
    /// Whether the value is a tombstone (BOOLEAN): hidden, for keyed tables.
    Tombstone,
    /// Watermark of the record's partition just before it (BIGINT microseconds): hidden, filled in
    /// by the source; the decoder leaves it 0.
    Watermark,
}

/// How records are read into rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DecodePlan {
    /// The columns of the rows it makes.
    pub columns: Vec<DecodeColumn>,
    /// How the key's bytes are read.
    pub key: PayloadPlan,
    /// How the value's bytes are read.
    pub value: PayloadPlan,
    /// What becomes of the rows.
    #[serde(default)]
    pub sign: Sign,
}

/// What a record's row is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sign {
    /// It comes.
    #[default]
    Plus,
    /// It goes: its weight is -1.
    Minus,
    /// The row of its key goes: its tombstone column is TRUE, and of the other columns only these,
    /// the key's, must be there.
    Delete(Vec<u32>),
}

/// How an envelope of Avro data is taken apart: what its fields are, in the writer's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EnvelopePlan {
    /// The fields.
    pub fields: Vec<EnvelopeField>,
    /// Skips of recursive records, by the number that `AvroSkip::Recursive` names.
    pub recursive: Vec<Vec<AvroSkip>>,
}

/// A field of an envelope. A row that may be null has a union's branches, each passed over by its
/// skips; `None` is the null branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EnvelopeField {
    /// Nobody asks for it.
    Skip(Vec<AvroSkip>),
    /// The row before the change.
    Before {
        /// One: it is no union.
        branches: Vec<Option<Vec<AvroSkip>>>,
    },
    /// The row after the change.
    After {
        /// One: it is no union.
        branches: Vec<Option<Vec<AvroSkip>>>,
    },
    /// What the change was, a string.
    Op {
        /// Its branch, if it is a union.
        branch: Option<u32>,
    },
}

/// How a key's or value's bytes are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum PayloadPlan {
    /// No column needs them.
    #[default]
    Unread,
    /// One Avro datum, which must end where the payload ends.
    Avro(AvroPlan),
    /// One JSON value.
    Json(Vec<JsonStep>),
    /// These columns take the whole payload: text, bytes, or a big-endian number.
    Raw(Vec<u32>),
    /// One record of delimited text.
    Csv(CsvPlan),
}

/// How a record of delimited text is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CsvPlan {
    /// How it is written.
    pub dialect: CsvDialect,
    /// Its fields in order: their names, for errors, and the column that each goes to.
    pub fields: Vec<(String, Option<u32>)>,
}

/// How one Avro datum is walked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AvroPlan {
    /// The steps, in the order of the writer's bytes.
    pub steps: Vec<AvroStep>,
    /// Skips of recursive records, by the number that `AvroSkip::Recursive` names.
    pub recursive: Vec<Vec<AvroSkip>>,
}

/// A step over a writer's field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AvroStep {
    /// The field (the first, if several are skipped at once), with its path, for errors.
    pub field: String,
    /// What is done with it.
    pub op: AvroOp,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AvroOp {
    /// Passes over data that no column needs. Lengths are checked, contents are not.
    Skip(AvroSkip),
    /// Sets a column to a datum.
    Read(u32, AvroDatum),
    /// Sets a column that the writer does not have to the reader's default; reads no bytes.
    Default(u32, Value),
    /// Reads a branch number and takes the steps of that branch.
    Union(Vec<Vec<AvroStep>>),
    /// Takes steps, then goes back to where they began: the same bytes are wanted twice.
    Peek(Vec<AvroStep>),
}

/// Data that is passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AvroSkip {
    /// This many varints: int, long, enum and the logical types over them.
    Varints(u32),
    /// This many strings or byte strings.
    Strings(u32),
    /// This many bytes: boolean, float, double, fixed.
    Bytes(u64),
    /// Blocks of items: an array's items, a map's keys and values.
    Blocks(Vec<AvroSkip>),
    /// A branch number and that branch's data.
    Union(Vec<Vec<AvroSkip>>),
    /// A recursive record, by number in `AvroPlan::recursive`.
    Recursive(u32),
}

/// A datum that is read as a value of a type known from where it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AvroDatum {
    /// Avro's null: no bytes, NULL.
    Null,
    /// A datum that is not built of others.
    Scalar(AvroScalar),
    /// Blocks of items, as ARRAY.
    Array(Box<AvroDatum>),
    /// Blocks of keys and values, as MAP with STRING keys; of equal keys the last one counts.
    Map(Box<AvroDatum>),
    /// A record as ROW: steps whose columns are the ROW's fields. (A union of several branches as a
    /// ROW with a field a branch is a `Union` of such, each of which sets one field.)
    Row(Vec<AvroStep>),
    /// A branch number and that branch's datum, all read as the same type.
    Union(Vec<AvroDatum>),
    /// A branch of a type that the column cannot hold, named in the error.
    Refuse(String),
}

/// What a JSON value is read into. Several steps at one place read the same text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum JsonStep {
    /// A column; its type says how.
    Column(u32),
    /// The members of an object. Null gives nothing; anything else is an error.
    Members(Vec<JsonMember>),
}

/// A member of an object, by its name, else by one that differs in case alone. A member that is
/// missing sets nothing; of members that occur twice the last one counts; others are passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JsonMember {
    /// Its name.
    pub name: String,
    /// What it is read into.
    pub into: Vec<JsonStep>,
}

impl Metadata {
    /// The type that a column of it has; precision and nullability aside.
    pub fn data_type(self) -> crate::types::DataType {
        use crate::types::DataType;
        match self {
            Metadata::Timestamp => DataType::TimestampLtz { precision: 3 },
            Metadata::Topic => DataType::String,
            Metadata::Partition => DataType::Int,
            Metadata::Offset | Metadata::BatchPosition | Metadata::Watermark => DataType::BigInt,
            Metadata::Headers => DataType::Map(
                Box::new(Type::not_null(DataType::String)),
                Box::new(Type::nullable(DataType::Bytes)),
            ),
            Metadata::Tombstone => DataType::Boolean,
        }
    }
}
