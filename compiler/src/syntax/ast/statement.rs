//! Statements as written.

use flow_ir::span::Span;

use super::{Expr, Ident, ObjectName, OptionEntry, OptionValue, Query, Text, TypeExpr};

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its form.
    pub kind: StatementKind,
    /// Where, without the semicolon.
    pub span: Span,
}

/// The statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// CREATE STREAM, CREATE TABLE.
    CreateTable(Box<CreateTable>),
    /// CREATE [MATERIALIZED] VIEW.
    CreateView(Box<CreateView>),
    /// CREATE [SEARCH] INDEX.
    CreateIndex(Box<CreateIndex>),
    /// CREATE FUNCTION.
    CreateFunction(Box<CreateFunction>),
    /// CREATE TYPE.
    CreateType(Box<CreateType>),
    /// INSERT INTO.
    Insert(Box<Insert>),
    /// DELETE, UPDATE.
    Change(Box<Change>),
    /// STATEMENT SET BEGIN … END: inserts that run as one job.
    StatementSet(Vec<Insert>),
    /// A query on its own.
    Query(Box<Query>),
    /// SUBSCRIBE TO.
    Subscribe(Box<Subscribe>),
    /// EXPLAIN.
    Explain {
        /// Details asked for: `EXPLAIN CHANGELOG_MODE, …`.
        details: Vec<Ident>,
        /// A query, an insert, a CREATE or a statement set.
        statement: Box<Statement>,
    },
    /// EXPLAIN ANALYZE JOB: what a job's operators did.
    AnalyzeJob(ObjectName),
    /// STOP JOB, PAUSE JOB, RESUME JOB.
    Control {
        /// What becomes of it.
        verb: ControlVerb,
        /// The job.
        job: ObjectName,
    },
    /// SHOW.
    Show {
        /// What.
        what: ShowWhat,
        /// `LIKE 'pattern'`.
        like: Option<Text>,
    },
    /// DESCRIBE.
    Describe {
        /// Of what.
        name: ObjectName,
        /// DESCRIBE EXTENDED.
        extended: bool,
    },
    /// DESCRIBE FUNCTION.
    DescribeFunction {
        /// Its name.
        name: Ident,
        /// DESCRIBE FUNCTION EXTENDED.
        extended: bool,
    },
    /// DROP.
    Drop {
        /// Which kind.
        kind: ObjectKind,
        /// DROP TEMPORARY.
        temporary: bool,
        /// IF EXISTS.
        if_exists: bool,
        /// What.
        name: ObjectName,
    },
    /// SET; without an entry it shows the settings.
    Set(Option<OptionEntry>),
    /// RESET; without a key it resets all.
    Reset(Option<Text>),
    /// IMPORT 'file.flow'.
    Import(Text),
    /// PRINT: a topic's records as they come.
    Print {
        /// Its name.
        topic: Text,
        /// FROM BEGINNING; else only what comes from now on.
        from_beginning: bool,
        /// LIMIT.
        limit: Option<u64>,
    },
}

/// What a statement makes of a job of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlVerb {
    /// STOP, TERMINATE: it ends after its epoch.
    Stop,
    /// PAUSE: it rests after its epoch.
    Pause,
    /// RESUME: it goes on.
    Resume,
}

/// Kinds of objects that a program can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// STREAM.
    Stream,
    /// TABLE.
    Table,
    /// VIEW, MATERIALIZED VIEW.
    View,
    /// INDEX.
    Index,
    /// SEARCH INDEX.
    SearchIndex,
    /// FUNCTION.
    Function,
    /// TYPE.
    Type,
    /// JOB: what a server runs.
    Job,
}

/// What SHOW shows.
#[derive(Clone, Debug, PartialEq)]
pub enum ShowWhat {
    /// STREAMS.
    Streams,
    /// TABLES.
    Tables,
    /// VIEWS, MATERIALIZED VIEWS.
    Views,
    /// FUNCTIONS.
    Functions,
    /// INDEXES, SEARCH INDEXES; FROM v: of one view.
    Indexes(Option<ObjectName>),
    /// JOBS, QUERIES.
    Jobs,
    /// TOPICS.
    Topics,
    /// SCHEMAS.
    Schemas,
    /// SETTINGS.
    Settings,
    /// COLUMNS FROM t.
    Columns(ObjectName),
    /// CREATE TABLE t: the statement that makes it.
    Create(ObjectKind, ObjectName),
}

/// CREATE STREAM or CREATE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// STREAM or TABLE.
    pub kind: TableKind,
    /// SOURCE: it is only read.
    pub source: bool,
    /// TEMPORARY.
    pub temporary: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its name.
    pub name: ObjectName,
    /// Names alone in the parentheses: of the query's columns.
    pub columns: Vec<Ident>,
    /// What stands in the parentheses; none when there are no parentheses.
    pub elements: Option<Vec<TableElement>>,
    /// COMMENT.
    pub comment: Option<Text>,
    /// PARTITIONED BY, DISTRIBUTED BY.
    pub partitioned_by: Vec<Ident>,
    /// WITH.
    pub options: Vec<OptionEntry>,
    /// LIKE.
    pub like: Option<LikeTable>,
    /// AS query.
    pub query: Option<Query>,
}

/// STREAM or TABLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Append-only events.
    Stream,
    /// A keyed changelog.
    Table,
}

/// An entry in the parentheses of CREATE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub enum TableElement {
    /// A column.
    Column(ColumnDef),
    /// `WATERMARK FOR column AS expr`.
    Watermark(WatermarkDef),
    /// `PRIMARY KEY (a, b)`.
    PrimaryKey(KeyDef),
}

/// A column of CREATE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    /// Its name.
    pub name: Ident,
    /// Where its values come from.
    pub kind: ColumnKind,
    /// `PRIMARY KEY` behind the column.
    pub primary_key: Option<Span>,
    /// `KEY` behind the column: it is part of the record's key.
    pub record_key: Option<Span>,
    /// COMMENT.
    pub comment: Option<Text>,
    /// Where.
    pub span: Span,
}

/// Where a column's values come from.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnKind {
    /// From the record.
    Physical(TypeExpr),
    /// From an expression over other columns.
    Computed(Expr),
    /// From the connector.
    Metadata {
        /// Its type.
        ty: TypeExpr,
        /// FROM 'name'; the column's own name when left out.
        from: Option<Text>,
        /// VIRTUAL: never written.
        is_virtual: bool,
    },
    /// `HEADERS`, `HEADER('key')`: of the record's headers.
    Headers {
        /// Its type.
        ty: TypeExpr,
        /// The key of the header; all headers when left out.
        key: Option<Text>,
    },
}

/// WATERMARK FOR.
#[derive(Clone, Debug, PartialEq)]
pub struct WatermarkDef {
    /// The event-time column.
    pub column: ObjectName,
    /// The watermark; the column itself when left out.
    pub expr: Option<Expr>,
    /// Where.
    pub span: Span,
}

/// PRIMARY KEY as an entry of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyDef {
    /// `CONSTRAINT name`.
    pub name: Option<Ident>,
    /// The columns; never empty.
    pub columns: Vec<Ident>,
    /// Where.
    pub span: Span,
}

/// `LIKE table (INCLUDING ALL …)`.
#[derive(Clone, Debug, PartialEq)]
pub struct LikeTable {
    /// The table to be like.
    pub name: ObjectName,
    /// What is taken over: `INCLUDING OPTIONS` as (INCLUDING, OPTIONS).
    pub options: Vec<(LikeBehaviour, Ident)>,
    /// Where.
    pub span: Span,
}

/// What LIKE does with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LikeBehaviour {
    /// INCLUDING.
    Including,
    /// EXCLUDING.
    Excluding,
    /// OVERWRITING.
    Overwriting,
}

/// CREATE VIEW.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    /// MATERIALIZED.
    pub materialized: bool,
    /// TEMPORARY.
    pub temporary: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its name.
    pub name: ObjectName,
    /// Names for its columns; empty when left out.
    pub columns: Vec<Ident>,
    /// COMMENT.
    pub comment: Option<Text>,
    /// WITH.
    pub options: Vec<OptionEntry>,
    /// AS.
    pub query: Query,
}

/// CREATE [SEARCH] INDEX.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateIndex {
    /// SEARCH: over the words of text.
    pub search: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its name.
    pub name: ObjectName,
    /// ON view.
    pub on: ObjectName,
    /// The columns; never empty.
    pub columns: Vec<Ident>,
    /// WITH.
    pub options: Vec<OptionEntry>,
}

/// CREATE FUNCTION.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFunction {
    /// TEMPORARY.
    pub temporary: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its name.
    pub name: ObjectName,
    /// Its parameters; none when there are no parentheses.
    pub params: Option<Vec<FunctionParam>>,
    /// RETURNS.
    pub returns: Option<TypeExpr>,
    /// AS: an expression over the parameters; a string for a class elsewhere.
    pub body: Expr,
    /// LANGUAGE.
    pub language: Option<Ident>,
}

/// CREATE TYPE: a name for a type.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateType {
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its name.
    pub name: ObjectName,
    /// The type.
    pub ty: TypeExpr,
}

/// What SUBSCRIBE TO follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Subscribe {
    /// A view, stream or table.
    Name(ObjectName),
    /// A query.
    Query(Box<Query>),
}

/// A parameter of CREATE FUNCTION.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionParam {
    /// Its name.
    pub name: Ident,
    /// Its type; any when left out.
    pub ty: Option<TypeExpr>,
}

/// INSERT INTO.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// INSERT OVERWRITE.
    pub overwrite: bool,
    /// The target.
    pub table: ObjectName,
    /// PARTITION (key = value, …).
    pub partition: Vec<(Ident, OptionValue)>,
    /// The columns named; empty when left out.
    pub columns: Vec<Ident>,
    /// What is inserted.
    pub query: Query,
    /// ON CONFLICT DO, and where.
    pub on_conflict: Option<(OnConflict, Span)>,
    /// Where.
    pub span: Span,
}

/// DELETE FROM, or UPDATE, of a table that is what the program inserts into it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The table.
    pub table: ObjectName,
    /// What UPDATE sets; none of DELETE.
    pub set: Option<Vec<(Ident, Expr)>>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// Where.
    pub span: Span,
}

/// What is done with rows of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// DEDUPLICATE: the last one stays.
    Deduplicate,
    /// NOTHING: the first one stays.
    Nothing,
    /// ERROR.
    Error,
}

impl OnConflict {
    /// As it is written behind DO.
    pub fn word(self) -> &'static str {
        match self {
            OnConflict::Deduplicate => "DEDUPLICATE",
            OnConflict::Nothing => "NOTHING",
            OnConflict::Error => "ERROR",
        }
    }
}
