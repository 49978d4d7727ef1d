//! Queries as written.

use flow_ir::span::Span;

use super::{Arg, Expr, Ident, ObjectName, Text};

/// A query with its CTEs, order and limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// WITH.
    pub with: Option<With>,
    /// SELECT, VALUES or a set operation.
    pub body: SetExpr,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// LIMIT, FETCH FIRST; `LIMIT ALL` is none.
    pub limit: Option<Expr>,
    /// `FETCH FIRST … WITH TIES`: rows that are equal in the order to the last one come too.
    pub with_ties: bool,
    /// OFFSET.
    pub offset: Option<Expr>,
    /// EMIT.
    pub emit: Option<Emit>,
    /// Where, without enclosing parentheses.
    pub span: Span,
}

/// WITH.
#[derive(Clone, Debug, PartialEq)]
pub struct With {
    /// WITH RECURSIVE.
    pub recursive: bool,
    /// The tables; never empty.
    pub tables: Vec<Cte>,
    /// Where.
    pub span: Span,
}

/// One table of WITH.
#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    /// Its name.
    pub name: Ident,
    /// Names for its columns; empty when left out.
    pub columns: Vec<Ident>,
    /// Its query.
    pub query: Query,
}

/// The body of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct SetExpr {
    /// Its form.
    pub kind: SetExprKind,
    /// Where.
    pub span: Span,
}

/// The forms of a query's body.
#[derive(Clone, Debug, PartialEq)]
pub enum SetExprKind {
    /// SELECT.
    Select(Box<Select>),
    /// VALUES: rows of expressions; never empty.
    Values(Vec<Vec<Expr>>),
    /// `TABLE t`: all of a table.
    Table(ObjectName),
    /// A query in parentheses.
    Query(Box<Query>),
    /// UNION, INTERSECT, EXCEPT. INTERSECT binds tighter; equal ones group from the left.
    SetOp {
        /// Which.
        op: SetOp,
        /// ALL: duplicates count.
        all: bool,
        /// Left input.
        left: Box<SetExpr>,
        /// Right input.
        right: Box<SetExpr>,
    },
}

/// Set operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOp {
    /// UNION.
    Union,
    /// UNION … BY NAME: columns by their names; one that an arm lacks is NULL there.
    UnionByName,
    /// INTERSECT.
    Intersect,
    /// EXCEPT, MINUS.
    Except,
}

/// EMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emit {
    /// CHANGES or FINAL.
    pub mode: EmitMode,
    /// Where.
    pub span: Span,
}

/// When a query emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitMode {
    /// Every change.
    Changes,
    /// Final results only.
    Final,
}

/// SELECT.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// DISTINCT.
    pub distinct: Distinct,
    /// The items; never empty.
    pub items: Vec<SelectItem>,
    /// FROM, one entry per comma; empty when left out.
    pub from: Vec<TableRef>,
    /// `WINDOW TUMBLING (…)` and its kin behind FROM.
    pub time_window: Option<TimeWindow>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// PARTITION BY: the key of the records that the rows become; empty when left out.
    pub key_by: Vec<Expr>,
    /// GROUP BY.
    pub group_by: Option<GroupBy>,
    /// HAVING.
    pub having: Option<Expr>,
    /// WINDOW w AS (…).
    pub windows: Vec<NamedWindow>,
    /// QUALIFY.
    pub qualify: Option<Expr>,
    /// Where.
    pub span: Span,
}

/// `WINDOW HOPPING (SIZE 1 HOUR, ADVANCE BY 5 MINUTES)`: the window of a GROUP BY, over the event
/// time of what FROM reads. Lengths are literals of intervals.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeWindow {
    /// Which window.
    pub kind: TimeWindowKind,
    /// SIZE; of a session the gap.
    pub size: Expr,
    /// ADVANCE BY.
    pub advance: Option<Expr>,
    /// RETENTION.
    pub retention: Option<Expr>,
    /// GRACE PERIOD.
    pub grace: Option<Expr>,
    /// Where.
    pub span: Span,
}

/// The windows of `TimeWindow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeWindowKind {
    /// TUMBLING.
    Tumbling,
    /// HOPPING.
    Hopping,
    /// SESSION.
    Session,
}

/// DISTINCT.
#[derive(Clone, Debug, PartialEq)]
pub enum Distinct {
    /// Nothing, or ALL.
    All,
    /// DISTINCT.
    Distinct(Span),
    /// `DISTINCT ON (a, b)`.
    On(Vec<Expr>),
}

/// One item of SELECT.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectItem {
    /// Its form.
    pub kind: SelectItemKind,
    /// Where.
    pub span: Span,
}

/// The forms of a SELECT item.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectItemKind {
    /// An expression.
    Expr {
        /// The expression.
        expr: Expr,
        /// Its name.
        alias: Option<Ident>,
    },
    /// `*`, `t.*`, `(row).*`, `* EXCLUDE (a)`, `* REPLACE (x AS a)`, `* RENAME (a AS b)`.
    Wildcard {
        /// The table, or column, in front.
        qualifier: Option<ObjectName>,
        /// The row in front that is no name.
        row: Option<Box<Expr>>,
        /// EXCLUDE, EXCEPT.
        exclude: Vec<Ident>,
        /// REPLACE.
        replace: Vec<(Expr, Ident)>,
        /// RENAME: names and what they become.
        rename: Vec<(Ident, Ident)>,
    },
}

/// GROUP BY.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupBy {
    /// `GROUP BY ALL`: every item that is no aggregate.
    All(Span),
    /// Expressions, ordinals and grouping sets; never empty.
    Items(Vec<GroupItem>),
}

/// One item of GROUP BY.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupItem {
    /// An expression or ordinal; in GROUPING SETS a Row is a list.
    Expr(Expr),
    /// `()`: the empty group.
    Empty(Span),
    /// `ROLLUP (…)`: each element is a list.
    Rollup(Vec<Vec<Expr>>, Span),
    /// `CUBE (…)`.
    Cube(Vec<Vec<Expr>>, Span),
    /// `GROUPING SETS (…)`.
    Sets(Vec<GroupItem>, Span),
}

/// `WINDOW name AS (…)`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedWindow {
    /// Its name.
    pub name: Ident,
    /// What it is.
    pub spec: WindowSpec,
}

/// The parentheses of OVER.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowSpec {
    /// A named window that it builds on.
    pub base: Option<Ident>,
    /// PARTITION BY.
    pub partition_by: Vec<Expr>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// ROWS, RANGE, GROUPS.
    pub frame: Option<Frame>,
    /// Where, parentheses included.
    pub span: Span,
}

/// A window's frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What it counts in.
    pub unit: FrameUnit,
    /// Its start.
    pub start: FrameBound,
    /// Its end; the current row when left out.
    pub end: Option<FrameBound>,
    /// EXCLUDE.
    pub exclude: Option<FrameExclude>,
    /// Where.
    pub span: Span,
}

/// What a frame counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUnit {
    /// ROWS.
    Rows,
    /// RANGE.
    Range,
    /// GROUPS.
    Groups,
}

/// One end of a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameBound {
    /// UNBOUNDED PRECEDING.
    UnboundedPreceding,
    /// `x PRECEDING`.
    Preceding(Expr),
    /// CURRENT ROW.
    CurrentRow,
    /// `x FOLLOWING`.
    Following(Expr),
    /// UNBOUNDED FOLLOWING.
    UnboundedFollowing,
}

/// What a frame leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameExclude {
    /// EXCLUDE CURRENT ROW.
    CurrentRow,
    /// EXCLUDE GROUP.
    Group,
    /// EXCLUDE TIES.
    Ties,
    /// EXCLUDE NO OTHERS.
    NoOthers,
}

/// One item of ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    /// What is sorted by.
    pub expr: Expr,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST is `Some(true)`, NULLS LAST `Some(false)`.
    pub nulls_first: Option<bool>,
}

/// One entry of FROM: a table and the tables joined to it, from left to right.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRef {
    /// The first table.
    pub first: TableFactor,
    /// What is joined to it, in order.
    pub joins: Vec<Join>,
    /// Where.
    pub span: Span,
}

/// One join: everything to its left is the left side.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Which join.
    pub kind: JoinKind,
    /// NATURAL.
    pub natural: bool,
    /// ASOF: with the nearest row of the right side.
    pub asof: bool,
    /// The right side.
    pub right: TableFactor,
    /// WITHIN.
    pub within: Option<JoinWithin>,
    /// ON, USING.
    pub constraint: JoinConstraint,
    /// From the join's first word to its end.
    pub span: Span,
}

/// `WITHIN (1 HOUR, 2 HOURS) GRACE PERIOD 1 DAY`: how far apart the event times of both sides may
/// be.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinWithin {
    /// How much earlier the right side may be.
    pub before: Expr,
    /// How much later; as much when left out.
    pub after: Option<Expr>,
    /// GRACE PERIOD.
    pub grace: Option<Expr>,
    /// Where.
    pub span: Span,
}

/// Kinds of join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// JOIN, INNER JOIN.
    Inner,
    /// LEFT [OUTER] JOIN.
    Left,
    /// RIGHT [OUTER] JOIN.
    Right,
    /// FULL [OUTER] JOIN.
    Full,
    /// CROSS JOIN.
    Cross,
    /// [LEFT] SEMI JOIN.
    Semi,
    /// [LEFT] ANTI JOIN.
    Anti,
}

/// How two sides are matched.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinConstraint {
    /// Nothing said.
    None,
    /// ON.
    On(Expr),
    /// USING.
    Using(Vec<Ident>),
}

/// A table in FROM.
#[derive(Clone, Debug, PartialEq)]
pub struct TableFactor {
    /// Its form.
    pub kind: TableFactorKind,
    /// Its alias.
    pub alias: Option<TableAlias>,
    /// LATERAL: it may read columns of the tables to its left.
    pub lateral: bool,
    /// Where, the alias included.
    pub span: Span,
}

/// The forms of a table in FROM.
#[derive(Clone, Debug, PartialEq)]
pub enum TableFactorKind {
    /// A stream, table, view or CTE.
    Named {
        /// Its name.
        name: ObjectName,
        /// `FOR SYSTEM_TIME AS OF x`.
        system_time: Option<Expr>,
    },
    /// A subquery.
    Query(Box<Query>),
    /// A table function: `TUMBLE(…)`, with or without TABLE( ) around it.
    Function {
        /// The function's name.
        name: ObjectName,
        /// Its arguments.
        args: Vec<Arg>,
    },
    /// `UNNEST(x, …) [WITH ORDINALITY]`.
    Unnest {
        /// The arrays, maps or multisets.
        args: Vec<Expr>,
        /// WITH ORDINALITY.
        ordinality: bool,
    },
    /// Joins in parentheses.
    Nested(Box<TableRef>),
    /// `table MATCH_RECOGNIZE (…)`.
    MatchRecognize {
        /// What is matched.
        input: Box<TableFactor>,
        /// How.
        pattern: Box<MatchRecognize>,
    },
}

/// `AS t (a, b)`.
#[derive(Clone, Debug, PartialEq)]
pub struct TableAlias {
    /// The table's name.
    pub name: Ident,
    /// Names for its columns; empty when left out.
    pub columns: Vec<Ident>,
}

/// The parentheses of MATCH_RECOGNIZE.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchRecognize {
    /// PARTITION BY.
    pub partition_by: Vec<Expr>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// MEASURES.
    pub measures: Vec<Measure>,
    /// Rows per match.
    pub rows: Option<RowsPerMatch>,
    /// AFTER MATCH SKIP.
    pub skip: Option<AfterMatch>,
    /// PATTERN.
    pub pattern: Pattern,
    /// WITHIN.
    pub within: Option<Expr>,
    /// SUBSET: union variable and its members.
    pub subsets: Vec<(Ident, Vec<Ident>)>,
    /// DEFINE: variable and condition.
    pub defines: Vec<(Ident, Expr)>,
    /// Where, the keyword included.
    pub span: Span,
}

/// One of MEASURES.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// FINAL or RUNNING.
    pub rows: Option<MeasureRows>,
    /// What is measured.
    pub expr: Expr,
    /// Its name.
    pub name: Ident,
}

/// Which rows of a match a measure sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasureRows {
    /// FINAL: all of them.
    Final,
    /// RUNNING: those up to the current one.
    Running,
}

/// How many rows a match gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsPerMatch {
    /// ONE ROW PER MATCH.
    One,
    /// ALL ROWS PER MATCH.
    All,
}

/// Where matching goes on after a match.
#[derive(Clone, Debug, PartialEq)]
pub enum AfterMatch {
    /// SKIP PAST LAST ROW.
    PastLastRow,
    /// SKIP TO NEXT ROW.
    ToNextRow,
    /// SKIP TO FIRST v.
    ToFirst(Ident),
    /// SKIP TO LAST v, SKIP TO v.
    ToLast(Ident),
}

/// A row pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// A pattern variable.
    Variable(Ident),
    /// `a b c`: two or more, one after the other.
    Sequence(Vec<Pattern>),
    /// `a | b`: two or more alternatives.
    Alternatives(Vec<Pattern>),
    /// `PERMUTE(a, b)`: in any order.
    Permute(Vec<Pattern>),
    /// `{- a -}`: matched but left out of ALL ROWS.
    Exclude(Box<Pattern>),
    /// `a{2,5}`, `a*`, `a+?`.
    Repeat {
        /// What is repeated.
        pattern: Box<Pattern>,
        /// Least number of times.
        min: u32,
        /// Greatest number of times; none is without bound.
        max: Option<u32>,
        /// `?` after the quantifier: as few as possible.
        reluctant: bool,
    },
    /// `^`: the partition's start.
    Start(Span),
    /// `$`: the partition's end.
    End(Span),
    /// `()`: no row.
    Empty(Span),
}

/// One `'key' = 'value'` of WITH, SET and hints.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionEntry {
    /// The key; quoted or bare, dots included.
    pub key: Text,
    /// The value.
    pub value: OptionValue,
}

/// An option's value and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionValue {
    /// The text: a string's content, a number's digits, a word as written.
    pub text: String,
    /// How it was written.
    pub kind: OptionValueKind,
    /// Where.
    pub span: Span,
}

/// How an option's value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionValueKind {
    /// In single quotes.
    String,
    /// A number, with or without a sign.
    Number,
    /// TRUE, FALSE or another word.
    Word,
}
