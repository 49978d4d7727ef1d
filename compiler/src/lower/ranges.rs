//! Key access: where the rows of a view that filters can keep lie in one of its orders, so that a
//! lookup reads a few rows and not the view. Of a filter's conjuncts those count that compare a
//! column with constants, by `=`, IN, `<`, `<=`, `>`, `>=` and BETWEEN, ask whether it is NULL, or
//! say how a text begins, by LIKE and STARTS_WITH; the filter itself stays.
//!
//! What always holds of the ranges: every row that some reader's filter finds TRUE is in one of
//! them, and no row in two; they are of one order, ascending; none is empty by its own bounds.
//! Without ranges all rows are read.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use flow_ir::decode_plan::Origin;
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::LogicalOp;
use flow_ir::physical::KeyRange;
use flow_ir::row::KeyEncoder;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Lowering;

/// Ranges of one scan at most.
const RANGES_MAX: usize = 1_000;

impl Lowering<'_> {
    /// What of a scan its readers can want; empty: all.
    pub(super) fn ranges(&self, id: NodeId) -> Vec<KeyRange> {
        let LogicalOp::Scan(scan) = &self.plan.node(id).op else { return Vec::new() };
        let relation = &self.module.relations[scan.stream.index()];
        if relation.orders.is_empty() {
            return Vec::new();
        }
        let mut predicates = Vec::new();
        for reader in self.plan.order() {
            let reader = self.plan.node(reader);
            if reader.inputs.contains(&id) {
                let LogicalOp::Filter(filter) = &reader.op else { return Vec::new() };
                predicates.push(&filter.predicate);
            }
        }
        let place = |column: usize| {
            let whole = Origin::Value(vec![relation.columns[column].name.clone()]);
            scan.columns.iter().position(|c| c.origin == whole)
        };
        let orders = relation.orders.iter().map(|order| Order {
            index: order.index.clone(),
            columns: order.columns.iter().map_while(|&column| place(column)).collect(),
        });
        let types: Vec<Type> = scan.columns.iter().map(|c| c.ty.clone()).collect();
        ranges(&predicates, &orders.collect::<Vec<_>>(), &types)
    }
}

/// An order of a view's rows: its first columns, as far as they are read.
struct Order {
    index: Option<String>,
    columns: Vec<usize>,
}

/// The ranges of the order that serves all readers best: by most columns that are equal to
/// something, then by a bound on the next, then the first.
fn ranges(predicates: &[&Expr], orders: &[Order], types: &[Type]) -> Vec<KeyRange> {
    let known: Vec<Known> = predicates.iter().map(|e| Known::of(e, types)).collect();
    let mut best: Option<(&Order, Access)> = None;
    for order in orders {
        let accesses = known.iter().map(|known| Access::by(known, order));
        let Some(access) = accesses.reduce(Access::or).filter(Access::saves) else { continue };
        if best.as_ref().is_none_or(|(_, best)| access.rank() > best.rank()) {
            best = Some((order, access));
        }
    }
    best.map_or_else(Vec::new, |(order, access)| access.into_ranges(order))
}

/// A constant of a column's type; it is and compares as its key bytes.
#[derive(Clone, Debug)]
struct Point {
    bytes: Vec<u8>,
    value: Value,
}

impl Point {
    /// A value of a column's type, or NULL; `None` where comparisons do not go as key bytes do.
    fn of(value: &Value, ty: &Type) -> Option<Self> {
        // NULL and others are told apart, whether the column allows NULL or not.
        let ty = ty.with_nullable(true);
        let bytes = is_ordered(&ty.data).then(|| KeyEncoder::value_bytes(value, &ty))?;
        Some(Self { bytes, value: value.clone() })
    }
}

impl Ord for Point {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl PartialOrd for Point {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Point {}

/// What a condition says of a column wherever it is TRUE.
#[derive(Clone, Debug)]
enum Limit {
    Equal(BTreeSet<Point>),
    From(Bound<Point>),
    To(Bound<Point>),
    Within(Bound<Point>, Bound<Point>),
}

/// Values that a column can have.
#[derive(Clone, Debug)]
struct Values {
    equal: Option<BTreeSet<Point>>,
    from: Bound<Point>,
    to: Bound<Point>,
}

impl Values {
    const ANY: Values = Values { equal: None, from: Bound::Unbounded, to: Bound::Unbounded };

    /// Both hold. Where that cannot be, one of them may stay: more rows are read than needed.
    fn limit(&mut self, limit: Limit) {
        match limit {
            Limit::Equal(points) => {
                let both: Option<BTreeSet<Point>> =
                    self.equal.as_ref().map(|known| known & &points);
                match both {
                    None => self.equal = Some(points),
                    Some(both) if !both.is_empty() => self.equal = Some(both),
                    Some(_) => {}
                }
            }
            Limit::From(from) => {
                if from_order(&from, &self.from).is_gt() {
                    self.from = from;
                }
            }
            Limit::To(to) => {
                if to_order(&to, &self.to).is_lt() {
                    self.to = to;
                }
            }
            Limit::Within(from, to) => {
                self.limit(Limit::From(from));
                self.limit(Limit::To(to));
            }
        }
    }
}

/// Which of two beginnings leaves out more: that one is greater.
fn from_order(a: &Bound<Point>, b: &Bound<Point>) -> Ordering {
    match (a, b) {
        (Bound::Unbounded, Bound::Unbounded) => Ordering::Equal,
        (Bound::Unbounded, _) => Ordering::Less,
        (_, Bound::Unbounded) => Ordering::Greater,
        (Bound::Included(a), Bound::Excluded(b)) => a.cmp(b).then(Ordering::Less),
        (Bound::Excluded(a), Bound::Included(b)) => a.cmp(b).then(Ordering::Greater),
        (Bound::Included(a), Bound::Included(b)) | (Bound::Excluded(a), Bound::Excluded(b)) => {
            a.cmp(b)
        }
    }
}

/// Which of two ends leaves out more: that one is less.
fn to_order(a: &Bound<Point>, b: &Bound<Point>) -> Ordering {
    match (a, b) {
        (Bound::Unbounded, Bound::Unbounded) => Ordering::Equal,
        (Bound::Unbounded, _) => Ordering::Greater,
        (_, Bound::Unbounded) => Ordering::Less,
        (Bound::Included(a), Bound::Excluded(b)) => a.cmp(b).then(Ordering::Greater),
        (Bound::Excluded(a), Bound::Included(b)) => a.cmp(b).then(Ordering::Less),
        (Bound::Included(a), Bound::Included(b)) | (Bound::Excluded(a), Bound::Excluded(b)) => {
            a.cmp(b)
        }
    }
}

/// Whether no value lies between.
fn crossed(from: &Bound<Point>, to: &Bound<Point>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
    }
}

/// Values of columns where a condition is TRUE.
struct Known(BTreeMap<usize, Values>);

impl Known {
    fn of(condition: &Expr, types: &[Type]) -> Self {
        let mut known = Self(BTreeMap::new());
        known.add(condition, types);
        known
    }

    fn add(&mut self, condition: &Expr, types: &[Type]) {
        if let ExprKind::And(args) = &condition.kind {
            args.iter().for_each(|arg| self.add(arg, types));
        } else if let Some((column, limit)) = limit(condition, types) {
            self.0.entry(column).or_insert(Values::ANY).limit(limit);
        }
    }
}

/// What a condition that is no AND says of one column.
fn limit(condition: &Expr, types: &[Type]) -> Option<(usize, Limit)> {
    match &condition.kind {
        ExprKind::Or(args) => any_of(args, types),
        ExprKind::IsNull(arg) => {
            let ExprKind::Column(column) = arg.kind else { return None };
            types[column].nullable.then_some(())?;
            let null = Point::of(&Value::Null, &types[column])?;
            Some((column, Limit::Equal(BTreeSet::from([null]))))
        }
        ExprKind::Call { function, args, .. }
            if matches!(function.as_str(), "LIKE" | "STARTS_WITH") =>
        {
            beginning(function == "LIKE", args, types)
        }
        ExprKind::Call { function, args, .. } => {
            let [a, b] = args.as_slice() else { return None };
            let (function, column, point) = match (point(a, b, types), point(b, a, types)) {
                (Some((column, point)), _) => (function.as_str(), column, point),
                (None, Some((column, point))) => (mirrored(function), column, point),
                (None, None) => return None,
            };
            let limit = match function {
                "=" | "IS NOT DISTINCT FROM" => Limit::Equal(BTreeSet::from([point])),
                ">" => Limit::From(Bound::Excluded(point)),
                ">=" => Limit::From(Bound::Included(point)),
                "<" => Limit::To(Bound::Excluded(point)),
                "<=" => Limit::To(Bound::Included(point)),
                _ => return None,
            };
            Some((column, limit))
        }
        ExprKind::Column(_)
        | ExprKind::Literal(_)
        | ExprKind::Cast { .. }
        | ExprKind::Case { .. }
        | ExprKind::And(_)
        | ExprKind::Not(_)
        | ExprKind::Field { .. }
        | ExprKind::Row(_)
        | ExprKind::Array(_)
        | ExprKind::Param(_)
        | ExprKind::Each { .. }
        | ExprKind::Clock => None,
    }
}

/// What a condition on the beginning of a text column says of it.
fn beginning(is_like: bool, args: &[Expr], types: &[Type]) -> Option<(usize, Limit)> {
    let (of, rest) = args.split_first()?;
    let ExprKind::Column(column) = of.kind else { return None };
    let text = |e: &Expr| match &e.kind {
        ExprKind::Literal(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (start, whole) = match rest {
        [start] if !is_like => (text(start)?, false),
        [pattern] => fixed_start(&text(pattern)?, None)?,
        [pattern, escape] => fixed_start(&text(pattern)?, Some(&text(escape)?))?,
        _ => return None,
    };
    let point = |text: String| Point::of(&Value::String(text), &types[column]);
    if whole {
        return Some((column, Limit::Equal(BTreeSet::from([point(start)?]))));
    }
    let after = match text_after(&start) {
        Some(after) => Bound::Excluded(point(after)?),
        None => Bound::Unbounded,
    };
    (!start.is_empty()).then_some(())?;
    Some((column, Limit::Within(Bound::Included(point(start)?), after)))
}

/// How every text of a LIKE pattern's form begins, and whether that is all of it; `None` if the
/// pattern is none.
fn fixed_start(pattern: &str, escape: Option<&str>) -> Option<(String, bool)> {
    let mut start = String::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if escape.is_some_and(|escape| escape.chars().eq([c])) {
            start.push(rest.next()?);
        } else if matches!(c, '%' | '_') {
            return Some((start, false));
        } else {
            start.push(c);
        }
    }
    Some((start, true))
}

/// The least text after all those that begin so; `None` if there is none.
fn text_after(start: &str) -> Option<String> {
    let mut after = start.to_string();
    while let Some(last) = after.pop() {
        // Behind the last character before the surrogates stands the first after them.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            after.push(next);
            return Some(after);
        }
    }
    None
}

pub(super) fn mirrored(function: &str) -> &str {
    match function {
        ">" => "<",
        ">=" => "<=",
        "<" => ">",
        "<=" => ">=",
        other => other,
    }
}

/// `x = 1 OR x = 2`, as IN is: equalities of one column. An operand that is never TRUE adds none.
fn any_of(args: &[Expr], types: &[Type]) -> Option<(usize, Limit)> {
    let mut all: Option<(usize, BTreeSet<Point>)> = None;
    for arg in args.iter().filter(|arg| !never(arg)) {
        let (column, Limit::Equal(points)) = limit(arg, types)? else { return None };
        match &mut all {
            None => all = Some((column, points)),
            Some((first, _)) if *first != column => return None,
            Some((_, all)) => all.extend(points),
        }
    }
    all.map(|(column, points)| (column, Limit::Equal(points)))
}

/// NULL, FALSE, or a comparison with NULL.
fn never(condition: &Expr) -> bool {
    let is_null = |e: &Expr| matches!(e.kind, ExprKind::Literal(Value::Null));
    match &condition.kind {
        ExprKind::Literal(Value::Null | Value::Boolean(false)) => true,
        ExprKind::Call { function, args, .. } => function == "=" && args.iter().any(is_null),
        ExprKind::Column(_)
        | ExprKind::Literal(_)
        | ExprKind::Cast { .. }
        | ExprKind::Case { .. }
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Not(_)
        | ExprKind::IsNull(_)
        | ExprKind::Field { .. }
        | ExprKind::Row(_)
        | ExprKind::Array(_)
        | ExprKind::Param(_)
        | ExprKind::Each { .. }
        | ExprKind::Clock => false,
    }
}

/// The column that one side of a comparison is, and the constant on its other side as a value of
/// the column's type.
fn point(side: &Expr, other: &Expr, types: &[Type]) -> Option<(usize, Point)> {
    let ExprKind::Literal(value) = &other.kind else { return None };
    if value.is_null() || other.ty.data != side.ty.data {
        return None;
    }
    let inner = if let ExprKind::Cast { arg, lenient: false } = &side.kind { arg } else { side };
    let ExprKind::Column(column) = inner.kind else { return None };
    let data = &types[column].data;
    if *data != side.ty.data && !is_same(value, data, &side.ty.data) {
        return None;
    }
    Some((column, Point::of(value, &types[column])?))
}

/// Whether a value of a wider type is a value of the column's type, too, and every value of the
/// column is itself as one of the wider type.
pub(super) fn is_same(value: &Value, column: &DataType, wider: &DataType) -> bool {
    match (value, column, wider) {
        (Value::Int(value), column, wider) => {
            let (Some(bits), Some(wide)) = (column.integer_bits(), wider.integer_bits()) else {
                return false;
            };
            let sign = value >> (bits - 1);
            bits <= wide && (sign == 0 || sign == -1)
        }
        (
            Value::Decimal(value),
            DataType::Decimal { precision, scale },
            DataType::Decimal { precision: wide, scale: same },
        ) => {
            let fits = value.unsigned_abs() < 10_u128.pow(u32::from(*precision));
            precision <= wide && scale == same && fits
        }
        (
            Value::Timestamp(_),
            DataType::Timestamp { precision },
            DataType::Timestamp { precision: wide },
        )
        | (
            Value::TimestampLtz(_),
            DataType::TimestampLtz { precision },
            DataType::TimestampLtz { precision: wide },
        )
        | (Value::Time(_), DataType::Time { precision }, DataType::Time { precision: wide }) => {
            precision <= wide
        }
        _ => false,
    }
}

/// Whether comparisons of the type go as its key bytes do.
fn is_ordered(data: &DataType) -> bool {
    match data {
        DataType::Boolean
        | DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Real
        | DataType::Double
        | DataType::Decimal { .. }
        | DataType::String
        | DataType::Bytes
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Uuid => true,
        DataType::Null
        | DataType::Interval
        | DataType::Json
        | DataType::Array(_)
        | DataType::Map(..)
        | DataType::Row(_) => false,
    }
}

/// A part of an order: the rows that begin with one of some prefixes, all of one length, and whose
/// next column is within bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Access {
    length: usize,
    prefixes: BTreeSet<Vec<Point>>,
    from: Bound<Point>,
    to: Bound<Point>,
}

impl Access {
    fn by(known: &Known, order: &Order) -> Self {
        let mut prefixes = BTreeSet::from([Vec::new()]);
        let mut length = 0;
        for column in &order.columns {
            let Some(Values { equal: Some(points), .. }) = known.0.get(column) else { break };
            if prefixes.len() * points.len() > RANGES_MAX {
                break;
            }
            let longer = prefixes.iter().flat_map(|prefix| {
                points.iter().map(|point| [prefix.as_slice(), std::slice::from_ref(point)].concat())
            });
            prefixes = longer.collect();
            length += 1;
        }
        let next = order.columns.get(length).and_then(|column| known.0.get(column));
        let Values { from, mut to, .. } = next.cloned().unwrap_or(Values::ANY);
        if crossed(&from, &to) {
            to = Bound::Unbounded;
        }
        Self { length, prefixes, from, to }
    }

    /// The rows of both, or more: the prefixes of the shorter length, without bounds.
    fn or(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let length = self.length.min(other.length);
        let short = |prefix: Vec<Point>| prefix.into_iter().take(length).collect();
        let prefixes: BTreeSet<Vec<Point>> =
            self.prefixes.into_iter().chain(other.prefixes).map(short).collect();
        let none = prefixes.len() > RANGES_MAX;
        let (length, prefixes) =
            if none { (0, BTreeSet::from([Vec::new()])) } else { (length, prefixes) };
        Self { length, prefixes, from: Bound::Unbounded, to: Bound::Unbounded }
    }

    fn is_bounded(&self) -> bool {
        (&self.from, &self.to) != (&Bound::Unbounded, &Bound::Unbounded)
    }

    /// Whether it is less than everything.
    fn saves(&self) -> bool {
        self.length > 0 || self.is_bounded()
    }

    fn rank(&self) -> (usize, bool) {
        (self.length, self.is_bounded())
    }

    fn into_ranges(self, order: &Order) -> Vec<KeyRange> {
        let value = |bound: &Bound<Point>| bound.as_ref().map(|point| point.value.clone());
        let range = |prefix: &Vec<Point>| KeyRange {
            index: order.index.clone(),
            equal: prefix.iter().map(|point| point.value.clone()).collect(),
            from: value(&self.from),
            to: value(&self.to),
        };
        self.prefixes.iter().map(range).collect()
    }
}

#[cfg(test)]
mod tests;
