//! SHOW, DESCRIBE and PRINT: of the session what it declares, of the server what it has.

use std::ops::ControlFlow;

use flow_compiler::check::SETTINGS;
use flow_compiler::check::notes::RelationKind;
use flow_compiler::check::typed::Relation;
use flow_compiler::syntax::ast::{ObjectKind, ObjectName, ShowWhat};
use flow_stdlib::aggregates::AGGREGATES;
use flow_stdlib::builtin;
use serde_json::Value;

use super::cell::Cell;
use super::live::{count_of, whole};
use super::server::{Answer, Column, Problem, Refusal, Request, read, segment};
use super::statement::kind_word;
use super::{Done, Format, Shell};

/// What is told of an operator, by the names of the API.
const OF_OPERATORS: [(&str, &str); 10] = [
    ("vertex", "BIGINT"),
    ("operator", "STRING"),
    ("kind", "STRING"),
    ("done_by", "BIGINT"),
    ("rows_in", "BIGINT"),
    ("rows_out", "BIGINT"),
    ("busy_seconds", "DOUBLE"),
    ("watermark_micros", "BIGINT"),
    ("state_rows", "BIGINT"),
    ("state_bytes", "BIGINT"),
];

impl Shell {
    /// SHOW.
    pub(super) fn show(&mut self, what: &ShowWhat, like: Option<&str>) -> Done {
        match what {
            ShowWhat::Streams => self.show_declared(&[ObjectKind::Stream], like),
            ShowWhat::Tables => self.show_declared(&[ObjectKind::Table], like),
            ShowWhat::Views => self.show_views(like),
            ShowWhat::Functions => self.show_functions(like),
            ShowWhat::Settings => self.show_settings(like),
            ShowWhat::Jobs => {
                let columns = [("name", "STRING"), ("state", "STRING"), ("version", "BIGINT")];
                let more = [("error", "STRING")];
                self.show_list("/v1/jobs", "jobs", &[&columns[..], &more].concat(), like)
            }
            ShowWhat::Topics => {
                let columns = [("name", "STRING"), ("partitions", "BIGINT")];
                self.show_list("/v1/topics", "topics", &columns, like)
            }
            ShowWhat::Schemas => {
                self.show_list("/v1/schemas", "subjects", &[("subject", "STRING")], like)
            }
            ShowWhat::Indexes(of) => self.show_indexes(of.as_ref(), like),
            ShowWhat::Columns(name) => self.describe(name, false),
            ShowWhat::Create(_, name) => self.show_create(&name.last().text),
        }
    }

    /// A table of text.
    fn show_rows(&mut self, columns: &[(&str, &str)], rows: Vec<Vec<Cell>>) -> Done {
        let columns: Vec<Column> = columns
            .iter()
            .map(|(name, ty)| Column { name: (*name).into(), ty: (*ty).into() })
            .collect();
        let count = whole(&columns, &rows, self.switches.format, &mut self.screen);
        self.screen.remark(&count_of(count, "row"));
        Done::Well
    }

    fn show_declared(&mut self, kinds: &[ObjectKind], like: Option<&str>) -> Done {
        let rows: Vec<Vec<Cell>> = {
            let session = self.session();
            let declared = session.declarations().iter();
            let shown = declared.filter(|d| kinds.contains(&d.kind) && fits(&d.name, like));
            shown.map(|d| vec![Cell::text(&d.name), Cell::text(kind_word(d.kind))]).collect()
        };
        self.show_rows(&[("name", "STRING"), ("kind", "STRING")], rows)
    }

    /// Views of the session and materialized views of the server.
    fn show_views(&mut self, like: Option<&str>) -> Done {
        let mut rows: Vec<Vec<Cell>> = {
            let session = self.session();
            let views = session.declarations().iter().filter(|d| d.kind == ObjectKind::View);
            views.map(|d| vec![Cell::text(&d.name), Cell::text("View"), Cell::Null]).collect()
        };
        match self.list("/v1/views", "views") {
            Ok(views) => rows.extend(views.iter().map(|view| {
                vec![field(view, "name"), Cell::text("Materialized view"), field(view, "job")]
            })),
            Err(problem) => return self.problem(&problem),
        }
        rows.retain(|row| fits(&row[0].shown(), like));
        self.show_rows(&[("name", "STRING"), ("kind", "STRING"), ("job", "STRING")], rows)
    }

    /// The indexes of the server's materialized views, or of one of them.
    fn show_indexes(&mut self, of: Option<&ObjectName>, like: Option<&str>) -> Done {
        let views = match self.list("/v1/views", "views") {
            Ok(views) => views,
            Err(problem) => return self.problem(&problem),
        };
        let meant: Vec<&Value> =
            views.iter().filter(|view| of.is_none_or(|of| is_view(view, of))).collect();
        if let Some(of) = of.filter(|_| meant.is_empty()) {
            return self.mistake(&format!("no materialized view is named {of}"));
        }
        let mut rows = Vec::new();
        for view in meant {
            let indexes = view.get("indexes").and_then(Value::as_array);
            for index in indexes.into_iter().flatten() {
                let columns = index.get("columns").and_then(Value::as_array);
                let columns: Vec<&str> =
                    columns.into_iter().flatten().filter_map(Value::as_str).collect();
                let columns = Cell::text(columns.join(", "));
                rows.push(vec![field(index, "name"), field(view, "name"), columns]);
            }
        }
        rows.retain(|row| row.first().is_some_and(|name| fits(&name.shown(), like)));
        self.show_rows(&[("name", "STRING"), ("view", "STRING"), ("columns", "STRING")], rows)
    }

    /// DESCRIBE FUNCTION; EXTENDED: with an example.
    pub(super) fn describe_function(&mut self, name: &str, extended: bool) -> Done {
        let row = |about: &str, value: &str| vec![Cell::text(about), Cell::text(value)];
        let own = {
            let session = self.session();
            let own = session.find(name).filter(|d| d.kind == ObjectKind::Function);
            own.map(|d| vec![row("name", &d.name), row("made by", d.text.trim())])
        };
        let known = || {
            let function = crate::ide::function(name)?;
            let mut rows = vec![row("name", function.name)];
            rows.extend(function.signatures.iter().map(|usage| row("usage", usage)));
            rows.push(row("what it gives", function.doc));
            if let Some((call, result)) = function.example.filter(|_| extended) {
                rows.push(row("example", &format!("{call} gives {result}")));
            }
            Some(rows)
        };
        match own.or_else(known) {
            Some(rows) => self.show_rows(&[("about", "STRING"), ("value", "STRING")], rows),
            None => self.mistake(&format!(
                "no function is named {name}\nhelp: SHOW FUNCTIONS LIKE '%…%' looks for one."
            )),
        }
    }

    fn list(&self, path: &str, field: &str) -> Result<Vec<Value>, Problem> {
        let answer: Value = read(&self.server.ask(&Request::get(path))?)?;
        // A list by itself, or under its name.
        match answer.as_array().or_else(|| answer.get(field)?.as_array()) {
            Some(list) => Ok(list.clone()),
            None => Err(Problem::Away(format!("the server's answer has no {field}"))),
        }
    }

    fn show_list(
        &mut self,
        path: &str,
        name: &str,
        columns: &[(&str, &str)],
        like: Option<&str>,
    ) -> Done {
        let items = match self.list(path, name) {
            Ok(items) => items,
            Err(problem) => return self.problem(&problem),
        };
        // Items that are names alone are their only column.
        let row = |item: &Value| match item {
            Value::String(name) => vec![Cell::text(name)],
            item => columns.iter().map(|(name, _)| field(item, name)).collect(),
        };
        let mut rows: Vec<Vec<Cell>> = items.iter().map(row).collect();
        rows.retain(|row| row.first().is_some_and(|name| fits(&name.shown(), like)));
        self.show_rows(columns, rows)
    }

    /// SHOW FUNCTIONS, `\df`.
    pub(super) fn show_functions(&mut self, like: Option<&str>) -> Done {
        let is_word = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic());
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for builtin in builtin::all().filter(|b| is_word(b.name) && fits(b.name, like)) {
            let usage = builtin.usage().join("; ");
            rows.push(vec![Cell::text(builtin.name), Cell::text(usage), Cell::text(builtin.doc)]);
        }
        for def in AGGREGATES.iter().filter(|def| fits(def.name, like)) {
            let usage = format!("{}({}) [FILTER (WHERE …)]", def.name, def.usage);
            rows.push(vec![Cell::text(def.name), Cell::text(usage), Cell::text(def.doc)]);
        }
        for declared in self.session().declarations() {
            if declared.kind == ObjectKind::Function && fits(&declared.name, like) {
                let text = Cell::text(declared.text.trim());
                rows.push(vec![Cell::text(&declared.name), text, Cell::text("Of this session.")]);
            }
        }
        rows.sort();
        let columns = [("name", "STRING"), ("usage", "STRING"), ("what it gives", "STRING")];
        self.show_rows(&columns, rows)
    }

    /// SET, SHOW SETTINGS: all that there are, with the values that this session has set.
    pub(super) fn show_settings(&mut self, like: Option<&str>) -> Done {
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for spec in SETTINGS {
            let session = self.session();
            let mut set = session.settings().iter().filter(|(key, _)| spec.matches(key)).peekable();
            if set.peek().is_none() {
                rows.push(vec![Cell::text(spec.name), Cell::Null, Cell::text(spec.doc)]);
            }
            rows.extend(set.map(|(key, value)| {
                let value = if is_secret(key) { "…" } else { value };
                vec![Cell::text(key), Cell::text(value), Cell::text(spec.doc)]
            }));
        }
        for (key, value) in self.session().settings() {
            // Flink's names for the same.
            if !SETTINGS.iter().any(|spec| spec.matches(key)) {
                rows.push(vec![Cell::text(key), Cell::text(value), Cell::Null]);
            }
        }
        rows.retain(|row| row.first().is_some_and(|name| fits(&name.shown(), like)));
        let columns = [("setting", "STRING"), ("value", "STRING"), ("what it says", "STRING")];
        self.show_rows(&columns, rows)
    }

    fn show_create(&mut self, name: &str) -> Done {
        let text = self.session().find(name).map(|d| d.text.clone());
        match text {
            Some(text) => {
                self.screen.line(&format!("{text};"));
                Done::Well
            }
            None => self.mistake(&format!("{name} is not declared in this session")),
        }
    }

    /// `\d`: everything that is declared, and the server's views and jobs.
    pub(super) fn show_all(&mut self) -> Done {
        use ObjectKind::{Function, Stream, Table, View};
        match self.show_declared(&[Stream, Table, View, Function], None) {
            Done::Well => self.show(&ShowWhat::Jobs, None),
            other => other,
        }
    }

    /// DESCRIBE: the columns; EXTENDED: key, watermark and options, too.
    pub(super) fn describe(&mut self, name: &ObjectName, extended: bool) -> Done {
        let declared = match name.as_single() {
            Some(name) => self.session().find(&name.text).map(|d| d.name.clone()),
            // With a job before it, it is a view of the server.
            None => None,
        };
        let Some(declared) = declared else { return self.describe_served(name, extended) };
        let (module, notes) = self.session().notes();
        let Some(note) = notes.relations.iter().find(|r| r.name == declared) else {
            return self.mistake(&format!("{declared} has no columns"));
        };
        let relation = module.relations.iter().find(|r| r.stream.name == declared);
        let keys: Vec<&str> = relation.map(keys).unwrap_or_default();
        let rows = note.columns.iter().map(|column| {
            let ty = column.ty.as_ref().map_or(Cell::Null, |ty| Cell::text(ty.to_string()));
            let mut about = Vec::new();
            if keys.contains(&column.name.as_str()) {
                about.push("primary key");
            }
            if column.event_time {
                about.push("event time");
            }
            vec![Cell::text(&column.name), ty, Cell::text(about.join(", "))]
        });
        let columns = [("column", "STRING"), ("type", "STRING"), ("about", "STRING")];
        let done = self.show_rows(&columns, rows.collect());
        if !extended || note.kind == RelationKind::View {
            return done;
        }
        let Some(relation) = relation else { return done };
        // Options may hold passwords; the names of those that do say so.
        let rows = relation.stream.options.iter().map(|(key, value)| {
            let value = if is_secret(key) { "…" } else { value };
            vec![Cell::text(key), Cell::text(value)]
        });
        self.show_rows(&[("option", "STRING"), ("value", "STRING")], rows.collect())
    }

    /// A view of the server: its columns are those of a query.
    fn describe_served(&mut self, name: &ObjectName, extended: bool) -> Done {
        let parts = name.parts.iter().map(|part| format!("`{}`", part.text.replace('`', "``")));
        let quoted = parts.collect::<Vec<_>>().join(".");
        let sql = format!("SELECT * FROM {quoted} LIMIT 0");
        let body = serde_json::json!({ "sql": sql, "declarations": "" });
        let answer = self.server.ask(&Request::post("/v1/query", body));
        let answer: Answer = match answer.and_then(|answer| read(&answer)) {
            Ok(answer) => answer,
            Err(Problem::Refused(_)) => {
                return self.mistake(&format!("no stream, table or view is named {name}"));
            }
            Err(problem) => return self.problem(&problem),
        };
        let rows = answer.columns.iter().map(|c| vec![Cell::text(&c.name), Cell::text(&c.ty)]);
        let done = self.show_rows(&[("column", "STRING"), ("type", "STRING")], rows.collect());
        if !extended || done != Done::Well {
            return done;
        }
        let views = match self.list("/v1/views", "views") {
            Ok(views) => views,
            Err(problem) => return self.problem(&problem),
        };
        let of_name = views.iter().find(|view| is_view(view, name));
        let fields = of_name.and_then(Value::as_object);
        let rows = fields.into_iter().flatten().filter(|(key, _)| *key != "columns");
        let rows = rows.map(|(key, value)| vec![Cell::text(key), Cell::read(&value.to_string())]);
        self.show_rows(&[("about", "STRING"), ("value", "STRING")], rows.collect())
    }

    /// EXPLAIN ANALYZE JOB: the plan with its figures; for programs, a row an operator.
    pub(super) fn analyze_job(&mut self, job: &str) -> Done {
        let path = format!("/v1/jobs/{}", segment(job));
        if self.switches.format != Format::Table {
            return self.show_list(&format!("{path}/metrics"), "operators", &OF_OPERATORS, None);
        }
        match self.server.ask(&Request::get(format!("{path}/plan?analyze=true"))) {
            Ok(plan) => {
                // Names in it are of other people's programs.
                plan.lines().all(|line| self.screen.line(&Cell::text(line).shown()));
                Done::Well
            }
            Err(problem) => self.problem(&problem),
        }
    }

    /// PRINT.
    pub(super) fn print_topic(
        &mut self,
        topic: &str,
        from_beginning: bool,
        limit: Option<u64>,
    ) -> Done {
        let from = if from_beginning { "beginning" } else { "end" };
        let mut path = format!("/v1/topics/{}/records?from={from}&follow=true", segment(topic));
        if let Some(limit) = limit {
            path.push_str(&format!("&limit={limit}"));
        }
        let server = self.server.clone();
        let mut refusal = None;
        let screen = &mut self.screen;
        let ended = server.follow(&Request::get(path), &mut |event| match event.name.as_str() {
            "error" => {
                refusal = Some(Refusal::read(0, &event.data));
                ControlFlow::Break(())
            }
            "end" => ControlFlow::Break(()),
            _ => match screen.line(&Cell::text(&event.data).shown()) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            },
        });
        match (ended, refusal) {
            (_, Some(refusal)) => self.problem(&Problem::Refused(refusal)),
            (Err(problem), None) => self.problem(&problem),
            (Ok(()), None) => Done::Well,
        }
    }
}

fn keys(relation: &Relation) -> Vec<&str> {
    let name = |at: &usize| relation.columns.get(*at).map(|c| c.name.as_str());
    relation.primary_key.iter().filter_map(name).collect()
}

/// Whether a view of the server is the one of this name, which may have its job before it.
fn is_view(view: &Value, name: &ObjectName) -> bool {
    let is = |field: &str, text: &str| {
        view.get(field).and_then(Value::as_str).is_some_and(|n| n.eq_ignore_ascii_case(text))
    };
    let job = name.parts.iter().rev().nth(1);
    is("name", &name.last().text) && job.is_none_or(|job| is("job", &job.text))
}

fn is_secret(key: &str) -> bool {
    ["password", "secret", "jaas", "token"].iter().any(|word| key.contains(word))
}

/// A field of an object of the API.
fn field(item: &Value, name: &str) -> Cell {
    item.get(name).map_or(Cell::Null, |value| Cell::read(&value.to_string()))
}

/// Whether a name fits a pattern of LIKE: `%` for any text, `_` for one character, blind to case.
/// Without a wildcard the pattern may stand anywhere.
fn fits(name: &str, like: Option<&str>) -> bool {
    let Some(pattern) = like else { return true };
    let (name, pattern) = (name.to_lowercase(), pattern.to_lowercase());
    if !pattern.contains(['%', '_']) {
        return name.contains(&pattern);
    }
    let name: Vec<char> = name.chars().collect();
    // Which lengths of the name's beginning the pattern so far fits.
    let mut fitting = vec![false; name.len() + 1];
    fitting[0] = true;
    for c in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match c {
                '%' => fitting[at] || (at > 0 && next[at - 1]),
                c => at > 0 && fitting[at - 1] && (c == '_' || name[at - 1] == c),
            };
        }
        fitting = next;
    }
    fitting[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_like() {
        assert!(fits("orders", Some("%der%")) && fits("Orders", Some("o_ders")));
        assert!(!fits("orders", Some("o_d")) && !fits("orders", Some("der%")));
        assert!(fits("TO_CHAR", Some("char")) && fits("x", None) && fits("", Some("%")));
        assert!(fits("a_b", Some("a__")) && !fits("a", Some("__")));
    }
}
