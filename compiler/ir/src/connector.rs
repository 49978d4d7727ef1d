//! What WITH (…) may say, as data: connectors, formats and their options. The checker reads it
//! without linking any connector; a test of the runtime asserts that each has an implementation.

use std::collections::BTreeMap;

/// The connector of topics.
pub const KAFKA: &str = "kafka";

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
const SINK: Directions = Directions { source: false, sink: true };

/// Options that every stream takes, whatever its connector.
pub const STREAM_OPTIONS: &[OptionSpec] = &[
    required("connector", "Where the records are: kafka, file, print, blackhole."),
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
    of("max.future.skew", OptionKind::Duration, "Records dated further ahead leave time alone."),
];

/// The connectors.
pub const CONNECTORS: &[ConnectorSpec] = &[
    ConnectorSpec {
        name: KAFKA,
        directions: BOTH,
        formatted: true,
        delivery: Delivery::InTransaction,
        options: &[
            text("topic", "The topic; the stream's name when left out."),
            text("properties.bootstrap.servers", "Addresses of brokers, HOST:PORT."),
            text(GROUP_ID, "For mode group-offsets: the group whose offsets are meant."),
            text("properties.*", "Passed to the Kafka client."),
            of(
                "scan.startup.mode",
                OptionKind::OneOf(&[
                    "earliest-offset",
                    "latest-offset",
                    "timestamp",
                    "group-offsets",
                    "specific-offsets",
                ]),
                "Where the first start begins.",
            ),
            of(
                "scan.startup.timestamp-millis",
                OptionKind::Integer,
                "For mode timestamp: milliseconds since 1970.",
            ),
            of(
                "scan.startup.specific-offsets",
                OptionKind::Offsets,
                "For mode specific-offsets: the first offset of partitions; others begin at the \
                 earliest.",
            ),
            of(
                "scan.bounded.mode",
                OptionKind::OneOf(&[
                    "unbounded",
                    "latest-offset",
                    "timestamp",
                    "group-offsets",
                    "specific-offsets",
                ]),
                "Whether the job ends, and where: at offsets found at its first start.",
            ),
            of(
                "scan.bounded.timestamp-millis",
                OptionKind::Integer,
                "For mode timestamp: milliseconds since 1970; the first record of that time or a \
                 later one is not read.",
            ),
            of(
                "scan.bounded.specific-offsets",
                OptionKind::Offsets,
                "For mode specific-offsets: the first offset that is not read; nothing of other \
                 partitions is.",
            ),
            of(
                DISCOVERY_INTERVAL,
                OptionKind::Duration,
                "How often the topic is looked up for partitions that were added; 5 min when left \
                 out, 0: at starts only.",
            ),
            of(
                "scan.lost-records",
                OptionKind::OneOf(&["fail", "skip"]),
                "What a start does when records that it has not read are gone.",
            ),
            of("topic.partitions", OptionKind::Integer, "Partitions of a topic that is created."),
            of("sink.epoch-header", OptionKind::Boolean, "Adds the epoch as a record header."),
        ],
    },
    ConnectorSpec {
        name: "case",
        directions: BOTH,
        formatted: false,
        delivery: Delivery::InTransaction,
        options: &[
            text("topic", "The topic; the stream's name when left out."),
            of("topic.partitions", OptionKind::Integer, "Partitions of the topic."),
            text("format", "Format of records, json when left out."),
        ],
    },
    ConnectorSpec {
        name: "file",
        directions: BOTH,
        formatted: true,
        delivery: Delivery::ByPosition,
        options: &[required("path", "The file; `-` is standard input or output.")],
    },
    ConnectorSpec {
        name: "print",
        directions: SINK,
        formatted: false,
        delivery: Delivery::AtLeastOnce,
        options: &[text("print-identifier", "Stands before each line.")],
    },
    ConnectorSpec {
        name: "blackhole",
        directions: SINK,
        formatted: false,
        delivery: Delivery::AtLeastOnce,
        options: &[],
    },
];

const JSON_TIMESTAMP: OptionSpec =
    of("json.timestamp", OptionKind::OneOf(&["iso", "millis"]), "How timestamps are written.");

/// The formats.
pub const FORMATS: &[FormatSpec] = &[
    FormatSpec {
        name: "avro",
        aliases: &["avro-confluent"],
        directions: BOTH,
        for_keys: true,
        options: &[
            text("avro-confluent.url", "Address of the schema registry, or a folder of schemas."),
            text("avro-confluent.subject", "Subject of the schema, TOPIC-value when left out."),
            text("avro-confluent.basic-auth.user-info", "USER:PASSWORD for the registry."),
            text("avro-confluent.basic-auth.credentials-source", "Taken for Flink's sake."),
            text("avro-confluent.bearer-auth.token", "Token for the registry."),
            text("avro-confluent.bearer-auth.credentials-source", "Taken for Flink's sake."),
            text("avro-confluent.ssl.ca.location", "PEM file with the certificates to trust."),
            of("avro.bare", OptionKind::Boolean, "Payloads without the registry's framing."),
        ],
    },
    FormatSpec {
        name: "json",
        aliases: &[],
        directions: BOTH,
        for_keys: true,
        options: &[JSON_TIMESTAMP],
    },
    FormatSpec { name: "raw", aliases: &[], directions: BOTH, for_keys: true, options: &[] },
    FormatSpec {
        name: "debezium-json",
        aliases: &[],
        directions: SINK,
        for_keys: false,
        options: &[JSON_TIMESTAMP],
    },
];

/// The connector of this name.
pub fn connector(name: &str) -> Option<&'static ConnectorSpec> {
    CONNECTORS.iter().find(|c| c.name == name)
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

/// A time such as `5 s`, `100 ms`, `1 min`, `1h 30min` in microseconds; a bare number is seconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let micros = match unit.to_ascii_lowercase().as_str() {
            "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1,
            "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000,
            "" if rest == text.trim() && next.is_empty() => 1_000_000,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000_000,
            "h" | "hour" | "hours" => 3_600_000_000,
            "d" | "day" | "days" => 86_400_000_000,
            _ => return None,
        };
        let number: i64 = number.parse().ok()?;
        total = total.checked_add(number.checked_mul(micros)?)?;
        rest = next.trim_start();
    }
    Some(total)
}

/// Offsets by partition: `partition:0,offset:42;partition:1,offset:300`. `None` if the text is
/// none, or names a partition twice.
pub fn parse_offsets(text: &str) -> Option<BTreeMap<u32, i64>> {
    let mut offsets = BTreeMap::new();
    for pair in text.trim().trim_end_matches(';').split(';') {
        let (partition, offset) = pair.split_once(',')?;
        let partition = partition.trim().strip_prefix("partition:")?.trim().parse().ok()?;
        let offset: u64 = offset.trim().strip_prefix("offset:")?.trim().parse().ok()?;
        if offsets.insert(partition, i64::try_from(offset).ok()?).is_some() {
            return None;
        }
    }
    Some(offsets)
}

/// A size such as `64 MB`, `512 kb`, `1g` in bytes, by powers of 1,024; a bare number is bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(parse_duration("100 ms"), Some(100_000));
        assert_eq!(parse_duration("5"), Some(5_000_000));
        assert_eq!(parse_duration("1h 30min"), Some(5_400_000_000));
        for bad in ["", "x", "5 parsecs", "-1 s", "1 s 5", "99999999999999999 d"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert_eq!(parse_size("64 MB"), Some(64 << 20));
        assert_eq!(parse_size("7"), Some(7));
        for bad in ["", "MB", "1.5 GB", "99999999999 TB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn offsets_by_partition() {
        let offsets = |text| parse_offsets(text).map(|o| o.into_iter().collect::<Vec<_>>());
        let two = Some(vec![(0, 42), (1, 300)]);
        assert_eq!(offsets("partition:0,offset:42;partition:1,offset:300"), two);
        assert_eq!(offsets(" partition: 1, offset: 300; partition:0,offset:42; "), two);
        for bad in [
            "",
            ";",
            "0:42",
            "partition:0",
            "partition:0,offset:-1",
            "partition:0,offset:1;;partition:1,offset:1",
            "partition:0,offset:1;partition:0,offset:2",
            "partition:0,offset:99999999999999999999",
        ] {
            assert_eq!(offsets(bad), None, "{bad}");
        }
    }
}
