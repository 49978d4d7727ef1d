//! How statements are written, from the grammar itself: its rules as text for people, with
//! keywords in capitals, `[ ]` around what may be left out, and `…` behind what may be repeated.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use super::command::COMMANDS;

/// The grammar that the parser is made of.
const GRAMMAR: &str = include_str!("../../grammar/flow.pest");

/// Rules that a page shows: how users call the statement, the rule, and what is written before it.
const PAGES: [(&str, &str, &str); 23] = [
    ("CREATE STREAM", "create_table", "CREATE [OR REPLACE] [TEMPORARY] "),
    ("CREATE TABLE", "create_table", "CREATE [OR REPLACE] [TEMPORARY] "),
    ("CREATE VIEW", "create_view", "CREATE [OR REPLACE] [TEMPORARY] "),
    ("CREATE MATERIALIZED VIEW", "create_view", "CREATE [OR REPLACE] "),
    ("CREATE INDEX", "create_index", "CREATE "),
    ("CREATE FUNCTION", "create_function", "CREATE [OR REPLACE] [TEMPORARY] "),
    ("INSERT", "insert", ""),
    ("SELECT", "select", "[WITH name AS (query), …] "),
    ("SUBSCRIBE", "subscribe", ""),
    ("PRINT", "print", ""),
    ("EXPLAIN", "explain", ""),
    ("SHOW", "show", ""),
    ("DESCRIBE", "describe", ""),
    ("DROP", "drop", ""),
    ("STOP JOB", "control", ""),
    ("PAUSE JOB", "control", ""),
    ("RESUME JOB", "control", ""),
    ("SET", "set", ""),
    ("RESET", "reset", ""),
    ("IMPORT", "import", ""),
    ("VALUES", "values", ""),
    ("WINDOW", "window_spec", ""),
    ("MATCH_RECOGNIZE", "match_recognize", "FROM table "),
];

/// Rules that are named rather than written out: the rule, and what stands for it.
const NAMED: [(&str, &str); 27] = [
    ("ident", "name"),
    ("object_name", "name"),
    ("ident_list", "(name, …)"),
    ("expr", "expression"),
    ("arith", "expression"),
    ("query", "query"),
    ("string", "'text'"),
    ("integer", "number"),
    ("option_value", "value"),
    ("option_key", "key"),
    ("data_type", "type"),
    ("with_options", "WITH ('key' = 'value', …)"),
    ("object_kind", "kind"),
    ("params", "(name [type], …)"),
    ("word", "word"),
    ("like_table", "LIKE name"),
    ("table_ref", "table [JOIN table ON condition …]"),
    ("group_item", "expression"),
    ("select_item", "expression [AS name] | *"),
    ("named_window", "name AS (window)"),
    ("order_item", "expression [ASC | DESC] [NULLS FIRST | NULLS LAST]"),
    ("values_row", "(expression, …)"),
    ("partition_pair", "key = value"),
    ("frame", "ROWS | RANGE BETWEEN bound AND bound"),
    ("pattern", "pattern"),
    ("show_words", "STREAMS | TABLES | VIEWS | FUNCTIONS | JOBS | TOPICS | SCHEMAS | SETTINGS"),
    ("quantified", "comparison"),
];

/// Rules deeper than this are not written out.
const DEPTH_MAX: usize = 12;

/// The grammar's rules: bodies by name.
fn rules() -> &'static BTreeMap<&'static str, &'static str> {
    static RULES: OnceLock<BTreeMap<&str, &str>> = OnceLock::new();
    RULES.get_or_init(|| {
        let mut rules = BTreeMap::new();
        let mut rest = GRAMMAR.find("\npiece = ").and_then(|at| GRAMMAR.get(at..)).unwrap_or("");
        while let Some(at) = rest.find('{') {
            let (before, behind) = rest.split_at(at);
            let line = before.rsplit('\n').next().unwrap_or("");
            let end = end_of_body(behind);
            if line.starts_with("//") {
                rest = behind.find('\n').and_then(|end| behind.get(end..)).unwrap_or("");
                continue;
            }
            if let Some((name, _)) = line.split_once('=') {
                rules.insert(name.trim(), behind.get(1..end).unwrap_or("").trim());
            }
            rest = behind.get(end + 1..).unwrap_or("");
        }
        rules
    })
}

/// Where the bracket that begins a body is closed.
fn end_of_body(body: &str) -> usize {
    let (mut depth, mut quote) = (0_usize, None);
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            ('\\', Some(_)) => {
                chars.next();
            }
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(c),
            ('{', None) => depth += 1,
            ('}', None) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    body.len()
}

/// The keywords of the language, upper case.
pub(super) fn keywords() -> &'static [String] {
    static KEYWORDS: OnceLock<Vec<String>> = OnceLock::new();
    KEYWORDS.get_or_init(|| {
        let names = rules().keys().filter_map(|name| name.strip_prefix("k_"));
        names.map(str::to_ascii_uppercase).collect()
    })
}

/// The commands.
pub(super) fn commands() -> String {
    let mut out = String::new();
    for (name, arguments, does) in COMMANDS {
        let _ = writeln!(out, "  {:<32} {does}", format!("\\{name} {arguments}"));
    }
    out
}

/// The page of a statement; without a topic a list of what there is.
pub(super) fn page(topic: &str) -> String {
    let words: Vec<String> =
        topic.trim_end_matches(';').split_whitespace().map(str::to_uppercase).collect();
    let topic = words.join(" ");
    if topic.is_empty() {
        let names: Vec<&str> = PAGES.iter().map(|(name, _, _)| *name).collect();
        return format!(
            "Statements end with a semicolon. \\help STATEMENT shows how one is written:\n  {}\n\n\
             Commands:\n{}",
            names.join("\n  "),
            commands()
        );
    }
    let exact = PAGES.iter().find(|(name, _, _)| *name == topic);
    let begins = |(name, _, _): &&(&str, &str, &str)| name.starts_with(&topic);
    let found: Vec<_> = match exact {
        Some(page) => vec![page],
        None => PAGES.iter().filter(begins).collect(),
    };
    if found.is_empty() {
        return format!("There is no page {topic}; \\help lists all.\n");
    }
    let pages = found.iter().map(|(name, rule, before)| {
        format!("{name}\n  {}\n", wrap(&format!("{before}{}", written(rule))))
    });
    pages.collect::<Vec<_>>().join("\n")
}

/// A rule as text for people.
fn written(rule: &str) -> String {
    let body = rules().get(rule).copied().unwrap_or("");
    let mut reader = Reader { rest: body, depth: 0 };
    tidy(&reader.choice().0)
}

/// Reads a rule's body and writes it for people.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A choice as text, in braces if there is more than one.
    fn braced(&mut self) -> String {
        let (text, many) = self.choice();
        if many { format!("{{ {text} }}") } else { text }
    }

    /// A choice as text, and whether there is more than one.
    fn choice(&mut self) -> (String, bool) {
        let mut all: Vec<String> = Vec::new();
        loop {
            let one = self.sequence();
            if !one.is_empty() && !all.contains(&one) {
                all.push(one);
            }
            if !self.eat('|') {
                let many = all.len() > 1;
                return (all.join(" | "), many);
            }
        }
    }

    fn sequence(&mut self) -> String {
        let mut parts = Vec::new();
        loop {
            let part = self.part();
            if !part.is_empty() {
                parts.push(part);
            }
            if !self.eat('~') {
                return parts.join(" ");
            }
        }
    }

    fn part(&mut self) -> String {
        self.skip();
        // Looking ahead writes nothing.
        if self.eat('!') || self.eat('&') {
            self.part();
            return String::new();
        }
        self.eat('^');
        let inner = if self.eat('(') {
            let inner = self.braced();
            self.eat(')');
            inner
        } else if self.eat('"') {
            let end = self.rest.find('"').unwrap_or(self.rest.len());
            let text = self.rest.get(..end).unwrap_or("").to_string();
            self.rest = self.rest.get(end + 1..).unwrap_or("");
            text
        } else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            self.rule(name)
        };
        if inner.is_empty() {
            return inner;
        }
        // Brackets do what braces would.
        let braces = inner.strip_prefix("{ ").and_then(|i| i.strip_suffix(" }"));
        let bare = || match braces.filter(|inside| is_balanced(inside)) {
            Some(inside) => inside.to_string(),
            None => inner.clone(),
        };
        if self.eat('?') {
            format!("[{}]", bare())
        } else if self.eat('*') {
            // A list: what it begins with stands before.
            match inner.strip_prefix(", ") {
                Some(_) => ", …".to_string(),
                None => format!("[{} …]", bare()),
            }
        } else if self.eat('+') {
            format!("{inner} …")
        } else {
            inner
        }
    }

    fn rule(&self, name: &str) -> String {
        if let Some(word) = name.strip_prefix("k_") {
            return word.to_ascii_uppercase();
        }
        match name {
            "lparen" => return "(".into(),
            "rparen" => return ")".into(),
            "comma" => return ",".into(),
            "equals" => return "=".into(),
            _ => {}
        }
        if let Some((_, shown)) = NAMED.iter().find(|(rule, _)| *rule == name) {
            return match shown.contains(" | ") {
                true => format!("{{ {shown} }}"),
                false => (*shown).to_string(),
            };
        }
        match rules().get(name) {
            Some(body) if self.depth < DEPTH_MAX => {
                Reader { rest: body, depth: self.depth + 1 }.braced()
            }
            _ => name.replace('_', " "),
        }
    }
}

/// Whether each brace in a text has its partner there.
fn is_balanced(text: &str) -> bool {
    let mut open = 0_usize;
    for c in text.chars() {
        match (c, open) {
            ('{', _) => open += 1,
            ('}', 0) => return false,
            ('}', _) => open -= 1,
            _ => {}
        }
    }
    open == 0
}

/// Closes up punctuation.
fn tidy(text: &str) -> String {
    text.replace("( ", "(").replace(" )", ")").replace(" ,", ",")
}

/// Breaks lines between words.
fn wrap(text: &str) -> String {
    const COLUMNS: usize = 90;
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            out.push_str("\n      ");
            column = 4;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_grammar_for_people() {
        assert_eq!(page("print;"), "PRINT\n  PRINT 'text' [FROM BEGINNING] [LIMIT number]\n");
        let subscribe = page("subscribe");
        assert_eq!(subscribe, "SUBSCRIBE\n  SUBSCRIBE TO { query | name }\n");
        // However its lines are broken.
        let stream = page("create  stream").split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["{ STREAM | TABLE }", "[IF NOT EXISTS] name", "WITH ('key' = 'value', …)"] {
            assert!(stream.contains(part), "{part} in {stream}");
        }
    }

    #[test]
    fn every_page_has_a_rule_and_every_name_one_too() {
        for (name, rule, _) in PAGES {
            assert!(rules().contains_key(rule), "{name}: {rule}");
            let text = written(rule);
            assert!(!text.is_empty() && !text.contains("k_"), "{name}: {text}");
            let count = |c: char| text.chars().filter(|found| *found == c).count();
            assert_eq!((count('['), count('{')), (count(']'), count('}')), "{name}: {text}");
        }
        for (rule, _) in NAMED {
            assert!(rules().contains_key(rule), "{rule}");
        }
    }

    #[test]
    fn keywords_are_those_of_the_grammar() {
        for word in ["SELECT", "SUBSCRIBE", "PRINT", "MATCH_RECOGNIZE"] {
            assert!(keywords().iter().any(|k| k == word), "{word}");
        }
    }

    #[test]
    fn all_pages_that_begin_so_are_shown_and_what_is_missing_is_told() {
        let create = page("create");
        assert!(create.contains("CREATE STREAM\n") && create.contains("CREATE VIEW\n"), "{create}");
        assert!(page("nothing").contains("There is no page NOTHING"));
        assert!(page("").contains("\\watch"), "{}", page(""));
    }
}
