//! State tables: what each is keyed by and holds, as the operators of `flow_ir::physical` say.

use flow_ir::ids::{TableId, VertexId};
use flow_ir::logical::{Materialize, Node};
use flow_ir::physical::{TableKind, TableSpec};
use flow_ir::types::{DataType, Type};

use super::Lowering;

impl Lowering<'_> {
    /// A table of the vertex that is added next.
    pub(super) fn table(
        &mut self,
        role: &str,
        kind: TableKind,
        key: Vec<Type>,
        value: Vec<Type>,
    ) -> TableId {
        let owner = VertexId::from(self.graph.vertices.len());
        self.graph.tables.push(TableSpec { owner, role: role.to_string(), kind, key, value });
        TableId::from(self.graph.tables.len() - 1)
    }

    /// The table of a view: key to row, or to the number of equal rows.
    pub(super) fn view_table(&mut self, node: &Node, view: &Materialize) -> TableId {
        let row = self.types(self.lowered[&node.inputs[0]]);
        let key = view.keys.iter().map(|&k| row[k].clone()).collect();
        let value = if view.counted { vec![Type::not_null(DataType::BigInt)] } else { row };
        self.table("rows", TableKind::Ordered, key, value)
    }

    /// A point table from key to row, of a node with one input.
    pub(super) fn rows_table(&mut self, node: &Node, keys: &[usize]) -> TableId {
        let row = self.types(self.lowered[&node.inputs[0]]);
        let key = keys.iter().map(|&k| row[k].clone()).collect();
        self.table("rows", TableKind::Point, key, row)
    }

    /// A point table from row to its weight, of a node with one input.
    pub(super) fn weights_table(&mut self, node: &Node, keys: &[usize]) -> TableId {
        let row = self.types(self.lowered[&node.inputs[0]]);
        let key = keys.iter().map(|&k| row[k].clone()).collect();
        self.table("rows", TableKind::Point, key, vec![Type::not_null(DataType::BigInt)])
    }
}
