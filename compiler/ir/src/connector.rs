//! What WITH (…) may say, as data: connectors, formats and their options. The checker reads it
//! without linking any connector; a test of the runtime asserts that each has an implementation.

mod connectors;
mod formats;
mod values;

pub use connectors::CONNECTORS;
pub use formats::FORMATS;
pub use values::{parse_duration, parse_offsets, parse_size};

/// The connector of topics.
pub const KAFKA: &str = "kafka";

/// The connector of files and folders.
pub const FILE: &str = "file";

/// The format of Debezium's envelopes in JSON.
pub const DEBEZIUM_JSON: &str = "debezium-json";

/// The format of Debezium's envelopes in Avro, with a registry.
pub const DEBEZIUM_AVRO: &str = "debezium-avro-confluent";

/// What Canal says of rows, in JSON.
pub const CANAL_JSON: &str = "canal-json";

/// What Maxwell says of rows, in JSON.
pub const MAXWELL_JSON: &str = "maxwell-json";

/// What Oracle's GoldenGate says of rows, in JSON.
pub const OGG_JSON: &str = "ogg-json";

/// The connector that makes the events of the Nexmark benchmark.
pub const NEXMARK: &str = "nexmark";

/// The connector that makes rows of any columns.
pub const DATAGEN: &str = "datagen";

/// How often topics are looked up for new partitions.
pub const DISCOVERY_INTERVAL: &str = "scan.topic-partition-discovery.interval";

/// The connector of materialized views, which no program can name. A stream with the option
/// `VIEW_OF` is an index: the rows of that view in another order.
pub const VIEW: &str = "view";

/// Names the view that an index belongs to.
pub const VIEW_OF: &str = "of";

/// Names the job that keeps a view, where it is another one.
pub const VIEW_JOB: &str = "job";

/// Names the table that holds a view's rows in the job that keeps it (`JobGraph::table_name`),
/// where a program reads them from that job's changelog.
pub const VIEW_TABLE: &str = "view.table";

/// Says, beside `VIEW_TABLE`, that the view has no key: equal rows are counted. Its table has all
/// columns in the key, and for each row how often it is there.
pub const VIEW_COUNTED: &str = "view.counted";

/// The connector of what an ad-hoc query answers with; no program can name it.
pub const ANSWER: &str = "answer";

/// Names the consumer group whose offsets the modes `group-offsets` mean.
pub const GROUP_ID: &str = "properties.group.id";

/// Options that a mode needs: the option that chooses it, the mode, and what it needs.
pub const MODE_NEEDS: &[(&str, &str, &str)] = &[
    ("scan.startup.mode", "timestamp", "scan.startup.timestamp-millis"),
    ("scan.startup.mode", "group-offsets", GROUP_ID),
    ("scan.startup.mode", "specific-offsets", "scan.startup.specific-offsets"),
    ("scan.bounded.mode", "timestamp", "scan.bounded.timestamp-millis"),
    ("scan.bounded.mode", "group-offsets", GROUP_ID),
    ("scan.bounded.mode", "specific-offsets", "scan.bounded.specific-offsets"),
];

/// Whether a connector can be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directions {
    /// May stand in FROM.
    pub source: bool,
    /// May stand after INSERT INTO.
    pub sink: bool,
}

/// Which values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A time such as `5 s`, `100 ms`, `1 min`.
    Duration,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Column names separated by `;` or `,`.
    Columns,
    /// Offsets of partitions, as `parse_offsets` reads them.
    Offsets,
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its name; one that ends in `*` stands for all that begin so.
    pub name: &'static str,
    /// Which values it takes.
    pub kind: OptionKind,
    /// Whether it must be given.
    pub required: bool,
    /// What it does, one sentence.
    pub doc: &'static str,
}

/// How a sink's output relates to the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In the epoch's transaction.
    InTransaction,
    /// Truncated to the epoch record at a restart.
    ByPosition,
    /// Shown once or more: for people to look at.
    AtLeastOnce,
}

/// A connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectorSpec {
    /// Name in `'connector' = …`.
    pub name: &'static str,
    /// What it can do.
    pub directions: Directions,
    /// Its options, formats' apart.
    pub options: &'static [OptionSpec],
    /// Whether its records have a format.
    pub formatted: bool,
    /// How sinks deliver.
    pub delivery: Delivery,
    /// Options that other engines have under this name, and why there is no such option here.
    pub refused: &'static [(&'static str, &'static str)],
}

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatSpec {
    /// Name in `'format' = …`.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it can do.
    pub directions: Directions,
    /// Whether it may be a key's format.
    pub for_keys: bool,
    /// Its options, with their prefix.
    pub options: &'static [OptionSpec],
}

const fn text(name: &'static str, doc: &'static str) -> OptionSpec {
    OptionSpec { name, kind: OptionKind::Text, required: false, doc }
}

const fn required(name: &'static str, doc: &'static str) -> OptionSpec {
    OptionSpec { name, kind: OptionKind::Text, required: true, doc }
}

const fn of(name: &'static str, kind: OptionKind, doc: &'static str) -> OptionSpec {
    OptionSpec { name, kind, required: false, doc }
}

const BOTH: Directions = Directions { source: true, sink: true };
const SOURCE: Directions = Directions { source: true, sink: false };
const SINK: Directions = Directions { source: false, sink: true };

/// Options that every stream takes, whatever its connector.
pub const STREAM_OPTIONS: &[OptionSpec] = &[
    required(
        "connector",
        "Where the records are: kafka, file, nexmark, datagen, print, blackhole.",
    ),
    text("format", "Format of keys and values."),
    text("value.format", "Format of values."),
    text("key.format", "Format of keys."),
    of("key.fields", OptionKind::Columns, "The columns that make the record key."),
    text("key.fields-prefix", "Prefix of the key's columns that is not in the key itself."),
    of(
        "value.fields-include",
        OptionKind::OneOf(&["ALL", "EXCEPT_KEY"]),
        "Whether the value holds the key's columns too.",
    ),
    of("error.policy", OptionKind::OneOf(&["fail", "skip", "null"]), "What a bad record does."),
    text("dead_letter", "Topic that takes records which cannot be read or computed."),
    text("late.topic", "Topic that takes records which came too late."),
    of("allowed.lateness", OptionKind::Duration, "How long windows stay open for late rows."),
    of("idle.timeout", OptionKind::Duration, "When a silent partition stops holding time back."),
    of("scan.watermark.idle-timeout", OptionKind::Duration, "Flink's name of 'idle.timeout'."),
    of("max.future.skew", OptionKind::Duration, "Records dated further ahead leave time alone."),
];

/// The connector of this name.
pub fn connector(name: &str) -> Option<&'static ConnectorSpec> {
    CONNECTORS.iter().find(|c| c.name == name)
}

/// Whether records of a format say what happened to a row: which was there before, and which is
/// there after.
pub fn is_changelog(format: &str) -> bool {
    matches!(format, DEBEZIUM_JSON | DEBEZIUM_AVRO | CANAL_JSON | MAXWELL_JSON | OGG_JSON)
}

/// Whether rows of a format are JSON objects, whatever stands around them.
pub fn is_json(format: &str) -> bool {
    matches!(format, "json" | DEBEZIUM_JSON | CANAL_JSON | MAXWELL_JSON | OGG_JSON)
}

/// Whether payloads of a format are Avro data, whatever stands around the rows in them.
pub fn is_avro(format: &str) -> bool {
    matches!(format, "avro" | DEBEZIUM_AVRO)
}

/// Whether a connector makes its records itself, each from its number alone.
pub fn is_generated(connector: &str) -> bool {
    matches!(connector, NEXMARK | DATAGEN)
}

/// Whether what a stream of this connector gives ends by itself; options by name.
pub fn is_bounded<'a>(connector: &str, option: impl Fn(&str) -> Option<&'a str>) -> bool {
    match connector {
        FILE => true,
        NEXMARK => option("events.num").is_some_and(|n| n.parse::<u64>().is_ok_and(|n| n > 0)),
        DATAGEN => option("number-of-rows").is_some(),
        _ => option("scan.bounded.mode").is_some_and(|mode| mode != "unbounded"),
    }
}

/// The format of this name or alias.
pub fn format(name: &str) -> Option<&'static FormatSpec> {
    FORMATS.iter().find(|f| f.name == name || f.aliases.contains(&name))
}

impl OptionSpec {
    /// Whether an option of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => name.len() > prefix.len() && name.starts_with(prefix),
            None => self.name == name,
        }
    }
}
