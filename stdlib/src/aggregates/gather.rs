//! All values of a group, in order: ARRAY_AGG, COLLECT_SET, LISTAGG, MAP_AGG. The operator keeps
//! the values; the accumulator is the result. DISTINCT keeps the first of equal values.

use std::collections::{BTreeMap, BTreeSet};

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{
    BatchBuilder, Column, ContainerBuilder, KeyEncoder, RowBatch, RowRef, ValueMut,
    append_column_key, array_words, map_words,
};
use flow_ir::types::{DataType, Slot, Type};
use flow_ir::value::Value;

use super::Meaning;
use super::catalog::{AggregateDef, Example, NullUse, OrderUse, Param, array_of, map_of, only};
use crate::host::RESULT_BYTES_MAX;

pub(super) const ARRAY_AGG: AggregateDef = AggregateDef {
    name: "ARRAY_AGG",
    aliases: &["COLLECT_LIST", "LIST"],
    usage: "[DISTINCT] x [ORDER BY …]",
    doc: "The values in the order given, else by event time, NULL among them unless IGNORE NULLS \
          follows the call; NULL over no rows. DISTINCT keeps the first of equal values. A result \
          of over 64 MB is out of range, as that of every function.",
    examples: &[
        Example { call: "ARRAY_AGG(x)", rows: &[Some(2), None, Some(1)], result: "[2, NULL, 1]" },
        Example {
            call: "ARRAY_AGG(DISTINCT x ORDER BY x DESC)",
            rows: &[Some(1), Some(2), Some(1)],
            result: "[2, 1]",
        },
        Example { call: "ARRAY_AGG(x)", rows: &[], result: "NULL" },
    ],
    order: OrderUse::Rows,
    nulls: NullUse::Keep,
    result: |args| only("ARRAY_AGG", args).map(|ty| array_of(ty.clone())),
    ..AggregateDef::PLAIN
};

pub(super) const COLLECT_SET: AggregateDef = AggregateDef {
    name: "COLLECT_SET",
    aliases: &[],
    usage: "x [ORDER BY …]",
    doc: "ARRAY_AGG(DISTINCT x).",
    examples: &[Example {
        call: "COLLECT_SET(x)",
        rows: &[Some(2), Some(1), Some(2)],
        result: "[2, 1]",
    }],
    result: |args| only("COLLECT_SET", args).map(|ty| array_of(ty.clone())),
    ..ARRAY_AGG
};

pub(super) const LISTAGG: AggregateDef = AggregateDef {
    name: "LISTAGG",
    aliases: &["STRING_AGG", "GROUP_CONCAT"],
    usage: "[DISTINCT] text [, separator] [ORDER BY …]",
    doc: "The texts that are not NULL, joined with the separator (a comma if none is given) in the \
          order given in the call or by WITHIN GROUP (ORDER BY …), else by event time; NULL if \
          there is none.",
    examples: &[
        Example {
            call: "LISTAGG(CAST(x AS STRING))",
            rows: &[Some(2), None, Some(1)],
            result: "2,1",
        },
        Example {
            call: "STRING_AGG(CAST(x AS STRING), '; ' ORDER BY x)",
            rows: &[Some(2), Some(1)],
            result: "1; 2",
        },
        Example {
            call: "LISTAGG(CAST(x AS STRING), '') WITHIN GROUP (ORDER BY x DESC)",
            rows: &[Some(1), Some(2)],
            result: "21",
        },
    ],
    params: &[Param::Separator],
    order: OrderUse::Rows,
    result: |args| match only("LISTAGG", args)? {
        Type { data: DataType::String, .. } => Ok(Type::nullable(DataType::String)),
        ty => Err(format!("LISTAGG takes texts: CAST the {} to STRING", ty.data)),
    },
    ..AggregateDef::PLAIN
};

pub(super) const MAP_AGG: AggregateDef = AggregateDef {
    name: "MAP_AGG",
    aliases: &["OBJECT_AGG", "COLLECT_MAP"],
    usage: "key, value [ORDER BY …]",
    doc: "The values by their keys; of several values of a key the last in the order given, else \
          by event time. Rows whose key is NULL are passed over; NULL if there is no other.",
    examples: &[Example {
        call: "MAP_AGG(x, x * 10)",
        rows: &[Some(2), None, Some(1)],
        result: "{1=10, 2=20}",
    }],
    order: OrderUse::Rows,
    nulls: NullUse::SkipFirst,
    result: |args| match args {
        [key, value] if key.data != DataType::Null && value.data != DataType::Null => {
            Ok(map_of(key, value.clone()))
        }
        _ => Err("MAP_AGG takes a key and a value".into()),
    },
    ..AggregateDef::PLAIN
};

#[derive(Clone, Debug)]
enum Form {
    Array,
    /// With this between the texts.
    Text(Vec<u8>),
    Map,
}

/// One of the four.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    form: Form,
    args: Vec<Type>,
    distinct: bool,
    result: Type,
}

impl Gather {
    pub(super) fn new(name: &str, call: &AggregateCall) -> Self {
        let form = match name {
            "LISTAGG" => match call.params.first() {
                Some(Value::String(text)) => Form::Text(text.as_bytes().to_vec()),
                Some(_) | None => Form::Text(b",".to_vec()),
            },
            "MAP_AGG" => Form::Map,
            _ => Form::Array,
        };
        Self {
            form,
            args: call.arg_types.clone(),
            distinct: call.distinct || name == "COLLECT_SET",
            result: call.ty.with_nullable(true),
        }
    }

    /// Calls `each` with every value that counts, as often as it does; `false` ends it.
    pub(super) fn each<'v>(&self, values: &'v RowBatch, mut each: impl FnMut(RowRef<'v>) -> bool) {
        let all: Vec<usize> = (0..self.args.len()).collect();
        let encoder = KeyEncoder::new(values.layout(), &all);
        let mut seen = BTreeSet::new();
        for (i, row) in values.rows().enumerate() {
            let mut times = values.weight(i).max(0);
            // The last of a key stays, however often it is there.
            if self.args.len() > 1 {
                times = times.min(1);
            }
            if self.distinct && times > 0 {
                let mut key = Vec::new();
                encoder.append(row, &mut key);
                times = i64::from(seen.insert(key));
            }
            for _ in 0..times {
                if !each(row) {
                    return;
                }
            }
        }
    }

    fn array(&self, values: &RowBatch) -> Gathered {
        let mut items = ContainerBuilder::default();
        let column = values.layout().column(0);
        let mut bytes = 0;
        self.each(values, |row| {
            bytes += ITEM_BYTES + var_bytes(row, column);
            if bytes <= RESULT_BYTES_MAX {
                push(&mut items, row, column, &self.args[0]);
            }
            bytes <= RESULT_BYTES_MAX
        });
        Gathered::of(bytes, || (!items.is_empty()).then(|| bytes_of(&array_words(&items))))
    }

    fn text(&self, separator: &[u8], values: &RowBatch) -> Gathered {
        let mut text: Option<Vec<u8>> = None;
        let column = values.layout().column(0);
        let mut bytes = 0;
        self.each(values, |row| {
            match &mut text {
                None => text = Some(row.var(column).to_vec()),
                Some(text) => {
                    text.extend_from_slice(separator);
                    text.extend_from_slice(row.var(column));
                }
            }
            // Texts and separators may be empty: it takes time to add nothing, too.
            bytes += row.var(column).len() + separator.len().max(1);
            bytes <= RESULT_BYTES_MAX
        });
        Gathered::of(bytes, || text)
    }

    fn map(&self, values: &RowBatch) -> Gathered {
        let [key, value] = [0, 1].map(|i| values.layout().column(i));
        let mut rows = BTreeMap::new();
        self.each(values, |row| {
            let mut bytes = Vec::new();
            append_column_key(row, key, &self.args[0], &mut bytes);
            rows.insert(bytes, row);
            true
        });
        let bytes =
            rows.values().map(|row| 2 * ITEM_BYTES + var_bytes(*row, key) + var_bytes(*row, value));
        if bytes.sum::<usize>() > RESULT_BYTES_MAX {
            return Gathered::TooLong;
        }
        let mut parts = [ContainerBuilder::default(), ContainerBuilder::default()];
        for row in rows.values() {
            push(&mut parts[0], *row, key, &self.args[0]);
            push(&mut parts[1], *row, value, &self.args[1]);
        }
        match rows.is_empty() {
            true => Gathered::Nothing,
            false => Gathered::Value(bytes_of(&map_words(&parts[0], &parts[1]))),
        }
    }
}

/// What an element takes in an array, beside the bytes of a text or container.
const ITEM_BYTES: usize = 16;

/// All values as one.
#[derive(Debug)]
pub(super) enum Gathered {
    /// There is none.
    Nothing,
    /// The bytes of the result.
    Value(Vec<u8>),
    /// It would be over `RESULT_BYTES_MAX`.
    TooLong,
}

impl Gathered {
    /// What came of so many bytes.
    pub(super) fn of(bytes: usize, value: impl FnOnce() -> Option<Vec<u8>>) -> Self {
        match bytes > RESULT_BYTES_MAX {
            true => Self::TooLong,
            false => value().map_or(Self::Nothing, Self::Value),
        }
    }

    /// The accumulators for it: the result, and whether it is too long.
    pub(super) fn types(result: Type) -> Vec<Type> {
        vec![result, Type::nullable(DataType::Boolean)]
    }

    /// Sets the accumulators, which are NULL, to it.
    pub(super) fn put(self, acc: &mut ValueMut<'_>, first: usize) {
        match self {
            Self::Nothing => {}
            Self::Value(bytes) => acc.set_var(first, &bytes),
            Self::TooLong => acc.set_word(first + 1, 1),
        }
    }

    /// Refuses a result that is too long.
    pub(super) fn check(acc: RowRef<'_>, columns: &[Column]) -> Result<(), ErrorCode> {
        if acc.is_null(columns[1]) { Ok(()) } else { Err(ErrorCode::Overflow) }
    }
}

/// The bytes of a text or container.
fn var_bytes(row: RowRef<'_>, column: Column) -> usize {
    match column.slot {
        Slot::Var if !row.is_null(column) => row.var(column).len(),
        Slot::Var | Slot::Word | Slot::Wide => 0,
    }
}

impl Meaning for Gather {
    fn types(&self) -> Vec<Type> {
        Gathered::types(self.result.clone())
    }

    fn add(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column], _: i64) {}

    fn merge(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column]) {}

    fn set(&self, acc: &mut ValueMut<'_>, first: usize, values: &RowBatch) {
        let bytes = match &self.form {
            Form::Array => self.array(values),
            Form::Text(separator) => self.text(separator, values),
            Form::Map => self.map(values),
        };
        bytes.put(acc, first);
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        Gathered::check(acc, columns)?;
        out.copy_column(column, acc, columns[0]);
        Ok(())
    }
}

/// Sets an accumulator to the value of a row's column.
pub(super) fn put(acc: &mut ValueMut<'_>, at: usize, row: RowRef<'_>, column: Column) {
    match column.slot {
        _ if row.is_null(column) => acc.set_null(at),
        Slot::Word => acc.set_word(at, row.word(column)),
        Slot::Wide => {
            let [low, high] = row.wide(column);
            acc.set_i128(at, i128::from(low) | (i128::from(high as i64) << 64));
        }
        Slot::Var => acc.set_var(at, row.var(column)),
    }
}

/// Adds the value of a row's column to a container.
pub(super) fn push(out: &mut ContainerBuilder, row: RowRef<'_>, column: Column, ty: &Type) {
    match column.slot {
        slot if row.is_null(column) => out.push_null(slot),
        Slot::Word => out.push_word(row.word(column)),
        Slot::Wide => out.push_wide(row.wide(column)),
        Slot::Var if ty.data.is_container() => out.push_container(row.container(column)),
        Slot::Var => out.push_bytes(row.var(column)),
    }
}

/// A container's words as an accumulator keeps them.
pub(super) fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
