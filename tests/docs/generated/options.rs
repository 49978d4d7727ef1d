//! What WITH and SET take, and the words of the language, from the tables of connectors, formats,
//! settings, types and reserved words.

use flow_compiler::check::{SETTINGS, TYPE_NAMES};
use flow_compiler::syntax::is_reserved;
use flow_ir::connector::{
    CONNECTORS, ConnectorSpec, Delivery, Directions, FORMATS, FormatSpec, OptionKind, OptionSpec,
    STREAM_OPTIONS,
};
use libtest_mimic::Failed;

use super::{code, head, row};

/// The grammar.
const GRAMMAR: &str = include_str!("../../../grammar/flow.pest");

/// The page of connectors and formats.
pub(crate) fn connectors() -> Result<String, Failed> {
    let mut out = String::from(
        "# Connectors and formats\n\nEvery option of `WITH (…)`, written by the table that the \
         checker reads. An option that is not listed is an error \
         ([E0702](diagnostics.md#e0702-unknown-option)). How they are used is on the \
         page [Streams, connectors, formats](../streams.md).\n\n\
         ## Options of every stream\n\n",
    );
    out.push_str(&table(STREAM_OPTIONS));
    for spec in CONNECTORS {
        out.push_str(&connector(spec));
    }
    for spec in FORMATS {
        out.push_str(&format_of(spec));
    }
    Ok(out)
}

fn connector(spec: &ConnectorSpec) -> String {
    let mut out = format!("\n## Connector {}\n\n", code(spec.name));
    if spec.name == "case" {
        out.push_str(
            "For `flow test`: a topic of a log in memory, which ends where the case ends. ",
        );
    }
    out.push_str(directions(spec.directions));
    if spec.directions.sink {
        out.push_str(match spec.delivery {
            Delivery::InTransaction => " Writes are part of the epoch's transaction.",
            Delivery::ByPosition => " A restart cuts the output off at the last committed epoch.",
            Delivery::AtLeastOnce => {
                " What it shows is for people to look at, and no part of the commit."
            }
        });
    }
    if spec.options.is_empty() {
        out.push_str(" It has no options of its own.\n");
    } else {
        out.push_str(&format!("\n\n{}", table(spec.options)));
    }
    out
}

fn format_of(spec: &FormatSpec) -> String {
    let mut out = format!("\n## Format {}\n\n{}", code(spec.name), directions(spec.directions));
    if spec.for_keys {
        out.push_str(" It can be the format of keys.");
    }
    if !spec.aliases.is_empty() {
        let names: Vec<String> = spec.aliases.iter().map(|name| code(name)).collect();
        out.push_str(&format!(" Also {}.", names.join(", ")));
    }
    if spec.options.is_empty() {
        out.push_str(" It has no options.\n");
    } else {
        out.push_str(&format!("\n\n{}", table(spec.options)));
    }
    out
}

fn directions(directions: Directions) -> &'static str {
    match (directions.source, directions.sink) {
        (true, true) => "Can be read and written.",
        (true, false) => "Can be read.",
        (false, true) => "Can be written.",
        (false, false) => "",
    }
}

/// The page of settings.
pub(crate) fn settings() -> Result<String, Failed> {
    let mut out = String::from(
        "# Settings\n\nWhat `SET 'name' = 'value'` takes, written by the table that the checker \
         reads. The command line (`-D name=value`) wins over `SET`. All `SET` statements of a \
         program are read first, so their place does not matter. Flink's names `pipeline.name`, \
         `parallelism.default` and `table.local-time-zone` stand for `job.name`, `parallelism` and \
         `time.zone`.\n\n",
    );
    out.push_str(&table(SETTINGS));
    Ok(out)
}

/// A table of options; whether one must be there is told where one must.
fn table(options: &[OptionSpec]) -> String {
    let mut out = head(&["option", "takes", "what it does"]);
    for option in options {
        let required = if option.required { " Required." } else { "" };
        let what = format!("{}{required}", option.doc);
        out.push_str(&row(&[&code(option.name), &takes(option.kind), &what]));
    }
    out
}

fn takes(kind: OptionKind) -> String {
    match kind {
        OptionKind::Text => "text".into(),
        OptionKind::Integer => "a whole number".into(),
        OptionKind::Boolean => "`true`, `false`".into(),
        OptionKind::Duration => "a time such as `5 s`, `100 ms`, `1 min`".into(),
        OptionKind::OneOf(words) => {
            words.iter().map(|word| code(word)).collect::<Vec<_>>().join(", ")
        }
        OptionKind::Columns => "columns, separated by `;`".into(),
        OptionKind::Offsets => "offsets, `partition:0,offset:42;partition:1,offset:300`".into(),
    }
}

/// The page of words: reserved ones, keywords, names of types.
pub(crate) fn words() -> Result<String, Failed> {
    let keywords: Vec<String> = GRAMMAR
        .lines()
        .filter_map(|line| line.strip_prefix("k_")?.split_once(" = "))
        .map(|(word, _)| word.to_uppercase())
        .collect();
    let of = |reserved: bool| {
        let words: Vec<&str> = keywords
            .iter()
            .map(String::as_str)
            .filter(|word| is_reserved(word) == reserved)
            .collect();
        wrapped(&words)
    };
    let types: Vec<&str> = TYPE_NAMES.to_vec();
    Ok(format!(
        "# Words\n\nWritten by the grammar.\n\n## Reserved words\n\nNever a name, unless it stands \
         in \"double quotes\" or `` `backticks` ``, or behind a dot.\n\n```text\n{}```\n\n\
         ## Other keywords\n\nRecognised where the grammar looks for them; names everywhere \
         else.\n\n```text\n{}```\n\n## Names of types\n\nIn any case.\n\n```text\n{}```\n",
        of(true),
        of(false),
        wrapped(&types)
    ))
}

/// Words in lines of at most 90 columns.
fn wrapped(words: &[&str]) -> String {
    const COLUMNS: usize = 90;
    let mut out = String::new();
    let mut column = 0;
    for word in words {
        if column > 0 && column + 1 + word.len() > COLUMNS {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out.push('\n');
    out
}
