//! Every code of the checker by its page: the first example gives it, the others do not, and the
//! rendered reports are in `codes.expected`.

use std::fmt::Write;

use super::{Checked, asked, checked, expect, folder};
use crate::diagnostics::render::{RenderStyle, render};
use crate::diagnostics::{Code, has_errors};

fn checker_codes() -> impl Iterator<Item = Code> {
    let others = |code: &Code| code.id().starts_with("E01") || *code == Code::W0815;
    Code::ALL.iter().copied().filter(move |code| !others(code))
}

/// An example in the surroundings that its page speaks of.
fn checked_for(code: Code, example: &str) -> Checked {
    match code {
        Code::E0811 | Code::E0812 => asked(example),
        _ => checked(example),
    }
}

#[test]
fn pages_fail_and_are_fixed_as_they_say() {
    let mut wrong = Vec::new();
    for code in checker_codes() {
        for (at, example) in code.examples().into_iter().enumerate() {
            let checked = checked_for(code, example);
            let has = checked.found.iter().any(|d| d.code == code);
            let ok = if at == 0 { has } else { !has && !has_errors(&checked.found) };
            if !ok {
                wrong.push(format!("{code}, example {at}:\n{}", checked.short()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_renders() {
    let mut all = String::new();
    for code in checker_codes() {
        let examples = code.examples();
        let checked = checked_for(code, examples.first().expect("a page has examples"));
        let own: Vec<_> = checked.found.iter().filter(|d| d.code == code).cloned().collect();
        let text = render(&own, &checked.sources, RenderStyle::Plain);
        write!(all, "## {code}\n{text}\n").expect("a String takes all");
    }
    let same = expect(&folder().join("codes.expected"), &all);
    assert!(same.is_ok(), "{}", same.err().unwrap_or_default());
}
