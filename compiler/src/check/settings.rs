//! SET: the job's settings. The caller's overrides win over the program, the program over the
//! caller's defaults. All SETs are read before anything else, so their place does not matter.

use std::collections::BTreeMap;

use flow_ir::connector::{OptionKind, OptionSpec, parse_duration, parse_size};
use flow_ir::physical::{ClockSetting, ErrorPolicy};
use flow_ir::span::Span;
use flow_ir::types::DataType;
use flow_ir::value::Value;
use flow_stdlib::scalar::zone::Zone;
use flow_stdlib::text::parse_value;

use super::Checker;
use super::options::wrong_value;
use crate::diagnostics::connectors as problems;
use crate::source::JOB_NAME_BYTES_MAX;
use crate::syntax::ast::{Ast, StatementKind};

/// Shards of a job at most: the key groups.
const SHARDS_MAX: u32 = 256;

const fn setting(name: &'static str, kind: OptionKind, doc: &'static str) -> OptionSpec {
    OptionSpec { name, kind, required: false, doc }
}

/// What SET takes.
pub const SETTINGS: &[OptionSpec] = &[
    setting("job.name", OptionKind::Text, "The job's name."),
    setting("job.shards", OptionKind::Integer, "Shards of its state, fixed at its first start."),
    setting("commit.interval", OptionKind::Duration, "An epoch is cut after this time."),
    setting("epoch.max.bytes", OptionKind::Text, "An epoch is cut after this much input."),
    setting("epoch.max.records", OptionKind::Integer, "An epoch is cut after these records."),
    setting("watermark.max.drift", OptionKind::Duration, "How far partitions may run ahead."),
    setting(
        "error.policy",
        OptionKind::OneOf(&["fail", "skip", "null"]),
        "What happens where an expression fails or a record cannot be read.",
    ),
    setting("dead_letter", OptionKind::Text, "Topic that takes such records instead."),
    setting("clock", OptionKind::Text, "What NOW() gives: 'system', 'event', or an instant."),
    setting("time.zone", OptionKind::Text, "IANA name of the session time zone."),
    setting("parallelism", OptionKind::Integer, "Workers."),
    setting("memory", OptionKind::Text, "Memory for state."),
    setting("state.dir", OptionKind::Text, "Folder of the job's state."),
    setting(
        "state.store",
        OptionKind::OneOf(&["disk", "memory"]),
        "Where state is beyond the job's memory; 'memory': nowhere, and no disk is written.",
    ),
    setting("schema.registry.url", OptionKind::Text, "The schema registry, or a folder."),
    setting("avro-confluent.basic-auth.user-info", OptionKind::Text, "USER:PASSWORD for it."),
    setting("avro-confluent.bearer-auth.token", OptionKind::Text, "Token for it."),
    setting("avro-confluent.ssl.ca.location", OptionKind::Text, "PEM file of whom to trust."),
    setting("avro-confluent.ssl.certificate.location", OptionKind::Text, "PEM file to show it."),
    setting("avro-confluent.ssl.key.location", OptionKind::Text, "PEM file of the key of that."),
    setting("properties.*", OptionKind::Text, "Passed to the Kafka client."),
];

/// Flink's names for the same.
const ALIASES: &[(&str, &str)] = &[
    ("pipeline.name", "job.name"),
    ("parallelism.default", "parallelism"),
    ("table.local-time-zone", "time.zone"),
];

/// How settings of Flink, ksqlDB, RisingWave and Materialize begin that say how these work, and
/// change nothing here.
const OF_OTHERS: &[&str] = &[
    "table.exec.",
    "table.optimizer.",
    "table.dml-sync",
    "table.sql-dialect",
    "table.plan.",
    "table.planner",
    "execution.",
    "sql-client.",
    "pipeline.",
    "state.",
    "restart-strategy",
    "taskmanager.",
    "jobmanager.",
    "ksql.",
    "auto.offset.reset",
    "cache.max.bytes.buffering",
    "processing.guarantee",
    "num.stream.threads",
    "streaming_",
    "rw_",
    "query_mode",
    "background_ddl",
    "search_path",
    "cluster",
];

/// Whether `SET` knows a name.
pub fn is_setting(name: &str) -> bool {
    ALIASES.iter().any(|(alias, _)| *alias == name) || SETTINGS.iter().any(|s| s.matches(name))
}

impl Checker<'_> {
    /// Reads all SET statements, and what the caller adds.
    pub(super) fn settings(&mut self, ast: &Ast) {
        let options = self.options;
        let mut values: BTreeMap<String, (String, Span)> = BTreeMap::new();
        for (key, value) in &options.defaults {
            self.setting(key, value, Span::default(), Span::default(), &mut values);
        }
        for statement in &ast.statements {
            if let StatementKind::Set(Some(entry)) = &statement.kind
                && let Some(text) = self.substitute(&entry.value.text, entry.value.span)
            {
                self.setting(
                    &entry.key.value,
                    &text,
                    entry.key.span,
                    entry.value.span,
                    &mut values,
                );
            }
        }
        for (key, value) in &options.overrides {
            self.setting(key, value, Span::default(), Span::default(), &mut values);
        }
        for (key, (value, span)) in values {
            if let Some(takes) = self.apply(&key, &value) {
                self.found.push(problems::bad_setting(&key, &value, &takes, span));
            }
        }
    }

    fn setting(
        &mut self,
        key: &str,
        value: &str,
        key_span: Span,
        value_span: Span,
        values: &mut BTreeMap<String, (String, Span)>,
    ) {
        let key = ALIASES.iter().find(|(alias, _)| *alias == key).map_or(key, |(_, name)| *name);
        let Some(spec) = SETTINGS.iter().find(|s| s.matches(key)) else {
            if OF_OTHERS.iter().any(|start| key.starts_with(start)) {
                self.found.push(problems::setting_without_effect(key, key_span));
                return;
            }
            let known = SETTINGS.iter().map(|s| s.name).filter(|n| !n.ends_with('*'));
            let known: Vec<String> = known.map(str::to_string).collect();
            self.found.push(problems::unknown_setting(key, key_span, &known));
            return;
        };
        match wrong_value(spec, value) {
            Some(takes) => {
                self.found.push(problems::bad_setting(key, value, &takes, value_span));
            }
            None => {
                values.insert(key.to_string(), (value.to_string(), value_span));
            }
        }
    }

    /// Puts a setting in its place; what it takes, if the value is not that.
    fn apply(&mut self, key: &str, value: &str) -> Option<String> {
        let takes = |text: &str| Some(text.to_string());
        let settings = &mut self.module.settings;
        match key {
            "job.name" => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                if value.is_empty()
                    || value.len() > JOB_NAME_BYTES_MAX
                    || !value.chars().all(allowed)
                {
                    return takes("1 to 200 letters, digits, '.', '_' and '-'");
                }
                self.module.name = Some(value.to_string());
            }
            "job.shards" => match value.parse::<u32>() {
                Ok(n) if n.is_power_of_two() && n <= SHARDS_MAX => settings.shards = n,
                Ok(_) | Err(_) => return takes("a power of two from 1 to 256"),
            },
            "commit.interval" => match parse_duration(value).map(|micros| micros / 1_000) {
                Some(ms @ 1..=10_000) => settings.commit_interval_ms = ms as u64,
                Some(_) | None => return takes("a time from 1 ms to 10 s"),
            },
            "epoch.max.bytes" => match parse_size(value) {
                Some(bytes) if bytes > 0 => settings.epoch_max_bytes = bytes,
                Some(_) | None => return takes("a size such as '64 MB'"),
            },
            "epoch.max.records" => match value.parse::<u64>() {
                Ok(records) if records > 0 => settings.epoch_max_records = records,
                Ok(_) | Err(_) => return takes("a whole number from 1"),
            },
            "watermark.max.drift" => {
                settings.watermark_max_drift = parse_duration(value).unwrap_or(0);
            }
            "error.policy" => match (value, &settings.error_policy) {
                (_, ErrorPolicy::DeadLetter(_)) => {}
                ("skip", _) => settings.error_policy = ErrorPolicy::Skip,
                ("null", _) => settings.error_policy = ErrorPolicy::Null,
                (_, _) => settings.error_policy = ErrorPolicy::Fail,
            },
            "dead_letter" => settings.error_policy = ErrorPolicy::DeadLetter(value.to_string()),
            "clock" => match clock(value) {
                Some(clock) => settings.clock = clock,
                None => return takes("'system', 'event', or an instant '2026-01-31 00:00:00Z'"),
            },
            "time.zone" => match Zone::parse(value) {
                Ok(zone) if zone.is_utc() => settings.time_zone = String::from("UTC"),
                Ok(_) => settings.time_zone = value.trim().to_string(),
                Err(_) => return takes("a zone such as 'Europe/Vienna' or '+02:00'"),
            },
            "parallelism" if value.parse::<u32>().is_ok_and(|n| (1..=SHARDS_MAX).contains(&n)) => {
                settings.other.insert(key.to_string(), value.to_string());
            }
            "parallelism" => return takes("a whole number from 1 to 256"),
            "memory" if parse_size(value).is_none() => return takes("a size such as '512 MB'"),
            _ => {
                settings.other.insert(key.to_string(), value.to_string());
            }
        }
        None
    }
}

fn clock(value: &str) -> Option<ClockSetting> {
    match value {
        "system" => Some(ClockSetting::System),
        "event" => Some(ClockSetting::Event),
        instant => match parse_value(instant, &DataType::TimestampLtz { precision: 6 }) {
            Ok(Value::TimestampLtz(micros)) => Some(ClockSetting::Fixed(micros)),
            Ok(_) | Err(_) => None,
        },
    }
}
