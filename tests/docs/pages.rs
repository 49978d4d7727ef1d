//! The book as a whole: every page is in the summary, every link leads somewhere, every block is of
//! a kind that something checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flow::server::config::Config;
use libtest_mimic::Failed;

use crate::block::{Block, Page};

/// Blocks that may be there, with what may stand behind the language.
const KINDS: [(&str, &[&str]); 7] = [
    ("flow", &["continues", "fails", "warns", "each", "asked", "reads", "case", "file"]),
    ("jsonl", &["feed", "expect", "file"]),
    ("console", &[]),
    ("toml", &["file"]),
    ("json", &["file"]),
    ("text", &["file"]),
    ("sql", &[]),
];

fn told(problems: Vec<String>) -> Result<(), Failed> {
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// The summary lists every page once, and nothing else.
pub(crate) fn summary() -> Result<(), Failed> {
    let pages = Page::all()?;
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    let summary = pages.iter().find(|page| page.name == "SUMMARY.md").ok_or("there is none")?;
    for (_, target) in &summary.links {
        *listed.entry(target).or_default() += 1;
    }
    let there: BTreeSet<&str> =
        pages.iter().map(|page| page.name.as_str()).filter(|name| *name != "SUMMARY.md").collect();
    let lost = there.iter().filter(|name| !listed.contains_key(**name));
    let twice = listed.iter().filter(|(name, count)| **count > 1 || !there.contains(**name));
    told(
        lost.map(|name| format!("{name} is not in SUMMARY.md"))
            .chain(twice.map(|(name, count)| format!("SUMMARY.md lists {name} {count} times")))
            .collect(),
    )
}

/// Links inside the book lead to a page and a heading, others are addresses of the web.
pub(crate) fn links(page: &Page) -> Result<(), Failed> {
    let pages = Page::all()?;
    let here = Path::new(&page.name).parent().unwrap_or(Path::new(""));
    let mut problems = Vec::new();
    for (line, link) in &page.links {
        if link.starts_with("https://") {
            continue;
        }
        let (target, heading) = link.split_once('#').unwrap_or((link, ""));
        let name = if target.is_empty() { page.name.clone() } else { joined(here, target) };
        let Some(found) = pages.iter().find(|page| page.name == name) else {
            problems.push(format!("{}:{line}: there is no page {name}", page.name));
            continue;
        };
        if !heading.is_empty() && !found.anchors.iter().any(|anchor| anchor == heading) {
            problems.push(format!("{}:{line}: {name} has no heading #{heading}", page.name));
        }
    }
    told(problems)
}

/// A relative path from a folder, without `..`.
fn joined(here: &Path, target: &str) -> String {
    let mut parts: Vec<String> =
        here.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part.to_string()),
        }
    }
    parts.join("/")
}

/// Every block is of a known kind; those that are no programs are what they say.
pub(crate) fn blocks(page: &Page) -> Result<(), Failed> {
    let at = |block: &Block| format!("{}:{}", page.name, block.line);
    let mut problems = Vec::new();
    for block in &page.blocks {
        match KINDS.iter().find(|(language, _)| *language == block.language) {
            None => problems.push(format!("{}: no block may be `{}`", at(block), block.language)),
            Some((_, known)) => problems.extend(
                block
                    .names()
                    .filter(|name| !known.contains(name))
                    .map(|name| format!("{}: `{name}` says nothing", at(block))),
            ),
        }
        let stray = block.language == "jsonl"
            && block.names().count() == 0
            && serde_json::Deserializer::from_str(&block.text)
                .into_iter::<serde_json::Value>()
                .any(|line| line.is_err());
        if stray {
            problems.push(format!("{}: not JSON lines", at(block)));
        }
        let wrong = match block.language.as_str() {
            "json" => {
                serde_json::from_str::<serde_json::Value>(&block.text).err().map(|e| e.to_string())
            }
            "toml" => settings(&block.text).err(),
            _ => None,
        };
        problems.extend(wrong.map(|why| format!("{}: {why}", at(block))));
    }
    told(problems)
}

/// Reads settings of a server.
fn settings(text: &str) -> Result<(), String> {
    let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    std::fs::write(file.path(), text).map_err(|e| e.to_string())?;
    Config::read(file.path()).map(|_| ()).map_err(|e| format!("{e:?}"))
}
