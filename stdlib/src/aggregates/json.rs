//! JSON of all values of a group: arrays and objects as the function TO_JSON writes values. The
//! operator keeps the values; the accumulator is the text.

use std::collections::BTreeMap;

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};

use super::Meaning;
use super::catalog::{AggregateDef, Example, NullUse, OrderUse, only};
use super::gather::{Gather, Gathered};
use crate::host::RESULT_BYTES_MAX;
use crate::scalar::{write_json, write_json_name};

pub(super) const JSON_AGG: AggregateDef = AggregateDef {
    name: "JSON_AGG",
    aliases: &["JSONB_AGG", "JSON_GROUP_ARRAY"],
    usage: "[DISTINCT] x [ORDER BY …]",
    doc: "The JSON array of the values, NULL as null, in the order given, else by event time; NULL \
          over no rows.",
    examples: &[
        Example { call: "JSON_AGG(x)", rows: &[Some(2), None], result: "[2,null]" },
        Example { call: "JSON_AGG(x)", rows: &[], result: "NULL" },
    ],
    order: OrderUse::Rows,
    nulls: NullUse::Keep,
    result: |args| only("JSON_AGG", args).map(|_| Type::nullable(DataType::Json)),
    ..AggregateDef::PLAIN
};

pub(super) const JSON_ARRAYAGG: AggregateDef = AggregateDef {
    name: "JSON_ARRAYAGG",
    aliases: &[],
    doc: "The JSON array, as a STRING, of the values that are not NULL, in the order given, else \
          by event time.",
    examples: &[
        Example { call: "JSON_ARRAYAGG(x)", rows: &[Some(2), None, Some(1)], result: "[2,1]" },
        Example { call: "JSON_ARRAYAGG(x)", rows: &[None], result: "[]" },
    ],
    nulls: NullUse::Skip,
    result: |args| only("JSON_ARRAYAGG", args).map(|_| Type::not_null(DataType::String)),
    ..JSON_AGG
};

pub(super) const JSON_OBJECT_AGG: AggregateDef = AggregateDef {
    name: "JSON_OBJECT_AGG",
    aliases: &["JSONB_OBJECT_AGG", "JSON_GROUP_OBJECT"],
    usage: "key, value [ORDER BY …]",
    doc: "The JSON object of the values by their keys; of several values of a key the last in the \
          order given, else by event time. Rows whose key is NULL are passed over; NULL if there \
          is no other.",
    examples: &[Example {
        call: "JSON_OBJECT_AGG(CAST(x AS STRING), x)",
        rows: &[Some(2), None, Some(1)],
        result: r#"{"1":1,"2":2}"#,
    }],
    order: OrderUse::Rows,
    nulls: NullUse::SkipFirst,
    result: |args| pair("JSON_OBJECT_AGG", args).map(|()| Type::nullable(DataType::Json)),
    ..AggregateDef::PLAIN
};

pub(super) const JSON_OBJECTAGG: AggregateDef = AggregateDef {
    name: "JSON_OBJECTAGG",
    aliases: &[],
    doc: "The JSON object, as a STRING, of the values by their keys; of several values of a key \
          the last in the order given, else by event time. Rows whose key is NULL are passed over.",
    examples: &[Example {
        call: "JSON_OBJECTAGG(CAST(x AS STRING), x)",
        rows: &[Some(2), Some(1)],
        result: r#"{"1":1,"2":2}"#,
    }],
    result: |args| pair("JSON_OBJECTAGG", args).map(|()| Type::not_null(DataType::String)),
    ..JSON_OBJECT_AGG
};

fn pair(name: &str, args: &[Type]) -> Result<(), String> {
    match args {
        [key, value] if key.data != DataType::Null && value.data != DataType::Null => Ok(()),
        _ => Err(format!("{name} takes a key and a value")),
    }
}

/// What stands behind a member's name.
const NAME_END: &[u8] = b"\":";

/// One of the four.
#[derive(Clone, Debug)]
pub(super) struct Json {
    gather: Gather,
    args: Vec<Type>,
    /// What no values come to; NULL if there is nothing here.
    nothing: &'static [u8],
}

impl Json {
    pub(super) fn new(name: &str, call: &AggregateCall) -> Self {
        let nothing: &[u8] = match name {
            "JSON_ARRAYAGG" => b"[]",
            "JSON_OBJECTAGG" => b"{}",
            _ => b"",
        };
        Self { gather: Gather::new(name, call), args: call.arg_types.clone(), nothing }
    }

    fn array(&self, values: &RowBatch) -> Gathered {
        let mut out = vec![b'['];
        self.gather.each(values, |row| {
            if out.len() > 1 {
                out.push(b',');
            }
            write_json(row, values.layout(), 0, &mut out);
            out.len() <= RESULT_BYTES_MAX
        });
        out.push(b']');
        Gathered::of(out.len(), || (out.len() > 2).then_some(out))
    }

    fn object(&self, values: &RowBatch) -> Gathered {
        let mut members = BTreeMap::new();
        self.gather.each(values, |row| {
            let mut name = Vec::new();
            write_json_name(row, values.layout(), 0, &mut name);
            // Without the quote and the colon behind it names order as their texts do.
            name.truncate(name.len() - NAME_END.len());
            members.insert(name, row);
            true
        });
        let mut out = vec![b'{'];
        for (name, row) in &members {
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.extend_from_slice(NAME_END);
            write_json(*row, values.layout(), 1, &mut out);
            if out.len() > RESULT_BYTES_MAX {
                return Gathered::TooLong;
            }
        }
        out.push(b'}');
        Gathered::of(out.len(), || (out.len() > 2).then_some(out))
    }
}

impl Meaning for Json {
    fn types(&self) -> Vec<Type> {
        Gathered::types(Type::nullable(DataType::String))
    }

    fn add(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column], _: i64) {}

    fn merge(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column]) {}

    fn set(&self, acc: &mut ValueMut<'_>, first: usize, values: &RowBatch) {
        let text = match self.args.len() {
            1 => self.array(values),
            _ => self.object(values),
        };
        text.put(acc, first);
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        Gathered::check(acc, columns)?;
        if !acc.is_null(columns[0]) {
            out.set_bytes(column, acc.var(columns[0]));
        } else if !self.nothing.is_empty() {
            out.set_bytes(column, self.nothing);
        }
        Ok(())
    }
}
