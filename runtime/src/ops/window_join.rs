//! WindowJoin: pairs of rows in equal windows, once the window closes. Both sides' rows are kept in
//! the order of window and key, so that a window that closes is read from both sides side by side;
//! nothing is kept of it then.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::Range;

use flow_ir::ids::TableId;
use flow_ir::physical::{JoinKind, TableKind, WindowJoin};
use flow_ir::row::{Column, KeyEncoder, RowBatch, key_group};
use flow_ir::types::DataType;

use super::aggregation::{NUMBER_BYTES, push_i64, read_i64};
use super::join::PAIRS_MAX;
use super::pairs::{Keys, Pairs, Side, check_keys, product, strict};
use super::{OpCx, OpError, Operator, Plan, behind_windows, time_of, whole_millis, words_of};
use crate::state::prefix_end;

/// Rows of both sides that are read back at once, whole keys apart.
const ROWS_AT_ONCE: usize = 4_096;

pub(super) struct WindowJoinOp {
    kind: JoinKind,
    /// The key columns in which NULL equals nothing.
    strict: [KeyEncoder; 2],
    by_clock: bool,
    sides: [Side; 2],
    ends: [Column; 2],
    /// Whether the windows' bounds lie on milliseconds.
    whole_millis: bool,
    tables: [TableId; 2],
    pairs: Pairs,
    /// Of each pair, the positions of its rows among those read back.
    origins: Vec<[usize; 2]>,
    key: Vec<u8>,
}

/// Rows of one side of a window that closes: join key and row as key bytes.
#[derive(Default)]
struct Closing {
    keys: Keys,
    weights: Vec<i64>,
}

/// The rows of both sides that have one key.
type Run = [Range<usize>; 2];

impl WindowJoinOp {
    pub(super) fn new(op: &WindowJoin, plan: &Plan<'_>) -> Result<Self, String> {
        let (left, right) = (plan.input(0)?, plan.input(1)?);
        check_keys(&left, &op.left_keys, &right, &op.right_keys)?;
        words_of(&[op.left_end], &left)?;
        words_of(&[op.right_end], &right)?;
        let millis = whole_millis(&left[op.left_end]) && whole_millis(&right[op.right_end]);
        let table = |id| plan.table(id, TableKind::Ordered, &[DataType::BigInt]);
        let sides = [Side::new(left, &op.left_keys)?, Side::new(right, &op.right_keys)?];
        Ok(Self {
            kind: op.kind,
            strict: [
                strict(&sides[0], &op.left_keys, &op.nulls_equal),
                strict(&sides[1], &op.right_keys, &op.nulls_equal),
            ],
            by_clock: op.by_clock,
            whole_millis: millis,
            ends: [sides[0].layout.column(op.left_end), sides[1].layout.column(op.right_end)],
            sides,
            tables: [table(op.left)?, table(op.right)?],
            pairs: Pairs::new(plan, op.condition.as_ref(), op.kind)?,
            origins: Vec::new(),
            key: Vec::new(),
        })
    }

    /// The end of the first window of which there are rows, if it is over.
    fn first_end(&self, mark: i64, cx: &mut OpCx<'_>) -> Result<Option<i64>, OpError> {
        let mut until = Vec::new();
        push_i64(mark, &mut until);
        let to = prefix_end(&until);
        let to = to.as_deref().map_or(Unbounded, Excluded);
        let mut first: Option<i64> = None;
        for table in self.tables {
            let mut entries = cx.state.ordered(table).range(None, Unbounded, to)?;
            if let Some(entry) = entries.next() {
                let end = read_i64(entry.key).ok_or(OpError::Internal(UNREADABLE))?;
                first = Some(first.map_or(end, |first| first.min(end)));
            }
        }
        Ok(first)
    }

    /// Gives the pairs of a window and its rows without partners, and drops them.
    fn close(&mut self, end: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut prefix = Vec::new();
        push_i64(end, &mut prefix);
        let to = prefix_end(&prefix);
        let to = to.as_deref().map_or(Unbounded, Excluded);
        let mut closing = [Closing::default(), Closing::default()];
        for (table, closing) in self.tables.into_iter().zip(&mut closing) {
            let table = cx.state.ordered(table);
            let weight = table.layout().column(0);
            table.drain(None, Included(&prefix), to, |entry| {
                closing.keys.push(&entry.key[NUMBER_BYTES..]);
                closing.weights.push(entry.row.i64(weight));
            })?;
        }
        let (mut runs, mut rows) = (Vec::new(), 0);
        let mut at = [0, 0];
        while let Some(run) = self.next_run(&closing, at)? {
            at = [run[0].end, run[1].end];
            rows += run[0].len() + run[1].len();
            runs.push(run);
            if rows >= ROWS_AT_ONCE {
                self.join(&closing, &runs, cx)?;
                (rows, runs) = (0, Vec::new());
            }
        }
        self.join(&closing, &runs, cx)
    }

    /// The rows of the first key from these positions on; `None` at the end of both sides.
    fn next_run(&self, closing: &[Closing; 2], at: [usize; 2]) -> Result<Option<Run>, OpError> {
        let key = |side: usize, i: usize| -> Result<Option<&[u8]>, OpError> {
            let Closing { keys, weights } = &closing[side];
            if i == weights.len() {
                return Ok(None);
            }
            let bytes = keys.get(i);
            let row = self.sides[side].after_key(bytes)?;
            Ok(Some(&bytes[..bytes.len() - row.len()]))
        };
        let first = match (key(0, at[0])?, key(1, at[1])?) {
            (Some(left), Some(right)) => left.min(right),
            (Some(key), None) | (None, Some(key)) => key,
            (None, None) => return Ok(None),
        };
        let mut run = at.map(|at| at..at);
        for (side, run) in run.iter_mut().enumerate() {
            while key(side, run.end)? == Some(first) {
                run.end += 1;
            }
        }
        Ok(Some(run))
    }

    /// Joins the rows of these keys, which follow each other.
    fn join(
        &mut self,
        closing: &[Closing; 2],
        runs: &[Run],
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(()) };
        let mut read = Vec::with_capacity(2);
        for side in 0..2 {
            let Closing { keys, .. } = &closing[side];
            let mut bytes = Vec::with_capacity(last[side].end - first[side].start);
            for i in first[side].start..last[side].end {
                bytes.push(self.sides[side].after_key(keys.get(i))?);
            }
            read.push(self.sides[side].rows(bytes.into_iter(), cx.limit_bytes)?);
        }
        let begin = [first[0].start, first[1].start];
        let mut matched = [vec![false; read[0].len()], vec![false; read[1].len()]];
        for [left, right] in runs {
            for l in left.start - begin[0]..left.end - begin[0] {
                let row = read[0].row(l);
                if self.strict[0].has_null(row) {
                    break;
                }
                for r in right.start - begin[1]..right.end - begin[1] {
                    self.pairs.push(row, read[1].row(r));
                    self.origins.push([l, r]);
                    if self.origins.len() >= PAIRS_MAX {
                        self.look(closing, begin, &mut matched, cx)?;
                    }
                }
            }
        }
        self.look(closing, begin, &mut matched, cx)?;
        for (side, rows) in read.into_iter().enumerate() {
            let wanted = match self.kind {
                JoinKind::Semi => (side == 0).then_some(true),
                JoinKind::Inner | JoinKind::Left | JoinKind::Full | JoinKind::Anti => {
                    self.kind.keeps_lonely(side).then_some(false)
                }
            };
            for (i, row) in
                rows.rows().enumerate().filter(|(i, _)| wanted == Some(matched[side][*i]))
            {
                let weight = closing[side].weights[begin[side] + i];
                self.pairs.emit_alone(side, row, weight, cx.emit);
            }
            self.sides[side].recycle(rows);
        }
        cx.refuse_too_much(0)
    }

    /// Looks at the pairs collected: emits those that pass, and notes who is matched.
    fn look(
        &mut self,
        closing: &[Closing; 2],
        begin: [usize; 2],
        matched: &mut [Vec<bool>; 2],
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (pairs, passed) = self.pairs.take(cx);
        for place in passed {
            let [l, r] = self.origins[place];
            (matched[0][l], matched[1][r]) = (true, true);
            if self.kind.has_pairs() {
                let weights = [closing[0].weights[begin[0] + l], closing[1].weights[begin[1] + r]];
                self.pairs.emit(pairs.row(place), product(weights[0], weights[1])?, cx.emit);
            }
        }
        self.pairs.recycle(pairs);
        self.origins.clear();
        cx.refuse_too_much(0)
    }
}

const UNREADABLE: &str = "the key of a window cannot be read back";

impl Operator for WindowJoinOp {
    fn on_batch(&mut self, port: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let side = &mut self.sides[port];
        let mut keys = std::mem::take(&mut side.keys);
        side.key.encode(rows, &mut keys);
        let keeps_all = self.kind.keeps_lonely(port);
        for (i, row) in rows.rows().enumerate() {
            if row.is_null(self.ends[port]) {
                return Err(OpError::Internal("a row without a window came to a window join"));
            }
            if self.strict[port].has_null(row) && !keeps_all {
                continue;
            }
            self.key.clear();
            push_i64(row.i64(self.ends[port]), &mut self.key);
            self.key.extend_from_slice(keys.key(i));
            side.append_row(row, &mut self.key);
            let table = cx.state.ordered(self.tables[port]);
            table.add_weight(key_group(keys.hash(i)), &self.key, rows.weight(i))?;
        }
        side.keys = keys;
        Ok(())
    }

    fn on_watermark(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mark = time_of(self.by_clock, mark, cx);
        if mark == i64::MIN {
            return Ok(());
        }
        while let Some(end) = self.first_end(mark, cx)? {
            self.close(end, cx)?;
        }
        Ok(())
    }

    fn watermark_out(&self, mark: i64) -> i64 {
        behind_windows(mark, self.whole_millis)
    }
}
