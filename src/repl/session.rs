//! What a session knows: settings and declarations, checked when they were made, and what it is
//! checked against. Nothing here runs; programs and queries are put together from it.

use std::collections::HashSet;

use flow_compiler::check::answer::{Answer, check_query};
use flow_compiler::check::notes::{Notes, check_noting};
use flow_compiler::check::typed::TypedModule;
use flow_compiler::check::views::ViewDecl;
use flow_compiler::check::{CheckOptions, catalog::Catalog};
use flow_compiler::compile::{CompileOptions, compile, compile_query};
use flow_compiler::diagnostics::{Code, Diagnostic, has_errors};
use flow_compiler::lower::explain_graph;
use flow_compiler::source::SourceMap;
use flow_compiler::syntax::ast::{Ast, ObjectKind};
use flow_compiler::syntax::{parse, tokens};
use flow_ir::span::FileId;

use super::script::Script;
use crate::catalog::RegistryCatalog;
use crate::registries::Registries;

/// What messages call the text that was declared earlier.
const EARLIER: &str = "<session>";

/// The file of what was declared earlier.
const SESSION_FILE: FileId = FileId(0);

/// The file of what is typed.
pub(super) const TYPED_FILE: FileId = FileId(1);

/// A declared stream, table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    /// Which kind.
    pub(super) kind: ObjectKind,
    /// Its name.
    pub(super) name: String,
    /// Its statement, without semicolon.
    pub(super) text: String,
    /// The statement of this session's job that fills it.
    pub(super) made: Option<String>,
}

/// The state of a session.
pub(super) struct Session {
    registries: Registries,
    options: CheckOptions,
    settings: Vec<(String, String)>,
    declarations: Vec<Declaration>,
    /// Statements that started jobs, for `\save`: the job's name and the statement.
    started: Vec<(String, String)>,
}

/// Text that was checked, behind the session's declarations.
pub(super) struct Checked {
    /// The session and what was typed, whole.
    pub(super) sources: SourceMap,
    /// Names and types resolved.
    pub(super) module: TypedModule,
    /// Everything there is to say about what was typed.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Whether nothing is wrong.
    pub(super) ok: bool,
}

impl Session {
    /// A session without declarations.
    pub(super) fn new(registries: Registries) -> Self {
        let options =
            CheckOptions { variables: std::env::vars().collect(), ..CheckOptions::default() };
        Self {
            registries,
            options,
            settings: Vec::new(),
            declarations: Vec::new(),
            started: Vec::new(),
        }
    }

    /// Takes what the server offers in the place of what it offered.
    pub(super) fn offer(&mut self, views: Vec<ViewDecl>) {
        self.options.views = views;
    }

    /// What is declared, in order.
    pub(super) fn declarations(&self) -> &[Declaration] {
        &self.declarations
    }

    /// What is set, in order.
    pub(super) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The declaration of a name: of exactly this one, else the only one that differs in case.
    pub(super) fn find(&self, name: &str) -> Option<&Declaration> {
        let exact = self.declarations.iter().find(|d| d.name == name);
        let mut blind = self.declarations.iter().filter(|d| d.name.eq_ignore_ascii_case(name));
        exact.or_else(|| blind.next().filter(|_| blind.next().is_none()))
    }

    /// Keeps a declaration, in the place of an earlier one of the same name; a function in that of
    /// one with the same parameters.
    pub(super) fn declare(&mut self, declaration: Declaration) {
        let overloads = |d: &Declaration| {
            d.kind == ObjectKind::Function
                && declaration.kind == ObjectKind::Function
                && parameters(&d.text) != parameters(&declaration.text)
        };
        let same = |d: &&mut Declaration| d.name == declaration.name && !overloads(d);
        match self.declarations.iter_mut().find(same) {
            Some(earlier) => *earlier = declaration,
            None => self.declarations.push(declaration),
        }
    }

    /// Takes away what a job made under this name, so that its next version can.
    pub(super) fn take_made(&mut self, name: &str) -> Option<Declaration> {
        let at = self.declarations.iter().position(|d| d.made.is_some() && d.name == name)?;
        Some(self.declarations.remove(at))
    }

    /// Forgets a declaration. Those that read it, if there are any: then it stays.
    pub(super) fn forget(&mut self, name: &str) -> Vec<String> {
        let readers =
            self.declarations.iter().filter(|d| d.name != name && mentions(&d.text, name));
        let readers: Vec<String> = readers.map(|d| d.name.clone()).collect();
        if readers.is_empty() {
            self.declarations.retain(|d| d.name != name);
        }
        readers
    }

    /// Sets or, without a value, resets a setting.
    pub(super) fn set(&mut self, key: &str, value: Option<String>) {
        self.settings.retain(|(known, _)| known != key);
        if let Some(value) = value {
            self.settings.push((key.to_string(), value));
        }
    }

    /// Forgets all settings.
    pub(super) fn reset(&mut self) {
        self.settings.clear();
    }

    /// Notes a statement that runs as a job.
    pub(super) fn note_started(&mut self, job: &str, statement: &str) {
        self.note_dropped(job);
        self.started.push((job.to_string(), statement.to_string()));
    }

    /// Whether a statement of this session runs as this job.
    pub(super) fn has_started(&self, job: &str) -> bool {
        self.started.iter().any(|(name, _)| name == job)
    }

    /// Forgets the statement of a job.
    pub(super) fn note_dropped(&mut self, job: &str) {
        for (_, statement) in self.started.extract_if(.., |(name, _)| name == job) {
            // What it has made is there, and nothing fills it.
            for declaration in &mut self.declarations {
                declaration.made.take_if(|made| *made == statement);
            }
        }
    }

    /// All settings and declarations as text.
    pub(super) fn text(&self) -> String {
        self.text_of(self.declarations.iter())
    }

    /// Settings, and the declarations that a statement needs.
    pub(super) fn needed(&self, statement: &str) -> String {
        let mut needed: Vec<&Declaration> = Vec::new();
        let mut texts = vec![statement];
        while let Some(text) = texts.pop() {
            let names = words(text);
            for declaration in &self.declarations {
                let known = needed.iter().any(|d| d.name == declaration.name);
                if !known && names.contains(&declaration.name.to_lowercase()) {
                    needed.push(declaration);
                    texts.push(&declaration.text);
                }
            }
        }
        let is_needed = |d: &&Declaration| needed.iter().any(|n| n.name == d.name);
        self.text_of(self.declarations.iter().filter(is_needed))
    }

    /// The whole session as a program that `flow run` takes.
    pub(super) fn program(&self) -> String {
        let mut out = self.text_of(std::iter::empty());
        for declaration in &self.declarations {
            let text = declaration.made.as_ref().unwrap_or(&declaration.text);
            out.push_str(&format!("{text};\n"));
        }
        for (_, statement) in &self.started {
            let stands = |d: &Declaration| d.made.as_ref() == Some(statement);
            if !self.declarations.iter().any(stands) {
                out.push_str(&format!("\n{statement};\n"));
            }
        }
        out
    }

    fn text_of<'d>(&self, declarations: impl Iterator<Item = &'d Declaration>) -> String {
        let quoted = |text: &str| text.replace('\'', "''");
        let set = |(k, v): &(String, String)| format!("SET '{}' = '{}';\n", quoted(k), quoted(v));
        let mut out: String = self.settings.iter().map(set).collect();
        out.extend(declarations.map(|d| format!("{};\n", d.text)));
        out
    }

    /// The session's text and what was typed, as files.
    pub(super) fn sources(&self, typed: &Script) -> SourceMap {
        let mut sources = SourceMap::new();
        sources.add(EARLIER, self.text());
        sources.add(typed.name.clone(), typed.text.clone());
        sources
    }

    /// Parses the session's text and, of what was typed, `alone`, which has its places.
    fn parse(&self, sources: &SourceMap, alone: &str) -> (Ast, Vec<Diagnostic>) {
        let earlier = sources.get(SESSION_FILE).map_or("", |file| file.text());
        let (mut ast, mut found) = parse(SESSION_FILE, earlier);
        let (typed, more) = parse(TYPED_FILE, alone);
        ast.statements.extend(typed.statements);
        found.extend(more);
        (ast, found)
    }

    /// Checks a declaration or a setting behind what is declared already.
    pub(super) fn check(&self, typed: &Script, alone: &str) -> Checked {
        let sources = self.sources(typed);
        let (ast, mut found) = self.parse(&sources, alone);
        let catalog = RegistryCatalog::new(&self.registries);
        let (module, more, _) = check_noting(&ast, &sources, &catalog, &self.options, None);
        found.extend(more);
        checked(sources, module, found)
    }

    /// Checks one query behind what is declared.
    pub(super) fn check_query(&self, typed: &Script, alone: &str) -> (Checked, Option<Answer>) {
        let sources = self.sources(typed);
        let (ast, mut found) = self.parse(&sources, alone);
        let catalog = RegistryCatalog::new(&self.registries);
        let (module, answer, more) = check_query(&ast, &sources, &catalog, &self.options);
        found.extend(more);
        (checked(sources, module, found), answer)
    }

    /// The plan of a query or an insert behind what is declared.
    ///
    /// # Errors
    /// What is wrong with it, and the files it is about.
    pub(super) fn explain(
        &self,
        typed: &Script,
        alone: &str,
        is_query: bool,
    ) -> Result<String, (Vec<Diagnostic>, SourceMap)> {
        let sources = self.sources(typed);
        let mut placed = SourceMap::new();
        placed.add(EARLIER, self.needed(alone));
        placed.add(typed.name.clone(), alone);
        let options = CompileOptions { check: self.options.clone(), ..CompileOptions::default() };
        let catalog = RegistryCatalog::new(&self.registries);
        let graph = match is_query {
            true => compile_query(&placed, &catalog, &options).map(|query| query.graph),
            false => compile(&placed, &catalog, &options).map(|compiled| compiled.graph),
        };
        graph.map(|graph| explain_graph(&graph)).map_err(|found| (found, sources))
    }

    /// What is declared, with columns and types.
    pub(super) fn notes(&self) -> (TypedModule, Notes) {
        let sources = self.sources(&Script { name: String::new(), text: String::new() });
        let (ast, _) = self.parse(&sources, "");
        let catalog = RegistryCatalog::new(&self.registries);
        let (module, _, notes) = check_noting(&ast, &sources, &catalog, &self.options, None);
        (module, notes)
    }

    /// Calls with what editors ask with: registries and options.
    pub(super) fn with_catalog<T>(&self, ask: impl FnOnce(&dyn Catalog, &CheckOptions) -> T) -> T {
        ask(&RegistryCatalog::new(&self.registries), &self.options)
    }
}

/// Leaves out what is said about earlier text, unless it is wrong, and that nothing runs.
fn checked(sources: SourceMap, module: TypedModule, found: Vec<Diagnostic>) -> Checked {
    let matters = |d: &Diagnostic| {
        let here = d.at.span.file == TYPED_FILE;
        d.code != Code::W0805 && (here || d.is_error())
    };
    let diagnostics: Vec<Diagnostic> = found.into_iter().filter(matters).collect();
    let ok = !has_errors(&diagnostics);
    Checked { sources, module, diagnostics, ok }
}

/// The names and words of a text, in lower case, without quotes.
fn words(text: &str) -> HashSet<String> {
    let word = |t: &flow_compiler::syntax::Token| text.get(t.start..t.end);
    let bare = |word: &str| word.trim_matches(['"', '`']).to_lowercase();
    tokens(text).iter().filter_map(word).map(bare).collect()
}

/// What stands in the first parentheses of a declaration.
fn parameters(text: &str) -> Vec<String> {
    let inside = text.split_once('(').map_or("", |(_, rest)| rest);
    let mut depth = 1;
    let end = inside.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    inside[..end.unwrap_or(inside.len())]
        .to_lowercase()
        .split_whitespace()
        .map(String::from)
        .collect()
}

/// Whether a name stands in a text.
fn mentions(text: &str, name: &str) -> bool {
    words(text).contains(&name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: &str = "WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json')";

    fn session() -> Session {
        let mut session = Session::new(Registries::with_local(None));
        for name in ["a", "b", "c"] {
            let text = format!("CREATE STREAM {name} (x BIGINT) {WITH}");
            session.declare(Declaration {
                kind: ObjectKind::Stream,
                name: name.into(),
                text,
                made: None,
            });
        }
        let text = "CREATE VIEW v AS SELECT x + 1 AS y FROM A".to_string();
        session.declare(Declaration { kind: ObjectKind::View, name: "v".into(), text, made: None });
        session
    }

    fn script(text: &str) -> Script {
        Script { name: "<stdin>".into(), text: text.into() }
    }

    #[test]
    fn a_program_has_the_declarations_that_it_needs() {
        let mut session = session();
        session.set("job.name", Some("it's".into()));
        let needed = session.needed("INSERT INTO c SELECT y FROM v");
        assert!(needed.starts_with("SET 'job.name' = 'it''s';\nCREATE STREAM a "), "{needed}");
        assert!(needed.contains("STREAM c") && needed.contains("VIEW v"), "{needed}");
        assert!(!needed.contains("STREAM b"), "{needed}");
    }

    #[test]
    fn what_is_read_is_not_forgotten() {
        let mut session = session();
        assert_eq!(session.forget("a"), ["v"]);
        assert!(session.forget("v").is_empty() && session.forget("a").is_empty());
        assert!(session.find("a").is_none() && session.find("B").is_some());
    }

    #[test]
    fn mistakes_are_placed_in_what_was_typed() {
        let session = session();
        let typed = script("SELECT 1;\nSELECT z FROM v");
        let alone = typed.alone(&(10..25));
        let (checked, _) = session.check_query(&typed, &alone);
        assert!(!checked.ok);
        let place = checked.sources.place(checked.diagnostics[0].at.span);
        assert_eq!(place, "<stdin>:2:8");
    }

    #[test]
    fn a_declaration_alone_is_no_mistake() {
        let typed = script(&format!("CREATE STREAM d (x BIGINT) {WITH}"));
        let checked = session().check(&typed, &typed.text);
        assert!(checked.ok && checked.diagnostics.is_empty(), "{:?}", checked.diagnostics);
    }

    #[test]
    fn a_saved_session_is_a_program() {
        let mut session = session();
        session.note_started("c", "INSERT INTO c SELECT y FROM v");
        session.note_started("c", "INSERT INTO c SELECT x FROM b");
        let program = session.program();
        assert!(program.ends_with("\nINSERT INTO c SELECT x FROM b;\n"), "{program}");
        assert_eq!(program.matches("INSERT").count(), 1);
    }
}
