//! Tests of the parser: text in, text out. `*.flow` files hold what must parse; `errors.test` holds
//! what must not, with the messages.

mod fuzz;
mod limits;

use flow_ir::span::FileId;

use super::ast::Ast;
use super::{parse, print};
use crate::diagnostics::render::{RenderStyle, render};
use crate::source::SourceMap;

/// Parses what has no mistakes.
fn parsed(text: &str) -> Ast {
    let (ast, diagnostics) = parse(FileId(0), text);
    assert!(diagnostics.is_empty(), "{}", errors(text, RenderStyle::Plain));
    ast
}

/// The diagnostics of a text, rendered.
fn errors(text: &str, style: RenderStyle) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add("test.flow", text);
    let (_, diagnostics) = parse(file, text);
    render(&diagnostics, &sources, style)
}

/// A tree as text, without its spans.
pub(super) fn shape(ast: &Ast) -> String {
    let mut out = String::new();
    let debug = format!("{ast:#?}");
    let mut lines = debug.lines();
    while let Some(line) = lines.next() {
        if line.trim_end().ends_with("Span {") {
            let indent = line.len() - line.trim_start().len();
            let closes = |l: &str| l.len() - l.trim_start().len() == indent && l.trim() != "";
            lines.by_ref().find(|l| closes(l));
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Printing and parsing again gives the same tree, and printing that the same text.
fn assert_round_trip(text: &str) {
    let ast = parsed(text);
    let printed = print::file(&ast);
    let again = parsed(&printed);
    assert_eq!(shape(&ast), shape(&again), "\n{text}\nprinted as\n{printed}");
    assert_eq!(printed, print::file(&again));
}

#[test]
fn nexmark_parses_and_round_trips() {
    let text = include_str!("nexmark.flow");
    assert_eq!(parsed(text).statements.len(), 33);
    assert_round_trip(text);
}

#[test]
fn every_form_parses_and_round_trips() {
    let text = include_str!("statements.flow");
    let statements = parsed(text).statements;
    assert!(statements.len() > 120, "{}", statements.len());
    for statement in &statements {
        let span = statement.span;
        let alone = &text[span.start as usize..span.end as usize];
        assert_round_trip(alone);
    }
}

#[test]
fn printed_text_is_as_written_down() {
    for case in include_str!("printed.test").split("=== flow\n").skip(1) {
        let (text, expected) = case.split_once("=== printed\n").expect("a case has two parts");
        assert_eq!(print::file(&parsed(text)).trim_end(), expected.trim_end());
    }
}

#[test]
fn mistakes_are_told_as_written_down() {
    let mut differences = String::new();
    for case in include_str!("errors.test").split("=== flow\n").skip(1) {
        let (text, expected) = case.split_once("=== errors\n").expect("a case has two parts");
        let found = errors(text, RenderStyle::Short).replace("test.flow:", "");
        if found.trim_end() != expected.trim_end() {
            differences.push_str(&format!("=== flow\n{text}=== errors\n{found}\n"));
        }
    }
    assert!(differences.is_empty(), "these differ:\n{differences}");
}

#[test]
fn reports_are_rendered_as_written_down() {
    let mut differences = String::new();
    for case in include_str!("rendered.test").split("=== flow\n").skip(1) {
        let (text, expected) = case.split_once("=== errors\n").expect("a case has two parts");
        let found = errors(text, RenderStyle::Plain);
        let trim = |text: &str| {
            text.trim().lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>()
        };
        if trim(&found) != trim(expected) {
            differences.push_str(&format!("=== flow\n{text}=== errors\n{found}\n"));
        }
    }
    assert!(differences.is_empty(), "these differ:\n{differences}");
}

#[test]
fn blanks_comments_and_line_ends_do_not_matter() {
    let plain = "CREATE VIEW v AS SELECT a, 'x;--y' FROM t; DROP VIEW v";
    let noisy = "\u{FEFF}-- first\r\nCREATE /* ; ' \" */ VIEW v AS\r\n\tSELECT a--b\r\n, 'x;--y'\
                 \r\nFROM t /*/ still a comment */;\r\n;;\r\nDROP VIEW v -- last";
    assert_eq!(shape(&parsed(plain)), shape(&parsed(noisy)));
    for empty in ["", " \r\n", "-- nothing", "/* nothing */", ";", "; ;\n;", "\u{FEFF}"] {
        assert_eq!(parsed(empty), Ast::default(), "{empty:?}");
    }
}

#[test]
fn spans_leave_out_blanks_and_comments() {
    let text = "SELECT é , b /* c */ FROM t -- d\n WHERE x = 1 -- e\n ;";
    let ast = parsed(text);
    let span = ast.statements[0].span;
    assert!(text[..span.end as usize].ends_with("x = 1"));
    let debug = format!("{ast:?}");
    assert!(debug.contains("start: 7, end: 9"), "the span of é");
}

#[test]
fn good_statements_survive_bad_neighbours() {
    let text = "CREATE STREAM a (x INT);\nCREATE STREAM b (x INT,);\nSELECT 'open FROM t;\n";
    let (ast, diagnostics) = parse(FileId(0), text);
    assert_eq!(ast.statements.len(), 1);
    assert_eq!(diagnostics.len(), 2);
}

#[test]
fn the_readme_lists_the_reserved_words() {
    let readme = include_str!("../../../../grammar/README.md");
    let block = readme.split("<!-- reserved -->").nth(1).expect("the list is marked");
    let listed: Vec<&str> = block.split_whitespace().collect();
    for word in &listed {
        assert!(super::errors::is_reserved(word), "{word} is not reserved");
    }
    let grammar = include_str!("../../../../grammar/flow.pest");
    let rule = grammar.split("\nreserved = ").nth(1).and_then(|r| r.split('}').next());
    assert_eq!(rule.map(|rule| rule.matches("^\"").count()), Some(listed.len()));
}
