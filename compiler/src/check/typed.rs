//! The typed module: a program with every name resolved, every expression typed, every option
//! checked. The checker makes it, `plan` reads it; after it, nothing can be wrong with the text.
//!
//! What always holds in a module that came without errors:
//! * `queries` stands in topological order: a node's inputs have smaller ids. A view or CTE that is
//!   used twice is one node with two readers.
//! * Expressions are over the positions of their node's input columns; a join's condition is over
//!   the left columns followed by the right ones.
//! * `columns` is the node's full output; names need not be unique in it. Names that begin with `$`
//!   are the checker's own and never reach a sink.
//! * HAVING and QUALIFY are `Filter`s; DISTINCT is an `Aggregate` without calls; the older
//!   `GROUP BY TUMBLE(ts, …)` is a `Window` under an `Aggregate`, as the table function is.
//! * An `Aggregate` reads plain columns: a `Project` under it computes keys, arguments and filters.
//! * A column with `event_time` is a timestamp, and no row comes, or is taken back, with a time
//!   below the node's watermark once late rows are dropped; a row whose time is NULL goes by the
//!   error policy there. Of nodes that take rows back only windows mind it. (`window_time` lies a
//!   millisecond before the end: who uses it as event time holds the watermark back by that.)
//! * A column with `window` is a window's bound, and no row comes whose window's end the watermark
//!   has reached, once late rows are dropped: a `Window` alone keeps them, the `Aggregate` over its
//!   windows has them dropped at the source.
//!
//! Where conditions go: a join takes each conjunct of ON, and of WHERE where only inner joins lie
//! between, that reads both of its sides. The rest of WHERE is a `Filter` over the joins.

use flow_ir::aggregate::{AggregateCall, WindowSpec};
use flow_ir::connector;
use flow_ir::expr::Expr;
use flow_ir::logical::JoinClass;
use flow_ir::over::OverCall;
use flow_ir::physical::{
    Changelog, Direction, JoinKind, Keep, Numbering, RowWindow, Settings, SinkMode, Stream,
};
use flow_ir::span::Span;
use flow_ir::types::{Field, Type};

/// A stream or table of the module, by position in `TypedModule::relations`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationId(pub u32);

/// A query node of the module, by position in `TypedModule::queries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u32);

/// A checked program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypedModule {
    /// The job's name, where the program or the caller says it.
    pub name: Option<String>,
    /// What SET and the caller's settings say.
    pub settings: Settings,
    /// Declared streams and tables, and one `print` stream per bare SELECT.
    pub relations: Vec<Relation>,
    /// Declared views, in order; for `DESCRIBE` and for readers of plans: their nodes are in place
    /// wherever they are used.
    pub views: Vec<View>,
    /// All query nodes, inputs first.
    pub queries: Vec<Query>,
    /// Materialized views, in order.
    pub materialized: Vec<Materialized>,
    /// What runs beside them: one per INSERT and per bare SELECT, in order.
    pub outputs: Vec<Output>,
}

/// A declared stream or table.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// As the runtime sees it: connector, options, formats, physical columns, key, schemas.
    pub stream: Stream,
    /// What the program sees: all columns in declared order.
    pub columns: Vec<RelationColumn>,
    /// WATERMARK FOR.
    pub watermark: Option<Watermark>,
    /// Primary key as positions in `columns`; empty: a stream.
    pub primary_key: Vec<usize>,
    /// `'allowed.lateness'` in microseconds.
    pub lateness: i64,
    /// Of a view of another job: in which orders its rows lie, the key's first.
    pub orders: Vec<RowOrder>,
    /// The declaration's name; for a bare SELECT's `print` the SELECT.
    pub span: Span,
}

/// An order that a view's rows lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowOrder {
    /// The index that it is of; `None`: the key.
    pub index: Option<String>,
    /// Its columns, ascending, most significant first, as positions in `Relation::columns`.
    pub columns: Vec<usize>,
}

/// A column of a declared stream or table.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationColumn {
    /// Name as written.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Where its values come from.
    pub source: ColumnSource,
    /// Its name in the declaration, or the declaration's name where the registry gave it.
    pub span: Span,
}

/// Where a declared column's values come from.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnSource {
    /// The record: position in `Relation::stream.columns` (metadata columns are there too).
    Record(usize),
    /// An expression over the record columns, by position in `Relation::columns`.
    Computed(Expr),
}

/// An event time column and the watermark that its rows raise.
#[derive(Clone, Debug, PartialEq)]
pub struct Watermark {
    /// Position in `Relation::columns`; a timestamp, not NULL as rows pass on.
    pub column: usize,
    /// What the watermark rises to: a timestamp over the record columns, by position in
    /// `Relation::columns`.
    pub expr: Expr,
    /// Whether the time is the record's own timestamp rather than a data column.
    pub record_time: bool,
}

/// A view.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Name as written.
    pub name: String,
    /// Its query.
    pub query: QueryId,
    /// Its name in the declaration.
    pub span: Span,
}

/// A view that is kept for readers.
#[derive(Clone, Debug, PartialEq)]
pub struct Materialized {
    /// Its name and columns, as a stream of the connector `view`.
    pub relation: RelationId,
    /// Its query: exactly the columns of the relation.
    pub query: QueryId,
    /// Columns of the order of its rows: a unique key, or all columns where rows are counted.
    pub key: Vec<usize>,
    /// Whether equal rows may occur, and are counted.
    pub counted: bool,
    /// Further orders of its rows.
    pub indexes: Vec<Index>,
    /// The statement.
    pub span: Span,
}

/// An order of a materialized view's rows beside that of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// Its name, as a stream of the connector `view` with the view's columns.
    pub relation: RelationId,
    /// The columns, as positions in the view's.
    pub columns: Vec<usize>,
    /// The statement.
    pub span: Span,
}

/// What runs: a query into a stream or table.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Where rows go.
    pub target: RelationId,
    /// What is computed: exactly the columns of `target.stream.columns`, in order and type;
    /// metadata columns, which are not written, are NULL.
    pub query: QueryId,
    /// How changes become records.
    pub mode: SinkMode,
    /// The record key (primary key, else `key.fields`), as positions in `target.stream.columns`.
    pub keys: Vec<usize>,
    /// The statement.
    pub span: Span,
}

/// A node: a relation and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What it computes.
    pub op: QueryOp,
    /// Its output.
    pub columns: Vec<Column>,
    /// Whether it may take rows back.
    pub changelog: Changelog,
    /// Sets of columns of which no two rows agree; an empty set: at most one row. Minimal sets,
    /// not all that hold.
    pub unique_keys: Vec<Vec<usize>>,
    /// The text that it comes from.
    pub span: Span,
}

/// An output column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether the node's watermark holds for it (see the head of the file).
    pub event_time: bool,
    /// Which bound of which window it is, if it is one.
    pub window: Option<WindowBound>,
}

/// A column that is a bound of a row's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowBound {
    /// How time is cut.
    pub spec: WindowSpec,
    /// Bounds of one row belong together iff they have the same origin: the node that gave them.
    pub origin: QueryId,
    /// Which bound.
    pub bound: Bound,
    /// Whether it is a window over processing time.
    pub by_clock: bool,
}

/// The columns that a window gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `window_start`, inclusive.
    Start,
    /// `window_end`, exclusive.
    End,
    /// `window_time`: end − 1 ms.
    Time,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryOp {
    /// Reads a stream or table. Output: `Relation::columns`.
    Scan(RelationId),
    /// Rows where the condition is TRUE. Output: the input.
    Filter {
        /// Whose rows.
        input: QueryId,
        /// BOOLEAN.
        condition: Expr,
    },
    /// One output column per expression.
    Project {
        /// Whose rows.
        input: QueryId,
        /// The columns.
        exprs: Vec<Expr>,
    },
    /// A row per element of containers. Output: the input, then for each ARRAY its element and for
    /// each MAP its key and value, then perhaps the position.
    Unnest(Unnest),
    /// Pairs of rows. Output: left columns, right columns; of semi and anti joins the left ones.
    Join(Join),
    /// A row per window. Output: the input, window_start, window_end, window_time.
    Window(Window),
    /// Output: the keys, the results, and for a window window_start, window_end, window_time.
    Aggregate(Aggregate),
    /// One row per key, of an append-only input. Output: the input.
    Deduplicate(Deduplicate),
    /// The first rows per key. Output: the input, and with `rank` the number.
    TopN(TopN),
    /// Values from the rows around each row. Output: the input, the results.
    Over(Over),
    /// The rows of all inputs, which agree in column types.
    UnionAll(Vec<QueryId>),
}

/// UNNEST.
#[derive(Clone, Debug, PartialEq)]
pub struct Unnest {
    /// Whose rows.
    pub input: QueryId,
    /// ARRAY and MAP columns.
    pub columns: Vec<usize>,
    /// WITH ORDINALITY.
    pub ordinality: bool,
    /// Whether a row without elements stays, once, with NULLs.
    pub outer: bool,
}

/// Pairs of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Left input.
    pub left: QueryId,
    /// Right input.
    pub right: QueryId,
    /// What it gives; a right join is a left one turned round under a `Project`.
    pub kind: JoinKind,
    /// Equal columns (left position, right position), of one data type. May be empty.
    pub keys: Vec<(usize, usize)>,
    /// Positions in `keys` where NULL equals NULL.
    pub nulls_equal: Vec<usize>,
    /// What else must be TRUE, BOOLEAN over left and right columns; without what `keys` and `time`
    /// say already.
    pub condition: Option<Expr>,
    /// How time bounds the pairs: of an interval and a window both sides are append-only, of a
    /// temporal join and a lookup the left one; `right_time` of `None` is the record's timestamp.
    /// The right side of a temporal join is the `Scan` of a table, by its primary key, or rows that
    /// append, each the version of its key from its time on.
    pub class: JoinClass,
}

/// TUMBLE, HOP, CUMULATE or SESSION.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Whose rows.
    pub input: QueryId,
    /// Event time column of the input, or one that is the clock.
    pub time: usize,
    /// Of a session, the columns by which rows are parted.
    pub keys: Vec<usize>,
    /// Whether `time` is the clock: windows over processing time.
    pub by_clock: bool,
    /// How time is cut.
    pub spec: WindowSpec,
    /// The largest `'allowed.lateness'` of the streams below, microseconds.
    pub lateness: i64,
}

/// GROUP BY.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Whose rows.
    pub input: QueryId,
    /// Group key columns of the input, window bounds left out. Empty and no window: one group.
    pub keys: Vec<usize>,
    /// The aggregates, over columns of the input.
    pub calls: Vec<AggregateCall>,
    /// One group per key and window, emitted when the window closes.
    pub window: Option<WindowSource>,
    /// EMIT CHANGES: a window's results are emitted from its first row on, as they change.
    pub emits_changes: bool,
}

/// The window of an aggregate: bounds that the input carries, of one `Window` node or of an
/// earlier windowed aggregate. (Where only filters on other columns and projections lie between,
/// the planner may put both into one operator.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSource {
    /// The `window_start` column.
    pub start: usize,
    /// The `window_end` column.
    pub end: usize,
    /// How time is cut.
    pub spec: WindowSpec,
    /// `'allowed.lateness'` of the `Window` node, microseconds; > 0: the output retracts.
    pub lateness: i64,
    /// Whether it is a window over processing time.
    pub by_clock: bool,
}

/// ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) = 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Deduplicate {
    /// Whose rows.
    pub input: QueryId,
    /// PARTITION BY columns.
    pub keys: Vec<usize>,
    /// ORDER BY columns, most significant first.
    pub order: Vec<(usize, Direction)>,
    /// Which end of the order stays. The first column of the order is always ascending: `ORDER BY
    /// ts DESC` is the last of the ascending order, so that of equal times the later row stays.
    pub keep: Keep,
}

/// The rows of each partition whose numbers lie in a range: a filter on ROW_NUMBER, RANK or
/// DENSE_RANK, ORDER BY with LIMIT, DISTINCT ON, a sink's key. `Checker::top_n` chooses between it
/// and `Deduplicate`.
#[derive(Clone, Debug, PartialEq)]
pub struct TopN {
    /// Whose rows.
    pub input: QueryId,
    /// PARTITION BY columns.
    pub keys: Vec<usize>,
    /// ORDER BY columns, most significant first. Rows that ROW_NUMBER finds equal go by event time,
    /// source, partition and offset, derived and updated ones by their key bytes.
    pub order: Vec<(usize, Direction)>,
    /// How rows are numbered, from 1.
    pub numbering: Numbering,
    /// Rows up to this number are left out.
    pub offset: u64,
    /// So many numbers behind `offset` stay; `None`: all.
    pub limit: Option<u64>,
    /// Whether the number is a column, behind the input's: BIGINT.
    pub rank: bool,
}

/// Calls of OVER with one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    /// Whose rows.
    pub input: QueryId,
    /// PARTITION BY columns.
    pub keys: Vec<usize>,
    /// ORDER BY columns, most significant first. Rows that are equal in them follow each other as
    /// `TopN` has it.
    pub order: Vec<(usize, Direction)>,
    /// The calls, over columns of the input.
    pub calls: Vec<OverCall>,
    /// The input is append-only and ordered by its event time, ascending, first of all, and no call
    /// looks ahead: rows wait for the watermark and come once, with their event time.
    pub passes: bool,
    /// Then: how far back frames reach, microseconds; `None`: by rows, or for ever.
    pub reach: Option<i64>,
}

impl TypedModule {
    /// A declared stream or table.
    pub fn relation(&self, id: RelationId) -> &Relation {
        &self.relations[id.0 as usize]
    }

    /// A query node.
    pub fn query(&self, id: QueryId) -> &Query {
        &self.queries[id.0 as usize]
    }
}

impl Relation {
    /// Whether it is a materialized view, or an index of one.
    pub fn is_view(&self) -> bool {
        self.stream.connector == connector::VIEW
    }

    /// Whether its records say which rows come and which go.
    pub fn says_changes(&self) -> bool {
        self.stream.value_format.as_deref().is_some_and(connector::is_changelog)
    }

    /// Whether it is another job's view that is read as the table in that job's changelog.
    pub fn is_changelog(&self) -> bool {
        self.is_view() && self.stream.option(connector::VIEW_TABLE).is_some()
    }

    /// Whether it is such a table without a key: its records say how often a row is there.
    pub fn is_counted(&self) -> bool {
        self.is_changelog() && self.stream.option(connector::VIEW_COUNTED).is_some()
    }
}

impl Materialized {
    /// The order of an index: its columns, then those of the key that are not among them.
    pub fn order_of(&self, index: &Index) -> Vec<usize> {
        let rest = self.key.iter().filter(|at| !index.columns.contains(at));
        index.columns.iter().chain(rest).copied().collect()
    }
}

/// The window that an append-only query's rows carry, if these columns hold its bounds.
pub fn window_of_rows(query: &Query, columns: &[usize]) -> Option<RowWindow> {
    if query.changelog != Changelog::Append {
        return None;
    }
    let bounds = || columns.iter().filter_map(|&at| query.columns[at].window);
    bounds().find_map(|window| {
        let has = |bound: Bound| bounds().any(|b| b == WindowBound { bound, ..window });
        let (start, end) = (has(Bound::Start), has(Bound::End) || has(Bound::Time));
        let [end_says, start_says] = window.spec.bounds_say_each_other();
        let whole = (start && end) || (end && end_says) || (start && start_says);
        let at = end_of(window, &query.columns).filter(|_| whole)?;
        Some(RowWindow { end: at, by_clock: window.by_clock })
    })
}

/// Where the end of a window is among columns, if what closes the window bounds it.
pub fn end_of(window: WindowBound, columns: &[Column]) -> Option<usize> {
    let end = WindowBound { bound: Bound::End, ..window };
    columns.iter().position(|c| c.window == Some(end) && (c.event_time || end.by_clock))
}

impl Query {
    /// The nodes it reads, in order.
    pub fn inputs(&self) -> Vec<QueryId> {
        match &self.op {
            QueryOp::Scan(_) => Vec::new(),
            QueryOp::Filter { input, .. } | QueryOp::Project { input, .. } => vec![*input],
            QueryOp::Unnest(unnest) => vec![unnest.input],
            QueryOp::Join(join) => vec![join.left, join.right],
            QueryOp::Window(window) => vec![window.input],
            QueryOp::Aggregate(aggregate) => vec![aggregate.input],
            QueryOp::Deduplicate(dedup) => vec![dedup.input],
            QueryOp::TopN(top) => vec![top.input],
            QueryOp::Over(over) => vec![over.input],
            QueryOp::UnionAll(inputs) => inputs.clone(),
        }
    }

    /// Names and types of the output.
    pub fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|c| Field::new(c.name.clone(), c.ty.clone())).collect()
    }
}

impl Column {
    /// A column without further properties.
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Self { name: name.into(), ty, event_time: false, window: None }
    }
}
