//! HEADERS and HEADER('key') behind a column, as ksqlDB has them: computed of a hidden column with
//! all headers of the record.

use flow_ir::decode_plan::Metadata;
use flow_ir::expr::Expr;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::declare::{Draft, DraftSource};
use crate::syntax::ast::{ColumnDef, ColumnKind, CreateTable, TableElement, Text, TypeExpr};

/// The hidden column.
const HEADERS: &str = "$headers";

impl Checker<'_> {
    /// Types the columns of headers, and adds the hidden one where there are any.
    pub(super) fn header_columns(&mut self, create: &CreateTable, drafts: &mut Vec<Draft>) {
        let map = Type::not_null(Metadata::Headers.data_type());
        let place = drafts.len();
        for element in create.elements.as_deref().unwrap_or(&[]) {
            let TableElement::Column(column) = element else { continue };
            let ColumnKind::Headers { ty, key } = &column.kind else { continue };
            let Some(at) = drafts.iter().position(|d| d.span == column.name.span) else { continue };
            let all = Expr::column(place, map.clone(), column.span);
            let typed = self.of_headers(all, column, ty, key.as_ref());
            drafts[at].ty = typed.as_ref().map(|e| e.ty.clone());
            drafts[at].source = DraftSource::Computed(typed);
            if drafts.len() == place {
                let source = DraftSource::Metadata(Metadata::Headers);
                let (name, ty) = (HEADERS.to_owned(), Some(map.clone()));
                drafts.push(Draft { name, span: column.span, ty, source });
            }
        }
    }

    fn of_headers(
        &mut self,
        all: Expr,
        column: &ColumnDef,
        ty: &TypeExpr,
        key: Option<&Text>,
    ) -> Option<Expr> {
        let span = column.span;
        let to = self.type_of(ty)?;
        let value = match key {
            Some(key) => {
                let ty = Type::not_null(DataType::String);
                let key = Expr::literal(Value::String(key.value.clone()), ty, key.span);
                self.operator("[]", vec![all, key], span)?
            }
            None => self.operator("MAP_ENTRIES", vec![all], span)?,
        };
        self.explicit_cast(value, &to.data, false, span)
    }
}
