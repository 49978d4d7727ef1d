//! What becomes of a statement: declarations are checked and kept, queries asked, and what is to go
//! on running becomes a job of the server.

use crate::plain;
use std::ops::Range;
use std::time::{Duration, Instant};

use flow_compiler::check::typed::Relation;
use flow_compiler::diagnostics::{Diagnostic, has_errors};
use flow_compiler::source::SourceMap;
use flow_compiler::syntax::ast::{
    ControlVerb, CreateTable, Ident, Insert, ObjectKind, ObjectName, OptionEntry, SetExprKind,
    Statement, StatementKind, TableKind,
};
use flow_compiler::syntax::parse;
use serde::Deserialize;
use serde_json::json;

use super::script::Script;
use super::server::{Problem, Refusal, Request, read, segment};
use super::session::{Declaration, TYPED_FILE};
use super::{Done, Shell, interrupt};
use crate::offered::Listed;

/// A statement and where it stands.
pub(super) struct Typed<'a> {
    /// What was typed, whole.
    pub(super) script: &'a Script,
    /// The statement's own text.
    pub(super) text: &'a str,
    /// The statement's text at its place, all else blank.
    pub(super) alone: &'a str,
}

/// The server's answer to a submission, as far as the shell tells it.
#[derive(Debug, Deserialize)]
struct Submitted {
    name: String,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    version: Option<u32>,
    #[serde(default)]
    warnings: String,
}

/// What a job does, as far as the shell looks at it.
#[derive(Debug, Deserialize)]
struct JobState {
    state: String,
    #[serde(default)]
    error: Option<String>,
}

impl JobState {
    fn is_unsettled(&self) -> bool {
        UNSETTLED.contains(&self.state.as_str())
    }
}

#[derive(Debug, Deserialize)]
struct JobStates {
    jobs: Vec<JobState>,
}

/// The states of a job whose views cannot be read yet, also while its next version waits for it.
const UNSETTLED: [&str; 2] = ["starting", "stopping"];

/// How long the start of a job is waited for, and how often it is looked at.
const START_PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

impl Shell {
    /// Does the statement in a range.
    pub(super) fn statement(&mut self, script: &Script, range: &Range<usize>) -> Done {
        let alone = script.alone(range);
        let (ast, found) = parse(TYPED_FILE, &alone);
        if !found.is_empty() {
            let sources = self.session().sources(script);
            self.screen.diagnostics(&found, &sources);
        }
        if has_errors(&found) {
            return Done::Failed;
        }
        for statement in &ast.statements {
            let span = statement.span.start as usize..statement.span.end as usize;
            let text = script.text.get(span).unwrap_or("");
            match self.one(&Typed { script, text, alone: &alone }, statement) {
                Done::Well => {}
                other => return other,
            }
        }
        Done::Well
    }

    fn one(&mut self, typed: &Typed<'_>, statement: &Statement) -> Done {
        match &statement.kind {
            StatementKind::CreateTable(create) => self.create_table(typed, create),
            StatementKind::CreateView(create) if create.materialized => {
                let name = &create.name.last().text;
                self.start_job(typed, name, "materialized view")
            }
            StatementKind::CreateView(create) => {
                self.declare(typed, ObjectKind::View, &create.name.last().text)
            }
            StatementKind::CreateFunction(create) => {
                self.declare(typed, ObjectKind::Function, &create.name.last().text)
            }
            StatementKind::CreateType(create) => {
                self.declare(typed, ObjectKind::Type, &create.name.last().text)
            }
            StatementKind::CreateIndex(create) => {
                let view = &create.on.last().text;
                self.mistake(&format!(
                    "an index is made with its view\nhelp: Put CREATE MATERIALIZED VIEW {view} \
                     and CREATE INDEX into a file, and `flow submit` it."
                ))
            }
            StatementKind::Insert(insert) => self.insert(typed, insert),
            StatementKind::Change(_) => self.mistake(
                "rows of topics and views are not changed\nhelp: Insert a newer row of the key, or \
                 produce a tombstone.",
            ),
            StatementKind::StatementSet(inserts) => {
                let sink = inserts.first().map_or("set", |i| i.table.last().text.as_str());
                self.start_job(typed, sink, "statement set")
            }
            StatementKind::Query(_) => self.query(typed),
            StatementKind::Subscribe(_) => self.subscribe(typed),
            StatementKind::Explain { details, .. } if asks_to_analyze(details) => self.mistake(
                "a query has done nothing yet\nhelp: EXPLAIN shows its plan; EXPLAIN ANALYZE JOB \
                 and a name what the operators of a running job do.",
            ),
            StatementKind::Explain { statement, .. } => self.explain_statement(typed, statement),
            StatementKind::AnalyzeJob(job) => self.analyze_job(&job_of(job)),
            StatementKind::Control { verb, job } => self.control_job(*verb, &job_of(job)),
            StatementKind::Show { what, like } => {
                self.show(what, like.as_ref().map(|t| t.value.as_str()))
            }
            StatementKind::Describe { name, extended } => self.describe(name, *extended),
            StatementKind::DescribeFunction { name, extended } => {
                self.describe_function(&name.text, *extended)
            }
            StatementKind::Drop { kind, if_exists, name, .. } => {
                self.drop_object(*kind, name, *if_exists)
            }
            StatementKind::Set(None) => self.show_settings(None),
            StatementKind::Set(Some(entry)) => self.set(typed, entry),
            StatementKind::Reset(key) => {
                match key {
                    Some(key) => self.session().set(&key.value, None),
                    None => self.session().reset(),
                }
                Done::Well
            }
            StatementKind::Import(file) => self.include(&file.value),
            StatementKind::Print { topic, from_beginning, limit } => {
                self.print_topic(&topic.value, *from_beginning, *limit)
            }
        }
    }

    fn create_table(&mut self, typed: &Typed<'_>, create: &CreateTable) -> Done {
        if create.query.is_some() {
            return self.create_as(typed, create);
        }
        self.declare(typed, kind_of(create.kind), &create.name.last().text)
    }

    /// CREATE STREAM … AS: a job fills it, and from then on the session can read it.
    fn create_as(&mut self, typed: &Typed<'_>, create: &CreateTable) -> Done {
        let name = &create.name.last().text;
        let kind = kind_of(create.kind);
        let before = self.session().take_made(name);
        let done = self.start_job(typed, name, &kind_word(kind).to_lowercase());
        if done != Done::Well {
            before.into_iter().for_each(|before| self.session().declare(before));
            return done;
        }
        self.learn_views();
        let checked = self.session().check(typed.script, typed.alone);
        let relation = checked.module.relations.iter().find(|r| r.stream.name == *name);
        if let Some(relation) = relation {
            let text = read_back(kind, relation);
            // What could not be read would stand in the way of everything behind it.
            let script = Script { name: typed.script.name.clone(), text: text.clone() };
            let fits = self.session().check(&script, &text).ok;
            if fits {
                let made = Some(typed.text.to_string());
                self.session().declare(Declaration { kind, name: name.clone(), text, made });
            }
        }
        done
    }

    /// Checks a declaration behind the others and keeps it.
    fn declare(&mut self, typed: &Typed<'_>, kind: ObjectKind, name: &str) -> Done {
        self.learn_views();
        let checked = self.session().check(typed.script, typed.alone);
        if !self.tell(&checked.diagnostics, &checked.sources) {
            return Done::Failed;
        }
        let declaration =
            Declaration { kind, name: name.to_string(), text: typed.text.to_string(), made: None };
        self.session().declare(declaration);
        self.screen.remark(&format!("{} {name} declared.", kind_word(kind)));
        Done::Well
    }

    fn set(&mut self, typed: &Typed<'_>, entry: &OptionEntry) -> Done {
        let checked = self.session().check(typed.script, typed.alone);
        if !self.tell(&checked.diagnostics, &checked.sources) {
            return Done::Failed;
        }
        self.session().set(&entry.key.value, Some(entry.value.text.clone()));
        Done::Well
    }

    fn insert(&mut self, typed: &Typed<'_>, insert: &Insert) -> Done {
        match &insert.query.body.kind {
            SetExprKind::Values(rows) => self.insert_values(typed, insert, rows),
            SetExprKind::Select(_)
            | SetExprKind::Table(_)
            | SetExprKind::Query(_)
            | SetExprKind::SetOp { .. } => {
                self.start_job(typed, &insert.table.last().text, "query")
            }
        }
    }

    /// Makes a job of a statement, with the declarations that it needs.
    fn start_job(&mut self, typed: &Typed<'_>, name: &str, what: &str) -> Done {
        let job = job_name(name);
        // The statement stands where it was typed, so that the server's messages count lines alike;
        // its declarations, which are right, stand before it in as few lines as there is room for.
        let needed = self.session().needed(typed.text);
        let body = json!({ "source": placed(&needed, typed.alone) });
        let path = format!("/v1/jobs?name={}", segment(&job));
        let answer = match self.server.ask(&Request::post(path, body)) {
            Ok(answer) => answer,
            Err(problem) => return self.problem(&problem),
        };
        let submitted: Submitted = match read(&answer) {
            Ok(submitted) => submitted,
            Err(problem) => return self.problem(&problem),
        };
        if !submitted.warnings.trim().is_empty() {
            self.screen.error(&submitted.warnings);
        }
        self.session().note_started(&submitted.name, typed.text);
        let path = format!("/v1/jobs/{}", segment(&submitted.name));
        match self.settled(&path) {
            Ok(job) => {
                if let Some(error) = job.error {
                    let (name, state) = (&submitted.name, &job.state);
                    return self.mistake(&format!("job {name} is {state}: {error}"));
                }
            }
            Err(problem) => return self.problem(&problem),
        }
        let said = match (submitted.outcome.as_str(), submitted.version) {
            ("unchanged", _) => format!("Job {} runs this {what} already.", submitted.name),
            ("replaced", Some(version)) => {
                format!("Job {}: version {version} of the {what} takes over.", submitted.name)
            }
            _ => format!("Job {} runs the {what}.", submitted.name),
        };
        self.screen.remark(&said);
        Done::Well
    }

    /// A job at this path, when it does not start any more.
    fn settled(&self, path: &str) -> Result<JobState, Problem> {
        let until = Instant::now() + START_PATIENCE;
        loop {
            let job: JobState = read(&self.server.ask(&Request::get(path))?)?;
            if !job.is_unsettled() || Instant::now() > until {
                return Ok(job);
            }
            if !interrupt::wait(LOOK) {
                return Err(Problem::Stopped);
            }
        }
    }

    /// Waits until no job starts any more.
    pub(super) fn all_settled(&self) -> Result<(), Problem> {
        let until = Instant::now() + START_PATIENCE;
        loop {
            let all: JobStates = read(&self.server.ask(&Request::get("/v1/jobs"))?)?;
            if !all.jobs.iter().any(JobState::is_unsettled) || Instant::now() > until {
                return Ok(());
            }
            if !interrupt::wait(LOOK) {
                return Err(Problem::Stopped);
            }
        }
    }

    fn drop_object(&mut self, kind: ObjectKind, name: &ObjectName, if_exists: bool) -> Done {
        if kind == ObjectKind::Job {
            return self.drop_job(&job_of(name), if_exists);
        }
        let declared = match name.as_single() {
            Some(name) => self.session().find(&name.text).map(|d| d.name.clone()),
            // With a job before it, it is a view of the server.
            None => None,
        };
        if let Some(declared) = declared {
            let readers = self.session().forget(&declared);
            if !readers.is_empty() {
                let readers = readers.join(", ");
                return self.mistake(&format!("{declared} is read by {readers}"));
            }
            self.screen.remark(&format!("{} {declared} dropped.", kind_word(kind)));
            return Done::Well;
        }
        if kind == ObjectKind::View {
            return self.drop_served(name, if_exists);
        }
        match if_exists {
            true => Done::Well,
            false => {
                let kind = kind_word(kind).to_lowercase();
                self.mistake(&format!("no {kind} is named {name}"))
            }
        }
    }

    /// Drops a materialized view: the job that keeps it, if it keeps nothing else and was made for
    /// it.
    fn drop_served(&mut self, name: &ObjectName, if_exists: bool) -> Done {
        let view = &name.last().text;
        let jobs = name.parts.len().checked_sub(1).filter(|parts| *parts > 0);
        let of_job = jobs.map(|parts| joined(&name.parts[..parts]));
        // This session's own, also one whose job never came to keep it.
        if of_job.is_none() && self.session().has_started(&job_name(view)) {
            return self.drop_job(&job_name(view), if_exists);
        }
        let views: Vec<Listed> = match self.server.ask(&Request::get("/v1/views")) {
            Ok(answer) => match read(&answer) {
                Ok(views) => views,
                Err(problem) => return self.problem(&problem),
            },
            Err(problem) => return self.problem(&problem),
        };
        let is_meant = |listed: &&Listed| {
            listed.name == *view && of_job.as_ref().is_none_or(|job| listed.job == *job)
        };
        let found: Vec<&Listed> = views.iter().filter(is_meant).collect();
        match found.as_slice() {
            [] if if_exists => Done::Well,
            [] => self.mistake(&format!("no view is named {name}")),
            [one] => {
                let job = &one.job;
                let others = views.iter().any(|other| other.job == *job && other.name != one.name);
                if others || *job != job_name(view) {
                    return self.mistake(&format!(
                        "view {view} is one of the things that job {job} does\nhelp: DROP JOB \
                         \"{job}\" drops the job with all of them; to do without the view, submit \
                         the job's program without it."
                    ));
                }
                let job = job.clone();
                self.drop_job(&job, if_exists)
            }
            several => {
                let jobs: Vec<&str> = several.iter().map(|view| view.job.as_str()).collect();
                self.mistake(&format!(
                    "jobs {} have a view {view} each\nhelp: Name the job before it, as in DROP \
                     VIEW \"{}\".{view}.",
                    jobs.join(", "),
                    jobs[0],
                ))
            }
        }
    }

    fn drop_job(&mut self, job: &str, if_exists: bool) -> Done {
        match self.server.ask(&Request::delete(format!("/v1/jobs/{}", segment(job)))) {
            Ok(_) => {
                self.session().note_dropped(job);
                self.screen.remark(&format!("Job {job} dropped."));
                Done::Well
            }
            Err(Problem::Refused(Refusal { status: 404, .. })) if if_exists => Done::Well,
            Err(problem) => self.problem(&problem),
        }
    }

    /// STOP JOB, PAUSE JOB, RESUME JOB.
    fn control_job(&mut self, verb: ControlVerb, job: &str) -> Done {
        let (word, done) = match verb {
            ControlVerb::Stop => ("stop", "stopped"),
            ControlVerb::Pause => ("pause", "paused"),
            ControlVerb::Resume => ("resume", "goes on"),
        };
        let path = format!("/v1/jobs/{}/{word}", segment(job));
        let answer = self.server.ask(&Request::post(path, json!({})));
        match answer.and_then(|answer| read::<JobState>(&answer)) {
            Ok(JobState { state, error: Some(error) }) => {
                self.mistake(&format!("job {job} is {state}: {error}"))
            }
            Ok(JobState { error: None, .. }) => {
                self.screen.remark(&format!("Job {job} {done}."));
                Done::Well
            }
            Err(problem) => self.problem(&problem),
        }
    }

    /// EXPLAIN: of what runs, or of the query that a view stands for.
    fn explain_statement(&mut self, typed: &Typed<'_>, statement: &Statement) -> Done {
        let runs = match &statement.kind {
            StatementKind::CreateView(create) if !create.materialized => Some(create.query.span),
            StatementKind::CreateTable(create) if create.query.is_none() => None,
            StatementKind::CreateIndex(_)
            | StatementKind::CreateFunction(_)
            | StatementKind::CreateType(_) => None,
            _ => Some(statement.span),
        };
        let Some(span) = runs else {
            return self.mistake(
                "this statement declares, and has no plan\nhelp: EXPLAIN takes a query, INSERT \
                 INTO, a statement set, CREATE VIEW and CREATE … AS.",
            );
        };
        let alone = typed.script.alone(&(span.start as usize..span.end as usize));
        self.explain(typed.script, &alone)
    }

    /// Shows the plan of what runs, of which `alone` is the text at its place.
    pub(super) fn explain(&mut self, script: &Script, alone: &str) -> Done {
        self.learn_views();
        let (ast, _) = parse(TYPED_FILE, alone);
        let first = ast.statements.first().map(|s| &s.kind);
        let is_query = matches!(first, Some(StatementKind::Query(_)));
        let plan = self.session().explain(script, alone, is_query);
        match plan {
            Ok(plan) => {
                // Names in it may be of a server's views.
                self.screen.write(&plain::lines(&plan));
                Done::Well
            }
            Err((found, sources)) => {
                self.tell(&found, &sources);
                Done::Failed
            }
        }
    }

    /// Shows diagnostics. Whether none is an error.
    pub(super) fn tell(&mut self, found: &[Diagnostic], sources: &SourceMap) -> bool {
        if !found.is_empty() {
            self.screen.diagnostics(found, sources);
        }
        !has_errors(found)
    }
}

/// Whether EXPLAIN is to tell what happens, not what will.
fn asks_to_analyze(details: &[Ident]) -> bool {
    details.iter().any(|detail| detail.text.eq_ignore_ascii_case("ANALYZE"))
}

fn kind_of(kind: TableKind) -> ObjectKind {
    match kind {
        TableKind::Stream => ObjectKind::Stream,
        TableKind::Table => ObjectKind::Table,
    }
}

/// The declaration of what `CREATE … AS` makes, with the columns that its query gives and the
/// options that follow from it.
fn read_back(kind: ObjectKind, relation: &Relation) -> String {
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let columns = &relation.columns;
    let mut elements: Vec<String> =
        columns.iter().map(|c| format!("{} {}", quoted(&c.name), c.ty)).collect();
    let key: Vec<String> = relation.primary_key.iter().map(|k| quoted(&columns[*k].name)).collect();
    if !key.is_empty() {
        elements.push(format!("PRIMARY KEY ({}) NOT ENFORCED", key.join(", ")));
    }
    let options = relation.stream.options.iter();
    let options = options.map(|(key, value)| format!("{} = {}", text(key), text(value)));
    format!(
        "CREATE {} {} ({}) WITH ({})",
        kind_word(kind).to_uppercase(),
        quoted(&relation.stream.name),
        elements.join(", "),
        options.collect::<Vec<_>>().join(", "),
    )
}

/// The word for a kind.
pub(super) fn kind_word(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Stream => "Stream",
        ObjectKind::Table => "Table",
        ObjectKind::View => "View",
        ObjectKind::Index => "Index",
        ObjectKind::SearchIndex => "Search index",
        ObjectKind::Function => "Function",
        ObjectKind::Type => "Type",
        ObjectKind::Job => "Job",
    }
}

/// The name of the job for a view or a sink: what jobs' names may not have becomes a dash.
fn job_name(name: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    name.chars().map(valid).collect()
}

/// The job of a name: of one with dots in it, that job and no other.
fn job_of(name: &ObjectName) -> String {
    job_name(&joined(&name.parts))
}

/// The parts of a name with dots between them.
fn joined(parts: &[Ident]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".")
}

/// Declarations and a statement as one text, in which the statement keeps its line where the lines
/// before it suffice.
fn placed(declarations: &str, alone: &str) -> String {
    if declarations.is_empty() {
        return alone.to_string();
    }
    let statement = alone.trim_start_matches(['\n', ' ']);
    let lead = alone.get(..alone.len() - statement.len()).unwrap_or("");
    let line = lead.rfind('\n').map_or(0, |at| at + 1);
    let (lines, indent) = lead.split_at(line);
    let missing = lines.matches('\n').count().saturating_sub(declarations.matches('\n').count());
    format!("{declarations}{}{indent}{statement}", "\n".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_keeps_its_line_behind_declarations_where_there_is_room() {
        assert_eq!(placed("", "\n\n  SELECT"), "\n\n  SELECT");
        assert_eq!(placed("A;\nB;\n", "\n\n\n  SELECT"), "A;\nB;\n\n  SELECT");
        assert_eq!(placed("A;\nB;\n", "SELECT"), "A;\nB;\nSELECT");
    }

    #[test]
    fn names_of_jobs_have_only_what_they_may() {
        assert_eq!(job_name("my view/2"), "my-view-2");
    }
}
