//! The formats.

use super::{
    BOTH, CANAL_JSON, DEBEZIUM_AVRO, DEBEZIUM_JSON, FormatSpec, MAXWELL_JSON, OGG_JSON, OptionKind,
    OptionSpec, SOURCE, of, text,
};

const JSON_TIMESTAMP: OptionSpec = of(
    "json.timestamp",
    OptionKind::OneOf(&["iso", "millis", "numbers"]),
    "How timestamps are written; with `numbers` DATE and TIME, too, as days and milliseconds.",
);

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
        options: JSON_OPTIONS,
    },
    FormatSpec {
        name: "csv",
        aliases: &[],
        directions: BOTH,
        for_keys: true,
        options: CSV_OPTIONS,
    },
    FormatSpec {
        name: "raw",
        aliases: &[],
        directions: BOTH,
        for_keys: true,
        options: &[
            of("raw.charset", OptionKind::OneOf(&["UTF-8", "utf-8"]), "Texts are UTF-8."),
            of("raw.endianness", OptionKind::OneOf(&["big-endian"]), "Numbers are big-endian."),
        ],
    },
    FormatSpec {
        name: DEBEZIUM_JSON,
        aliases: &[],
        directions: BOTH,
        for_keys: false,
        options: &[
            JSON_TIMESTAMP,
            of("debezium-json.timestamp-format.standard", STANDARDS, STANDARD),
            of("debezium-json.map-null-key.mode", NULL_KEYS, NULL_KEY),
            text("debezium-json.map-null-key.literal", NULL_KEY),
            of("debezium-json.encode.decimal-as-plain-number", OptionKind::Boolean, PLAIN),
            of("debezium-json.encode.ignore-null-fields", ONLY_FALSE, NULLS),
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
    FormatSpec {
        name: CANAL_JSON,
        aliases: &[],
        directions: SOURCE,
        for_keys: false,
        options: &[
            of("canal-json.timestamp-format.standard", STANDARDS, STANDARD),
            of("canal-json.ignore-parse-errors", OptionKind::Boolean, IGNORE_ERRORS),
            of("canal-json.map-null-key.mode", NULL_KEYS, NULL_KEY),
            text("canal-json.map-null-key.literal", NULL_KEY),
        ],
    },
    FormatSpec {
        name: MAXWELL_JSON,
        aliases: &[],
        directions: SOURCE,
        for_keys: false,
        options: &[
            of("maxwell-json.timestamp-format.standard", STANDARDS, STANDARD),
            of("maxwell-json.ignore-parse-errors", OptionKind::Boolean, IGNORE_ERRORS),
            of("maxwell-json.map-null-key.mode", NULL_KEYS, NULL_KEY),
            text("maxwell-json.map-null-key.literal", NULL_KEY),
        ],
    },
    FormatSpec {
        name: OGG_JSON,
        aliases: &[],
        directions: SOURCE,
        for_keys: false,
        options: &[
            of("ogg-json.timestamp-format.standard", STANDARDS, STANDARD),
            of("ogg-json.ignore-parse-errors", OptionKind::Boolean, IGNORE_ERRORS),
            of("ogg-json.map-null-key.mode", NULL_KEYS, NULL_KEY),
            text("ogg-json.map-null-key.literal", NULL_KEY),
        ],
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

/// How a registry is reached.
const URL: OptionSpec =
    text("avro-confluent.url", "Address of the schema registry, or a folder of schemas.");
const SUBJECT: OptionSpec =
    text("avro-confluent.subject", "Subject of the schema, TOPIC-value when left out.");
const USER: OptionSpec =
    text("avro-confluent.basic-auth.user-info", "USER:PASSWORD for the registry.");
const USER_SOURCE: OptionSpec =
    text("avro-confluent.basic-auth.credentials-source", "Taken for Flink's sake.");
const TOKEN: OptionSpec = text("avro-confluent.bearer-auth.token", "Token for the registry.");
const TOKEN_SOURCE: OptionSpec =
    text("avro-confluent.bearer-auth.credentials-source", "Taken for Flink's sake.");
const CA: OptionSpec =
    text("avro-confluent.ssl.ca.location", "PEM file with the certificates to trust.");
const CERTIFICATE: OptionSpec = text(
    "avro-confluent.ssl.certificate.location",
    "PEM file with the certificate that is shown to the registry.",
);
const KEY: OptionSpec = text(
    "avro-confluent.ssl.key.location",
    "PEM file with its private key, if that is not in the same file.",
);

const AVRO_OPTIONS: &[OptionSpec] = &[
    URL,
    SUBJECT,
    USER,
    USER_SOURCE,
    TOKEN,
    TOKEN_SOURCE,
    CA,
    CERTIFICATE,
    KEY,
    of("avro.bare", OptionKind::Boolean, "Payloads without the registry's framing."),
    of(
        "avro.codec",
        OptionKind::OneOf(&["null", "deflate", "snappy"]),
        "How the blocks of a file are packed; snappy when left out.",
    ),
];

const REGISTRY_OPTIONS: &[OptionSpec] = &[
    URL,
    SUBJECT,
    USER,
    USER_SOURCE,
    TOKEN,
    TOKEN_SOURCE,
    CA,
    CERTIFICATE,
    KEY,
    text("debezium-avro-confluent.*", "Flink's names: as the option without `debezium-`."),
];

const STANDARDS: OptionKind = OptionKind::OneOf(&["ISO-8601", "SQL"]);
const STANDARD: &str =
    "Between date and time a `T` is written (also when left out), or a blank; both are read.";
const NULL_KEYS: OptionKind = OptionKind::OneOf(&["FAIL", "DROP", "LITERAL"]);
const NULL_KEY: &str = "Without effect: no key of a MAP is NULL.";
const PLAIN: &str = "Without effect: DECIMAL is written with all its digits.";
const ONLY_FALSE: OptionKind = OptionKind::OneOf(&["false"]);
const NULLS: &str = "NULL is written as null.";

const JSON_OPTIONS: &[OptionSpec] = &[
    JSON_TIMESTAMP,
    of("json.timestamp-format.standard", STANDARDS, STANDARD),
    of(
        "json.wrap-single-value",
        OptionKind::Boolean,
        "Whether a single column is a member of an object; if `false` it is the whole value.",
    ),
    of("json.ignore-parse-errors", OptionKind::Boolean, IGNORE_ERRORS),
    of(
        "json.fail-on-missing-field",
        ONLY_FALSE,
        "What is missing is NULL; a column that must be there is declared NOT NULL.",
    ),
    of("json.map-null-key.mode", NULL_KEYS, NULL_KEY),
    text("json.map-null-key.literal", NULL_KEY),
    of("json.encode.decimal-as-plain-number", OptionKind::Boolean, PLAIN),
    of("json.encode.ignore-null-fields", ONLY_FALSE, NULLS),
];
