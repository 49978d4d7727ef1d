//! A decode plan as text: one step a line, nested steps indented.

use std::fmt::{self, Display, Formatter};

use super::{
    AvroDatum, AvroOp, AvroScalar, AvroSkip, AvroStep, DecodePlan, JsonStep, Metadata, Origin,
    PayloadPlan, Sign,
};

impl Display for DecodePlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, column) in self.columns.iter().enumerate() {
            writeln!(f, "c{i} = {} {} from {}", column.name, column.ty, column.origin)?;
        }
        match &self.sign {
            Sign::Plus => {}
            Sign::Minus => writeln!(f, "rows go")?,
            Sign::Delete(key) => writeln!(f, "rows of keys {key:?} go")?,
        }
        write_payload(f, "key", &self.key)?;
        write_payload(f, "value", &self.value)
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Value(path) => write!(f, "value[{}]", path.join(".")),
            Origin::Key(path) => write!(f, "key[{}]", path.join(".")),
            Origin::Metadata(what) => write!(f, "{what}"),
        }
    }
}

impl Display for Metadata {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Metadata::Timestamp => "timestamp",
            Metadata::Topic => "topic",
            Metadata::Partition => "partition",
            Metadata::Offset => "offset",
            Metadata::Headers => "headers",
            Metadata::BatchPosition => "batch position",
            Metadata::Tombstone => "tombstone",
            Metadata::Watermark => "watermark",
        })
    }
}

fn write_payload(f: &mut Formatter<'_>, what: &str, plan: &PayloadPlan) -> fmt::Result {
    match plan {
        PayloadPlan::Unread => writeln!(f, "{what}: unread"),
        PayloadPlan::Raw(columns) => {
            write!(f, "{what}: raw")?;
            columns.iter().try_for_each(|c| write!(f, " c{c}"))?;
            writeln!(f)
        }
        PayloadPlan::Csv(plan) => {
            write!(f, "{what}: csv {:?}", char::from(plan.dialect.delimiter))?;
            for (name, column) in &plan.fields {
                match column {
                    Some(column) => write!(f, " c{column}")?,
                    None => write!(f, " ({name})")?,
                }
            }
            writeln!(f)
        }
        PayloadPlan::Json(steps) => {
            writeln!(f, "{what}: json")?;
            write_json(f, steps, 1)
        }
        PayloadPlan::Avro(plan) => {
            writeln!(f, "{what}: avro")?;
            write_steps(f, &plan.steps, 1)?;
            for (i, skips) in plan.recursive.iter().enumerate() {
                write!(f, "  recursive {i}:")?;
                write_skips(f, skips)?;
                writeln!(f)?;
            }
            Ok(())
        }
    }
}

fn indent(f: &mut Formatter<'_>, depth: usize) -> fmt::Result {
    (0..depth).try_for_each(|_| f.write_str("  "))
}

fn write_json(f: &mut Formatter<'_>, steps: &[JsonStep], depth: usize) -> fmt::Result {
    for step in steps {
        indent(f, depth)?;
        match step {
            JsonStep::Column(column) => writeln!(f, "c{column}")?,
            JsonStep::Members(members) => {
                writeln!(f, "members")?;
                for member in members {
                    indent(f, depth + 1)?;
                    writeln!(f, "{:?}", member.name)?;
                    write_json(f, &member.into, depth + 2)?;
                }
            }
        }
    }
    Ok(())
}

fn write_steps(f: &mut Formatter<'_>, steps: &[AvroStep], depth: usize) -> fmt::Result {
    for step in steps {
        indent(f, depth)?;
        write!(f, "{}: ", step.field)?;
        match &step.op {
            AvroOp::Skip(skip) => {
                write!(f, "skip")?;
                write_skips(f, std::slice::from_ref(skip))?;
                writeln!(f)?;
            }
            AvroOp::Read(column, datum) => {
                write!(f, "c{column} = ")?;
                write_datum(f, datum, depth)?;
            }
            AvroOp::Default(column, value) => writeln!(f, "c{column} = default {value:?}")?,
            AvroOp::Union(branches) => {
                writeln!(f, "union")?;
                for (i, branch) in branches.iter().enumerate() {
                    indent(f, depth + 1)?;
                    writeln!(f, "branch {i}")?;
                    write_steps(f, branch, depth + 2)?;
                }
            }
            AvroOp::Peek(steps) => {
                writeln!(f, "peek")?;
                write_steps(f, steps, depth + 1)?;
            }
        }
    }
    Ok(())
}

/// Writes a datum and ends the line.
fn write_datum(f: &mut Formatter<'_>, datum: &AvroDatum, depth: usize) -> fmt::Result {
    match datum {
        AvroDatum::Null => writeln!(f, "null"),
        AvroDatum::Scalar(scalar) => writeln!(f, "{scalar}"),
        AvroDatum::Array(item) => {
            write!(f, "array of ")?;
            write_datum(f, item, depth)
        }
        AvroDatum::Map(value) => {
            write!(f, "map of ")?;
            write_datum(f, value, depth)
        }
        AvroDatum::Row(steps) => {
            writeln!(f, "row")?;
            write_steps(f, steps, depth + 1)
        }
        AvroDatum::Union(branches) => {
            writeln!(f, "union")?;
            for (i, branch) in branches.iter().enumerate() {
                indent(f, depth + 1)?;
                write!(f, "branch {i}: ")?;
                write_datum(f, branch, depth + 1)?;
            }
            Ok(())
        }
        AvroDatum::Refuse(what) => writeln!(f, "refuse {what}"),
    }
}

fn write_skips(f: &mut Formatter<'_>, skips: &[AvroSkip]) -> fmt::Result {
    for skip in skips {
        match skip {
            AvroSkip::Varints(n) => write!(f, " varints({n})")?,
            AvroSkip::Strings(n) => write!(f, " strings({n})")?,
            AvroSkip::Bytes(n) => write!(f, " bytes({n})")?,
            AvroSkip::Blocks(items) => {
                write!(f, " blocks(")?;
                write_skips(f, items)?;
                write!(f, " )")?;
            }
            AvroSkip::Union(branches) => {
                write!(f, " union(")?;
                for (i, branch) in branches.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { " |" })?;
                    write_skips(f, branch)?;
                }
                write!(f, " )")?;
            }
            AvroSkip::Recursive(n) => write!(f, " recursive({n})")?,
        }
    }
    Ok(())
}

impl Display for AvroScalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AvroScalar::Boolean => "boolean",
            AvroScalar::Int => "int",
            AvroScalar::Long => "long",
            AvroScalar::Float => "float",
            AvroScalar::Double => "double",
            AvroScalar::Bytes => "bytes",
            AvroScalar::String => "string",
            AvroScalar::Fixed(size) => return write!(f, "fixed({size})"),
            AvroScalar::Enum(symbols) => return write!(f, "enum({})", symbols.join(", ")),
            AvroScalar::Decimal { size: Some(size), scale } => {
                return write!(f, "decimal(fixed {size}, scale {scale})");
            }
            AvroScalar::Decimal { size: None, scale } => {
                return write!(f, "decimal(bytes, scale {scale})");
            }
            AvroScalar::UuidText => "uuid text",
            AvroScalar::UuidFixed => "uuid fixed",
            AvroScalar::UuidBytes => "uuid bytes",
            AvroScalar::Date => "date",
            AvroScalar::TimeMillis => "time-millis",
            AvroScalar::TimeMicros => "time-micros",
            AvroScalar::TimestampMillis => "timestamp-millis",
            AvroScalar::TimestampMicros => "timestamp-micros",
            AvroScalar::TimestampNanos => "timestamp-nanos",
            AvroScalar::Duration => "duration",
        })
    }
}
