//! Aggregates over rows in memory: for operators that keep rows themselves, such as OVER, and for
//! tests. Rows may be taken back if the calls say so (`retracts`).

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout, RowRef, ValueMut, VarHeap};

use super::values::{ValueReader, ValueWriter};
use super::{Aggregate, Multiset, instantiate, multiset};

/// The running results of some calls.
#[derive(Debug)]
pub struct Evaluator {
    calls: Vec<Running>,
    /// Accumulators of all calls.
    layout: Arc<RowLayout>,
    words: Vec<u64>,
    heap: VarHeap,
    /// Makes a row of the accumulators.
    row: BatchBuilder,
    key: Vec<u8>,
}

/// One call.
#[derive(Debug)]
struct Running {
    aggregate: Aggregate,
    /// Its first accumulator, and where its accumulators lie in a row of them.
    first: usize,
    columns: Vec<Column>,
    /// Arguments, then the order, in the input.
    args: Vec<Column>,
    filter: Option<Column>,
    multiset: Option<Values>,
}

/// The values of a call.
#[derive(Debug)]
struct Values {
    kind: Multiset,
    writer: ValueWriter,
    reader: ValueReader,
    weights: BTreeMap<Vec<u8>, i64>,
    row: BatchBuilder,
    /// Whether the accumulators do not say yet what the values come to.
    moved: bool,
}

impl Evaluator {
    /// For rows of this layout, to which the columns of the calls refer.
    ///
    /// # Errors
    /// If a call is none that `instantiate` knows.
    pub fn new(calls: &[AggregateCall], input: &RowLayout) -> Result<Self, String> {
        let mut types = Vec::new();
        let mut running = Vec::with_capacity(calls.len());
        for call in calls {
            let aggregate = instantiate(call)?;
            if call.columns().any(|column| column >= input.len()) {
                return Err("a column number is out of range".into());
            }
            let first = types.len();
            types.extend(aggregate.state_types());
            let order = call.order.iter().map(|by| by.column);
            let args = call.args.iter().copied().chain(order);
            let multiset = multiset(call).map(|kind| Values {
                kind,
                writer: ValueWriter::new(call, input),
                reader: ValueReader::new(call),
                weights: BTreeMap::new(),
                row: BatchBuilder::new(Arc::new(RowLayout::new(call.arg_types.clone()))),
                moved: false,
            });
            running.push(Running {
                aggregate,
                first,
                columns: Vec::new(),
                args: args.map(|i| input.column(i)).collect(),
                filter: call.filter.map(|i| input.column(i)),
                multiset,
            });
        }
        let layout = Arc::new(RowLayout::new(types));
        for call in &mut running {
            let width = call.aggregate.state_types().len();
            call.columns = layout.columns()[call.first..call.first + width].to_vec();
        }
        let mut evaluator = Self {
            calls: running,
            words: vec![0; layout.fixed_words()],
            heap: VarHeap::default(),
            row: BatchBuilder::new(layout.clone()),
            layout,
            key: Vec::new(),
        };
        evaluator.clear();
        Ok(evaluator)
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        ValueMut::new(&self.layout, &mut self.words, &mut self.heap).clear();
        for values in self.calls.iter_mut().filter_map(|call| call.multiset.as_mut()) {
            values.weights.clear();
            values.moved = true;
        }
    }

    /// Adds a row `weight` times; a negative weight takes it back.
    ///
    /// # Errors
    /// Never for rows of the input's layout.
    pub fn add(&mut self, row: RowRef<'_>, weight: i64) -> Result<(), ErrorCode> {
        let mut acc = ValueMut::new(&self.layout, &mut self.words, &mut self.heap);
        for call in &mut self.calls {
            let passes = |filter| !row.is_null(filter) && row.word(filter) != 0;
            if !call.filter.is_none_or(passes) {
                continue;
            }
            let Some(values) = &mut call.multiset else {
                call.aggregate.add_value(&mut acc, call.first, row, &call.args, weight);
                continue;
            };
            if !values.writer.counts(row) {
                continue;
            }
            self.key.clear();
            values.writer.append(row, &mut self.key);
            let appeared = values.add(&self.key, weight);
            if values.kind == Multiset::Distinct && appeared != 0 {
                let value = values.read([(self.key.as_slice(), 1)].into_iter())?;
                let columns = value.layout().columns();
                call.aggregate.add_value(&mut acc, call.first, value.row(0), columns, appeared);
            }
        }
        Ok(())
    }

    /// Sets columns of the open row to the results, the first into column `first`. A result out of
    /// range is NULL and pushed to `errors`.
    ///
    /// # Errors
    /// Never for rows of the input's layout.
    pub fn finish(
        &mut self,
        out: &mut BatchBuilder,
        first: usize,
        errors: &mut Vec<ErrorCode>,
    ) -> Result<(), ErrorCode> {
        let mut acc = ValueMut::new(&self.layout, &mut self.words, &mut self.heap);
        for call in &mut self.calls {
            let Some(values) = call.multiset.as_mut().filter(|values| values.moved) else {
                continue;
            };
            values.moved = false;
            let all = values.of_kind()?;
            if let Some(all) = all {
                call.aggregate.set(&mut acc, call.first, &all);
                values.row.recycle(all);
            }
        }
        self.row.begin();
        acc.write(&mut self.row, 0);
        self.row.finish(1);
        let accumulators = self.row.take();
        for (i, call) in self.calls.iter().enumerate() {
            let row = accumulators.row(0);
            let finished = call.aggregate.finish(row, &call.columns, out, first + i);
            errors.extend(finished.err());
        }
        self.row.recycle(accumulators);
        Ok(())
    }
}

impl Values {
    /// Adds a value; +1 if it appeared, −1 if it is no longer there.
    fn add(&mut self, key: &[u8], weight: i64) -> i64 {
        self.moved = true;
        let old = self.weights.get(key).copied().unwrap_or(0);
        let new = old.wrapping_add(weight);
        if new == 0 {
            self.weights.remove(key);
        } else {
            self.weights.insert(key.to_vec(), new);
        }
        i64::from(new > 0) - i64::from(old > 0)
    }

    /// The values from which the accumulators are set; `None` where they are kept value by value.
    fn of_kind(&mut self) -> Result<Option<RowBatch>, ErrorCode> {
        let weights = std::mem::take(&mut self.weights);
        let entry = |(key, weight): (_, &i64)| (Vec::as_slice(key), *weight);
        let all = match self.kind {
            Multiset::Distinct => Ok(None),
            Multiset::First => {
                self.read(weights.first_key_value().into_iter().map(entry)).map(Some)
            }
            Multiset::Last => self.read(weights.last_key_value().into_iter().map(entry)).map(Some),
            Multiset::Whole => self.read(weights.iter().map(entry)).map(Some),
        };
        self.weights = weights;
        all
    }

    fn read<'k>(
        &mut self,
        entries: impl Iterator<Item = (&'k [u8], i64)>,
    ) -> Result<RowBatch, ErrorCode> {
        for (key, weight) in entries {
            self.row.begin();
            if !self.reader.read(key, &mut self.row) {
                self.row.abandon();
                return Err(ErrorCode::Corrupt);
            }
            self.row.finish(weight);
        }
        Ok(self.row.take())
    }
}
