//! Scalar expressions: names to columns and fields, operators to builtins, everything typed.
//! Calls are in `call`.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};

use super::Checker;
use super::aggregate::{AggregateExpr, GroupWindow, alike};
use super::alias::alias;
use super::over::OverExpr;
use super::scope::{Found, Scope, find};
use super::star::whole_row;
use super::window_rows::{bounds_of, column_or_window};
use crate::diagnostics::{names, types};
use crate::syntax::ast::{
    self, BinaryOp, Ident, IsTest, LikeKind, NamedWindow, ObjectName, TrimSide, UnaryOp,
};

/// Where an expression stands.
pub(super) struct ExprCx<'s> {
    /// What names mean.
    pub scope: &'s Scope,
    /// The clause, for messages.
    pub place: &'static str,
    /// Where aggregates are collected; none where they are not allowed. An aggregate becomes a
    /// column behind those of the input.
    pub aggregates: Option<&'s mut Vec<AggregateExpr>>,
    /// Where those are collected that stand inside an aggregate; none but under OVER.
    pub inner_aggregates: Option<&'s mut Vec<AggregateExpr>>,
    /// Where calls of OVER are collected; none where they are not allowed. A call becomes a column
    /// from `FIRST_OVER` on.
    pub overs: Option<&'s mut Vec<OverExpr>>,
    /// WINDOW.
    pub windows: &'s [NamedWindow],
    /// The window of the older `GROUP BY TUMBLE(…)`.
    pub group_window: Option<&'s GroupWindow>,
    /// Names of SELECT's items, which count where no column has the name.
    pub aliases: &'s [(&'s Ident, &'s ast::Expr)],
    /// Whether subqueries are allowed.
    pub subqueries: bool,
    /// What the subquery that was looked at last reads of the scope.
    pub used: Vec<usize>,
    /// Keys that some grouping set lacks: they may be NULL.
    pub null_keys: &'s [Expr],
}

impl<'s> ExprCx<'s> {
    /// An expression over single rows of a scope.
    pub(super) fn rows(scope: &'s Scope, place: &'static str) -> Self {
        Self {
            scope,
            place,
            aggregates: None,
            inner_aggregates: None,
            overs: None,
            windows: &[],
            group_window: None,
            aliases: &[],
            subqueries: false,
            used: Vec::new(),
            null_keys: &[],
        }
    }

    /// The same with subqueries, whose values are put in by `Checker::settle`.
    pub(super) fn with_subqueries(scope: &'s Scope, place: &'static str) -> Self {
        Self { subqueries: true, ..Self::rows(scope, place) }
    }
}

impl Checker<'_> {
    /// Types an expression.
    pub(super) fn expr(&mut self, e: &ast::Expr, cx: &mut ExprCx<'_>) -> Option<Expr> {
        self.note_scope(e.span, cx.scope, cx.aliases);
        let mut typed = self.form(e, cx)?;
        typed.ty.nullable |= cx.null_keys.iter().any(|key| alike(key, &typed));
        self.note_type(e.span, &typed.ty);
        Some(typed)
    }

    fn form(&mut self, e: &ast::Expr, cx: &mut ExprCx<'_>) -> Option<Expr> {
        use ast::ExprKind as K;
        let span = e.span;
        match &e.kind {
            K::Literal(literal) => self.literal(literal, span),
            K::Name(name) => self.name(name, cx),
            K::Unary { op, arg } => self.unary(*op, arg, span, cx),
            K::Binary { op: BinaryOp::Arrow, left, right } => self.arrow(left, right, span, cx),
            K::Binary { op, left, right } => self.binary(*op, (left, right), span, cx),
            K::And(items) => self.connective(items, span, cx, "AND", ExprKind::And),
            K::Or(items) => self.connective(items, span, cx, "OR", ExprKind::Or),
            K::Not(arg) => {
                let arg = self.expr(arg, cx)?;
                self.boolean(arg, "NOT").map(|arg| not(arg, span))
            }
            K::Is { arg, test, negated } => {
                let arg = self.expr(arg, cx)?;
                let tested = self.is_test(arg, *test, span)?;
                Some(negate_if(*negated, tested, span))
            }
            K::IsDistinctFrom { left, right, negated } => {
                let (left, right) = self.both(left, right, cx)?;
                let name = if *negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" };
                self.operator(name, vec![left, right], span)
            }
            K::Between { arg, low, high, symmetric, negated } => {
                let within = self.between([arg, low, high], *symmetric, span, cx)?;
                Some(negate_if(*negated, within, span))
            }
            K::InList { arg, list, negated } => {
                let found = self.in_list(arg, list, span, cx)?;
                Some(negate_if(*negated, found, span))
            }
            K::Like { kind, arg, pattern, escape, negated } => {
                let parts = [Some(&**arg), Some(&**pattern), escape.as_deref()];
                let matched = self.spelled(like_name(*kind), &parts, span, cx)?;
                Some(negate_if(*negated, matched, span))
            }
            K::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), span, cx)
            }
            K::Cast { arg, ty, lenient, colons } => {
                self.written_cast(arg, (ty, *colons), *lenient, span, cx)
            }
            K::AtTimeZone { arg, zone } => {
                self.spelled("AT TIME ZONE", &[Some(&**arg), Some(&**zone)], span, cx)
            }
            K::Index { arg, index } => self.index(arg, index, span, cx),
            K::Slice { arg, from, to } => self.slice(arg, from.as_deref(), to.as_deref(), span, cx),
            K::Field { arg, name } => self.expr(arg, cx).and_then(|arg| self.field(arg, name)),
            K::Array(items) => self.array(items, span, cx),
            K::Map(entries) => self.map_of(entries, span, cx),
            K::Row(items) => self.row(items, span, cx),
            K::Trim { side, what, arg } => {
                self.spelled(trim_name(*side), &[Some(&**arg), what.as_deref()], span, cx)
            }
            K::Call(call) => self.call(call, span, cx),
            K::InQuery { arg, query, negated } => self.in_query(arg, query, *negated, span, cx),
            K::Exists(query) => self.exists(query, span, cx),
            K::Quantified { arg, op, quantifier, set } => {
                self.quantified((arg, *op), *quantifier, set, span, cx)
            }
            K::Subquery(query) => self.scalar_subquery(query, span, cx),
        }
    }

    fn binary(
        &mut self,
        op: BinaryOp,
        (left, right): (&ast::Expr, &ast::Expr),
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        if let Some(compared) = self.compare_rows(op, [left, right], span, cx) {
            return compared;
        }
        let typed = self.both(left, right, cx)?;
        let (left, right) = self.text_as_time(op, (left, right), typed)?;
        if let (Some(l), Some(r)) = (bounds_of(&left), bounds_of(&right))
            && matches!(op, BinaryOp::Eq | BinaryOp::NotEq)
        {
            return self.rows_compared(op, (l.to_vec(), r.to_vec()), span);
        }
        let texts = left.ty.data == DataType::String && right.ty.data == DataType::String;
        let op = if op == BinaryOp::Add && texts { BinaryOp::Concat } else { op };
        self.applied(op, left, right, span)
    }

    fn in_query(
        &mut self,
        arg: &ast::Expr,
        query: &ast::Query,
        negated: bool,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let found = match &arg.kind {
            ast::ExprKind::Row(row) => self.row_in_query(row, query, span, cx)?,
            _ => {
                let arg = self.expr(arg, cx)?;
                self.any_of(BinaryOp::Eq, arg, query, span, cx)?
            }
        };
        Some(negate_if(negated, found, span))
    }

    /// A builtin that has a syntax of its own; parts that are left out are no arguments.
    fn spelled(
        &mut self,
        name: &str,
        parts: &[Option<&ast::Expr>],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let typed: Vec<Option<Expr>> =
            parts.iter().flatten().map(|part| self.expr(part, cx)).collect();
        self.operator(name, typed.into_iter().collect::<Option<Vec<Expr>>>()?, span)
    }

    fn index(
        &mut self,
        arg: &ast::Expr,
        index: &ast::Expr,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        if let Some(list) = self.list_of_one(arg, index, span, cx) {
            return Some(list);
        }
        let (arg, index) = self.both(arg, index, cx)?;
        self.element(arg, index, span, cx)
    }

    fn row(&mut self, items: &[ast::Expr], span: Span, cx: &mut ExprCx<'_>) -> Option<Expr> {
        let items = self.exprs(items, cx)?;
        let field = |(at, e): (usize, &Expr)| Field::new(format!("f{at}"), e.ty.clone());
        let fields: Vec<Field> = items.iter().enumerate().map(field).collect();
        let ty = Type::not_null(DataType::Row(fields.into()));
        Some(Expr { kind: ExprKind::Row(items), ty, span })
    }

    /// Types several expressions; all of them are looked at, whatever fails.
    pub(super) fn exprs(&mut self, all: &[ast::Expr], cx: &mut ExprCx<'_>) -> Option<Vec<Expr>> {
        let typed: Vec<Option<Expr>> = all.iter().map(|e| self.expr(e, cx)).collect();
        typed.into_iter().collect()
    }

    fn both(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        cx: &mut ExprCx<'_>,
    ) -> Option<(Expr, Expr)> {
        let left = self.expr(left, cx);
        let right = self.expr(right, cx);
        left.zip(right)
    }

    /// A BOOLEAN expression of a clause.
    pub(super) fn condition(&mut self, e: &ast::Expr, cx: &mut ExprCx<'_>) -> Option<Expr> {
        let place = cx.place;
        let typed = self.expr(e, cx)?;
        self.boolean(typed, place)
    }

    fn name(&mut self, name: &ObjectName, cx: &mut ExprCx<'_>) -> Option<Expr> {
        if let Some(value) = self.param_value(&name.parts[0]) {
            return name.parts[1..].iter().try_fold(value, |row, field| self.field(row, field));
        }
        if let Some(single) = name.as_single()
            && cx.scope.bare(&single.text) == Found::None
            && let Some(at) = alias(cx.aliases, &single.text)
        {
            let mut inner = ExprCx {
                scope: cx.scope,
                place: cx.place,
                aggregates: cx.aggregates.as_deref_mut(),
                inner_aggregates: None,
                overs: cx.overs.as_deref_mut(),
                windows: cx.windows,
                group_window: cx.group_window,
                aliases: &cx.aliases[..at],
                subqueries: cx.subqueries,
                used: Vec::new(),
                null_keys: cx.null_keys,
            };
            let value = self.expr(cx.aliases[at].1, &mut inner)?;
            return self.again(value, cx.place, single);
        }
        if let Some(value) = self.pseudo_column(name, cx) {
            return value;
        }
        if let Some(row) = whole_row(name, cx.scope) {
            return Some(row);
        }
        let (at, used) = self.resolve(name, cx.scope)?;
        let span = name.parts[..used].iter().fold(name.parts[0].span, |all, p| all.to(p.span));
        let column = column_or_window(cx.scope, at, span);
        name.parts[used..].iter().try_fold(column, |row, field| self.field(row, field))
    }

    pub(super) fn field(&mut self, arg: Expr, name: &Ident) -> Option<Expr> {
        let span = arg.span.to(name.span);
        if let Some(bound) = self.window_field(&arg, name) {
            return Some(bound);
        }
        let DataType::Row(fields) = &arg.ty.data else {
            let what = format!("field {name}");
            return self.report(types::no_parts(&what, &arg.ty, span));
        };
        match find(&name.text, fields.iter().map(|f| f.name.as_str())) {
            Found::One(index) => {
                let field = &fields[index];
                let ty = field.ty.with_nullable(field.ty.nullable || arg.ty.nullable);
                self.note_type(name.span, &ty);
                Some(Expr { kind: ExprKind::Field { arg: Box::new(arg), index }, ty, span })
            }
            Found::None => {
                let known: Vec<String> = fields.iter().map(|f| f.name.clone()).collect();
                self.report(names::unknown_field(&name.text, "the ROW", name.span, &known))
            }
            Found::Many(all) => {
                let all: Vec<String> = all.iter().map(|at| fields[*at].name.clone()).collect();
                self.report(names::ambiguous("the field", &name.text, name.span, &all))
            }
        }
    }

    fn unary(
        &mut self,
        op: UnaryOp,
        arg: &ast::Expr,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        if let (UnaryOp::Minus, ast::ExprKind::Literal(literal)) = (op, &arg.kind)
            && let Some(negative) = negated(literal)
        {
            return self.literal(&negative, span);
        }
        let arg = self.expr(arg, cx)?;
        match op {
            UnaryOp::BitNot => self.operator("BITNOT", vec![arg], span),
            UnaryOp::Minus => self.operator("neg", vec![arg], span),
            UnaryOp::Plus if arg.ty.data.is_numeric() || arg.ty.data == DataType::Interval => {
                Some(arg)
            }
            UnaryOp::Plus => {
                let given = [arg.ty];
                self.report(types::wrong_arguments("+", &given, &[], span, None))
            }
        }
    }

    fn connective(
        &mut self,
        items: &[ast::Expr],
        span: Span,
        cx: &mut ExprCx<'_>,
        name: &str,
        kind: fn(Vec<Expr>) -> ExprKind,
    ) -> Option<Expr> {
        let items: Vec<Option<Expr>> = items
            .iter()
            .map(|item| self.expr(item, cx).and_then(|item| self.boolean(item, name)))
            .collect();
        let items = items.into_iter().collect::<Option<Vec<Expr>>>()?;
        Some(joined(items, span, kind))
    }

    fn is_test(&mut self, arg: Expr, test: IsTest, span: Span) -> Option<Expr> {
        match test {
            IsTest::Null => Some(is_null(arg, span)),
            IsTest::Unknown => self.boolean(arg, "IS UNKNOWN").map(|arg| is_null(arg, span)),
            IsTest::True => self.operator("IS TRUE", vec![arg], span),
            IsTest::False => self.operator("IS FALSE", vec![arg], span),
            IsTest::Json => self.operator("IS JSON", vec![arg], span),
            IsTest::JsonObject => self.operator("IS JSON OBJECT", vec![arg], span),
            IsTest::JsonArray => self.operator("IS JSON ARRAY", vec![arg], span),
            IsTest::JsonScalar => self.operator("IS JSON SCALAR", vec![arg], span),
        }
    }

    fn between(
        &mut self,
        [arg, low, high]: [&ast::Expr; 3],
        symmetric: bool,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let arg = self.expr(arg, cx);
        let (low, high) = self.both(low, high, cx)?;
        let arg = arg?;
        let swapped = symmetric.then(|| (high.clone(), low.clone()));
        let straight = self.within(arg.clone(), low, high, span)?;
        match swapped {
            None => Some(straight),
            Some((low, high)) => {
                let turned = self.within(arg, low, high, span)?;
                Some(joined(vec![straight, turned], span, ExprKind::Or))
            }
        }
    }

    fn within(&mut self, arg: Expr, low: Expr, high: Expr, span: Span) -> Option<Expr> {
        let least = self.operator(">=", vec![arg.clone(), low], span);
        let most = self.operator("<=", vec![arg, high], span);
        Some(joined(vec![least?, most?], span, ExprKind::And))
    }

    fn in_list(
        &mut self,
        arg: &ast::Expr,
        list: &[ast::Expr],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        if let ast::ExprKind::Row(row) = &arg.kind {
            return self.row_in_list(row, list, span, cx);
        }
        if let [ast::Expr { kind: ast::ExprKind::Call(call), .. }] = list
            && let Some(array) = unnested(call)
        {
            let equal = (arg, BinaryOp::Eq);
            return self.quantified_elements(equal, ast::Quantifier::Any, array, span, cx);
        }
        let arg = self.expr(arg, cx);
        let list = self.exprs(list, cx)?;
        let arg = arg?;
        let mut equal = Vec::with_capacity(list.len());
        for item in list {
            equal.push(self.operator("=", vec![arg.clone(), item], span)?);
        }
        match equal.len() {
            1 => equal.pop(),
            _ => Some(joined(equal, span, ExprKind::Or)),
        }
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        branches: &[(ast::Expr, ast::Expr)],
        otherwise: Option<&ast::Expr>,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let operand = match operand {
            Some(operand) => Some(self.expr(operand, cx)?),
            None => None,
        };
        let mut conditions = Vec::with_capacity(branches.len());
        let mut results = Vec::with_capacity(branches.len() + 1);
        for (when, then) in branches {
            let when = self.expr(when, cx).and_then(|when| match &operand {
                Some(operand) => {
                    let at = when.span;
                    self.operator("=", vec![operand.clone(), when], at)
                }
                None => self.boolean(when, "WHEN"),
            });
            conditions.push(when);
            results.push(self.expr(then, cx));
        }
        if let Some(otherwise) = otherwise {
            results.push(self.expr(otherwise, cx));
        }
        let conditions = conditions.into_iter().collect::<Option<Vec<_>>>()?;
        let results = results.into_iter().collect::<Option<Vec<_>>>()?;
        let mut results = self.unify(results, "CASE", span)?;
        let last = otherwise.and_then(|_| results.pop());
        let nullable =
            last.as_ref().is_none_or(|e| e.ty.nullable) || results.iter().any(|e| e.ty.nullable);
        let data = results.first().or(last.as_ref())?.ty.data.clone();
        let branches = conditions.into_iter().zip(results).collect();
        let kind = ExprKind::Case { branches, otherwise: last.map(Box::new) };
        Some(Expr { kind, ty: Type { data, nullable }, span })
    }

    fn array(&mut self, items: &[ast::Expr], span: Span, cx: &mut ExprCx<'_>) -> Option<Expr> {
        let items = self.exprs(items, cx)?;
        self.array_of(items, span)
    }

    /// An ARRAY of these elements.
    pub(super) fn array_of(&mut self, items: Vec<Expr>, span: Span) -> Option<Expr> {
        let items = if items.is_empty() { items } else { self.unify(items, "the ARRAY", span)? };
        let data = items.first().map_or(DataType::Null, |e| e.ty.data.clone());
        let nullable = items.is_empty() || items.iter().any(|e| e.ty.nullable);
        let item = Type { data, nullable };
        let ty = Type::not_null(DataType::Array(Box::new(item)));
        Some(Expr { kind: ExprKind::Array(items), ty, span })
    }
}

/// What stands in `UNNEST(…)`.
fn unnested(call: &ast::Call) -> Option<&ast::Expr> {
    let is = call.name.as_single().is_some_and(|name| name.text.eq_ignore_ascii_case("UNNEST"));
    match call.args.as_slice() {
        [ast::Arg { value: ast::ArgValue::Expr(array), .. }] if is => Some(array),
        _ => None,
    }
}

/// A literal number or interval with a minus before it.
fn negated(literal: &ast::Literal) -> Option<ast::Literal> {
    match literal {
        ast::Literal::Number { text, kind } if !text.starts_with(['-', '+']) => {
            Some(ast::Literal::Number { text: format!("-{text}"), kind: *kind })
        }
        ast::Literal::Interval { negative, value, units } => Some(ast::Literal::Interval {
            negative: !negative,
            value: value.clone(),
            units: *units,
        }),
        ast::Literal::Number { .. }
        | ast::Literal::Null
        | ast::Literal::Boolean(_)
        | ast::Literal::String(_)
        | ast::Literal::Bytes(_)
        | ast::Literal::Typed { .. } => None,
    }
}

fn like_name(kind: LikeKind) -> &'static str {
    match kind {
        LikeKind::Like => "LIKE",
        LikeKind::ILike => "ILIKE",
        LikeKind::SimilarTo => "SIMILAR TO",
    }
}

fn trim_name(side: TrimSide) -> &'static str {
    match side {
        TrimSide::Both => "TRIM",
        TrimSide::Leading => "LTRIM",
        TrimSide::Trailing => "RTRIM",
    }
}

fn negate_if(negated: bool, condition: Expr, span: Span) -> Expr {
    if negated { not(condition, span) } else { condition }
}

/// NOT.
pub(super) fn not(arg: Expr, span: Span) -> Expr {
    let ty = arg.ty.clone();
    Expr { kind: ExprKind::Not(Box::new(arg)), ty, span }
}

fn is_null(arg: Expr, span: Span) -> Expr {
    let ty = Type::not_null(DataType::Boolean);
    Expr { kind: ExprKind::IsNull(Box::new(arg)), ty, span }
}

/// AND or OR of BOOLEANs.
pub(super) fn joined(items: Vec<Expr>, span: Span, kind: fn(Vec<Expr>) -> ExprKind) -> Expr {
    let nullable = items.iter().any(|e| e.ty.nullable);
    Expr { kind: kind(items), ty: Type { data: DataType::Boolean, nullable }, span }
}

/// The conjuncts of a condition, nested ANDs included.
pub(super) fn conjuncts(condition: Expr) -> Vec<Expr> {
    if let ExprKind::And(items) = condition.kind {
        return items.into_iter().flat_map(conjuncts).collect();
    }
    vec![condition]
}

/// One condition of several; none of none.
pub(super) fn all_of(mut items: Vec<Expr>) -> Option<Expr> {
    match items.len() {
        0 | 1 => items.pop(),
        _ => {
            let span = items.iter().skip(1).fold(items[0].span, |all, e| all.to(e.span));
            Some(joined(items, span, ExprKind::And))
        }
    }
}

/// Whether two expressions compute the same, wherever they were written.
pub(super) fn same(a: &Expr, b: &Expr) -> bool {
    fn bare(e: &Expr) -> Expr {
        let mut e = e.clone();
        e.rewrite(&mut |part| part.span = Span::default());
        e
    }
    bare(a) == bare(b)
}
