//! Random types: every kind, DECIMAL of every width, containers in containers.

use flow_ir::types::{DECIMAL_MAX_PRECISION, DataType, Field, TIME_MAX_PRECISION, Type};

use crate::source::Source;

/// A type that is no container.
pub fn scalar_type(s: &mut Source<'_>) -> DataType {
    match s.below(17) {
        0 => DataType::BigInt,
        1 => DataType::String,
        2 => DataType::Boolean,
        3 => DataType::Int,
        4 => DataType::Double,
        5 => decimal_type(s),
        6 => DataType::TinyInt,
        7 => DataType::SmallInt,
        8 => DataType::Real,
        9 => DataType::Bytes,
        10 => DataType::Date,
        11 => DataType::Time { precision: precision(s) },
        12 => DataType::Timestamp { precision: precision(s) },
        13 => DataType::TimestampLtz { precision: precision(s) },
        14 => DataType::Interval,
        15 => DataType::Uuid,
        _ => DataType::Json,
    }
}

/// DECIMAL of one word or two.
pub fn decimal_type(s: &mut Source<'_>) -> DataType {
    let precision = 1 + s.below(usize::from(DECIMAL_MAX_PRECISION)) as u8;
    DataType::Decimal { precision, scale: s.below(usize::from(precision) + 1) as u8 }
}

fn precision(s: &mut Source<'_>) -> u8 {
    TIME_MAX_PRECISION - s.below(usize::from(TIME_MAX_PRECISION) + 1) as u8
}

/// A type with at most so many levels of containers.
pub fn data_type(s: &mut Source<'_>, depth: usize) -> DataType {
    match s.below(if depth == 0 { 1 } else { 8 }) {
        0..=4 => scalar_type(s),
        5 => DataType::Array(Box::new(any_type(s, depth - 1))),
        6 => {
            let key = data_type(s, depth.min(2) - 1);
            DataType::Map(Box::new(Type::not_null(key)), Box::new(any_type(s, depth - 1)))
        }
        _ => {
            let count = 1 + s.below(4);
            let field = |i| Field::new(format!("f{i}"), any_type(s, depth - 1));
            DataType::Row((0..count).map(field).collect())
        }
    }
}

/// A type, nullable or not.
pub fn any_type(s: &mut Source<'_>, depth: usize) -> Type {
    let data = data_type(s, depth);
    Type { data, nullable: !s.once_in(3) }
}
