//! What can come at the cursor: of the language as editors are told it, behind the session's
//! declarations, and the shell's commands.

use std::sync::{Arc, Mutex, PoisonError};

use reedline::{Completer, CompletionResult, Span, Suggestion};

use super::command::COMMANDS;
use super::script::{Script, cut};
use super::session::{Session, TYPED_FILE};
use crate::ide::{Completion, Kind, Program, complete};

/// Completions at most; more cannot be looked through.
const ITEMS_MAX: usize = 200;

/// Completes behind a session's declarations.
pub(super) struct InContext(pub(super) Arc<Mutex<Session>>);

impl Completer for InContext {
    fn complete(&mut self, line: &str, at: usize) -> CompletionResult {
        CompletionResult::fresh(self.suggestions(line, at))
    }
}

impl InContext {
    fn suggestions(&self, line: &str, at: usize) -> Vec<Suggestion> {
        let before = line.get(..at).unwrap_or(line);
        let cut = cut(before);
        // A command is complete as soon as it begins.
        let last = cut.steps.last().filter(|step| step.range.end == before.len());
        let start = last.map_or(cut.rest, |step| step.range.start);
        let rest = before.get(start..).unwrap_or("").trim_start();
        if let Some(typed) = rest.strip_prefix('\\')
            && !typed.contains(char::is_whitespace)
        {
            return commands(typed, at);
        }
        let session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A command in front of its statement is no text of the language.
        let text = if rest.starts_with('\\') {
            let start = before.len() - rest.len();
            let is_argument = |c: char| !c.is_whitespace() && !c.is_ascii_digit() && c != '.';
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let behind = rest.get(word..).and_then(|behind| behind.find(is_argument));
            let end = start + behind.map_or(rest.len(), |at| word + at);
            let blank = " ".repeat(end - start);
            let (head, tail) = (line.get(..start).unwrap_or(""), line.get(end..).unwrap_or(""));
            format!("{head}{blank}{tail}")
        } else {
            line.to_string()
        };
        let sources = session.sources(&Script { name: "<stdin>".into(), text });
        let found = session.with_catalog(|catalog, options| {
            let program = Program { sources: &sources, catalog, options };
            complete(&program, TYPED_FILE, at)
        });
        let span = Span { start: found.replace.start, end: at.max(found.replace.start) };
        found.items.iter().take(ITEMS_MAX).map(|item| suggestion(item, span)).collect()
    }
}

fn suggestion(item: &Completion, span: Span) -> Suggestion {
    let call = item.takes_arguments && !item.insert.ends_with('(');
    let value = if call { format!("{}(", item.insert) } else { item.insert.clone() };
    Suggestion {
        value,
        display_override: Some(item.label.clone()),
        description: Some(item.detail.clone()).filter(|detail| !detail.is_empty()),
        span,
        append_whitespace: !call && !matches!(item.kind, Kind::Option | Kind::Value),
        ..Suggestion::default()
    }
}

fn commands(typed: &str, at: usize) -> Vec<Suggestion> {
    let span = Span { start: at.saturating_sub(typed.len() + 1), end: at };
    let fitting = COMMANDS.iter().filter(|(name, _, _)| name.starts_with(typed));
    fitting
        .map(|(name, arguments, does)| Suggestion {
            value: format!("\\{name}"),
            description: Some(format!("{arguments} {does}").trim().to_string()),
            span,
            append_whitespace: !arguments.is_empty(),
            ..Suggestion::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use flow_compiler::syntax::ast::ObjectKind;

    use super::super::session::Declaration;
    use super::*;
    use crate::registries::Registries;

    fn at_end(line: &str) -> Vec<String> {
        let mut session = Session::new(Registries::with_local(None));
        let text = "CREATE STREAM orders (order_id BIGINT, amount DOUBLE) \
                    WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json')";
        session.declare(Declaration {
            kind: ObjectKind::Stream,
            name: "orders".into(),
            text: text.into(),
            made: None,
        });
        let context = InContext(Arc::new(Mutex::new(session)));
        context.suggestions(line, line.len()).into_iter().map(|s| s.value).collect()
    }

    #[test]
    fn names_of_the_session_and_the_language_come_in_context() {
        assert_eq!(at_end("SELECT * FROM ord"), ["orders"]);
        assert!(at_end("SELECT order_").is_empty() || at_end("SELECT order_")[0] == "order_id");
        assert!(at_end("SELECT 1;\nSELECT amount FROM orders WHERE am")[0] == "amount");
        assert!(at_end("sel").contains(&"select".to_string()));
        assert!(at_end("SUBS").contains(&"SUBSCRIBE".to_string()));
    }

    #[test]
    fn commands_are_completed_and_what_stands_behind_them_too() {
        assert_eq!(at_end("\\cha"), ["\\changelog"]);
        assert_eq!(at_end("\\watch 2 SELECT * FROM ord"), ["orders"]);
    }
}
