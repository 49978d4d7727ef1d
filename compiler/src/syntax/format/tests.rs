//! Text in, text out; and over every program that there is, with comments anywhere: the meaning
//! stays, the comments stay, twice is once.

use std::path::Path;

use proptest::prelude::*;

use super::{format, format_in};
use crate::syntax::tests::shape;
use crate::syntax::{parse, scan};
use flow_ir::span::FileId;

#[test]
fn formatted_text_is_as_written_down() {
    for case in include_str!("format.test").split("=== flow\n").skip(1) {
        let (text, expected) = case.split_once("=== formatted\n").expect("a case has two parts");
        assert_eq!(format(text).trim_end(), expected.trim_end(), "{text}");
        assert_eq!(format(expected), format(&format(expected)), "{expected}");
    }
}

/// The comments of a text, in order, each without blanks at its end.
fn comments(text: &str) -> Vec<String> {
    let tokens = scan::scan(FileId(0), text).tokens;
    let ends = tokens.iter().map(|t| t.end);
    let starts = tokens.iter().map(|t| t.start).chain([text.len()]);
    let gaps = [0].into_iter().chain(ends).zip(starts);
    let gaps = gaps.map(|(from, to)| super::Gap::of(&text[from..to], false));
    gaps.flat_map(|gap| gap.comments).map(|comment| comment.text.to_string()).collect()
}

/// What holds for any text.
fn assert_formats(text: &str, columns: usize) {
    let once = format_in(text, columns);
    let (before, problems) = parse(FileId(0), text);
    let (after, later) = parse(FileId(0), &once);
    assert!(shape(&before) == shape(&after), "\n{text}\nformatted as\n{once}");
    assert_eq!(problems.len(), later.len(), "\n{text}\nformatted as\n{once}");
    assert_eq!(comments(text), comments(&once), "\n{text}\nformatted as\n{once}");
    assert_eq!(format_in(&once, columns), once, "\n{text}\ntwice");
    assert!(!once.lines().any(|line| line.ends_with(' ') && !text.contains(line)), "{once}");
}

/// Every program of the repository, and statements of every form.
fn programs() -> Vec<String> {
    let mut found = vec![
        include_str!("../tests/nexmark.flow").to_string(),
        include_str!("../tests/statements.flow").to_string(),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut open = vec![root.join("examples"), root.join("tests")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("a folder of the repository");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
            continue;
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("flow") => found.push(std::fs::read_to_string(path).expect("a program")),
            Some("test") => {
                let text = std::fs::read_to_string(path).expect("a case");
                let sections = text.split("\n=== ");
                found.extend(sections.filter(|s| s.contains(';')).map(|section| {
                    section.split_once('\n').map_or("", |(_, body)| body).to_string()
                }));
            }
            Some(_) | None => {}
        }
    }
    assert!(found.len() > 300, "{}", found.len());
    found
}

#[test]
fn every_program_keeps_its_meaning_and_comments() {
    for program in programs() {
        for columns in [100, 30] {
            assert_formats(&program, columns);
        }
    }
}

#[test]
fn what_nests_deeply_is_formatted_too() {
    for levels in [30, 400] {
        let text = format!("select {}1{}", "(".repeat(levels), ")".repeat(levels));
        let once = format(&text);
        assert!(once.starts_with("SELECT (") && once.ends_with(");\n"), "{once}");
        assert_eq!(format(&once), once);
    }
}

#[test]
fn lines_are_short_where_they_can_be() {
    for program in [include_str!("../tests/nexmark.flow"), include_str!("../tests/statements.flow")]
    {
        for line in format(program).lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

/// A text with other things between its tokens: nothing, blanks, lines, comments.
fn strewn(text: &str, gaps: &[u8]) -> String {
    const BETWEEN: [&str; 10] = [
        " ",
        "\n",
        "\n\n\n",
        " -- a comment\n",
        "\n-- on a line\n",
        " /* inside */ ",
        "\t",
        "\n/* two\nlines */\n",
        "\n\n-- apart\n\n",
        " /* one */ -- and another\n",
    ];
    let mut out = String::new();
    let mut before = 0;
    for (token, pick) in scan::scan(FileId(0), text).tokens.iter().zip(gaps.iter().cycle()) {
        let gap = &text[before..token.start];
        out.push_str(gap);
        // Most places stay as they are; a place without a blank may need none.
        if !gap.is_empty() && !gap.contains(';') {
            out.push_str(BETWEEN.get(usize::from(*pick)).unwrap_or(&""));
        }
        out.push_str(&text[token.start..token.end]);
        before = token.end;
    }
    out.push_str(&text[before..]);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn comments_may_stand_anywhere(
        which in any::<prop::sample::Index>(),
        gaps in prop::collection::vec(0u8..40, 1..200),
        columns in 1usize..120,
    ) {
        let text = include_str!("../tests/statements.flow");
        let statements = parse(FileId(0), text).0.statements;
        let span = which.get(&statements).span;
        let statement = &text[span.start as usize..span.end as usize];
        assert_formats(&strewn(statement, &gaps), columns);
    }

    #[test]
    fn any_text_is_formatted_or_left(text in "(?s)[a-zA-Z0-9'\"`;,.()\\[\\]<>=*/ \n-]{0,80}") {
        let once = format(&text);
        prop_assert_eq!(format(&once), once);
    }
}
