//! A worker: the whole graph over its own shards, on one thread. An epoch is one synchronous step:
//!
//! 1. Until the budget is cut: read, decode, push rows through; take what other workers send.
//! 2. Sources end with their watermarks. A vertex whose inputs have all ended gets the watermark,
//!    then the epoch's end, and ends its outputs: stage by stage, in topological order.
//! 3. When all vertices have ended, state is sealed and everything is handed to the coordinator.
//!
//! What always holds: an epoch begins only after all workers have ended the one before, so a
//! message never belongs to another epoch than the receiver's.

mod asides;
mod control;
mod inbox;
mod inputs;
mod outputs;
mod record_metadata;
mod setup;
mod source;
mod wiring;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use flow_ir::ids::StreamId;
use flow_ir::kernel::{ErrorBuffer, KernelCx, KernelFactory, Record};
use flow_ir::physical::JobGraph;

pub(crate) use asides::{Failed, Policies, describe};
pub(crate) use control::{Aside, Budget, Command, EpochEnd, EpochStart, Joining, Reply};
pub(crate) use inbox::{Exchange, Message};
pub(crate) use inputs::{Input, Inputs};
pub(crate) use outputs::{Encoding, SinkWriter, Staged};
pub(crate) use setup::WorkerSetup;
pub(crate) use wiring::{Parts, Wiring};

use crate::config::{Memory, POLL_WAIT, SCHEMA_WAIT_MAX};
use crate::error::{Result, RuntimeError};
use crate::metrics::{Metrics, Partitions};
use crate::world::Clock;
use inputs::Backlog;
use source::{Scan, Scanned};

/// A worker and everything that it owns.
pub(crate) struct Worker {
    id: usize,
    graph: Arc<JobGraph>,
    wiring: Wiring,
    inputs: Inputs,
    /// Scans by stream.
    scans: Vec<Vec<Scan>>,
    /// By stream, whether an operator that goes by the clock gets its rows.
    by_clock: Vec<bool>,
    policies: Arc<Policies>,
    metrics: Arc<Metrics>,
    /// The counters of all partitions of the job.
    partitions: Partitions,
    factory: Arc<dyn KernelFactory>,
    clock: Arc<dyn Clock>,
    batch_rows: usize,
    memory: Memory,
    workers: usize,
    drift: i64,
    asides: Vec<Aside>,
    event_time: i64,
}

impl Worker {
    /// Runs until it is told to stop, or fails.
    pub(crate) fn run(mut self, commands: &Receiver<Command>, replies: &Sender<Reply>) {
        while let Ok(command) = commands.recv() {
            match command {
                Command::Epoch(start) => {
                    let ended = self.epoch(&start);
                    let failed = ended.is_err();
                    if replies.send((self.id, ended)).is_err() || failed {
                        return;
                    }
                }
                Command::Join(joining) => {
                    if let Err(error) = self.join(joining) {
                        // The coordinator hears of it where it waits for the epoch.
                        let _ = replies.send((self.id, Err(error)));
                        return;
                    }
                }
                Command::Published(seal) => {
                    self.wiring.set_memory(self.memory.bytes() / self.workers);
                    self.wiring.published(seal);
                }
                Command::Stop => return,
            }
        }
    }

    /// Reads more partitions from the next epoch on.
    fn join(&mut self, joining: Joining) -> Result<()> {
        self.partitions = joining.partitions;
        self.inputs.add(joining.inputs)
    }

    fn epoch(&mut self, start: &EpochStart) -> Result<EpochEnd> {
        let cx = KernelCx { clock: start.clock, on_error: self.policies.on_error(None) };
        self.event_time = i64::MIN;
        self.wiring.begin(cx, self.policies.keeps_rows());
        self.inputs.begin();
        self.read(start, &cx)?;
        self.end_sources(start)?;
        while !self.wiring.all_ended() {
            let message = self.wiring.receive();
            self.take(message)?;
        }
        self.hand_over(start.to_disk)
    }

    /// Step 1: reads until the epoch is cut or nothing more can come.
    fn read(&mut self, start: &EpochStart, cx: &KernelCx) -> Result<()> {
        let preload = self.inputs.first_wait();
        while !self.inputs.all_ended() {
            while let Some(message) = self.wiring.try_receive() {
                self.take(message)?;
            }
            let preloading = preload && self.inputs.first_wait();
            if start.budget.is_cut() && !preloading {
                return Ok(());
            }
            let limit = self.drift_limit();
            let next = self.inputs.next(&*self.clock, |input| {
                (!preloading || input.first) && input.watermark <= limit
            });
            match next {
                Some((index, backlog)) => {
                    self.process(index, backlog, start, cx)?;
                    // What is committed may leave memory: an epoch that fills it ends early.
                    if self.wiring.is_full() {
                        start.budget.cut();
                    }
                }
                None => {
                    let now_ms = self.clock.monotonic_ms();
                    self.inputs.fetch(POLL_WAIT, now_ms)?;
                }
            }
        }
        Ok(())
    }

    /// The watermark beyond which a partition is not read, so that none runs far ahead of another
    /// that has records to read.
    fn drift_limit(&self) -> i64 {
        let behind = self
            .partitions
            .iter()
            .filter(|p| p.timed && p.ended.get() == 0 && p.idle.get() == 0 && p.lag.get() > 0);
        let lowest = behind.map(|p| p.watermark.load(Ordering::Relaxed)).min();
        lowest.map_or(i64::MAX, |w| w.saturating_add(self.drift).max(w))
    }

    /// Decodes and pushes a part of a batch.
    fn process(
        &mut self,
        index: usize,
        mut backlog: Backlog,
        start: &EpochStart,
        cx: &KernelCx,
    ) -> Result<()> {
        let mut records: Vec<Record<'_>> = Vec::with_capacity(backlog.batch.len());
        backlog.batch.records(&mut records);
        self.wake(index, start);
        let input = &self.inputs.live[index].input;
        let bound = input.bound.unwrap_or(i64::MAX);
        let within = records.partition_point(|r| r.offset < bound);
        let mut done = backlog.done;
        while done < within && !(start.budget.is_cut() && done > backlog.done) {
            // An input that is read first is read to its end, whatever the budget.
            let left = match self.inputs.live[index].input.first {
                true => usize::MAX,
                false => usize::try_from(start.budget.records_left()).unwrap_or(usize::MAX),
            };
            if left == 0 {
                break;
            }
            let rows = self.batch_rows.min(left).min(within - done);
            let (range, away) = self.ready(index, &records, done..done + rows)?;
            let rows = range.len();
            let bytes: usize = records[range.clone()]
                .iter()
                .map(|r| r.key.map_or(0, <[u8]>::len) + r.value.map_or(0, <[u8]>::len))
                .sum();
            self.process_part(index, &records, range, cx)?;
            start.budget.take(rows as u64, bytes as u64);
            let metrics = &self.metrics.streams[self.inputs.live[index].input.stream.index()];
            metrics.records_in.add(rows as u64);
            metrics.bytes_in.add(bytes as u64);
            done += rows;
            if let Some(error) = away {
                self.hold(index, error)?;
                break;
            }
            self.release(index);
        }
        let reached_bound = done == within && within < records.len();
        drop(records);
        backlog.done = done;
        if reached_bound {
            self.inputs.live[index].input.offset = bound;
            self.inputs.end(index);
        } else {
            self.inputs.put_back(index, backlog);
        }
        Ok(())
    }

    /// The records of `range`, from its first on, that all scans of an input can decode now; and
    /// why not more, if the registry could not be asked for a schema.
    fn ready(
        &mut self,
        index: usize,
        records: &[Record<'_>],
        range: Range<usize>,
    ) -> Result<(Range<usize>, Option<RuntimeError>)> {
        let stream = self.inputs.live[index].input.stream;
        let (mut ready, mut away) = (range, None);
        for scan in &mut self.scans[stream.index()] {
            let (some, why) = scan.ready(records, ready)?;
            (ready, away) = (some, why.or(away));
        }
        Ok((ready, away))
    }

    /// Lets a partition wait whose next record is of a schema that the registry could not be asked
    /// for. The others go on.
    fn hold(&mut self, index: usize, error: RuntimeError) -> Result<()> {
        let waited_ms = self.inputs.hold(index, self.clock.monotonic_ms());
        let shown = &self.partitions[self.inputs.live[index].input.index];
        shown.waits.set(1);
        if waited_ms == 0 {
            let name = &shown.name;
            tracing::warn!(%error, "{name} waits for a schema; the registry is asked again");
        }
        if waited_ms < SCHEMA_WAIT_MAX.as_millis() as u64 {
            return Ok(());
        }
        let (name, seconds) = (&shown.name, waited_ms / 1_000);
        let message = format!("{name} has waited for a schema for {seconds} s: {}", error.message);
        Err(RuntimeError { message, ..error }.fatal())
    }

    fn release(&mut self, index: usize) {
        if self.inputs.release(index) {
            let shown = &self.partitions[self.inputs.live[index].input.index];
            shown.waits.set(0);
            tracing::info!("{} has its schema and goes on", shown.name);
        }
    }

    /// A partition that was passed over goes on from what its stream has forwarded.
    fn wake(&mut self, index: usize, start: &EpochStart) {
        let input = &mut self.inputs.live[index].input;
        if std::mem::take(&mut input.idle) {
            let floor = start.floor.read().unwrap_or_else(|e| e.into_inner());
            input.watermark = input.watermark.max(floor[input.stream.index()]);
        }
    }

    fn process_part(
        &mut self,
        index: usize,
        records: &[Record<'_>],
        range: Range<usize>,
        cx: &KernelCx,
    ) -> Result<()> {
        let stream = self.inputs.live[index].input.stream;
        let cx = KernelCx { on_error: self.policies.on_error(Some(stream)), ..*cx };
        let mut scans = std::mem::take(&mut self.scans[stream.index()]);
        let (mut bad, mut failed) = (ErrorBuffer::default(), ErrorBuffer::default());
        let mut unread = BTreeSet::new();
        let (mut watermark, mut own_watermark, mut ahead) = (i64::MIN, i64::MIN, 0);
        for scan in &mut scans {
            let input = &self.inputs.live[index].input;
            let begun = Instant::now();
            let Scanned { rows, marks } =
                scan.scan(input, records, range.clone(), &cx, &mut bad, &mut failed)?;
            self.wiring.count_source(scan.vertex, range.len(), begun.elapsed());
            self.bad_records(index, records, &mut bad, &mut unread)?;
            watermark = watermark.max(marks.watermark);
            own_watermark = own_watermark.max(marks.event_time);
            ahead = ahead.max(marks.ahead);
            self.event_time = self.event_time.max(marks.event_time);
            self.wiring.failed_records(scan.makes, &mut failed);
            let partition = self.inputs.live[index].input.partition;
            self.wiring.push_source(scan.makes, &rows, partition, cx)?;
            self.reports(index, records, &scan.origin)?;
            scan.recycle(rows);
        }
        self.late_records(index, records);
        self.scans[stream.index()] = scans;
        self.metrics.streams[stream.index()].ahead.add(ahead);
        let input = &mut self.inputs.live[index].input;
        input.watermark = input.watermark.max(watermark);
        input.own_watermark = input.own_watermark.max(own_watermark);
        let shown = &self.partitions[input.index];
        shown.watermark.store(input.watermark, Ordering::Relaxed);
        shown.lag.set(self.inputs.lag(index));
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<()> {
        self.wiring.take(message)?;
        self.derived_reports()
    }

    /// Step 2 begins: every source vertex ends with its stream's watermark on this worker.
    fn end_sources(&mut self, start: &EpochStart) -> Result<()> {
        let sources: Vec<_> = self
            .scans
            .iter()
            .enumerate()
            .flat_map(|(stream, scans)| {
                scans.iter().map(move |s| (StreamId::from(stream), s.vertex, s.is_timed()))
            })
            .collect();
        for (stream, vertex, timed) in sources {
            let watermark = self.inputs.watermark(stream);
            let watermark = match (timed, self.by_clock[stream.index()]) {
                (true, _) => watermark.min(start.silent[stream.index()]),
                (false, true) if watermark < i64::MAX => start.clock,
                // Without event time a stream holds nothing back.
                (false, true | false) => i64::MAX,
            };
            self.wiring.end_source(vertex, watermark)?;
            self.derived_reports()?;
        }
        Ok(())
    }

    /// Step 3.
    fn hand_over(&mut self, to_disk: bool) -> Result<EpochEnd> {
        let wrote = self.wiring.end_epoch(to_disk)?;
        self.derived_reports()?;
        for (index, live) in self.inputs.live.iter().enumerate() {
            let shown = &self.partitions[live.input.index];
            shown.lag.set(self.inputs.lag(index));
            shown.ended.set(u64::from(live.input.ended));
            shown.idle.set(u64::from(live.input.idle));
        }
        Ok(EpochEnd {
            inputs: self.inputs.states(),
            aside: std::mem::take(&mut self.asides),
            event_time: self.event_time,
            wrote,
            ended: Instant::now(),
        })
    }
}

/// A worker that cannot go on, by its operator.
pub(crate) fn operator_error(
    name: &str,
    limit_bytes: usize,
    error: &crate::ops::OpError,
) -> RuntimeError {
    match error {
        crate::ops::OpError::State(state) => crate::commit::state_error(state),
        crate::ops::OpError::TooMuch => too_much(name, limit_bytes),
        crate::ops::OpError::Internal(why) => {
            RuntimeError::internal(format!("operator {name}: {why}"))
        }
    }
}

/// An operator or sink that holds more rows than it may.
fn too_much(name: &str, limit_bytes: usize) -> RuntimeError {
    let megabytes = limit_bytes >> 20;
    RuntimeError::user(format!(
        "{name} makes more rows of one epoch than the {megabytes} MB of memory that it may use"
    ))
    .with_help(
        "A join whose rows meet very many others wants more conditions, or a filter before it. \
         Otherwise give the job more memory, or smaller epochs: SET 'epoch.max.records'.",
    )
}
