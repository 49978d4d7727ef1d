//! Streams that make their records themselves: their columns and options.

use flow_ir::connector::{DATAGEN, NEXMARK, is_generated};
use flow_ir::decode_plan::Origin;
use flow_ir::types::Field;
use flow_stdlib::generated::{BadOption, Datagen, Nexmark, nexmark_schema};

use super::Checker;
use super::catalog::CatalogSchema;
use super::options::Options;
use super::typed::RelationId;
use crate::diagnostics::connectors as problems;

impl Options {
    /// Whether records are made, not read.
    pub(super) fn is_generated(&self) -> bool {
        is_generated(self.connector.name)
    }

    /// The schema that a connector's records have whatever is declared, and what to call it.
    pub(super) fn own_schema(&self) -> Option<(String, CatalogSchema)> {
        (self.connector.name == NEXMARK).then(|| {
            let text = nexmark_schema(self.get("table")).to_string();
            (format!("connector '{NEXMARK}'"), CatalogSchema { text, version: 0, id: 0 })
        })
    }
}

impl Checker<'_> {
    /// Reports the first option of a generated stream that is of no use.
    pub(super) fn generated(&mut self, id: RelationId, options: &Options) -> Option<()> {
        let stream = &self.module.relation(id).stream;
        let refused = match options.connector.name {
            NEXMARK => Nexmark::new(&options.values).err(),
            DATAGEN => {
                let columns = stream.columns.iter();
                let columns = columns.filter(|c| matches!(c.origin, Origin::Value(_)));
                let columns: Vec<Field> =
                    columns.map(|c| Field::new(c.name.clone(), c.ty.clone())).collect();
                Datagen::new(&columns, &options.values).err()
            }
            _ => None,
        };
        let Some(refused) = refused else { return Some(()) };
        let at = options.value_span(&refused.name).unwrap_or(self.module.relation(id).span);
        let BadOption { name, takes } = &refused;
        self.report(match options.get(name) {
            Some(value) => problems::bad_option(name, value, takes, at),
            None => {
                let owner = format!("connector '{}'", options.connector.name);
                problems::missing_option(name, &owner, takes, at)
            }
        })
    }
}
