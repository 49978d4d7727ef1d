//! Queries: over views and over what ends by itself they are asked once; over streams rows come
//! until Ctrl-C, and a result that changes is redrawn in place.

use std::ops::ControlFlow;
use std::time::Duration;

use flow_compiler::check::typed::{QueryId, QueryOp, TypedModule};
use flow_compiler::diagnostics::{Code, Diagnostic};
use flow_ir::connector::is_bounded;
use flow_ir::physical::Changelog;
use serde_json::json;

use super::cell::Cell;
use super::live::{Live, Manner, count_of, whole};
use super::server::{
    Answer, At, Changes, Column, Columns, End, Event, Problem, Refusal, Request, read,
};
use super::statement::Typed;
use super::{Done, Format, Shell, interrupt};

/// How a query is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    /// Whether it ends by itself.
    ends: bool,
    /// Whether its rows may be taken back, as far as is known here.
    updating: Option<bool>,
}

impl Shell {
    /// SELECT.
    pub(super) fn query(&mut self, typed: &Typed<'_>) -> Done {
        let Some(way) = self.way(typed) else { return Done::Failed };
        if !way.ends {
            return self.follow(typed, way.updating);
        }
        match self.ask_once(typed) {
            Err(problem) => self.problem(&problem),
            Ok(answer) => self.show_answer(&answer),
        }
    }

    /// SUBSCRIBE.
    pub(super) fn subscribe(&mut self, typed: &Typed<'_>) -> Done {
        match self.way(typed) {
            Some(_) => self.follow(typed, Some(true)),
            None => Done::Failed,
        }
    }

    /// Checks a query, and finds how it is asked; `None` if it is wrong, which is told.
    fn way(&mut self, typed: &Typed<'_>) -> Option<Way> {
        let learned = self.learn_views();
        let (checked, answer) = self.session().check_query(typed.script, typed.alone);
        let unknown = |d: &Diagnostic| !d.is_error() || d.code == Code::E0201;
        if !checked.ok && !learned && checked.diagnostics.iter().all(unknown) {
            // What is not declared here may be a view of the server, which says so if it is not.
            return Some(Way { ends: true, updating: None });
        }
        let limited = answer.is_some_and(|answer| answer.limit.is_some());
        let is_right = self.tell(&checked.diagnostics, &checked.sources);
        is_right.then(|| way(&checked.module, limited))
    }

    fn body(&self, typed: &Typed<'_>) -> serde_json::Value {
        let declarations = self.session().needed(typed.text);
        json!({ "sql": typed.alone, "declarations": declarations })
    }

    /// Asks once; jobs that start are waited for.
    fn ask_once(&self, typed: &Typed<'_>) -> Result<Answer, Problem> {
        let request = Request::post("/v1/query", self.body(typed));
        let answer = match self.server.ask(&request) {
            Err(problem) if is_not_now(&problem) => {
                self.all_settled()?;
                self.server.ask(&request)?
            }
            answer => answer?,
        };
        read(&answer)
    }

    fn show_answer(&mut self, answer: &Answer) -> Done {
        let rows: Vec<Vec<Cell>> =
            answer.rows.iter().map(|row| Cell::row(&answer.columns, row)).collect();
        let count = whole(&answer.columns, &rows, self.switches.format, &mut self.screen);
        let epochs = note(&answer.at);
        let note = if epochs.is_empty() { String::new() } else { format!(" · {epochs}") };
        self.screen.remark(&format!("{}{note}", count_of(count, "row")));
        Done::Well
    }

    /// Rows as they come, until the server ends, or Ctrl-C; jobs that start are waited for.
    fn follow(&mut self, typed: &Typed<'_>, updating: Option<bool>) -> Done {
        let request = Request::post("/v1/query/stream", self.body(typed));
        let mut view = Following {
            changelog: self.switches.changelog || !self.screen.is_terminal(),
            format: self.switches.format,
            updating,
            live: None,
            columns: Vec::new(),
            at: String::new(),
            result: Ok(()),
            reason: String::new(),
        };
        let server = self.server.clone();
        let screen = &mut self.screen;
        let mut ended = server.follow(&request, &mut |event| view.take(event, screen));
        if ended.as_ref().is_err_and(is_not_now) {
            ended = match self.all_settled() {
                Ok(()) => {
                    let screen = &mut self.screen;
                    server.follow(&request, &mut |event| view.take(event, screen))
                }
                Err(problem) => Err(problem),
            };
        }
        let screen = &mut self.screen;
        let count = view.live.as_mut().map_or(0, |live| live.end(screen));
        let counted = count_of(count, if view.shows_changes() { "change" } else { "row" });
        match ended.and(view.result) {
            Ok(()) => {
                let why = if view.reason.is_empty() { "" } else { " · " };
                self.screen.remark(&format!("{counted}{why}{}", view.reason));
                Done::Well
            }
            Err(Problem::Stopped) => {
                self.screen.remark(&format!("Stopped after {counted}."));
                Done::Well
            }
            Err(problem) => self.problem(&problem),
        }
    }

    /// Asks again and again, and redraws: `\watch`.
    pub(super) fn watch(&mut self, typed: &Typed<'_>, pause: Duration) -> Done {
        let mut live: Option<Live> = None;
        loop {
            let answer = match self.ask_once(typed) {
                Ok(answer) => answer,
                Err(problem) => return self.problem(&problem),
            };
            if self.screen.is_terminal() {
                let fresh = || Live::new(answer.columns.clone(), Manner::InPlace, Format::Table);
                let live = live.get_or_insert_with(fresh);
                let rows = answer.rows.iter().map(|row| (1, Cell::row(&answer.columns, row)));
                if let Err(why) = live.replace(&rows.collect::<Vec<_>>()) {
                    self.screen.error(&why);
                    return Done::Failed;
                }
                let every = format!("every {} s, Ctrl-C stops", pause.as_secs_f64());
                let at = note(&answer.at);
                let note = if at.is_empty() { every } else { format!("{at} · {every}") };
                live.draw(&note, &mut self.screen);
            } else {
                self.show_answer(&answer);
            }
            if !interrupt::wait(pause) {
                return self.problem(&Problem::Stopped);
            }
        }
    }
}

/// Whether the server cannot answer yet.
fn is_not_now(problem: &Problem) -> bool {
    matches!(problem, Problem::Refused(Refusal { status: 503, .. }))
}

/// A query whose rows are coming.
struct Following {
    changelog: bool,
    format: Format,
    updating: Option<bool>,
    live: Option<Live>,
    columns: Vec<Column>,
    at: String,
    result: Result<(), Problem>,
    reason: String,
}

impl Following {
    fn take(&mut self, event: &Event, screen: &mut super::screen::Screen) -> ControlFlow<()> {
        let taken = match event.name.as_str() {
            "columns" => read(&event.data).map(|columns: Columns| self.begin(columns)),
            "rows" => read(&event.data).and_then(|changes: Changes| self.rows(&changes, screen)),
            "end" => {
                self.reason = read(&event.data).map(|end: End| end.reason).unwrap_or_default();
                return ControlFlow::Break(());
            }
            "error" => Err(Problem::Refused(Refusal::read(0, &event.data))),
            // Kinds that come later may be skipped.
            _ => Ok(()),
        };
        if let Err(problem) = taken {
            self.result = Err(problem);
            return ControlFlow::Break(());
        }
        if !event.more
            && let Some(live) = &mut self.live
        {
            let at = if self.at.is_empty() { String::new() } else { format!("{} · ", self.at) };
            live.draw(&format!("{at}Ctrl-C stops"), screen);
        }
        ControlFlow::Continue(())
    }

    fn begin(&mut self, columns: Columns) {
        self.updating = columns.updating.or(self.updating);
        self.columns = columns.columns;
        let manner = match self.updating {
            Some(true) if self.changelog || self.format != Format::Table => Manner::Changes,
            Some(true) => Manner::InPlace,
            Some(false) => Manner::Rows,
            None => Manner::Changes,
        };
        self.live = Some(Live::new(self.columns.clone(), manner, self.format));
    }

    fn rows(
        &mut self,
        changes: &Changes,
        screen: &mut super::screen::Screen,
    ) -> Result<(), Problem> {
        self.at = note(&changes.at);
        let Some(live) = &mut self.live else {
            return Err(Problem::Away("the server sent rows before their columns".into()));
        };
        let rows =
            changes.changes.iter().map(|(weight, row)| (*weight, Cell::row(&self.columns, row)));
        match live.take(&rows.collect::<Vec<_>>(), screen) {
            Ok(true) => Ok(()),
            // Nobody reads any more.
            Ok(false) => Err(Problem::Stopped),
            Err(message) => Err(Problem::Refused(Refusal { message, ..Refusal::default() })),
        }
    }

    fn shows_changes(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.manner() == Manner::Changes)
    }
}

/// As of when a result is: `epoch 7 of totals`.
fn note(at: &[At]) -> String {
    let at: Vec<String> = at.iter().map(|at| format!("epoch {} of {}", at.epoch, at.job)).collect();
    at.join(", ")
}

/// How a checked query is asked.
fn way(module: &TypedModule, limited: bool) -> Way {
    let Some(output) = module.outputs.last() else {
        return Way { ends: true, updating: None };
    };
    let updating = module.query(output.query).changelog != Changelog::Append;
    Way { ends: limited || all_bounded(module, output.query), updating: Some(updating) }
}

/// Whether everything that a query reads ends by itself.
fn all_bounded(module: &TypedModule, query: QueryId) -> bool {
    let node = module.query(query);
    if let QueryOp::Scan(id) = &node.op {
        let relation = module.relation(*id);
        let stream = &relation.stream;
        return relation.is_view() || is_bounded(&stream.connector, |name| stream.option(name));
    }
    node.inputs().into_iter().all(|input| all_bounded(module, input))
}
