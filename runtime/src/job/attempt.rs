//! One attempt to run a job: from the log's truth to running workers, and the loop over epochs.
//! Whatever fails ends the attempt; the next one begins as after a crash.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use flow_ir::kernel::KernelFactory;
use flow_ir::physical::{ClockSetting, JobGraph};

use super::assign::{self, Partition};
use super::discovery::{Discovery, Found};
use super::floor::Feeding;
use super::follow::{Follow, When, changelog_bytes};
use super::outputs::Written;
use super::start::{self, Started};
use crate::commit::{Committer, Done, EpochOutput, EpochRecord, InputPosition, Moved, epoch_span};
use crate::config::{Config, EPOCH_TIME_MAX};
use crate::connect::OffsetQuery;
use crate::error::{Result, RuntimeError, Who};
use crate::metrics::Metrics;
use crate::state::{StateStore, StoreConfig, TableSize, shard_of};
use crate::view::Views;
use crate::worker::{
    Budget, Command, EpochEnd, EpochStart, Exchange, Joining, Message, Policies, Reply, Worker,
    WorkerSetup,
};
use crate::world::World;
use tracing::Span;

/// What the handle and the attempt share.
#[derive(Default)]
pub(crate) struct Control {
    stop: AtomicBool,
    budget: Mutex<Option<Arc<Budget>>>,
}

impl Control {
    /// Asks the job to finish its epoch and end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        let budget = self.budget.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(budget) = &*budget {
            budget.cut();
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Makes the budget of the epoch that begins known, so that a stop cuts it.
    fn begin(&self, budget: &Arc<Budget>) {
        *self.budget.lock().unwrap_or_else(|e| e.into_inner()) = Some(budget.clone());
        if self.is_stopping() {
            budget.cut();
        }
    }
}

/// What an attempt is made from.
pub(crate) struct Attempt<'a> {
    pub(crate) graph: &'a Arc<JobGraph>,
    pub(crate) factory: &'a Arc<dyn KernelFactory>,
    pub(crate) config: &'a Config,
    pub(crate) world: &'a World,
    pub(crate) control: &'a Arc<Control>,
    /// The store and its readers.
    pub(crate) views: &'a Arc<Views>,
    /// What the attempts before have written.
    pub(crate) written: &'a Written,
    /// Where the metrics of this attempt are shown.
    pub(crate) shown: &'a Arc<RwLock<Arc<Metrics>>>,
    pub(crate) started_ms: u64,
    /// Attempts before this one.
    pub(crate) restarts: u64,
    /// Forget epochs and state first.
    pub(crate) fresh: bool,
}

/// How an attempt ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All inputs ended and everything is committed.
    Finished,
    /// It was asked to stop.
    Stopped,
    /// It had finished before.
    AlreadyFinished,
}

/// The workers of an attempt, and how to talk to them.
struct Crew {
    commands: Vec<Sender<Command>>,
    replies: Receiver<Reply>,
    inboxes: Vec<Sender<Message>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Attempt<'_> {
    /// Runs until the job ends or fails.
    ///
    /// # Errors
    /// Why this attempt ended; `retry` says whether another one may help.
    pub(crate) fn run(&self) -> Result<Ended> {
        let started = start::start(self)?;
        if started.record.as_ref().is_some_and(|r| r.finished) {
            return Ok(Ended::AlreadyFinished);
        }
        let now_ms = self.world.clock.monotonic_ms();
        let logs = &*self.world.logs;
        let discovery = Discovery::new(self.graph, &started.partitions, logs, now_ms)?;
        let crew = self.hire(&started)?;
        let mut coordinator = Coordinator {
            attempt: self,
            discovery,
            joined: false,
            feeding: Feeding::new(self.graph),
            follow: Follow::new(When::of(self.config.store, !self.views.specs().is_empty())),
            floor: Arc::new(RwLock::new(vec![i64::MIN; self.graph.streams.len()])),
            partitions: started.partitions,
            marks: started.marks,
            clock: started.record.as_ref().map_or(i64::MIN, |r| r.clock),
            template: started.template,
            committer: started.committer,
            metrics: started.metrics,
            event_time: i64::MIN,
            begun: Instant::now(),
            span: Span::none(),
            looked_ms: self.started_ms,
            crew,
        };
        // What operators had forwarded before the start counts for partitions that were idle.
        coordinator.raise_floor();
        let ended = coordinator.run();
        coordinator.crew.dismiss();
        if ended.is_ok() {
            coordinator.flush_store();
        }
        ended.map_err(|error| self.name_successor(error, &coordinator.committer.epochs_topic))
    }

    /// Adds who has taken the job over: that process commits an epoch as soon as it has started.
    fn name_successor(&self, error: RuntimeError, epochs_topic: &str) -> RuntimeError {
        if error.who != Who::Successor {
            return error;
        }
        let asked = Instant::now();
        loop {
            let home = self.world.logs.home();
            match home.and_then(|home| start::last_record(&home, epochs_topic)) {
                Ok(Some(EpochRecord { pid, host, .. }))
                    if (pid, &host) != (std::process::id(), &start::host_name()) =>
                {
                    return error.with_help(format!("It is process {pid} on host {host}."));
                }
                Ok(_) if asked.elapsed() < SUCCESSOR_WAIT && !self.control.is_stopping() => {
                    std::thread::sleep(SUCCESSOR_LOOK);
                }
                Ok(_) | Err(_) => return error,
            }
        }
    }

    /// Starts the workers.
    fn hire(&self, started: &Started) -> Result<Crew> {
        let workers = self.config.workers(self.graph.settings.shards);
        let hands = assign::deal(&started.partitions, workers);
        let (exchanges, inboxes) = Exchange::connect(workers);
        let policies = Arc::new(Policies::new(self.graph));
        let (reply, replies) = unbounded();
        let mut crew = Crew { commands: Vec::new(), replies, inboxes, threads: Vec::new() };
        let mut made = Vec::new();
        for (id, (exchange, hand)) in exchanges.into_iter().zip(&hands).enumerate() {
            let groups = self.groups(id, workers);
            let mut store = StateStore::new(&StoreConfig {
                specs: &self.graph.tables,
                numbers: &started.numbers,
                groups: &groups,
                disk: Some(started.disk.clone()),
                budget_bytes: self.config.memory.bytes() / workers,
            });
            store.load().map_err(|e| crate::commit::state_error(&e))?;
            made.push(Worker::new(WorkerSetup {
                id,
                graph: self.graph.clone(),
                factory: self.factory.clone(),
                registries: started.registries.clone(),
                view_tables: started.view_tables.clone(),
                inputs: assign::open(self.graph, &started.partitions, hand, self.world)?,
                exchange,
                store,
                groups,
                marks: started.marks.clone(),
                policies: policies.clone(),
                metrics: started.metrics.clone(),
                clock: self.world.clock.clone(),
                batch_rows: self.config.batch_rows,
                memory: self.config.memory.clone(),
                workers,
            })?);
        }
        let span = tracing::Span::current();
        for (id, worker) in made.into_iter().enumerate() {
            let (command, commands) = unbounded();
            let (reply, span) = (reply.clone(), span.clone());
            let thread = std::thread::Builder::new()
                .name(format!("worker-{id}"))
                .stack_size(WORKER_STACK_BYTES)
                .spawn(move || span.in_scope(|| worker.run(&commands, &reply)))
                .map_err(|e| RuntimeError::external(format!("no thread for a worker: {e}")))?;
            crew.commands.push(command);
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    /// The key groups that a worker owns.
    fn groups(&self, worker: usize, workers: usize) -> Vec<u8> {
        let shards = self.graph.settings.shards;
        let owner = |group: u8| shard_of(group, shards) as usize * workers / shards as usize;
        (0..=u8::MAX).filter(|&group| owner(group) == worker).collect()
    }
}

/// A plan may be thousands of operators deep, and rows are pushed depth first.
const WORKER_STACK_BYTES: usize = 32 << 20;

impl Crew {
    /// Ends all workers, also those that wait for others.
    fn dismiss(&mut self) {
        for inbox in &self.inboxes {
            let _ = inbox.send(Message::Abandon);
        }
        for commands in self.commands.drain(..) {
            let _ = commands.send(Command::Stop);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }

    /// Sends a command to all workers.
    fn tell(&self, command: impl Fn() -> Command) {
        for commands in &self.commands {
            let _ = commands.send(command());
        }
    }

    /// The replies of all workers, in their order; or why the epoch failed.
    fn collect(&mut self) -> Result<Vec<EpochEnd>> {
        let mut ends: Vec<Option<EpochEnd>> = self.commands.iter().map(|_| None).collect();
        let mut missing = ends.len();
        while missing > 0 {
            let reply = self.replies.recv_timeout(WORKER_WATCH);
            match reply {
                Ok((worker, Ok(end))) => {
                    ends[worker] = Some(end);
                    missing -= 1;
                }
                Ok((_, Err(error))) => return Err(error),
                Err(_) if self.threads.iter().any(|t| t.is_finished()) => {
                    // A reply may have come between the time-out and the look at the threads.
                    if let Ok((_, Err(error))) = self.replies.try_recv() {
                        return Err(error);
                    }
                    return Err(RuntimeError::internal("a worker panicked; its message is above"));
                }
                Err(_) => {}
            }
        }
        Ok(ends.into_iter().flatten().collect())
    }
}

/// How long a job that was taken over waits to learn by whom, and the pause between two looks.
const SUCCESSOR_WAIT: Duration = Duration::from_secs(10);
const SUCCESSOR_LOOK: Duration = Duration::from_millis(100);

/// How often a job that has nothing to commit looks for a successor, milliseconds.
const TAKEN_OVER_LOOK_MS: u64 = 1_000;

/// How often the coordinator looks whether a silent worker still lives.
const WORKER_WATCH: Duration = Duration::from_millis(500);

/// The loop over epochs.
struct Coordinator<'a> {
    attempt: &'a Attempt<'a>,
    partitions: Vec<Partition>,
    discovery: Discovery,
    /// Whether partitions have joined in that no epoch has noted yet.
    joined: bool,
    marks: Vec<i64>,
    clock: i64,
    template: EpochRecord,
    committer: Committer,
    metrics: Arc<Metrics>,
    feeding: Feeding,
    follow: Follow,
    /// Per stream, the highest watermark that an operator fed by it has forwarded.
    floor: Arc<RwLock<Vec<i64>>>,
    event_time: i64,
    /// When the epoch under way began, and its span.
    begun: Instant,
    span: Span,
    /// When it was looked for a successor, milliseconds of the process's clock.
    looked_ms: u64,
    crew: Crew,
}

impl Coordinator<'_> {
    fn run(&mut self) -> Result<Ended> {
        // The first transaction is made at once: it shows that this process owns the job.
        let mut must = true;
        let mut waiting: Option<EpochOutput> = None;
        loop {
            for found in self.discovery.poll(self.attempt.world.clock.monotonic_ms())? {
                self.join(&found);
            }
            self.begin_epoch()?;
            // The epoch before is committed while this one computes.
            if let Some(output) = waiting.take() {
                self.commit(output)?;
            }
            let ends = self.crew.collect()?;
            let mut output = self.gather(ends);
            let finished = self.partitions.iter().all(|p| p.position.ended);
            let stopping = self.attempt.control.is_stopping();
            output.record.finished = finished;
            output.must = std::mem::take(&mut must) || finished || stopping;
            if finished || stopping {
                self.commit(output)?;
                return Ok(if finished { Ended::Finished } else { Ended::Stopped });
            }
            if output.moved == Moved::Nothing && self.is_taken_over() {
                return Err(RuntimeError::fenced());
            }
            waiting = Some(output);
        }
    }

    /// Lets partitions that were found join in with the epoch that begins.
    fn join(&mut self, found: &Found) {
        let graph = self.attempt.graph;
        let floor = self.floor.read().unwrap_or_else(|e| e.into_inner()).clone();
        let joining = assign::joining(graph, &self.partitions, found, &floor);
        for Partition { position, .. } in &joining {
            let (topic, number, stream) = (&position.topic, position.partition, &position.stream);
            tracing::info!("stream {stream} reads the new partition {topic}-{number}");
        }
        assign::warn_of_lost(graph, &joining, None);
        let shown = self.metrics.add_partitions(joining.iter().map(start::partition_metrics));
        let workers = self.crew.commands.len();
        let mut hands: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for partition in joining {
            let index = self.partitions.len();
            hands[index % workers].push((assign::input(index, &partition), found.log.clone()));
            self.partitions.push(partition);
            self.joined = true;
        }
        for (commands, inputs) in self.crew.commands.iter().zip(hands) {
            let _ = commands.send(Command::Join(Joining { inputs, partitions: shown.clone() }));
        }
    }

    /// Whether another process runs the job now. A process that commits is told by its commit; one
    /// that has nothing to commit looks at the epochs topic, where any other's first act is seen.
    fn is_taken_over(&mut self) -> bool {
        let (writer, topic) = (&self.committer.writer, &self.committer.epochs_topic);
        if writer.is_fenced() {
            return true;
        }
        let now_ms = self.attempt.world.clock.monotonic_ms();
        if now_ms.saturating_sub(self.looked_ms) < TAKEN_OVER_LOOK_MS {
            return false;
        }
        self.looked_ms = now_ms;
        let Some(ours) = writer.written_until(topic, 0) else { return false };
        // Whoever cannot be asked now is asked again.
        let home = self.attempt.world.logs.home();
        let ends = home.and_then(|home| home.offsets(topic, OffsetQuery::End));
        // Behind our last record stands at most the marker that ends its transaction.
        ends.is_ok_and(|ends| ends.first().is_some_and(|&end| end > ours + 1))
    }

    fn begin_epoch(&mut self) -> Result<()> {
        let settings = &self.attempt.graph.settings;
        let interval = Duration::from_millis(settings.commit_interval_ms).min(EPOCH_TIME_MAX);
        self.begun = Instant::now();
        self.span = epoch_span(&self.attempt.graph.name);
        let deadline = self.begun + interval;
        let budget =
            Arc::new(Budget::new(deadline, settings.epoch_max_records, settings.epoch_max_bytes));
        self.attempt.control.begin(&budget);
        let now = match settings.clock {
            ClockSetting::System => self.attempt.world.clock.now_micros(),
            ClockSetting::Event => self.event_time,
            ClockSetting::Fixed(at) => at,
        };
        self.clock = self.clock.max(now);
        let floor = self.floor.clone();
        let silent = {
            let floor = floor.read().unwrap_or_else(|e| e.into_inner());
            self.feeding.silent(&floor, &self.partitions).into()
        };
        let state_bytes = self.metrics.state_memory_bytes.get() as usize;
        let to_disk = self.follow.is_due(state_bytes, self.attempt.config.memory.bytes())?;
        let start = EpochStart { clock: self.clock, budget, floor, silent, to_disk };
        self.crew.tell(|| Command::Epoch(start.clone()));
        Ok(())
    }

    fn commit(&mut self, output: EpochOutput) -> Result<()> {
        let seal = output.state.first().map_or(0, |state| state.changes.seal());
        let changed = output.state.iter().any(|state| !state.changes.is_empty());
        let bytes = changelog_bytes(&output);
        let stored = output.state.iter().any(|state| state.for_disk.is_some());
        match self.committer.commit(output)? {
            Done::Committed(_) if stored => {
                let bytes = self.committer.disk.bytes();
                self.metrics.state_disk_bytes.set(bytes);
                self.follow.store_is_of(bytes);
            }
            Done::Committed(_) => {}
            Done::Merged => assert!(!changed, "changed state is committed"),
        }
        let published = self.follow.committed(seal, bytes, stored);
        self.crew.tell(|| Command::Published(published));
        Ok(())
    }

    /// Brings the local store to disk. Where that fails nothing is lost: all that the store is to
    /// hold is in the changelog.
    fn flush_store(&self) {
        if let Err(error) = self.committer.disk.flush() {
            tracing::warn!(
                "all is committed, but what the next start would find here it has to read from \
                 the changelog: {error}"
            );
        }
    }

    /// Puts together what the workers made of the epoch.
    fn gather(&mut self, ends: Vec<EpochEnd>) -> EpochOutput {
        let mut moved =
            if std::mem::take(&mut self.joined) { Moved::Positions } else { Moved::Nothing };
        let (mut outputs, mut asides, mut state) = (Vec::new(), Vec::new(), Vec::new());
        let mut marks = vec![i64::MAX; self.marks.len()];
        let mut tables = vec![TableSize::default(); self.attempt.graph.tables.len()];
        let (mut state_bytes, mut ended) = (0, self.begun);
        for end in ends {
            ended = ended.max(end.ended);
            for state in &end.inputs {
                let position = &mut self.partitions[state.input].position;
                let now = InputPosition {
                    offset: state.offset,
                    watermark: state.watermark,
                    ended: state.ended,
                    idle: state.idle,
                    ..position.clone()
                };
                if *position != now {
                    *position = now;
                    moved = moved.max(Moved::Positions);
                }
            }
            let wrote = end.wrote;
            let has_output =
                wrote.outputs.iter().any(|(.., staged, n)| !staged.is_empty() || *n > 0);
            if has_output || !wrote.state.changes.is_empty() || !end.aside.is_empty() {
                moved = Moved::Data;
            }
            for (mark, of_worker) in marks.iter_mut().zip(&wrote.marks) {
                *mark = (*mark).min(*of_worker);
            }
            for (operator, counts) in self.metrics.operators.iter().zip(&wrote.counts) {
                operator.add(counts);
            }
            for (table, of_worker) in tables.iter_mut().zip(&wrote.tables) {
                table.add(*of_worker);
            }
            outputs.extend(wrote.outputs);
            asides.extend(end.aside);
            state.push(wrote.state);
            self.event_time = self.event_time.max(end.event_time);
            state_bytes += wrote.state_bytes;
        }
        if moved > Moved::Nothing {
            self.metrics.epoch_durations.note(ended - self.begun);
        }
        // A stable sort: of one sink, the workers' records stay in the workers' order.
        outputs.sort_by_key(|(vertex, ..)| *vertex);
        self.metrics.state_memory_bytes.set(state_bytes as u64);
        self.show_operators(&marks, &tables);
        self.marks = marks;
        self.raise_floor();
        let record = EpochRecord {
            inputs: self.partitions.iter().map(|p| p.position.clone()).collect(),
            clock: self.clock,
            marks: self.named_marks(),
            ..self.template.clone()
        };
        let span = std::mem::replace(&mut self.span, Span::none());
        EpochOutput { outputs, asides, state, record, moved, must: false, span }
    }

    /// Shows the watermarks and tables of the operators.
    fn show_operators(&self, marks: &[i64], tables: &[TableSize]) {
        let mut kept = vec![TableSize::default(); marks.len()];
        for (spec, table) in self.attempt.graph.tables.iter().zip(tables) {
            kept[spec.owner.index()].add(*table);
        }
        for (operator, (mark, kept)) in self.metrics.operators.iter().zip(marks.iter().zip(kept)) {
            operator.watermark.store(*mark, Ordering::Relaxed);
            operator.state_rows.set(kept.rows as u64);
            let most = operator.state_rows_most.get().max(kept.rows as u64);
            operator.state_rows_most.set(most);
            operator.state_bytes.set(kept.bytes as u64);
        }
    }

    /// Operators without state may share a name; the lowest of their watermarks holds for each.
    fn named_marks(&self) -> BTreeMap<String, i64> {
        let mut named = BTreeMap::new();
        for (vertex, &mark) in self.attempt.graph.vertices.iter().zip(&self.marks) {
            let lowest = named.entry(start::mark_name(vertex)).or_insert(mark);
            *lowest = mark.min(*lowest);
        }
        named
    }

    /// Notes how far time has gone on behind each stream.
    fn raise_floor(&self) {
        let mut floor = self.floor.write().unwrap_or_else(|e| e.into_inner());
        self.feeding.raise(&mut floor, &self.marks);
    }
}
