//! Pages of the book, as far as tests look at them: blocks of code, headings, links.

use std::path::PathBuf;

use crate::in_repository;

/// A page.
pub(crate) struct Page {
    /// Its path below `docs/src`, with `/`.
    pub(crate) name: String,
    pub(crate) blocks: Vec<Block>,
    /// Identifiers of its headings, as mdBook makes them.
    pub(crate) anchors: Vec<String>,
    /// Line and target of each link.
    pub(crate) links: Vec<(usize, String)>,
}

/// A block of code.
#[derive(Debug)]
pub(crate) struct Block {
    /// The line of its first backticks, from 1.
    pub(crate) line: usize,
    pub(crate) language: String,
    /// What stands behind the language: `name` or `name=value`.
    attributes: Vec<String>,
    pub(crate) text: String,
}

impl Block {
    /// Whether it has an attribute without value.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.attributes.iter().any(|attribute| attribute == name)
    }

    /// The value of an attribute.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let of = |attribute: &'_ String| {
            let (found, _) = attribute.split_once('=')?;
            (found == name).then_some(found.len() + 1)
        };
        self.attributes.iter().find_map(|attribute| Some(&attribute[of(attribute)?..]))
    }

    /// Names of all attributes.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|attribute| attribute.split('=').next().unwrap_or(""))
    }
}

/// The folder of the pages.
pub(crate) fn folder() -> PathBuf {
    in_repository("docs/src")
}

impl Page {
    /// All pages, by name.
    pub(crate) fn all() -> std::io::Result<Vec<Page>> {
        let mut open = vec![folder()];
        let mut pages = Vec::new();
        while let Some(path) = open.pop() {
            if path.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    open.push(entry?.path());
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(folder()).unwrap_or(&path);
                let name = name.to_string_lossy().replace('\\', "/");
                pages.push(Page::read(name, &std::fs::read_to_string(&path)?));
            }
        }
        pages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pages)
    }

    fn read(name: String, text: &str) -> Self {
        let mut page = Self { name, blocks: Vec::new(), anchors: Vec::new(), links: Vec::new() };
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(text.lines()) {
            match (&mut open, line.strip_prefix("```")) {
                (Some(_), Some(_)) => page.blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, Some(info)) => {
                    let mut words = info.trim().split(',').map(str::to_string);
                    let language = words.next().unwrap_or_default();
                    let (attributes, text) = (words.collect(), String::new());
                    open = Some(Block { line: number, language, attributes, text });
                }
                (None, None) => page.text_line(number, line),
            }
        }
        // A block that is never closed has no language that is known.
        page.blocks.extend(open.map(|block| Block { language: "open".into(), ..block }));
        page
    }

    fn text_line(&mut self, number: usize, line: &str) {
        if line.starts_with('#') {
            let anchor = anchor(line.trim_start_matches('#').trim());
            let earlier = |a: &&String| {
                let rest = a.strip_prefix(&anchor);
                rest.is_some_and(|r| {
                    r.is_empty() || r.strip_prefix('-').is_some_and(|n| n.parse::<u32>().is_ok())
                })
            };
            let own = match self.anchors.iter().filter(earlier).count() {
                0 => anchor,
                before => format!("{anchor}-{before}"),
            };
            self.anchors.push(own);
        }
        // Code spans hold no links.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        self.links.extend(targets.map(|(target, _)| (number, target.to_string())));
    }

    /// Whether it is written by `generated`.
    pub(crate) fn is_generated(&self) -> bool {
        self.name.starts_with(crate::generated::FOLDER)
    }
}

/// The identifier that mdBook gives a heading.
pub(crate) fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => {
            Some(c.to_lowercase().next().unwrap_or(c))
        }
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect()
}
