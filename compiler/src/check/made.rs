//! `CREATE … AS query`: where the rows go if nothing is said of it, and which columns are the key.
//! What a program makes it also reads from the query, not from the topic.

use flow_ir::connector::KAFKA;
use flow_ir::expr::Expr;
use flow_ir::physical::{Changelog, JoinKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field};

use super::Checker;
use super::declare::{Draft, DraftSource, has_primary_key};
use super::from::{plain_column, same_name};
use super::group_window::WINDOW_COLUMNS;
use super::ksql_names::{UNNAMED, is_reference};
use super::ksql_options::{Written, entry};
use super::scope::visible;
use super::select::default_name;
use super::typed::{Bound, ColumnSource, QueryId, QueryOp, RelationColumn, RelationId};
use crate::diagnostics::{names, plans};
use crate::syntax::ast::{
    self, CreateTable, ExprKind, Ident, Literal, Select, SelectItem, SelectItemKind, SetExprKind,
    TableElement, TableKind,
};

/// Names of a window's bounds in the key of a table that has them nowhere else.
const BOUNDS: [&str; 2] = ["WINDOWSTART", "WINDOWEND"];

/// The query of a `CREATE … AS`.
pub(super) struct Made {
    pub query: QueryId,
    /// Columns of a table's key that follows from the query.
    pub key: Vec<String>,
    /// Where the query stands.
    pub at: Span,
}

impl<'a> Checker<'a> {
    /// The query of a declaration; options that it leaves open are added.
    pub(super) fn made(&mut self, create: &CreateTable, written: &mut Written) -> Option<Made> {
        let query = &self.with_keys(create.query.as_ref()?);
        let found = self.whole_query(query)?;
        let mut made = Made { query: found, key: Vec::new(), at: query.span };
        self.goes_with_its_source(found, written, create);
        self.bare_value(written);
        let is = |key: &str, value: &str| {
            written.entries.iter().any(|e| e.key.value == key && e.value.text == value)
        };
        if !(is("connector", KAFKA) || is("connector", "case")) {
            return Some(made);
        }
        let updates = self.query_node(found).changelog != Changelog::Append;
        let key = match create.kind {
            TableKind::Table if has_primary_key(create) || !(written.ksql || updates) => {
                return Some(made);
            }
            TableKind::Table => {
                (made.query, made.key) = self.table_key(found, query.span);
                if let SetExprKind::Select(select) = &query.body.kind
                    && made.key.is_empty()
                    && self.is_full_by_keys(found)
                {
                    made.key.extend(row_key_item(select));
                }
                made.key.clone()
            }
            TableKind::Stream => {
                let key = self.stream_key(query, found, written.ksql)?;
                if !key.is_empty() && !has(written, "key.fields") {
                    let names = key.join(";");
                    written.entries.push(entry("key.fields", &names, create.name.last().span));
                }
                key
            }
        };
        self.key_options(&key, made.query, written, create);
        Some(made)
    }

    /// Without a connector the rows go where those come from that are read first, in the same
    /// format.
    fn goes_with_its_source(&self, query: QueryId, written: &mut Written, create: &CreateTable) {
        if has(written, "connector") && !written.ksql {
            return;
        }
        let Some(source) = self.first_scan(query) else { return };
        let options = &self.declared[source.0 as usize].options;
        if !options.has_record_keys() {
            return;
        }
        let at = create.name.last().span;
        let own = written.entries.iter().position(|e| e.key.value == "connector");
        if let Some(own) = own.filter(|_| written.ksql) {
            written.entries.remove(own);
        }
        written.ksql = true;
        written.entries.push(entry("connector", options.connector.name, at));
        if !has(written, "value.format") && !has(written, "format") {
            let format = match options.value_format {
                Some(_) if options.says_changes() => "json",
                Some(format) => format.name,
                None => "json",
            };
            written.entries.push(entry("value.format", format, at));
        }
        let shared =
            |name: &str| name.starts_with("properties.") || name.starts_with("avro-confluent.");
        for (name, value) in options.values.iter().filter(|(name, _)| shared(name)) {
            if !has(written, name) {
                written.entries.push(entry(name, value, at));
            }
        }
    }

    /// How the key is written where the declaration does not say it.
    fn key_options(
        &self,
        key: &[String],
        query: QueryId,
        written: &mut Written,
        create: &CreateTable,
    ) {
        if key.is_empty() || !written.ksql {
            return;
        }
        let at = create.name.last().span;
        let columns = &self.query_node(query).columns;
        if !has(written, "key.format") && !has(written, "format") {
            let ty = |name: &String| columns.iter().find(|c| c.name == *name).map(|c| &c.ty.data);
            let plain = |ty: &DataType| {
                matches!(
                    ty,
                    DataType::Int
                        | DataType::BigInt
                        | DataType::Double
                        | DataType::String
                        | DataType::Bytes
                )
            };
            let format = match key {
                [only] if ty(only).is_some_and(plain) => "raw",
                _ => "json",
            };
            written.entries.push(entry("key.format", format, at));
        }
        written.bare_key(key.len(), at);
        let beside = columns.iter().any(|c| visible(&c.name) && !key.contains(&c.name));
        if beside && !has(written, "value.fields-include") {
            written.entries.push(entry("value.fields-include", "EXCEPT_KEY", at));
        }
    }

    /// The stream or table that a query reads first, from the left.
    fn first_scan(&self, query: QueryId) -> Option<RelationId> {
        let mut at = query;
        loop {
            let node = self.query_node(at);
            if let QueryOp::Scan(id) = node.op {
                return Some(id);
            }
            at = *node.inputs().first()?;
        }
    }

    /// The key of a table: the first one that the query has for sure, with the bounds of the window
    /// that nothing else shows behind its columns.
    fn table_key(&mut self, query: QueryId, at: Span) -> (QueryId, Vec<String>) {
        let shown = |column: &str| visible(column);
        if let Some(key) = self.unique_names_of(query, &shown) {
            return (query, key);
        }
        let width = self.query_node(query).columns.len();
        let Some((wide, bounds)) = self.with_bounds(query, at) else { return (query, Vec::new()) };
        let shown = |column: &str| visible(column) || BOUNDS.iter().any(|b| column == hidden(b));
        let Some(key) = self.unique_names_of(wide, &shown) else { return (query, Vec::new()) };
        let mut items: Vec<_> = (0..width).map(|c| self.pass_column(wide, c, at)).collect();
        for (bound, name) in bounds.into_iter().zip(BOUNDS) {
            let (_, column) = self.pass_column(wide, bound, at);
            let millis = column.and_then(|c| self.operator("EPOCH_MILLIS", vec![c], at));
            items.push((name.to_owned(), millis));
        }
        // The key has both bounds, so that none of them stands in the value.
        let own = key.into_iter().filter(|name| visible(name));
        let key = own.chain(BOUNDS.map(str::to_owned)).collect();
        (self.project(wide, items, at), key)
    }

    /// The names of the first unique key of which all columns are shown.
    fn unique_names_of(&self, query: QueryId, shown: &dyn Fn(&str) -> bool) -> Option<Vec<String>> {
        let node = self.query_node(query);
        let name = |at: &usize| node.columns[*at].name.clone();
        let keys = node.unique_keys.iter().filter(|key| !key.is_empty());
        let mut keys = keys.map(|key| key.iter().map(name).collect::<Vec<String>>());
        keys.find(|key| key.iter().all(|name| shown(name)))
    }

    /// A query in which the bounds of its groups' window are the columns that are named, below
    /// projections and filters.
    fn with_bounds(&mut self, query: QueryId, at: Span) -> Option<(QueryId, [usize; 2])> {
        let node = self.query_node(query);
        let bound = |bound: Bound| {
            node.columns.iter().position(|c| c.window.is_some_and(|w| w.bound == bound))
        };
        // An aggregate whose windows change has bounds that no other operator goes by.
        let last = match &node.op {
            QueryOp::Aggregate(aggregate) if aggregate.window.is_some() => {
                node.columns.len().checked_sub(WINDOW_COLUMNS)
            }
            _ => None,
        };
        let start = last.or_else(|| bound(Bound::Start));
        let end = last.map(|start| start + 1).or_else(|| bound(Bound::End));
        if let (Some(start), Some(end)) = (start, end) {
            return Some((query, [start, end]));
        }
        let span = node.span;
        if let QueryOp::Filter { input, condition } = &node.op {
            let (input, condition) = (*input, condition.clone());
            let (wide, bounds) = self.with_bounds(input, at)?;
            return Some((self.filter(wide, condition, span), bounds));
        }
        let QueryOp::Project { input, exprs } = &node.op else { return None };
        let width = exprs.len();
        let names = node.columns.iter().map(|c| c.name.clone());
        let mut items: Vec<_> = names.zip(exprs.iter().cloned().map(Some)).collect();
        let (wide, bounds) = self.with_bounds(*input, at)?;
        for (bound, name) in bounds.into_iter().zip(BOUNDS) {
            items.push((hidden(name).to_owned(), self.pass_column(wide, bound, at).1));
        }
        Some((self.project(wide, items, span), [width, width + 1]))
    }

    /// The key of a stream: what PARTITION BY says, else, as in ksqlDB, that of the source as far
    /// as it is passed on.
    fn stream_key(
        &mut self,
        query: &ast::Query,
        found: QueryId,
        ksql: bool,
    ) -> Option<Vec<String>> {
        let select = match &query.body.kind {
            SetExprKind::Select(select) if !select.key_by.is_empty() => select,
            SetExprKind::Select(select) if ksql => {
                let key = row_key_item(select).or_else(|| self.joined_by(found));
                return Some(key.map_or_else(|| self.passed_key(found), |key| vec![key]));
            }
            _ if ksql => return Some(self.passed_key(found)),
            _ => return Some(Vec::new()),
        };
        let is_null = |e: &ast::Expr| matches!(e.kind, ExprKind::Literal(Literal::Null));
        if select.key_by.iter().all(is_null) {
            return Some(Vec::new());
        }
        select.key_by.iter().map(|key| self.key_item(key, select, found)).collect()
    }

    /// A query of which `*` does not give what PARTITION BY says, with that behind it.
    fn with_keys(&self, query: &ast::Query) -> ast::Query {
        let mut query = query.clone();
        let SetExprKind::Select(select) = &mut query.body.kind else { return query };
        let starred =
            select.items.iter().any(|i| matches!(i.kind, SelectItemKind::Wildcard { .. }));
        let text = |e: &ast::Expr| self.sources.text(e.span).to_lowercase();
        let named = |key: &ast::Expr| default_name(key).filter(|_| is_reference(key));
        for (at, key) in select.key_by.iter().enumerate().filter(|_| starred) {
            let is_key = |item: &SelectItem| match &item.kind {
                SelectItemKind::Expr { expr, .. } => text(expr) == text(key),
                SelectItemKind::Wildcard { .. } => false,
            };
            let plain = matches!(key.kind, ExprKind::Name(_) | ExprKind::Literal(_));
            if plain || select.items.iter().any(is_key) {
                continue;
            }
            let text = named(key).unwrap_or_else(|| format!("{UNNAMED}{at}"));
            let alias = Some(Ident { text, quoted: true, span: key.span });
            let kind = SelectItemKind::Expr { expr: key.clone(), alias };
            select.items.push(SelectItem { kind, span: key.span });
        }
        query
    }

    /// The name of the column that an expression of PARTITION BY is.
    fn key_item(&mut self, key: &ast::Expr, select: &Select, found: QueryId) -> Option<String> {
        let text = |e: &ast::Expr| self.sources.text(e.span).to_lowercase();
        let written = text(key);
        let columns = self.query_node(found).columns.iter().filter(|c| visible(&c.name));
        let known: Vec<String> = columns.map(|c| c.name.clone()).collect();
        let starred =
            select.items.iter().any(|i| matches!(i.kind, SelectItemKind::Wildcard { .. }));
        let item = select.items.iter().enumerate().find_map(|(at, item)| match &item.kind {
            SelectItemKind::Expr { expr, alias } if text(expr) == written => match alias {
                Some(alias) => Some(alias.text.clone()),
                None if starred => default_name(expr),
                None => known.get(at).cloned(),
            },
            SelectItemKind::Expr { .. } | SelectItemKind::Wildcard { .. } => None,
        });
        let name = item.or_else(|| default_name(key)).unwrap_or_default();
        match known.iter().find(|known| same_name(known, &name)) {
            Some(known) => Some(known.clone()),
            None => self.report(names::unknown_column(&written, key.span, &known)),
        }
    }

    /// Whether a query shows a FULL JOIN of two tables by their keys: each of these comes once in
    /// ROWKEY.
    fn is_full_by_keys(&self, query: QueryId) -> bool {
        let node = self.query_node(query);
        if let QueryOp::Project { input, .. } | QueryOp::Filter { input, .. } = &node.op {
            return self.is_full_by_keys(*input);
        }
        let QueryOp::Join(join) = &node.op else { return false };
        let [(left, right)] = join.keys[..] else { return false };
        let by_key = |side: QueryId, key: usize| {
            self.query_node(side).unique_keys.iter().any(|known| known[..] == [key])
        };
        let whole = join.condition.is_none() && join.nulls_equal.is_empty();
        join.kind == JoinKind::Full && whole && by_key(join.left, left) && by_key(join.right, right)
    }

    /// The first column by which the rows of a join are joined, where one passes.
    fn joined_by(&self, query: QueryId) -> Option<String> {
        let columns = &self.query_node(query).columns;
        let mut joined = self.join_columns(query);
        joined.retain(|at| visible(&columns[*at].name));
        joined.into_iter().min().map(|at| columns[at].name.clone())
    }

    /// The columns of a query that are what the join below it joins by.
    fn join_columns(&self, query: QueryId) -> Vec<usize> {
        match &self.query_node(query).op {
            QueryOp::Project { input, exprs } => passed(&self.join_columns(*input), exprs),
            QueryOp::Filter { input, .. } => self.join_columns(*input),
            QueryOp::Join(join) => match join.keys[..] {
                [(left, _)] if join.kind != JoinKind::Full => self.equal_columns(query, left),
                [..] => Vec::new(),
            },
            QueryOp::Scan(_)
            | QueryOp::Unnest(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::Window(_)
            | QueryOp::TopN(_)
            | QueryOp::Over(_)
            | QueryOp::Aggregate(_)
            | QueryOp::UnionAll(_) => Vec::new(),
        }
    }

    /// The columns of a query that joins say are equal to one of them, that one among them.
    fn equal_columns(&self, query: QueryId, column: usize) -> Vec<usize> {
        match &self.query_node(query).op {
            QueryOp::Project { input, exprs } => match exprs.get(column).and_then(plain_column) {
                Some(below) => passed(&self.equal_columns(*input, below), exprs),
                None => vec![column],
            },
            QueryOp::Filter { input, .. } => self.equal_columns(*input, column),
            QueryOp::Join(join) => {
                let width = self.query_node(join.left).columns.len();
                let mut equal = match column.checked_sub(width) {
                    None => self.equal_columns(join.left, column),
                    Some(right) => vec![right + width],
                };
                if let [(left, right)] = join.keys[..]
                    && join.kind.has_pairs()
                    && (equal.contains(&left) || equal.contains(&(right + width)))
                {
                    equal.extend(self.equal_columns(join.left, left));
                    equal.push(right + width);
                }
                equal
            }
            QueryOp::Scan(_)
            | QueryOp::Unnest(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::Window(_)
            | QueryOp::TopN(_)
            | QueryOp::Over(_)
            | QueryOp::Aggregate(_)
            | QueryOp::UnionAll(_) => vec![column],
        }
    }

    /// The columns that are those of the key of the stream or table that is read first.
    fn passed_key(&self, query: QueryId) -> Vec<String> {
        let Some(source) = self.first_scan(query) else { return Vec::new() };
        let declared = &self.declared[source.0 as usize];
        let relation = self.module.relation(source);
        let of_table = relation.primary_key.iter().map(|at| relation.columns[*at].name.clone());
        let mut key: Vec<String> = of_table.collect();
        if key.is_empty() {
            key = declared.options.key_fields();
        }
        let at = |name: &String| relation.columns.iter().position(|c| same_name(&c.name, name));
        let columns = &self.query_node(query).columns;
        let passed = key.iter().map(|name| {
            let wanted = at(name)?;
            let shown = |c: &usize| visible(&columns[*c].name);
            let mut all = (0..columns.len()).filter(shown);
            let found = all.find(|c| self.passes(query, *c, source) == Some(wanted))?;
            Some(columns[found].name.clone())
        });
        passed.collect::<Option<Vec<String>>>().unwrap_or_default()
    }

    /// The column of the relation that a query passes on in this one.
    fn passes(&self, query: QueryId, column: usize, source: RelationId) -> Option<usize> {
        let (mut query, mut column) = (query, column);
        loop {
            match &self.query_node(query).op {
                QueryOp::Scan(id) => return (*id == source).then_some(column),
                QueryOp::Project { input, exprs } => {
                    column = exprs.get(column).and_then(plain_column)?;
                    query = *input;
                }
                QueryOp::Filter { input, .. } => query = *input,
                QueryOp::Join(join) => query = join.left,
                QueryOp::Unnest(unnest) => query = unnest.input,
                QueryOp::Deduplicate(one) => query = one.input,
                QueryOp::Window(window) => query = window.input,
                QueryOp::TopN(_)
                | QueryOp::Over(_)
                | QueryOp::Aggregate(_)
                | QueryOp::UnionAll(_) => return None,
            }
            if column >= self.query_node(query).columns.len() {
                return None;
            }
        }
    }

    /// The columns of a declaration with a query: those that only the declaration has, then the
    /// query's, of the declared types where it has these too; or the query's as it names them.
    pub(super) fn build_made_columns(
        &mut self,
        id: RelationId,
        create: &'a CreateTable,
        query: QueryId,
    ) {
        let at = create.name.last().span;
        let fields = self.derived_fields(query);
        let mut own = Vec::new();
        for element in create.elements.as_deref().unwrap_or(&[]) {
            if let TableElement::Column(column) = element {
                own.push(self.draft(id, column));
            }
        }
        let mut taken: Vec<Draft> = Vec::with_capacity(fields.len());
        for field in fields {
            let is = |draft: &Draft| same_name(&draft.name, &field.name);
            let declared = own.iter().position(is).map(|at| own.remove(at));
            let of_query = |field: Field| Draft {
                name: field.name,
                span: at,
                ty: Some(field.ty),
                source: DraftSource::Field,
            };
            taken.push(declared.unwrap_or_else(|| of_query(field)));
        }
        if !create.columns.is_empty() {
            let Some(named) = self.named_columns(create, taken) else { return };
            taken = named;
        }
        own.append(&mut taken);
        self.close_drafts(id, create, own);
    }

    /// The query's columns in the order in which a declaration names them, or by other names.
    fn named_columns(
        &mut self,
        create: &CreateTable,
        mut columns: Vec<Draft>,
    ) -> Option<Vec<Draft>> {
        let names = &create.columns;
        let span = names.iter().map(|name| name.span).reduce(Span::to)?;
        if names.len() != columns.len() {
            let (is, wanted) = (names.len(), columns.len());
            return self.report(plans::wrong_count("the column list", wanted, is, span));
        }
        let place = |name: &Ident| columns.iter().position(|c| same_name(&c.name, &name.text));
        let places: Option<Vec<usize>> = names.iter().map(place).collect();
        let mut seen = places.clone().unwrap_or_default();
        seen.sort_unstable();
        seen.dedup();
        if places.is_none() || seen.len() != columns.len() {
            for (column, name) in columns.iter_mut().zip(names) {
                (column.name, column.span) = (name.text.clone(), name.span);
            }
            return Some(columns);
        }
        let mut columns: Vec<Option<Draft>> = columns.into_iter().map(Some).collect();
        places?.into_iter().map(|place| columns[place].take()).collect()
    }

    /// For each record column of a stream that a query made the column of the query, by name;
    /// `None` where the columns go by their places.
    pub(super) fn made_columns(
        &mut self,
        target: RelationId,
        query: QueryId,
    ) -> Option<Vec<Option<usize>>> {
        self.declared(target).create.filter(|create| {
            create.query.is_some() && (create.elements.is_some() || !create.columns.is_empty())
        })?;
        let names: Vec<&str> = self.query_node(query).columns.iter().map(|c| &*c.name).collect();
        let columns = &self.module.relation(target).stream.columns;
        let of = |name: &str| names.iter().position(|known| same_name(known, name));
        let found: Vec<Option<usize>> = columns.iter().map(|c| of(&c.name)).collect();
        let all = names.iter().filter(|name| visible(name)).count();
        (found.iter().flatten().count() == all).then_some(found)
    }

    /// Fills a new stream or table; what reads it in this program reads the query.
    pub(super) fn insert_made(&mut self, id: RelationId, made: Made, span: Span) {
        self.declared(id).derived_key = made.key;
        let written = self.output_into(id, made.query, &[], true, (made.at, span));
        let Some(written) = written else { return };
        let name = self.module.relation(id).stream.name.clone();
        if self.inserted.iter().all(|inserted| !same_name(inserted, &name)) {
            let timed = self.with_time(written, made.at).unwrap_or(written);
            let timed = self.with_computed(id, timed, made.at);
            self.made.insert(id, timed);
        }
    }

    /// The rows of a relation's records with the columns that the declaration computes of them.
    fn with_computed(&mut self, id: RelationId, rows: QueryId, at: Span) -> QueryId {
        let relation = self.module.relation(id);
        let of_record = |column: usize| match relation.columns[column].source {
            ColumnSource::Record(at) => at,
            ColumnSource::Computed(_) => column,
        };
        let is_computed = |c: &RelationColumn| matches!(c.source, ColumnSource::Computed(_));
        if !relation.columns.iter().any(is_computed) {
            return rows;
        }
        let item = |column: &RelationColumn| match &column.source {
            ColumnSource::Record(from) => self.pass_column(rows, *from, at),
            ColumnSource::Computed(expr) => {
                let mut expr = expr.clone();
                expr.map_columns(&of_record);
                (column.name.clone(), Some(expr))
            }
        };
        let mut items: Vec<_> = relation.columns.iter().map(item).collect();
        let behind = relation.stream.columns.len()..self.query_node(rows).columns.len();
        items.extend(behind.map(|place| self.pass_column(rows, place, at)));
        self.project(rows, items, at)
    }
}

/// Where a projection passes on one of these columns.
fn passed(columns: &[usize], exprs: &[Expr]) -> Vec<usize> {
    let is = |at: &usize| plain_column(&exprs[*at]).is_some_and(|below| columns.contains(&below));
    (0..exprs.len()).filter(is).collect()
}

/// The name of the item that is ROWKEY.
fn row_key_item(select: &Select) -> Option<String> {
    select.items.iter().find_map(|item| match &item.kind {
        SelectItemKind::Expr { expr: ast::Expr { kind: ExprKind::Name(name), .. }, alias } => {
            let key = name.as_single().filter(|name| name.is_word("rowkey"))?;
            Some(alias.as_ref().unwrap_or(key).text.clone())
        }
        SelectItemKind::Expr { .. } | SelectItemKind::Wildcard { .. } => None,
    })
}

/// Whether an option is given.
fn has(written: &Written, name: &str) -> bool {
    written.entries.iter().any(|entry| entry.key.value == name)
}

/// The name of a bound before it is a number.
fn hidden(bound: &str) -> &'static str {
    if bound == BOUNDS[0] { "$start" } else { "$end" }
}
