//! Skips: what is passed over of data that no column needs. Runs of the same kind become one skip.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, RecordSchema, UuidSchema};
use flow_ir::decode_plan::{AvroSkip, PLAN_STEPS_MAX};

use super::PlanError;
use crate::avro::Names;

/// Levels of a schema that are followed; names can chain deeper than the text nests.
const SCHEMA_DEPTH_MAX: usize = 200;

/// Makes skips of one writer's schema.
pub(super) struct Skipper<'a> {
    pub(super) names: Names<'a>,
    /// Bodies of recursive records.
    pub(super) recursive: Vec<Vec<AvroSkip>>,
    numbers: HashMap<&'a Name, u32>,
    /// Steps and skips made so far.
    made: usize,
    /// Levels that the walk is in.
    depth: usize,
}

impl<'a> Skipper<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        let (recursive, numbers) = (Vec::new(), HashMap::new());
        Self { names: Names::of(schema), recursive, numbers, made: 0, depth: 0 }
    }

    /// Counts a step; records that name each other twice unfold into powers of two.
    pub(super) fn count(&mut self) -> Result<(), PlanError> {
        self.made += 1;
        if self.made > PLAN_STEPS_MAX { Err(PlanError::TooLarge) } else { Ok(()) }
    }

    /// Appends the skips of a datum.
    pub(super) fn skip(
        &mut self,
        schema: &'a Schema,
        out: &mut Vec<AvroSkip>,
    ) -> Result<(), PlanError> {
        self.count()?;
        if self.depth >= SCHEMA_DEPTH_MAX {
            return Err(PlanError::TooLarge);
        }
        self.depth += 1;
        let skipped = self.skip_inner(schema, out);
        self.depth -= 1;
        skipped
    }

    fn skip_inner(&mut self, schema: &'a Schema, out: &mut Vec<AvroSkip>) -> Result<(), PlanError> {
        match self.names.resolve(schema) {
            Schema::Null => {}
            Schema::Boolean => push(out, AvroSkip::Bytes(1)),
            Schema::Float => push(out, AvroSkip::Bytes(4)),
            Schema::Double => push(out, AvroSkip::Bytes(8)),
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                push(out, AvroSkip::Bytes(fixed.size as u64));
            }
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => push(out, AvroSkip::Strings(1)),
                InnerDecimalSchema::Fixed(fixed) => push(out, AvroSkip::Bytes(fixed.size as u64)),
            },
            Schema::Bytes
            | Schema::String
            | Schema::BigDecimal
            | Schema::Uuid(UuidSchema::String | UuidSchema::Bytes) => {
                push(out, AvroSkip::Strings(1));
            }
            Schema::Int
            | Schema::Long
            | Schema::Enum(_)
            | Schema::Date
            | Schema::TimeMillis
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => push(out, AvroSkip::Varints(1)),
            Schema::Array(array) => {
                let mut items = Vec::new();
                self.skip(&array.items, &mut items)?;
                push(out, AvroSkip::Blocks(items));
            }
            Schema::Map(map) => {
                let mut items = vec![AvroSkip::Strings(1)];
                self.skip(&map.types, &mut items)?;
                push(out, AvroSkip::Blocks(items));
            }
            Schema::Union(union) => {
                let mut branches = Vec::new();
                for variant in union.variants() {
                    let mut branch = Vec::new();
                    self.skip(variant, &mut branch)?;
                    branches.push(branch);
                }
                push(out, AvroSkip::Union(branches));
            }
            Schema::Record(record) => self.record(record, out)?,
            Schema::Ref { .. } => return Err(PlanError::TooLarge),
        }
        Ok(())
    }

    fn record(
        &mut self,
        record: &'a RecordSchema,
        out: &mut Vec<AvroSkip>,
    ) -> Result<(), PlanError> {
        if !self.names.is_recursive(record) {
            return record.fields.iter().try_for_each(|field| self.skip(&field.schema, out));
        }
        if let Some(&number) = self.numbers.get(&record.name) {
            out.push(AvroSkip::Recursive(number));
            return Ok(());
        }
        let number = self.recursive.len() as u32;
        self.numbers.insert(&record.name, number);
        self.recursive.push(Vec::new());
        let mut body = Vec::new();
        record.fields.iter().try_for_each(|field| self.skip(&field.schema, &mut body))?;
        self.recursive[number as usize] = body;
        out.push(AvroSkip::Recursive(number));
        Ok(())
    }
}

/// Appends a skip, joined with the one before if that is of the same kind.
pub(super) fn push(out: &mut Vec<AvroSkip>, skip: AvroSkip) {
    let joined = out.last_mut().is_some_and(|last| join(last, &skip));
    if !joined && skip != AvroSkip::Bytes(0) {
        out.push(skip);
    }
}

/// Adds a skip to one of the same kind; whether it was.
pub(super) fn join(last: &mut AvroSkip, next: &AvroSkip) -> bool {
    match (last, next) {
        (AvroSkip::Varints(a), AvroSkip::Varints(b))
        | (AvroSkip::Strings(a), AvroSkip::Strings(b)) => {
            let sum = a.checked_add(*b);
            *a = sum.unwrap_or(*a);
            sum.is_some()
        }
        (AvroSkip::Bytes(a), AvroSkip::Bytes(b)) => {
            let sum = a.checked_add(*b);
            *a = sum.unwrap_or(*a);
            sum.is_some()
        }
        (
            AvroSkip::Varints(_)
            | AvroSkip::Strings(_)
            | AvroSkip::Bytes(_)
            | AvroSkip::Blocks(_)
            | AvroSkip::Union(_)
            | AvroSkip::Recursive(_),
            _,
        ) => false,
    }
}
