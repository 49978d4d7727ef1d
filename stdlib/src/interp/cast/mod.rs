//! CAST from every type to every type that knows a way. Fractions round (DECIMAL half away from
//! zero, DOUBLE half to even); times are cut to the precision of the target; TIMESTAMP and
//! TIMESTAMP_LTZ convert in UTC; an offset in a text is applied.

mod number;
mod parse;

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{ArrayRef, ContainerBuilder, MapRef, RowLayout, RowRef};
use flow_ir::types::{DataType, Slot, TIME_MAX_PRECISION, Type};

use crate::calendar::{DAY, join_micros, split_micros};
use crate::coerce::castable;
use crate::host::{HostArg, HostError, HostOut, HostResult};
use crate::text;

/// A cast between two types.
#[derive(Clone, Debug)]
pub enum Caster {
    /// The value stays as it is.
    Same,
    /// Between scalars.
    Scalar {
        /// The type it comes from.
        from: DataType,
        /// The type it goes to.
        to: DataType,
    },
    /// Each element.
    Array(Box<Caster>, [Part; 2]),
    /// Each key and each value.
    Map(Box<[Caster; 2]>, Box<[Part; 4]>),
    /// Each field.
    Row(Vec<Caster>, RowLayout, Vec<Part>),
}

/// A part of a container: its type.
pub type Part = Type;

impl Caster {
    /// The cast from one type to another; `None` if there is none.
    pub fn new(from: &DataType, to: &DataType) -> Option<Self> {
        if !castable(from, to) {
            return None;
        }
        match (from, to) {
            _ if same(from, to) => Some(Caster::Same),
            (DataType::Array(a), DataType::Array(b)) => {
                let item = Box::new(Caster::new(&a.data, &b.data)?);
                Some(Caster::Array(item, [(**a).clone(), (**b).clone()]))
            }
            (DataType::Map(a, v), DataType::Map(b, w)) => {
                let casters = [Caster::new(&a.data, &b.data)?, Caster::new(&v.data, &w.data)?];
                let parts = [a, b, v, w].map(|part| (**part).clone());
                Some(Caster::Map(Box::new(casters), Box::new(parts)))
            }
            (DataType::Row(a), DataType::Row(b)) => {
                let casters =
                    a.iter().zip(b.iter()).map(|(f, g)| Caster::new(&f.ty.data, &g.ty.data));
                let types: Vec<Type> = a.iter().map(|f| f.ty.clone()).collect();
                let parts = b.iter().map(|f| f.ty.clone()).collect();
                Some(Caster::Row(casters.collect::<Option<_>>()?, RowLayout::new(types), parts))
            }
            _ => Some(Caster::Scalar { from: from.clone(), to: to.clone() }),
        }
    }

    /// Casts a value that is not NULL.
    ///
    /// # Errors
    /// `BadCast`, `Overflow`, or `UnexpectedNull` for a NULL in a part that takes none.
    pub fn cast(&self, value: HostArg<'_>, out: &mut HostOut<'_>) -> Result<(), HostError> {
        match self {
            Caster::Same => {
                out.copy(value);
                Ok(())
            }
            Caster::Scalar { from, to } => scalar(value, from, to, out),
            Caster::Array(caster, [from, to]) => {
                let array = ArrayRef::new(value.container(), from.slot());
                let mut items = ContainerBuilder::default();
                for i in 0..array.len() {
                    caster.part(HostArg::element(array, i, from), to, &mut items)?;
                }
                items.finish_array(out.container());
                Ok(())
            }
            Caster::Map(casters, parts) => cast_map(casters, parts, value, out),
            Caster::Row(casters, layout, parts) => {
                let words = value.container();
                if words.len() < layout.fixed_words() {
                    return Err(ErrorCode::BadCast.into());
                }
                let mut fields = ContainerBuilder::default();
                for (i, (caster, to)) in casters.iter().zip(parts).enumerate() {
                    let field = text::field_of(RowRef::new(words), layout, i);
                    caster.part(field, to, &mut fields)?;
                }
                fields.finish_row(out.container());
                Ok(())
            }
        }
    }

    /// Casts a part of a container and appends it.
    fn part(
        &self,
        value: HostArg<'_>,
        to: &Type,
        out: &mut ContainerBuilder,
    ) -> Result<(), HostError> {
        if value.is_null() {
            if !to.nullable {
                return Err(ErrorCode::UnexpectedNull.into());
            }
            out.push_null(to.slot());
            return Ok(());
        }
        let (mut bytes, mut words) = (Vec::new(), Vec::new());
        let mut made = HostOut::new(&mut bytes, &mut words);
        self.cast(value, &mut made)?;
        match made.result() {
            HostResult::Null => out.push_null(to.slot()),
            HostResult::Word(word) => out.push_word(word),
            HostResult::Wide(wide) => out.push_wide(wide),
            HostResult::Bytes(_) => out.push_bytes(&bytes),
            HostResult::Container(_) => out.push_container(&words),
        }
        Ok(())
    }
}

/// Whether values of the types lie alike and mean the same.
fn same(from: &DataType, to: &DataType) -> bool {
    let part = |a: &Type, b: &Type| (b.nullable || !a.nullable) && same(&a.data, &b.data);
    match (from, to) {
        (DataType::Array(a), DataType::Array(b)) => part(a, b),
        (DataType::Map(a, v), DataType::Map(b, w)) => part(a, b) && part(v, w),
        (DataType::Row(a), DataType::Row(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(f, g)| part(&f.ty, &g.ty))
        }
        (DataType::Decimal { precision, scale }, DataType::Decimal { precision: p, scale: s }) => {
            scale == s && p >= precision && from.slot() == to.slot()
        }
        (DataType::Time { precision: p }, DataType::Time { precision: q })
        | (
            DataType::Timestamp { precision: p } | DataType::TimestampLtz { precision: p },
            DataType::Timestamp { precision: q } | DataType::TimestampLtz { precision: q },
        ) => p <= q,
        _ => from == to || widens_in_place(from, to),
    }
}

/// Integers of all widths are held in the same way, and so are the two floats.
fn widens_in_place(from: &DataType, to: &DataType) -> bool {
    match (from.integer_bits(), to.integer_bits()) {
        (Some(narrow), Some(wide)) => narrow <= wide,
        _ => matches!((from, to), (DataType::Real, DataType::Double)),
    }
}

fn cast_map(
    casters: &[Caster; 2],
    [key, to_key, value, to_value]: &[Part; 4],
    from: HostArg<'_>,
    out: &mut HostOut<'_>,
) -> Result<(), HostError> {
    let map = MapRef::new(from.container(), key.slot(), value.slot());
    let (mut keys, mut values) = (ContainerBuilder::default(), ContainerBuilder::default());
    for i in 0..map.len() {
        casters[0].part(HostArg::element(map.keys(), i, key), to_key, &mut keys)?;
        casters[1].part(HostArg::element(map.values(), i, value), to_value, &mut values)?;
    }
    let (mut key_words, mut value_words) = (Vec::new(), Vec::new());
    keys.finish_array(&mut key_words);
    values.finish_array(&mut value_words);
    let keys = ArrayRef::new(&key_words, to_key.slot());
    let values = ArrayRef::new(&value_words, to_value.slot());
    let entries = (0..map.len())
        .map(|i| (HostArg::element(keys, i, to_key), HostArg::element(values, i, to_value)));
    crate::scalar::put_map((to_key, to_value), out, entries)
}

fn scalar(
    value: HostArg<'_>,
    from: &DataType,
    to: &DataType,
    out: &mut HostOut<'_>,
) -> Result<(), HostError> {
    match to {
        DataType::Null => {}
        DataType::String => return to_string(value, from, out),
        DataType::Boolean
        | DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Real
        | DataType::Double
        | DataType::Decimal { .. }
            if *from != DataType::String =>
        {
            return number::cast(value, from, to, out);
        }
        DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
            if *from != DataType::String =>
        {
            out.i64(time(value.i64(), from, to)?);
        }
        DataType::Bytes if *from == DataType::Uuid => {
            out.bytes(&(value.i128() as u128).to_be_bytes());
        }
        DataType::Bytes => out.bytes(value.bytes()),
        DataType::Uuid if *from == DataType::Bytes => {
            let bytes: [u8; 16] =
                value.bytes().try_into().map_err(|_| HostError::bad_cast("a UUID has 16 bytes"))?;
            out.i128(u128::from_be_bytes(bytes) as i128, Slot::Wide);
        }
        DataType::Boolean
        | DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Real
        | DataType::Double
        | DataType::Decimal { .. }
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Interval
        | DataType::Uuid
        | DataType::Json
        | DataType::Array(_)
        | DataType::Map(..)
        | DataType::Row(_) => return parse::cast(value.str(), to, out),
    }
    Ok(())
}

fn to_string(value: HostArg<'_>, from: &DataType, out: &mut HostOut<'_>) -> Result<(), HostError> {
    if *from == DataType::Bytes {
        let text = std::str::from_utf8(value.bytes())
            .map_err(|_| HostError::bad_cast("the bytes are not UTF-8"))?;
        out.str(text);
    } else {
        text::write_value(value, from, out.open());
    }
    Ok(())
}

/// Dates and times of one kind as another.
fn time(value: i64, from: &DataType, to: &DataType) -> Result<i64, HostError> {
    let midnight = || join_micros(value, 0);
    Ok(match (from, to) {
        (DataType::Date, DataType::Timestamp { .. } | DataType::TimestampLtz { .. }) => midnight()?,
        (_, DataType::Date) if from.is_timestamp() => value.div_euclid(DAY),
        (_, DataType::Time { precision }) if from.is_timestamp() => {
            truncate(split_micros(value).1, *precision)
        }
        (
            _,
            DataType::Time { precision }
            | DataType::Timestamp { precision }
            | DataType::TimestampLtz { precision },
        ) => truncate(value, *precision),
        _ => value,
    })
}

/// Microseconds cut to so many digits of a second.
pub(crate) fn truncate(micros: i64, precision: u8) -> i64 {
    let unit = 10i64.pow(u32::from(TIME_MAX_PRECISION.saturating_sub(precision)));
    micros.div_euclid(unit).saturating_mul(unit)
}
