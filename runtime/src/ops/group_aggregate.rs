//! GroupAggregate: the results of each group, as changes: −old/+new once an epoch for a group
//! whose results are not what they were. A group without rows goes; without keys there is one
//! group, always: it has results from the first epoch on.

use flow_ir::ids::TableId;
use flow_ir::physical::GroupAggregate;
use flow_ir::row::{RowBatch, key_group, key_hash};

use super::groups::{Groups, Picks, Show, Tables};
use super::{OpCx, OpError, Operator, Plan};

pub(super) struct GroupAggregateOp {
    groups: Groups,
    table: TableId,
    /// No keys: one group.
    global: bool,
    picks: Picks,
}

impl GroupAggregateOp {
    pub(super) fn new(op: &GroupAggregate, plan: &Plan<'_>) -> Result<Self, String> {
        let tables = Tables { groups: op.groups, values: op.values, distinct: op.distinct };
        Ok(Self {
            groups: Groups::new(plan, op.keys, &op.calls, tables, false)?,
            table: op.groups,
            global: op.keys == 0,
            picks: Picks::default(),
        })
    }

    /// Makes the one group of an aggregate without keys.
    fn begin_global(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let owned = cx.groups.binary_search(&key_group(key_hash(&[]))).is_ok();
        let table = cx.state.point(self.table);
        if self.global && owned && table.get(&[])?.is_none() {
            self.picks.keys.clear();
            self.picks.keys.push(&[]);
            table.upsert(&self.picks.keys, &mut self.picks.slots)?;
        }
        Ok(())
    }
}

impl Operator for GroupAggregateOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let table = cx.state.point(self.table);
        let Picks { keys, slots, rows: picks } = &mut self.picks;
        self.groups.keys.encode(rows, keys);
        table.upsert(keys, slots)?;
        picks.clear();
        picks.extend(0..rows.len() as u32);
        self.groups.merge(table, slots, picks, rows);
        self.groups.add_values(None, &self.picks, rows, cx.state)
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let id = self.table;
        self.groups.settle(cx.state, i64::MAX)?;
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
