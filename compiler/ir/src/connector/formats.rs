//! The formats.

use super::{
    BOTH, DEBEZIUM_AVRO, DEBEZIUM_JSON, FormatSpec, OptionKind, OptionSpec, SOURCE, of, text,
};

const JSON_TIMESTAMP: OptionSpec =
    of("json.timestamp", OptionKind::OneOf(&["iso", "millis"]), "How timestamps are written.");

/// The formats.
pub const FORMATS: &[FormatSpec] = &[
    FormatSpec {
        name: "avro",
        aliases: &["avro-confluent"],
        directions: BOTH,
        for_keys: true,
        options: AVRO_OPTIONS,
    },
    FormatSpec {
        name: "json",
        aliases: &[],
        directions: BOTH,
        for_keys: true,
        options: &[JSON_TIMESTAMP],
    },
    FormatSpec {
        name: "csv",
        aliases: &[],
        directions: BOTH,
        for_keys: true,
        options: CSV_OPTIONS,
    },
    FormatSpec { name: "raw", aliases: &[], directions: BOTH, for_keys: true, options: &[] },
    FormatSpec {
        name: DEBEZIUM_JSON,
        aliases: &[],
        directions: BOTH,
        for_keys: false,
        options: &[
            JSON_TIMESTAMP,
            of(
                "debezium-json.schema-include",
                OptionKind::Boolean,
                "Read from the member `payload`, beside which a schema stands.",
            ),
            of("debezium-json.ignore-parse-errors", OptionKind::Boolean, IGNORE_ERRORS),
        ],
    },
    FormatSpec {
        name: DEBEZIUM_AVRO,
        aliases: &["debezium-avro"],
        directions: SOURCE,
        for_keys: false,
        options: REGISTRY_OPTIONS,
    },
];

const CSV_OPTIONS: &[OptionSpec] = &[
    text("csv.field-delimiter", "Between fields: a character, or `\\t`; a comma when left out."),
    text("csv.quote-character", "Around fields that need it; a double quote when left out."),
    of("csv.disable-quote-character", OptionKind::Boolean, "Nothing is quoted."),
    text("csv.escape-character", "Within quotes, before a character that stands for itself."),
    text("csv.null-literal", "What stands for NULL, also in texts; an empty one too."),
    text("csv.array-element-delimiter", "Between elements of an ARRAY; `;` when left out."),
    of("csv.allow-comments", OptionKind::Boolean, "Lines of a file that begin with `#` are none."),
    of("csv.header", OptionKind::Boolean, "The first line of a file names the columns."),
    of("csv.ignore-parse-errors", OptionKind::Boolean, IGNORE_ERRORS),
    of(
        "csv.write-bigdecimal-in-scientific-notation",
        OptionKind::OneOf(&["false"]),
        "DECIMAL is written with all its digits.",
    ),
];

const IGNORE_ERRORS: &str = "As `'error.policy' = 'null'`: what cannot be read is NULL, or no row.";

const AVRO_OPTIONS: &[OptionSpec] = &[
    text("avro-confluent.url", "Address of the schema registry, or a folder of schemas."),
    text("avro-confluent.subject", "Subject of the schema, TOPIC-value when left out."),
    text("avro-confluent.basic-auth.user-info", "USER:PASSWORD for the registry."),
    text("avro-confluent.basic-auth.credentials-source", "Taken for Flink's sake."),
    text("avro-confluent.bearer-auth.token", "Token for the registry."),
    text("avro-confluent.bearer-auth.credentials-source", "Taken for Flink's sake."),
    text("avro-confluent.ssl.ca.location", "PEM file with the certificates to trust."),
    of("avro.bare", OptionKind::Boolean, "Payloads without the registry's framing."),
];

/// Flink's names have the format's before them, which is taken off.
const REGISTRY_OPTIONS: &[OptionSpec] = &[
    text("avro-confluent.url", "Address of the schema registry, or a folder of schemas."),
    text("avro-confluent.subject", "Subject of the schema, TOPIC-value when left out."),
    text("avro-confluent.basic-auth.user-info", "USER:PASSWORD for the registry."),
    text("avro-confluent.basic-auth.credentials-source", "Taken for Flink's sake."),
    text("avro-confluent.bearer-auth.token", "Token for the registry."),
    text("avro-confluent.bearer-auth.credentials-source", "Taken for Flink's sake."),
    text("avro-confluent.ssl.ca.location", "PEM file with the certificates to trust."),
    text("debezium-avro-confluent.*", "As the option without `debezium-`."),
];
