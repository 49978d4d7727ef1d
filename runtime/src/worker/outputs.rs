//! What a worker's sinks hand over at the end of an epoch: records as bytes, in the order in which
//! they are to be written.

use std::borrow::Cow;
use std::ops::Range;

use flow_ir::ids::{StreamId, VertexId};
use flow_ir::kernel::{Encoder, ErrorBuffer, PayloadArena, RowError};
use flow_ir::physical::{Sink, SinkMode};
use flow_ir::row::{BatchBuilder, KeyBatch, KeyEncoder, RowBatch, RowLayout};
use std::sync::Arc;

use super::record_metadata::{MetadataColumns, RecordMetadata};
use crate::format::Debezium;
use crate::ops::Reports;
use crate::partition::murmur2;

/// A record to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StagedRecord {
    /// Partition, before it is taken modulo the topic's number of partitions.
    pub(crate) partition: u32,
    /// Key in the arena.
    pub(crate) key: Option<Range<usize>>,
    /// Value in the arena; `None` is a tombstone.
    pub(crate) value: Option<Range<usize>>,
}

/// Records of one sink.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Bytes of keys and values.
    pub(crate) arena: Vec<u8>,
    /// The records in order.
    pub(crate) records: Vec<StagedRecord>,
    /// What each record has beside, in the same order; empty where the sink has no such columns.
    pub(crate) metadata: Vec<RecordMetadata>,
    /// Rows as they are, with their weights: the net changes of a view.
    pub(crate) rows: Vec<RowBatch>,
}

impl Staged {
    /// Whether there is no record.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rows.is_empty()
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        start..self.arena.len()
    }

    /// The headers of a record, with those that all records have behind its own.
    pub(crate) fn headers<'a>(&self, at: usize, of_all: &'a [u8]) -> Cow<'a, [u8]> {
        let own = self.metadata.get(at).map(|m| &self.arena[m.headers.clone()]);
        match own.filter(|own| !own.is_empty()) {
            Some(own) => Cow::Owned([own, of_all].concat()),
            None => Cow::Borrowed(of_all),
        }
    }

    /// The bytes of a part of the arena.
    pub(crate) fn bytes(&self, range: &Option<Range<usize>>) -> Option<&[u8]> {
        range.as_ref().map(|r| &self.arena[r.clone()])
    }
}

/// How rows become records.
pub(crate) enum Encoding {
    /// Nothing is kept but the count.
    Discard,
    /// Key and value by their plans.
    Records {
        /// Writes the key; `None`: records have no key.
        key: Option<Box<dyn Encoder>>,
        /// Writes the value.
        value: Box<dyn Encoder>,
    },
    /// Rows stay rows. Those of a view are its net changes already.
    Rows {
        /// Whether what cancels out is to be left out.
        net: bool,
    },
    /// A line for people: `+` or `-` and the row as JSON.
    Lines(Box<dyn Encoder>),
}

/// One sink vertex on one worker.
pub(crate) struct SinkWriter {
    pub(crate) vertex: VertexId,
    pub(crate) stream: StreamId,
    mode: SinkMode,
    encoding: Encoding,
    keys: KeyEncoder,
    keyed: bool,
    metadata: MetadataColumns,
    /// Rows that wait for the epoch's end (all modes but append).
    waiting: BatchBuilder,
    staged: Staged,
    count: u64,
    /// Bytes that may be staged.
    limit: usize,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    keys: PayloadArena,
    values: PayloadArena,
    row_keys: KeyBatch,
    row_key: Vec<u8>,
}

/// A change of one key in an epoch, as positions in the batch of rows that waited.
struct Change {
    before: Option<usize>,
    after: Option<usize>,
    /// How often: rows without a key may be equal.
    times: u64,
}

impl SinkWriter {
    pub(crate) fn new(
        vertex: VertexId,
        sink: &Sink,
        layout: Arc<RowLayout>,
        encoding: Encoding,
    ) -> Self {
        Self {
            vertex,
            stream: sink.stream,
            mode: sink.mode,
            encoding,
            keys: KeyEncoder::new(&layout, &sink.keys),
            keyed: !sink.keys.is_empty(),
            metadata: MetadataColumns::default(),
            waiting: BatchBuilder::new(layout),
            staged: Staged::default(),
            count: 0,
            limit: usize::MAX,
            scratch: Scratch::default(),
        }
    }

    /// Columns that records have beside key and value.
    pub(crate) fn with_metadata(mut self, metadata: MetadataColumns) -> Self {
        self.metadata = metadata;
        self
    }

    /// Bounds what may be staged in an epoch, bytes.
    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Takes rows. `partition` is the source partition, if they came straight from one.
    pub(crate) fn rows(&mut self, rows: &RowBatch, partition: Option<u32>, bad: &mut ErrorBuffer) {
        match (&self.encoding, self.mode) {
            (Encoding::Discard, _) => self.count += rows.len() as u64,
            (Encoding::Rows { .. }, _) => self.waiting.push_batch(rows),
            (_, SinkMode::Append) => self.append(rows, partition, bad),
            (_, SinkMode::Upsert | SinkMode::Changes) => self.waiting.push_batch(rows),
        }
    }

    /// Ends the epoch: what was staged, and how many records it is. A row that cannot be written is
    /// reported, and left out before changes are made of the rows: the rest stays consistent.
    /// `None` if it is more than the limit.
    pub(crate) fn finish(
        &mut self,
        bad: &mut ErrorBuffer,
        reports: &mut Reports,
    ) -> Option<(Staged, u64)> {
        if let Encoding::Rows { net } = self.encoding {
            self.stage_rows(net);
        }
        if !self.waiting.is_empty() {
            let rows = self.waiting.take();
            let has_key = self.encode(&rows, bad);
            let changes = self.consolidate(&rows, &bad.errors);
            match (&self.encoding, self.mode) {
                (Encoding::Lines(_), _) => self.lines(&changes),
                (_, SinkMode::Upsert) => self.upserts(&rows, &changes, has_key),
                (_, SinkMode::Changes | SinkMode::Append) => self.changes(&rows, &changes, has_key),
            }
            reports.take_failures(&rows, bad);
            self.waiting.recycle(rows);
        }
        if self.is_over() {
            return None;
        }
        let count = std::mem::take(&mut self.count) + self.staged.records.len() as u64;
        Some((std::mem::take(&mut self.staged), count))
    }

    /// Whether more is staged than may be. Nothing more is then: a row may be there more often than
    /// there is memory for.
    fn is_over(&self) -> bool {
        self.staged_bytes() > self.limit
    }

    /// Encodes keys and values of all rows into the scratch arenas. Returns whether there are keys.
    /// `bad` then has one error for each row that failed, in their order.
    fn encode(&mut self, rows: &RowBatch, bad: &mut ErrorBuffer) -> bool {
        let Scratch { keys, values, .. } = &mut self.scratch;
        keys.clear();
        values.clear();
        let has_key = match &mut self.encoding {
            Encoding::Discard | Encoding::Rows { .. } => false,
            Encoding::Records { key, value } => {
                value.encode(rows, values, bad);
                key.as_mut().is_some_and(|key| {
                    key.encode(rows, keys, bad);
                    true
                })
            }
            Encoding::Lines(value) => {
                value.encode(rows, values, bad);
                false
            }
        };
        bad.errors.sort_by_key(|error| error.row);
        bad.errors.dedup_by_key(|error| error.row);
        has_key
    }

    fn append(&mut self, rows: &RowBatch, partition: Option<u32>, bad: &mut ErrorBuffer) {
        let has_key = self.encode(rows, bad);
        let lines = matches!(self.encoding, Encoding::Lines(_));
        for index in 0..rows.len() {
            if has_failed(&bad.errors, index) {
                continue;
            }
            for _ in 0..rows.weight(index) {
                if self.is_over() {
                    return;
                }
                self.append_row(rows, index, partition, lines, has_key);
            }
        }
    }

    fn append_row(
        &mut self,
        rows: &RowBatch,
        index: usize,
        partition: Option<u32>,
        lines: bool,
        has_key: bool,
    ) {
        if lines {
            return self.line("+", index);
        }
        let key = has_key.then(|| self.staged.append(self.scratch.keys.get(index)));
        let partition = match (&key, partition) {
            (Some(key), _) => murmur2(&self.staged.arena[key.clone()]),
            (None, Some(partition)) => partition,
            (None, None) => self.row_hash(rows, index),
        };
        let value = Some(self.staged.append(self.scratch.values.get(index)));
        self.push(StagedRecord { partition, key, value }, rows, index);
    }

    /// Stages a record of a row.
    fn push(&mut self, record: StagedRecord, rows: &RowBatch, index: usize) {
        self.staged.records.push(record);
        if !self.metadata.is_empty() {
            let read = self.metadata.read(rows.row(index), &mut self.staged.arena);
            self.staged.metadata.push(read);
        }
    }

    /// A derived row without a key goes where its own hash says, whatever the parallelism.
    fn row_hash(&mut self, rows: &RowBatch, index: usize) -> u32 {
        let bytes = rows.row(index).bytes();
        flow_ir::row::key_hash(bytes) as u32 & 0x7fff_ffff
    }

    fn line(&mut self, sign: &str, index: usize) {
        let start = self.staged.arena.len();
        self.staged.arena.extend_from_slice(sign.as_bytes());
        let value = self.staged.append(self.scratch.values.get(index));
        let record = StagedRecord { partition: 0, key: None, value: Some(start..value.end) };
        self.staged.records.push(record);
    }

    /// The net changes of the rows that waited and can be written, ordered by key, then by row.
    fn consolidate(&mut self, rows: &RowBatch, errors: &[RowError]) -> Vec<Change> {
        let Scratch { row_keys, row_key, .. } = &mut self.scratch;
        row_keys.clear();
        for row in rows.rows() {
            row_key.clear();
            self.keys.append(row, row_key);
            row_keys.push(row_key);
        }
        let mut order: Vec<usize> = (0..rows.len()).filter(|&i| !has_failed(errors, i)).collect();
        order.sort_by(|&a, &b| {
            let by_key = row_keys.key(a).cmp(row_keys.key(b));
            by_key.then_with(|| rows.row(a).words().cmp(rows.row(b).words()))
        });
        let mut changes = Vec::new();
        for group in order.chunk_by(|&a, &b| row_keys.key(a) == row_keys.key(b)) {
            let (mut before, mut after) = (None, None);
            for same in group.chunk_by(|&a, &b| rows.row(a).words() == rows.row(b).words()) {
                let net: i64 = same.iter().map(|&i| rows.weight(i)).fold(0, i64::wrapping_add);
                if net == 0 {
                    continue;
                }
                let side = if net < 0 { &mut before } else { &mut after };
                *side = Some(same[0]);
                if !self.keyed {
                    let (before, after, times) = (before.take(), after.take(), net.unsigned_abs());
                    changes.push(Change { before, after, times });
                }
            }
            if before.is_some() || after.is_some() {
                changes.push(Change { before, after, times: 1 });
            }
        }
        if !self.keyed {
            changes.sort_by_key(|change| change.after.is_some());
        }
        changes
    }

    /// What is kept until the epoch's end, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.waiting.bytes() + self.staged_bytes()
    }

    fn staged_bytes(&self) -> usize {
        let metadata = self.staged.metadata.len() * size_of::<RecordMetadata>();
        let records = self.staged.records.len() * size_of::<StagedRecord>();
        self.staged.arena.len() + records + metadata
    }

    /// Rows that wait for the epoch's end.
    pub(crate) fn waiting_rows(&self) -> usize {
        self.waiting.len()
    }

    /// Hands the rows that waited over as they are, or what is left of them.
    fn stage_rows(&mut self, net: bool) {
        let mut rows = self.waiting.take();
        if net && rows.weights().is_some() {
            for change in self.consolidate(&rows, &[]) {
                let left = change.before.map(|i| (i, -1)).into_iter();
                for (index, sign) in left.chain(change.after.map(|i| (i, 1))) {
                    let weight = (change.times as i64).wrapping_mul(sign);
                    self.waiting.push_row(rows.row(index), weight);
                }
            }
            rows = self.waiting.take();
        }
        if !rows.is_empty() {
            self.count += rows.len() as u64;
            self.staged.rows.push(rows);
        }
    }

    fn upserts(&mut self, rows: &RowBatch, changes: &[Change], has_key: bool) {
        for change in changes {
            let Some(index) = change.after.or(change.before) else { continue };
            let key = has_key.then(|| self.staged.append(self.scratch.keys.get(index)));
            let partition = key.as_ref().map_or(0, |k| murmur2(&self.staged.arena[k.clone()]));
            let value =
                change.after.map(|index| self.staged.append(self.scratch.values.get(index)));
            self.push(StagedRecord { partition, key, value }, rows, index);
        }
    }

    fn changes(&mut self, rows: &RowBatch, changes: &[Change], has_key: bool) {
        for change in changes {
            for _ in 0..change.times {
                if self.is_over() {
                    return;
                }
                self.change(rows, change, has_key);
            }
        }
    }

    fn change(&mut self, rows: &RowBatch, change: &Change, has_key: bool) {
        let Some(index) = change.after.or(change.before) else { return };
        let key = has_key.then(|| self.staged.append(self.scratch.keys.get(index)));
        let partition = match &key {
            Some(key) => murmur2(&self.staged.arena[key.clone()]),
            None => self.row_hash(rows, index),
        };
        let start = self.staged.arena.len();
        let value = |i: usize| self.scratch.values.get(i);
        let (before, after) = (change.before.map(value), change.after.map(value));
        Debezium { before, after }.write(&mut self.staged.arena);
        let value = Some(start..self.staged.arena.len());
        self.push(StagedRecord { partition, key, value }, rows, index);
    }

    fn lines(&mut self, changes: &[Change]) {
        for change in changes {
            for _ in 0..change.times {
                if self.is_over() {
                    return;
                }
                if let Some(index) = change.before {
                    self.line("-", index);
                }
                if let Some(index) = change.after {
                    self.line("+", index);
                }
            }
        }
    }
}

/// Whether a row is among those that failed, which are in the order of their rows.
fn has_failed(errors: &[RowError], row: usize) -> bool {
    errors.binary_search_by_key(&row, |error| error.row as usize).is_ok()
}

#[cfg(test)]
mod tests {
    use flow_ir::types::{DataType, Type};

    use super::*;

    /// Writes every row as one letter.
    struct Letter;

    impl Encoder for Letter {
        fn encode(&mut self, rows: &RowBatch, out: &mut PayloadArena, _: &mut ErrorBuffer) {
            for _ in 0..rows.len() {
                out.bytes.push(b'x');
                out.close();
            }
        }
    }

    fn layout() -> Arc<RowLayout> {
        Arc::new(RowLayout::new(vec![Type::not_null(DataType::BigInt)]))
    }

    /// What a sink without a key makes of rows of these weights: the records, or `None` if they are
    /// too many.
    fn staged(mode: SinkMode, weights: &[i64]) -> Option<Vec<String>> {
        let sink = Sink { stream: StreamId(0), mode, keys: Vec::new() };
        let encoding = match mode {
            SinkMode::Changes => Encoding::Lines(Box::new(Letter)),
            SinkMode::Append | SinkMode::Upsert => {
                Encoding::Records { key: None, value: Box::new(Letter) }
            }
        };
        let mut writer = SinkWriter::new(VertexId(0), &sink, layout(), encoding);
        writer.set_limit(1 << 16);
        let mut rows = BatchBuilder::new(layout());
        for weight in weights {
            rows.begin();
            rows.set_i64(0, 7);
            rows.finish(*weight);
        }
        let (mut bad, mut reports) = (ErrorBuffer::default(), Reports::default());
        writer.rows(&rows.take(), None, &mut bad);
        let (staged, count) = writer.finish(&mut bad, &mut reports)?;
        assert_eq!(count, staged.records.len() as u64);
        let text = |record: &StagedRecord| {
            String::from_utf8_lossy(staged.bytes(&record.value).expect("a value")).into_owned()
        };
        Some(staged.records.iter().map(text).collect())
    }

    #[test]
    fn a_row_is_written_as_often_as_it_is_there_and_refused_where_that_does_not_fit() {
        let some = |records: &[&str]| Some(records.iter().map(|r| r.to_string()).collect());
        assert_eq!(staged(SinkMode::Append, &[1, 2]), some(&["x", "x", "x"]));
        assert_eq!(staged(SinkMode::Changes, &[3, -1]), some(&["+x", "+x"]));
        assert_eq!(staged(SinkMode::Changes, &[-3, 1]), some(&["-x", "-x"]));
        assert_eq!(staged(SinkMode::Changes, &[1, -1]), some(&[]));
        for mode in [SinkMode::Append, SinkMode::Changes] {
            assert_eq!(staged(mode, &[1_000_000_000_000]), None);
        }
    }
}
