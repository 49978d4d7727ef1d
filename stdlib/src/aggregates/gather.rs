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

pub(super) const ARRAY_AGG: AggregateDef = AggregateDef {
    name: "ARRAY_AGG",
    aliases: &["COLLECT_LIST", "LIST"],
    usage: "[DISTINCT] x [ORDER BY …]",
    doc: "The values in the order given, else by event time, NULL among them unless IGNORE NULLS \
          follows the call; NULL over no rows. DISTINCT keeps the first of equal values.",
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
    aliases: &["OBJECT_AGG"],
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

    /// Calls `each` with every value that counts, as often as it does.
    pub(super) fn each<'v>(&self, values: &'v RowBatch, mut each: impl FnMut(RowRef<'v>)) {
        let all: Vec<usize> = (0..self.args.len()).collect();
        let encoder = KeyEncoder::new(values.layout(), &all);
        let mut seen = BTreeSet::new();
        for (i, row) in values.rows().enumerate() {
            let mut times = values.weight(i).max(0);
            if self.distinct && times > 0 {
                let mut key = Vec::new();
                encoder.append(row, &mut key);
                times = i64::from(seen.insert(key));
            }
            (0..times).for_each(|_| each(row));
        }
    }

    fn array(&self, values: &RowBatch) -> Option<Vec<u8>> {
        let mut items = ContainerBuilder::default();
        let column = values.layout().column(0);
        self.each(values, |row| push(&mut items, row, column, &self.args[0]));
        (!items.is_empty()).then(|| bytes_of(&array_words(&items)))
    }

    fn text(&self, separator: &[u8], values: &RowBatch) -> Option<Vec<u8>> {
        let mut text: Option<Vec<u8>> = None;
        let column = values.layout().column(0);
        self.each(values, |row| match &mut text {
            None => text = Some(row.var(column).to_vec()),
            Some(text) => {
                text.extend_from_slice(separator);
                text.extend_from_slice(row.var(column));
            }
        });
        text
    }

    fn map(&self, values: &RowBatch) -> Option<Vec<u8>> {
        let [key, value] = [0, 1].map(|i| values.layout().column(i));
        let mut rows = BTreeMap::new();
        self.each(values, |row| {
            let mut bytes = Vec::new();
            append_column_key(row, key, &self.args[0], &mut bytes);
            rows.insert(bytes, row);
        });
        let mut parts = [ContainerBuilder::default(), ContainerBuilder::default()];
        for row in rows.values() {
            push(&mut parts[0], *row, key, &self.args[0]);
            push(&mut parts[1], *row, value, &self.args[1]);
        }
        (!rows.is_empty()).then(|| bytes_of(&map_words(&parts[0], &parts[1])))
    }
}

impl Meaning for Gather {
    fn types(&self) -> Vec<Type> {
        vec![self.result.clone()]
    }

    fn add(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column], _: i64) {}

    fn merge(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column]) {}

    fn set(&self, acc: &mut ValueMut<'_>, first: usize, values: &RowBatch) {
        let bytes = match &self.form {
            Form::Array => self.array(values),
            Form::Text(separator) => self.text(separator, values),
            Form::Map => self.map(values),
        };
        if let Some(bytes) = bytes {
            acc.set_var(first, &bytes);
        }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
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
