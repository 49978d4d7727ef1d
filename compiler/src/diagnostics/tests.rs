//! Every constructor gives its code, and its rendering is as written down.

use std::collections::BTreeMap;
use std::path::Path;

use flow_ir::span::{FileId, Span};

use super::render::{RenderStyle, render};
use super::*;
use crate::source::SourceMap;

/// How often each code is named in the area files.
fn constructors() -> BTreeMap<String, usize> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnostics");
    let mut counts = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder is part of the crate") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("").to_owned();
        let is_area = name.ends_with(".rs")
            && !["mod.rs", "codes.rs", "render.rs", "tests.rs"].contains(&name.as_str());
        if !is_area {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a readable area file");
        for rest in text.split("Code::").skip(1) {
            let id: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            *counts.entry(id).or_default() += 1;
        }
    }
    counts
}

#[test]
fn every_code_has_one_constructor() {
    let counts = constructors();
    for code in Code::ALL {
        assert_eq!(counts.get(code.id()), Some(&1), "constructors of {code}");
    }
    assert_eq!(counts.len(), Code::ALL.len(), "constructors of codes outside the table");
}

#[test]
fn every_page_has_its_title_and_two_examples() {
    for code in Code::ALL {
        let title = format!("# {code}: {}\n", code.title());
        assert!(code.page().starts_with(&title), "{code}: the page has to begin with {title}");
        assert!(code.examples().len() >= 2, "{code}: a failing and a fixed example");
    }
}

#[test]
fn no_page_is_left_over() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnostics/explain");
    let count = std::fs::read_dir(folder).expect("the folder is part of the crate").count();
    assert_eq!(count, Code::ALL.len());
}

#[test]
fn severity_follows_the_letter_and_codes_ascend() {
    for code in Code::ALL {
        let is_error = code.severity() == Severity::Error;
        assert_eq!(code.id().starts_with('E'), is_error, "{code}");
        assert_eq!(Code::parse(code.id()), Some(*code));
    }
    assert!(Code::parse("E9999").is_none());
}

#[test]
fn syntax_examples_fail_and_are_fixed_as_they_say() {
    for code in Code::ALL {
        let is_syntax = code.id().get(1..3) == Some("01");
        for (i, example) in code.examples().into_iter().enumerate() {
            let (_, found) = crate::syntax::parse(FileId(0), example);
            let codes: Vec<_> = found.iter().map(|d| d.code).collect();
            if is_syntax && i == 0 && *code != Code::E0119 {
                assert!(codes.contains(code), "{code}: the failing example gives {codes:?}");
            } else {
                assert!(codes.is_empty(), "{code}: example {i} gives {found:?}");
            }
        }
    }
}

#[test]
fn reports_are_sorted_and_show_other_files() {
    let mut sources = SourceMap::new();
    let a = sources.add("a.flow", "SELECT FROM t;\nSELECT 1 2;\n");
    let b = sources.add("b.flow", "CREATE VIEW v AS SELECT 1;\n");
    let late = super::syntax::missing_comma(Span::new(a, 23, 23), Span::new(a, 24, 25));
    let early = super::syntax::reserved_word(Span::new(a, 7, 11), "FROM")
        .with_related(Span::new(b, 12, 13), "a view of that name is here");
    let text = render(&[late, early], &sources, RenderStyle::Plain);
    assert_text(&text, include_str!("render.expected"));
    let short = render(
        &[super::syntax::missing_comma(Span::new(a, 23, 23), Span::new(a, 24, 25))],
        &sources,
        RenderStyle::Short,
    );
    assert_eq!(short, "a.flow:2:10: error[E0102]: missing comma\n");
}

#[test]
fn a_span_outside_its_file_still_renders() {
    let mut sources = SourceMap::new();
    let a = sources.add("a.flow", "x");
    for span in [Span::new(a, 5, 900), Span::new(FileId(3), 0, 4), Span::new(a, 1, 1)] {
        let report = super::syntax::unexpected_end(span, &[]);
        let text = render(&[report], &sources, RenderStyle::Plain);
        assert!(text.contains("statement ends too early"), "{text}");
    }
}

#[test]
fn nearest_takes_small_slips_only() {
    assert_eq!(nearest("slect", ["SELECT", "INSERT"]), Some("SELECT"));
    assert_eq!(nearest("frobnicate", ["SELECT", "INSERT"]), None);
}

fn assert_text(found: &str, expected: &str) {
    assert_eq!(found.trim_end(), expected.trim_end(), "\n{found}");
}
