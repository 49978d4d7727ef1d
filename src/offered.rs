//! The views that a server offers, as the checker knows relations: so that programs and queries
//! over them are checked, and completed, where they are written.

use flow_compiler::check::catalog::MemoryCatalog;
use flow_compiler::check::views::{IndexDecl, ViewDecl};
use flow_compiler::check::{CheckOptions, check};
use flow_compiler::source::SourceMap;
use flow_compiler::syntax::parse;
use flow_ir::types::Field;
use serde::Deserialize;

use crate::client::Client;
use crate::exit::Result;
use crate::query::Column;

/// A view as the API lists it.
#[derive(Debug, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The job that keeps it.
    pub job: String,
    #[serde(default)]
    table: String,
    columns: Vec<Column>,
    #[serde(default)]
    key: Option<Vec<String>>,
    #[serde(default)]
    indexes: Vec<ListedIndex>,
}

/// An index as the API lists it.
#[derive(Debug, Deserialize)]
struct ListedIndex {
    name: String,
    columns: Vec<String>,
}

/// The views that a server offers now.
///
/// # Errors
/// If the server does not tell.
pub fn views(client: &Client) -> Result<Vec<ViewDecl>> {
    let listed: Vec<Listed> = client.get("/v1/views")?;
    Ok(listed.iter().filter_map(Listed::view).collect())
}

impl Listed {
    /// The view with its types; `None` if they are none that are known here.
    pub fn view(&self) -> Option<ViewDecl> {
        let columns = fields(&self.columns)?;
        let places = |names: &[String]| {
            let place = |name: &String| columns.iter().position(|field| field.name == *name);
            names.iter().map(place).collect::<Option<Vec<usize>>>()
        };
        let index = |index: &ListedIndex| {
            Some(IndexDecl { name: index.name.clone(), columns: places(&index.columns)? })
        };
        Some(ViewDecl {
            name: self.name.clone(),
            job: self.job.clone(),
            table: self.table.clone(),
            primary_key: match &self.key {
                Some(key) => Some(places(key)?),
                None => None,
            },
            indexes: self.indexes.iter().map(index).collect::<Option<_>>()?,
            columns,
        })
    }
}

/// Columns as fields: their types are read as those of a declaration.
fn fields(columns: &[Column]) -> Option<Vec<Field>> {
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let columns: Vec<String> =
        columns.iter().map(|c| format!("{} {}", quoted(&c.name), c.ty)).collect();
    let columns = columns.join(", ");
    let text = format!("CREATE STREAM v ({columns}) WITH ('connector' = 'print');");
    let mut sources = SourceMap::new();
    let file = sources.add("view", text.as_str());
    let (ast, found) = parse(file, &text);
    let catalog = MemoryCatalog::default();
    let (module, more) = check(&ast, &sources, &catalog, &CheckOptions::default());
    if found.iter().chain(&more).any(|d| d.is_error()) {
        return None;
    }
    let columns = &module.relations.first()?.columns;
    Some(columns.iter().map(|c| Field::new(c.name.clone(), c.ty.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_view_is_a_relation_with_types() {
        let text = r#"{"name":"totals","job":"j","table":"t","columns":[
            {"name":"k `x`","type":"STRING NOT NULL"},{"name":"n","type":"DECIMAL(10, 2)"},
            {"name":"r","type":"ARRAY<ROW<a BIGINT NOT NULL>>"},
            {"name":"at","type":"TIMESTAMP_LTZ(3)"}],
            "key":["k `x`"],"indexes":[{"name":"i","columns":["n"]}],"epoch":7}"#;
        let view = serde_json::from_str::<Listed>(text).unwrap().view().unwrap();
        let types: Vec<String> = view.columns.iter().map(|f| f.ty.to_string()).collect();
        assert_eq!(types[..2], ["STRING NOT NULL", "DECIMAL(10, 2)"]);
        assert_eq!((view.primary_key, view.indexes[0].columns.clone()), (Some(vec![0]), vec![1]));
        assert_eq!(view.table, "t");
    }

    #[test]
    fn what_has_unknown_types_is_left_to_the_server() {
        let columns = [Column { name: "a".into(), ty: "TENSOR".into() }];
        assert_eq!(fields(&columns), None);
    }
}
