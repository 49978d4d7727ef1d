//! Materialized views: a view that is kept for readers is a stream of the connector `view`, keyed
//! by the smallest unique key of its query; where there is none, equal rows are counted. An index
//! is a further order of its rows. Views of other jobs are what a running server says they are.

use flow_ir::connector::{self, ConnectorSpec, Delivery, Directions};
use flow_ir::ids::VertexId;
use flow_ir::physical::{JobGraph, Materialize, PhysicalOp, Stream};
use flow_ir::span::Span;
use flow_ir::types::Field;

use super::scope::{Found, find};
use super::typed::{Index, Materialized, QueryId, RelationId, RowOrder};
use super::{Checker, Meaning, Named};
use crate::diagnostics::{names, plans};
use crate::syntax::ast::{self, Ident, ObjectName};

/// The stream that a view or an index is.
static VIEW_STREAM: ConnectorSpec = ConnectorSpec {
    name: connector::VIEW,
    directions: Directions { source: true, sink: true },
    refused: &[],
    options: &[],
    formatted: false,
    delivery: Delivery::InTransaction,
};

/// A materialized view that a running server offers. Column positions are within `columns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewDecl {
    /// Its name.
    pub name: String,
    /// The job that keeps it.
    pub job: String,
    /// The table that holds its rows, as `JobGraph::table_name` says.
    pub table: String,
    /// Its columns; no two of one name.
    pub columns: Vec<Field>,
    /// The unique key, in the order that its rows lie in; `None`: equal rows are counted, and lie
    /// in the order of all columns.
    pub primary_key: Option<Vec<usize>>,
    /// Further orders of its rows.
    pub indexes: Vec<IndexDecl>,
}

/// An index of a view that a running server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDecl {
    /// Its name.
    pub name: String,
    /// Its columns, each once.
    pub columns: Vec<usize>,
}

/// The materialized views of a job, in the graph's order.
pub fn views_of(graph: &JobGraph) -> Vec<ViewDecl> {
    let kept: Vec<(&Stream, &Materialize)> =
        (0..graph.vertices.len()).filter_map(|at| kept(graph, VertexId::from(at))).collect();
    let view = |(stream, op): &(&Stream, &Materialize)| {
        let of_it = kept
            .iter()
            .filter(|(index, _)| index.option(connector::VIEW_OF) == Some(stream.name.as_str()));
        let index = |(index, op): &(&Stream, &Materialize)| IndexDecl {
            name: index.name.clone(),
            columns: op.keys[..op.hashed].to_vec(),
        };
        let columns = stream.columns.iter().map(|c| Field::new(c.name.clone(), c.ty.clone()));
        ViewDecl {
            name: stream.name.clone(),
            job: graph.name.clone(),
            table: graph.table_name(&graph.tables[op.rows.index()]),
            columns: columns.collect(),
            primary_key: (!op.counted).then(|| op.keys.clone()),
            indexes: of_it.map(index).collect(),
        }
    };
    let is_view =
        |(stream, _): &&(&Stream, &Materialize)| stream.option(connector::VIEW_OF).is_none();
    kept.iter().filter(is_view).map(view).collect()
}

/// The view or index that a sink is, and the operator that keeps its rows.
fn kept(graph: &JobGraph, sink: VertexId) -> Option<(&Stream, &Materialize)> {
    let PhysicalOp::Sink(op) = &graph.vertices[sink.index()].op else { return None };
    let stream = graph.stream(op.stream);
    let from = graph.inputs(sink).first()?.from;
    let PhysicalOp::Materialize(rows) = &graph.vertices[from.index()].op else { return None };
    (stream.connector == connector::VIEW).then_some((stream, rows))
}

impl ViewDecl {
    /// The orders that its rows lie in, the key's first.
    fn orders(&self) -> Vec<RowOrder> {
        let all = || (0..self.columns.len()).collect();
        let key: Vec<usize> = self.primary_key.clone().unwrap_or_else(all);
        let order = |index: &IndexDecl| {
            let rest = key.iter().filter(|at| !index.columns.contains(at));
            let columns = index.columns.iter().chain(rest).copied().collect();
            RowOrder { index: Some(index.name.clone()), columns }
        };
        let indexes: Vec<RowOrder> = self.indexes.iter().map(order).collect();
        [RowOrder { index: None, columns: key }].into_iter().chain(indexes).collect()
    }
}

impl<'a> Checker<'a> {
    /// A query as a view keeps it: its visible columns, all of a type, no row number waiting.
    pub(super) fn whole_rows(&mut self, query: QueryId, span: Span) -> Option<QueryId> {
        let columns = self.visible_columns(query);
        Some(self.shown(query, &columns, span))
    }

    /// CREATE MATERIALIZED VIEW: keeps the rows of a declared view.
    pub(super) fn keep(&mut self, name: &Ident, query: QueryId, span: Span) {
        let node = self.query_node(query);
        let unique = node.unique_keys.iter().min_by_key(|key| key.len()).map(|key| {
            let first = |at: usize| !key[..at].contains(&key[at]);
            (0..key.len()).filter(|&at| first(at)).map(|at| key[at]).collect::<Vec<usize>>()
        });
        let (fields, counted) = (node.fields(), unique.is_none());
        let key = unique.clone().unwrap_or_else(|| (0..fields.len()).collect());
        let relation =
            self.view_stream(name.text.clone(), fields, unique.unwrap_or_default(), name.span);
        let indexes = Vec::new();
        let view = Materialized { relation, query, key, counted, indexes, span };
        self.module.materialized.push(view);
    }

    /// CREATE INDEX.
    pub(super) fn create_index(&mut self, create: &ast::CreateIndex, span: Span) -> Option<()> {
        if let Some(option) = create.options.first() {
            self.found.push(plans::not_available("WITH of an index", option.key.span, None));
        }
        let view = self.indexed_view(&create.on)?;
        let columns = self.index_columns(view, create)?;
        let name = create.name.last();
        if !self.declare_name(name, Meaning::Index, create.if_not_exists, false) {
            return None;
        }
        let of = self.module.materialized[view].relation;
        let relation = self.module.relation(of);
        let (view_name, key) = (relation.stream.name.clone(), relation.primary_key.clone());
        let fields = relation.columns.iter().map(|c| Field::new(c.name.clone(), c.ty.clone()));
        let fields = fields.collect();
        let relation = self.view_stream(name.text.clone(), fields, key, name.span);
        let options = &mut self.module.relations[relation.0 as usize].stream.options;
        options.insert(connector::VIEW_OF.to_string(), view_name);
        self.module.materialized[view].indexes.push(Index { relation, columns, span });
        Some(())
    }

    /// The materialized view that an index is ON, by position.
    fn indexed_view(&mut self, on: &ObjectName) -> Option<usize> {
        let named = self.lookup(on)?;
        let is_it =
            |view: &Materialized| self.module.relation(view.relation).stream.name == named.name;
        let what = match named.meaning {
            Meaning::View(_) => match self.module.materialized.iter().position(is_it) {
                Some(at) => return Some(at),
                None => "a view that is not materialized",
            },
            Meaning::Relation(_) => "a stream or table",
            Meaning::Served(_) => "a view of another job",
            Meaning::Index => "an index",
            Meaning::Poisoned => return None,
        };
        self.report(plans::index_needs_view(&named.name, what, on.span()))
    }

    fn index_columns(&mut self, view: usize, create: &ast::CreateIndex) -> Option<Vec<usize>> {
        let relation = self.module.relation(self.module.materialized[view].relation);
        let known: Vec<String> = relation.columns.iter().map(|c| c.name.clone()).collect();
        let owner = relation.stream.name.clone();
        let mut columns = Vec::with_capacity(create.columns.len());
        let mut whole = true;
        for (nth, ident) in create.columns.iter().enumerate() {
            match find(&ident.text, known.iter().map(String::as_str)) {
                Found::One(at) if columns.contains(&Some(at)) => {
                    let first = columns.iter().position(|c| *c == Some(at));
                    let first = first.map(|first| create.columns[first].span);
                    let place = format!("index {}", create.name.last());
                    let problem = names::duplicate_column(&ident.text, &place, ident.span, first);
                    self.found.push(problem);
                    whole = false;
                }
                Found::One(at) => columns.push(Some(at)),
                Found::None | Found::Many(_) => {
                    let problem = names::unknown_column_of(&owner, &ident.text, ident.span, &known);
                    self.found.push(problem);
                    whole = false;
                }
            }
            columns.resize(nth + 1, None);
        }
        if whole { columns.into_iter().collect() } else { None }
    }

    /// A name no longer stands for what it did: a materialized view is not kept, nor are its
    /// indexes; an index is not made.
    pub(super) fn forget(&mut self, name: &str) {
        let module = &mut self.module;
        let named = |id: RelationId| module.relations[id.0 as usize].stream.name.as_str();
        let mut gone = Vec::new();
        for view in &mut module.materialized {
            let of_it = named(view.relation) == name;
            view.indexes.retain(|index| {
                let keeps = !of_it && named(index.relation) != name;
                if !keeps {
                    gone.push(named(index.relation).to_string());
                }
                keeps
            });
        }
        let kept = |view: &Materialized| named(view.relation) != name;
        module.materialized.retain(kept);
        let is_gone = |n: &Named| matches!(n.meaning, Meaning::Index) && gone.contains(&n.name);
        self.named.retain(|n| !is_gone(n));
    }

    /// A stream of the connector `view`.
    fn view_stream(
        &mut self,
        name: String,
        columns: Vec<Field>,
        key: Vec<usize>,
        span: Span,
    ) -> RelationId {
        let id = self.made_stream(&VIEW_STREAM, name, columns, span);
        let relation = &mut self.module.relations[id.0 as usize];
        relation.stream.primary_key.clone_from(&key);
        relation.primary_key = key;
        id
    }

    /// A view of a running server: `view`, or `job.view` where several jobs have one of that name.
    pub(super) fn lookup_served(&mut self, name: &ObjectName) -> Option<Named> {
        let written = &name.last().text;
        let job = name.parts.iter().rev().nth(1).map(|part| part.text.as_str());
        let views = &self.options.views;
        // A program is no reader of its own job: its next version would read the one before.
        let own = self.module.name.clone().unwrap_or_else(|| self.sources.job_name());
        let offered = |view: &ViewDecl| {
            job.is_none_or(|job| job == view.job) && (self.asked || own != view.job)
        };
        let reached = views.iter().map(|v| if offered(v) { v.name.as_str() } else { "" });
        match find(written, reached) {
            Found::One(at) => {
                let meaning = Meaning::Served(at);
                let named = Named { name: views[at].name.clone(), span: name.span(), meaning };
                self.note_use(name, &named);
                Some(named)
            }
            Found::None => {
                let own = self.named.iter().map(|n| n.name.clone());
                let known: Vec<String> = own.chain(views.iter().map(|v| v.name.clone())).collect();
                self.report(names::unknown_relation(written, name.span(), &known))
            }
            Found::Many(all) => {
                let full = |at: &usize| format!("{}.{}", views[*at].job, views[*at].name);
                let all: Vec<String> = all.iter().map(full).collect();
                self.report(names::ambiguous("the name", written, name.span(), &all))
            }
        }
    }

    /// Reads a view of a running server; one relation per view. A query that is asked once gets its
    /// rows; a program reads their changes from the job's changelog, as those of a table.
    pub(super) fn read_served(&mut self, at: usize, used: Span) -> QueryId {
        let relation = match self.served.get(&at) {
            Some(relation) => *relation,
            None => {
                let options = self.options;
                let id = self.served_stream(&options.views[at], used);
                self.served.insert(at, id);
                id
            }
        };
        self.scan(relation)
    }

    fn served_stream(&mut self, view: &ViewDecl, used: Span) -> RelationId {
        let key = view.primary_key.clone().unwrap_or_default();
        // Of several jobs' views each has a position of its own in a program.
        let name = match self.asked {
            true => view.name.clone(),
            false => format!("{}.{}", view.job, view.name),
        };
        let id = self.view_stream(name, view.columns.clone(), key, used);
        let relation = &mut self.module.relations[id.0 as usize];
        let mut option = |name: &str, value: &str| {
            relation.stream.options.insert(name.to_string(), value.to_string());
        };
        option(connector::VIEW_JOB, &view.job);
        if self.asked {
            relation.orders = view.orders();
            return id;
        }
        option(connector::VIEW_TABLE, &view.table);
        if view.primary_key.is_none() {
            option(connector::VIEW_COUNTED, "true");
            relation.stream.primary_key = (0..view.columns.len()).collect();
        }
        id
    }
}
