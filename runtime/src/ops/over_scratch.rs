//! temporary
use crate::state::{PointTable, SlotId};
use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::*;
use flow_stdlib::aggregates::{self, Aggregate, Multiset};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct Evaluator {
    aggregate: Aggregate,
    args: Vec<Column>,
    filter: Option<Column>,
    multiset: Option<Multiset>,
    table: PointTable,
    slot: Option<SlotId>,
    keys: KeyBatch,
    encoder: KeyEncoder,
    types: Vec<flow_ir::types::Type>,
    values: BTreeMap<Vec<u8>, i64>,
    row: Vec<u64>,
}
impl Evaluator {
    pub(super) fn new(calls: &[AggregateCall], layout: &RowLayout) -> Result<Self, String> {
        let call = &calls[0];
        let aggregate = aggregates::instantiate(call)?;
        let table = PointTable::scratch(Arc::new(RowLayout::new(aggregate.state_types())));
        Ok(Self {
            multiset: aggregates::multiset(call),
            args: call.args.iter().map(|i| layout.column(*i)).collect(),
            filter: call.filter.map(|i| layout.column(i)),
            aggregate,
            table,
            slot: None,
            keys: KeyBatch::default(),
            encoder: KeyEncoder::new(layout, &call.args),
            types: call.arg_types.clone(),
            values: BTreeMap::new(),
            row: vec![],
        })
    }
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.slot = None;
        self.values.clear();
    }
    fn slot(&mut self) -> SlotId {
        if self.slot.is_none() {
            self.keys.clear();
            self.keys.push(b"");
            let mut out = Vec::new();
            self.table.upsert(&self.keys, &mut out).unwrap();
            self.slot = out.first().copied();
        }
        self.slot.unwrap()
    }
    fn decoded(&self, key: &[u8]) -> RowBatch {
        let mut out = BatchBuilder::new(Arc::new(RowLayout::new(self.types.clone())));
        out.begin();
        assert!(KeyDecoder::new(self.types.clone()).decode(key, &mut out, 0));
        out.finish(1);
        out.take()
    }
    pub(super) fn add(&mut self, row: RowRef<'_>, weight: i64) -> Result<(), ErrorCode> {
        if !self.filter.is_none_or(|f| !row.is_null(f) && row.word(f) != 0) {
            return Ok(());
        }
        let slot = self.slot();
        if self.multiset.is_none() {
            self.aggregate.add_value(&mut self.table.value(slot), 0, row, &self.args, weight);
            return Ok(());
        }
        if self.args.iter().any(|a| row.is_null(*a)) {
            return Ok(());
        }
        let mut key = Vec::new();
        self.encoder.append(row, &mut key);
        let n = self.values.entry(key.clone()).or_default();
        let old = *n;
        *n += weight;
        let new = *n;
        if new == 0 {
            self.values.remove(&key);
        }
        let change = i64::from(new > 0) - i64::from(old > 0);
        if self.multiset == Some(Multiset::Distinct) && change != 0 {
            let v = self.decoded(&key);
            self.aggregate.add_value(
                &mut self.table.value(slot),
                0,
                v.row(0),
                v.layout().columns(),
                change,
            );
        }
        Ok(())
    }
    pub(super) fn finish(
        &mut self,
        out: &mut BatchBuilder,
        first: usize,
        errors: &mut Vec<ErrorCode>,
    ) -> Result<(), ErrorCode> {
        let slot = self.slot();
        let end = match self.multiset {
            Some(Multiset::First) => self.values.first_key_value(),
            Some(Multiset::Last) => self.values.last_key_value(),
            _ => None,
        };
        if matches!(self.multiset, Some(Multiset::First | Multiset::Last)) {
            let v = end.map(|(k, _)| self.decoded(k));
            let mut acc = self.table.value(slot);
            acc.set_null(0);
            if let Some(v) = v {
                self.aggregate.add_value(&mut acc, 0, v.row(0), v.layout().columns(), 1);
            }
        }
        self.row.clear();
        self.table.value_ref(slot).append_row(&mut self.row);
        let layout = self.table.layout().clone();
        errors.extend(
            self.aggregate.finish(RowRef::new(&self.row), layout.columns(), out, first).err(),
        );
        Ok(())
    }
}
