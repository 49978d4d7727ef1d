//! Paths into JSON: `$`, then `.name`, `."name"`, `['name']`, `[index]` from 0, `[last]`, `[*]` and
//! `.*`, after an optional `lax` or `strict`. A lax path that leads nowhere reaches nothing; a
//! strict one fails.

use serde_json::Value as Json;

use crate::host::HostError;

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Member(String),
    Index(usize),
    Last,
    AllMembers,
    AllElements,
}

/// A path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Path {
    parts: Vec<Part>,
    strict: bool,
}

impl Path {
    /// The path in a text.
    ///
    /// # Errors
    /// `BadArgument` if it is none.
    pub(super) fn parse(text: &str) -> Result<Path, HostError> {
        let bad = || HostError::bad_argument(format!("'{text}' is no JSON path"));
        let path = text.trim();
        let strict = path.starts_with("strict ");
        let path = path.strip_prefix("lax ").or(path.strip_prefix("strict ")).unwrap_or(path);
        let mut rest = path.trim_start().strip_prefix('$').ok_or_else(bad)?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(".*") {
                parts.push(Part::AllMembers);
                rest = after;
            } else if let Some(after) = rest.strip_prefix(".\"") {
                let (name, after) = after.split_once('"').ok_or_else(bad)?;
                parts.push(Part::Member(name.to_string()));
                rest = after;
            } else if let Some(after) = rest.strip_prefix(".[") {
                let (inner, after) = bracket(after).ok_or_else(bad)?;
                parts.push(inner);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                if end == 0 {
                    return Err(bad());
                }
                parts.push(Part::Member(after[..end].to_string()));
                rest = &after[end..];
            } else if let Some(after) = rest.strip_prefix('[') {
                let (inner, after) = bracket(after).ok_or_else(bad)?;
                parts.push(inner);
                rest = after;
            } else {
                return Err(bad());
            }
        }
        Ok(Path { parts, strict })
    }

    /// The path of a key as DuckDB's and Postgres' `->` take it: a path if it begins with `$`, else
    /// one name, or a number as an index.
    pub(super) fn of_key(text: &str) -> Result<Path, HostError> {
        if text.starts_with('$') {
            return Path::parse(text);
        }
        Ok(Path { parts: vec![Part::Member(text.to_string())], strict: false })
    }

    /// The first value that it reaches.
    pub(super) fn find<'a>(&self, json: &'a Json) -> Option<&'a Json> {
        self.find_all(json).ok()?.into_iter().next()
    }

    /// The value that it reaches, if it is one alone.
    pub(super) fn find_one<'a>(&self, json: &'a Json) -> Option<&'a Json> {
        match self.find_all(json).ok()?.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// All values that it reaches.
    ///
    /// # Errors
    /// If it is strict and leads nowhere.
    pub(super) fn find_all<'a>(&self, json: &'a Json) -> Result<Vec<&'a Json>, NoSuchPath> {
        let mut at = vec![json];
        for part in &self.parts {
            let mut next = Vec::with_capacity(at.len());
            for json in at {
                let before = next.len();
                part.step(json, &mut next);
                if self.strict && next.len() == before && part.leads_somewhere() {
                    return Err(NoSuchPath);
                }
            }
            at = next;
        }
        Ok(at)
    }
}

/// A strict path leads nowhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoSuchPath;

impl Part {
    fn leads_somewhere(&self) -> bool {
        !matches!(self, Part::AllMembers | Part::AllElements)
    }

    fn step<'a>(&self, json: &'a Json, out: &mut Vec<&'a Json>) {
        match (self, json) {
            (Part::Member(name), json) => out.extend(json.get(name)),
            (Part::Index(index), json) => out.extend(json.get(index)),
            (Part::Last, Json::Array(items)) => out.extend(items.last()),
            (Part::AllElements, Json::Array(items)) => out.extend(items),
            (Part::AllMembers, Json::Object(members)) => out.extend(members.values()),
            (Part::Last | Part::AllElements | Part::AllMembers, _) => {}
        }
    }
}

/// What stands in brackets, and the text after them.
fn bracket(text: &str) -> Option<(Part, &str)> {
    let quote = text.chars().next().filter(|c| *c == '\'' || *c == '"');
    if let Some(quote) = quote {
        let (name, after) = text[1..].split_once(quote)?;
        return Some((Part::Member(name.to_string()), after.strip_prefix(']')?));
    }
    let (index, after) = text.split_once(']')?;
    let part = match index.trim() {
        "*" => Part::AllElements,
        "last" => Part::Last,
        index => Part::Index(index.parse().ok()?),
    };
    Some((part, after))
}
