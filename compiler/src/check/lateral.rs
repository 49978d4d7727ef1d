//! What in FROM reads the relations to its left: LATERAL subqueries and UNNEST. The joins to the
//! left become a node, and what is joined to it a wider one.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::physical::JoinKind as Kept;
use flow_ir::span::Span;
use flow_ir::types::DataType;
use flow_stdlib::builtin::lookup;

use super::Checker;
use super::expr::{ExprCx, all_of};
use super::from::Tree;
use super::rows::plain_select;
use super::scope::{Found, Scope, ScopeTable};
use super::typed::{QueryId, Unnest};
use super::values_query::lateral_values;
use super::window::window_function;
use crate::diagnostics::{plans, types};
use crate::syntax::ast::{
    self, Arg, Call, Ident, JoinConstraint, JoinKind, Literal, ObjectName, SelectItem, TableAlias,
    TableFactor, TableFactorKind,
};

/// Whether a table of FROM is made for each row to its left.
pub(super) fn reads_left(factor: &TableFactor) -> bool {
    match &factor.kind {
        TableFactorKind::Unnest { .. } => true,
        TableFactorKind::Query(_) => factor.lateral,
        TableFactorKind::Function { name, .. } => {
            let name = &name.last().text;
            window_function(name).is_none() && lookup(name).is_some()
        }
        TableFactorKind::Named { .. }
        | TableFactorKind::Nested(_)
        | TableFactorKind::MatchRecognize { .. } => false,
    }
}

/// A function in FROM as the call whose elements its rows are.
fn function_call(name: &ObjectName, args: &[Arg], span: Span) -> ast::Expr {
    let call = Call::plain(name.clone(), args.to_vec());
    ast::Expr { kind: ast::ExprKind::Call(Box::new(call)), span }
}

/// The name of a function in FROM.
fn function_of(factor: &TableFactor) -> Option<Ident> {
    let (text, span) = match &factor.kind {
        TableFactorKind::Function { name, .. } => (name.last().text.to_lowercase(), name.span()),
        TableFactorKind::Unnest { .. } => (String::from("unnest"), factor.span),
        TableFactorKind::Named { .. }
        | TableFactorKind::Query(_)
        | TableFactorKind::Nested(_)
        | TableFactorKind::MatchRecognize { .. } => return None,
    };
    Some(Ident { text, quoted: false, span })
}

/// What the only column of a function in FROM is called.
fn own_name(function: Ident) -> Ident {
    let elements = function.text.starts_with("json") && function.text.contains("_array_elements");
    if elements { Ident { text: String::from("value"), ..function } } else { function }
}

/// Whether so many names are those of the elements of a multiset, which COLLECT makes as a map
/// from them to how often each is there.
fn is_multiset(ty: &DataType, names: usize) -> bool {
    let DataType::Map(key, count) = ty else { return false };
    let fields = match &key.data {
        DataType::Row(fields) => fields.len(),
        _ => 1,
    };
    count.data == DataType::Int && names == fields
}

/// The condition of ON, unless it is TRUE.
fn asked(constraint: &JoinConstraint) -> Option<&ast::Expr> {
    let JoinConstraint::On(condition) = constraint else { return None };
    let always = ast::ExprKind::Literal(Literal::Boolean(true));
    (condition.kind != always).then_some(condition)
}

/// The rows of a table for which a condition holds, as `LATERAL (SELECT * FROM … WHERE …)`.
fn chosen(factor: &TableFactor, condition: &ast::Expr) -> TableFactor {
    let span = factor.span;
    let every = vec![SelectItem::every(span)];
    let query = plain_select(every, factor.clone(), Some(condition.clone()), span);
    let named = |alias: &TableAlias| TableAlias { name: alias.name.clone(), columns: Vec::new() };
    let alias = factor.alias.as_ref().map(named);
    TableFactor { kind: TableFactorKind::Query(Box::new(query)), alias, lateral: true, span }
}

impl Checker<'_> {
    /// `left CROSS | INNER | LEFT JOIN factor`. The left tree's first column has position `base`.
    pub(super) fn join_lateral(
        &mut self,
        (tree, mut scope): (Tree, Scope),
        (kind, constraint): (JoinKind, &JoinConstraint),
        factor: &TableFactor,
        base: usize,
    ) -> Option<(Tree, Scope)> {
        if let Some(elements) = lateral_values(factor) {
            let how = (kind, constraint);
            return self.join_lateral((tree, scope), how, &elements, base);
        }
        let kept = match kind {
            JoinKind::Inner | JoinKind::Cross => Kept::Inner,
            JoinKind::Left => Kept::Left,
            JoinKind::Right | JoinKind::Full | JoinKind::Semi | JoinKind::Anti => {
                let what = "a RIGHT, FULL, SEMI or ANTI JOIN with rows made for each left row";
                return self.report(plans::not_available(what, factor.span, None));
            }
        };
        if let (Kept::Left, Some(condition)) = (kept, asked(constraint)) {
            let chosen = chosen(factor, condition);
            let always = (kind, &JoinConstraint::None);
            return self.join_lateral((tree, scope), always, &chosen, base);
        }
        let left = self.assemble_apart(&tree, base)?;
        let width = scope.columns.len();
        let joined = match &factor.kind {
            TableFactorKind::Query(query) => self.lateral(left, &scope, query, kept)?,
            TableFactorKind::Unnest { args, ordinality } => {
                let names = factor.alias.as_ref().map_or(0, |alias| alias.columns.len());
                let names = names.saturating_sub(usize::from(*ordinality));
                self.unnested(left, &scope, (args, *ordinality, names), kept, factor.span)?
            }
            TableFactorKind::Function { name, args } => {
                let call = function_call(name, args, factor.span);
                self.unnested(left, &scope, (&[call], false, 0), kept, factor.span)?
            }
            TableFactorKind::Named { .. }
            | TableFactorKind::Nested(_)
            | TableFactorKind::MatchRecognize { .. } => return None,
        };
        let joined = self.named_elements(joined, width, factor)?;
        let mut right = self.scope_of(joined, None);
        let columns = right.columns.split_off(width);
        // A function names its rows where no other relation is called so.
        let free = |name: &Ident| scope.table(&name.text) == Found::None;
        let name = match &factor.alias {
            Some(alias) => Some(alias.name.clone()),
            None => function_of(factor).filter(free),
        };
        let table = ScopeTable { name, columns: 0..columns.len(), level: 0 };
        let right = Scope { tables: vec![table], columns, row_key: None };
        if let Some(alias) = &factor.alias {
            self.note_alias(&alias.name, &right);
        }
        self.unique_tables(&scope, &right)?;
        scope.append(right);
        let mut joined = joined;
        if let JoinConstraint::Using(_) = constraint {
            let what = "USING with rows made for each left row";
            return self.report(plans::not_available(what, factor.span, None));
        }
        if let Some(condition) = asked(constraint) {
            let condition = self.condition(condition, &mut ExprCx::rows(&scope, "ON"))?;
            let span = condition.span;
            joined = self.filter(joined, condition, span);
        }
        Some((Tree::Leaf(joined, scope.columns.len()), scope))
    }

    /// The rows with the elements of containers behind them; elements that are ROWs as their
    /// fields. Where the names are those of a map's keys alone it is a multiset.
    fn unnested(
        &mut self,
        left: QueryId,
        scope: &Scope,
        (args, ordinality, names): (&[ast::Expr], bool, usize),
        kept: Kept,
        span: Span,
    ) -> Option<QueryId> {
        let typed = self.exprs(args, &mut ExprCx::rows(scope, "UNNEST"))?;
        let width = scope.columns.len();
        let mut items = Vec::with_capacity(typed.len());
        for (expr, written) in typed.into_iter().zip(args) {
            if !matches!(expr.ty.data, DataType::Array(_) | DataType::Map(..)) {
                return self.report(types::no_parts("elements", &expr.ty, written.span));
            }
            let expr = match is_multiset(&expr.ty.data, names) {
                true => self.operator("MULTISET_ELEMENTS", vec![expr], written.span)?,
                false => expr,
            };
            items.push((format!("$unnest{}", items.len()), Some(expr)));
        }
        let count = items.len();
        let columns = (width..width + count).collect();
        let input = self.extend(left, items, span);
        let outer = kept == Kept::Left;
        let unnest = self.unnest(Unnest { input, columns, ordinality, outer }, span);
        let mut items: Vec<_> = (0..width).map(|at| self.pass_column(unnest, at, span)).collect();
        for at in width + count..self.query_node(unnest).columns.len() {
            let column = self.query_node(unnest).columns[at].clone();
            let DataType::Row(fields) = &column.ty.data else {
                items.push(self.pass_column(unnest, at, span));
                continue;
            };
            for (index, field) in fields.iter().enumerate() {
                let arg = Box::new(Expr::column(at, column.ty.clone(), span));
                let kind = ExprKind::Field { arg, index };
                let ty = field.ty.with_nullable(true);
                items.push((field.name.clone(), Some(Expr { kind, ty, span })));
            }
        }
        Some(self.project(unnest, items, span))
    }

    /// The columns behind the left ones under the names that the alias gives: all of them, or
    /// without names a single one that of the table.
    fn named_elements(
        &mut self,
        joined: QueryId,
        width: usize,
        factor: &TableFactor,
    ) -> Option<QueryId> {
        let made = self.query_node(joined).columns.len() - width;
        let unnested = !matches!(factor.kind, TableFactorKind::Query(_));
        let of_function = function_of(factor).map(own_name);
        let none = Vec::new();
        let (name, columns) = match (&factor.alias, &of_function) {
            (Some(TableAlias { name, columns }), _) => (name, columns),
            (None, Some(name)) if made == 1 => (name, &none),
            (None, _) => return Some(joined),
        };
        let names: Vec<Ident> = match columns.is_empty() {
            true if made == 1 && unnested => vec![name.clone()],
            true => return Some(joined),
            false => columns.clone(),
        };
        if names.len() != made {
            let place = format!("alias {name}");
            return self.report(plans::wrong_count(&place, names.len(), made, factor.span));
        }
        let span = factor.span;
        let mut items: Vec<_> = (0..width).map(|at| self.pass_column(joined, at, span)).collect();
        for (at, name) in names.into_iter().enumerate() {
            let (_, expr) = self.pass_column(joined, width + at, span);
            items.push((name.text, expr));
        }
        Some(self.project(joined, items, span))
    }

    /// A side whose missing rows become NULL, or that is joined row by row: conditions from above
    /// do not reach into it.
    pub(super) fn assemble_apart(&mut self, tree: &Tree, base: usize) -> Option<QueryId> {
        let mut pool = Vec::new();
        let query = self.assemble(tree, base, &mut pool)?;
        for condition in &mut pool {
            condition.map_columns(&|at| at - base);
        }
        Some(match all_of(pool) {
            Some(condition) => {
                let span = condition.span;
                self.filter(query, condition, span)
            }
            None => query,
        })
    }
}
