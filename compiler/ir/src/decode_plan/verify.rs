//! What a decode plan must satisfy before an engine runs it.

use std::fmt;

use super::{
    AvroDatum, AvroOp, AvroPlan, AvroSkip, AvroStep, DecodeColumn, DecodePlan, JsonStep, Metadata,
    Origin, PLAN_STEPS_MAX, PayloadPlan, Sign,
};
use crate::scalar::value_fits;
use crate::types::{DataType, TYPE_DEPTH_MAX, Type};

/// Levels of steps in one plan at most: each level of a type may take a union and a row.
const STEP_DEPTH_MAX: usize = 4 * TYPE_DEPTH_MAX;

/// The rule that a decode or encode plan breaks: a bug in the compiler, or altered bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPlan(pub String);

impl fmt::Display for InvalidPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidPlan {}

pub(crate) fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), InvalidPlan> {
    if holds { Ok(()) } else { Err(InvalidPlan(why())) }
}

impl DecodePlan {
    /// Checks the rules of the module's head. Every engine may rely on them.
    ///
    /// # Errors
    /// The first rule that the plan breaks.
    pub fn verify(&self) -> Result<(), InvalidPlan> {
        for column in &self.columns {
            verify_column(column)?;
        }
        let types: Vec<Type> = self.columns.iter().map(|c| c.ty.clone()).collect();
        if let Sign::Delete(key) = &self.sign {
            key.iter().try_for_each(|&column| column_type(&types, column).map(|_| ()))?;
        }
        for payload in [&self.key, &self.value] {
            Verifier { steps: 0, recursive: 0 }.payload(payload, &types)?;
        }
        Ok(())
    }
}

fn verify_column(column: &DecodeColumn) -> Result<(), InvalidPlan> {
    let name = &column.name;
    ensure(column.ty.data.depth() <= TYPE_DEPTH_MAX, || format!("{name} is nested too deeply"))?;
    let Origin::Metadata(what) = column.origin else { return Ok(()) };
    let right = match what {
        Metadata::Timestamp => column.ty.data.is_timestamp(),
        Metadata::Headers => match &column.ty.data {
            DataType::Map(key, value) => {
                key.data == DataType::String && value.data == DataType::Bytes && value.nullable
            }
            _ => false,
        },
        Metadata::Partition => column.ty.data.integer_bits().is_some_and(|bits| bits >= 32),
        Metadata::Topic
        | Metadata::Offset
        | Metadata::BatchPosition
        | Metadata::Tombstone
        | Metadata::Watermark => column.ty.data == what.data_type(),
    };
    ensure(right, || format!("{name}: {what} is {}, not {}", what.data_type(), column.ty.data))
}

/// Counts what it has seen, so that a plan stays within its limits.
struct Verifier {
    steps: usize,
    /// Recursive records of the plan.
    recursive: usize,
}

impl Verifier {
    fn payload(&mut self, plan: &PayloadPlan, types: &[Type]) -> Result<(), InvalidPlan> {
        match plan {
            PayloadPlan::Unread => Ok(()),
            PayloadPlan::Raw(columns) => columns.iter().try_for_each(|&column| {
                let ty = column_type(types, column)?;
                ensure(raw_reads_as(&ty.data), || format!("raw cannot be read as {}", ty.data))
            }),
            PayloadPlan::Csv(plan) => {
                let columns = plan.fields.iter().filter_map(|(_, column)| *column);
                { columns }.try_for_each(|column| {
                    let ty = column_type(types, column)?;
                    ensure(csv_reads_as(&ty.data), || format!("CSV has no {}", ty.data))
                })
            }
            PayloadPlan::Json(steps) => self.json(steps, types, 0),
            PayloadPlan::Avro(AvroPlan { steps, recursive }) => {
                self.recursive = recursive.len();
                recursive.iter().try_for_each(|skips| self.skips(skips, 0))?;
                self.steps(steps, types, 0)
            }
        }
    }

    fn count(&mut self, depth: usize) -> Result<(), InvalidPlan> {
        self.steps += 1;
        ensure(self.steps <= PLAN_STEPS_MAX, || "too many steps".into())?;
        ensure(depth <= STEP_DEPTH_MAX, || "steps are nested too deeply".into())
    }

    fn json(
        &mut self,
        steps: &[JsonStep],
        types: &[Type],
        depth: usize,
    ) -> Result<(), InvalidPlan> {
        for step in steps {
            self.count(depth)?;
            match step {
                JsonStep::Column(column) => {
                    let ty = column_type(types, *column)?;
                    ensure(json_reads_as(&ty.data), || {
                        format!("JSON cannot be read as {}", ty.data)
                    })?;
                }
                JsonStep::Members(members) => {
                    for member in members {
                        self.json(&member.into, types, depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn steps(
        &mut self,
        steps: &[AvroStep],
        types: &[Type],
        depth: usize,
    ) -> Result<(), InvalidPlan> {
        for step in steps {
            self.count(depth)?;
            match &step.op {
                AvroOp::Skip(skip) => self.skips(std::slice::from_ref(skip), depth)?,
                AvroOp::Read(column, datum) => {
                    self.datum(datum, column_type(types, *column)?, depth + 1)?;
                }
                AvroOp::Default(column, value) => {
                    let ty = column_type(types, *column)?;
                    let fits = value_fits(value, &ty.data) && (ty.nullable || !value.is_null());
                    ensure(fits, || format!("{}: the default is not {ty}", step.field))?;
                }
                AvroOp::Union(branches) => {
                    branches.iter().try_for_each(|b| self.steps(b, types, depth + 1))?;
                }
                AvroOp::Peek(steps) => self.steps(steps, types, depth + 1)?,
            }
        }
        Ok(())
    }

    fn datum(&mut self, datum: &AvroDatum, ty: &Type, depth: usize) -> Result<(), InvalidPlan> {
        self.count(depth)?;
        let mismatch = || Err(InvalidPlan(format!("a datum cannot be read as {ty}")));
        match (datum, &ty.data) {
            (AvroDatum::Null | AvroDatum::Refuse(_), _) => Ok(()),
            (AvroDatum::Scalar(scalar), data) => {
                ensure(scalar.reads_as(data), || format!("{scalar} cannot be read as {ty}"))
            }
            (AvroDatum::Union(branches), _) => {
                branches.iter().try_for_each(|branch| self.datum(branch, ty, depth + 1))
            }
            (AvroDatum::Array(item), DataType::Array(ty)) => self.datum(item, ty, depth + 1),
            (AvroDatum::Map(value), DataType::Map(key, ty)) => {
                ensure(key.data == DataType::String, || "a map's keys are not STRING".into())?;
                self.datum(value, ty, depth + 1)
            }
            (AvroDatum::Row(steps), DataType::Row(fields)) => {
                let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
                self.steps(steps, &types, depth + 1)
            }
            (AvroDatum::Array(_) | AvroDatum::Map(_) | AvroDatum::Row(_), _) => mismatch(),
        }
    }

    fn skips(&mut self, skips: &[AvroSkip], depth: usize) -> Result<(), InvalidPlan> {
        for skip in skips {
            self.count(depth)?;
            match skip {
                AvroSkip::Varints(_) | AvroSkip::Strings(_) | AvroSkip::Bytes(_) => {}
                AvroSkip::Blocks(items) => self.skips(items, depth + 1)?,
                AvroSkip::Union(branches) => {
                    branches.iter().try_for_each(|b| self.skips(b, depth + 1))?;
                }
                AvroSkip::Recursive(index) => {
                    let known = (*index as usize) < self.recursive;
                    ensure(known, || "no such recursive record".into())?;
                }
            }
        }
        Ok(())
    }
}

fn column_type(types: &[Type], column: u32) -> Result<&Type, InvalidPlan> {
    types.get(column as usize).ok_or_else(|| InvalidPlan(format!("no column c{column}")))
}

/// Whether a whole payload can be read as or written from this type: text, bytes, and big-endian
/// numbers of the type's own width.
pub fn raw_reads_as(ty: &DataType) -> bool {
    match ty {
        DataType::Boolean
        | DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Real
        | DataType::Double
        | DataType::String
        | DataType::Bytes
        | DataType::Uuid
        | DataType::Json => true,
        DataType::Null
        | DataType::Decimal { .. }
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Interval
        | DataType::Array(_)
        | DataType::Map(_, _)
        | DataType::Row(_) => false,
    }
}

/// Whether a field of delimited text has a form for this type: all that are not built of others,
/// and an ARRAY of such.
pub fn csv_reads_as(ty: &DataType) -> bool {
    match ty {
        DataType::Array(item) => !item.data.is_container() && csv_reads_as(&item.data),
        DataType::Map(_, _) | DataType::Row(_) => false,
        scalar => json_reads_as(scalar),
    }
}

/// Whether values of this type can be written as JSON: as what reads back, and a MAP with keys of
/// any type that is not built of others, as their texts.
pub fn json_writes_as(ty: &DataType) -> bool {
    match ty {
        DataType::Array(item) => json_writes_as(&item.data),
        DataType::Map(key, value) => {
            !key.data.is_container() && json_reads_as(&key.data) && json_writes_as(&value.data)
        }
        DataType::Row(fields) => fields.iter().all(|f| json_writes_as(&f.ty.data)),
        scalar => json_reads_as(scalar),
    }
}

/// Whether JSON has a form for this type: all but a bare NULL, and MAP only with STRING keys.
pub fn json_reads_as(ty: &DataType) -> bool {
    match ty {
        DataType::Null => false,
        DataType::Array(item) => json_reads_as(&item.data),
        DataType::Map(key, value) => key.data == DataType::String && json_reads_as(&value.data),
        DataType::Row(fields) => fields.iter().all(|f| json_reads_as(&f.ty.data)),
        DataType::Boolean
        | DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Real
        | DataType::Double
        | DataType::Decimal { .. }
        | DataType::String
        | DataType::Bytes
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Interval
        | DataType::Uuid
        | DataType::Json => true,
    }
}
