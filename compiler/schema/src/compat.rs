//! Compatibility of a subject's versions, as a Confluent registry defines its levels: whether data
//! of one schema can be read with another, by Avro's rules of schema resolution
//! (<https://avro.apache.org/docs/1.12.0/specification/#schema-resolution>). Every field that
//! stands in the way is named.

use std::collections::HashSet;
use std::fmt;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, RecordSchema, UuidSchema};

use crate::avro::{Names, describe};

/// What a new version of a subject must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Anything goes.
    None,
    /// Read data of the latest version.
    Backward,
    /// Read data of all versions.
    BackwardTransitive,
    /// Be read by the latest version.
    Forward,
    /// Be read by all versions.
    ForwardTransitive,
    /// Both with the latest version.
    Full,
    /// Both with all versions.
    FullTransitive,
}

impl Level {
    /// The level of a registry's word for it.
    pub fn parse(word: &str) -> Option<Level> {
        Some(match word.to_ascii_uppercase().as_str() {
            "NONE" => Level::None,
            "BACKWARD" => Level::Backward,
            "BACKWARD_TRANSITIVE" => Level::BackwardTransitive,
            "FORWARD" => Level::Forward,
            "FORWARD_TRANSITIVE" => Level::ForwardTransitive,
            "FULL" => Level::Full,
            "FULL_TRANSITIVE" => Level::FullTransitive,
            _ => return None,
        })
    }

    /// The registry's word.
    pub fn word(self) -> &'static str {
        match self {
            Level::None => "NONE",
            Level::Backward => "BACKWARD",
            Level::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Level::Forward => "FORWARD",
            Level::ForwardTransitive => "FORWARD_TRANSITIVE",
            Level::Full => "FULL",
            Level::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// (reads old data, old readers read new data, all versions)
    fn demands(self) -> (bool, bool, bool) {
        match self {
            Level::None => (false, false, false),
            Level::Backward => (true, false, false),
            Level::BackwardTransitive => (true, false, true),
            Level::Forward => (false, true, false),
            Level::ForwardTransitive => (false, true, true),
            Level::Full => (true, true, false),
            Level::FullTransitive => (true, true, true),
        }
    }
}

/// Something that keeps a reader from reading a writer's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    /// Position of the older version in the list given, for `check`; 0 for `can_read`.
    pub version: usize,
    /// Where, as a path of field names; empty for the whole schema.
    pub field: String,
    /// What is wrong, and what would help.
    pub why: String,
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.why),
            field => write!(f, "{field}: {}", self.why),
        }
    }
}

/// Checks a new schema against a subject's versions, oldest first.
pub fn check(level: Level, new: &Schema, versions: &[Schema]) -> Vec<Incompatibility> {
    let (backward, forward, all) = level.demands();
    let first = if all { 0 } else { versions.len().saturating_sub(1) };
    let mut found = Vec::new();
    for (version, old) in versions.iter().enumerate().skip(first) {
        let mut add = |problems: Vec<Incompatibility>| {
            found.extend(problems.into_iter().map(|p| Incompatibility { version, ..p }));
        };
        if backward {
            add(can_read(new, old));
        }
        if forward {
            add(can_read(old, new));
        }
    }
    found
}

/// What keeps `reader` from reading data of `writer`; empty if nothing does.
pub fn can_read(reader: &Schema, writer: &Schema) -> Vec<Incompatibility> {
    let mut walk = Walk {
        reader: Names::of(reader),
        writer: Names::of(writer),
        seen: HashSet::new(),
        failed: HashSet::new(),
        depth: 0,
    };
    let mut found = Vec::new();
    walk.compare(reader, writer, "", &mut found);
    found
}

/// Levels that are compared; names can chain deeper than the text nests.
const DEPTH_MAX: usize = 200;

struct Walk<'a> {
    reader: Names<'a>,
    writer: Names<'a>,
    /// Pairs of records under comparison or found to fit: recursive types end here.
    seen: HashSet<(&'a Name, &'a Name)>,
    /// Pairs found not to fit, so that no pair is gone through twice.
    failed: HashSet<(&'a Name, &'a Name)>,
    depth: usize,
}

impl<'a> Walk<'a> {
    fn compare(
        &mut self,
        reader: &'a Schema,
        writer: &'a Schema,
        at: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        let (reader, writer) = (self.reader.resolve(reader), self.writer.resolve(writer));
        if self.depth >= DEPTH_MAX {
            return note(at, "the schema is nested too deeply to compare".into(), found);
        }
        self.depth += 1;
        self.compare_resolved(reader, writer, at, found);
        self.depth -= 1;
    }

    fn compare_resolved(
        &mut self,
        reader: &'a Schema,
        writer: &'a Schema,
        at: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        match (reader, writer) {
            (_, Schema::Union(union)) => {
                for branch in union.variants() {
                    self.compare(reader, branch, at, found);
                }
            }
            (Schema::Union(union), _) => {
                let fits = union.variants().iter().any(|branch| {
                    let seen = self.seen.clone();
                    let mut problems = Vec::new();
                    self.compare(branch, writer, at, &mut problems);
                    if !problems.is_empty() {
                        self.seen = seen;
                    }
                    problems.is_empty()
                });
                if !fits {
                    let (reader, writer) = (describe(reader), describe(writer));
                    note(at, format!("{writer} is no branch of {reader}"), found);
                }
            }
            (Schema::Record(r), Schema::Record(w)) => self.records(r, w, at, found),
            (Schema::Array(r), Schema::Array(w)) => {
                self.compare(&r.items, &w.items, &format!("{at}[]"), found);
            }
            (Schema::Map(r), Schema::Map(w)) => {
                self.compare(&r.types, &w.types, &format!("{at}[]"), found);
            }
            (Schema::Enum(r), Schema::Enum(w)) => {
                let lost: Vec<&str> = w
                    .symbols
                    .iter()
                    .filter(|s| r.default.is_none() && !r.symbols.contains(s))
                    .map(String::as_str)
                    .collect();
                if !same_name(reader, writer) {
                    note(at, renamed(reader, writer), found);
                } else if !lost.is_empty() {
                    let lost = lost.join(", ");
                    let why = format!(
                        "the reader's enum lacks {lost}; add the symbols or an enum default"
                    );
                    note(at, why, found);
                }
            }
            _ => {
                if let Some(why) = scalars(reader, writer) {
                    note(at, why, found);
                }
            }
        }
    }

    fn records(
        &mut self,
        reader: &'a RecordSchema,
        writer: &'a RecordSchema,
        at: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        let pair = (&reader.name, &writer.name);
        if self.failed.contains(&pair) {
            let name = writer.name.name();
            return note(at, format!("record {name} cannot be read, as told before"), found);
        }
        if !self.seen.insert(pair) {
            return;
        }
        let before = found.len();
        self.fields(reader, writer, at, found);
        if found.len() > before {
            self.failed.insert(pair);
        }
    }

    fn fields(
        &mut self,
        reader: &'a RecordSchema,
        writer: &'a RecordSchema,
        at: &str,
        found: &mut Vec<Incompatibility>,
    ) {
        let aliases = reader.aliases.iter().flatten();
        let alias = aliases.map(|a| a.name()).any(|name| name == writer.name.name());
        if reader.name.name() != writer.name.name() && !alias {
            let (reader, writer) = (reader.name.name(), writer.name.name());
            return note(at, format!("record {writer} cannot be read as record {reader}"), found);
        }
        for field in &reader.fields {
            let named = |f: &&apache_avro::schema::RecordField| {
                f.name == field.name || field.aliases.contains(&f.name)
            };
            let path = match at {
                "" => field.name.clone(),
                at => format!("{at}.{}", field.name),
            };
            match writer.fields.iter().find(named) {
                Some(other) => self.compare(&field.schema, &other.schema, &path, found),
                None if field.default.is_some() => {}
                None => {
                    let why = "the writer does not have the field; give it a default";
                    note(&path, why.to_string(), found);
                }
            }
        }
    }
}

fn note(at: &str, why: String, found: &mut Vec<Incompatibility>) {
    found.push(Incompatibility { version: 0, field: at.to_string(), why });
}

/// Unqualified names are equal, or the writer's is an alias of the reader's.
fn same_name(reader: &Schema, writer: &Schema) -> bool {
    let (Some(r), Some(w)) = (reader.name(), writer.name()) else { return true };
    let aliases = reader.aliases();
    r.name() == w.name() || aliases.into_iter().flatten().any(|alias| alias.name() == w.name())
}

fn renamed(reader: &Schema, writer: &Schema) -> String {
    format!("{} cannot be read as {}", describe(writer), describe(reader))
}

/// What keeps a scalar from being read; logical types count as what they are made of, except that
/// decimals must agree in scale and precision.
fn scalars(reader: &Schema, writer: &Schema) -> Option<String> {
    if let (Schema::Decimal(r), Schema::Decimal(w)) = (reader, writer)
        && (r.scale, r.precision) != (w.scale, w.precision)
    {
        return Some(renamed(reader, writer));
    }
    let fits = match (base(reader), base(writer)) {
        (Base::Fixed(r), Base::Fixed(w)) => r == w && same_name(reader, writer),
        (Base::Long, Base::Int)
        | (Base::Float, Base::Int | Base::Long)
        | (Base::Double, Base::Int | Base::Long | Base::Float)
        | (Base::String, Base::Bytes)
        | (Base::Bytes, Base::String) => true,
        (Base::Other, _) | (_, Base::Other) => false,
        (r, w) => r == w,
    };
    (!fits).then(|| renamed(reader, writer))
}

/// The primitive type under a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    /// Built of others, or an enum.
    Other,
}

fn base(schema: &Schema) -> Base {
    match schema {
        Schema::Null => Base::Null,
        Schema::Boolean => Base::Boolean,
        Schema::Int | Schema::Date | Schema::TimeMillis => Base::Int,
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => Base::Long,
        Schema::Float => Base::Float,
        Schema::Double => Base::Double,
        Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Base::Bytes,
        Schema::String | Schema::Uuid(UuidSchema::String) => Base::String,
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
            Base::Fixed(fixed.size)
        }
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => Base::Bytes,
            InnerDecimalSchema::Fixed(fixed) => Base::Fixed(fixed.size),
        },
        Schema::Array(_)
        | Schema::Map(_)
        | Schema::Union(_)
        | Schema::Record(_)
        | Schema::Enum(_)
        | Schema::Ref { .. } => Base::Other,
    }
}
