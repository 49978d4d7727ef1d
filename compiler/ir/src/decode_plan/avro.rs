//! Avro data that are not built of others, as they lie in bytes, and the table of Flow types that
//! each may be read as or written from: Avro's promotions and logical types, in one place.

use serde::{Deserialize, Serialize};

use crate::types::DataType;

/// A scalar's wire form and meaning. "Varint" is Avro's zig-zag variable-length integer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AvroScalar {
    /// One byte, 0 or 1.
    Boolean,
    /// A varint of at most 32 bits.
    Int,
    /// A varint of at most 64 bits.
    Long,
    /// Four bytes, little-endian.
    Float,
    /// Eight bytes, little-endian.
    Double,
    /// A varint length and bytes.
    Bytes,
    /// A varint length and UTF-8.
    String,
    /// This many bytes.
    Fixed(u32),
    /// A varint that numbers one of these symbols.
    Enum(Vec<String>),
    /// A two's-complement big-endian integer over 10^`scale`.
    Decimal {
        /// Bytes that it takes; `None`: a varint length stands before them.
        size: Option<u32>,
        /// Digits after the point.
        scale: u8,
    },
    /// A varint length and a UUID's text.
    UuidText,
    /// A UUID's 16 bytes, most significant first.
    UuidFixed,
    /// The same after a varint length, which must be 16.
    UuidBytes,
    /// An `Int` of days since 1970-01-01.
    Date,
    /// An `Int` of milliseconds since midnight.
    TimeMillis,
    /// A `Long` of microseconds since midnight.
    TimeMicros,
    /// A `Long` of milliseconds since 1970.
    TimestampMillis,
    /// A `Long` of microseconds since 1970.
    TimestampMicros,
    /// A `Long` of nanoseconds since 1970; kept to the microsecond, rounded down.
    TimestampNanos,
    /// Months, days and milliseconds, each four bytes, unsigned, little-endian. A day is 24 hours.
    Duration,
}

impl AvroScalar {
    /// Whether a value of this type can be made of it. Narrow integers are range-checked, DECIMAL
    /// is rescaled (half away from zero) and range-checked.
    pub fn reads_as(&self, ty: &DataType) -> bool {
        match self {
            AvroScalar::Boolean => *ty == DataType::Boolean,
            AvroScalar::Int => ty.is_numeric(),
            AvroScalar::Long => {
                matches!(
                    ty,
                    DataType::BigInt | DataType::Real | DataType::Double | DataType::Decimal { .. }
                )
            }
            AvroScalar::Float => ty.is_float(),
            AvroScalar::Double => *ty == DataType::Double,
            AvroScalar::Bytes | AvroScalar::Fixed(_) => *ty == DataType::Bytes,
            AvroScalar::String => matches!(ty, DataType::String | DataType::Json),
            AvroScalar::Enum(_) => *ty == DataType::String,
            AvroScalar::Decimal { .. } => matches!(ty, DataType::Decimal { .. }),
            AvroScalar::UuidText | AvroScalar::UuidFixed | AvroScalar::UuidBytes => {
                *ty == DataType::Uuid
            }
            AvroScalar::Date => *ty == DataType::Date,
            AvroScalar::TimeMillis | AvroScalar::TimeMicros => matches!(ty, DataType::Time { .. }),
            AvroScalar::TimestampMillis
            | AvroScalar::TimestampMicros
            | AvroScalar::TimestampNanos => ty.is_timestamp(),
            AvroScalar::Duration => *ty == DataType::Interval,
        }
    }

    /// Whether a value of this type can be written so. Integers widen only; symbols, lengths and
    /// digits are checked value by value.
    pub fn writes(&self, ty: &DataType) -> bool {
        match self {
            AvroScalar::Int => ty.integer_bits().is_some_and(|bits| bits <= 32),
            AvroScalar::Long => ty.is_integer(),
            AvroScalar::Float => *ty == DataType::Real,
            AvroScalar::Double => ty.is_float(),
            AvroScalar::Bytes => {
                matches!(ty, DataType::Bytes | DataType::String | DataType::Json)
            }
            AvroScalar::Boolean
            | AvroScalar::String
            | AvroScalar::Fixed(_)
            | AvroScalar::Enum(_)
            | AvroScalar::Decimal { .. }
            | AvroScalar::UuidText
            | AvroScalar::UuidFixed
            | AvroScalar::UuidBytes
            | AvroScalar::Date
            | AvroScalar::TimeMillis
            | AvroScalar::TimeMicros
            | AvroScalar::TimestampMillis
            | AvroScalar::TimestampMicros
            | AvroScalar::TimestampNanos
            | AvroScalar::Duration => self.reads_as(ty),
        }
    }
}
