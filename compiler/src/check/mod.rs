//! Names, types and everything else that can be wrong with a program: AST and catalog to the typed
//! module, plus diagnostics.
//!
//! What always holds:
//! * Checking never stops at a mistake. What failed is poisoned: a name, a column or a whole query
//!   that already has its diagnostic, and of which nothing more is said.
//! * A function that returns `None` has reported why.
//! * A module without error diagnostics keeps the promises in `typed`.
//!
//! | file | language area |
//! | --- | --- |
//! | `declare`, `options`, `settings`, `registry` | CREATE STREAM and TABLE, WITH, SET, schemas |
//! | `type_expr`, `literal`, `coerce`, `expr`, `alias`, `call` | types and scalar expressions |
//! | `ksql_options`, `ksql_names`, `record_time`, `headers` | what ksqlDB writes: declarations |
//! | `time_window`, `grace`, `ksql_calls`, `ksql_meaning` | what ksqlDB writes: queries |
//! | `like`, `arroyo`, `inline_tables`, `inline_rows` | declarations that stand for others |
//! | `values`, `value_rows`, `values_query` | rows that the program brings itself |
//! | `made`, `made_versions` | CREATE … AS, and joins with what it makes |
//! | `construct`, `json`, `json_get` | rows, maps, JSON's clauses and getters |
//! | `lambda`, `functions` | lambdas, CREATE FUNCTION |
//! | `scope`, `from`, `derived`, `using`, `on`, `join`, `join_order`, `asof` | FROM |
//! | `interval`, `window` | what time bounds in FROM |
//! | `window_rows` | windows as values |
//! | `query`, `cte`, `set_ops`, `select`, `aggregate`, `dedup` | SELECT and set operations |
//! | `set_returning` | functions in SELECT that give rows |
//! | `current_watermark`, `settled` | CURRENT_WATERMARK; first rows that wait for the watermark |
//! | `subquery`, `correlate`, `attach`, `rows`, `lateral` | subqueries, LATERAL, UNNEST |
//! | `nodes` | query nodes and what is known of their rows |
//! | `sink` | INSERT INTO and bare SELECT |
//! | `views` | materialized views, indexes, views of other jobs |
//! | `answer` | queries that are asked once, and subscriptions |
//! | `notes` | what names were found to mean, for editors |

mod aggregate;
mod aggregate_call;
mod alias;
pub mod answer;
mod arroyo;
mod asof;
mod attach;
mod call;
pub mod catalog;
mod coerce;
mod construct;
mod correlate;
mod cte;
mod current_watermark;
mod declare;
mod derived;
mod emit;
mod expr;
mod frame;
mod from;
mod functions;
mod generated;
mod grace;
mod group_window;
mod grouping;
mod headers;
mod inline_rows;
mod inline_tables;
mod interval;
mod join;
mod join_order;
mod json;
mod json_get;
mod ksql_calls;
mod ksql_meaning;
mod ksql_names;
mod ksql_options;
mod lambda;
mod lateral;
mod like;
mod literal;
mod made;
mod made_versions;
mod nodes;
pub mod notes;
mod on;
mod operators;
mod options;
mod order;
mod over;
mod print;
mod query;
mod record_time;
mod registry;
mod rows;
mod scope;
mod select;
mod set_ops;
mod set_returning;
mod settings;
mod settled;
mod sink;
mod star;
mod subquery;
mod time_window;
mod top_n;
mod type_expr;
pub mod typed;
mod using;
mod value_rows;
mod values;
mod values_query;
pub mod views;
mod window;
mod window_rows;
mod windowed;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::thread;

use flow_ir::span::Span;
use flow_ir::types::Type;

use crate::diagnostics::{self, Diagnostic, names, plans, syntax};
use crate::source::SourceMap;
use crate::syntax::ast::{self, Ast, Ident, ObjectName, StatementKind};
pub use options::fill_in;
pub use settings::{SETTINGS, is_setting};
pub use type_expr::NAMES as TYPE_NAMES;

use catalog::Catalog;
use notes::Notes;
use scope::Found;
use typed::{Query, QueryId, RelationId, TypedModule, View};
use views::ViewDecl;

/// What the caller adds to a program.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// What `${NAME}` in options and settings stands for.
    pub variables: BTreeMap<String, String>,
    /// Settings that win over the program's SET.
    pub overrides: BTreeMap<String, String>,
    /// Settings that the program's SET wins over.
    pub defaults: BTreeMap<String, String>,
    /// The views that a running server offers.
    pub views: Vec<ViewDecl>,
    /// Whether the files that IMPORT names are among the sources, before whatever names them.
    pub imported: bool,
}

/// Stack of a check: trees are as deep as the parser lets them be.
const CHECK_STACK_BYTES: usize = 64 << 20;

/// Checks a program. The module is whole only if no diagnostic is an error.
pub fn check(
    ast: &Ast,
    sources: &SourceMap,
    catalog: &dyn Catalog,
    options: &CheckOptions,
) -> (TypedModule, Vec<Diagnostic>) {
    let (module, found, _) = check_with(ast, sources, catalog, options, None);
    (module, found)
}

/// Checks a program; with `notes` they are filled on the way.
fn check_with(
    ast: &Ast,
    sources: &SourceMap,
    catalog: &dyn Catalog,
    options: &CheckOptions,
    notes: Option<Box<Notes>>,
) -> (TypedModule, Vec<Diagnostic>, Option<Box<Notes>>) {
    on_own_stack(|| check_here(ast, sources, catalog, options, notes.clone()))
}

/// Runs a check on a thread with a stack for it.
fn on_own_stack<T: Send>(work: impl Fn() -> T + Sync) -> T {
    let builder = thread::Builder::new().name("check".to_owned()).stack_size(CHECK_STACK_BYTES);
    thread::scope(|scope| match builder.spawn_scoped(scope, &work) {
        Ok(handle) => handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        // The system has no room for another thread; most programs do without.
        Err(_) => work(),
    })
}

fn check_here(
    ast: &Ast,
    sources: &SourceMap,
    catalog: &dyn Catalog,
    options: &CheckOptions,
    notes: Option<Box<Notes>>,
) -> (TypedModule, Vec<Diagnostic>, Option<Box<Notes>>) {
    let mut found = Vec::new();
    let expanded = like::expand(ast, &mut found);
    let ast = expanded.as_ref().unwrap_or(ast);
    let of_arroyo = arroyo::expand(ast);
    let ast = of_arroyo.as_ref().unwrap_or(ast);
    let inlined = inline_tables::expand(ast);
    let ast = inlined.as_ref().unwrap_or(ast);
    let mut checker = Checker::new(sources, catalog, options);
    (checker.notes, checker.found) = (notes, found);
    checker.settings(ast);
    checker.look_ahead(ast);
    for statement in &ast.statements {
        checker.statement(statement);
    }
    if let Some(last) = ast.statements.last() {
        checker.finish(last.span);
    }
    let mut found = checker.found;
    diagnostics::sort(&mut found);
    (checker.module, found, checker.notes)
}

/// What a declared name stands for.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    Relation(RelationId),
    View(QueryId),
    /// An index of a materialized view.
    Index,
    /// A view of another job, by position in `CheckOptions::views`.
    Served(usize),
    /// Its declaration failed, and was reported.
    Poisoned,
}

/// A declared name.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    span: Span,
    meaning: Meaning,
}

/// The state of one check.
struct Checker<'a> {
    sources: &'a SourceMap,
    catalog: &'a dyn Catalog,
    options: &'a CheckOptions,
    module: TypedModule,
    found: Vec<Diagnostic>,
    named: Vec<Named>,
    /// Per relation what `typed` does not keep.
    declared: Vec<declare::Declared<'a>>,
    /// Columns whose expression failed.
    poisoned: HashSet<(QueryId, usize)>,
    /// Queries with calls of OVER, of which a filter may want the first rows only.
    ranks: HashMap<QueryId, windowed::Windowed>,
    /// Queries of `CREATE … AS` that alone fill their relation: who reads it reads them.
    made: HashMap<RelationId, QueryId>,
    /// The versions of queries that streams are joined with, if they have them.
    versions: HashMap<QueryId, Option<(QueryId, made_versions::Versions)>>,
    /// Names that the program inserts into.
    inserted: Vec<String>,
    /// Named types.
    types: HashMap<String, (Type, Span)>,
    /// Whether the program asks for watermarks anywhere.
    asks_watermark: bool,
    /// How far the watermark stays behind the time of records, microseconds: `record_time`.
    grace: i64,
    /// Scans made so far, so that a relation has one.
    scans: HashMap<RelationId, QueryId>,
    /// Views of other jobs that are read, by position in `CheckOptions::views`.
    served: HashMap<usize, RelationId>,
    /// Whether the query is asked once: it reads the rows of other jobs' views, a program their
    /// changes.
    asked: bool,
    /// Where such a query first reads the clock for rows that may be taken back.
    clock_over_updates: Option<Span>,
    /// What the queries around the next SELECT give it, if it is a subquery.
    outer: Option<subquery::Outer>,
    /// The same for the queries in the FROM that is read.
    enclosing: Option<subquery::Outer>,
    /// Columns of the queries around that were read, as positions in the scope at hand.
    outer_used: BTreeSet<usize>,
    /// What a subquery's SELECT found out beside its columns.
    body: subquery::BodyNotes,
    /// Subqueries whose values stand in expressions, by what their columns are past
    /// `subquery::FIRST_COLUMN`.
    subqueries: Vec<subquery::Subquery>,
    /// Types that the columns of the next VALUES have where they go.
    values_for: Vec<Type>,
    /// Subqueries around the one that is checked.
    subquery_depth: usize,
    /// CTEs in reach, innermost last.
    ctes: Vec<cte::Cte>,
    /// Whether the next query is what a statement runs.
    is_top: bool,
    /// Levels of queries around the one that is looked at.
    depth: usize,
    /// Functions of the program.
    functions: Vec<functions::Function<'a>>,
    /// Those whose bodies are looked at, by position.
    inlining: Vec<usize>,
    /// Parameters of the lambdas and functions around what is looked at.
    params: lambda::Params,
    /// What names mean, where somebody asks.
    notes: Option<Box<Notes>>,
}

impl<'a> Checker<'a> {
    fn new(sources: &'a SourceMap, catalog: &'a dyn Catalog, options: &'a CheckOptions) -> Self {
        Self {
            sources,
            catalog,
            options,
            module: TypedModule::default(),
            found: Vec::new(),
            named: Vec::new(),
            declared: Vec::new(),
            poisoned: HashSet::new(),
            ranks: HashMap::new(),
            made: HashMap::new(),
            versions: HashMap::new(),
            inserted: Vec::new(),
            types: HashMap::new(),
            asks_watermark: current_watermark::is_asked(sources),
            grace: record_time::GRACE_DEFAULT,
            scans: HashMap::new(),
            served: HashMap::new(),
            asked: false,
            clock_over_updates: None,
            outer: None,
            enclosing: None,
            outer_used: BTreeSet::new(),
            body: subquery::BodyNotes::default(),
            subqueries: Vec::new(),
            values_for: Vec::new(),
            subquery_depth: 0,
            ctes: Vec::new(),
            is_top: false,
            depth: 0,
            functions: Vec::new(),
            inlining: Vec::new(),
            params: lambda::Params::default(),
            notes: None,
        }
    }

    /// Notes a problem; `None`, to return with.
    fn report<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.found.push(diagnostic);
        None
    }

    fn query_node(&self, id: QueryId) -> &Query {
        self.module.query(id)
    }

    fn statement(&mut self, statement: &'a ast::Statement) {
        let span = statement.span;
        let later = |feature: &str| plans::not_available(feature, span, None);
        match &statement.kind {
            StatementKind::CreateTable(create) => self.create_table(create, span),
            StatementKind::CreateView(create) => self.create_view(create, span),
            StatementKind::Insert(insert) => self.runs(span, |this| this.insert(insert)),
            StatementKind::Change(change) => {
                let (word, help) = match change.set {
                    Some(_) => ("UPDATE", "Only rows that the program inserts itself are updated."),
                    None => ("DELETE", "Only rows that the program inserts itself are deleted."),
                };
                self.found.push(syntax::foreign_statement(span, word, help));
            }
            StatementKind::StatementSet(inserts) => {
                for insert in inserts {
                    self.runs(span, |this| this.insert(insert));
                }
            }
            StatementKind::Query(query) => self.runs(span, |this| this.bare_select(query, span)),
            StatementKind::Drop { kind: ast::ObjectKind::Function, if_exists, name, .. } => {
                self.drop_function(name, *if_exists);
            }
            StatementKind::Drop { kind: ast::ObjectKind::Type, if_exists, name, .. } => {
                self.drop_type(name, *if_exists);
            }
            StatementKind::Drop { if_exists, name, .. } => self.drop_name(name, *if_exists),
            // SET was read before all else.
            StatementKind::Set(_) => {}
            StatementKind::Reset(_) => {
                let why = "A program's settings hold for all of it; leave SET out.";
                self.found.push(syntax::statement_without_effect(span, "RESET", why));
            }
            StatementKind::CreateIndex(create) if create.search => {
                self.found.push(later("CREATE SEARCH INDEX"));
            }
            StatementKind::CreateIndex(create) => {
                self.create_index(create, span);
            }
            StatementKind::CreateFunction(create) => self.create_function(create, span),
            StatementKind::CreateType(create) => self.create_type(create),
            StatementKind::Import(_) if self.options.imported => {}
            StatementKind::Import(_) => self.found.push(plans::not_available(
                "IMPORT here",
                span,
                Some("It is read where a program is a file: `flow run`, `flow check`."),
            )),
            looks @ (StatementKind::Subscribe(_)
            | StatementKind::Explain { .. }
            | StatementKind::AnalyzeJob(_)
            | StatementKind::Control { .. }
            | StatementKind::Show { .. }
            | StatementKind::Describe { .. }
            | StatementKind::DescribeFunction { .. }
            | StatementKind::Print { .. }) => {
                let (name, instead) = of_the_shell(looks);
                self.found.push(plans::of_the_shell(name, span, instead));
            }
        }
    }

    fn create_view(&mut self, create: &ast::CreateView, span: Span) {
        if let Some(option) = create.options.first() {
            self.found.push(plans::not_available("WITH of a view", option.key.span, None));
        }
        let name = create.name.last();
        let query = self.query(&create.query).and_then(|query| {
            if create.columns.is_empty() {
                Some(query)
            } else {
                self.rename(query, &create.columns, "the column list", create.query.span)
            }
        });
        if let Some(query) = query {
            self.unique_names(query, &format!("view {name}"), create.query.span);
        }
        let query = if create.materialized {
            let query = query.map(|query| self.without_hidden_windows(query));
            query.and_then(|query| self.whole_rows(query, create.query.span))
        } else {
            query
        };
        let meaning = query.map_or(Meaning::Poisoned, Meaning::View);
        if self.declare_name(name, meaning, create.if_not_exists, create.or_replace)
            && let Some(query) = query
        {
            self.module.views.push(View { name: name.text.clone(), query, span: name.span });
            if create.materialized {
                self.keep(name, query, span);
            }
        }
    }

    /// Adds a name, unless it is taken. Whether it was added.
    fn declare_name(
        &mut self,
        name: &Ident,
        meaning: Meaning,
        if_not_exists: bool,
        or_replace: bool,
    ) -> bool {
        if let Some(at) = self.named.iter().position(|n| n.name == name.text) {
            if or_replace {
                self.named.remove(at);
                self.forget(&name.text);
            } else {
                if !if_not_exists {
                    let first = self.named[at].span;
                    self.found.push(names::declared_twice(&name.text, name.span, first));
                }
                return false;
            }
        }
        self.named.push(Named { name: name.text.clone(), span: name.span, meaning });
        true
    }

    fn drop_name(&mut self, name: &ObjectName, if_exists: bool) {
        let known = self.named.iter().map(|n| n.name.as_str());
        match scope::find(&name.last().text, known) {
            Found::One(at) => {
                let gone = self.named.remove(at);
                self.forget(&gone.name);
            }
            Found::None if if_exists => {}
            Found::None | Found::Many(_) => {
                self.lookup(name);
            }
        }
    }

    /// What a name in FROM or INSERT INTO stands for, CTEs apart.
    fn lookup(&mut self, name: &ObjectName) -> Option<Named> {
        let written = &name.last().text;
        let known = self.named.iter().map(|n| n.name.as_str());
        match scope::find(written, known) {
            Found::One(at) => {
                let named = self.named[at].clone();
                self.note_use(name, &named);
                Some(named)
            }
            Found::None => self.lookup_served(name),
            Found::Many(all) => {
                let all: Vec<String> = all.iter().map(|at| self.named[*at].name.clone()).collect();
                self.report(names::ambiguous("the name", written, name.span(), &all))
            }
        }
    }

    /// Takes a statement that runs something. What does not come to an output has a mistake that is
    /// told: nothing is left out in silence.
    fn runs(&mut self, span: Span, take: impl FnOnce(&mut Self)) {
        let outputs = self.module.outputs.len();
        take(self);
        if self.module.outputs.len() == outputs && !diagnostics::has_errors(&self.found) {
            self.found.push(plans::not_available("what this statement asks", span, None));
        }
    }

    /// What is said of the program as a whole; drops the nodes that nothing reads.
    fn finish(&mut self, last: Span) {
        let failed = diagnostics::has_errors(&self.found);
        let declares = !self.named.is_empty();
        let runs = !self.module.outputs.is_empty() || !self.module.materialized.is_empty();
        if !runs && declares && !failed {
            self.found.push(plans::nothing_runs(last));
        }
        self.note_declarations();
        nodes::drop_unread(&mut self.module);
    }
}

/// Checks a program and prints the typed module: `flow explain --stage typed`.
pub fn print(module: &TypedModule) -> String {
    print::module(module)
}

/// How a statement that belongs to the shell is called, and what a program's user writes instead.
fn of_the_shell(statement: &StatementKind) -> (&'static str, Option<&'static str>) {
    match statement {
        StatementKind::Subscribe(_) => (
            "SUBSCRIBE",
            Some("Write the query alone: it prints its changes. Ask a server by `flow query`."),
        ),
        StatementKind::Explain { .. } => (
            "EXPLAIN",
            Some(
                "Use `flow explain FILE`, which shows the plan of a program; in `flow repl` \
                 EXPLAIN shows that of a statement.",
            ),
        ),
        StatementKind::AnalyzeJob(_) => {
            ("EXPLAIN ANALYZE JOB", Some("Ask a server: `flow jobs plan NAME --analyze`."))
        }
        StatementKind::Control { .. } => (
            "STOP, PAUSE or RESUME of a job",
            Some("Use `flow jobs stop NAME`, or the shell, `flow repl`."),
        ),
        StatementKind::Print { .. } => {
            ("PRINT", Some("Use `flow topic consume TOPIC --follow`, or the shell, `flow repl`."))
        }
        StatementKind::Show { .. } => ("SHOW", None),
        _ => ("DESCRIBE", None),
    }
}

#[cfg(test)]
mod tests;
