//! Commands of the shell: what begins with a backslash.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_compiler::diagnostics::has_errors;
use flow_compiler::syntax::ast::{Ident, ObjectName, StatementKind};
use flow_compiler::syntax::parse;
use flow_ir::span::Span;

use super::script::{Script, Step};
use super::session::TYPED_FILE;
use super::statement::Typed;
use super::{Done, Format, Shell, help};

/// Between two answers of `\watch`, where nothing else is said.
const WATCH_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause of `\watch`, seconds: a day.
const WATCH_SECONDS_MAX: f64 = 86_400.0;

/// Files within files at most.
const INCLUDE_DEPTH_MAX: usize = 16;

/// A command, as `\help` lists it: name, arguments, what it does.
pub(super) const COMMANDS: [(&str, &str, &str); 14] = [
    ("d", "[name]", "what is declared, or the columns of one"),
    ("df", "[pattern]", "functions, with how they are called"),
    ("explain", "statement;", "the plan of a query or an insert"),
    ("watch", "[seconds] query;", "asks again and again"),
    ("changelog", "[on|off]", "changes instead of a table that is redrawn"),
    ("format", "[table|json|csv]", "how results are written"),
    ("timing", "[on|off]", "how long each statement takes"),
    ("set", "on_error stop|continue", "what a pipe or file does after an error"),
    ("i", "file", "does what a file says"),
    ("save", "file", "writes the session as a program"),
    ("help", "[statement]", "how statements are written"),
    ("clear", "", "an empty screen"),
    ("?", "", "this list"),
    ("q", "", "leaves"),
];

impl Shell {
    /// Does a command.
    pub(super) fn command(&mut self, script: &Script, step: &Step) -> Done {
        let text = script.text_of(step);
        let bare = text.strip_prefix('\\').is_none().then(|| text.to_lowercase());
        let word = bare.as_deref().unwrap_or_else(|| text.strip_prefix('\\').unwrap_or(text));
        let word = word.trim_end().trim_end_matches(';').trim_end();
        let (name, rest) = word.split_once(char::is_whitespace).unwrap_or((word, ""));
        let argument = rest.trim();
        match name {
            "d" if argument.is_empty() => self.show_all(),
            "d" => self.describe(&named(argument), true),
            "df" => self.show_functions(Some(argument).filter(|pattern| !pattern.is_empty())),
            "explain" => {
                let start = step.range.start + 1 + name.len();
                self.explain(script, &script.alone(&(start..step.range.end)))
            }
            "watch" => self.watch_command(script, step),
            "changelog" => self.switch(name, argument),
            "timing" => self.switch(name, argument),
            "format" => self.set_format(argument),
            "set" => self.set_command(argument),
            "i" => self.include(argument),
            "save" => self.save(argument),
            "help" | "h" => {
                let page = help::page(argument);
                self.screen.write(&page);
                Done::Well
            }
            "?" => {
                self.screen.write(&help::commands());
                Done::Well
            }
            "clear" => {
                self.screen.clear();
                Done::Well
            }
            "q" | "quit" | "exit" => Done::Quit,
            other => {
                let known = COMMANDS.iter().map(|(name, _, _)| *name);
                let near = flow_compiler::diagnostics::nearest(other, known);
                let meant = near.map_or(String::new(), |near| format!("; is \\{near} meant?"));
                self.mistake(&format!("there is no command \\{other}{meant}\nhelp: \\? lists all."))
            }
        }
    }

    fn switch(&mut self, name: &str, argument: &str) -> Done {
        let changelog = name == "changelog";
        let was = if changelog { self.switches.changelog } else { self.switches.timing };
        let now = match argument {
            "on" => true,
            "off" => false,
            "" => !was,
            other => return self.mistake(&format!("\\{name} is on or off, not {other}")),
        };
        match changelog {
            true => self.switches.changelog = now,
            false => self.switches.timing = now,
        }
        self.screen.remark(&format!("{name} is {}.", if now { "on" } else { "off" }));
        Done::Well
    }

    fn set_format(&mut self, argument: &str) -> Done {
        if let Some((_, format)) = Format::ALL.iter().find(|(name, _)| *name == argument) {
            self.switches.format = *format;
        } else if !argument.is_empty() {
            return self.mistake(&format!("a format is table, json or csv, not {argument}"));
        }
        let name = Format::ALL.iter().find(|(_, format)| *format == self.switches.format);
        self.screen.remark(&format!("format is {}.", name.map_or("", |(name, _)| name)));
        Done::Well
    }

    fn set_command(&mut self, argument: &str) -> Done {
        let words: Vec<&str> = argument.split_whitespace().collect();
        match words.as_slice() {
            ["on_error", "continue"] => self.switches.go_on = true,
            ["on_error", "stop"] => self.switches.go_on = false,
            [] => {
                let does = if self.switches.go_on { "continue" } else { "stop" };
                self.screen.line(&format!("on_error {does}"));
            }
            _ => return self.mistake("write \\set on_error stop, or \\set on_error continue"),
        }
        Done::Well
    }

    fn watch_command(&mut self, script: &Script, step: &Step) -> Done {
        let text = script.text_of(step);
        let behind = text.strip_prefix("\\watch").unwrap_or(text);
        let first = behind.split_whitespace().next().unwrap_or("");
        let seconds = first.parse::<f64>().ok().filter(|s| (0.0..=WATCH_SECONDS_MAX).contains(s));
        let skipped =
            if seconds.is_some() { behind.find(first).unwrap_or(0) + first.len() } else { 0 };
        let start = step.range.end - behind.len() + skipped;
        let alone = script.alone(&(start..step.range.end));
        let (ast, found) = parse(TYPED_FILE, &alone);
        if !found.is_empty() {
            let sources = self.session().sources(script);
            self.screen.diagnostics(&found, &sources);
        }
        let is_query = |kind: &StatementKind| matches!(kind, StatementKind::Query(_));
        match ast.statements.as_slice() {
            [one] if is_query(&one.kind) && !has_errors(&found) => {
                let pause = seconds.map_or(WATCH_PAUSE, Duration::from_secs_f64);
                let text = script.text.get(start..step.range.end).unwrap_or("");
                self.watch(&Typed { script, text, alone: &alone }, pause)
            }
            _ if has_errors(&found) => Done::Failed,
            _ => self.mistake("\\watch takes a query, as in \\watch 5 SELECT * FROM v;"),
        }
    }

    /// `\i`, IMPORT: does what a file says.
    pub(super) fn include(&mut self, file: &str) -> Done {
        if file.is_empty() {
            return self.mistake("\\i takes the path of a file");
        }
        let path = home(file);
        let known = path.canonicalize().unwrap_or_else(|_| path.clone());
        if self.including.contains(&known) || self.including.len() >= INCLUDE_DEPTH_MAX {
            return self.mistake(&format!("{file} is being read already"));
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return self.mistake(&format!("{file} cannot be read: {error}")),
        };
        self.including.push(known);
        let done = self.run_all(&Script { name: path.display().to_string(), text });
        self.including.pop();
        done
    }

    fn save(&mut self, file: &str) -> Done {
        if file.is_empty() {
            return self.mistake("\\save takes the path of a file");
        }
        let program = self.session().program();
        match std::fs::write(home(file), program) {
            Ok(()) => {
                self.screen.remark(&format!("Saved: flow run {file}"));
                Done::Well
            }
            Err(error) => self.mistake(&format!("{file} cannot be written: {error}")),
        }
    }
}

/// A name as DESCRIBE takes it; what is none by its rules, such as `my-view`, is one all the same.
fn named(text: &str) -> ObjectName {
    let (ast, found) = parse(TYPED_FILE, &format!("DESCRIBE EXTENDED {text}"));
    let kind = ast.statements.into_iter().next().map(|statement| statement.kind);
    match kind {
        Some(StatementKind::Describe { name, .. }) if !has_errors(&found) => name,
        Some(_) | None => {
            let text = text.trim_matches(['"', '`']).to_string();
            let span = Span::new(TYPED_FILE, 0, 0);
            ObjectName::single(Ident { text, quoted: true, span })
        }
    }
}

/// A path with `~/` filled in.
fn home(file: &str) -> PathBuf {
    match (file.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(file),
    }
}
