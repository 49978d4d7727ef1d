//! Rows that no stream has: VALUES, SELECT without FROM, and UNNEST without a table to its left.
//! They are made of the one record of a generated stream, of which no column is read.

use flow_ir::connector::{self, DATAGEN};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};

use super::Checker;
use super::coerce::is_untyped;
use super::expr::ExprCx;
use super::options::GENERATED_FORMAT;
use super::scope::{Found, Scope, find};
use super::typed::{QueryId, Relation, RelationId, Unnest};
use crate::diagnostics::plans;
use crate::syntax::ast::{self, Insert, SetExprKind};

/// The record's only column.
const COLUMN: &str = "$row";

/// The stream's options: one record, at once.
const OPTIONS: &[(&str, &str)] = &[("number-of-rows", "1"), ("rows-per-second", "0")];

/// Whether a relation is the one row that all VALUES are made of.
pub(super) fn is_one_row(relation: &Relation) -> bool {
    let stream = &relation.stream;
    stream.connector == DATAGEN && stream.columns.iter().all(|c| c.name == COLUMN)
}

impl Checker<'_> {
    /// A relation of one row, whose only column is not seen.
    pub(super) fn one_row(&mut self, span: Span) -> Option<QueryId> {
        let known = self.module.relations.iter().position(is_one_row);
        if let Some(known) = known {
            return Some(self.scan(RelationId(u32::try_from(known).ok()?)));
        }
        let connector = connector::connector(DATAGEN)?;
        let name = self.unused_name("values");
        let column = Field::new(COLUMN, Type::not_null(DataType::BigInt));
        let id = self.made_stream(connector, name, vec![column], span);
        let stream = &mut self.module.relations[id.0 as usize].stream;
        let options = OPTIONS.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        stream.options.extend(options);
        stream.value_format = Some(GENERATED_FORMAT.to_string());
        Some(self.scan(id))
    }

    /// VALUES: columns `column1`, `column2`, ….
    pub(super) fn values(&mut self, rows: &[Vec<ast::Expr>], span: Span) -> Option<QueryId> {
        let wanted = std::mem::take(&mut self.values_for);
        let width = rows.first().map_or(0, Vec::len);
        let scope = Scope::default();
        let mut columns: Vec<Vec<Expr>> = vec![Vec::with_capacity(rows.len()); width];
        let mut whole = true;
        for row in rows {
            if row.len() != width {
                let at = row.iter().map(|e| e.span).reduce(Span::to).unwrap_or(span);
                return self.report(plans::wrong_count("a row of VALUES", width, row.len(), at));
            }
            for (at, written) in row.iter().enumerate() {
                let typed = self.expr(written, &mut ExprCx::rows(&scope, "VALUES"));
                let typed = match (typed, wanted.get(at)) {
                    (Some(e), Some(ty)) if is_untyped(&e) => self.widen(e, &ty.data),
                    (typed, _) => typed,
                };
                whole &= typed.is_some();
                columns[at].extend(typed);
            }
        }
        if !whole {
            return None;
        }
        let unified = columns.into_iter().enumerate().map(|(at, column)| {
            let place = format!("column {} of VALUES", at + 1);
            self.unify(column, &place, span)
        });
        let columns: Vec<Vec<Expr>> = unified.collect::<Option<_>>()?;
        let input = self.one_row(span)?;
        let name = |at: usize| format!("column{}", at + 1);
        if rows.len() == 1 {
            let items = columns.into_iter().enumerate();
            let items = items.map(|(at, mut column)| (name(at), column.pop())).collect();
            return Some(self.project(input, items, span));
        }
        let field = |(at, column): (usize, &Vec<Expr>)| {
            let nullable = column.iter().any(|e| e.ty.nullable);
            let data = column.first().map_or(DataType::Null, |e| e.ty.data.clone());
            Field::new(name(at), Type { data, nullable })
        };
        let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
        let ty = Type::not_null(DataType::Row(fields.clone().into()));
        let row = |at: usize| {
            let kind = ExprKind::Row(columns.iter().map(|column| column[at].clone()).collect());
            Expr { kind, ty: ty.clone(), span }
        };
        let rows = ExprKind::Array((0..rows.len()).map(row).collect());
        let array = Type::not_null(DataType::Array(Box::new(ty.clone())));
        let rows = Expr { kind: rows, ty: array, span };
        let input = self.project(input, vec![("$rows".to_string(), Some(rows))], span);
        let unnest = Unnest { input, columns: vec![0], ordinality: false, outer: false };
        let unnest = self.unnest(unnest, span);
        // An element is never NULL here, whatever the type of elements says.
        let items = fields.into_iter().enumerate().map(|(index, field)| {
            let arg = Box::new(Expr::column(1, ty.clone(), span));
            let kind = ExprKind::Field { arg, index };
            (field.name, Some(Expr { kind, ty: field.ty, span }))
        });
        let items = items.collect();
        Some(self.project(unnest, items, span))
    }

    /// Notes which types the columns of `INSERT INTO … VALUES` have in the target.
    pub(super) fn values_are_for(&mut self, target: RelationId, insert: &Insert) {
        self.values_for.clear();
        if !matches!(insert.query.body.kind, SetExprKind::Values(_)) {
            return;
        }
        let stream = &self.module.relation(target).stream;
        let columns: Vec<_> = stream.columns.iter().filter(|c| self.takes(target, c)).collect();
        let named =
            |name: &ast::Ident| match find(&name.text, columns.iter().map(|c| c.name.as_str())) {
                Found::One(at) => Some(columns[at].ty.clone()),
                Found::None | Found::Many(_) => None,
            };
        let types: Option<Vec<Type>> = match insert.columns.is_empty() {
            true => Some(columns.iter().map(|c| c.ty.clone()).collect()),
            false => insert.columns.iter().map(named).collect(),
        };
        self.values_for = types.unwrap_or_default();
    }
}
