//! The partitions that a worker reads: whose turn it is, how far each has got, what is in hand. A
//! batch that was fetched may be larger than what an epoch may still read; the rest waits here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use flow_ir::ids::StreamId;
use flow_ir::kernel::Record;

use super::control::InputState;
use crate::config::{SCHEMA_PAUSE, SCHEMA_PAUSE_MAX};
use crate::connect::{Assignment, Fetched, Log, Reader, RecordBatch};
use crate::error::Result;
use crate::world::Clock;

/// Batches of one partition in hand at most; a partition with more is paused.
const BACKLOG_BATCHES_MAX: usize = 4;

/// A partition as it is assigned to a worker.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// Position in the job's list of partitions.
    pub(crate) index: usize,
    /// The stream that it belongs to.
    pub(crate) stream: StreamId,
    /// Topic, or path of a file.
    pub(crate) topic: String,
    /// Partition of the topic.
    pub(crate) partition: u32,
    /// The next offset to process.
    pub(crate) offset: i64,
    /// Reading ends here.
    pub(crate) bound: Option<i64>,
    /// Highest watermark of its rows; `i64::MIN` before any.
    pub(crate) watermark: i64,
    /// What its own rows raised the watermark to: less than `watermark` while it is behind what it
    /// was raised to when it joined in again.
    pub(crate) own_watermark: i64,
    /// Nothing more will come.
    pub(crate) ended: bool,
    /// Passed over until it delivers again.
    pub(crate) idle: bool,
    /// May be passed over when silent for this long, milliseconds.
    pub(crate) idle_timeout_ms: Option<u64>,
    /// Read to its end before any other.
    pub(crate) first: bool,
}

/// What a reader reads.
struct Slot {
    /// The log; none for a file.
    cluster: Option<String>,
    /// The inputs that the reader's partitions are, by position.
    inputs: Vec<usize>,
}

/// A batch in hand.
pub(crate) struct Backlog {
    pub(crate) batch: Box<dyn RecordBatch>,
    /// Records of it that are processed.
    pub(crate) done: usize,
    next_offset: i64,
}

/// Why an input waits, though something is in hand: a schema that could not be asked for.
struct Held {
    since_ms: u64,
    until_ms: u64,
    pause_ms: u64,
}

/// An input with what is in hand.
pub(crate) struct Live {
    pub(crate) input: Input,
    backlog: VecDeque<Backlog>,
    paused: bool,
    /// It was passed over when the epoch began: whoever is passed over during one holds its time
    /// back to the end.
    passed_over: bool,
    held: Option<Held>,
    /// Since when nothing came although the end was reached, milliseconds.
    silent_since: Option<u64>,
}

impl Live {
    fn new(input: Input) -> Self {
        let (backlog, passed_over) = (VecDeque::new(), input.idle);
        Self { input, backlog, paused: false, passed_over, held: None, silent_since: None }
    }
}

/// All inputs of a worker. There is one reader a file; one a log, or as many as there are streams
/// of the same topic, since a reader has a partition once.
#[derive(Default)]
pub(crate) struct Inputs {
    readers: Vec<Box<dyn Reader>>,
    /// By reader.
    slots: Vec<Slot>,
    /// Reader and partition in it, by input; none for an input that had ended at the start.
    places: Vec<Option<(usize, usize)>>,
    pub(crate) live: Vec<Live>,
    reader_turn: usize,
    input_turn: usize,
}

impl Inputs {
    /// Adds an input that has ended.
    pub(crate) fn add_ended(&mut self, input: Input) {
        self.places.push(None);
        self.live.push(Live::new(input));
    }

    /// Adds an input with a reader of its own.
    pub(crate) fn add_with_reader(&mut self, input: Input, reader: Box<dyn Reader>) {
        self.readers.push(reader);
        self.slots.push(Slot { cluster: None, inputs: Vec::new() });
        self.push(input, self.slots.len() - 1);
    }

    /// Adds inputs from logs: to readers that are there, else to new ones.
    ///
    /// # Errors
    /// If a topic cannot be read.
    pub(crate) fn add(&mut self, inputs: Vec<(Input, Arc<dyn Log>)>) -> Result<()> {
        let mut wanted: BTreeMap<usize, (Arc<dyn Log>, Vec<Assignment>)> = BTreeMap::new();
        for (input, log) in inputs {
            let slot = self.slot(&input, log.cluster());
            let Input { topic, partition, offset, .. } = input.clone();
            let (_, assignment) = wanted.entry(slot).or_insert_with(|| (log, Vec::new()));
            assignment.push(Assignment { topic, partition, offset });
            self.push(input, slot);
        }
        for (slot, (log, assignment)) in wanted {
            match self.readers.get_mut(slot) {
                Some(reader) => reader.add(&assignment)?,
                // New slots follow those of all readers, and come in their order.
                None => self.readers.push(log.reader(&assignment)?),
            }
        }
        Ok(())
    }

    /// The slot of a reader that can take a partition of a log: a new one, if there is none.
    fn slot(&mut self, input: &Input, cluster: String) -> usize {
        let other = |&of: &usize| {
            let of = &self.live[of].input;
            (&of.topic, of.partition) != (&input.topic, input.partition)
        };
        let cluster = Some(cluster);
        let takes = |slot: &Slot| slot.cluster == cluster && slot.inputs.iter().all(other);
        self.slots.iter().position(takes).unwrap_or_else(|| {
            self.slots.push(Slot { cluster, inputs: Vec::new() });
            self.slots.len() - 1
        })
    }

    fn push(&mut self, input: Input, slot: usize) {
        let inputs = &mut self.slots[slot].inputs;
        self.places.push(Some((slot, inputs.len())));
        inputs.push(self.live.len());
        self.live.push(Live::new(input));
    }

    /// Whether nothing more will come from any of them.
    pub(crate) fn all_ended(&self) -> bool {
        self.live.iter().all(|l| l.input.ended)
    }

    /// Whether an input that must be read first has not ended.
    pub(crate) fn first_wait(&self) -> bool {
        self.live.iter().any(|l| l.input.first && !l.input.ended)
    }

    /// Begins an epoch.
    pub(crate) fn begin(&mut self) {
        for live in &mut self.live {
            live.passed_over = live.input.idle;
        }
    }

    /// Takes the next batch in hand of an input that may be read, in turn.
    pub(crate) fn next(
        &mut self,
        clock: &dyn Clock,
        may_read: impl Fn(&Input) -> bool,
    ) -> Option<(usize, Backlog)> {
        for _ in 0..self.live.len() {
            let index = self.input_turn;
            self.input_turn = (self.input_turn + 1) % self.live.len();
            let live = &mut self.live[index];
            let waits = |held: &Held| held.until_ms > clock.monotonic_ms();
            let is_held = live.held.as_ref().is_some_and(waits);
            if !live.backlog.is_empty() && !is_held && may_read(&live.input) {
                return live.backlog.pop_front().map(|backlog| (index, backlog));
            }
        }
        None
    }

    /// Lets an input wait before it is read on, longer each time. Returns how long it has waited in
    /// all, milliseconds: 0 the first time.
    pub(crate) fn hold(&mut self, index: usize, now_ms: u64) -> u64 {
        let [first, most] = [SCHEMA_PAUSE, SCHEMA_PAUSE_MAX].map(|pause| pause.as_millis() as u64);
        let (since_ms, pause_ms) = match &self.live[index].held {
            Some(held) => (held.since_ms, (held.pause_ms * 2).min(most)),
            None => (now_ms, first),
        };
        let until_ms = now_ms.saturating_add(pause_ms);
        self.live[index].held = Some(Held { since_ms, until_ms, pause_ms });
        now_ms.saturating_sub(since_ms)
    }

    /// Reads on from an input. Returns whether it has waited.
    pub(crate) fn release(&mut self, index: usize) -> bool {
        self.live[index].held.take().is_some()
    }

    /// Puts back what was not processed, or notes that the batch is done.
    pub(crate) fn put_back(&mut self, index: usize, backlog: Backlog) {
        let live = &mut self.live[index];
        if backlog.done < backlog.batch.len() {
            let mut records: Vec<Record<'_>> = Vec::with_capacity(backlog.batch.len());
            backlog.batch.records(&mut records);
            live.input.offset = records[backlog.done].offset;
            drop(records);
            live.backlog.push_front(backlog);
        } else {
            live.input.offset = backlog.next_offset;
        }
    }

    /// Fetches once from the next reader, waiting up to `wait`. Returns whether records came.
    pub(crate) fn fetch(&mut self, wait: Duration, now_ms: u64) -> Result<bool> {
        for _ in 0..self.readers.len() {
            let turn = self.reader_turn;
            self.reader_turn = (self.reader_turn + 1) % self.readers.len();
            let open = self.slots[turn].inputs.iter().any(|&i| !self.live[i].input.ended);
            if !open {
                continue;
            }
            let fetched = self.readers[turn].poll(wait)?;
            let came = fetched.is_some();
            if let Some(fetched) = fetched {
                self.take(turn, fetched);
            }
            self.settle(turn, now_ms);
            return Ok(came);
        }
        Ok(false)
    }

    fn take(&mut self, reader: usize, fetched: Fetched) {
        let index = self.slots[reader].inputs[fetched.partition];
        let live = &mut self.live[index];
        live.silent_since = None;
        if live.input.ended {
            return;
        }
        let (batch, next_offset) = (fetched.batch, fetched.next_offset);
        live.backlog.push_back(Backlog { batch, done: 0, next_offset });
        if live.backlog.len() >= BACKLOG_BATCHES_MAX && !live.paused {
            live.paused = true;
            self.readers[reader].pause(fetched.partition, true);
        }
    }

    /// Notes ends, positions and silence of a reader's partitions; reads on from paused ones.
    fn settle(&mut self, reader: usize, now_ms: u64) {
        let (slot, reader) = (&self.slots[reader], &mut self.readers[reader]);
        for (partition, &index) in slot.inputs.iter().enumerate() {
            let live = &mut self.live[index];
            if live.input.ended || !live.backlog.is_empty() {
                if live.paused && live.backlog.len() < BACKLOG_BATCHES_MAX / 2 {
                    live.paused = false;
                    reader.pause(partition, false);
                }
                continue;
            }
            if std::mem::take(&mut live.paused) {
                reader.pause(partition, false);
            }
            // Markers move the position although they hand out nothing.
            live.input.offset = live.input.offset.max(reader.position(partition));
            let at_bound = live.input.bound.is_some_and(|bound| live.input.offset >= bound);
            if at_bound || reader.finished(partition) {
                live.input.ended = true;
                reader.pause(partition, true);
            } else if reader.at_end(partition) {
                let since = *live.silent_since.get_or_insert(now_ms);
                let timeout = live.input.idle_timeout_ms;
                if timeout.is_some_and(|timeout| now_ms.saturating_sub(since) >= timeout) {
                    live.input.idle = true;
                }
            } else {
                live.silent_since = None;
            }
        }
    }

    /// Ends an input at its bound.
    pub(crate) fn end(&mut self, index: usize) {
        let live = &mut self.live[index];
        live.input.ended = true;
        live.backlog.clear();
        if let Some((reader, partition)) = self.places[index] {
            self.readers[reader].pause(partition, true);
        }
    }

    /// Records between an input's position and its end, as last known.
    pub(crate) fn lag(&self, index: usize) -> u64 {
        let behind = |(reader, partition): (usize, usize)| self.readers[reader].lag(partition);
        let backlog = &self.live[index].backlog;
        let in_hand: usize = backlog.iter().map(|b| b.batch.len() - b.done).sum();
        self.places[index].map_or(0, behind) + in_hand as u64
    }

    /// Where all of them stand.
    pub(crate) fn states(&self) -> Vec<InputState> {
        let state = |live: &Live| InputState {
            input: live.input.index,
            offset: live.input.offset,
            watermark: live.input.watermark,
            ended: live.input.ended,
            idle: live.input.idle,
        };
        self.live.iter().map(state).collect()
    }

    /// The watermark of a stream on this worker: the lowest of its partitions that still deliver.
    pub(crate) fn watermark(&self, stream: StreamId) -> i64 {
        let is_passed_over = |l: &Live| l.input.idle && l.passed_over;
        self.live
            .iter()
            .filter(|l| l.input.stream == stream && !l.input.ended && !is_passed_over(l))
            .map(|l| l.input.watermark)
            .min()
            .unwrap_or(i64::MAX)
    }
}
