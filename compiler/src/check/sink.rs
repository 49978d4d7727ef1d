//! INSERT INTO and bare SELECT: the query's columns put into the target's, and whether the target
//! can hold what the query emits.

use std::collections::BTreeMap;

use flow_ir::connector::{self, ConnectorSpec};
use flow_ir::decode_plan::{Metadata, Origin};
use flow_ir::expr::Expr;
use flow_ir::physical::{Changelog, SinkMode, Stream, StreamColumn, StreamSchemas};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;

use super::coerce::{cast, is_untyped};
use super::declare::Declared;
use super::options::Options;
use super::registry::is_metadata;
use super::scope::{Found, find, visible};
use super::typed::{ColumnSource, Output, QueryId, QueryOp, Relation, RelationColumn, RelationId};
use super::{Checker, Meaning};
use crate::diagnostics::{names, plans};
use crate::syntax::ast::{self, Ident, Insert, OnConflict};

impl<'a> Checker<'a> {
    /// INSERT INTO.
    pub(super) fn insert(&mut self, insert: &Insert) {
        if insert.overwrite {
            self.found.push(plans::not_available("INSERT OVERWRITE", insert.span, None));
        }
        let target = self.target(insert);
        if let Some(target) = target {
            self.values_are_for(target, insert);
        }
        let query = self.whole_query(&insert.query);
        let (Some(target), Some(query)) = (target, query) else { return };
        let (query, columns) = self.partitioned(target, query, insert);
        let written = self.output(target, query, &columns, insert.query.span, insert.span);
        if let (Some((what, at)), Some(written)) = (insert.on_conflict, written) {
            self.on_conflict(target, written, what, at);
        }
    }

    /// ON CONFLICT: of the rows of one key the last one stays. Nothing else is asked where no two
    /// rows have a key.
    fn on_conflict(&mut self, target: RelationId, rows: QueryId, what: OnConflict, at: Span) {
        let key = &self.module.relation(target).stream.primary_key;
        let unique = &self.query_node(rows).unique_keys;
        let no_two = unique.iter().any(|unique| unique.iter().all(|at| key.contains(at)));
        if what == OnConflict::Deduplicate || key.is_empty() || no_two {
            return;
        }
        let what = format!("ON CONFLICT DO {}", what.word());
        let instead = "Keep one row of each key in the query, by ROW_NUMBER() = 1; DO DEDUPLICATE \
                       keeps the last.";
        self.found.push(plans::not_available(&what, at, Some(instead)));
    }

    /// The query with the values of PARTITION behind its columns, and what these are called in the
    /// target: nothing where they are all of them in order.
    fn partitioned(
        &mut self,
        target: RelationId,
        query: QueryId,
        insert: &Insert,
    ) -> (QueryId, Vec<Ident>) {
        if insert.partition.is_empty() {
            return (query, insert.columns.clone());
        }
        let span = insert.query.span;
        let width = self.query_node(query).columns.len();
        let mut items: Vec<_> = (0..width).map(|at| self.pass_column(query, at, span)).collect();
        for (key, value) in &insert.partition {
            let ty = Type::not_null(DataType::String);
            let value = Expr::literal(Value::String(value.text.clone()), ty, value.span);
            items.push((key.text.clone(), Some(value)));
        }
        let query = self.project(query, items, span);
        let given = |name: &str| {
            insert.partition.iter().any(|(key, _)| key.text.eq_ignore_ascii_case(name))
        };
        let columns = &self.module.relation(target).stream.columns;
        let others = columns.iter().filter(|c| !is_metadata(&c.origin) && !given(&c.name));
        let other = |c: &StreamColumn| Ident { text: c.name.clone(), quoted: true, span };
        let mut named: Vec<Ident> = match insert.columns.is_empty() {
            true => others.map(other).collect(),
            false => insert.columns.clone(),
        };
        if !self.declared(target).open {
            named.extend(insert.partition.iter().map(|(key, _)| key.clone()));
        }
        (query, named)
    }

    fn target(&mut self, insert: &Insert) -> Option<RelationId> {
        let named = self.lookup(&insert.table)?;
        match named.meaning {
            Meaning::Relation(id) => match self.declared(id).create {
                Some(create) if create.source => {
                    let (at, declared) = (insert.table.span(), Some(named.span));
                    self.report(plans::not_a_target(&named.name, "a SOURCE", at, declared))
                }
                Some(_) | None => Some(id),
            },
            Meaning::View(_) => {
                let at = insert.table.span();
                self.report(plans::not_a_target(&named.name, "a view", at, Some(named.span)))
            }
            Meaning::Served(_) => {
                let at = insert.table.span();
                self.report(plans::not_a_target(&named.name, "a view", at, None))
            }
            Meaning::Index => {
                let at = insert.table.span();
                self.report(names::index_as_relation(&named.name, at, named.span))
            }
            Meaning::Poisoned => None,
        }
    }

    /// The query's rows into the target; the rows as the target has them.
    pub(super) fn output(
        &mut self,
        target: RelationId,
        query: QueryId,
        columns: &[Ident],
        at: Span,
        span: Span,
    ) -> Option<QueryId> {
        self.output_into(target, query, columns, false, (at, span))
    }

    /// The same; `made`: of the query that the target was declared with.
    pub(super) fn output_into(
        &mut self,
        target: RelationId,
        query: QueryId,
        columns: &[Ident],
        made: bool,
        (at, span): (Span, Span),
    ) -> Option<QueryId> {
        let options = self.declared(target).options.clone();
        let declared = self.module.relation(target).span;
        self.direction(&options, false, at, declared)?;
        if self.declared(target).open {
            let name = self.module.relation(target).stream.name.clone();
            self.unique_names(query, &format!("sink {name}"), at);
            let fields = self.derived_fields(query);
            self.build_columns(target, fields);
        }
        self.metadata_can_be_written(target)?;
        let matched = match self.made_columns(target, query) {
            Some(matched) if made => matched,
            Some(_) | None => self.match_columns(target, query, columns, at)?,
        };
        let projected = self.as_target(target, query, matched, at)?;
        let projected = match self.holds_changes(target, &options) {
            true => projected,
            false => self.settled(projected).unwrap_or(projected),
        };
        let (mode, keys) = self.sink_mode(target, projected, &options, at)?;
        let rows = projected;
        let derived = !self.declared(target).derived_key.is_empty();
        let projected = match mode {
            SinkMode::Upsert if !derived => self.one_per_key(target, projected, at),
            SinkMode::Upsert | SinkMode::Append | SinkMode::Changes => projected,
        };
        if self.declared(target).written.is_none() {
            let fine = self.writable(target, declared).is_some();
            self.declared(target).written = Some(fine);
        }
        self.module.outputs.push(Output { target, query: projected, mode, keys, span });
        Some(rows)
    }

    /// The columns that a query gives to a sink without columns.
    pub(super) fn derived_fields(&self, query: QueryId) -> Vec<Field> {
        let columns = self.query_node(query).columns.iter().filter(|c| visible(&c.name));
        columns
            .map(|c| {
                let untyped = c.ty.data == DataType::Null;
                let data = if untyped { DataType::String } else { c.ty.data.clone() };
                Field::new(c.name.clone(), Type { data, nullable: c.ty.nullable })
            })
            .collect()
    }

    /// Whether a column of a target takes values: of what a record has beside key and value, that
    /// which is not VIRTUAL.
    pub(super) fn takes(&self, target: RelationId, column: &StreamColumn) -> bool {
        let declared = &self.declared[target.0 as usize].writable_metadata;
        !is_metadata(&column.origin) || declared.iter().any(|(name, _)| *name == column.name)
    }

    /// Records have the timestamp and headers that they are written with; the rest follows from
    /// where they are written.
    fn metadata_can_be_written(&mut self, target: RelationId) -> Option<()> {
        let stream = &self.module.relation(target).stream;
        let is_topic = !matches!(stream.connector.as_str(), "file" | "print" | "blackhole");
        let written = |name: &str| {
            let found = stream.columns.iter().find(|column| column.name == name);
            found.is_none_or(|column| {
                is_topic
                    && matches!(
                        column.origin,
                        Origin::Metadata(Metadata::Timestamp | Metadata::Headers)
                    )
            })
        };
        let declared = &self.declared[target.0 as usize].writable_metadata;
        let Some((name, span)) = declared.iter().find(|(name, _)| !written(name)) else {
            return Some(());
        };
        let what = format!("writing the metadata column {name}");
        let instead = "Add VIRTUAL behind METADATA: the column is then only read.";
        let found = plans::not_available(&what, *span, Some(instead));
        self.report(found)
    }

    /// For each of the target's record columns the query's column that goes into it.
    fn match_columns(
        &mut self,
        target: RelationId,
        query: QueryId,
        named: &[Ident],
        at: Span,
    ) -> Option<Vec<Option<usize>>> {
        let width = self.query_node(query).columns.len();
        let relation = self.module.relation(target);
        let name = relation.stream.name.clone();
        let stream = &relation.stream.columns;
        let fields: Vec<usize> =
            (0..stream.len()).filter(|at| self.takes(target, &stream[*at])).collect();
        let mut matched = vec![None; stream.len()];
        if named.is_empty() {
            if fields.len() != width {
                return self.report(plans::wrong_count(&name, fields.len(), width, at));
            }
            for (from, to) in fields.into_iter().enumerate() {
                matched[to] = Some(from);
            }
            return Some(matched);
        }
        if named.len() != width {
            let what = "the column list";
            return self.report(plans::wrong_count(what, named.len(), width, at));
        }
        let field_names: Vec<String> = fields.iter().map(|at| stream[*at].name.clone()).collect();
        let mut whole = true;
        for (from, ident) in named.iter().enumerate() {
            let found = match find(&ident.text, field_names.iter().map(String::as_str)) {
                Found::One(found) => {
                    self.note_relation_column(ident.span, target, &field_names[found]);
                    fields[found]
                }
                Found::None | Found::Many(_) => {
                    let known = &field_names;
                    let problem = names::unknown_column_of(&name, &ident.text, ident.span, known);
                    self.found.push(problem);
                    whole = false;
                    continue;
                }
            };
            if matched[found].is_some() {
                let first = named.iter().find(|n| n.text == ident.text).map(|n| n.span);
                let problem =
                    names::duplicate_column(&ident.text, "the column list", ident.span, first);
                self.found.push(problem);
                whole = false;
            }
            matched[found] = Some(from);
        }
        whole.then_some(matched)
    }

    /// The query's columns in the order and types of the target's record.
    fn as_target(
        &mut self,
        target: RelationId,
        query: QueryId,
        matched: Vec<Option<usize>>,
        at: Span,
    ) -> Option<QueryId> {
        let poisoned = self.declared(target).poisoned.clone();
        let relation = self.module.relation(target);
        let bad = poisoned.iter().filter_map(|at| match relation.columns[*at].source {
            ColumnSource::Record(position) => Some(position),
            ColumnSource::Computed(_) => None,
        });
        let bad: Vec<usize> = bad.collect();
        let sink = relation.stream.name.clone();
        let columns = relation.stream.columns.clone();
        let spans = self.item_spans(query, at);
        let mut items = Vec::with_capacity(columns.len());
        let mut whole = true;
        for (position, (column, from)) in columns.iter().zip(matched).enumerate() {
            let expr = match from {
                Some(from) => {
                    let (_, expr) = self.pass_column(query, from, spans[from]);
                    let expr = self.literal_below(query, from).or(expr);
                    expr.filter(|_| !bad.contains(&position))
                        .and_then(|expr| self.assign(expr, &column.name, &column.ty))
                }
                None if is_metadata(&column.origin) || column.ty.nullable => {
                    let ty = column.ty.with_nullable(true);
                    Some(Expr::literal(Value::Null, ty, at))
                }
                None => self.report(plans::column_left_out(&sink, &column.name, at)),
            };
            whole &= expr.is_some();
            items.push((column.name.clone(), expr));
        }
        if !whole {
            return None;
        }
        let same = items.iter().enumerate().all(|(at, (name, expr))| {
            let plain = expr.as_ref().and_then(super::from::plain_column);
            plain == Some(at) && self.query_node(query).columns[at].name == *name
        });
        if same && items.len() == self.query_node(query).columns.len() {
            return Some(query);
        }
        Some(self.project(query, items, at))
    }

    /// Text or NULL that a query's column is: it takes the type of the target's column.
    fn literal_below(&self, query: QueryId, column: usize) -> Option<Expr> {
        let QueryOp::Project { exprs, .. } = &self.query_node(query).op else { return None };
        let failed = self.poisoned.contains(&(query, column));
        exprs.get(column).filter(|e| is_untyped(e) && !failed).cloned()
    }

    /// Where the query's columns were written, as far as its top is a projection.
    fn item_spans(&self, query: QueryId, at: Span) -> Vec<Span> {
        let node = self.query_node(query);
        if let QueryOp::Project { exprs, .. } = &node.op {
            return exprs.iter().map(|e| e.span).collect();
        }
        vec![at; node.columns.len()]
    }

    /// Whether the target can hold rows that are taken back.
    fn holds_changes(&self, target: RelationId, options: &Options) -> bool {
        let every = options.value_format.is_some_and(|format| format.name == "debezium-json");
        let keyed = !self.module.relation(target).stream.primary_key.is_empty();
        every
            || (keyed && options.has_record_keys())
            || !(options.connector.formatted || options.has_record_keys())
    }

    /// How the target holds what the query emits, and by which key.
    fn sink_mode(
        &mut self,
        target: RelationId,
        query: QueryId,
        options: &Options,
        at: Span,
    ) -> Option<(SinkMode, Vec<usize>)> {
        let keys = self.key_positions(target);
        let relation = self.module.relation(target);
        let updates = self.query_node(query).changelog != Changelog::Append;
        let plain = if updates { SinkMode::Changes } else { SinkMode::Append };
        let format = options.value_format.map_or("none", |f| f.name);
        if format == "debezium-json" {
            return Some((SinkMode::Changes, keys));
        }
        if !options.connector.formatted && !options.has_record_keys() {
            return Some((plain, keys));
        }
        let primary_key = &relation.stream.primary_key;
        if primary_key.is_empty() || !options.has_record_keys() {
            if updates {
                let (sink, declared) = (relation.stream.name.clone(), relation.span);
                return self.report(plans::sink_cannot_update(&sink, format, at, declared));
            }
            return Some((SinkMode::Append, keys));
        }
        Some((SinkMode::Upsert, keys))
    }

    /// The rows of a keyed sink: of several with one key the last.
    fn one_per_key(&mut self, target: RelationId, projected: QueryId, at: Span) -> QueryId {
        let key = self.module.relation(target).stream.primary_key.clone();
        let node = self.query_node(projected);
        if node.unique_keys.iter().any(|unique| unique.iter().all(|at| key.contains(at))) {
            return projected;
        }
        let width = node.columns.len();
        match self.with_time(projected, at) {
            Some(timed) => {
                let last = self.last_row(timed, &key, at);
                self.select_columns(last, 0..width, at)
            }
            None => self.last_row(projected, &key, at),
        }
    }

    /// A query with the event time of its rows as another column behind, where they still have one
    /// below projections and filters.
    pub(super) fn with_time(&mut self, query: QueryId, at: Span) -> Option<QueryId> {
        let node = self.query_node(query);
        if node.changelog != Changelog::Append {
            return None;
        }
        let named = |expr| vec![(String::from("$time"), expr)];
        if let Some(time) = node.columns.iter().position(|c| c.event_time) {
            let (_, time) = self.pass_column(query, time, at);
            return Some(self.extend(query, named(time), at));
        }
        if let QueryOp::Filter { input, condition } = &node.op {
            let (input, condition, span) = (*input, condition.clone(), node.span);
            let timed = self.with_time(input, at)?;
            return Some(self.filter(timed, condition, span));
        }
        let QueryOp::Project { input, exprs } = &node.op else { return None };
        let names = node.columns.iter().map(|c| c.name.clone());
        let mut items: Vec<_> = names.zip(exprs.iter().cloned().map(Some)).collect();
        let (input, span) = (*input, node.span);
        let timed = self.with_time(input, at)?;
        let (_, time) = self.pass_column(timed, self.query_node(timed).columns.len() - 1, at);
        items.extend(named(time));
        Some(self.project(timed, items, span))
    }

    /// A query on its own: printed.
    pub(super) fn bare_select(&mut self, query: &ast::Query, span: Span) {
        let Some(found) = self.whole_query(query) else { return };
        let visible = self.visible_columns(found);
        let shown = self.shown(found, &visible, span);
        let Some(target) = self.print_stream(shown, span) else { return };
        let updates = self.query_node(shown).changelog != Changelog::Append;
        let mode = if updates { SinkMode::Changes } else { SinkMode::Append };
        self.module.outputs.push(Output { target, query: shown, mode, keys: Vec::new(), span });
    }

    /// Positions of the columns that a user wrote.
    pub(super) fn visible_columns(&self, query: QueryId) -> Vec<usize> {
        let columns = self.query_node(query).columns.iter().enumerate();
        columns.filter(|(_, column)| visible(&column.name)).map(|(at, _)| at).collect()
    }

    /// These columns of a query as a reader gets them: NULL without a type is a STRING.
    pub(super) fn shown(&mut self, query: QueryId, columns: &[usize], span: Span) -> QueryId {
        let items = columns.iter().map(|&at| {
            let (name, expr) = self.pass_column(query, at, span);
            let typed = expr.map(|e| {
                let untyped = e.ty.data == DataType::Null;
                if untyped { cast(e, &DataType::String, false, span) } else { e }
            });
            (name, typed)
        });
        let items: Vec<(String, Option<Expr>)> = items.collect();
        let plain = items
            .iter()
            .enumerate()
            .all(|(at, (_, expr))| expr.as_ref().and_then(super::from::plain_column) == Some(at));
        let unchanged = plain && items.len() == self.query_node(query).columns.len();
        if unchanged { query } else { self.project(query, items, span) }
    }

    /// A stream of connector `print` with a query's columns.
    fn print_stream(&mut self, query: QueryId, span: Span) -> Option<RelationId> {
        let connector = connector::connector("print")?;
        let name = self.unused_name("print");
        Some(self.made_stream(connector, name, self.query_node(query).fields(), span))
    }

    /// The name, or with the first number behind it that makes it one of nothing else.
    pub(super) fn unused_name(&self, name: &str) -> String {
        let is_taken = |name: &String| {
            self.named.iter().any(|n| n.name == *name)
                || self.module.relations.iter().any(|r| r.stream.name == *name)
        };
        let mut unused = name.to_string();
        let mut number = 2;
        while is_taken(&unused) {
            unused = format!("{name}{number}");
            number += 1;
        }
        unused
    }

    /// A stream that no statement declares: what a connector of the compiler's choice does with
    /// rows of these columns.
    pub(super) fn made_stream(
        &mut self,
        connector: &'static ConnectorSpec,
        name: String,
        columns: Vec<Field>,
        span: Span,
    ) -> RelationId {
        let typed = columns.iter().enumerate().map(|(at, column)| RelationColumn {
            name: column.name.clone(),
            ty: column.ty.clone(),
            source: ColumnSource::Record(at),
            span,
        });
        let stream_columns = columns.iter().map(|column| StreamColumn {
            name: column.name.clone(),
            ty: column.ty.clone(),
            origin: Origin::Value(vec![column.name.clone()]),
        });
        let relation = Relation {
            columns: typed.collect(),
            stream: Stream {
                name,
                connector: connector.name.to_string(),
                options: BTreeMap::from([("connector".to_string(), connector.name.to_string())]),
                value_format: None,
                key_format: None,
                columns: stream_columns.collect(),
                primary_key: Vec::new(),
                schemas: StreamSchemas::default(),
            },
            watermark: None,
            primary_key: Vec::new(),
            lateness: 0,
            orders: Vec::new(),
            span,
        };
        let declared = Declared {
            create: None,
            options: Options::of(connector),
            open: false,
            poisoned: Vec::new(),
            read: Some(true),
            written: Some(true),
            writable_metadata: Vec::new(),
            ksql: false,
            time: None,
            derived_key: Vec::new(),
        };
        self.push_relation(relation, declared)
    }
}
