//! Runs a case in one regime: a log in memory, a registry in a temporary folder, one job.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::engine::Engine;
use flow_compiler::compile::Compiled;
use flow_compiler::diagnostics::Diagnostic;
use flow_compiler::diagnostics::render::{RenderStyle, render};
use flow_compiler::source::SourceMap;
use flow_ir::connector::{FILE, KAFKA, is_avro, is_bounded, is_generated};
use flow_ir::ids::VertexId;
use flow_ir::kernel::{Headers, Record};
use flow_ir::physical::{JobGraph, PhysicalOp, SinkMode, Stream, decode, encode};
use flow_registry::{FolderRegistry, Registry, Schema};
use flow_runtime::connect::local::LocalLog;
use flow_runtime::connect::{Assignment, Log, NewTopic, OffsetQuery, Outcome, Outgoing};
use flow_runtime::metrics::Metrics;
use flow_runtime::world::{
    Logs, Printer, Registries as JobRegistries, SystemClock, World, warn_of_restart,
};
use flow_runtime::{Config, Memory, RuntimeError, start};

use super::compare::{Produced, difference, fold, text_difference};
use super::faults::{FaultyLog, LOST};
use super::{Case, Regime, Section, Verdict};
use crate::deployment::Deployment;
use crate::driver::{Additions, Stage as DriverStage, compile_with};
use crate::payload::{Shower, Writer};
use crate::registries::Registries;

/// A case that takes longer has come to a halt.
const PATIENCE: Duration = Duration::from_secs(120);

/// Records of an epoch where commits are to fail: few, so that there are many commits.
const CRASHING_EPOCH_RECORDS: u64 = 3;

/// Runs a case in a regime.
pub fn run_in(case: &Case, regime: &Regime) -> Verdict {
    match Stage::set(case).and_then(|stage| stage.differences(case, regime)) {
        Ok(differences) if differences.is_empty() => Verdict::Passed,
        Ok(differences) => {
            let told = differences.into_iter().map(|(_, difference, _)| difference);
            Verdict::Failed(told.collect::<Vec<_>>().join("\n"))
        }
        Err(why) => Verdict::Failed(why),
    }
}

/// Rewrites a case's expectations by what comes out in a regime. Returns whether any changed.
pub(super) fn bless(case: &mut Case, regime: &Regime) -> Result<bool, String> {
    let differences = Stage::set(case)?.differences(case, regime)?;
    let changed = !differences.is_empty();
    for (index, _, actual) in differences {
        case.set_body(index, actual);
    }
    Ok(changed)
}

/// Section, what differs, and what should stand there.
type Difference = (usize, String, String);

/// Where a case runs.
struct Stage {
    folder: tempfile::TempDir,
    sources: SourceMap,
    compiled: Result<Compiled, Vec<Diagnostic>>,
}

impl Stage {
    /// Registers schemas and compiles the program.
    fn set(case: &Case) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let schemas = folder.path().join("schemas");
        std::fs::create_dir_all(&schemas).map_err(|e| e.to_string())?;
        let registry = FolderRegistry::open(&schemas).map_err(|e| e.to_string())?;
        for (section, body) in case.sections() {
            if let Section::Schema(subject) = section {
                let registered = registry.register(subject, &Schema::avro(body));
                registered.map_err(|e| format!("schema {subject}: {e}"))?;
            }
        }
        let mut sources = SourceMap::new();
        let stem = case.path.file_stem().map_or("case".into(), |s| s.to_string_lossy());
        sources.add(format!("{stem}.flow"), case.program().unwrap_or_default());
        let registries = Registries::with_local(Some(folder.path()));
        let compiled = compile_with(&sources, &registries, &Additions::default());
        Ok(Self { folder, sources, compiled })
    }

    /// What is not as expected, by section.
    fn differences(self, case: &Case, regime: &Regime) -> Result<Vec<Difference>, String> {
        let mut out = Vec::new();
        let expects_errors = case.sections().any(|(s, _)| *s == Section::Errors);
        let found = match &self.compiled {
            Ok(compiled) => [compiled.diagnostics.clone(), compiled.unbounded_state()].concat(),
            Err(diagnostics) => diagnostics.clone(),
        };
        let rendered = render(&found, &self.sources, RenderStyle::Plain);
        let Ok(compiled) = &self.compiled else {
            if !expects_errors {
                return Err(format!("the program has mistakes:\n{rendered}"));
            }
            note_text(case, &Section::Errors, &rendered, &mut out);
            return Ok(out);
        };
        note_text(case, &Section::Errors, &rendered, &mut out);
        for (name, stage) in DriverStage::ALL {
            let section = Section::Explain(name.into());
            note_text(case, &section, &stage.explain(compiled), &mut out);
        }
        if case.runs_a_job() {
            let graph = match regime.artifact {
                true => decode(&encode(&compiled.graph)).map_err(|e| e.to_string())?,
                false => compiled.graph.clone(),
            };
            Run { case, regime, folder: self.folder.path(), graph }.differences(&mut out)?;
        }
        Ok(out)
    }
}

/// Compares a section's text, if the case has the section.
fn note_text(case: &Case, wanted: &Section, actual: &str, out: &mut Vec<Difference>) {
    for (index, (section, body)) in case.sections().enumerate() {
        if section == wanted
            && let Some(difference) = text_difference(body, actual)
        {
            out.push((index, format!("{section:?}:\n{difference}"), actual.to_string()));
        }
    }
}

/// One job of a case.
struct Run<'a> {
    case: &'a Case,
    regime: &'a Regime,
    folder: &'a Path,
    graph: JobGraph,
}

impl Run<'_> {
    fn differences(mut self, out: &mut Vec<Difference>) -> Result<(), String> {
        self.end_topics();
        let log: Arc<dyn Log> = Arc::new(LocalLog::memory());
        self.create_topics(&log)?;
        self.feed(&log)?;
        if self.regime.crashes {
            self.graph.settings.epoch_max_records = CRASHING_EPOCH_RECORDS;
        }
        let ended = self.run_job(&log);
        let wanted = self.case.sections().enumerate().find(|(_, (s, _))| **s == Section::Fails);
        match (wanted, ended) {
            (None, Err(error)) => return Err(format!("the job failed: {error}")),
            (Some(_), Ok(())) => return Err("the job should fail, and does not".into()),
            (Some((index, (_, body))), Err(error)) => {
                let error = error.to_string();
                if let Some(difference) = text_difference(body, &error) {
                    out.push((index, format!("fails:\n{difference}"), format!("{error}\n")));
                }
            }
            (None, Ok(())) => {}
        }
        for (index, (section, body)) in self.case.sections().enumerate() {
            let Section::Expect(name) = section else { continue };
            let lines = self.output(&log, name)?;
            if let Some(difference) = difference(body, &lines) {
                let actual = lines.iter().map(|line| format!("{line}\n")).collect();
                out.push((index, format!("expect {name}:\n{difference}"), actual));
            }
        }
        Ok(())
    }

    /// Has the topics that are read end where the records do that are fed, also those that a
    /// program reads on and on.
    fn end_topics(&mut self) {
        for vertex in &self.graph.vertices {
            let PhysicalOp::Source(source) = &vertex.op else { continue };
            let stream = &mut self.graph.streams[source.stream.index()];
            let ends = is_bounded(&stream.connector, |name| stream.option(name));
            if stream.connector == KAFKA && !ends {
                stream.options.insert("scan.bounded.mode".into(), "latest-offset".into());
            }
        }
    }

    fn stream(&self, name: &str) -> Option<&Stream> {
        self.graph.streams.iter().find(|s| s.name == name)
    }

    fn topic<'s>(&'s self, name: &'s str) -> &'s str {
        self.stream(name).map_or(name, |s| s.option("topic").unwrap_or(&s.name))
    }

    /// Creates the topics that are read, with as many partitions as are fed.
    fn create_topics(&self, log: &Arc<dyn Log>) -> Result<(), String> {
        for vertex in &self.graph.vertices {
            let PhysicalOp::Source(source) = &vertex.op else { continue };
            let stream = self.graph.stream(source.stream);
            if stream.connector == FILE || is_generated(&stream.connector) {
                continue;
            }
            let fed = self.case.sections().filter_map(|(section, _)| {
                let Section::Feed(name, partition) = section else { return None };
                (*name == stream.name).then_some(partition + 1)
            });
            let given = stream.option("topic.partitions").and_then(|n| n.parse().ok());
            let topic = NewTopic {
                name: self.topic(&stream.name).to_string(),
                partitions: fed.chain(given).max().unwrap_or(1),
                compacted: false,
                config: Vec::new(),
            };
            log.create_topic(&topic).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Writes the records of all feeds. A line may begin with a key and a tab; the value `null`
    /// is then a tombstone, and behind another tab may stand headers, as an object of texts.
    fn feed(&self, log: &Arc<dyn Log>) -> Result<(), String> {
        let mut writer = log.writer("feed").map_err(|e| e.to_string())?;
        for (section, body) in self.case.sections() {
            let Section::Feed(name, partition) = section else { continue };
            let topic = self.topic(name);
            let avro =
                self.stream(name).is_some_and(|s| s.value_format.as_deref().is_some_and(is_avro));
            let mut payloads = match avro {
                true => {
                    let registry = Registries::of_folder(self.folder).map_err(|e| e.to_string())?;
                    Writer::avro(topic, &*registry).map_err(|e| e.message)?
                }
                false => Writer::Json,
            };
            writer.begin().map_err(|e| e.to_string())?;
            for line in body.lines().filter(|line| !line.trim().is_empty()) {
                let mut parts = line.splitn(3, '\t');
                let (first, second) = (parts.next().unwrap_or(line), parts.next());
                let (key, value) = match second {
                    Some(value) => (Some(first.as_bytes()), value),
                    None => (None, first),
                };
                let headers = parts.next().map_or(Ok(Vec::new()), headers)?;
                let value = match (key, value) {
                    (Some(_), "null") => None,
                    // What is no JSON is fed as it is: bad input is a case too.
                    _ if !avro => Some(value.as_bytes().to_vec()),
                    _ => Some(payloads.encode(value, None)?.1),
                };
                let record = Outgoing {
                    topic,
                    partition: *partition,
                    key,
                    value: value.as_deref(),
                    timestamp: Some(0),
                    headers: Headers(&headers),
                };
                writer.send(&record).map_err(|e| format!("feed {name}: {e}"))?;
            }
            assert_eq!(writer.commit(), Outcome::Committed, "a log in memory takes everything");
        }
        Ok(())
    }

    fn run_job(&self, log: &Arc<dyn Log>) -> Result<(), RuntimeError> {
        let mut config = Config::new(self.folder.join("state"));
        config.parallelism = Some(self.regime.parallelism);
        config.batch_rows = self.regime.batch_rows;
        match self.regime.spilled {
            true => config.memory = Memory::new(0),
            false => config.store = Deployment::of(&self.graph.settings).store,
        }
        let log = match self.regime.crashes {
            true => Arc::new(FaultyLog::new(log.clone())) as Arc<dyn Log>,
            false => log.clone(),
        };
        let silent = Arc::new(Silent::default());
        let world = World {
            clock: Arc::new(SystemClock::default()),
            logs: Arc::new(OneLog(log)),
            registries: Arc::new(OneFolder(Registries::with_local(Some(self.folder)))),
            printer: silent.clone(),
        };
        let engine = match self.regime.native {
            true => Engine::verifying()?,
            false => Engine::new(true),
        };
        let job = start(self.graph.clone(), engine.factory(), config, world)?;
        let began = Instant::now();
        while !job.is_finished() {
            if began.elapsed() > PATIENCE {
                return Err(RuntimeError::internal("the job has come to a halt"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let metrics = job.metrics();
        job.join()?;
        let (told, counted) = (silent.0.load(Ordering::Relaxed), metrics.restarts.get());
        if told != counted {
            let why = format!("{told} restarts were told, and {counted} counted");
            return Err(RuntimeError::internal(why));
        }
        counts_agree(&metrics).map_err(RuntimeError::internal)
    }

    /// What came out of a stream or topic, folded.
    fn output(&self, log: &Arc<dyn Log>, name: &str) -> Result<Vec<String>, String> {
        let mode = self.graph.vertices.iter().find_map(|vertex| {
            let PhysicalOp::Sink(sink) = &vertex.op else { return None };
            (self.graph.stream(sink.stream).name == name).then_some(sink.mode)
        });
        let records = self.read(log, self.topic(name)).map_err(|e| e.to_string())?;
        fold(records, mode.unwrap_or(SinkMode::Append)).map_err(|e| format!("{name}: {e}"))
    }

    fn read(&self, log: &Arc<dyn Log>, topic: &str) -> Result<Vec<Produced>, RuntimeError> {
        let mut shower = Shower::new(Registries::of_folder(self.folder).ok());
        let mut all = Vec::new();
        for (partition, end) in log.offsets(topic, OffsetQuery::End)?.into_iter().enumerate() {
            let partition = partition as u32;
            let start = Assignment { topic: topic.to_string(), partition, offset: 0 };
            let mut reader = log.reader(&[start])?;
            while reader.position(0) < end {
                let Some(fetched) = reader.poll(Duration::ZERO)? else { continue };
                let mut records: Vec<Record<'_>> = Vec::new();
                fetched.batch.records(&mut records);
                all.extend(records.iter().map(|r| Produced {
                    key: r.key.map(<[u8]>::to_vec),
                    value: r.value.map(|value| shower.show(Some(value))),
                }));
            }
        }
        Ok(all)
    }
}

/// A law of what is counted: a source takes in the records of its stream, and what goes out of an
/// operator comes into each of its readers. A map that a source does is counted with it.
fn counts_agree(metrics: &Metrics) -> Result<(), String> {
    let sent_by = |id: VertexId| {
        let operator = &metrics.operators[id.index()];
        let by = operator.done_by.map_or(operator, |by| &metrics.operators[by.index()]);
        by.rows_out.get()
    };
    for (id, vertex, operator) in metrics.by_operator().filter(|(_, _, o)| o.done_by.is_none()) {
        let sent = if let PhysicalOp::Source(source) = &vertex.op {
            metrics.streams[source.stream.index()].records_in.get()
        } else {
            let inputs = metrics.graph.inputs(id).into_iter();
            inputs.map(|edge| sent_by(edge.from)).sum()
        };
        let came = operator.rows_in.get();
        if sent != came {
            return Err(format!("{sent} rows are counted out to {}, and {came} in", vertex.name));
        }
    }
    Ok(())
}

/// One log for all streams.
struct OneLog(Arc<dyn Log>);

impl Logs for OneLog {
    fn home(&self) -> flow_runtime::Result<Arc<dyn Log>> {
        Ok(self.0.clone())
    }

    fn of(&self, _: &Stream) -> flow_runtime::Result<Arc<dyn Log>> {
        Ok(self.0.clone())
    }
}

/// The registry of the case's folder.
struct OneFolder(Registries);

impl JobRegistries for OneFolder {
    fn of(&self, stream: &Stream) -> flow_runtime::Result<Arc<dyn Registry>> {
        let found = self.0.get(None, &stream.options);
        let found = found.map_err(|e| RuntimeError::user(e.to_string()))?;
        found.ok_or_else(|| RuntimeError::internal("the case has a registry"))
    }
}

/// Nowhere; a fault that the regime injects is nothing to tell either. Counts restarts.
#[derive(Default)]
struct Silent(AtomicU64);

impl Printer for Silent {
    fn line(&self, _: &str, _: &str) {}

    fn restart(&self, error: &RuntimeError) {
        self.0.fetch_add(1, Ordering::Relaxed);
        if error.message != LOST {
            warn_of_restart(error);
        }
    }
}

/// The headers of a record that a feed writes as an object: texts, and `null`.
fn headers(written: &str) -> Result<Vec<u8>, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(written).map_err(|e| format!("headers {written}: {e}"))?;
    let mut headers = Vec::new();
    for (name, value) in &object {
        Headers::push(name, value.as_str().map(str::as_bytes), &mut headers);
    }
    Ok(headers)
}
