//! Which types convert to which: implicitly (only widening), on assignment (numbers may also
//! narrow, range-checked), by CAST, and the common type of several.

use flow_ir::types::{DECIMAL_MAX_PRECISION, DataType, Field, Type};

/// Least scale that decimal arithmetic keeps when its result would need more than 38 digits.
const DECIMAL_KEPT_SCALE: u8 = 6;

/// Digits of the largest value of an integer type.
pub fn integer_digits(ty: &DataType) -> Option<u8> {
    Some(match ty.integer_bits()? {
        8 => 3,
        16 => 5,
        32 => 10,
        _ => 19,
    })
}

/// A DECIMAL of at least these digits; scale is given up, down to 6, where 38 digits do not do.
pub fn decimal_of(precision: u32, scale: u32) -> DataType {
    let max = u32::from(DECIMAL_MAX_PRECISION);
    if precision <= max {
        return DataType::Decimal { precision: precision.max(1) as u8, scale: scale as u8 };
    }
    let whole = precision - scale.min(precision);
    let kept = scale.min(u32::from(DECIMAL_KEPT_SCALE));
    let scale = max.saturating_sub(whole).max(kept);
    DataType::Decimal { precision: DECIMAL_MAX_PRECISION, scale: scale as u8 }
}

/// Precision and scale of a DECIMAL, or of the DECIMAL that holds an integer type.
pub fn decimal_parts(ty: &DataType) -> Option<(u32, u32)> {
    match ty {
        DataType::Decimal { precision, scale } => Some((u32::from(*precision), u32::from(*scale))),
        other => integer_digits(other).map(|digits| (u32::from(digits), 0)),
    }
}

/// Whether every value of `from` is a value of `to` (an integer in a DOUBLE perhaps rounded), so
/// that the cast may be left unsaid.
pub fn widens(from: &DataType, to: &DataType) -> bool {
    widening_cost(from, to).is_some()
}

/// How far apart two types are, `None` if the first does not widen to the second. Orders the
/// overloads of a builtin.
pub fn widening_cost(from: &DataType, to: &DataType) -> Option<u32> {
    use DataType::*;
    if from == to {
        return Some(0);
    }
    match (from, to) {
        (Null, _) => Some(1),
        (Real, Double) => Some(1),
        (Decimal { .. }, Decimal { .. }) => {
            let ((p, s), (q, t)) = (decimal_parts(from)?, decimal_parts(to)?);
            (t >= s && q - t >= p - s).then_some(1)
        }
        (Decimal { .. }, Double) => Some(20),
        (Date, Timestamp { .. }) => Some(5),
        // As its instant in the session's zone.
        (Timestamp { precision: p }, TimestampLtz { precision: q }) => (p <= q).then_some(30),
        (Date, TimestampLtz { .. }) => Some(35),
        (Time { precision: p }, Time { precision: q })
        | (Timestamp { precision: p }, Timestamp { precision: q })
        | (TimestampLtz { precision: p }, TimestampLtz { precision: q }) => (p <= q).then_some(1),
        (Array(a), Array(b)) => part_cost(a, b),
        (Map(a, v), Map(b, w)) => Some(part_cost(a, b)? + part_cost(v, w)?),
        (Row(a), Row(b)) if a.len() == b.len() => {
            a.iter().zip(b.iter()).map(|(f, g)| part_cost(&f.ty, &g.ty)).sum()
        }
        (from, Double) if from.is_integer() => Some(20),
        (from, Decimal { precision, scale }) => {
            (integer_digits(from)? <= precision - scale).then_some(10)
        }
        (from, to) => {
            let (narrow, wide) = (from.integer_bits()?, to.integer_bits()?);
            (narrow < wide).then(|| (wide / narrow).ilog2())
        }
    }
}

fn part_cost(from: &Type, to: &Type) -> Option<u32> {
    if from.nullable && !to.nullable {
        return None;
    }
    widening_cost(&from.data, &to.data)
}

/// The least type that all widen to: of CASE, COALESCE, IN, UNION and comparisons.
pub fn common_type(types: &[Type]) -> Option<Type> {
    let (first, rest) = types.split_first()?;
    rest.iter().try_fold(first.clone(), |a, b| {
        let nullable = a.nullable || b.nullable;
        common_data(&a.data, &b.data).map(|data| Type { data, nullable })
    })
}

fn common_data(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    if widens(a, b) {
        return Some(b.clone());
    }
    if widens(b, a) {
        return Some(a.clone());
    }
    match (a, b) {
        (Timestamp { precision: p }, TimestampLtz { precision: q })
        | (TimestampLtz { precision: p }, Timestamp { precision: q }) => {
            Some(TimestampLtz { precision: *p.max(q) })
        }
        (Array(a), Array(b)) => common_part(a, b).map(|t| Array(Box::new(t))),
        (Map(a, v), Map(b, w)) => {
            Some(Map(Box::new(common_part(a, b)?), Box::new(common_part(v, w)?)))
        }
        (Row(a), Row(b)) if a.len() == b.len() => {
            let field = |(f, g): (&Field, &Field)| {
                common_part(&f.ty, &g.ty).map(|ty| Field::new(f.name.clone(), ty))
            };
            a.iter().zip(b.iter()).map(field).collect::<Option<Vec<_>>>().map(|f| Row(f.into()))
        }
        _ if a.is_numeric() && b.is_numeric() => {
            if a.is_float() || b.is_float() {
                return Some(Double);
            }
            let ((p, s), (q, t)) = (decimal_parts(a)?, decimal_parts(b)?);
            Some(decimal_of((p - s).max(q - t) + s.max(t), s.max(t)))
        }
        _ => None,
    }
}

fn common_part(a: &Type, b: &Type) -> Option<Type> {
    common_type(&[a.clone(), b.clone()])
}

/// Whether INSERT may store a value of `from` in a column of `to`: what widens, numbers of any
/// kind, times of any precision, an instant as its time in the session's zone and back; NULLs
/// aside.
pub fn assignable(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Time { .. }, Time { .. })
        | (Timestamp { .. } | TimestampLtz { .. }, Timestamp { .. } | TimestampLtz { .. }) => true,
        (Array(a), Array(b)) => assignable(&a.data, &b.data),
        (Map(a, v), Map(b, w)) => assignable(&a.data, &b.data) && assignable(&v.data, &w.data),
        (Row(a), Row(b)) => {
            a.len() == b.len()
                && a.iter().zip(b.iter()).all(|(f, g)| assignable(&f.ty.data, &g.ty.data))
        }
        _ => widens(from, to) || (from.is_numeric() && to.is_numeric()),
    }
}

/// Whether CAST knows the way. A single value may still fail to convert.
pub fn castable(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    if from == to || assignable(from, to) {
        return true;
    }
    match (from, to) {
        (_, String) => true,
        (
            String,
            Boolean
            | Bytes
            | Date
            | Time { .. }
            | Timestamp { .. }
            | TimestampLtz { .. }
            | Interval
            | Uuid
            | Json,
        ) => true,
        (String, to) => to.is_numeric(),
        (Boolean, to) => to.is_integer(),
        (from, Boolean) => from.is_integer(),
        (Timestamp { .. }, Date | Time { .. } | TimestampLtz { .. })
        | (TimestampLtz { .. }, Date | Time { .. } | Timestamp { .. })
        | (Date, TimestampLtz { .. })
        | (Uuid, Bytes)
        | (Bytes, Uuid) => true,
        (Array(a), Array(b)) => castable(&a.data, &b.data),
        (Map(a, v), Map(b, w)) => castable(&a.data, &b.data) && castable(&v.data, &w.data),
        (Row(a), Row(b)) => {
            a.len() == b.len()
                && a.iter().zip(b.iter()).all(|(f, g)| castable(&f.ty.data, &g.ty.data))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(precision: u8, scale: u8) -> DataType {
        DataType::Decimal { precision, scale }
    }

    #[test]
    fn widening_is_one_way() {
        use DataType::*;
        for (from, to) in [
            (TinyInt, BigInt),
            (Int, decimal(10, 0)),
            (BigInt, Double),
            (Real, Double),
            (decimal(5, 2), decimal(7, 3)),
            (Date, Timestamp { precision: 0 }),
            (Null, Json),
        ] {
            assert!(widens(&from, &to), "{from} to {to}");
            assert!(!widens(&to, &from), "{to} to {from}");
        }
        assert!(!widens(&BigInt, &decimal(18, 0)));
        assert!(!widens(&TimestampLtz { precision: 3 }, &Timestamp { precision: 3 }));
        assert!(!widens(&String, &Int));
    }

    #[test]
    fn common_types() {
        use DataType::*;
        let common = |a: DataType, b: DataType| {
            common_type(&[Type::not_null(a), Type::nullable(b)]).map(|t| t.data)
        };
        assert_eq!(common(Int, BigInt), Some(BigInt));
        assert_eq!(common(decimal(5, 2), Int), Some(decimal(12, 2)));
        assert_eq!(common(decimal(5, 2), Real), Some(Double));
        assert_eq!(common(decimal(38, 10), decimal(38, 0)), Some(decimal(38, 6)));
        assert_eq!(common(String, Int), None);
        let array = |t| Array(Box::new(Type::not_null(t)));
        assert_eq!(common(array(Int), array(BigInt)), Some(array(BigInt)));
        assert_eq!(common_type(&[]), None);
    }

    #[test]
    fn casts() {
        use DataType::*;
        assert!(castable(&String, &Timestamp { precision: 3 }));
        assert!(castable(&Double, &TinyInt));
        assert!(castable(&Array(Box::new(Type::nullable(Int))), &String));
        assert!(!castable(&Int, &Timestamp { precision: 3 }));
        assert!(!castable(&Boolean, &Date));
        assert!(assignable(&Double, &Int));
        assert!(!assignable(&String, &Int));
    }
}
