//! Kafka clusters of a job: which stream is on which, and which one the job commits on.
//!
//! A stream's client has the properties of its options, else those of the program's settings, else
//! those that the process gives all its jobs, else the address in KAFKA_BOOTSTRAP_SERVERS. Streams
//! with equal properties share one client. The home cluster is that of the first sink on Kafka,
//! else of the first source there. Views of other jobs are on the cluster of streams that name
//! none; where nothing names that, on the home cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flow_ir::connector::VIEW;
use flow_ir::ids::StreamId;
use flow_ir::physical::{JobGraph, PhysicalOp, Stream};
use flow_runtime::connect::Log;
use flow_runtime::connect::kafka::{BOOTSTRAP_SERVERS, KafkaLog};
use flow_runtime::error::{Result, RuntimeError};
use flow_runtime::world::Logs;

use crate::secrets::Secrets;

/// Prefix of the options that are properties of Kafka's client.
const PREFIX: &str = "properties.";

/// The environment variable that names the brokers of streams that name none.
pub const SERVERS_VARIABLE: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// Properties of a client, without the prefix.
pub type Properties = BTreeMap<String, String>;

/// All clusters of a job.
pub struct Clusters {
    /// What the program's settings and the environment say.
    defaults: Properties,
    /// The stream whose cluster is the job's home.
    home: Stream,
    secrets: Secrets,
    open: Mutex<BTreeMap<Properties, Arc<dyn Log>>>,
}

/// Properties of clients for which nothing is said: the address in the environment, if any.
pub fn properties_of_environment() -> Properties {
    let address = std::env::var(SERVERS_VARIABLE).ok();
    address.map(|servers| (BOOTSTRAP_SERVERS.to_string(), servers)).into_iter().collect()
}

impl Clusters {
    /// The clusters of a job; `None` if it neither reads nor writes Kafka, nor a view of a job that
    /// may be there. `given` are properties
    /// for what the program leaves open.
    pub fn of_job(graph: &JobGraph, given: &Properties, secrets: &Secrets) -> Option<Self> {
        let on_kafka = |id: &StreamId| graph.stream(*id).connector == "kafka";
        let (mut sinks, mut sources) = (Vec::new(), Vec::new());
        for vertex in &graph.vertices {
            if let PhysicalOp::Sink(sink) = &vertex.op {
                sinks.push(sink.stream);
            } else if let PhysicalOp::Source(source) = &vertex.op {
                sources.push(source.stream);
            }
        }
        let is_view = |id: &&StreamId| graph.stream(**id).connector == VIEW;
        let view = sources.iter().find(is_view).copied();
        let home = sinks.into_iter().chain(sources).find(on_kafka).or(view)?;
        let home = graph.stream(home).clone();
        let mut defaults = properties_of_environment();
        defaults.extend(given.clone());
        defaults.extend(properties(&graph.settings.other));
        Some(Self { defaults, home, secrets: secrets.clone(), open: Mutex::default() })
    }
}

/// The client properties among options.
fn properties(options: &BTreeMap<String, String>) -> Properties {
    let own = |(name, value): (&String, &String)| {
        name.strip_prefix(PREFIX).map(|name| (name.to_string(), value.clone()))
    };
    options.iter().filter_map(own).collect()
}

impl Logs for Clusters {
    fn home(&self) -> Result<Arc<dyn Log>> {
        self.of(&self.home)
    }

    fn of(&self, stream: &Stream) -> Result<Arc<dyn Log>> {
        let mut wanted = self.defaults.clone();
        let at_home = stream.connector == VIEW && !wanted.contains_key(BOOTSTRAP_SERVERS);
        wanted.extend(properties(if at_home { &self.home.options } else { &stream.options }));
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(log) = open.get(&wanted) {
            return Ok(log.clone());
        }
        let told = |why: String| RuntimeError::user(format!("stream {}: {why}", stream.name));
        let filled = self.secrets.fill(&wanted).map_err(told)?;
        if !filled.contains_key(BOOTSTRAP_SERVERS) {
            return Err(told("nothing says which Kafka cluster it is on".into()).with_help(format!(
                "Set '{PREFIX}{BOOTSTRAP_SERVERS}' to HOST:PORT in the stream's options or with \
                 SET, or the environment variable {SERVERS_VARIABLE}; or run on the embedded log \
                 with --local DIR."
            )));
        }
        let log: Arc<dyn Log> = Arc::new(KafkaLog::open(&filled).map_err(|mut error| {
            error.message = self.secrets.hide(&wanted, &error.message);
            error
        })?);
        open.insert(wanted, log.clone());
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_ir::physical::Settings;

    #[test]
    fn only_client_properties_are_taken_and_lose_their_prefix() {
        let option = |name: &str| (name.to_string(), "v".to_string());
        let options = [option("properties.sasl.username"), option("topic"), option("properties")];
        let taken = properties(&options.into_iter().collect());
        assert_eq!(taken.into_keys().collect::<Vec<_>>(), ["sasl.username"]);
    }

    #[test]
    fn a_job_without_kafka_has_no_clusters() {
        let graph = JobGraph {
            name: "j".into(),
            settings: Settings::default(),
            streams: Vec::new(),
            vertices: Vec::new(),
            edges: Vec::new(),
            tables: Vec::new(),
            sites: Vec::new(),
            sources: Vec::new(),
        };
        assert!(Clusters::of_job(&graph, &Properties::new(), &Secrets::default()).is_none());
    }
}
