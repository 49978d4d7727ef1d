//! Expressions as written.

use flow_ir::span::Span;

use super::{
    BinaryOp, Ident, IntervalUnits, ObjectName, OrderItem, Query, Text, TypeExpr, UnaryOp,
    WindowSpec,
};

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Its form.
    pub kind: ExprKind,
    /// Where, without enclosing parentheses.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A literal.
    Literal(Literal),
    /// A dotted name: a column, a column's field, a table's column.
    Name(ObjectName),
    /// `-x`, `+x`.
    Unary {
        /// The sign.
        op: UnaryOp,
        /// The operand.
        arg: Box<Expr>,
    },
    /// Arithmetic, `||` and comparison.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `a AND b AND c`: two or more operands.
    And(Vec<Expr>),
    /// `a OR b OR c`: two or more operands.
    Or(Vec<Expr>),
    /// `NOT x`.
    Not(Box<Expr>),
    /// `x IS [NOT] NULL | TRUE | FALSE | UNKNOWN`.
    Is {
        /// The operand.
        arg: Box<Expr>,
        /// What it is held against.
        test: IsTest,
        /// IS NOT.
        negated: bool,
    },
    /// `a IS [NOT] DISTINCT FROM b`; `negated` is IS NOT DISTINCT FROM.
    IsDistinctFrom {
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
        /// IS NOT DISTINCT FROM.
        negated: bool,
    },
    /// `x [NOT] BETWEEN [SYMMETRIC] low AND high`.
    Between {
        /// The operand.
        arg: Box<Expr>,
        /// Lower bound, included.
        low: Box<Expr>,
        /// Upper bound, included.
        high: Box<Expr>,
        /// SYMMETRIC: the bounds may stand in either order.
        symmetric: bool,
        /// NOT BETWEEN.
        negated: bool,
    },
    /// `x [NOT] IN (a, b)`.
    InList {
        /// The operand.
        arg: Box<Expr>,
        /// The list; never empty.
        list: Vec<Expr>,
        /// NOT IN.
        negated: bool,
    },
    /// `x [NOT] IN (SELECT …)`.
    InQuery {
        /// The operand.
        arg: Box<Expr>,
        /// The subquery.
        query: Box<Query>,
        /// NOT IN.
        negated: bool,
    },
    /// `x [NOT] LIKE pattern [ESCAPE e]` and its kin.
    Like {
        /// Which of them.
        kind: LikeKind,
        /// The operand.
        arg: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// ESCAPE.
        escape: Option<Box<Expr>>,
        /// NOT LIKE.
        negated: bool,
    },
    /// `x = ANY (SELECT …)`, `x > ALL (…)`.
    Quantified {
        /// Left operand.
        arg: Box<Expr>,
        /// The comparison.
        op: BinaryOp,
        /// ANY (or SOME), or ALL.
        quantifier: Quantifier,
        /// The subquery, or an array (Postgres), or a list as `ExprKind::Row`.
        set: Box<Expr>,
    },
    /// `EXISTS (SELECT …)`.
    Exists(Box<Query>),
    /// `(SELECT …)` as a value.
    Subquery(Box<Query>),
    /// Both forms of CASE.
    Case {
        /// `CASE operand WHEN …`; none in a searched CASE.
        operand: Option<Box<Expr>>,
        /// (WHEN, THEN) pairs; never empty.
        branches: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// `CAST(x AS T)`, `TRY_CAST(x AS T)`, `x::T`.
    Cast {
        /// What is converted.
        arg: Box<Expr>,
        /// To what.
        ty: TypeExpr,
        /// TRY_CAST.
        lenient: bool,
        /// `x::T`.
        colons: bool,
    },
    /// `x AT TIME ZONE zone`.
    AtTimeZone {
        /// The timestamp.
        arg: Box<Expr>,
        /// The zone's name.
        zone: Box<Expr>,
    },
    /// `x[i]`.
    Index {
        /// The array or map.
        arg: Box<Expr>,
        /// Position from 1, or key.
        index: Box<Expr>,
    },
    /// `x[from:to]`: what lies between two positions, both included.
    Slice {
        /// The array.
        arg: Box<Expr>,
        /// The first position; the start when left out.
        from: Option<Box<Expr>>,
        /// The last position; the end when left out.
        to: Option<Box<Expr>>,
    },
    /// `(x).field`, `f(x).field`; a dotted name is `Name`.
    Field {
        /// The row.
        arg: Box<Expr>,
        /// The field.
        name: Ident,
    },
    /// `ARRAY[a, b]`.
    Array(Vec<Expr>),
    /// `MAP[k, v, …]`.
    Map(Vec<(Expr, Expr)>),
    /// `ROW(a, b)`, `(a, b)`.
    Row(Vec<Expr>),
    /// `TRIM([BOTH | LEADING | TRAILING] [what] FROM arg)`. `TRIM(x)` is a plain call.
    Trim {
        /// Which end.
        side: TrimSide,
        /// The characters to remove; blanks when left out.
        what: Option<Box<Expr>>,
        /// The text.
        arg: Box<Expr>,
    },
    /// A call of a function or an aggregate. CURRENT_TIMESTAMP and its kin, which take no
    /// parentheses, are calls without arguments.
    Call(Box<Call>),
}

/// A call. The forms with words between arguments are put in order:
/// `EXTRACT(u FROM x)` is EXTRACT(u, x), `SUBSTRING(x FROM a FOR b)` is SUBSTRING(x, a, b),
/// `OVERLAY(x PLACING y FROM a FOR b)` is OVERLAY(x, y, a, b), `POSITION(a IN b)` is
/// POSITION(a, b), `CEIL(x TO u)` and `FLOOR(x TO u)` are CEIL(x, u) and FLOOR(x, u).
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function's name.
    pub name: ObjectName,
    /// `f(DISTINCT …)`.
    pub distinct: bool,
    /// The arguments.
    pub args: Vec<Arg>,
    /// `f(… ORDER BY …)`.
    pub order_by: Vec<OrderItem>,
    /// `WITHIN GROUP (ORDER BY …)`.
    pub within_group: Vec<OrderItem>,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Expr>,
    /// `IGNORE NULLS`, `RESPECT NULLS`.
    pub nulls: Option<NullTreatment>,
    /// `OVER …`.
    pub over: Option<Over>,
    /// What the SQL standard's JSON functions take behind their arguments.
    pub json: JsonClauses,
}

/// RETURNING, wrappers, ON EMPTY, ON ERROR, ON NULL.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonClauses {
    /// RETURNING.
    pub returning: Option<TypeExpr>,
    /// WITH or WITHOUT WRAPPER.
    pub wrapper: Option<JsonWrapper>,
    /// … ON EMPTY.
    pub on_empty: Option<JsonOn>,
    /// … ON ERROR.
    pub on_error: Option<JsonOn>,
    /// NULL ON NULL; `false` is ABSENT ON NULL.
    pub nulls: Option<bool>,
}

/// Whether JSON_QUERY puts what it finds into an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonWrapper {
    /// WITHOUT WRAPPER.
    Without,
    /// WITH CONDITIONAL WRAPPER: unless it is one object or array.
    Conditional,
    /// WITH [UNCONDITIONAL] WRAPPER.
    Unconditional,
}

/// What comes in place of what is not there, or wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonOn {
    /// NULL.
    Null,
    /// ERROR.
    Error,
    /// TRUE.
    True,
    /// FALSE.
    False,
    /// UNKNOWN.
    Unknown,
    /// EMPTY ARRAY.
    EmptyArray,
    /// EMPTY OBJECT.
    EmptyObject,
    /// DEFAULT.
    Default(Expr),
}

/// An argument of a function or a table function.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// `name => value`.
    pub name: Option<Ident>,
    /// The value.
    pub value: ArgValue,
    /// The whole argument.
    pub span: Span,
}

/// What may stand as an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum ArgValue {
    /// An expression. A bare name may turn out to be a table.
    Expr(Expr),
    /// `*`.
    Wildcard,
    /// A unit of time, in the calls that take one in this place: EXTRACT, TIMESTAMPADD,
    /// TIMESTAMPDIFF, CEIL, FLOOR.
    Unit(TimeUnit),
    /// `x -> body`, `(a, b) -> body`.
    Lambda {
        /// The parameters; never empty.
        params: Vec<Ident>,
        /// The body.
        body: Expr,
    },
    /// `TABLE t [PARTITION BY …] [ORDER BY …]`, `TABLE (SELECT …)`, and `t PARTITION BY …`.
    Table(TableArg),
    /// `DESCRIPTOR(a, b)`.
    Descriptor(Vec<Ident>),
}

/// A table as an argument.
#[derive(Clone, Debug, PartialEq)]
pub struct TableArg {
    /// The table.
    pub source: TableArgSource,
    /// PARTITION BY.
    pub partition_by: Vec<Expr>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
}

/// Which table an argument is.
#[derive(Clone, Debug, PartialEq)]
pub enum TableArgSource {
    /// A named table or view.
    Named(ObjectName),
    /// A subquery.
    Query(Box<Query>),
}

/// OVER: a named window, or one written in place.
#[derive(Clone, Debug, PartialEq)]
pub enum Over {
    /// `OVER w`.
    Named(Ident),
    /// `OVER (…)`.
    Spec(Box<WindowSpec>),
}

/// Literals.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// NULL.
    Null,
    /// TRUE, FALSE.
    Boolean(bool),
    /// A number, its text as written.
    Number {
        /// Digits, point and exponent as written.
        text: String,
        /// Which kind of number.
        kind: NumberKind,
    },
    /// `'text'`.
    String(String),
    /// `X'ab01'`.
    Bytes(Vec<u8>),
    /// `DATE '2026-01-31'` and its kin; the text is not read here.
    Typed {
        /// The type in front.
        kind: TypedKind,
        /// The text.
        value: Text,
    },
    /// `INTERVAL '1' DAY`, `INTERVAL '1 02:03:04.5' DAY TO SECOND`, `INTERVAL 15 MINUTE`,
    /// `INTERVAL '15 minutes'`; the text is not read here.
    Interval {
        /// A minus before the text.
        negative: bool,
        /// The text, or the bare number's digits.
        value: Text,
        /// The units after it; none in Postgres' form.
        units: Option<IntervalUnits>,
    },
}

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberKind {
    /// Digits only.
    Integer,
    /// With a point: an exact decimal.
    Decimal,
    /// With an exponent: a DOUBLE.
    Float,
}

/// Types that can stand before a string literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypedKind {
    /// DATE.
    Date,
    /// TIME.
    Time,
    /// TIMESTAMP.
    Timestamp,
    /// TIMESTAMP_LTZ, TIMESTAMPTZ, TIMESTAMP WITH [LOCAL] TIME ZONE.
    TimestampLtz,
    /// UUID.
    Uuid,
    /// JSON.
    Json,
}

/// What IS asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsTest {
    /// IS NULL.
    Null,
    /// IS TRUE.
    True,
    /// IS FALSE.
    False,
    /// IS UNKNOWN.
    Unknown,
    /// IS JSON [VALUE].
    Json,
    /// IS JSON OBJECT.
    JsonObject,
    /// IS JSON ARRAY.
    JsonArray,
    /// IS JSON SCALAR.
    JsonScalar,
}

/// LIKE and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LikeKind {
    /// LIKE.
    Like,
    /// ILIKE: blind to case.
    ILike,
    /// SIMILAR TO.
    SimilarTo,
}

/// Quantifiers of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// ANY, SOME.
    Any,
    /// ALL.
    All,
}

/// Which end TRIM trims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimSide {
    /// BOTH, or nothing said.
    Both,
    /// LEADING.
    Leading,
    /// TRAILING.
    Trailing,
}

/// What a window function does with NULLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullTreatment {
    /// IGNORE NULLS.
    Ignore,
    /// RESPECT NULLS.
    Respect,
}

/// Units of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeUnit {
    /// 1,000 years.
    Millennium,
    /// 100 years.
    Century,
    /// 10 years.
    Decade,
    /// A year.
    Year,
    /// A quarter of a year.
    Quarter,
    /// A month.
    Month,
    /// A week.
    Week,
    /// A day.
    Day,
    /// An hour.
    Hour,
    /// A minute.
    Minute,
    /// A second.
    Second,
    /// A thousandth of a second.
    Millisecond,
    /// A millionth of a second.
    Microsecond,
    /// A billionth of a second.
    Nanosecond,
    /// Seconds since 1970 (EXTRACT only).
    Epoch,
    /// Day of the week, Sunday 0 (EXTRACT only).
    DayOfWeek,
    /// Day of the week, Monday 1 (EXTRACT only).
    IsoDayOfWeek,
    /// Day of the year (EXTRACT only).
    DayOfYear,
    /// Year of the ISO week (EXTRACT only).
    IsoYear,
}

impl TimeUnit {
    /// Its word, by which EXTRACT and its kin know it, too.
    pub fn word(self) -> &'static str {
        match self {
            TimeUnit::Millennium => "MILLENNIUM",
            TimeUnit::Century => "CENTURY",
            TimeUnit::Decade => "DECADE",
            TimeUnit::Year => "YEAR",
            TimeUnit::Quarter => "QUARTER",
            TimeUnit::Month => "MONTH",
            TimeUnit::Week => "WEEK",
            TimeUnit::Day => "DAY",
            TimeUnit::Hour => "HOUR",
            TimeUnit::Minute => "MINUTE",
            TimeUnit::Second => "SECOND",
            TimeUnit::Millisecond => "MILLISECOND",
            TimeUnit::Microsecond => "MICROSECOND",
            TimeUnit::Nanosecond => "NANOSECOND",
            TimeUnit::Epoch => "EPOCH",
            TimeUnit::DayOfWeek => "DOW",
            TimeUnit::IsoDayOfWeek => "ISODOW",
            TimeUnit::DayOfYear => "DOY",
            TimeUnit::IsoYear => "ISOYEAR",
        }
    }
}
