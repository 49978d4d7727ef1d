//! Functions with what is to be told of them: the tables of the standard library, and the windows
//! of FROM and GROUP BY, which are syntax rather than functions there.

use flow_compiler::syntax::bare_functions;
use flow_stdlib::aggregates::{self, AGGREGATES, AggregateDef};
use flow_stdlib::builtin::{self, Builtin};

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name, upper case.
    pub name: &'static str,
    /// Its argument lists, one a line.
    pub signatures: Vec<String>,
    /// A sentence.
    pub doc: &'static str,
    /// A call and its result.
    pub example: Option<(String, String)>,
    /// Called without parentheses.
    pub is_bare: bool,
}

/// (name, signature, what it gives).
type Window = (&'static str, &'static str, &'static str);

/// Table functions of FROM.
const TABLE_FUNCTIONS: &[Window] = &[
    (
        "TUMBLE",
        "TUMBLE(TABLE t, DESCRIPTOR(time), size [, offset])",
        "Puts each row into its window of a fixed size; adds window_start, window_end and \
         window_time.",
    ),
    (
        "HOP",
        "HOP(TABLE t, DESCRIPTOR(time), slide, size [, offset])",
        "Puts each row into every window of a fixed size that holds it, a new one each slide; adds \
         window_start, window_end and window_time.",
    ),
    (
        "CUMULATE",
        "CUMULATE(TABLE t, DESCRIPTOR(time), step, size [, offset])",
        "Puts each row into the windows that end after it of those that share a start and grow by \
         a step up to a size; adds window_start, window_end and window_time.",
    ),
    (
        "SESSION",
        "SESSION(TABLE t PARTITION BY keys, DESCRIPTOR(time), gap)",
        "Puts each row into its session, rows of equal keys that are at most a gap apart; adds \
         window_start, window_end and window_time.",
    ),
];

/// What belongs to the older group windows, and row numbers.
const GROUP_FUNCTIONS: &[Window] = &[
    ("TUMBLE_START", "TUMBLE_START(time, size)", "The start of the window of GROUP BY TUMBLE."),
    ("TUMBLE_END", "TUMBLE_END(time, size)", "The end of the window of GROUP BY TUMBLE."),
    ("HOP_START", "HOP_START(time, slide, size)", "The start of the window of GROUP BY HOP."),
    ("HOP_END", "HOP_END(time, slide, size)", "The end of the window of GROUP BY HOP."),
    ("SESSION_START", "SESSION_START(time, gap)", "The start of the session of GROUP BY SESSION."),
    ("SESSION_END", "SESSION_END(time, gap)", "The end of the session of GROUP BY SESSION."),
    (
        "GROUPING",
        "GROUPING(key, …)",
        "A bit for each key, the last the lowest: 1 where the row's grouping set lacks the key.",
    ),
    (
        "GROUPING_ID",
        "GROUPING_ID(key, …)",
        "A bit for each key, the last the lowest: 1 where the row's grouping set lacks the key.",
    ),
    (
        "ROW_NUMBER",
        "ROW_NUMBER() OVER (PARTITION BY … ORDER BY …)",
        "Numbers the rows of a partition from 1; kept to the first, it makes one row a key.",
    ),
];

fn of_window((name, signature, doc): &Window) -> Function {
    let signatures = vec![(*signature).to_string()];
    Function { name, signatures, doc, example: None, is_bare: false }
}

/// A builtin under its name or another with the same meaning.
fn of_builtin(builtin: &'static Builtin, name: &'static str) -> Function {
    let example = builtin.examples.first();
    Function {
        name,
        signatures: builtin.usage(),
        doc: builtin.doc,
        example: example.map(|(call, result)| ((*call).to_string(), (*result).to_string())),
        is_bare: bare_functions().contains(&name),
    }
}

/// An aggregate under its name or another with the same meaning.
fn of_aggregate(def: &'static AggregateDef, name: &'static str) -> Function {
    let example = def.examples.first().map(|example| {
        let number = |n: &Option<i64>| n.map_or("NULL".to_string(), |n| n.to_string());
        let rows: Vec<String> = example.rows.iter().map(number).collect();
        (format!("{} over x = {}", example.call, rows.join(", ")), example.result.to_string())
    });
    Function {
        name,
        signatures: vec![format!("{name}({}) [FILTER (WHERE …)]", def.usage)],
        doc: def.doc,
        example,
        is_bare: false,
    }
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Functions that can stand in an expression, in the order of their tables; operators left out.
pub(super) fn scalar() -> Vec<Function> {
    let named = |b: &'static Builtin| {
        let names = std::iter::once(b.name).chain(b.aliases.iter().copied());
        names.filter(|name| is_word(name)).map(move |name| of_builtin(b, name))
    };
    let aggregates =
        AGGREGATES.iter().flat_map(|def| def.names().map(|name| of_aggregate(def, name)));
    let builtins = builtin::all().flat_map(named);
    aggregates.chain(builtins).chain(GROUP_FUNCTIONS.iter().map(of_window)).collect()
}

/// Functions that can stand in FROM.
pub(super) fn tables() -> Vec<Function> {
    TABLE_FUNCTIONS.iter().map(of_window).collect()
}

/// The function of this name, in any case; operators are none.
pub(crate) fn find(name: &str) -> Option<Function> {
    let windows = TABLE_FUNCTIONS.iter().chain(GROUP_FUNCTIONS);
    let window = windows.clone().find(|w| w.0.eq_ignore_ascii_case(name)).map(of_window);
    let aggregate = || {
        let def = aggregates::lookup(name)?;
        let written = def.names().find(|known| known.eq_ignore_ascii_case(name));
        Some(of_aggregate(def, written.unwrap_or(def.name)))
    };
    window.or_else(aggregate).or_else(|| {
        let found = builtin::lookup(name).filter(|found| is_word(found.name))?;
        let names = std::iter::once(found.name).chain(found.aliases.iter().copied());
        let written = names.clone().find(|n| n.eq_ignore_ascii_case(name));
        Some(of_builtin(found, written.unwrap_or(found.name)))
    })
}

impl Function {
    /// Everything there is to tell, as Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("```flow\n{}\n```\n{}", self.signatures.join("\n"), self.doc);
        if let Some((call, result)) = &self.example {
            text.push_str(&format!("\n\nExample: `{call}` gives `{result}`"));
        }
        text
    }
}
