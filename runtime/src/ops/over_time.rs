//! Over, of append-only rows in the order of their event time: rows wait until the watermark has
//! passed them, and are emitted once. Behind them stay only the rows that later frames hold, and
//! what running frames came to.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use flow_ir::ids::TableId;
use flow_ir::kernel::{OnError, RowError};
use flow_ir::physical::{Over, OverTime, TableKind};
use flow_ir::row::{
    BatchBuilder, Column, KeyBatch, KeyDecoder, KeyEncoder, RowBatch, RowLayout, RowRef, key_group,
    key_hash,
};
use flow_ir::types::{DataType, Type};

use super::aggregation::{push_i64, read_i64};
use super::over::write;
use super::over_calls::{Calls, Gone};
use super::over_frame::Partition;
use super::over_running::Slot;
use super::sorted::SortedRows;
use super::{OpCx, OpError, Operator, Order, Plan, columns_of, data, words_of};
use crate::state::{OrderedTable, SlotId, prefix_end};

/// Key bytes of a time.
const TIME_BYTES: usize = 9;
/// Columns of the carried row before the running frames' states.
const GONE_COLUMNS: usize = 2;

pub(super) struct OverTimeOp {
    keys: KeyEncoder,
    key_decoder: KeyDecoder,
    sorted: SortedRows,
    /// The columns in which rows are equal to the calls.
    peers: Order,
    calls: Calls,
    width: usize,
    time: Column,
    reach: Option<i64>,
    history: TableId,
    pending: TableId,
    carried: TableId,
    timers: TableId,
    key_batch: KeyBatch,
    slots: Vec<SlotId>,
    key: Vec<u8>,
    input: BatchBuilder,
    output: BatchBuilder,
    /// A row of one BIGINT, for timers.
    nothing: RowBatch,
}

/// Rows in order: their bytes and weights.
type Sorted = Vec<(Vec<u8>, i64)>;

impl OverTimeOp {
    pub(super) fn new(op: &Over, time: &OverTime, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        columns_of(&op.order.iter().map(|(column, _)| *column).collect::<Vec<_>>(), &input)?;
        words_of(&[time.time], &input)?;
        let peers = op.order.get(..op.peers).ok_or("more columns are equal than ordered")?;
        let layout = Arc::new(RowLayout::new(input.clone()));
        let calls = Calls::new(&op.calls, &input, peers, Some(GONE_COLUMNS))?;
        let number = Type::not_null(DataType::BigInt);
        let gone = [number.clone(), number.clone()].into_iter();
        let carried: Vec<Type> = gone.chain(calls.state_types()).collect();
        let key_types = op.keys.iter().map(|at| input[*at].clone()).collect();
        let mut nothing = BatchBuilder::new(Arc::new(RowLayout::new(vec![number])));
        nothing.begin();
        nothing.set_i64(0, 0);
        nothing.finish(1);
        let weights = |id: TableId| plan.table(id, TableKind::Ordered, &[DataType::BigInt]);
        Ok(Self {
            keys: KeyEncoder::new(&layout, &op.keys),
            key_decoder: KeyDecoder::new(key_types),
            sorted: SortedRows::new(&input, &op.order),
            peers: Order::new(&layout, &input, peers),
            calls,
            width: input.len(),
            time: layout.column(time.time),
            reach: time.reach,
            history: weights(op.rows)?,
            pending: weights(time.pending)?,
            carried: plan.table(time.carried, TableKind::Point, &data(&carried))?,
            timers: weights(time.timers)?,
            key_batch: KeyBatch::default(),
            slots: Vec::new(),
            key: Vec::new(),
            input: BatchBuilder::new(layout),
            output: BatchBuilder::new(Arc::new(RowLayout::new(plan.output()))),
            nothing: nothing.take(),
        })
    }

    /// The waiting rows older than `mark`, by partition.
    fn passed(
        &mut self,
        mark: i64,
        cx: &mut OpCx<'_>,
    ) -> Result<BTreeMap<Vec<u8>, Sorted>, OpError> {
        let mut end = Vec::new();
        push_i64(mark, &mut end);
        let to = if mark == i64::MAX { Bound::Unbounded } else { Bound::Excluded(&end[..]) };
        let table = cx.state.ordered(self.pending);
        let column = table.layout().column(0);
        let mut found: BTreeMap<Vec<u8>, Sorted> = BTreeMap::new();
        let (mut broken, mut kept) = (false, 0);
        let decoder = &self.key_decoder;
        table.drain(None, Bound::Unbounded, to, |entry| {
            let rest = entry.key.get(TIME_BYTES..).unwrap_or_default();
            let Some(length) = decoder.prefix_len(rest) else {
                broken = true;
                return;
            };
            let (key, row) = rest.split_at(length);
            kept += row.len();
            let weight = entry.row.i64(column);
            match found.get_mut(key) {
                Some(rows) => rows.push((row.to_vec(), weight)),
                None => drop(found.insert(key.to_vec(), vec![(row.to_vec(), weight)])),
            }
        })?;
        if broken {
            return Err(OpError::Internal("a waiting row has no key"));
        }
        cx.refuse_too_much(kept)?;
        Ok(found)
    }

    /// Emits a partition's rows that passed, and keeps what later rows need.
    fn release(&mut self, key: &[u8], passed: Sorted, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let group = key_group(key_hash(key));
        let mut rows = self.history(group, key, cx)?;
        let (kept, mut from) = (rows.len(), 0);
        rows.extend(passed);
        let mut places = Vec::new();
        for (place, (row, weight)) in (0u32..).zip(&rows) {
            self.input.begin();
            self.sorted.read(row, &mut self.input)?;
            self.input.finish(1);
            let times = usize::try_from(*weight).unwrap_or(0);
            cx.refuse_too_much(places.len().saturating_add(times).saturating_mul(16))?;
            places.extend(std::iter::repeat_n(place, times));
            from = if (place as usize) < kept { places.len() } else { from };
        }
        let batch = self.input.take();
        let partition = Partition::new(&batch, places, &self.peers);
        self.emit(key, &partition, from, cx)?;
        let first = self.calls.first_needed(&partition);
        let needed = if first < partition.len() { partition.place(first) } else { rows.len() };
        let time = batch.rows().last().map(|row| row.i64(self.time));
        self.keep(group, key, &rows, kept, needed, cx)?;
        if let Some(time) = time.filter(|_| needed < rows.len() && self.reach.is_some()) {
            self.key.clear();
            push_i64(time, &mut self.key);
            self.key.extend_from_slice(key);
            cx.state.ordered(self.timers).put(group, &self.key, self.nothing.row(0))?;
        }
        self.input.recycle(batch);
        Ok(())
    }

    /// The rows of a partition that went by and are still needed.
    fn history(&self, group: u8, key: &[u8], cx: &mut OpCx<'_>) -> Result<Sorted, OpError> {
        let table: &mut OrderedTable = cx.state.ordered(self.history);
        let column = table.layout().column(0);
        let entries = table.scan(Some(group), key)?;
        Ok(entries.map(|e| (e.key[key.len()..].to_vec(), e.row.i64(column))).collect())
    }

    /// Of these rows, the first `kept` of which are in the table, keeps those from `needed` on.
    fn keep(
        &mut self,
        group: u8,
        key: &[u8],
        rows: &Sorted,
        kept: usize,
        needed: usize,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let table = cx.state.ordered(self.history);
        for (at, (row, weight)) in rows.iter().enumerate() {
            let weight = match (at < kept, at < needed) {
                (true, true) => -weight,
                (false, false) => *weight,
                (true, false) | (false, true) => continue,
            };
            self.key.clear();
            self.key.extend_from_slice(key);
            self.key.extend_from_slice(row);
            table.add_weight(group, &self.key, weight)?;
        }
        Ok(())
    }

    /// Emits the rows of a partition from `from` on.
    fn emit(
        &mut self,
        key: &[u8],
        partition: &Partition<'_>,
        from: usize,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (mut gone, mut carried) = (Gone::default(), None);
        if self.calls.is_carrying() {
            self.key_batch.clear();
            self.key_batch.push(key);
            let table = cx.state.point(self.carried);
            table.upsert(&self.key_batch, &mut self.slots)?;
            let slot = self.slots[0];
            let fresh = table.is_new(slot);
            let mut row = table.value(slot);
            if !fresh {
                gone = Gone { rows: row.word(0) as i64, groups: row.word(1) as i64 };
            }
            let more = partition.len() - from;
            let groups = if more == 0 { 0 } else { partition.groups() - partition.group(from) };
            row.set_word(0, (gone.rows + more as i64) as u64);
            row.set_word(1, (gone.groups + groups as i64) as u64);
            carried = Some(Slot { table, slot });
        }
        let values = self.calls.evaluate(partition, from..partition.len(), gone, carried)?;
        for i in from..partition.len() {
            let place = i - from;
            if values.has_failures()
                && let Some(code) = values.failures(place).next()
            {
                let error = RowError { row: 0, site: None, code, detail: None };
                cx.reports.fail(self.input.layout(), partition.row(i), 1, error);
                if cx.kernel.on_error != OnError::KeepNull {
                    continue;
                }
            }
            write(&mut self.output, partition, i, &values, place, self.width);
        }
        let out = self.output.take();
        cx.emit.push_batch(&out);
        self.output.recycle(out);
        cx.refuse_too_much(0)
    }

    /// Drops the rows of partitions of which no frame from `mark` on can hold any.
    fn expire(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let Some(reach) = self.reach else { return Ok(()) };
        let mut end = Vec::new();
        push_i64(mark.saturating_sub(reach), &mut end);
        let to = if mark == i64::MAX { Bound::Unbounded } else { Bound::Excluded(&end[..]) };
        let mut due = Vec::new();
        cx.state.ordered(self.timers).drain(None, Bound::Unbounded, to, |entry| {
            due.push((entry.group, entry.key.to_vec()));
        })?;
        for (group, timer) in due {
            let time = read_i64(&timer).ok_or(OpError::Internal("a timer has no time"))?;
            let key = &timer[TIME_BYTES..];
            let rows = self.history(group, key, cx)?;
            if let Some((row, _)) = rows.last() {
                self.input.begin();
                self.sorted.read(row, &mut self.input)?;
                self.input.finish(1);
            }
            let last = self.input.take();
            // A later row has a timer of its own.
            if last.rows().all(|row: RowRef<'_>| row.i64(self.time) <= time) {
                let (from, end) = (Bound::Included(key), prefix_end(key));
                let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                cx.state.ordered(self.history).drain(Some(group), from, to, |_| {})?;
            }
        }
        Ok(())
    }
}

impl Operator for OverTimeOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut keys = std::mem::take(&mut self.key_batch);
        self.keys.encode(rows, &mut keys);
        for (i, row) in rows.rows().enumerate() {
            self.key.clear();
            push_i64(row.i64(self.time), &mut self.key);
            self.key.extend_from_slice(keys.key(i));
            self.sorted.append(row, &mut self.key);
            let group = key_group(keys.hash(i));
            cx.state.ordered(self.pending).add_weight(group, &self.key, rows.weight(i))?;
        }
        self.key_batch = keys;
        Ok(())
    }

    fn on_watermark(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        if mark == i64::MIN {
            return Ok(());
        }
        for (key, rows) in self.passed(mark, cx)? {
            self.release(&key, rows, cx)?;
        }
        self.expire(mark, cx)
    }
}
