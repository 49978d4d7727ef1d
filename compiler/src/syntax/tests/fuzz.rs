//! Random input: nothing panics, and what parses prints and parses again.

use flow_ir::span::FileId;
use proptest::prelude::*;

use super::shape;
use crate::diagnostics::render::{RenderStyle, render};
use crate::source::SourceMap;
use crate::syntax::{parse, print};

const TOKENS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "CREATE",
    "STREAM",
    "TABLE",
    "VIEW",
    "AS",
    "INSERT INTO",
    "VALUES",
    "WITH",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "BETWEEN",
    "LIKE",
    "CAST",
    "INTERVAL",
    "DATE",
    "OVER",
    "PARTITION BY",
    "JOIN",
    "LEFT",
    "ON",
    "UNION ALL",
    "EXISTS",
    "ARRAY",
    "MAP",
    "ROW",
    "UNNEST",
    "TUMBLE",
    "DESCRIPTOR",
    "EXECUTE STATEMENT SET BEGIN",
    "DROP",
    "SET",
    "a",
    "b",
    "t",
    "x",
    "\"q\"",
    "`r`",
    "1",
    "2.5",
    "1e3",
    "'s'",
    "'it''s'",
    "X'0a'",
    "(",
    ")",
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    ",",
    ",",
    ".",
    ";",
    ";",
    "+",
    "-",
    "*",
    "/",
    "%",
    "=",
    "->",
    "=>",
    "::",
    "||",
    "--c\n",
    "/*d*/",
    "\n",
    "é",
    "{",
    "}",
    "|",
    "?",
    "^",
    "$",
    ":",
    "'",
    "\"",
    "@",
    "DAY",
    "FOR",
    "TRIM",
];

/// Parses, renders, prints, and parses what was printed.
fn exercise(text: &str) -> Result<(), TestCaseError> {
    let mut sources = SourceMap::new();
    let file = sources.add("fuzz.flow", text);
    let (ast, diagnostics) = parse(file, text);
    for diagnostic in &diagnostics {
        let (start, end) = (diagnostic.at.span.start as usize, diagnostic.at.span.end as usize);
        prop_assert!(text.get(start..end).is_some(), "{diagnostic:?}");
    }
    let report = render(&diagnostics, &sources, RenderStyle::Plain);
    prop_assert_eq!(report.is_empty(), diagnostics.is_empty());
    let printed = print::file(&ast);
    let (again, problems) = parse(FileId(0), &printed);
    prop_assert!(problems.is_empty(), "{} printed as {}: {:?}", text, printed, problems);
    prop_assert_eq!(shape(&ast), shape(&again), "{} printed as {}", text, printed);
    Ok(())
}

/// Text that is nearly right: expressions put together from parts.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "t.b",
        "1",
        "2.5",
        "'s'",
        "NULL",
        "TRUE",
        "f()",
        "COUNT(*)",
        "INTERVAL '1' DAY",
        "ARRAY[1]",
        "MAP['a', 1]",
        "CURRENT_DATE",
        "\"q\"",
        "DATE '2026-01-01'",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(6, 64, 4, |inner| {
        let binary = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "||",
            "=",
            "<>",
            "<",
            ">=",
            "AND",
            "OR",
            "IS DISTINCT FROM",
            "LIKE",
            "NOT ILIKE",
            "AT TIME ZONE",
        ]);
        let two = (inner.clone(), binary, inner.clone(), any::<bool>());
        prop_oneof![
            two.prop_map(|(l, op, r, parens)| match parens {
                true => format!("({l}) {op} ({r})"),
                false => format!("{l} {op} {r}"),
            }),
            inner.clone().prop_map(|e| format!("NOT {e}")),
            inner.clone().prop_map(|e| format!("-{e}")),
            inner.clone().prop_map(|e| format!("({e}).c")),
            inner.clone().prop_map(|e| format!("{e} IS NOT NULL")),
            inner.clone().prop_map(|e| format!("CAST({e} AS INT)")),
            inner.clone().prop_map(|e| format!("({e})::BIGINT")),
            inner.clone().prop_map(|e| format!("(SELECT {e} FROM t)")),
            inner.clone().prop_map(|e| format!("a IN (SELECT {e})")),
            inner.clone().prop_map(|e| format!("TRIM({e} FROM b)")),
            inner.clone().prop_map(|e| format!("f(x -> {e})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} BETWEEN ({b}) AND 1")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} IN ({b}, 1)")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("CASE {a} WHEN 1 THEN {b} END")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn token_soup(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..40)) {
        exercise(&tokens.join(" "))?;
    }

    #[test]
    fn token_soup_without_blanks(
        tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..12),
    ) {
        exercise(&tokens.concat())?;
    }

    #[test]
    fn random_text(text in "\\PC{0,60}") {
        exercise(&text)?;
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        exercise(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn expressions_round_trip(text in expression()) {
        exercise(&format!("SELECT {text}"))?;
    }

}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 24,
        ..ProptestConfig::default()
    })]

    #[test]
    fn programs_with_a_piece_cut_out(start in 0usize..9000, len in 0usize..60) {
        let text = include_str!("nexmark.flow");
        let cut: String = text.chars().take(start).chain(text.chars().skip(start + len)).collect();
        exercise(&cut)?;
    }
}
