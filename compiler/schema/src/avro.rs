//! Avro schemas: parsing them, following their names, and the Flow types that they stand for.
//!
//! | Avro | Flow |
//! | --- | --- |
//! | boolean, int, long, float, double | BOOLEAN, INT, BIGINT, REAL, DOUBLE |
//! | string, enum | STRING |
//! | bytes, fixed, big-decimal | BYTES |
//! | decimal(p, s) | DECIMAL(p, s), p ≤ 38 |
//! | uuid, date, duration | UUID, DATE, INTERVAL |
//! | time-millis, time-micros | TIME(3), TIME(6) |
//! | timestamp-millis, -micros, -nanos | TIMESTAMP_LTZ(3), (6), (6) |
//! | local-timestamp-millis, -micros, -nanos | TIMESTAMP(3), (6), (6) |
//! | array, map, record | ARRAY, MAP<STRING, …>, ROW |
//! | union of null and one other | that one, nullable |
//! | union of several | ROW with a nullable field a branch, named after the branch's type |

use std::collections::{HashMap, HashSet};
use std::fmt;

use apache_avro::Schema;
use apache_avro::schema::{Name, RecordSchema, UnionSchema, UuidSchema};
use flow_ir::types::{DECIMAL_MAX_PRECISION, DataType, Field, TYPE_DEPTH_MAX, Type};

/// Fields that the type of one schema may have, nested ones counted: records that name each other
/// twice grow by powers.
const FIELDS_MAX: usize = 20_000;

/// A schema that is not valid, or that Flow has no use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError(pub String);

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SchemaError {}

/// A schema as JSON text.
pub fn text_of(schema: &Schema) -> String {
    serde_json::to_string(schema).expect("a schema has only string keys")
}

/// Parses a schema's JSON text.
///
/// # Errors
/// If it is not valid Avro.
pub fn parse(text: &str) -> Result<Schema, SchemaError> {
    Schema::parse_str(text).map_err(|e| SchemaError(e.to_string()))
}

/// The columns that a record schema offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The fields that have a Flow type, in order.
    pub fields: Vec<Field>,
    /// The fields that have none, with the reason; they can be skipped, not read.
    pub left_out: Vec<(String, String)>,
}

/// The columns of a record schema.
///
/// # Errors
/// If the schema is not a record.
pub fn columns_of(schema: &Schema) -> Result<Columns, SchemaError> {
    let names = Names::of(schema);
    let Schema::Record(record) = schema else {
        return Err(SchemaError(format!("the schema is {}, not a record", describe(schema))));
    };
    let mut out = Columns::default();
    for field in &record.fields {
        match type_of(&field.schema, &names) {
            Ok(ty) => out.fields.push(Field::new(&field.name, ty)),
            Err(SchemaError(why)) => out.left_out.push((field.name.clone(), why)),
        }
    }
    Ok(out)
}

/// The Flow type of a schema.
///
/// # Errors
/// If it has none: a recursive record, null alone, a decimal of too many digits.
pub(crate) fn type_of(schema: &Schema, names: &Names<'_>) -> Result<Type, SchemaError> {
    Typing { names, fields: 0 }.of(schema, 0)
}

/// The named types of one schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names<'a> {
    named: HashMap<&'a Name, &'a Schema>,
    /// Records whose data may hold the same record again.
    recursive: HashSet<&'a Name>,
}

impl<'a> Names<'a> {
    /// All named types in a schema.
    pub(crate) fn of(schema: &'a Schema) -> Self {
        let mut names = Self::default();
        names.collect(schema);
        for (&name, &schema) in &names.named {
            if names.holds_itself(name, schema) {
                names.recursive.insert(name);
            }
        }
        names
    }

    fn collect(&mut self, schema: &'a Schema) {
        if let Schema::Ref { .. } = schema {
            return;
        }
        if let Some(name) = schema.name() {
            self.named.insert(name, schema);
        }
        children(schema).into_iter().for_each(|child| self.collect(child));
    }

    /// The schema itself, or what it refers to. The parser leaves no reference unresolved.
    pub(crate) fn resolve(&self, schema: &'a Schema) -> &'a Schema {
        match schema {
            Schema::Ref { name } => self.named.get(name).copied().unwrap_or(schema),
            other => other,
        }
    }

    /// Whether a record's data may hold the same record again.
    pub(crate) fn is_recursive(&self, record: &RecordSchema) -> bool {
        self.recursive.contains(&record.name)
    }

    fn holds_itself(&self, name: &Name, schema: &'a Schema) -> bool {
        let mut seen: HashSet<&Name> = HashSet::new();
        let mut open = children(schema);
        while let Some(schema) = open.pop() {
            let schema = self.resolve(schema);
            match schema.name() {
                Some(inner) if inner == name => return true,
                Some(inner) if !seen.insert(inner) => {}
                Some(_) | None => open.extend(children(schema)),
            }
        }
        false
    }
}

/// The schemas that a schema is built of.
fn children(schema: &Schema) -> Vec<&Schema> {
    match schema {
        Schema::Array(array) => vec![&*array.items],
        Schema::Map(map) => vec![&*map.types],
        Schema::Union(union) => union.variants().iter().collect(),
        Schema::Record(record) => record.fields.iter().map(|f| &f.schema).collect(),
        _ => Vec::new(),
    }
}

/// The branches of a union that are not null, with their numbers.
pub(crate) fn branches(union: &UnionSchema) -> Vec<(usize, &Schema)> {
    union.variants().iter().enumerate().filter(|(_, s)| !matches!(s, Schema::Null)).collect()
}

/// The number of a union's null branch.
pub(crate) fn null_branch(union: &UnionSchema) -> Option<usize> {
    union.variants().iter().position(|s| matches!(s, Schema::Null))
}

/// What a union's branch is called as a field of a ROW: the name of a named type without its
/// namespace, else the type's word.
pub(crate) fn branch_name(schema: &Schema) -> &str {
    match schema.name() {
        Some(name) => name.name(),
        None => word(schema),
    }
}

/// A schema in a few words, for messages.
pub(crate) fn describe(schema: &Schema) -> String {
    match schema {
        Schema::Array(array) => format!("an array of {}", describe(&array.items)),
        Schema::Map(map) => format!("a map of {}", describe(&map.types)),
        Schema::Union(union) => {
            let all: Vec<String> = union.variants().iter().map(describe).collect();
            format!("a union of {}", all.join(", "))
        }
        Schema::Decimal(d) => format!("decimal({}, {})", d.precision, d.scale),
        Schema::Fixed(fixed) => format!("fixed({})", fixed.size),
        Schema::Record(_) | Schema::Enum(_) | Schema::Ref { .. } => {
            format!("{} {}", word(schema), branch_name(schema))
        }
        other => word(other).to_string(),
    }
}

/// The Avro word for a type.
fn word(schema: &Schema) -> &'static str {
    match schema {
        Schema::Null => "null",
        Schema::Boolean => "boolean",
        Schema::Int => "int",
        Schema::Long => "long",
        Schema::Float => "float",
        Schema::Double => "double",
        Schema::Bytes => "bytes",
        Schema::String => "string",
        Schema::Array(_) => "array",
        Schema::Map(_) => "map",
        Schema::Union(_) => "union",
        Schema::Record(_) => "record",
        Schema::Enum(_) => "enum",
        Schema::Fixed(_) => "fixed",
        Schema::Decimal(_) => "decimal",
        Schema::BigDecimal => "big-decimal",
        Schema::Uuid(UuidSchema::String | UuidSchema::Bytes | UuidSchema::Fixed(_)) => "uuid",
        Schema::Date => "date",
        Schema::TimeMillis => "time-millis",
        Schema::TimeMicros => "time-micros",
        Schema::TimestampMillis => "timestamp-millis",
        Schema::TimestampMicros => "timestamp-micros",
        Schema::TimestampNanos => "timestamp-nanos",
        Schema::LocalTimestampMillis => "local-timestamp-millis",
        Schema::LocalTimestampMicros => "local-timestamp-micros",
        Schema::LocalTimestampNanos => "local-timestamp-nanos",
        Schema::Duration(_) => "duration",
        Schema::Ref { .. } => "named type",
    }
}

/// Counts what it makes, so that a small schema cannot ask for a huge type.
struct Typing<'n, 'a> {
    names: &'n Names<'a>,
    fields: usize,
}

impl<'a> Typing<'_, 'a> {
    fn of(&mut self, schema: &'a Schema, depth: usize) -> Result<Type, SchemaError> {
        let schema = self.names.resolve(schema);
        if let Schema::Union(union) = schema {
            return self.union(union, depth);
        }
        self.data(schema, depth).map(Type::not_null)
    }

    fn union(&mut self, union: &'a UnionSchema, depth: usize) -> Result<Type, SchemaError> {
        let nullable = null_branch(union).is_some();
        match branches(union)[..] {
            [] => Err(SchemaError("it is never anything but null".into())),
            [(_, only)] => {
                let only = self.names.resolve(only);
                Ok(self.of(only, depth)?.with_nullable(nullable))
            }
            ref several => {
                let mut fields = Vec::new();
                for (_, branch) in several {
                    let ty = self.of(branch, depth + 1)?.with_nullable(true);
                    fields.push(Field::new(branch_name(branch), ty));
                }
                Ok(Type { data: DataType::Row(fields.into()), nullable })
            }
        }
    }

    fn data(&mut self, schema: &'a Schema, depth: usize) -> Result<DataType, SchemaError> {
        self.fields += 1;
        if depth >= TYPE_DEPTH_MAX || self.fields > FIELDS_MAX {
            return Err(SchemaError(format!(
                "it is nested deeper than {TYPE_DEPTH_MAX} levels or has over {FIELDS_MAX} fields"
            )));
        }
        Ok(match schema {
            Schema::Null => return Err(SchemaError("it is never anything but null".into())),
            Schema::Boolean => DataType::Boolean,
            Schema::Int => DataType::Int,
            Schema::Long => DataType::BigInt,
            Schema::Float => DataType::Real,
            Schema::Double => DataType::Double,
            Schema::Bytes | Schema::Fixed(_) | Schema::BigDecimal => DataType::Bytes,
            Schema::String | Schema::Enum(_) => DataType::String,
            Schema::Decimal(d) if d.precision <= usize::from(DECIMAL_MAX_PRECISION) => {
                DataType::Decimal { precision: d.precision as u8, scale: d.scale as u8 }
            }
            Schema::Decimal(d) => {
                return Err(SchemaError(format!(
                    "it is a decimal of {} digits; {DECIMAL_MAX_PRECISION} is the most",
                    d.precision
                )));
            }
            Schema::Uuid(_) => DataType::Uuid,
            Schema::Date => DataType::Date,
            Schema::TimeMillis => DataType::Time { precision: 3 },
            Schema::TimeMicros => DataType::Time { precision: 6 },
            Schema::TimestampMillis => DataType::TimestampLtz { precision: 3 },
            Schema::TimestampMicros | Schema::TimestampNanos => {
                DataType::TimestampLtz { precision: 6 }
            }
            Schema::LocalTimestampMillis => DataType::Timestamp { precision: 3 },
            Schema::LocalTimestampMicros | Schema::LocalTimestampNanos => {
                DataType::Timestamp { precision: 6 }
            }
            Schema::Duration(_) => DataType::Interval,
            Schema::Array(array) => DataType::Array(Box::new(self.of(&array.items, depth + 1)?)),
            Schema::Map(map) => DataType::Map(
                Box::new(Type::not_null(DataType::String)),
                Box::new(self.of(&map.types, depth + 1)?),
            ),
            Schema::Record(record) => self.record(record, depth)?,
            Schema::Union(_) | Schema::Ref { .. } => {
                return Err(SchemaError("a union directly in a union".into()));
            }
        })
    }

    fn record(&mut self, record: &'a RecordSchema, depth: usize) -> Result<DataType, SchemaError> {
        if self.names.is_recursive(record) {
            return Err(SchemaError(format!("record {} contains itself", record.name.name())));
        }
        let mut fields = Vec::new();
        for field in &record.fields {
            let ty = self.of(&field.schema, depth + 1);
            let ty = ty.map_err(|e| SchemaError(format!("field {}: {e}", field.name)))?;
            fields.push(Field::new(&field.name, ty));
        }
        Ok(DataType::Row(fields.into()))
    }
}
