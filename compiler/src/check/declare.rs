//! CREATE STREAM and CREATE TABLE: columns, keys, watermark. A declaration without columns of the
//! record stays open until it is first read (the registry gives them) or written (the query does).

use flow_ir::connector::{FILE, FormatSpec};
use flow_ir::decode_plan::{Metadata, Origin};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::physical::{Stream, StreamColumn, StreamSchemas};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};
use flow_schema::is_bare_json;

use super::expr::ExprCx;
use super::ksql_options::{RecordTime, Written};
use super::options::Options;
use super::record_time::GRACE_DEFAULT;
use super::scope::{Found, Scope, ScopeColumn, ScopeTable, find};
use super::typed::{ColumnSource, Relation, RelationColumn, RelationId, Watermark};
use super::{Checker, Meaning};
use crate::diagnostics::{connectors as problems, names, plans, windows};
use crate::syntax::ast::{
    ColumnDef, ColumnKind, CreateTable, Ident, TableElement, TableKind, Text, TypeExpr,
    WatermarkDef,
};

/// What the checker knows of a relation beside `typed::Relation`.
#[derive(Debug)]
pub(super) struct Declared<'a> {
    /// The statement; none for a bare SELECT's `print`.
    pub create: Option<&'a CreateTable>,
    pub options: Options,
    /// Whether its columns are known yet.
    pub open: bool,
    /// Positions of columns that failed.
    pub poisoned: Vec<usize>,
    /// The outcome of the first read and of the first write.
    pub read: Option<bool>,
    pub written: Option<bool>,
    /// Columns that could be written but are not yet: metadata without VIRTUAL.
    pub writable_metadata: Vec<(String, Span)>,
    /// Whether it is declared as ksqlDB does: rows have the record's time.
    pub ksql: bool,
    /// The column that has it, if the record itself does not.
    pub time: Option<RecordTime>,
    /// Columns of the key that follows from the query: of `CREATE … AS`.
    pub derived_key: Vec<String>,
}

/// A column in the making.
pub(super) struct Draft {
    pub name: String,
    pub span: Span,
    pub ty: Option<Type>,
    pub source: DraftSource,
}

pub(super) enum DraftSource {
    /// A field of the record.
    Field,
    Metadata(Metadata),
    Computed(Option<Expr>),
}

impl<'a> Checker<'a> {
    /// CREATE STREAM, CREATE TABLE.
    pub(super) fn create_table(&mut self, create: &'a CreateTable, span: Span) {
        let name = create.name.last();
        let mut written = self.written_options(create);
        let made = self.made(create, &mut written);
        written.times_as_numbers(create.name.last().span);
        let failed = create.query.is_some() && made.is_none();
        let options = match failed {
            true => None,
            false => self.with_options(&written.entries, name.span),
        };
        let Some(options) = options else {
            self.declare_name(name, Meaning::Poisoned, create.if_not_exists, create.or_replace);
            return;
        };
        if options.get("idle.timeout").is_some() {
            let at = options.value_span("idle.timeout").unwrap_or(name.span);
            self.found.push(windows::idle_timeout(&name.text, at));
        }
        // Where records have keys, these say to which partition they go.
        if let Some(by) = create.partitioned_by.first().filter(|_| options.connector.name == FILE) {
            self.found.push(plans::not_available("PARTITIONED BY of files", by.span, None));
        }
        let derived = made.as_ref().is_some_and(|made| !made.key.is_empty());
        let id = self.add_relation(create, options, written, derived);
        let meaning = Meaning::Relation(id);
        if !self.declare_name(name, meaning, create.if_not_exists, create.or_replace) {
            return;
        }
        let elements = create.elements.as_deref().unwrap_or(&[]);
        let has_fields = elements.iter().any(|element| match element {
            TableElement::Column(column) => matches!(column.kind, ColumnKind::Physical(_)),
            TableElement::Watermark(_) | TableElement::PrimaryKey(_) => false,
        });
        match &made {
            Some(made) if has_fields || !create.columns.is_empty() => {
                self.build_made_columns(id, create, made.query);
            }
            Some(_) | None if has_fields => self.build_columns(id, Vec::new()),
            Some(_) | None => {}
        }
        if let Some(made) = made {
            self.insert_made(id, made, span);
        }
    }

    /// An open relation of a declaration.
    fn add_relation(
        &mut self,
        create: &'a CreateTable,
        options: Options,
        written: Written,
        derived: bool,
    ) -> RelationId {
        let name = create.name.last();
        let format = |f: Option<&flow_ir::connector::FormatSpec>| f.map(|f| f.name.to_string());
        let keyed = has_primary_key(create) || derived || !options.key_fields().is_empty();
        let stream = Stream {
            name: name.text.clone(),
            connector: options.connector.name.to_string(),
            options: options.values.clone(),
            value_format: format(options.value_format),
            key_format: format(options.key_format.filter(|_| keyed)),
            columns: Vec::new(),
            primary_key: Vec::new(),
            schemas: StreamSchemas::default(),
        };
        let relation = Relation {
            stream,
            columns: Vec::new(),
            watermark: None,
            primary_key: Vec::new(),
            lateness: options
                .duration("allowed.lateness")
                .unwrap_or_else(|| if written.ksql { GRACE_DEFAULT - self.grace } else { 0 }),
            orders: Vec::new(),
            span: name.span,
        };
        let declared = Declared {
            create: Some(create),
            options,
            open: true,
            poisoned: Vec::new(),
            read: None,
            written: None,
            writable_metadata: Vec::new(),
            ksql: written.ksql,
            time: written.time,
            derived_key: Vec::new(),
        };
        self.push_relation(relation, declared)
    }

    pub(super) fn push_relation(
        &mut self,
        relation: Relation,
        declared: Declared<'a>,
    ) -> RelationId {
        let id = RelationId(u32::try_from(self.module.relations.len()).unwrap_or(u32::MAX));
        self.module.relations.push(relation);
        self.declared.push(declared);
        id
    }

    pub(super) fn declared(&mut self, id: RelationId) -> &mut Declared<'a> {
        &mut self.declared[id.0 as usize]
    }

    /// Closes an open relation: the fields given (by the registry or a query), then the columns of
    /// its statement.
    pub(super) fn build_columns(&mut self, id: RelationId, fields: Vec<Field>) {
        let Some(create) = self.declared(id).create else { return };
        let name = create.name.last();
        let mut drafts: Vec<Draft> = fields
            .into_iter()
            .map(|field| Draft {
                name: field.name,
                span: name.span,
                ty: Some(field.ty),
                source: DraftSource::Field,
            })
            .collect();
        for element in create.elements.as_deref().unwrap_or(&[]) {
            if let TableElement::Column(column) = element {
                let draft = self.draft(id, column);
                if let Some(first) = drafts.iter().find(|d| d.name == draft.name) {
                    let place = name.text.clone();
                    let problem =
                        names::duplicate_column(&draft.name, &place, draft.span, Some(first.span));
                    self.found.push(problem);
                    continue;
                }
                drafts.push(draft);
            }
        }
        self.close_drafts(id, create, drafts);
    }

    /// Closes an open relation of these columns: what is computed of them, watermark and key.
    pub(super) fn close_drafts(
        &mut self,
        id: RelationId,
        create: &'a CreateTable,
        mut drafts: Vec<Draft>,
    ) {
        let name = create.name.last();
        self.compute_columns(create, &mut drafts, &name.text);
        self.header_columns(create, &mut drafts);
        let mut watermark = self.watermark(create, &drafts, &name.text);
        let ksql = self.declared(id).ksql;
        let mut primary_key = self.primary_key(create, &drafts, ksql);
        if ksql && create.query.is_none() {
            let by_record = self.record_columns(id, create.kind, &name.text, &mut drafts);
            watermark = watermark.or(by_record);
        }
        if primary_key.is_empty() && create.kind == TableKind::Table {
            let derived = self.declared(id).derived_key.clone();
            let at = |key: &String| drafts.iter().position(|draft| draft.name == *key);
            primary_key = derived.iter().filter_map(at).collect();
        }
        if primary_key.is_empty() {
            self.watermark_column(id, watermark.as_ref(), &mut drafts);
        }
        self.close(id, drafts, watermark, primary_key);
    }

    pub(super) fn draft(&mut self, id: RelationId, column: &ColumnDef) -> Draft {
        let (ty, source) = match &column.kind {
            ColumnKind::Physical(ty) => (self.type_of(ty), DraftSource::Field),
            ColumnKind::Computed(_) | ColumnKind::Headers { .. } => {
                (None, DraftSource::Computed(None))
            }
            ColumnKind::Metadata { ty, from, is_virtual } => {
                if !is_virtual {
                    let named = (column.name.text.clone(), column.span);
                    self.declared(id).writable_metadata.push(named);
                }
                self.metadata(&column.name, ty, from.as_ref())
            }
        };
        Draft { name: column.name.text.clone(), span: column.name.span, ty, source }
    }

    fn metadata(
        &mut self,
        name: &Ident,
        written: &TypeExpr,
        from: Option<&Text>,
    ) -> (Option<Type>, DraftSource) {
        let (key, span) = from.map_or((&name.text, name.span), |from| (&from.value, from.span));
        let ty = self.type_of(written);
        let metadata = match key.as_str() {
            "timestamp" => Metadata::Timestamp,
            "topic" | "file.path" => Metadata::Topic,
            "partition" => Metadata::Partition,
            "offset" => Metadata::Offset,
            "headers" => Metadata::Headers,
            "timestamp-type" | "leader-epoch" => {
                let what = format!("the metadata '{key}'");
                self.found.push(plans::not_available(&what, span, None));
                return (None, DraftSource::Metadata(Metadata::Timestamp));
            }
            _ => {
                let message = format!("records have no metadata '{key}'");
                self.found.push(problems::bad_metadata(message, "unknown", span));
                return (None, DraftSource::Metadata(Metadata::Timestamp));
            }
        };
        let bytes = Type::nullable(DataType::Bytes);
        let string = Type::not_null(DataType::String);
        let fits = ty.as_ref().is_none_or(|ty| match metadata {
            Metadata::Timestamp => ty.data.is_timestamp(),
            Metadata::Topic => ty.data == DataType::String,
            Metadata::Partition => ty.data == DataType::Int,
            Metadata::Offset => ty.data == DataType::BigInt,
            Metadata::Headers => {
                ty.data == DataType::Map(Box::new(string.clone()), Box::new(bytes.clone()))
            }
            Metadata::BatchPosition | Metadata::Tombstone | Metadata::Watermark => false,
        });
        if !fits {
            let message = format!("metadata '{key}' is of another type");
            self.found.push(problems::bad_metadata(message, "does not fit", written.span));
            return (None, DraftSource::Metadata(metadata));
        }
        (ty, DraftSource::Metadata(metadata))
    }

    /// Types the computed columns, in order; each may read the record and those before it.
    fn compute_columns(&mut self, create: &CreateTable, drafts: &mut [Draft], name: &str) {
        for element in create.elements.as_deref().unwrap_or(&[]) {
            let TableElement::Column(column) = element else { continue };
            let ColumnKind::Computed(written) = &column.kind else { continue };
            let Some(at) = drafts.iter().position(|d| d.span == column.name.span) else { continue };
            let scope = draft_scope(drafts, name);
            let typed = self.expr(written, &mut ExprCx::rows(&scope, "a computed column"));
            let typed = typed.map(|expr| over_record(expr, drafts));
            drafts[at].ty = typed.as_ref().map(|e| e.ty.clone());
            drafts[at].source = DraftSource::Computed(typed);
        }
    }

    fn watermark(
        &mut self,
        create: &CreateTable,
        drafts: &[Draft],
        name: &str,
    ) -> Option<Watermark> {
        let mut all = create.elements.as_deref().unwrap_or(&[]).iter().filter_map(|e| match e {
            TableElement::Watermark(watermark) => Some(watermark),
            TableElement::Column(_) | TableElement::PrimaryKey(_) => None,
        });
        let written = all.next()?;
        if let Some(second) = all.next() {
            let message = "a stream has one WATERMARK";
            self.found.push(windows::bad_watermark(message, "second one", second.span));
        }
        self.one_watermark(written, drafts, name)
    }

    fn one_watermark(
        &mut self,
        written: &WatermarkDef,
        drafts: &[Draft],
        name: &str,
    ) -> Option<Watermark> {
        let scope = draft_scope(drafts, name);
        let Some(single) = written.column.as_single() else {
            let message = "WATERMARK is FOR a column of its own";
            let at = written.column.span();
            return self.report(windows::bad_watermark(message, "part of a column", at));
        };
        let (column, _) = self.resolve(&written.column, &scope)?;
        let ty = scope.columns[column].ty.clone();
        if !ty.data.is_timestamp() {
            let message = format!("WATERMARK is FOR a timestamp, {single} is {}", ty.data);
            let label = ty.data.to_string();
            return self.report(windows::bad_watermark(&message, &label, single.span));
        }
        let expr = match &written.expr {
            Some(e) => self.expr(e, &mut ExprCx::rows(&scope, "WATERMARK"))?,
            None => Expr::column(column, ty.clone(), single.span),
        };
        let same_kind = matches!(
            (&expr.ty.data, &ty.data),
            (DataType::Timestamp { .. }, DataType::Timestamp { .. })
                | (DataType::TimestampLtz { .. }, DataType::TimestampLtz { .. })
        );
        if !same_kind {
            let message =
                format!("the watermark of {single} is a {}, not {}", ty.data, expr.ty.data);
            let label = expr.ty.data.to_string();
            return self.report(windows::bad_watermark(&message, &label, expr.span));
        }
        let record_time =
            matches!(drafts[column].source, DraftSource::Metadata(Metadata::Timestamp));
        let expr = over_record(expr, drafts);
        Some(Watermark { column, expr, record_time })
    }

    /// Positions of the primary key among the drafts.
    fn primary_key(&mut self, create: &CreateTable, drafts: &[Draft], several: bool) -> Vec<usize> {
        let mut key: Vec<&Ident> = Vec::new();
        let mut clauses: Vec<Span> = Vec::new();
        for element in create.elements.as_deref().unwrap_or(&[]) {
            match element {
                TableElement::PrimaryKey(def) => {
                    key.extend(&def.columns);
                    clauses.push(def.span);
                }
                TableElement::Column(column) => {
                    let of_record = column.record_key.filter(|_| create.kind == TableKind::Table);
                    if let Some(span) = column.primary_key.or(of_record) {
                        key.push(&column.name);
                        clauses.push(span);
                    }
                }
                TableElement::Watermark(_) => {}
            }
        }
        let Some(first) = clauses.first() else { return Vec::new() };
        if let Some(second) = clauses.get(1).filter(|_| !several) {
            let message = "there is one PRIMARY KEY";
            let help = "Name all its columns in one clause: PRIMARY KEY (a, b) NOT ENFORCED.";
            self.found.push(problems::bad_key(message, "second one", *second, help));
        }
        if create.kind == TableKind::Stream {
            let message = "a stream has no PRIMARY KEY";
            let help = "Write CREATE TABLE for a keyed changelog, or name the record key by \
                        'key.fields'.";
            self.found.push(problems::bad_key(message, "only tables have one", *first, help));
            return Vec::new();
        }
        let mut positions = Vec::with_capacity(key.len());
        for name in key {
            match self.key_column(name, drafts) {
                Some(at) if !positions.contains(&at) => positions.push(at),
                Some(_) => {}
                None => return Vec::new(),
            }
        }
        positions
    }

    fn key_column(&mut self, name: &Ident, drafts: &[Draft]) -> Option<usize> {
        match find(&name.text, drafts.iter().map(|d| d.name.as_str())) {
            Found::One(at) => match drafts[at].source {
                DraftSource::Field => Some(at),
                DraftSource::Metadata(_) | DraftSource::Computed(_) => {
                    let message = format!("{name} is not part of the record");
                    let help = "A key is made of columns that are in the record.";
                    self.report(problems::bad_key(message, "cannot be a key", name.span, help))
                }
            },
            Found::None | Found::Many(_) => {
                let known: Vec<String> = drafts.iter().map(|d| d.name.clone()).collect();
                self.report(names::unknown_column(&name.text, name.span, &known))
            }
        }
    }

    /// Puts finished columns into the relation.
    fn close(
        &mut self,
        id: RelationId,
        drafts: Vec<Draft>,
        watermark: Option<Watermark>,
        primary_key: Vec<usize>,
    ) {
        let keys = self.record_keys(id, &drafts, &primary_key);
        let declared = &mut self.declared[id.0 as usize];
        declared.open = false;
        declared.poisoned = (0..drafts.len()).filter(|at| drafts[*at].ty.is_none()).collect();
        let says_changes = declared.options.says_changes();
        let from_key = declared.options.has_record_keys()
            && !says_changes
            && (!primary_key.is_empty()
                || declared.options.get("value.fields-include") == Some("EXCEPT_KEY"));
        let prefix = declared.options.get("key.fields-prefix").unwrap_or("").to_string();
        let is = |f: Option<&FormatSpec>, name: &str| f.is_some_and(|f| f.name == name);
        let bare = |side: &str, format: Option<&FormatSpec>, columns: usize| {
            let option = |name: &str| declared.options.get(name);
            let json = columns == 1 && is(format, "json") && is_bare_json(option, side);
            is(format, "raw") || json
        };
        let fields = drafts.iter().filter(|d| matches!(d.source, DraftSource::Field)).count();
        let in_key = if from_key { keys.len() } else { 0 };
        let bare_value = bare("value", declared.options.value_format, fields - in_key);
        let bare_key = bare("key", declared.options.key_format, in_key);
        let relation = &mut self.module.relations[id.0 as usize];
        let mut positions = vec![0; drafts.len()];
        for (at, draft) in drafts.into_iter().enumerate() {
            let ty = draft.ty.unwrap_or(Type::nullable(DataType::Null));
            let path = |name: String, bare: bool| if bare { Vec::new() } else { vec![name] };
            let origin = match draft.source {
                DraftSource::Field if from_key && keys.contains(&at) => {
                    let name = draft.name.strip_prefix(&prefix).unwrap_or(&draft.name).to_string();
                    Some(Origin::Key(path(name, bare_key)))
                }
                DraftSource::Field => Some(Origin::Value(path(draft.name.clone(), bare_value))),
                DraftSource::Metadata(metadata) => Some(Origin::Metadata(metadata)),
                DraftSource::Computed(_) => None,
            };
            let source = match (origin, draft.source) {
                (Some(origin), _) => {
                    positions[at] = relation.stream.columns.len();
                    let (name, ty) = (draft.name.clone(), ty.clone());
                    relation.stream.columns.push(StreamColumn { name, ty, origin });
                    ColumnSource::Record(positions[at])
                }
                (None, DraftSource::Computed(Some(expr))) => ColumnSource::Computed(expr),
                (None, _) => {
                    let null = Type::nullable(DataType::Null);
                    ColumnSource::Computed(Expr::literal(
                        flow_ir::value::Value::Null,
                        null,
                        draft.span,
                    ))
                }
            };
            relation.columns.push(RelationColumn {
                name: draft.name,
                ty,
                source,
                span: draft.span,
            });
        }
        relation.watermark = watermark;
        relation.stream.primary_key = primary_key.iter().map(|at| positions[*at]).collect();
        relation.primary_key = primary_key;
    }

    /// Positions of the record key: the primary key, else `key.fields`.
    fn record_keys(
        &mut self,
        id: RelationId,
        drafts: &[Draft],
        primary_key: &[usize],
    ) -> Vec<usize> {
        let declared = &self.declared[id.0 as usize];
        let options = &declared.options;
        let fields = options.key_fields();
        let span = |name: &str| options.value_span(name);
        let at = span("key.fields").or_else(|| span("key.format"));
        let at = at.unwrap_or(self.module.relation(id).span);
        let formatted = options.connector.formatted;
        let keyless_format = options.get("key.format").is_some();
        let no_format = options.key_format.is_none() && !options.says_changes();
        let is_kafka = options.connector.name == "kafka";
        if primary_key.is_empty() && fields.is_empty() {
            let failed = declared.create.is_some_and(has_primary_key);
            if keyless_format && formatted && !failed {
                let help = "Add 'key.fields' = 'a;b', or a PRIMARY KEY.";
                let message = "'key.format' without a key";
                self.found.push(problems::bad_key(message, "no column is the key", at, help));
            }
            return Vec::new();
        }
        if is_kafka && no_format {
            let help = "Add 'key.format' = 'json'.";
            let message = "the record key has no format";
            self.found.push(problems::bad_key(message, "needs 'key.format'", at, help));
        }
        if !primary_key.is_empty() {
            return primary_key.to_vec();
        }
        let mut positions = Vec::with_capacity(fields.len());
        for name in fields {
            match find(&name, drafts.iter().map(|d| d.name.as_str())) {
                Found::One(at) => positions.push(at),
                Found::None | Found::Many(_) => {
                    let message = format!("'key.fields' names {name}, which is no column");
                    let known: Vec<&str> = drafts.iter().map(|d| d.name.as_str()).collect();
                    let help = format!("There is {}.", known.join(", "));
                    self.found.push(problems::bad_key(message, "unknown column", at, &help));
                }
            }
        }
        positions
    }
}

/// The scope of a declaration's own expressions; computed columns count once they are typed.
pub(super) fn draft_scope(drafts: &[Draft], name: &str) -> Scope {
    let column = |draft: &Draft| {
        let ready = !matches!(draft.source, DraftSource::Computed(None)) || draft.ty.is_some();
        ScopeColumn {
            name: draft.name.clone(),
            ty: draft.ty.clone().unwrap_or(Type::nullable(DataType::Null)),
            poisoned: draft.ty.is_none(),
            bare: ready,
            event_time: false,
            declared: Some(draft.span),
            level: 0,
            shared: 0,
        }
    };
    let columns: Vec<ScopeColumn> = drafts.iter().map(column).collect();
    let name = Ident { text: name.to_string(), quoted: false, span: Span::default() };
    let tables = vec![ScopeTable { name: Some(name), columns: 0..columns.len(), level: 0 }];
    Scope { tables, columns, row_key: None }
}

/// The expression with computed columns replaced by what they compute.
pub(super) fn over_record(mut expr: Expr, drafts: &[Draft]) -> Expr {
    expr.rewrite(&mut |e| {
        if let ExprKind::Column(at) = e.kind
            && let DraftSource::Computed(Some(computed)) = &drafts[at].source
        {
            *e = computed.clone();
        }
    });
    expr
}

pub(super) fn has_primary_key(create: &CreateTable) -> bool {
    create.elements.as_deref().unwrap_or(&[]).iter().any(|element| match element {
        TableElement::PrimaryKey(_) => true,
        TableElement::Column(column) => {
            let of_record = create.kind == TableKind::Table && column.record_key.is_some();
            column.primary_key.is_some() || of_record
        }
        TableElement::Watermark(_) => false,
    })
}
