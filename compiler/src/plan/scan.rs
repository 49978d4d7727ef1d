//! Reading streams and tables: one scan per relation, with the hidden columns that some query may
//! need; computed columns are projected above it, a table's after its records became changes. A
//! query that is asked once gets a view's rows as changes, with nothing hidden; a program reads the
//! view of another job as a table.

use flow_ir::connector::{self, FILE, GROUP_ID, VIEW_JOB, VIEW_TABLE, is_generated};
use flow_ir::decode_plan::DecodeColumn;
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::{NodeId, StreamId};
use flow_ir::logical::{Hidden, LogicalOp, Normalize, Project, Scan, ScanKind};
use flow_ir::span::Span;

use super::{Planner, Relation};
use crate::check::typed::{self, ColumnSource, RelationId};

/// Options that decide which rows a stream has.
const CONTENT_OPTIONS: &[&str] = &[
    "topic",
    "path",
    VIEW_JOB,
    VIEW_TABLE,
    "scan.startup.mode",
    "scan.startup.timestamp-millis",
    "scan.startup.specific-offsets",
    "scan.bounded.mode",
    "scan.bounded.timestamp-millis",
    "scan.bounded.specific-offsets",
];

impl Planner<'_> {
    /// The relation as queries see it: a stream's rows, or a table's changes.
    pub(super) fn scan(&mut self, id: RelationId) -> Relation {
        let relation = self.module.relation(id);
        let scan = self.records(id);
        if !is_table(relation) {
            return self.computed(scan, relation, &[]);
        }
        let records = Relation::first(scan, relation.stream.columns.len());
        let timed = self.windowed.contains(&id);
        let more = Some(Hidden::Watermark).filter(|_| timed);
        let kept = [Hidden::Tombstone, Hidden::Weight].into_iter().chain(more);
        let node = self.shape(&records, &kept.collect::<Vec<_>>());
        let schema = self.plan.schema(node);
        let tombstone = schema.hidden(Hidden::Tombstone);
        let op = Normalize {
            keys: record_key(relation),
            tombstone: tombstone.expect("a table is read with its tombstones"),
            weight: schema.hidden(Hidden::Weight),
            watermark: schema.hidden(Hidden::Watermark),
        };
        let node = self.add(LogicalOp::Normalize(op), node, relation.span);
        if !timed {
            return self.computed(node, relation, &[]);
        }
        let changes = self.no_longer_records(node, relation.stream.columns.len());
        self.computed(changes.node, relation, &[Hidden::Watermark, Hidden::Position])
    }

    /// The table as a temporal join sees it: its records, each a version. What a tombstone computes
    /// is NULL. Also the version time, if the versions have one.
    pub(super) fn versions(&mut self, id: RelationId) -> Relation {
        let relation = self.module.relation(id);
        let scan = self.records(id);
        self.computed(scan, relation, &[Hidden::Tombstone, Hidden::Watermark, Hidden::Timestamp])
    }

    /// The relation's declared columns over its records (or changes), computed ones included.
    fn computed(&mut self, node: NodeId, relation: &typed::Relation, keep: &[Hidden]) -> Relation {
        let record = |column: &typed::RelationColumn| match column.source {
            ColumnSource::Record(at) => Some(at),
            ColumnSource::Computed(_) => None,
        };
        let places: Option<Vec<usize>> = relation.columns.iter().map(record).collect();
        if let Some(columns) = places {
            return Relation { node, columns };
        }
        let schema = self.plan.schema(node);
        let tombstone = schema.hidden(Hidden::Tombstone).filter(|_| !keep.is_empty());
        let mut project = Project { exprs: Vec::new(), names: Vec::new(), time: None };
        for column in &relation.columns {
            let expr = match &column.source {
                ColumnSource::Record(at) => Expr::column(*at, column.ty.clone(), column.span),
                ColumnSource::Computed(expr) => {
                    let expr = over_records(expr, relation);
                    tombstone.map_or(expr.clone(), |at| unless(at, expr))
                }
            };
            project.exprs.push(expr);
            project.names.push(column.name.clone());
        }
        let time = relation.watermark.as_ref().map(|w| w.column);
        project.time = time.filter(|&at| record(&relation.columns[at]).is_none());
        let keep = if relation.primary_key.is_empty() { &Hidden::ALL } else { keep };
        self.pass_hidden(&mut project, node, keep);
        let node = self.add(LogicalOp::Project(project), node, relation.span);
        Relation::first(node, relation.columns.len())
    }

    /// The scan of a relation's record columns; the same node whoever asks.
    fn records(&mut self, id: RelationId) -> NodeId {
        if let Some(node) = self.scans.get(&id) {
            return *node;
        }
        let relation = self.module.relation(id);
        let node = self.plan.add(LogicalOp::Scan(self.scan_op(id)), vec![], relation.span);
        self.scans.insert(id, node);
        node
    }

    fn scan_op(&self, id: RelationId) -> Scan {
        let relation = self.module.relation(id);
        let kind = match relation.is_view() {
            _ if is_table(relation) => ScanKind::Table,
            true => ScanKind::View,
            false if relation.says_changes() => ScanKind::Changes,
            false => ScanKind::Stream,
        };
        let columns = relation.stream.columns.iter();
        let mut columns: Vec<DecodeColumn> = columns
            .map(|c| DecodeColumn {
                name: c.name.clone(),
                ty: c.ty.clone(),
                origin: c.origin.clone(),
            })
            .collect();
        let declared = relation.watermark.as_ref();
        let mut watermark = declared.map(|w| over_records(&w.expr, relation));
        match kind {
            ScanKind::Table => {
                columns.push(Hidden::Tombstone.column());
                if relation.is_counted() {
                    columns.push(Hidden::Weight.column());
                }
                let versioned = self.versioned.contains(&id);
                if versioned || self.windowed.contains(&id) {
                    columns.push(Hidden::Watermark.column());
                }
                if versioned {
                    if watermark.is_none() && has_timestamps(relation) {
                        let timestamp = Hidden::Timestamp.column();
                        let ty = timestamp.ty.clone();
                        watermark = Some(Expr::column(columns.len(), ty, relation.span));
                        columns.push(timestamp);
                    }
                }
            }
            ScanKind::Changes if !self.windowed.contains(&id) => {}
            ScanKind::Stream | ScanKind::Changes => {
                let has_time = watermark.is_some();
                let says_when = [Hidden::Watermark, Hidden::Position];
                let wanted = self.hidden.iter().filter(|h| has_time || **h != Hidden::Watermark);
                let wanted = wanted.filter(|h| kind == ScanKind::Stream || says_when.contains(*h));
                columns.extend(wanted.map(|h| h.column()));
            }
            ScanKind::View => {}
        }
        let time = declared.and_then(|w| match relation.columns[w.column].source {
            ColumnSource::Record(at) => Some(at),
            ColumnSource::Computed(_) => None,
        });
        Scan {
            stream: StreamId(id.0),
            name: relation.stream.name.clone(),
            content: content(relation),
            columns,
            kind,
            key: record_key(relation),
            watermark,
            time,
        }
    }
}

/// Whether a relation's records replace the row of their key.
fn is_table(relation: &typed::Relation) -> bool {
    match relation.is_view() {
        // A view of one row has a key of no columns.
        true => relation.is_changelog(),
        false => !relation.primary_key.is_empty(),
    }
}

/// What makes a relation's content, as text that changes when its rows may.
fn content(relation: &typed::Relation) -> String {
    let stream = &relation.stream;
    let mut content = format!("{} {:?}", stream.connector, stream.value_format);
    let is_named = stream.option("topic").is_some() || stream.option("path").is_some();
    if !is_named && !is_generated(&stream.connector) {
        content += &format!(" topic={}", stream.name);
    }
    if is_generated(&stream.connector) {
        let own = stream.options.iter().filter(|(name, _)| is_content(name, &stream.connector));
        own.for_each(|(name, value)| content += &format!(" {name}={value}"));
    }
    for option in CONTENT_OPTIONS {
        if let Some(value) = stream.option(option) {
            content += &format!(" {option}={value}");
        }
    }
    let modes = ["scan.startup.mode", "scan.bounded.mode"];
    if modes.iter().any(|mode| stream.option(mode) == Some("group-offsets")) {
        content += &format!(" {GROUP_ID}={}", stream.option(GROUP_ID).unwrap_or_default());
    }
    content
}

/// Whether an option of a stream that makes its records says what they are.
fn is_content(name: &str, connector: &str) -> bool {
    let options = connector::connector(connector).map_or(&[][..], |spec| spec.options);
    options.iter().any(|option| option.matches(name))
}

/// Whether the records of a connector carry timestamps of their own.
fn has_timestamps(relation: &typed::Relation) -> bool {
    relation.stream.connector != FILE && !is_generated(&relation.stream.connector)
}

/// The primary key as positions in the record; where equal rows are counted the whole row.
fn record_key(relation: &typed::Relation) -> Vec<usize> {
    if relation.is_counted() {
        return (0..relation.stream.columns.len()).collect();
    }
    let at = |&column: &usize| match relation.columns[column].source {
        ColumnSource::Record(at) => Some(at),
        ColumnSource::Computed(_) => None,
    };
    relation.primary_key.iter().filter_map(at).collect()
}

/// An expression over declared columns as one over record columns.
fn over_records(expr: &Expr, relation: &typed::Relation) -> Expr {
    let mut expr = expr.clone();
    expr.map_columns(&|column| match relation.columns[column].source {
        ColumnSource::Record(at) => at,
        ColumnSource::Computed(_) => column,
    });
    expr
}

/// The expression where the record is no tombstone, else NULL.
fn unless(tombstone: usize, expr: Expr) -> Expr {
    let span: Span = expr.span;
    let ty = expr.ty.clone();
    let is_tombstone = Expr::column(tombstone, Hidden::Tombstone.column().ty, span);
    let when =
        Expr { ty: is_tombstone.ty.clone(), kind: ExprKind::Not(Box::new(is_tombstone)), span };
    Expr { kind: ExprKind::Case { branches: vec![(when, expr)], otherwise: None }, ty, span }
}
