//! Owned values: literals, defaults, what tests compare and the log prints. Never on the data
//! path, where values lie in rows.

use serde::{Deserialize, Serialize};

/// One value. Its type is known from where it stands; `Int` serves all four integer types.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    /// NULL of any type.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// TINYINT to BIGINT.
    Int(i64),
    /// REAL and DOUBLE.
    Float(f64),
    /// DECIMAL: the integer over 10^scale of the type.
    Decimal(i128),
    /// STRING.
    String(String),
    /// BYTES.
    Bytes(Vec<u8>),
    /// DATE: days since 1970-01-01.
    Date(i32),
    /// TIME: microseconds since midnight.
    Time(i64),
    /// TIMESTAMP: microseconds since 1970-01-01T00:00:00.
    Timestamp(i64),
    /// TIMESTAMP_LTZ: microseconds since 1970-01-01T00:00:00Z.
    TimestampLtz(i64),
    /// INTERVAL.
    Interval {
        /// Whole months.
        months: i64,
        /// Microseconds beside the months.
        micros: i64,
    },
    /// UUID, most significant byte first when printed.
    Uuid(u128),
    /// JSON text.
    Json(String),
    /// ARRAY.
    Array(Vec<Value>),
    /// MAP, in the order of the keys' key bytes.
    Map(Vec<(Value, Value)>),
    /// ROW, one value a field.
    Row(Vec<Value>),
}

impl Value {
    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

/// Equality as grouping sees it: NULL equals NULL, NaN equals NaN, −0.0 equals 0.0.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        use Value::*;
        match (self, other) {
            (Null, Null) => true,
            (Boolean(a), Boolean(b)) => a == b,
            (Int(a), Int(b))
            | (Time(a), Time(b))
            | (Timestamp(a), Timestamp(b))
            | (TimestampLtz(a), TimestampLtz(b)) => a == b,
            (Float(a), Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Decimal(a), Decimal(b)) => a == b,
            (String(a), String(b)) | (Json(a), Json(b)) => a == b,
            (Bytes(a), Bytes(b)) => a == b,
            (Date(a), Date(b)) => a == b,
            (Interval { months: a, micros: b }, Interval { months: c, micros: d }) => {
                (a, b) == (c, d)
            }
            (Uuid(a), Uuid(b)) => a == b,
            (Array(a), Array(b)) | (Row(a), Row(b)) => a == b,
            (Map(a), Map(b)) => a == b,
            (
                Null
                | Boolean(_)
                | Int(_)
                | Float(_)
                | Decimal(_)
                | String(_)
                | Bytes(_)
                | Date(_)
                | Time(_)
                | Timestamp(_)
                | TimestampLtz(_)
                | Interval { .. }
                | Uuid(_)
                | Json(_)
                | Array(_)
                | Map(_)
                | Row(_),
                _,
            ) => false,
        }
    }
}

impl Eq for Value {}
