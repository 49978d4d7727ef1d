//! Problems with connectors, formats, options, settings and schemas (E07xx).

use flow_ir::span::Span;

use super::names::list;
use super::{Code, Diagnostic, nearest};

/// No connector of this name.
pub fn unknown_connector(name: &str, span: Span, known: &[String]) -> Diagnostic {
    one_of(Code::E0701, format!("no connector is named {name}"), name, span, known, true)
}

/// No option of this name; `why`: another engine has it, and what to do here.
pub fn unknown_option(
    name: &str,
    owner: &str,
    span: Span,
    known: &[String],
    why: Option<&str>,
) -> Diagnostic {
    let message = format!("{owner} has no option '{name}'");
    let found = one_of(Code::E0702, message, name, span, known, true);
    match why {
        Some(why) => Diagnostic { help: None, fix: None, ..found }.with_help(format!("{why}.")),
        None => found,
    }
}

fn one_of(
    code: Code,
    message: String,
    written: &str,
    span: Span,
    known: &[String],
    quoted: bool,
) -> Diagnostic {
    let found = Diagnostic::new(code, message, span, "unknown");
    match nearest(written, known.iter().map(String::as_str)) {
        Some(near) => {
            let text = if quoted { format!("'{near}'") } else { near.to_string() };
            found.with_help(format!("Did you mean '{near}'?")).with_fix(
                format!("write {near}"),
                span,
                text,
            )
        }
        None => found.with_help(format!("There is {}.", list(known))),
    }
}

/// A required option is not given.
pub fn missing_option(name: &str, owner: &str, doc: &str, span: Span) -> Diagnostic {
    let message = format!("{owner} needs the option '{name}'");
    Diagnostic::new(Code::E0703, message, span, format!("'{name}' is missing"))
        .with_help(format!("Add '{name}' = '…' to WITH: {}", lower_first(doc)))
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_lowercase().chain(chars).collect())
}

/// A value that an option does not take.
pub fn bad_option(name: &str, value: &str, takes: &str, span: Span) -> Diagnostic {
    let message = format!("'{name}' cannot be '{value}'");
    Diagnostic::new(Code::E0704, message, span, format!("takes {takes}"))
        .with_help(format!("'{name}' takes {takes}."))
}

/// No format of this name.
pub fn unknown_format(name: &str, span: Span, known: &[String]) -> Diagnostic {
    one_of(Code::E0705, format!("no format is named {name}"), name, span, known, true)
}

/// A connector or format that cannot be read, or written, or make keys.
pub fn wrong_direction(what: &str, cannot: &str, span: Span, declared: Span) -> Diagnostic {
    let found = Diagnostic::new(Code::E0706, format!("{what} cannot {cannot}"), span, "used here");
    if declared == span { found } else { found.with_related(declared, "declared here") }
}

/// `${NAME}` without a value.
pub fn unset_variable(name: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0707, format!("the variable {name} is not set"), span, "used here")
        .with_help(format!(
            "Set it in the environment or by -D {name}=…, write ${{{name}:-TEXT}} to have a text \
             without it, or ${{secret:{name}}} for a secret that is filled in where the job runs."
        ))
}

/// Settings of Flink and ksqlDB, and what does here what they do there.
const FOREIGN_SETTINGS: &[(&str, &str)] = &[
    (
        "execution.checkpointing.interval",
        "SET 'commit.interval' says how often an epoch is committed.",
    ),
    ("execution.runtime-mode", "A query is bounded where its streams are: 'scan.bounded.mode'."),
    ("state.checkpoints.dir", "State is in the log; SET 'state.dir' says where its copy is."),
    ("table.exec.source.idle-timeout", "It is an option of the stream: 'idle.timeout'."),
    ("table.exec.mini-batch.enabled", "Changes are always consolidated by epoch."),
    ("table.exec.mini-batch.allow-latency", "SET 'commit.interval' says how long an epoch is."),
    ("table.exec.resource.default-parallelism", "It is SET 'parallelism'."),
    ("sql-client.execution.result-mode", "In the shell, `\\changelog on` shows changes."),
    ("auto.offset.reset", "It is an option of the stream: 'scan.startup.mode'."),
    ("ksql.streams.auto.offset.reset", "It is an option of the stream: 'scan.startup.mode'."),
    ("processing.guarantee", "Everything is processed exactly once."),
    ("ksql.streams.num.stream.threads", "It is SET 'parallelism'."),
];

/// SET of a key that does not exist.
pub fn unknown_setting(name: &str, span: Span, known: &[String]) -> Diagnostic {
    one_of(Code::E0708, format!("no setting is named '{name}'"), name, span, known, true)
}

/// SET of a key of another engine that changes nothing here.
pub fn setting_without_effect(name: &str, span: Span) -> Diagnostic {
    let message = format!("'{name}' has no effect");
    let instead = FOREIGN_SETTINGS.iter().find(|(foreign, _)| *foreign == name);
    Diagnostic::new(Code::W0718, message, span, "a setting of another engine")
        .with_help(instead.map_or("Flow works without it; remove the line.", |(_, help)| *help))
}

/// SET to a value that the key does not take.
pub fn bad_setting(name: &str, value: &str, takes: &str, span: Span) -> Diagnostic {
    let message = format!("'{name}' cannot be '{value}'");
    Diagnostic::new(Code::E0709, message, span, format!("takes {takes}"))
        .with_help(format!("'{name}' takes {takes}."))
}

/// The registry gave no answer.
pub fn registry_failed(message: &str, help: Option<&str>, span: Span) -> Diagnostic {
    let found = Diagnostic::new(Code::E0710, message, span, "needs the schema registry");
    found.with_help(help.unwrap_or(
        "Check 'avro-confluent.url', and that the registry runs; or declare the columns and use \
         'avro.bare' = 'true'.",
    ))
}

/// A stream without columns for which the registry has no subject.
pub fn no_columns(name: &str, why: &str, span: Span) -> Diagnostic {
    let message = format!("nothing says which columns {name} has");
    Diagnostic::new(Code::E0711, message, span, why).with_help(format!(
        "Declare them, as in: CREATE STREAM {name} (id BIGINT, …) WITH (…); or use format 'avro' \
         and register a schema for the subject."
    ))
}

/// A declared column does not fit the subject's schema.
pub fn schema_mismatch(column: &str, why: &str, subject: &str, span: Span) -> Diagnostic {
    let message = format!("column {column} does not fit the schema of {subject}: {why}");
    let found = Diagnostic::new(Code::E0712, message, span, "differs from the schema");
    // What a connector makes itself is in no registry.
    match subject.contains('\'') {
        true => {
            found.with_help("Leave the column out; or all columns, to have those that it makes.")
        }
        false => found.with_help(format!(
            "Declare what `flow schema get {subject}` shows, or leave the columns out."
        )),
    }
}

/// An output schema that the registry would refuse.
pub fn incompatible_schema(subject: &str, mode: &str, why: &str, span: Span) -> Diagnostic {
    let message = format!("the output is not {mode} compatible with subject {subject}: {why}");
    Diagnostic::new(Code::E0713, message, span, "the registry would refuse this schema").with_help(
        "Keep the types of existing fields and make new ones nullable; or write to another topic.",
    )
}

/// A schema that cannot be read, or columns that a format cannot write.
pub fn unusable_schema(message: impl Into<String>, label: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0714, message, span, label)
}

/// Keys: fields that are no columns, or a key without a format.
pub fn bad_key(message: impl Into<String>, label: &str, span: Span, help: &str) -> Diagnostic {
    Diagnostic::new(Code::E0715, message, span, label).with_help(help)
}

/// A metadata column that records do not have, or of another type.
pub fn bad_metadata(message: impl Into<String>, label: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0716, message, span, label).with_help(
        "Records have timestamp (TIMESTAMP_LTZ(3)), topic (STRING), partition (INT), offset \
         (BIGINT) and headers (MAP<STRING, BYTES>).",
    )
}

/// The same key twice in WITH.
pub fn option_twice(name: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::new(Code::E0717, format!("'{name}' is given twice"), span, "given again")
        .with_related(first, "first given here")
        .with_help("Remove one of the two.")
}
