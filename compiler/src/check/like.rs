//! `CREATE TABLE … LIKE`: the declaration that it stands for, before anything is checked.

use std::collections::HashMap;

use crate::diagnostics::{Diagnostic, names, types};
use crate::syntax::ast::{
    Ast, ColumnKind, CreateTable, LikeBehaviour, LikeTable, OptionEntry, StatementKind,
    TableElement,
};

/// Parts of a declaration that LIKE names.
const PARTS: [&str; 7] =
    ["CONSTRAINTS", "DISTRIBUTION", "GENERATED", "METADATA", "OPTIONS", "PARTITIONS", "WATERMARKS"];

/// The program with every LIKE written out; `None` where it has none.
pub(super) fn expand(ast: &Ast, found: &mut Vec<Diagnostic>) -> Option<Ast> {
    let is_like = |kind: &StatementKind| match kind {
        StatementKind::CreateTable(create) => create.like.is_some(),
        _ => false,
    };
    if !ast.statements.iter().any(|statement| is_like(&statement.kind)) {
        return None;
    }
    let mut expanded = ast.clone();
    let mut known: HashMap<String, CreateTable> = HashMap::new();
    for statement in &mut expanded.statements {
        let StatementKind::CreateTable(create) = &mut statement.kind else { continue };
        if let Some(like) = create.like.take() {
            match known.get(&like.name.last().text.to_lowercase()) {
                Some(source) => written_out(create, source, &like, found),
                None => {
                    let name = &like.name;
                    let all: Vec<String> =
                        known.values().map(|known| known.name.last().text.clone()).collect();
                    found.push(names::unknown_relation(&name.to_string(), name.span(), &all));
                }
            }
        }
        known.insert(create.name.last().text.to_lowercase(), (**create).clone());
    }
    Some(expanded)
}

/// Puts into a declaration what it takes over.
fn written_out(
    create: &mut CreateTable,
    source: &CreateTable,
    like: &LikeTable,
    found: &mut Vec<Diagnostic>,
) {
    for (_, part) in &like.options {
        let upper = part.text.to_uppercase();
        if upper != "ALL" && !PARTS.contains(&upper.as_str()) {
            let known: Vec<&str> = PARTS.iter().copied().chain(["ALL"]).collect();
            let why = format!("LIKE takes {}", known.join(", "));
            found.push(types::bad_type(&part.text, &why, part.span));
        }
    }
    let how = |part: &str| behaviour(like, part);
    let takes = |element: &TableElement| match element {
        TableElement::Column(column) => match &column.kind {
            ColumnKind::Physical(_) => true,
            ColumnKind::Computed(_) => how("GENERATED") != LikeBehaviour::Excluding,
            ColumnKind::Metadata { .. } | ColumnKind::Headers { .. } => {
                how("METADATA") != LikeBehaviour::Excluding
            }
        },
        TableElement::Watermark(_) => how("WATERMARKS") != LikeBehaviour::Excluding,
        TableElement::PrimaryKey(_) => how("CONSTRAINTS") != LikeBehaviour::Excluding,
    };
    let own = create.elements.take().unwrap_or_default();
    let replaced = |element: &TableElement| own.iter().any(|other| replaces(other, element, how));
    let taken = source.elements.iter().flatten().filter(|e| takes(e) && !replaced(e));
    let mut elements: Vec<TableElement> = taken.cloned().collect();
    if how("CONSTRAINTS") == LikeBehaviour::Excluding {
        for element in &mut elements {
            if let TableElement::Column(column) = element {
                (column.primary_key, column.record_key) = (None, None);
            }
        }
    }
    elements.extend(own);
    create.elements = Some(elements).filter(|elements| !elements.is_empty());
    if how("OPTIONS") != LikeBehaviour::Excluding {
        let named = |entry: &OptionEntry| {
            create.options.iter().any(|own| own.key.value.eq_ignore_ascii_case(&entry.key.value))
        };
        let taken: Vec<OptionEntry> =
            source.options.iter().filter(|entry| !named(entry)).cloned().collect();
        create.options.extend(taken);
    }
    if how("PARTITIONS") != LikeBehaviour::Excluding && create.partitioned_by.is_empty() {
        create.partitioned_by.clone_from(&source.partitioned_by);
    }
}

/// Whether an element of the declaration stands for one that it would take over.
fn replaces(own: &TableElement, taken: &TableElement, how: impl Fn(&str) -> LikeBehaviour) -> bool {
    let overwrites = |part: &str| how(part) == LikeBehaviour::Overwriting;
    match (own, taken) {
        (TableElement::Watermark(_), TableElement::Watermark(_)) => overwrites("WATERMARKS"),
        (TableElement::Column(own), TableElement::Column(taken)) => {
            own.name.text == taken.name.text
                && match &taken.kind {
                    ColumnKind::Physical(_) => false,
                    ColumnKind::Computed(_) => overwrites("GENERATED"),
                    ColumnKind::Metadata { .. } | ColumnKind::Headers { .. } => {
                        overwrites("METADATA")
                    }
                }
        }
        (
            TableElement::Watermark(_) | TableElement::Column(_) | TableElement::PrimaryKey(_),
            TableElement::Watermark(_) | TableElement::Column(_) | TableElement::PrimaryKey(_),
        ) => false,
    }
}

/// What becomes of a part: as it says, else as ALL says; what nothing is said of is taken over, and
/// options are overwritten.
fn behaviour(like: &LikeTable, part: &str) -> LikeBehaviour {
    let said = |name: &str| {
        let mut of = like.options.iter().filter(|(_, part)| part.is_word(name));
        of.next_back().map(|(behaviour, _)| *behaviour)
    };
    said(part).or_else(|| said("ALL")).unwrap_or(match part {
        "OPTIONS" => LikeBehaviour::Overwriting,
        _ => LikeBehaviour::Including,
    })
}
