//! What can come at a cursor. Keywords come from the grammar, names from a check of the program
//! with the cursor's statement made whole, functions, types and options from their tables.

use std::ops::Range;

use flow_compiler::check::TYPE_NAMES;
use flow_compiler::check::notes::{
    ColumnNote, Cursor, FunctionNote, Notes, RelationKind, RelationNote, ScopeNote,
};
use flow_compiler::source::SourceMap;
use flow_compiler::syntax::ast::{Statement, StatementKind, TableElement};
use flow_compiler::syntax::{Expected, Thing, TokenKind, expected, is_reserved};
use flow_ir::span::{FileId, Span};
use flow_ir::types::{DataType, Field, Type};

use super::functions::{self, Function};
use super::hover::{kind_word, relation_markdown, type_text};
use super::options::{OptionPlace, takes};
use super::place::Place;
use super::repair::repair;
use super::{Analysis, Program};

/// Types that take others in `< >`.
const NESTED_TYPES: &[&str] = &["ARRAY", "MAP", "ROW"];

/// Metadata that records have.
const METADATA: &[&str] = &["timestamp", "topic", "partition", "offset", "headers"];

/// What can come at a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// What a completion replaces: what is typed of a word, before and behind the cursor.
    pub replace: Range<usize>,
    /// The completions, the likeliest first.
    pub items: Vec<Completion>,
}

/// Kinds of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A column or field.
    Column,
    /// A stream, table, view, CTE or alias.
    Relation,
    /// A function or aggregate.
    Function,
    /// A type.
    Type,
    /// An option's key.
    Option,
    /// An option's value.
    Value,
    /// A keyword.
    Keyword,
}

/// One thing that can come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What is shown.
    pub label: String,
    /// What it is.
    pub kind: Kind,
    /// Its type, signature or values, in a line; may be empty.
    pub detail: String,
    /// More about it, as Markdown; may be empty.
    pub doc: String,
    /// What is put in the place of what is typed.
    pub insert: String,
    /// Whether arguments in parentheses follow it.
    pub takes_arguments: bool,
}

impl Completion {
    fn new(kind: Kind, label: impl Into<String>) -> Self {
        let label = label.into();
        let (detail, doc) = (String::new(), String::new());
        Self { insert: label.clone(), label, kind, detail, doc, takes_arguments: false }
    }
}

/// What can come at a byte offset of a file.
pub fn complete(program: &Program<'_>, file: FileId, offset: usize) -> Completions {
    let text = program.sources.get(file).map_or("", |f| f.text());
    let Some(place) = Place::at(text, offset) else { return Completions::default() };
    if place.in_comment() {
        return Completions::default();
    }
    if let Some(option) = OptionPlace::at(&place) {
        return with_prefix(option.written.clone(), option_items(&option), &place);
    }
    if place.in_string() {
        return metadata(&place);
    }
    let cx = Context::new(program, file, &place);
    let items = match cx.qualifier() {
        Some(path) => cx.members(&path),
        None => cx.items(),
    };
    with_prefix(place.typed(), items, &place)
}

/// Those items that begin with what is typed before the cursor, in any case. Keywords and
/// functions take the case of what is typed.
fn with_prefix(replace: Range<usize>, items: Vec<Completion>, place: &Place<'_>) -> Completions {
    let typed = place.text.get(replace.start..place.offset).unwrap_or("");
    let bare = |text: &str| text.trim_start_matches(['\'', '"', '`']).to_lowercase();
    let prefix = bare(typed);
    let lower = prefix.chars().any(char::is_alphabetic) && typed.to_lowercase() == typed;
    let mut items: Vec<Completion> =
        items.into_iter().filter(|item| item.label.to_lowercase().starts_with(&prefix)).collect();
    for item in &mut items {
        if lower && matches!(item.kind, Kind::Keyword | Kind::Function | Kind::Type) {
            item.insert = item.insert.to_lowercase();
        }
    }
    Completions { replace, items }
}

fn option_items(option: &OptionPlace) -> Vec<Completion> {
    if let Some(key) = &option.key {
        let values = option.values(key).into_iter().map(|value| Completion {
            insert: format!("'{}'", value.text),
            doc: value.doc,
            ..Completion::new(Kind::Value, value.text)
        });
        return values.collect();
    }
    let keys = option.open_keys().into_iter().map(|spec| Completion {
        insert: format!("'{}'{}", spec.name, if option.has_value { "" } else { " = " }),
        detail: takes(spec.kind),
        doc: spec.doc.to_string(),
        ..Completion::new(Kind::Option, spec.name)
    });
    keys.collect()
}

/// `METADATA FROM '…'`.
fn metadata(place: &Place<'_>) -> Completions {
    let Some(at) = place.touched() else { return Completions::default() };
    if place.word_before(at) != "FROM" || !place.is(at.saturating_sub(2), "METADATA") {
        return Completions::default();
    }
    let names = METADATA.iter().map(|name| Completion {
        insert: format!("'{name}'"),
        ..Completion::new(Kind::Value, *name)
    });
    let token = place.tokens[at];
    with_prefix(token.start..token.end, names.collect(), place)
}

/// What is known around the cursor.
struct Context<'p> {
    file: FileId,
    place: &'p Place<'p>,
    scope: Option<ScopeNote>,
    relations: Vec<RelationNote>,
    functions: Vec<FunctionNote>,
    /// Columns that the statement declares.
    own: Vec<ColumnNote>,
    /// The beginning of the statement, without what is typed.
    head: &'p str,
    /// Tokens before what is typed.
    before: usize,
}

impl<'p> Context<'p> {
    fn new(program: &Program<'_>, file: FileId, place: &'p Place<'p>) -> Self {
        let start = place.typed().start;
        let head = place.text.get(place.statement.start.min(start)..start).unwrap_or("");
        let (text, at) = repair(place).unwrap_or((place.text.to_string(), place.offset));
        let mut sources = SourceMap::new();
        for (id, f) in program.sources.iter() {
            let text = if id == file { text.as_str().into() } else { f.shared_text() };
            sources.add(f.name(), text);
        }
        let offset = u32::try_from(at).unwrap_or(u32::MAX);
        let whole = Program { sources: &sources, ..*program };
        let Analysis { notes, ast, .. } = whole.analyse_at(Some(Cursor { file, offset }));
        let around =
            |s: &&Statement| s.span.file == file && (s.span.start..=s.span.end).contains(&offset);
        let own = ast.statements.iter().find(around).map(written_columns).unwrap_or_default();
        let before = place.before();
        let Notes { scope, relations, functions, .. } = notes;
        Self { file, place, scope, relations, functions, own, head, before }
    }

    /// The names before the cursor that end in a dot: `a.b.`.
    fn qualifier(&self) -> Option<Vec<String>> {
        let mut path = Vec::new();
        let mut at = self.before;
        while at >= 2 && self.place.is(at - 1, ".") {
            let name = self.place.tokens[at - 2];
            if !matches!(name.kind, TokenKind::Word | TokenKind::QuotedName) {
                break;
            }
            path.insert(0, self.place.text_of(&name).trim_matches(['"', '`']).to_string());
            at -= 2;
        }
        let dotted = self.before > 0 && self.place.is(self.before - 1, ".");
        dotted.then_some(path)
    }

    fn tables(&self) -> &[RelationNote] {
        self.scope.as_ref().map_or(&[], |scope| scope.tables.as_slice())
    }

    /// Columns of a relation, or fields of a column.
    fn members(&self, path: &[String]) -> Vec<Completion> {
        let Some((first, fields)) = path.split_first() else { return Vec::new() };
        let named = |r: &&RelationNote| r.name.eq_ignore_ascii_case(first);
        let relation = self.tables().iter().chain(&self.relations).find(named);
        let columns = match (relation, fields.split_first()) {
            (Some(relation), None) => return relation.columns.iter().map(column).collect(),
            (Some(relation), Some((name, fields))) => (relation.columns.as_slice(), name, fields),
            (None, _) => (&[][..], first, fields),
        };
        let (of_relation, name, fields) = columns;
        let all = self.tables().iter().flat_map(|t| &t.columns);
        let found = of_relation.iter().chain(all).find(|c| c.name.eq_ignore_ascii_case(name));
        let Some(mut ty) = found.and_then(|c| c.ty.clone()) else { return Vec::new() };
        for name in fields {
            let next = row_fields(&ty).iter().find(|f| f.name.eq_ignore_ascii_case(name));
            match next.map(|f| f.ty.clone()) {
                Some(next) => ty = next,
                None => return Vec::new(),
            }
        }
        let field = |f: &Field| Completion {
            detail: type_text(&f.ty),
            insert: quoted(&f.name),
            ..Completion::new(Kind::Column, f.name.as_str())
        };
        row_fields(&ty).iter().map(field).collect()
    }

    fn items(&self) -> Vec<Completion> {
        let Expected { keywords, things } = expected(self.head);
        let mut items = Vec::new();
        if self.opener() == "DESCRIPTOR" {
            // The grammar also takes it for a call.
            return self.listed();
        } else if things.contains(&Thing::Expression) {
            if self.is_table_argument() {
                items.extend(self.relations(|_| true));
            }
            items.extend(self.expression());
        } else if things.contains(&Thing::Name) && !things.contains(&Thing::Relation) {
            items.extend(self.names());
        }
        if things.contains(&Thing::Relation) {
            items.extend(self.relations(|_| true));
            items.extend(functions::tables().into_iter().map(function));
        }
        if things.contains(&Thing::Type) {
            let names = TYPE_NAMES.iter().chain(NESTED_TYPES);
            items.extend(names.map(|name| Completion::new(Kind::Type, *name)));
        }
        items.extend(keywords.into_iter().map(|word| Completion::new(Kind::Keyword, word)));
        let mut seen = std::collections::HashSet::new();
        items.retain(|item| seen.insert((item.label.clone(), item.insert.clone())));
        items
    }

    /// The word before the innermost bracket that is open, in upper case; empty without one.
    fn opener(&self) -> String {
        let open = self.place.open_bracket(self.before);
        open.map(|open| self.place.word_before(open)).unwrap_or_default()
    }

    /// Whether the cursor is at an argument of a function of FROM.
    fn is_table_argument(&self) -> bool {
        let called = self.opener();
        functions::tables().iter().any(|f| f.name == called)
    }

    fn expression(&self) -> Vec<Completion> {
        let mut items = Vec::new();
        let tables = self.tables();
        let all = || tables.iter().flat_map(|t| &t.columns);
        for table in tables {
            for note in &table.columns {
                let twice = all().filter(|c| c.name == note.name).count() > 1;
                let mut item = column(note);
                if twice && !table.name.is_empty() {
                    item.insert = format!("{}.{}", quoted(&table.name), item.insert);
                    item.detail = format!("{} · {}", item.detail, table.name);
                }
                items.push(item);
            }
        }
        if tables.is_empty() {
            items.extend(self.own_columns().iter().map(column));
        }
        let aliases = self.scope.iter().flat_map(|scope| &scope.aliases);
        items.extend(aliases.map(|alias| Completion {
            insert: quoted(alias),
            detail: "item of SELECT".into(),
            ..Completion::new(Kind::Column, alias.as_str())
        }));
        items.extend(tables.iter().filter(|t| !t.name.is_empty()).map(relation));
        items.extend(self.functions.iter().map(own_function));
        items.extend(functions::scalar().into_iter().map(function));
        items
    }

    fn relations(&self, wanted: impl Fn(RelationKind) -> bool) -> Vec<Completion> {
        let ctes = self.scope.iter().flat_map(|scope| scope.ctes.iter().rev());
        let all = ctes.chain(&self.relations).filter(|r| wanted(r.kind));
        all.filter(|r| !self.is_own(r)).map(relation).collect()
    }

    /// Whether a relation is what the cursor's statement declares.
    fn is_own(&self, relation: &RelationNote) -> bool {
        let at = relation.declared;
        relation.kind != RelationKind::Cte
            && at != Span::default()
            && at.file == self.file
            && self.place.is(0, "CREATE")
            && self.place.statement.contains(&(at.start as usize))
    }

    /// Columns of the stream or table that the statement declares: those that were found, with the
    /// registry's, else those that are written.
    fn own_columns(&self) -> Vec<ColumnNote> {
        let found = self.relations.iter().find(|r| self.is_own(r) && !r.columns.is_empty());
        found.map_or(self.own.clone(), |r| r.columns.clone())
    }

    /// Names that are already declared, where the grammar wants a name and the words before it
    /// tell of which kind.
    fn names(&self) -> Vec<Completion> {
        use RelationKind::{Stream, Table, View};
        let word = self.place.word_before(self.before);
        if self.place.is(0, "CREATE") && self.before < 4 {
            return Vec::new();
        }
        match word.as_str() {
            "INTO" | "OVERWRITE" => self.relations(|kind| matches!(kind, Stream | Table)),
            "TABLE" | "STREAM" if self.place.is(0, "DROP") => {
                self.relations(|kind| matches!(kind, Stream | Table))
            }
            "VIEW" | "ON" => self.relations(|kind| kind == View),
            "TABLE" | "DESCRIBE" | "DESC" | "EXTENDED" | "LIKE" => self.relations(|_| true),
            "FOR" => self.own_columns().iter().map(column).collect(),
            "(" | "," => self.listed(),
            _ => Vec::new(),
        }
    }

    /// Names in a list in parentheses: of a key, of USING, of INSERT, of DESCRIPTOR.
    fn listed(&self) -> Vec<Completion> {
        let Some(open) = self.place.open_bracket(self.before) else { return Vec::new() };
        let columns = match self.place.word_before(open).as_str() {
            "KEY" => self.own_columns(),
            "USING" => self.tables().iter().flat_map(|t| t.columns.clone()).collect(),
            "DESCRIPTOR" => {
                let instant = |c: &ColumnNote| c.ty.as_ref().is_none_or(|t| t.data.is_timestamp());
                self.named_before(open).into_iter().filter(instant).collect()
            }
            _ if self.place.is(0, "INSERT") => self.named_before(open),
            _ => Vec::new(),
        };
        columns.iter().map(column).collect()
    }

    /// Columns of the last relation that is named before a token.
    fn named_before(&self, token: usize) -> Vec<ColumnNote> {
        let ctes = self.scope.iter().flat_map(|scope| &scope.ctes);
        let known: Vec<&RelationNote> = ctes.chain(&self.relations).collect();
        let names = self.place.tokens[..token].iter().rev().map(|t| self.place.text_of(t));
        let mut found = names.filter_map(|name| {
            known.iter().find(|r| r.name.eq_ignore_ascii_case(name.trim_matches(['"', '`'])))
        });
        found.next().map(|r| r.columns.clone()).unwrap_or_default()
    }
}

/// The columns that CREATE STREAM or TABLE lists.
fn written_columns(statement: &Statement) -> Vec<ColumnNote> {
    let StatementKind::CreateTable(create) = &statement.kind else { return Vec::new() };
    let columns = create.elements.iter().flatten().filter_map(|element| match element {
        TableElement::Column(column) => Some(ColumnNote {
            name: column.name.text.clone(),
            ty: None,
            event_time: false,
            declared: Some(column.name.span),
        }),
        TableElement::Watermark(_) | TableElement::PrimaryKey(_) => None,
    });
    columns.collect()
}

fn row_fields(ty: &Type) -> &[Field] {
    if let DataType::Row(fields) = &ty.data { fields } else { &[] }
}

fn column(note: &ColumnNote) -> Completion {
    let mut detail = note.ty.as_ref().map(type_text).unwrap_or_default();
    if note.event_time {
        detail.push_str(" · event time");
    }
    Completion {
        detail,
        insert: quoted(&note.name),
        ..Completion::new(Kind::Column, note.name.as_str())
    }
}

fn relation(note: &RelationNote) -> Completion {
    Completion {
        detail: kind_word(note.kind).into(),
        doc: relation_markdown(note),
        insert: quoted(&note.name),
        ..Completion::new(Kind::Relation, note.name.as_str())
    }
}

fn function(function: Function) -> Completion {
    Completion {
        detail: function.signatures.first().cloned().unwrap_or_default(),
        doc: function.markdown(),
        takes_arguments: !function.is_bare,
        ..Completion::new(Kind::Function, function.name)
    }
}

fn own_function(function: &FunctionNote) -> Completion {
    Completion {
        insert: quoted(&function.name),
        detail: function.usage.clone(),
        takes_arguments: true,
        ..Completion::new(Kind::Function, function.name.as_str())
    }
}

/// A name as it is written: in quotes where it is no plain word.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c == '_' || c.is_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_alphanumeric())
        && !is_reserved(name);
    if plain { name.to_string() } else { format!("`{}`", name.replace('`', "``")) }
}
