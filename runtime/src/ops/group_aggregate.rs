//! GroupAggregate: the results of each group, as changes: −old/+new once an epoch for a group
//! whose results are not what they were. A group without rows goes; without keys there is one
//! group, always: it has results from the first epoch on.

use flow_ir::ids::TableId;
use flow_ir::physical::{GroupAggregate, TableKind};
use flow_ir::row::{KeyBatch, RowBatch, key_group, key_hash};

use super::aggregation::Calls;
use super::groups::{Groups, Picks, Show, ValueRow};
use super::{OpCx, OpError, Operator, Plan, data};
use crate::state::SlotId;

pub(super) struct GroupAggregateOp {
    groups: Groups,
    table: TableId,
    /// No keys: one group.
    global: bool,
    keys: KeyBatch,
    slots: Vec<SlotId>,
    picks: Picks,
}

impl GroupAggregateOp {
    pub(super) fn new(op: &GroupAggregate, plan: &Plan<'_>) -> Result<Self, String> {
        let state = Groups::state_types(&Calls::new(&op.calls)?, false);
        Ok(Self {
            groups: Groups::new(plan, op.keys, &op.calls, op.values, false)?,
            table: plan.table(op.groups, TableKind::Point, &data(&state))?,
            global: op.keys == 0,
            keys: KeyBatch::default(),
            slots: Vec::new(),
            picks: Picks::default(),
        })
    }

    /// Adds the rows that carry values to the multisets.
    fn add_values(&mut self, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let Some(values) = self.groups.values else { return Ok(()) };
        for (i, row) in rows.rows().enumerate() {
            if self.groups.is_partial(row) {
                continue;
            }
            let at = ValueRow { end: None, key: self.keys.key(i), row };
            let effect = self.groups.add_value(cx.state.ordered(values), &at)?;
            self.groups.apply(effect, cx.state.point(self.table), self.slots[i], &at)?;
        }
        Ok(())
    }

    /// Makes the one group of an aggregate without keys.
    fn begin_global(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let owned = cx.groups.binary_search(&key_group(key_hash(&[]))).is_ok();
        let table = cx.state.point(self.table);
        if self.global && owned && table.get(&[])?.is_none() {
            self.keys.clear();
            self.keys.push(&[]);
            table.upsert(&self.keys, &mut self.slots)?;
        }
        Ok(())
    }
}

impl Operator for GroupAggregateOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let table = cx.state.point(self.table);
        self.groups.keys.encode(rows, &mut self.keys);
        table.upsert(&self.keys, &mut self.slots)?;
        self.picks.rows.clear();
        self.picks.slots.clear();
        for (i, row) in rows.rows().enumerate() {
            if self.groups.is_partial(row) {
                self.picks.rows.push(i as u32);
                self.picks.slots.push(self.slots[i]);
            }
        }
        self.groups.merge(table, &self.picks.slots, &self.picks.rows, rows);
        self.add_values(rows, cx)
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let id = self.table;
        self.groups.settle(cx.state, i64::MAX, |state, _| state.point(id))?;
        self.begin_global(cx)?;
        let table = cx.state.point(id);
        let show = Show { end: None, updates: true, always: self.global };
        self.groups.collect(table, table.touched(), show, cx.kernel.on_error)?;
        self.groups.results.emit(cx.emit, cx.reports);
        if !self.global {
            self.groups.remove_empty(table);
        }
        Ok(())
    }
}
