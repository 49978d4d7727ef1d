//! Avro decode plans: the writer's fields in order, each read, descended into or skipped. Fields
//! are found by name; where a reader's schema is given, also by the aliases it lists, and its
//! defaults stand in for fields that the writer does not have.

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, RecordField, RecordSchema, UnionSchema, UuidSchema};
use flow_ir::decode_plan::{AvroDatum, AvroOp, AvroPlan, AvroScalar, AvroStep};
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;

use super::avro_skip::{Skipper, join};
use super::default::default_value;
use super::{PlanError, Wanted};
use crate::avro::{Names, branch_name, branches, describe};
use crate::derive::avro_name;

/// The plan that reads these columns from one datum.
pub(super) fn avro_plan(
    writer: &Schema,
    reader: Option<&Schema>,
    wanted: &[Wanted<'_>],
) -> Result<AvroPlan, PlanError> {
    let mut builder = Builder {
        skipper: Skipper::new(writer),
        reader_names: reader.map(Names::of).unwrap_or_default(),
    };
    let mut steps = Vec::new();
    match (writer, wanted) {
        // A datum that is no record is itself the only column, whatever the column is called.
        (schema, [only]) if only.path.len() == 1 && is_bare(schema) => {
            let whole = Wanted { path: &[], ..*only };
            builder.field(writer, reader, &[whole], only.name, &mut steps)?;
        }
        _ => builder.field(writer, reader, wanted, "", &mut steps)?,
    }
    Ok(AvroPlan { steps, recursive: builder.skipper.recursive })
}

/// Whether a datum has no fields to descend into.
fn is_bare(schema: &Schema) -> bool {
    match schema {
        Schema::Record(_) => false,
        Schema::Union(union) => {
            branches(union).iter().all(|(_, branch)| !matches!(branch, Schema::Record(_)))
        }
        _ => true,
    }
}

/// Whether a schema can be read as a type; NULLs aside.
pub(crate) fn readable(schema: &Schema, names_of: &Schema, ty: &Type) -> bool {
    let mut builder = Builder { skipper: Skipper::new(names_of), reader_names: Names::default() };
    builder.datum(schema, None, ty, "").is_ok()
}

struct Builder<'a> {
    skipper: Skipper<'a>,
    reader_names: Names<'a>,
}

impl<'a> Builder<'a> {
    /// Appends the steps that read what is wanted from one datum: directly (an empty path), from
    /// inside, or nothing.
    fn field(
        &mut self,
        writer: &'a Schema,
        reader: Option<&'a Schema>,
        wanted: &[Wanted<'_>],
        at: &str,
        out: &mut Vec<AvroStep>,
    ) -> Result<(), PlanError> {
        let mut reads: Vec<Vec<AvroStep>> = Vec::new();
        for w in wanted.iter().filter(|w| w.path.is_empty()) {
            let datum = self.datum(writer, reader, w.ty, at)?;
            reads.push(vec![step(at, AvroOp::Read(w.column, datum))]);
        }
        let inside: Vec<Wanted<'_>> =
            wanted.iter().filter(|w| !w.path.is_empty()).copied().collect();
        if !inside.is_empty() {
            reads.push(self.descend(writer, reader, &inside, at)?);
        }
        let Some(last) = reads.pop() else { return self.skip(writer, at, out) };
        out.extend(reads.into_iter().map(|steps| step(at, AvroOp::Peek(steps))));
        out.extend(last);
        Ok(())
    }

    fn skip(
        &mut self,
        writer: &'a Schema,
        at: &str,
        out: &mut Vec<AvroStep>,
    ) -> Result<(), PlanError> {
        let mut skips = Vec::new();
        self.skipper.skip(writer, &mut skips)?;
        for skip in skips {
            let joined = match out.last_mut() {
                Some(AvroStep { op: AvroOp::Skip(last), .. }) => join(last, &skip),
                Some(_) | None => false,
            };
            if !joined {
                out.push(step(at, AvroOp::Skip(skip)));
            }
        }
        Ok(())
    }

    /// Steps for columns inside a datum, which must be a record or a union that holds one.
    fn descend(
        &mut self,
        writer: &'a Schema,
        reader: Option<&'a Schema>,
        wanted: &[Wanted<'_>],
        at: &str,
    ) -> Result<Vec<AvroStep>, PlanError> {
        self.skipper.count()?;
        let writer = self.skipper.names.resolve(writer);
        match writer {
            Schema::Record(record) => {
                let reader = self.reader_record(reader, Some(record));
                self.record(record, reader, wanted, at)
            }
            Schema::Union(union) => self.descend_union(union, reader, wanted, at),
            other => Err(PlanError::NotARecord { field: at.to_string(), schema: describe(other) }),
        }
    }

    /// With one branch beside null the path goes on in it; with several it names the branch first.
    fn descend_union(
        &mut self,
        union: &'a UnionSchema,
        reader: Option<&'a Schema>,
        wanted: &[Wanted<'_>],
        at: &str,
    ) -> Result<Vec<AvroStep>, PlanError> {
        let single = branches(union).len() == 1;
        if let Some(lost) = wanted.iter().find(|w| {
            !single
                && !w.ty.nullable
                && branches(union).iter().all(|(_, b)| branch_name(b) != w.path[0])
        }) {
            return Err(missing(lost, &join_path(at, &lost.path[0])));
        }
        let mut arms = Vec::new();
        for branch in union.variants() {
            let mut steps = Vec::new();
            if matches!(branch, Schema::Null) {
            } else if single {
                steps = self.descend(branch, reader, wanted, at)?;
            } else {
                let inside: Vec<Wanted<'_>> = wanted
                    .iter()
                    .filter(|w| w.path[0] == branch_name(branch))
                    .map(|w| Wanted { path: &w.path[1..], ..*w })
                    .collect();
                let at = join_path(at, branch_name(branch));
                self.field(branch, reader, &inside, &at, &mut steps)?;
            }
            arms.push(steps);
        }
        Ok(vec![step(at, AvroOp::Union(arms))])
    }

    /// Steps over a record's fields; each column's path begins with a field's name.
    fn record(
        &mut self,
        writer: &'a RecordSchema,
        reader: Option<&'a RecordSchema>,
        wanted: &[Wanted<'_>],
        at: &str,
    ) -> Result<Vec<AvroStep>, PlanError> {
        let mut steps = Vec::new();
        let mut inside: Vec<Vec<Wanted<'_>>> = vec![Vec::new(); writer.fields.len()];
        for w in wanted {
            let (name, rest) = (&w.path[0], &w.path[1..]);
            let declared = reader.and_then(|r| find(&r.fields, name));
            match position(&writer.fields, name, declared) {
                Some(field) => inside[field].push(Wanted { path: rest, ..*w }),
                None => steps.extend(self.absent(w, declared, &join_path(at, name))?),
            }
        }
        for (field, wanted) in writer.fields.iter().zip(&inside) {
            let declared = reader.and_then(|r| {
                let alias = |f: &&RecordField| f.aliases.contains(&field.name);
                find(&r.fields, &field.name).or_else(|| r.fields.iter().find(alias))
            });
            let path = join_path(at, &field.name);
            let reader = declared.map(|f| &f.schema);
            self.field(&field.schema, reader, wanted, &path, &mut steps)?;
        }
        Ok(steps)
    }

    /// What a column gets whose field the writer does not have.
    fn absent(
        &self,
        wanted: &Wanted<'_>,
        declared: Option<&'a RecordField>,
        field: &str,
    ) -> Result<Option<AvroStep>, PlanError> {
        let default = declared.and_then(|d| d.default.as_ref().map(|json| (json, &d.schema)));
        match default {
            Some((json, schema)) if wanted.path.len() == 1 => {
                match default_value(json, schema, &self.reader_names, wanted.ty) {
                    Some(Value::Null) => Ok(None),
                    Some(value) => Ok(Some(step(field, AvroOp::Default(wanted.column, value)))),
                    None => Err(PlanError::BadDefault { field: field.to_string() }),
                }
            }
            Some(_) | None if wanted.ty.nullable => Ok(None),
            Some(_) | None => Err(missing(wanted, field)),
        }
    }

    /// How a datum is read as a value of a type.
    fn datum(
        &mut self,
        writer: &'a Schema,
        reader: Option<&'a Schema>,
        ty: &Type,
        at: &str,
    ) -> Result<AvroDatum, PlanError> {
        self.skipper.count()?;
        let writer = self.skipper.names.resolve(writer);
        let mismatch = || PlanError::Mismatch {
            field: at.to_string(),
            schema: describe(writer),
            ty: ty.clone(),
        };
        match (writer, &ty.data) {
            (Schema::Null, _) if ty.nullable => Ok(AvroDatum::Null),
            (Schema::Union(union), _) => self.union(union, reader, ty, at),
            (Schema::Array(array), DataType::Array(item)) => {
                let reader = self.reader_inside(reader, |s| match s {
                    Schema::Array(array) => Some(&*array.items),
                    _ => None,
                });
                let item = self.datum(&array.items, reader, item, &format!("{at}[]"))?;
                Ok(AvroDatum::Array(Box::new(item)))
            }
            (Schema::Map(map), DataType::Map(key, value)) if key.data == DataType::String => {
                let reader = self.reader_inside(reader, |s| match s {
                    Schema::Map(map) => Some(&*map.types),
                    _ => None,
                });
                let value = self.datum(&map.types, reader, value, &format!("{at}[]"))?;
                Ok(AvroDatum::Map(Box::new(value)))
            }
            (Schema::Record(record), DataType::Row(fields)) => {
                let reader = self.reader_record(reader, Some(record));
                let paths: Vec<String> = fields.iter().map(|f| f.name.clone()).collect();
                let steps = self.record(record, reader, &row_wanted(fields, &paths), at)?;
                Ok(AvroDatum::Row(steps))
            }
            _ => {
                let reader = self.reader_inside(reader, Some);
                scalar(writer, reader, &ty.data).map(AvroDatum::Scalar).ok_or_else(mismatch)
            }
        }
    }

    /// A union read as one type: every branch that fits it; or, if the type is a ROW whose fields
    /// are named after branches, each branch into its field.
    fn union(
        &mut self,
        union: &'a UnionSchema,
        reader: Option<&'a Schema>,
        ty: &Type,
        at: &str,
    ) -> Result<AvroDatum, PlanError> {
        let values = branches(union);
        if let DataType::Row(fields) = &ty.data {
            let is_branch = |f: &Field| values.iter().any(|(_, b)| branch_name(b) == f.name);
            if values.len() > 1 && fields.iter().any(is_branch) {
                return self.variant(union, reader, fields, at);
            }
        }
        let mut arms = Vec::new();
        let mut refused = None;
        for branch in union.variants() {
            arms.push(match branch {
                Schema::Null => AvroDatum::Null,
                branch => match self.datum(branch, reader, ty, at) {
                    Ok(datum) => datum,
                    Err(PlanError::TooLarge) => return Err(PlanError::TooLarge),
                    Err(why) => {
                        refused = Some(why);
                        AvroDatum::Refuse(describe(branch))
                    }
                },
            });
        }
        let any = arms.iter().any(|a| !matches!(a, AvroDatum::Null | AvroDatum::Refuse(_)));
        match refused {
            Some(why) if !any => Err(why),
            Some(_) | None => Ok(AvroDatum::Union(arms)),
        }
    }

    /// A union as a ROW with a field a branch: each branch is a ROW of which it sets its own field.
    fn variant(
        &mut self,
        union: &'a UnionSchema,
        reader: Option<&'a Schema>,
        fields: &[Field],
        at: &str,
    ) -> Result<AvroDatum, PlanError> {
        let values = branches(union);
        let paths: Vec<String> = fields.iter().map(|f| f.name.clone()).collect();
        let wanted = row_wanted(fields, &paths);
        let no_branch = |w: &&Wanted<'_>| {
            !w.ty.nullable && values.iter().all(|(_, b)| branch_name(b) != w.name)
        };
        if let Some(lost) = wanted.iter().find(no_branch) {
            return Err(missing(lost, &join_path(at, lost.name)));
        }
        let mut arms = Vec::new();
        for branch in union.variants() {
            if matches!(branch, Schema::Null) {
                arms.push(AvroDatum::Null);
                continue;
            }
            let own = wanted.iter().filter(|w| w.name == branch_name(branch));
            let own: Vec<Wanted<'_>> = own.map(|w| Wanted { path: &[], ..*w }).collect();
            let mut steps = Vec::new();
            let at = join_path(at, branch_name(branch));
            self.field(branch, reader, &own, &at, &mut steps)?;
            arms.push(AvroDatum::Row(steps));
        }
        Ok(AvroDatum::Union(arms))
    }

    /// A part of the reader's schema, seen through names and through a union's first branch that
    /// has such a part.
    fn reader_inside<T>(
        &self,
        reader: Option<&'a Schema>,
        part: impl Fn(&'a Schema) -> Option<T>,
    ) -> Option<T> {
        let reader = self.reader_names.resolve(reader?);
        match reader {
            Schema::Union(union) => branches(union)
                .into_iter()
                .find_map(|(_, branch)| part(self.reader_names.resolve(branch))),
            other => part(other),
        }
    }

    /// The reader's record for a writer's: of several branches the one of the same name.
    fn reader_record(
        &self,
        reader: Option<&'a Schema>,
        writer: Option<&RecordSchema>,
    ) -> Option<&'a RecordSchema> {
        let record = |same_name: bool| {
            self.reader_inside(reader, |s| match s {
                Schema::Record(r)
                    if !same_name || writer.is_some_and(|w| w.name.name() == r.name.name()) =>
                {
                    Some(r)
                }
                _ => None,
            })
        };
        record(true).or_else(|| record(false))
    }
}

/// A ROW's fields as what is wanted of a record.
fn row_wanted<'w>(fields: &'w [Field], paths: &'w [String]) -> Vec<Wanted<'w>> {
    let wanted = |(i, field): (usize, &'w Field)| Wanted {
        column: i as u32,
        name: &field.name,
        path: &paths[i..=i],
        ty: &field.ty,
    };
    fields.iter().enumerate().map(wanted).collect()
}

fn find<'a>(fields: &'a [RecordField], name: &str) -> Option<&'a RecordField> {
    let exact = fields.iter().find(|f| f.name == name);
    exact.or_else(|| fields.iter().find(|f| f.name == avro_name(name)))
}

/// The writer's field for a name: by the name, by an alias that the reader lists, or by the name
/// that `derive` gives to a column which Avro's rules do not allow.
fn position(fields: &[RecordField], name: &str, declared: Option<&RecordField>) -> Option<usize> {
    let named = |name: &str| fields.iter().position(|f| f.name == name);
    let alias = || declared.and_then(|d| d.aliases.iter().find_map(|alias| named(alias)));
    named(name).or_else(alias).or_else(|| named(&avro_name(name)))
}

fn missing(wanted: &Wanted<'_>, field: &str) -> PlanError {
    PlanError::MissingField { column: wanted.name.to_string(), field: field.to_string() }
}

fn join_path(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_string() } else { format!("{at}.{name}") }
}

fn step(at: &str, op: AvroOp) -> AvroStep {
    AvroStep { field: at.to_string(), op }
}

/// How a scalar of this schema is read as a type; logical types may also be read as what they are
/// made of. An enum's symbols are taken as they are; one that the reader's enum does not list
/// becomes that enum's default, if it has one.
pub(super) fn scalar(
    writer: &Schema,
    reader: Option<&Schema>,
    ty: &DataType,
) -> Option<AvroScalar> {
    let fixed = |size: usize| u32::try_from(size).ok().map(AvroScalar::Fixed);
    let text_or_bytes = match ty {
        DataType::Bytes => AvroScalar::Bytes,
        _ => AvroScalar::String,
    };
    let or_base = |logical: AvroScalar, base: AvroScalar| {
        if logical.reads_as(ty) { logical } else { base }
    };
    let scalar = match writer {
        Schema::Boolean => AvroScalar::Boolean,
        Schema::Int => AvroScalar::Int,
        Schema::Long => AvroScalar::Long,
        Schema::Float => AvroScalar::Float,
        Schema::Double => AvroScalar::Double,
        Schema::Bytes | Schema::String | Schema::BigDecimal => text_or_bytes,
        Schema::Fixed(schema) => fixed(schema.size)?,
        Schema::Enum(schema) => AvroScalar::Enum(symbols(&schema.symbols, reader)),
        Schema::Decimal(decimal) => {
            let size = match &decimal.inner {
                InnerDecimalSchema::Bytes => None,
                InnerDecimalSchema::Fixed(schema) => Some(u32::try_from(schema.size).ok()?),
            };
            let base = size.map_or(AvroScalar::Bytes, AvroScalar::Fixed);
            match u8::try_from(decimal.scale) {
                Ok(scale) => or_base(AvroScalar::Decimal { size, scale }, base),
                Err(_) => base,
            }
        }
        Schema::Uuid(UuidSchema::String) => or_base(AvroScalar::UuidText, text_or_bytes),
        Schema::Uuid(UuidSchema::Bytes) => or_base(AvroScalar::UuidBytes, AvroScalar::Bytes),
        Schema::Uuid(UuidSchema::Fixed(schema)) => {
            or_base(AvroScalar::UuidFixed, fixed(schema.size)?)
        }
        Schema::Date => or_base(AvroScalar::Date, AvroScalar::Int),
        Schema::TimeMillis => or_base(AvroScalar::TimeMillis, AvroScalar::Int),
        Schema::TimeMicros => or_base(AvroScalar::TimeMicros, AvroScalar::Long),
        Schema::TimestampMillis | Schema::LocalTimestampMillis => {
            or_base(AvroScalar::TimestampMillis, AvroScalar::Long)
        }
        Schema::TimestampMicros | Schema::LocalTimestampMicros => {
            or_base(AvroScalar::TimestampMicros, AvroScalar::Long)
        }
        Schema::TimestampNanos | Schema::LocalTimestampNanos => {
            or_base(AvroScalar::TimestampNanos, AvroScalar::Long)
        }
        Schema::Duration(schema) => or_base(AvroScalar::Duration, fixed(schema.size)?),
        Schema::Null
        | Schema::Array(_)
        | Schema::Map(_)
        | Schema::Union(_)
        | Schema::Record(_)
        | Schema::Ref { .. } => return None,
    };
    scalar.reads_as(ty).then_some(scalar)
}

fn symbols(writer: &[String], reader: Option<&Schema>) -> Vec<String> {
    let Some(Schema::Enum(reader)) = reader else { return writer.to_vec() };
    let symbol = |s: &String| match &reader.default {
        Some(default) if !reader.symbols.contains(s) => default.clone(),
        Some(_) | None => s.clone(),
    };
    writer.iter().map(symbol).collect()
}
