//! TemporalJoin: each left row with the version of the right row that was valid at its time. A left
//! row waits until the joint watermark has passed its time: then every version that it may need is
//! here. Of each key the newest version that the watermark has passed is kept, and all later ones.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use flow_ir::ids::TableId;
use flow_ir::physical::{JoinKind, TableKind, TemporalJoin};
use flow_ir::row::{BatchBuilder, Column, KeyBatch, RowBatch, RowLayout, RowRef, key_group};
use flow_ir::types::{DataType, Type};

use super::aggregation::{NUMBER_BYTES, push_i64};
use super::join::PAIRS_MAX;
use super::pairs::{Pairs, Side, check_keys};
use super::{OpCx, OpError, Operator, Plan, data, words_of};
use crate::state::{OrderedTable, prefix_end};

/// Version time of a relation that is valid always.
const ALWAYS: i64 = i64::MIN;

pub(super) struct TemporalJoinOp {
    kind: JoinKind,
    left: Side,
    right: Side,
    left_time: Column,
    right_time: Option<Column>,
    right_watermark: Option<Column>,
    right_tombstone: Option<Column>,
    pending: TableId,
    versions: TableId,
    /// Writes rows of `versions`: the right row, deleted.
    version: BatchBuilder,
    deleted: Column,
    pairs: Pairs,
    /// Keys that may have versions too old to be needed, with their groups. A cache: what it
    /// forgets is dropped with the key's next version.
    crowded: BTreeMap<Vec<u8>, u8>,
    key: Vec<u8>,
}

impl TemporalJoinOp {
    pub(super) fn new(op: &TemporalJoin, plan: &Plan<'_>) -> Result<Self, String> {
        let (left, right) = (plan.input(0)?, plan.input(1)?);
        check_keys(&left, &op.left_keys, &right, &op.right_keys)?;
        words_of(&[op.left_time], &left)?;
        for column in [op.right_time, op.right_watermark, op.right_tombstone] {
            words_of(column.as_slice(), &right)?;
        }
        let mut version = right.clone();
        version.push(Type::not_null(DataType::Boolean));
        let layout = Arc::new(RowLayout::new(version.clone()));
        let (left, right) = (Side::new(left, &op.left_keys)?, Side::new(right, &op.right_keys)?);
        let column = |index: usize| right.layout.column(index);
        Ok(Self {
            kind: op.kind,
            left_time: left.layout.column(op.left_time),
            right_time: op.right_time.map(column),
            right_watermark: op.right_watermark.map(column),
            right_tombstone: op.right_tombstone.map(column),
            left,
            right,
            pending: plan.table(op.pending, TableKind::Ordered, &[DataType::BigInt])?,
            versions: plan.table(op.versions, TableKind::Ordered, &data(&version))?,
            deleted: layout.column(version.len() - 1),
            version: BatchBuilder::new(layout),
            pairs: Pairs::new(plan, op.condition.as_ref(), op.kind)?,
            crowded: BTreeMap::new(),
            key: Vec::new(),
        })
    }

    /// Lets left rows wait.
    fn wait(&mut self, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.left.key.encode(rows, &mut self.left.keys);
        for (i, row) in rows.rows().enumerate() {
            if self.left.key.has_null(row) {
                if self.kind == JoinKind::Left {
                    self.pairs.emit_alone(0, row, rows.weight(i), cx.emit);
                }
                continue;
            }
            self.key.clear();
            push_i64(row.i64(self.left_time), &mut self.key);
            self.key.extend_from_slice(self.left.keys.key(i));
            self.left.append_row(row, &mut self.key);
            let group = key_group(self.left.keys.hash(i));
            cx.state.ordered(self.pending).add_weight(group, &self.key, rows.weight(i))?;
        }
        Ok(())
    }

    /// Takes versions of right rows. A row that is taken back without another in its place is
    /// deleted where there is one version only; with version times history stays as it was.
    fn learn(&mut self, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut keys = std::mem::take(&mut self.right.keys);
        self.right.key.encode(rows, &mut keys);
        for (i, row) in rows.rows().enumerate() {
            let (taken_back, timed) = (rows.weight(i) < 0, self.right_time.is_some());
            if self.right.key.has_null(row) || (taken_back && timed) {
                continue;
            }
            let group = key_group(keys.hash(i));
            self.key.clear();
            self.key.extend_from_slice(keys.key(i));
            push_i64(self.version_time(row), &mut self.key);
            let deleted = self.right_tombstone.is_some_and(|column| row.word(column) != 0);
            self.version.begin();
            for (index, column) in self.right.layout.columns().iter().enumerate() {
                self.version.copy_column(index, row, *column);
            }
            self.version.set_word(self.right.layout.len(), u64::from(deleted));
            self.version.finish(1);
            let version = self.version.take();
            let table = cx.state.ordered(self.versions);
            if taken_back {
                let kept = table.get(group, &self.key)?.map(RowRef::words);
                if kept == Some(version.row(0).words()) {
                    table.delete(group, &self.key)?;
                }
            } else {
                table.put(group, &self.key, version.row(0))?;
                if timed || deleted {
                    self.crowded.insert(keys.key(i).to_vec(), group);
                }
            }
            self.version.recycle(version);
        }
        self.right.keys = keys;
        Ok(())
    }

    /// From when on a right row is valid: its time, but not before its partition's watermark. A
    /// tombstone may have no time of its own.
    fn version_time(&self, row: RowRef<'_>) -> i64 {
        let number = |column: Option<Column>| {
            let column = column.filter(|column| !row.is_null(*column));
            column.map_or(i64::MIN, |column| row.i64(column))
        };
        match self.right_time {
            None => ALWAYS,
            time => number(time).max(number(self.right_watermark)),
        }
    }

    /// Joins the left rows older than `mark`.
    fn release(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut end = Vec::new();
        push_i64(mark, &mut end);
        let to = if mark == i64::MAX { Unbounded } else { Excluded(&end[..]) };
        let (mut bytes, mut ends, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let count = cx.state.ordered(self.pending).layout().column(0);
        cx.state.ordered(self.pending).drain(None, Unbounded, to, |entry| {
            bytes.extend_from_slice(entry.key);
            ends.push(bytes.len());
            counts.push(entry.row.i64(count));
        })?;
        let mut start = 0;
        let keys: Vec<&[u8]> =
            ends.iter().map(|&end| &bytes[std::mem::replace(&mut start, end)..end]).collect();
        for (keys, counts) in keys.chunks(PAIRS_MAX).zip(counts.chunks(PAIRS_MAX)) {
            self.join(keys, counts, cx)?;
        }
        Ok(())
    }

    /// Joins waiting rows, given by their keys in `pending`.
    fn join(&mut self, keys: &[&[u8]], counts: &[i64], cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let waiting = keys.iter().map(|key| {
            let (_, key) = key.split_at_checked(NUMBER_BYTES).unwrap_or_default();
            self.left.after_key(key)
        });
        let waiting = waiting.collect::<Result<Vec<_>, _>>()?;
        let rows = self.left.rows(waiting.into_iter(), cx.limit_bytes)?;
        let mut join_keys = KeyBatch::default();
        self.left.key.encode(&rows, &mut join_keys);
        let mut partners = Vec::new();
        let versions = cx.state.ordered(self.versions);
        for (i, row) in rows.rows().enumerate() {
            let key = join_keys.key(i);
            let group = key_group(join_keys.hash(i));
            let time = row.i64(self.left_time);
            if let Some(version) = version_at(versions, group, key, time)?
                && version.word(self.deleted) == 0
            {
                partners.push(i);
                self.pairs.push(row, version);
            }
        }
        let (pairs, passed) = self.pairs.take(cx);
        let mut matched = vec![false; rows.len()];
        for place in passed {
            let i = partners[place];
            matched[i] = true;
            self.pairs.emit(pairs.row(place), counts[i], cx.emit);
        }
        self.pairs.recycle(pairs);
        if self.kind == JoinKind::Left {
            for (i, row) in rows.rows().enumerate().filter(|(i, _)| !matched[*i]) {
                self.pairs.emit_alone(0, row, counts[i], cx.emit);
            }
        }
        Ok(())
    }

    /// Drops versions that no row from `mark` on can need.
    fn thin_out(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let table = cx.state.ordered(self.versions);
        let mut crowded = std::mem::take(&mut self.crowded);
        let mut failed = None;
        crowded.retain(|key, group| {
            thin_out(table, *group, key, mark, self.deleted).unwrap_or_else(|error| {
                failed = Some(error);
                true
            })
        });
        self.crowded = crowded;
        failed.map_or(Ok(()), Err)
    }
}

/// The newest version of a key that is not newer than `time`.
fn version_at<'t>(
    table: &'t mut OrderedTable,
    group: u8,
    key: &[u8],
    time: i64,
) -> Result<Option<RowRef<'t>>, OpError> {
    let mut last = key.to_vec();
    push_i64(time, &mut last);
    Ok(table.last(group, Included(key), Included(&last))?.map(|entry| entry.row))
}

/// Drops the versions of a key before the newest that is not newer than `mark`, and that one too if
/// it says that the row is deleted. Returns whether there may be more to drop later.
fn thin_out(
    table: &mut OrderedTable,
    group: u8,
    key: &[u8],
    mark: i64,
    deleted: Column,
) -> Result<bool, OpError> {
    let mut until = key.to_vec();
    push_i64(mark, &mut until);
    let newest = table.last(group, Included(key), Included(&until))?;
    let newest = newest.map(|entry| (entry.key.to_vec(), entry.row.word(deleted) != 0));
    if let Some((newest, deleted)) = newest {
        let to = if deleted { Included(&newest[..]) } else { Excluded(&newest[..]) };
        table.drain(Some(group), Included(key), to, |_| {})?;
    }
    let end = prefix_end(key);
    let to = end.as_deref().map_or(Unbounded, Excluded);
    let rest = table.range(Some(group), Excluded(&until), to)?.next().is_some();
    Ok(rest)
}

impl Operator for TemporalJoinOp {
    fn on_batch(&mut self, port: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        if port == 0 { self.wait(rows, cx) } else { self.learn(rows, cx) }
    }

    fn on_watermark(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        if mark == i64::MIN {
            return Ok(());
        }
        self.release(mark, cx)?;
        self.thin_out(mark, cx)
    }
}
