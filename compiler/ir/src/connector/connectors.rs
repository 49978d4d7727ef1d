//! The connectors.

use super::{
    BOTH, ConnectorSpec, DATAGEN, DISCOVERY_INTERVAL, Delivery, FILE, GROUP_ID, KAFKA, NEXMARK,
    OptionKind, OptionSpec, SINK, SOURCE, of, required, text,
};

/// The connectors.
pub const CONNECTORS: &[ConnectorSpec] = &[
    ConnectorSpec {
        name: KAFKA,
        directions: BOTH,
        formatted: true,
        delivery: Delivery::InTransaction,
        refused: &[
            ("topic-pattern", "A stream reads one topic; read several with UNION ALL"),
            ("scan.watermark.emit.strategy", "A watermark moves with each record"),
            ("scan.watermark.emit.on-event.gap", "A watermark moves with each record"),
            ("scan.watermark.alignment.group", ALIGNED),
            ("scan.watermark.alignment.max-drift", ALIGNED),
            ("scan.watermark.alignment.update-interval", ALIGNED),
            ("sink.transaction-naming-strategy", "The transactional id is made of the job's name"),
        ],
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
            of(
                "sink.delivery-guarantee",
                DELIVERIES,
                "Each is met: records are part of the epoch's transaction.",
            ),
            of("sink.semantic", DELIVERIES, "As 'sink.delivery-guarantee'."),
            text(
                "sink.transactional-id-prefix",
                "Taken for Flink's sake: the transactional id is made of the job's name.",
            ),
            of(
                "sink.partitioner",
                OptionKind::OneOf(&["default"]),
                "By the key's hash, as Kafka's own clients; without a key as the rows came.",
            ),
            of("sink.parallelism", OptionKind::Integer, PARALLELISM),
            of("scan.parallelism", OptionKind::Integer, PARALLELISM),
            of(
                "sink.buffer-flush.max-rows",
                OptionKind::Integer,
                "Taken for Flink's sake: a key is written once an epoch.",
            ),
            of(
                "sink.buffer-flush.interval",
                OptionKind::Duration,
                "Taken for Flink's sake: a key is written once an epoch.",
            ),
        ],
    },
    ConnectorSpec {
        name: "case",
        directions: BOTH,
        formatted: false,
        delivery: Delivery::InTransaction,
        refused: &[],
        options: &[
            text("topic", "The topic; the stream's name when left out."),
            of("topic.partitions", OptionKind::Integer, "Partitions of the topic."),
            text("format", "Format of records, json when left out."),
        ],
    },
    ConnectorSpec {
        name: FILE,
        directions: BOTH,
        formatted: true,
        delivery: Delivery::ByPosition,
        refused: &[
            (
                "source.monitor-interval",
                "A folder is listed at the job's first start, and read to its end: what comes \
                 later is read by another start with --fresh",
            ),
            ("source.path.regex-pattern", "A folder is read with all its files"),
            ("auto-compaction", "A sink writes one file"),
            ("sink.rolling-policy.file-size", "A sink writes one file"),
            ("sink.rolling-policy.rollover-interval", "A sink writes one file"),
            ("sink.rolling-policy.check-interval", "A sink writes one file"),
            ("sink.partition-commit.trigger", "A sink writes one file, with no partitions"),
            ("sink.partition-commit.delay", "A sink writes one file, with no partitions"),
            ("sink.partition-commit.policy.kind", "A sink writes one file, with no partitions"),
        ],
        options: &[required(
            "path",
            "The file, or a folder, whose files are read, also those in folders in it; `-` is \
                 standard input or output. What ends in `.gz` is unpacked.",
        )],
    },
    ConnectorSpec {
        name: NEXMARK,
        directions: SOURCE,
        formatted: false,
        delivery: Delivery::AtLeastOnce,
        refused: &[(
            "stop-at",
            "a job that goes on from where it stopped has all its events; say 'events.num'",
        )],
        options: NEXMARK_OPTIONS,
    },
    ConnectorSpec {
        name: DATAGEN,
        directions: SOURCE,
        formatted: false,
        delivery: Delivery::AtLeastOnce,
        refused: &[],
        options: DATAGEN_OPTIONS,
    },
    ConnectorSpec {
        name: "print",
        directions: SINK,
        formatted: false,
        delivery: Delivery::AtLeastOnce,
        refused: &[],
        options: &[
            text("print-identifier", "Stands before each line."),
            of("standard-error", OptionKind::OneOf(&["false"]), "Lines go to standard output."),
            of("sink.parallelism", OptionKind::Integer, PARALLELISM),
        ],
    },
    ConnectorSpec {
        name: "blackhole",
        directions: SINK,
        formatted: false,
        delivery: Delivery::AtLeastOnce,
        refused: &[],
        options: &[],
    },
];

const PARALLELISM: &str = "Taken for Flink's sake: a job has one `parallelism`.";
const ALIGNED: &str = "Partitions are always aligned: SET 'watermark.max.drift'";
const DELIVERIES: OptionKind = OptionKind::OneOf(&["exactly-once", "at-least-once", "none"]);

/// The number that tells one random run from another.
const SEED: OptionSpec =
    of("seed", OptionKind::Integer, "Another number, other values; 0 when left out.");

const PARTITIONS: OptionSpec = of(
    "partitions",
    OptionKind::Integer,
    "Into how many partitions the records are dealt, for as many workers; 1 when left out.",
);

const FIRST_TIME: OptionSpec = text(
    "first-event.time",
    "Event time of the first record: a timestamp, milliseconds since 1970, or `now`, the time of \
     the first start.",
);

const NEXMARK_OPTIONS: &[OptionSpec] = &[
    of(
        "table",
        OptionKind::OneOf(&["person", "auction", "bid"]),
        "Events of one kind, with that kind's columns; all kinds when left out.",
    ),
    of("events.num", OptionKind::Integer, "Events of all kinds in all; 0 or left out: no end."),
    of(
        "next-event.rate",
        OptionKind::Integer,
        "Events of all kinds a second, of event time and of the clock; left out or 0: 10,000 of \
         event time, and as fast as they are taken.",
    ),
    of("first-event.rate", OptionKind::Integer, "Must be as 'next-event.rate': rates are steady."),
    of(
        "rate.limited",
        OptionKind::Boolean,
        "`false`: as fast as they are taken, whatever 'next-event.rate' says of event time.",
    ),
    of("max-emit-speed", OptionKind::Boolean, "`true`: as `'rate.limited' = 'false'`."),
    of("rate.shape", OptionKind::OneOf(&["SQUARE", "SINE"]), "Without effect on a steady rate."),
    of("rate.period", OptionKind::Duration, "Without effect on a steady rate."),
    FIRST_TIME,
    SEED,
    PARTITIONS,
    of("person.proportion", OptionKind::Integer, "Persons among 50 events; 1 when left out."),
    of("auction.proportion", OptionKind::Integer, "Auctions among 50 events; 3 when left out."),
    of("bid.proportion", OptionKind::Integer, "Bids among 50 events; 46 when left out."),
    text("person.avg-size", "Bytes of a person, about; 200 when left out."),
    text("auction.avg-size", "Bytes of an auction, about; 500 when left out."),
    text("bid.avg-size", "Bytes of a bid, about; 100 when left out."),
    of(
        "bid.hot-ratio.auctions",
        OptionKind::Integer,
        "Of so many bids all but one go to a hot auction; 2 when left out.",
    ),
    of(
        "bid.hot-ratio.bidders",
        OptionKind::Integer,
        "Of so many bids all but one are a hot bidder's; 4 when left out.",
    ),
    of(
        "auction.hot-ratio.sellers",
        OptionKind::Integer,
        "Of so many auctions all but one are a hot seller's; 4 when left out.",
    ),
    of("keep-alive", OptionKind::OneOf(&["false"]), "A stream that has no more events ends."),
];

const DATAGEN_OPTIONS: &[OptionSpec] = &[
    of("number-of-rows", OptionKind::Integer, "Rows in all; without end when left out."),
    of(
        "rows-per-second",
        OptionKind::Integer,
        "Rows a second by the clock; 10,000 when left out, 0: as fast as they are taken.",
    ),
    FIRST_TIME,
    SEED,
    PARTITIONS,
    text(
        "fields.*",
        "`fields.COLUMN.kind` is `random` or `sequence`; a sequence has `.start` and `.end`, a \
         random value `.min`, `.max`, `.length`, `.var-len`, `.max-past`, `.null-rate`.",
    ),
    of("scan.parallelism", OptionKind::Integer, PARALLELISM),
];
