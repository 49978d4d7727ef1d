//! Reading views at one epoch.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flow_ir::physical::KeyRange;
use flow_ir::row::{BatchBuilder, KeyDecoder, RowBatch, RowLayout, RowRef};
use flow_ir::types::{DataType, Type};

use super::order::{Span, span};
use super::{At, Order, ViewError, ViewSpec};
use crate::state::{DiskSnapshot, StateError, row_words};

/// Rows that are handed on at once.
const BATCH_ROWS: usize = 1_024;

/// The views of a job after one epoch.
pub struct Snapshot<'a> {
    pub(super) views: &'a [ViewSpec],
    /// Table numbers by `TableId`.
    pub(super) numbers: &'a [u32],
    pub(super) at: Arc<At>,
    pub(super) disk: DiskSnapshot<'a>,
    pub(super) closing: &'a AtomicBool,
}

impl Snapshot<'_> {
    /// The epoch.
    pub fn at(&self) -> &Arc<At> {
        &self.at
    }

    /// Calls `each` with the rows of a view, with their weights, in batches, until it breaks: the
    /// rows of any of the ranges, each row once; without ranges all rows.
    ///
    /// # Errors
    /// If the store cannot be read, or closes meanwhile.
    ///
    /// # Panics
    /// If the job has no view of this number.
    pub fn scan(
        &self,
        view: usize,
        ranges: &[KeyRange],
        mut each: impl FnMut(RowBatch) -> ControlFlow<()>,
    ) -> Result<(), ViewError> {
        let view = &self.views[view];
        let (place, spans) = spans(view, ranges);
        let Some(order) = view.orders.get(place) else { return Ok(()) };
        let mut reader = RowReader::new(view, order);
        let mut seen = (spans.len() > 1).then(BTreeSet::<Vec<u8>>::new);
        for span in &spans {
            let flow = self.entries(reader.order, span, |key, value| {
                if seen.as_mut().is_some_and(|seen| !seen.insert(key.to_vec())) {
                    return Ok(ControlFlow::Continue(()));
                }
                reader.push(key, value).ok_or_else(|| {
                    self.disk.corrupt(format!("a row of view {} cannot be read", view.name))
                })?;
                match reader.rows.len() < BATCH_ROWS {
                    true => Ok(ControlFlow::Continue(())),
                    false if self.closing.load(Ordering::Relaxed) => Ok(ControlFlow::Break(())),
                    false => Ok(each(reader.rows.take())),
                }
            })?;
            if flow.is_break() {
                let closed = self.closing.load(Ordering::Relaxed);
                return if closed { Err(ViewError::NotReady) } else { Ok(()) };
            }
        }
        if !reader.rows.is_empty() {
            let _ = each(reader.rows.take());
        }
        Ok(())
    }

    /// Calls `each` with keys and values of a span, until it breaks.
    fn entries(
        &self,
        order: &Order,
        span: &Span,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<ControlFlow<()>, StateError> {
        let table = self.numbers[order.table.index()];
        if *span == Span::WHOLE {
            return self.disk.table(table, &mut each);
        }
        let groups = span.group.map_or(0..=u8::MAX, |group| group..=group);
        for group in groups {
            let to = span.to.as_deref();
            if self.disk.range(table, group, &span.from, to, &mut each)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The order to read, and where in it. Ranges that do not fit one order of the view are no reason
/// to leave rows out: then everything is read.
fn spans(view: &ViewSpec, ranges: &[KeyRange]) -> (usize, Vec<Span>) {
    let all: Option<Vec<(usize, Span)>> = ranges.iter().map(|range| span(view, range)).collect();
    let all = all.unwrap_or_default();
    match all.first() {
        Some(&(place, _)) if all.iter().all(|(p, _)| *p == place) => {
            (place, all.into_iter().map(|(_, span)| span).collect())
        }
        Some(_) | None => (0, vec![Span::WHOLE]),
    }
}

/// Makes a view's rows from the entries of an order.
struct RowReader<'a> {
    order: &'a Order,
    counted: Option<Counted>,
    rows: BatchBuilder,
}

/// Rows are in the keys, and their number in the value.
struct Counted {
    decoder: KeyDecoder,
    row: BatchBuilder,
    weight: RowLayout,
}

impl<'a> RowReader<'a> {
    fn new(view: &ViewSpec, order: &'a Order) -> Self {
        let types = || -> Vec<Type> {
            order.keys.iter().map(|&key| view.columns[key].ty.clone()).collect()
        };
        let counted = order.counted.then(|| Counted {
            decoder: KeyDecoder::new(types()),
            row: BatchBuilder::new(Arc::new(RowLayout::new(types()))),
            weight: RowLayout::new(vec![Type::not_null(DataType::BigInt)]),
        });
        Self { order, counted, rows: BatchBuilder::new(view.layout.clone()) }
    }

    /// Adds the row of an entry; `None` if the bytes are no entry of the order.
    fn push(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let Some(counted) = &mut self.counted else {
            let words = row_words(value, self.rows.layout())?;
            self.rows.push_row(RowRef::new(&words), 1);
            return Some(());
        };
        let weight = row_words(value, &counted.weight)?;
        let weight = RowRef::new(&weight).i64(counted.weight.column(0));
        counted.row.begin();
        if !counted.decoder.decode(key, &mut counted.row, 0) {
            counted.row.abandon();
            return None;
        }
        counted.row.finish(1);
        let decoded = counted.row.take();
        self.rows.begin();
        for (position, &column) in self.order.keys.iter().enumerate() {
            self.rows.copy_column(column, decoded.row(0), decoded.layout().column(position));
        }
        self.rows.finish(weight);
        counted.row.recycle(decoded);
        Some(())
    }
}
