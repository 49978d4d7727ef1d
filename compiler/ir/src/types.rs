//! Types of values. Nullability is part of a type; how a value lies in a row follows from its
//! type alone (`Type::slot`).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Largest precision of a DECIMAL.
pub const DECIMAL_MAX_PRECISION: u8 = 38;
/// Largest precision of a DECIMAL that lies in one word.
pub const DECIMAL_WORD_PRECISION: u8 = 18;
/// Times are kept in microseconds, whatever precision was declared.
pub const TIME_MAX_PRECISION: u8 = 6;
/// Types nested deeper than this are refused where they enter (DDL, schemas, artifacts).
pub const TYPE_DEPTH_MAX: usize = 64;

/// What a value is, apart from whether it may be NULL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// The type of a bare `NULL`: widens to every other type.
    Null,
    /// TRUE or FALSE.
    Boolean,
    /// 8-bit signed integer.
    TinyInt,
    /// 16-bit signed integer.
    SmallInt,
    /// 32-bit signed integer.
    Int,
    /// 64-bit signed integer.
    BigInt,
    /// 32-bit IEEE float; in rows and registers held as the `f64` of the same value.
    Real,
    /// 64-bit IEEE float.
    Double,
    /// Exact decimal: an integer of at most `precision` digits over 10^`scale`.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: u8,
    },
    /// UTF-8 text.
    String,
    /// Any bytes.
    Bytes,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since midnight.
    Time {
        /// Declared digits of seconds, 0 to 6.
        precision: u8,
    },
    /// Microseconds since 1970-01-01T00:00:00, no zone.
    Timestamp {
        /// Declared digits of seconds, 0 to 6.
        precision: u8,
    },
    /// An instant: microseconds since 1970-01-01T00:00:00Z.
    TimestampLtz {
        /// Declared digits of seconds, 0 to 6.
        precision: u8,
    },
    /// Months and microseconds, side by side.
    Interval,
    /// 128 bits.
    Uuid,
    /// JSON text.
    Json,
    /// Values of one type, counted from 1.
    Array(Box<Type>),
    /// Unique non-NULL keys to values, in the order of the keys' key bytes.
    Map(Box<Type>, Box<Type>),
    /// Named fields in order.
    Row(Arc<[Field]>),
}

/// A data type and whether NULL is among its values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Type {
    /// What the value is.
    pub data: DataType,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// A named part of a ROW, or a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// The name as written.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// How a value lies in a row or a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Slot {
    /// One 64-bit word: booleans, integers (sign-extended), floats (bits of an `f64`), dates,
    /// times, DECIMAL(p ≤ 18).
    Word,
    /// Two words, low word first: DECIMAL(p > 18) and UUID as 128-bit integers, INTERVAL as
    /// (months, microseconds).
    Wide,
    /// One word (offset from the container's start, byte length), the value in the tail.
    Var,
}

impl Slot {
    /// Words that the slot takes.
    pub fn words(self) -> usize {
        match self {
            Slot::Word | Slot::Var => 1,
            Slot::Wide => 2,
        }
    }
}

impl Type {
    /// `data`, never NULL.
    pub fn not_null(data: DataType) -> Self {
        Self { data, nullable: false }
    }

    /// `data` or NULL.
    pub fn nullable(data: DataType) -> Self {
        Self { data, nullable: true }
    }

    /// The same type with NULL allowed or not.
    pub fn with_nullable(&self, nullable: bool) -> Self {
        Self { data: self.data.clone(), nullable }
    }

    /// How a value of this type lies in a row.
    pub fn slot(&self) -> Slot {
        self.data.slot()
    }
}

impl DataType {
    /// How a value of this type lies in a row.
    pub fn slot(&self) -> Slot {
        match self {
            DataType::Null
            | DataType::Boolean
            | DataType::TinyInt
            | DataType::SmallInt
            | DataType::Int
            | DataType::BigInt
            | DataType::Real
            | DataType::Double
            | DataType::Date
            | DataType::Time { .. }
            | DataType::Timestamp { .. }
            | DataType::TimestampLtz { .. } => Slot::Word,
            DataType::Decimal { precision, .. } if *precision <= DECIMAL_WORD_PRECISION => {
                Slot::Word
            }
            DataType::Decimal { .. } | DataType::Uuid | DataType::Interval => Slot::Wide,
            DataType::String
            | DataType::Bytes
            | DataType::Json
            | DataType::Array(_)
            | DataType::Map(_, _)
            | DataType::Row(_) => Slot::Var,
        }
    }

    /// TINYINT to BIGINT.
    pub fn is_integer(&self) -> bool {
        self.integer_bits().is_some()
    }

    /// Width of an integer type in bits.
    pub fn integer_bits(&self) -> Option<u32> {
        match self {
            DataType::TinyInt => Some(8),
            DataType::SmallInt => Some(16),
            DataType::Int => Some(32),
            DataType::BigInt => Some(64),
            DataType::Null
            | DataType::Boolean
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
            | DataType::Json
            | DataType::Array(_)
            | DataType::Map(_, _)
            | DataType::Row(_) => None,
        }
    }

    /// REAL or DOUBLE.
    pub fn is_float(&self) -> bool {
        matches!(self, DataType::Real | DataType::Double)
    }

    /// Integers, floats and DECIMAL.
    pub fn is_numeric(&self) -> bool {
        self.is_integer() || self.is_float() || matches!(self, DataType::Decimal { .. })
    }

    /// TIMESTAMP or TIMESTAMP_LTZ.
    pub fn is_timestamp(&self) -> bool {
        matches!(self, DataType::Timestamp { .. } | DataType::TimestampLtz { .. })
    }

    /// Whether the value is a container in the tail with slots of its own.
    pub fn is_container(&self) -> bool {
        matches!(self, DataType::Array(_) | DataType::Map(_, _) | DataType::Row(_))
    }

    /// Levels of nesting: 1 for a scalar.
    pub fn depth(&self) -> usize {
        match self {
            DataType::Array(item) => 1 + item.data.depth(),
            DataType::Map(key, value) => 1 + key.data.depth().max(value.data.depth()),
            DataType::Row(fields) => {
                1 + fields.iter().map(|f| f.ty.data.depth()).max().unwrap_or(0)
            }
            DataType::Null
            | DataType::Boolean
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
            | DataType::Json => 1,
        }
    }
}

impl Field {
    /// A named type.
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Self { name: name.into(), ty }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.data, if self.nullable { "" } else { " NOT NULL" })
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Null => f.write_str("NULL"),
            DataType::Boolean => f.write_str("BOOLEAN"),
            DataType::TinyInt => f.write_str("TINYINT"),
            DataType::SmallInt => f.write_str("SMALLINT"),
            DataType::Int => f.write_str("INT"),
            DataType::BigInt => f.write_str("BIGINT"),
            DataType::Real => f.write_str("REAL"),
            DataType::Double => f.write_str("DOUBLE"),
            DataType::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            DataType::String => f.write_str("STRING"),
            DataType::Bytes => f.write_str("BYTES"),
            DataType::Date => f.write_str("DATE"),
            DataType::Time { precision } => write!(f, "TIME({precision})"),
            DataType::Timestamp { precision } => write!(f, "TIMESTAMP({precision})"),
            DataType::TimestampLtz { precision } => write!(f, "TIMESTAMP_LTZ({precision})"),
            DataType::Interval => f.write_str("INTERVAL"),
            DataType::Uuid => f.write_str("UUID"),
            DataType::Json => f.write_str("JSON"),
            DataType::Array(item) => write!(f, "ARRAY<{item}>"),
            DataType::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            DataType::Row(fields) => {
                f.write_str("ROW<")?;
                for (i, field) in fields.iter().enumerate() {
                    write!(f, "{}{} {}", if i == 0 { "" } else { ", " }, field.name, field.ty)?;
                }
                f.write_str(">")
            }
        }
    }
}
