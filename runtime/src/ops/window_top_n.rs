//! TopN over windows: the rows of each partition of a window whose numbers lie in a range, once the
//! window closes. At the end of each epoch the rows go that cannot be among the first, so that no
//! partition keeps more than these.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use flow_ir::ids::TableId;
use flow_ir::physical::{TableKind, TopN};
use flow_ir::row::{Column, KeyBatch, KeyDecoder, KeyEncoder, RowBatch, RowLayout, key_group};
use flow_ir::types::DataType;

use super::aggregation::{NUMBER_BYTES, push_i64};
use super::first_rows::{Arena, Numbers, Placed};
use super::sorted::SortedRows;
use super::{
    OpCx, OpError, Operator, Plan, behind_windows, columns_of, time_of, whole_millis, words_of,
};
use crate::state::prefix_end;

pub(super) struct WindowTopNOp {
    keys: KeyEncoder,
    key_decoder: KeyDecoder,
    sorted: SortedRows,
    numbers: Numbers,
    /// Whether the number is a column, and where.
    rank: Option<usize>,
    end: Column,
    by_clock: bool,
    /// Whether the windows' bounds lie on milliseconds.
    whole_millis: bool,
    rows: TableId,
    /// The partitions that got rows in this epoch: group, window's end and key.
    touched: BTreeSet<(u8, Vec<u8>)>,
    key_batch: KeyBatch,
    key: Vec<u8>,
    /// Rows that were read.
    arena: Arena,
}

impl WindowTopNOp {
    pub(super) fn new(op: &TopN, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        let window = op.window.ok_or("it has no window")?;
        columns_of(&op.keys, &input)?;
        columns_of(&op.order.iter().map(|(column, _)| *column).collect::<Vec<_>>(), &input)?;
        words_of(&[window.end], &input)?;
        let limit = op.limit.ok_or("it has no limit")?;
        let layout = RowLayout::new(input.clone());
        Ok(Self {
            keys: KeyEncoder::new(&layout, &op.keys),
            key_decoder: KeyDecoder::new(op.keys.iter().map(|key| input[*key].clone()).collect()),
            sorted: SortedRows::new(&input, &op.order),
            numbers: Numbers::new(op.numbering, op.offset, Some(limit)),
            rank: op.rank.then_some(input.len()),
            end: layout.column(window.end),
            by_clock: window.by_clock,
            whole_millis: whole_millis(&input[window.end]),
            rows: plan.table(op.rows, TableKind::Ordered, &[DataType::BigInt])?,
            touched: BTreeSet::new(),
            key_batch: KeyBatch::default(),
            key: Vec::new(),
            arena: Arena::default(),
        })
    }

    /// Drops the rows behind the first ones of each partition that was touched.
    fn trim(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let table = cx.state.ordered(self.rows);
        for (group, prefix) in std::mem::take(&mut self.touched) {
            self.arena.clear();
            let first = self.numbers.read(table, group, &prefix, &mut self.arena)?;
            let last = first.last().map_or(&[][..], |row| self.arena.row(*row));
            let from = [&prefix[..], last].concat();
            let to = prefix_end(&prefix);
            let to = to.as_deref().map_or(Unbounded, Excluded);
            table.drain(Some(group), Excluded(&from), to, |_| {})?;
        }
        Ok(())
    }

    /// Gives the rows of all windows that are over.
    fn close(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut until = Vec::new();
        push_i64(mark, &mut until);
        let to = prefix_end(&until);
        let to = to.as_deref().map_or(Unbounded, Excluded);
        let Self { arena, key_decoder, .. } = self;
        arena.clear();
        let table = cx.state.ordered(self.rows);
        let weight = table.layout().column(0);
        let (mut entries, mut unreadable) = (Vec::new(), false);
        table.drain(None, Unbounded, to, |entry| {
            let length = entry.key.get(NUMBER_BYTES..);
            let length = length.and_then(|key| key_decoder.prefix_len(key));
            unreadable |= length.is_none();
            let partition = length.map_or(0, |length| NUMBER_BYTES + length);
            let row = arena.push_key(entry.key, partition, entry.row.i64(weight));
            entries.push((partition, row));
        })?;
        if unreadable {
            return Err(OpError::Internal("a partition cannot be read back"));
        }
        let partition = |&(length, row): &(usize, Placed)| &self.arena.key(row, length)[..length];
        for rows in entries.chunk_by(|a, b| partition(a) == partition(b)) {
            let rows: Vec<Placed> = rows.iter().map(|(_, row)| *row).collect();
            self.show(&rows, cx)?;
        }
        Ok(())
    }

    /// Gives the rows of a partition that stay.
    fn show(&self, rows: &[Placed], cx: &mut OpCx<'_>) -> Result<(), OpError> {
        for shown in self.numbers.shown(rows, self.rank.is_some(), &self.arena)? {
            // The input is append-only, and so is the output: so often is the row there.
            for _ in 0..shown.row.weight {
                cx.refuse_too_much(0)?;
                cx.emit.begin();
                self.sorted.read(self.arena.row(shown.row), cx.emit)?;
                if let Some(column) = self.rank {
                    cx.emit.set_i64(column, i64::try_from(shown.number).unwrap_or(i64::MAX));
                }
                cx.emit.finish(1);
            }
        }
        cx.refuse_too_much(0)
    }
}

impl Operator for WindowTopNOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.keys.encode(rows, &mut self.key_batch);
        for (i, row) in rows.rows().enumerate() {
            if row.is_null(self.end) {
                return Err(OpError::Internal(
                    "a row without a window came to a window's top rows",
                ));
            }
            let group = key_group(self.key_batch.hash(i));
            self.key.clear();
            push_i64(row.i64(self.end), &mut self.key);
            self.key.extend_from_slice(self.key_batch.key(i));
            self.touched.insert((group, self.key.clone()));
            self.sorted.append(row, &mut self.key);
            cx.state.ordered(self.rows).add_weight(group, &self.key, rows.weight(i))?;
        }
        Ok(())
    }

    fn on_watermark(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mark = time_of(self.by_clock, mark, cx);
        if mark > i64::MIN {
            self.close(mark, cx)?;
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.trim(cx)
    }

    fn watermark_out(&self, mark: i64) -> i64 {
        behind_windows(mark, self.whole_millis)
    }
}
