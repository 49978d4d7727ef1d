//! Over: values computed from the rows around each row of a partition, as changes. At an epoch's
//! end the rows are read that a change can touch, and those that their values depend on; their
//! values are computed as they were and as they are, and what differs goes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flow_ir::ids::TableId;
use flow_ir::kernel::{OnError, RowError};
use flow_ir::physical::{Over, TableKind};
use flow_ir::row::{BatchBuilder, KeyBatch, KeyEncoder, RowBatch, RowLayout, key_group};
use flow_ir::types::{DataType, Type};

use super::changes::NetRows;
use super::over_calls::{Calls, Gone, Values};
use super::over_frame::Partition;
use super::over_near::{Near, Side, Source, Weighed};
use super::{OpCx, OpError, Operator, Plan, Reports, columns_of};
use crate::state::{PointTable, SlotId};

pub(super) struct OverOp {
    keys: KeyEncoder,
    calls: Calls,
    near: Near,
    width: usize,
    rows: TableId,
    /// The partitions that were touched in this epoch, by key.
    index: PointTable,
    touched: Vec<Touched>,
    key_batch: KeyBatch,
    slots: Vec<SlotId>,
    key: Vec<u8>,
    kept_bytes: usize,
    output: BatchBuilder,
    net: NetRows,
}

/// A partition that was touched.
struct Touched {
    key: Vec<u8>,
    group: u8,
    /// How the weights of its rows changed.
    changes: BTreeMap<Vec<u8>, i64>,
}

impl OverOp {
    pub(super) fn new(op: &Over, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        let output = plan.output();
        columns_of(&op.keys, &input)?;
        columns_of(&op.order.iter().map(|(column, _)| *column).collect::<Vec<_>>(), &input)?;
        let peers = op.order.get(..op.peers).ok_or("more columns are equal than ordered")?;
        let layout = RowLayout::new(input.clone());
        let calls = Calls::new(&op.calls, &input, peers, None)?;
        let place = Arc::new(RowLayout::new(vec![Type::not_null(DataType::BigInt)]));
        Ok(Self {
            keys: KeyEncoder::new(&layout, &op.keys),
            near: Near::new(&input, &op.order, peers, calls.reach()),
            calls,
            width: input.len(),
            rows: plan.table(op.rows, TableKind::Ordered, &[DataType::BigInt])?,
            index: PointTable::scratch(place),
            touched: Vec::new(),
            key_batch: KeyBatch::default(),
            slots: Vec::new(),
            key: Vec::new(),
            kept_bytes: 0,
            net: NetRows::new(&output),
            output: BatchBuilder::new(Arc::new(RowLayout::new(output))),
        })
    }

    /// Adds the changes of the output that changes of a partition's rows make: number `next`, and
    /// those behind it that touch the same rows.
    fn compare(
        &mut self,
        touched: &Touched,
        changes: &[Weighed],
        next: &mut usize,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let table = cx.state.ordered(self.rows);
        let (key, group, limit) = (&touched.key[..], touched.group, cx.limit_bytes);
        let mut source = Source { table, key, group, limit };
        let (rows, [before, after]) = self.near.read(&self.calls, changes, next, &mut source)?;
        let (on_error, mut failed) = (cx.kernel.on_error, BTreeSet::new());
        let old = self.values(&rows, before, on_error, &mut failed, None)?;
        let new = self.values(&rows, after, on_error, &mut failed, Some(cx.reports))?;
        self.near.recycle(rows);
        let pairs = || old.rows().zip(new.rows());
        let head = pairs().take_while(|(a, b)| a.words() == b.words()).count();
        let most = old.len().min(new.len()) - head;
        let same = |tail: &usize| {
            old.row(old.len() - 1 - tail).words() == new.row(new.len() - 1 - tail).words()
        };
        let tail = (0..most).take_while(same).count();
        self.net.add((head..old.len() - tail).map(|i| (old.row(i), -1)))?;
        self.net.add((head..new.len() - tail).map(|i| (new.row(i), 1)))?;
        cx.refuse_too_much(self.net.bytes())
    }

    /// The rows that may be touched, with their values. Rows in which something failed are reported
    /// if they had not `failed` before.
    fn values(
        &mut self,
        rows: &RowBatch,
        side: Side,
        on_error: OnError,
        failed: &mut BTreeSet<Vec<u64>>,
        mut reports: Option<&mut Reports>,
    ) -> Result<RowBatch, OpError> {
        let Side { places, touched } = side;
        let partition = Partition::new(rows, places, &self.near.peers);
        // Where numbers are asked for, the rows before the touched ones are all there.
        let groups = if touched.is_empty() { 0 } else { partition.group(touched.start) };
        let gone = Gone { rows: touched.start as i64, groups: groups as i64 };
        let values = self.calls.evaluate(&partition, touched.clone(), gone, None)?;
        for (place, i) in touched.enumerate() {
            let row = partition.row(i);
            if values.has_failures()
                && let Some(code) = values.failures(place).next()
            {
                let known = failed.contains(row.words());
                match &mut reports {
                    None => drop(failed.insert(row.words().to_vec())),
                    Some(reports) if !known => {
                        let error = RowError { row: 0, site: None, code, detail: None };
                        reports.fail(rows.layout(), row, 1, error);
                    }
                    Some(_) => {}
                }
                if on_error != OnError::KeepNull {
                    continue;
                }
            }
            write(&mut self.output, &partition, i, &values, place, self.width);
        }
        Ok(self.output.take())
    }
}

/// Writes a row of a partition and its values.
pub(super) fn write(
    out: &mut BatchBuilder,
    partition: &Partition<'_>,
    i: usize,
    values: &Values,
    place: usize,
    width: usize,
) {
    out.begin();
    partition.copy(i, out);
    values.write(place, out, width);
    out.finish(1);
}

impl Operator for OverOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.keys.encode(rows, &mut self.key_batch);
        self.index.upsert(&self.key_batch, &mut self.slots)?;
        for (i, row) in rows.rows().enumerate() {
            let slot = self.slots[i];
            if self.index.is_new(slot) {
                self.index.value(slot).set_word(0, self.touched.len() as u64);
                let (key, group) = (self.key_batch.key(i), key_group(self.key_batch.hash(i)));
                let changes = BTreeMap::new();
                self.touched.push(Touched { key: key.to_vec(), group, changes });
            }
            let touched = &mut self.touched[self.index.value_ref(slot).word(0) as usize];
            self.key.clear();
            self.key.extend_from_slice(&touched.key);
            self.near.sorted.append(row, &mut self.key);
            let table = cx.state.ordered(self.rows);
            table.add_weight(touched.group, &self.key, rows.weight(i))?;
            let row = self.key[touched.key.len()..].to_vec();
            self.kept_bytes += row.len() + size_of::<(Vec<u8>, i64)>();
            *touched.changes.entry(row).or_default() += rows.weight(i);
            cx.refuse_too_much(self.kept_bytes)?;
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        for mut touched in std::mem::take(&mut self.touched) {
            let changes = std::mem::take(&mut touched.changes).into_iter();
            let changes: Vec<Weighed> = changes.filter(|(_, weight)| *weight != 0).collect();
            let mut next = 0;
            while next < changes.len() {
                self.compare(&touched, &changes, &mut next, cx)?;
            }
        }
        self.index.clear();
        self.kept_bytes = 0;
        self.net.emit(cx.emit)
    }
}
