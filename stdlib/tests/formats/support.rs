//! Running plans on a few payloads.

use std::sync::Arc;

use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Origin};
use flow_ir::encode_plan::EncodePlan;
use flow_ir::kernel::{
    Decoder, Encoder, ErrorBuffer, KernelCx, OnError, PayloadArena, Payloads, Record, RowError,
};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout, read_value};
use flow_ir::types::{Field, Type};
use flow_ir::value::Value;
use flow_stdlib::interp::decode::PlanDecoder;
use flow_stdlib::interp::encode::PlanEncoder;

/// Columns of the value, each the field of its name.
pub(crate) fn columns(fields: &[Field]) -> Vec<DecodeColumn> {
    let column = |f: &Field| DecodeColumn {
        name: f.name.clone(),
        ty: f.ty.clone(),
        origin: Origin::Value(vec![f.name.clone()]),
    };
    fields.iter().map(column).collect()
}

/// The rows of these records, and the failures.
pub(crate) fn decode_records(
    plan: &DecodePlan,
    records: &[Record<'_>],
    on_error: OnError,
) -> (RowBatch, Vec<RowError>) {
    let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
    let mut rows = BatchBuilder::new(Arc::new(RowLayout::new(types)));
    let mut decoder = PlanDecoder::new(plan).expect("the plan is well formed");
    let select: Vec<u32> = (0..records.len() as u32).collect();
    let (select, topic) = (&select[..], "orders");
    let from = Payloads { records, select, key_skip: 0, value_skip: 0, topic, partition: 3 };
    let (mut origin, mut bad) = (Vec::new(), ErrorBuffer::default());
    decoder.decode(&from, &KernelCx { clock: 0, on_error }, &mut rows, &mut origin, &mut bad);
    let rows = rows.take();
    assert_eq!(rows.len(), origin.len(), "an origin a row");
    assert!(rows.rows().all(|row| row.verify(rows.layout())), "rows are well formed");
    (rows, bad.errors)
}

/// The values of a batch's rows.
pub(crate) fn values(rows: &RowBatch) -> Vec<Vec<Value>> {
    let layout = rows.layout();
    let value = |row, i: usize| read_value(row, layout.column(i), &layout.types()[i]);
    rows.rows().map(|row| (0..layout.len()).map(|i| value(row, i)).collect()).collect()
}

/// The row of one value payload, or the failure as `field: message`.
pub(crate) fn decode(plan: &DecodePlan, payload: &[u8]) -> Result<Vec<Value>, String> {
    let record = Record { value: Some(payload), ..Record::default() };
    let (rows, errors) = decode_records(plan, &[record], OnError::DropRow);
    match (values(&rows).pop(), errors.first()) {
        (Some(row), None) => Ok(row),
        (None, Some(error)) => Err(error.detail.as_deref().unwrap_or("").to_string()),
        (row, error) => panic!("{row:?} and {error:?}"),
    }
}

/// The payloads of rows, and the failures.
pub(crate) fn encode(plan: &EncodePlan, rows: &RowBatch) -> (PayloadArena, Vec<RowError>) {
    let mut encoder = PlanEncoder::new(plan).expect("the plan is well formed");
    let (mut out, mut bad) = (PayloadArena::default(), ErrorBuffer::default());
    encoder.encode(rows, &mut out, &mut bad);
    assert_eq!(out.len(), rows.len(), "a payload a row");
    (out, bad.errors)
}

/// Rows of these columns.
pub(crate) fn batch(fields: &[Field], rows: &[Vec<Value>]) -> RowBatch {
    let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
    let mut builder = BatchBuilder::new(Arc::new(RowLayout::new(types)));
    for row in rows {
        builder.begin();
        row.iter().enumerate().for_each(|(i, v)| flow_ir::row::push_value(&mut builder, i, v));
        builder.finish(1);
    }
    builder.take()
}
