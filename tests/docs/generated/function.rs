//! Functions and aggregates, from the tables of the standard library.

use flow_stdlib::aggregates::AGGREGATES;
use flow_stdlib::builtin::{self, Builtin, Family, NullRule, Volatility};
use libtest_mimic::Failed;

use super::{code, head, row};

/// Families in the page's order, with their headings.
const FAMILIES: [(Family, &str); 10] = [
    (Family::Operator, "Operators"),
    (Family::Text, "Text and bytes"),
    (Family::Math, "Numbers"),
    (Family::Time, "Dates, times, intervals"),
    (Family::Conditional, "Choices"),
    (Family::Array, "Arrays"),
    (Family::Map, "Maps"),
    (Family::Lambda, "Functions of functions"),
    (Family::Hash, "Digests and codes"),
    (Family::Json, "JSON"),
];

/// The page of functions.
pub(crate) fn functions() -> Result<String, Failed> {
    let mut out = String::from(
        "# Functions\n\nEvery operator and function with the arguments it takes, written by the \
         table that the checker reads. Each example is a test.\n\nLower-case words for arguments \
         are sets of types: any, number, integer, float. `…` means that the last argument may be \
         repeated. Arguments widen to what is asked for ([Types](../types.md)). Unless it is \
         said otherwise, NULL as an argument gives NULL.\n",
    );
    for (family, heading) in FAMILIES {
        out.push_str(&format!("\n## {heading}\n"));
        for builtin in builtin::all().filter(|b| b.family == family) {
            out.push_str(&entry(builtin));
        }
    }
    Ok(out)
}

fn entry(builtin: &Builtin) -> String {
    let mut out = format!("\n### {}\n\n{}", code(builtin.name), sentence(builtin.doc));
    if !builtin.aliases.is_empty() {
        let names: Vec<String> = builtin.aliases.iter().map(|name| code(name)).collect();
        out.push_str(&format!(" Also {}.", names.join(", ")));
    }
    if builtin.nulls == NullRule::SeesNulls {
        out.push_str(" It looks at NULL itself.");
    }
    out.push_str(match builtin.volatility {
        Volatility::Immutable => "",
        Volatility::EpochClock => " It reads the clock of the epoch.",
        Volatility::NonDeterministic => " It may differ from call to call.",
    });
    out.push_str(&format!("\n\n```text\n{}\n```\n\n", builtin.usage().join("\n")));
    out.push_str(&head(&["example", "gives"]));
    for (call, result) in builtin.examples {
        out.push_str(&row(&[&code(call), &code(result)]));
    }
    out
}

/// The page of aggregates.
pub(crate) fn aggregates() -> Result<String, Failed> {
    let mut out = String::from(
        "# Aggregates\n\nWritten by the table that the checker reads. Each example is a test. All \
         of them take `DISTINCT` before the arguments and `FILTER (WHERE …)` behind the call, skip \
         NULL unless they say otherwise, and take rows back exactly where their input is \
         updated.\n",
    );
    for def in AGGREGATES {
        out.push_str(&format!("\n## {}\n\n{}", code(def.name), sentence(def.doc)));
        if !def.aliases.is_empty() {
            let aliases: Vec<String> = def.aliases.iter().map(|a| code(a)).collect();
            out.push_str(&format!(" Also called {}.", aliases.join(", ")));
        }
        out.push_str(&format!("\n\n```text\n{}({})\n```\n\n", def.name, def.usage));
        out.push_str(&head(&["call", "over x =", "gives"]));
        for example in def.examples {
            let number = |n: &Option<i64>| n.map_or("NULL".to_string(), |n| n.to_string());
            let rows: Vec<String> = example.rows.iter().map(number).collect();
            let rows = if rows.is_empty() { "(no rows)".to_string() } else { rows.join(", ") };
            out.push_str(&row(&[&code(example.call), &rows, &code(example.result)]));
        }
    }
    Ok(out)
}

/// A sentence with its full stop.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with('.') { text.to_string() } else { format!("{text}.") }
}
