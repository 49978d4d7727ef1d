//! Encode plans: how the columns of a row become payload bytes. `flow-schema` builds them. A closed
//! IR, as decode plans are; a writer that `verify` accepts is given values of the types it takes,
//! and checks value by value only what types cannot say: symbols, lengths, ranges, NULLs.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::csv::CsvDialect;
use crate::decode_plan::{
    AvroScalar, InvalidPlan, PLAN_STEPS_MAX, csv_reads_as, ensure, json_writes_as, raw_reads_as,
};
use crate::types::{DataType, Field, TYPE_DEPTH_MAX, Type};

/// How a row is written as one payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EncodePlan {
    /// The columns of the rows it takes.
    pub columns: Vec<Field>,
    /// Bytes before each payload: a registry's framing, filled in when the schema's id is known.
    pub prefix: Vec<u8>,
    /// What is written.
    pub payload: PayloadWriter,
}

/// What is written of a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum PayloadWriter {
    /// Nothing.
    #[default]
    Empty,
    /// Avro data, one after the other: a record's fields, or one datum by itself.
    Avro(Vec<AvroPut>),
    /// A JSON object.
    Json(JsonWriter),
    /// A column as text, bytes, or a big-endian number; NULL is an empty payload.
    Raw(u32),
    /// A record of delimited text.
    Csv(CsvWriter),
}

/// One datum to write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AvroPut {
    /// These bytes: a field that no column gives.
    Constant(Vec<u8>),
    /// A column (a ROW's field, inside a ROW).
    Column {
        /// Its number.
        column: u32,
        /// The schema's field, with its path, for errors.
        field: String,
        /// How it is written.
        datum: AvroWrite,
    },
}

/// How a value is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AvroWrite {
    /// A datum that is not built of others; NULL is an error.
    Scalar(AvroScalar),
    /// An ARRAY.
    Array(Box<AvroWrite>),
    /// A MAP with STRING keys.
    Map(Box<AvroWrite>),
    /// A ROW as a record: puts whose columns are the ROW's fields.
    Row(Vec<AvroPut>),
    /// A union, of which one branch takes all values: for NULL the number of the null branch, else
    /// that of the value's branch and the value.
    Union {
        /// Number of the null branch; without one, NULL is an error.
        null: Option<u32>,
        /// Number of the value's branch.
        value: u32,
        /// How the value is written.
        datum: Box<AvroWrite>,
    },
    /// A ROW with a field a branch as a union: the first field that is not NULL decides.
    Variant {
        /// The branches' numbers and writers, one a field.
        branches: Vec<(u32, AvroWrite)>,
        /// Number of the null branch, for when all fields are NULL.
        null: Option<u32>,
    },
}

/// A JSON object of some columns, or the value of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JsonWriter {
    /// The columns that are its members, in order, under their own names.
    pub columns: Vec<u32>,
    /// How times are written.
    pub timestamps: JsonTimestamps,
    /// Whether the only column's value is written, with no object around it.
    pub bare: bool,
}

/// A record of delimited text of some columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CsvWriter {
    /// The columns that are its fields, in order.
    pub columns: Vec<u32>,
    /// How they are written.
    pub dialect: CsvDialect,
}

/// How TIMESTAMP and TIMESTAMP_LTZ, dates and times of day are written in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum JsonTimestamps {
    /// ISO 8601 text, `2024-05-01T10:00:00.123`, with `Z` for TIMESTAMP_LTZ.
    #[default]
    Iso,
    /// The same with a blank between date and time, as Flink writes unless it is told otherwise.
    Sql,
    /// Milliseconds since 1970, rounded down.
    Millis,
    /// The same; DATE as days since 1970, TIME as milliseconds of the day, as ksqlDB writes them.
    Numbers,
}

impl EncodePlan {
    /// Checks that the plan names its own columns and writes each as a form its type has.
    ///
    /// # Errors
    /// The first rule that the plan breaks.
    pub fn verify(&self) -> Result<(), InvalidPlan> {
        for column in &self.columns {
            let deep = column.ty.data.depth() > TYPE_DEPTH_MAX;
            ensure(!deep, || format!("{} is nested too deeply", column.name))?;
        }
        match &self.payload {
            PayloadWriter::Empty => Ok(()),
            PayloadWriter::Raw(column) => {
                let ty = &column_type(&self.columns, *column)?.data;
                ensure(raw_reads_as(ty), || format!("{ty} cannot be written raw"))
            }
            PayloadWriter::Json(writer) => {
                let one = writer.columns.len() == 1;
                ensure(!writer.bare || one, || "a bare JSON value is of one column".into())?;
                writer.columns.iter().try_for_each(|&column| {
                    let ty = &column_type(&self.columns, column)?.data;
                    ensure(json_writes_as(ty), || format!("{ty} cannot be written as JSON"))
                })
            }
            PayloadWriter::Csv(writer) => writer.columns.iter().try_for_each(|&column| {
                let ty = &column_type(&self.columns, column)?.data;
                ensure(csv_reads_as(ty), || format!("{ty} cannot be written as CSV"))
            }),
            PayloadWriter::Avro(puts) => verify_puts(puts, &self.columns, &mut 0),
        }
    }
}

fn column_type(fields: &[Field], column: u32) -> Result<&Type, InvalidPlan> {
    let field = fields.get(column as usize);
    field.map(|f| &f.ty).ok_or_else(|| InvalidPlan(format!("no column c{column}")))
}

fn verify_puts(puts: &[AvroPut], fields: &[Field], seen: &mut usize) -> Result<(), InvalidPlan> {
    for put in puts {
        *seen += 1;
        ensure(*seen <= PLAN_STEPS_MAX, || "too many steps".into())?;
        match put {
            AvroPut::Constant(_) => {}
            AvroPut::Column { column, datum, .. } => {
                verify_datum(datum, &column_type(fields, *column)?.data, seen)?;
            }
        }
    }
    Ok(())
}

fn verify_datum(datum: &AvroWrite, ty: &DataType, seen: &mut usize) -> Result<(), InvalidPlan> {
    *seen += 1;
    ensure(*seen <= PLAN_STEPS_MAX, || "too many steps".into())?;
    match (datum, ty) {
        (AvroWrite::Scalar(scalar), ty) => {
            ensure(scalar.writes(ty), || format!("{ty} cannot be written as {scalar}"))
        }
        (AvroWrite::Union { datum, .. }, ty) => {
            let twice = matches!(**datum, AvroWrite::Union { .. } | AvroWrite::Variant { .. });
            ensure(!twice, || "a union directly in a union".into())?;
            verify_datum(datum, ty, seen)
        }
        (AvroWrite::Array(item), DataType::Array(ty)) => verify_datum(item, &ty.data, seen),
        (AvroWrite::Map(value), DataType::Map(key, ty)) => {
            ensure(key.data == DataType::String, || "a map's keys are not STRING".into())?;
            verify_datum(value, &ty.data, seen)
        }
        (AvroWrite::Row(puts), DataType::Row(fields)) => verify_puts(puts, fields, seen),
        (AvroWrite::Variant { branches, .. }, DataType::Row(fields)) => {
            ensure(branches.len() == fields.len(), || "not a branch a field".into())?;
            branches
                .iter()
                .zip(fields.iter())
                .try_for_each(|((_, branch), field)| verify_datum(branch, &field.ty.data, seen))
        }
        (
            AvroWrite::Array(_) | AvroWrite::Map(_) | AvroWrite::Row(_) | AvroWrite::Variant { .. },
            ty,
        ) => Err(InvalidPlan(format!("{ty} is not what is written"))),
    }
}

impl Display for EncodePlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, column) in self.columns.iter().enumerate() {
            writeln!(f, "c{i} = {} {}", column.name, column.ty)?;
        }
        if !self.prefix.is_empty() {
            writeln!(f, "prefix {:02x?}", self.prefix)?;
        }
        match &self.payload {
            PayloadWriter::Empty => writeln!(f, "empty"),
            PayloadWriter::Raw(column) => writeln!(f, "raw c{column}"),
            PayloadWriter::Json(writer) => {
                write!(f, "json {:?}", writer.timestamps)?;
                write!(f, "{}", if writer.bare { " bare" } else { "" })?;
                writer.columns.iter().try_for_each(|c| write!(f, " c{c}"))?;
                writeln!(f)
            }
            PayloadWriter::Csv(writer) => {
                write!(f, "csv {:?}", char::from(writer.dialect.delimiter))?;
                writer.columns.iter().try_for_each(|c| write!(f, " c{c}"))?;
                writeln!(f)
            }
            PayloadWriter::Avro(puts) => {
                writeln!(f, "avro")?;
                write_puts(f, puts, 1)
            }
        }
    }
}

fn write_puts(f: &mut Formatter<'_>, puts: &[AvroPut], depth: usize) -> fmt::Result {
    for put in puts {
        write!(f, "{:1$}", "", depth * 2)?;
        match put {
            AvroPut::Constant(bytes) => writeln!(f, "constant {bytes:02x?}")?,
            AvroPut::Column { column, field, datum } => {
                write!(f, "{field}: c{column} as ")?;
                write_datum(f, datum, depth)?;
            }
        }
    }
    Ok(())
}

/// Writes a datum and ends the line.
fn write_datum(f: &mut Formatter<'_>, datum: &AvroWrite, depth: usize) -> fmt::Result {
    match datum {
        AvroWrite::Scalar(scalar) => writeln!(f, "{scalar}"),
        AvroWrite::Array(item) => {
            write!(f, "array of ")?;
            write_datum(f, item, depth)
        }
        AvroWrite::Map(value) => {
            write!(f, "map of ")?;
            write_datum(f, value, depth)
        }
        AvroWrite::Row(puts) => {
            writeln!(f, "record")?;
            write_puts(f, puts, depth + 1)
        }
        AvroWrite::Union { null, value, datum } => {
            write!(f, "union(null {null:?}, {value}) ")?;
            write_datum(f, datum, depth)
        }
        AvroWrite::Variant { branches, null } => {
            writeln!(f, "union(null {null:?})")?;
            for (branch, datum) in branches {
                write!(f, "{:1$}{branch}: ", "", depth * 2 + 2)?;
                write_datum(f, datum, depth + 1)?;
            }
            Ok(())
        }
    }
}
