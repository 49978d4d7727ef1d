//! Statements.

use super::{Builder, Node, child, children, has, must};
use crate::diagnostics::syntax;
use crate::syntax::ast::{
    BinaryOp, Change, ColumnDef, ColumnKind, ControlVerb, CreateFunction, CreateIndex, CreateTable,
    CreateType, CreateView, Expr, ExprKind, FunctionParam, Ident, Insert, KeyDef, LikeBehaviour,
    LikeTable, ObjectKind, ObjectName, OnConflict, OptionEntry, OptionValue, OptionValueKind,
    Query, ShowWhat, Statement, StatementKind, Subscribe, TableElement, TableKind, Text, TypeExpr,
    WatermarkDef,
};
use crate::syntax::grammar::Rule;

/// What SHOW takes, for messages.
const SHOWN: &[&str] = &[
    "STREAMS",
    "TABLES",
    "VIEWS",
    "FUNCTIONS",
    "INDEXES",
    "JOBS",
    "TOPICS",
    "SCHEMAS",
    "SETTINGS",
    "COLUMNS FROM",
    "CREATE TABLE",
];

/// What stands between CREATE and the kind of object.
#[derive(Clone, Copy)]
struct Modifiers {
    or_replace: bool,
    temporary: bool,
}

impl Builder<'_> {
    pub(super) fn statement(&mut self, pair: Node<'_>) -> Statement {
        let span = self.span(&pair);
        // EXECUTE may stand before an INSERT or a query, and changes nothing.
        let inner = must(pair.into_inner().find(|c| c.as_rule() != Rule::k_execute));
        let kind = match inner.as_rule() {
            Rule::create => self.create(&inner),
            Rule::insert => StatementKind::Insert(Box::new(self.insert(&inner))),
            Rule::change => StatementKind::Change(Box::new(self.change(&inner))),
            Rule::drop => StatementKind::Drop {
                kind: object_kind(&must(child(
                    &must(child(&inner, Rule::drop_kind)),
                    Rule::object_kind,
                ))),
                temporary: has(&inner, Rule::temporary),
                if_exists: has(&inner, Rule::if_exists),
                name: self.first_name(&inner),
            },
            Rule::show => StatementKind::Show {
                what: self.show_what(&must(child(&inner, Rule::show_what))),
                like: child(&inner, Rule::show_like).and_then(|c| self.first_text(&c)),
            },
            Rule::describe => self.describe(&inner),
            Rule::set => StatementKind::Set(has(&inner, Rule::option_key).then(|| OptionEntry {
                key: self.option_key(&inner),
                value: self.option_value(&inner),
            })),
            Rule::reset => {
                StatementKind::Reset(has(&inner, Rule::option_key).then(|| self.option_key(&inner)))
            }
            Rule::import => StatementKind::Import(must(self.first_text(&inner))),
            Rule::explain => self.explain(&inner),
            Rule::subscribe => StatementKind::Subscribe(Box::new(self.subscribe(&inner))),
            Rule::print => StatementKind::Print {
                topic: must(self.first_text(&inner)),
                from_beginning: has(&inner, Rule::from_beginning),
                // More than that there never is.
                limit: child(&inner, Rule::integer).map(|n| n.as_str().parse().unwrap_or(u64::MAX)),
            },
            Rule::control => self.control(&inner),
            _ => StatementKind::Query(Box::new(self.query(inner))),
        };
        Statement { kind, span }
    }

    fn explain(&mut self, pair: &Node<'_>) -> StatementKind {
        if let Some(job) = child(pair, Rule::analyze_job) {
            return StatementKind::AnalyzeJob(self.first_name(&job));
        }
        let details = child(pair, Rule::explain_details);
        let details = details.map_or_else(Vec::new, |c| self.idents(&c));
        let (span, kind) = if let Some(insert) = child(pair, Rule::insert) {
            let insert = self.insert(&insert);
            (insert.span, StatementKind::Insert(Box::new(insert)))
        } else if let Some(create) = child(pair, Rule::create) {
            (self.span(&create), self.create(&create))
        } else {
            let query = self.first_query(pair);
            (query.span, StatementKind::Query(Box::new(query)))
        };
        StatementKind::Explain { details, statement: Box::new(Statement { kind, span }) }
    }

    fn describe(&mut self, pair: &Node<'_>) -> StatementKind {
        match child(pair, Rule::describe_function) {
            Some(function) => {
                // Also a word that is reserved elsewhere, such as LEFT.
                let name = child(&function, Rule::word).or_else(|| child(&function, Rule::ident));
                StatementKind::DescribeFunction {
                    name: self.ident(&must(name)),
                    extended: has(&function, Rule::extended),
                }
            }
            None => StatementKind::Describe {
                name: self.first_name(pair),
                extended: has(pair, Rule::extended),
            },
        }
    }

    fn control(&self, pair: &Node<'_>) -> StatementKind {
        let verb = if has(pair, Rule::k_pause) {
            ControlVerb::Pause
        } else if has(pair, Rule::k_resume) {
            ControlVerb::Resume
        } else {
            ControlVerb::Stop
        };
        let job = match self.first_text(pair) {
            Some(Text { value, span }) => {
                ObjectName::single(Ident { text: value, quoted: true, span })
            }
            None => self.first_name(pair),
        };
        StatementKind::Control { verb, job }
    }

    fn subscribe(&mut self, pair: &Node<'_>) -> Subscribe {
        match child(pair, Rule::query) {
            Some(query) => Subscribe::Query(Box::new(self.query(query))),
            None => Subscribe::Name(self.first_name(pair)),
        }
    }

    /// The query directly below.
    fn first_query(&mut self, pair: &Node<'_>) -> Query {
        self.query(must(child(pair, Rule::query)))
    }

    fn create(&mut self, pair: &Node<'_>) -> StatementKind {
        let modifiers = Modifiers {
            or_replace: has(pair, Rule::or_replace),
            temporary: has(pair, Rule::temporary),
        };
        let kind = must(child(pair, Rule::create_kind));
        let inner = must(kind.into_inner().next());
        match inner.as_rule() {
            Rule::create_table => {
                StatementKind::CreateTable(Box::new(self.create_table(&inner, modifiers)))
            }
            Rule::create_view => {
                StatementKind::CreateView(Box::new(self.create_view(&inner, modifiers)))
            }
            Rule::create_index => StatementKind::CreateIndex(Box::new(self.create_index(&inner))),
            Rule::create_type => StatementKind::CreateType(Box::new(CreateType {
                or_replace: modifiers.or_replace,
                if_not_exists: has(&inner, Rule::if_not_exists),
                name: self.first_name(&inner),
                ty: self.first_type(&inner),
            })),
            _ => StatementKind::CreateFunction(Box::new(self.create_function(&inner, modifiers))),
        }
    }

    fn create_table(&mut self, pair: &Node<'_>, modifiers: Modifiers) -> CreateTable {
        // CREATE SOURCE alone makes a stream.
        let kind = match child(pair, Rule::table_kind) {
            Some(kind) if !has(&kind, Rule::k_stream) => TableKind::Table,
            Some(_) | None => TableKind::Stream,
        };
        let mut table = CreateTable {
            kind,
            source: has(pair, Rule::k_source),
            temporary: modifiers.temporary,
            or_replace: modifiers.or_replace,
            if_not_exists: has(pair, Rule::if_not_exists),
            name: self.first_name(pair),
            columns: self.column_names(pair),
            elements: child(pair, Rule::table_elements).map(|elements| {
                children(&elements, Rule::table_element)
                    .flat_map(|c| self.table_element(&c))
                    .collect()
            }),
            comment: None,
            partitioned_by: Vec::new(),
            options: Vec::new(),
            like: child(pair, Rule::like_table).map(|c| self.like_table(&c)),
            query: child(pair, Rule::as_query).map(|c| self.first_query(&c)),
        };
        for part in pair.clone().into_inner() {
            match part.as_rule() {
                Rule::comment => table.comment = self.first_text(&part),
                Rule::partitioned => table.partitioned_by = self.ident_list(&part),
                Rule::with_options => table.options.extend(self.options(&part)),
                Rule::encoding => table.options.push(self.encoding(&part)),
                _ => {}
            }
        }
        table
    }

    /// `FORMAT PLAIN ENCODE JSON`: the format of values.
    fn encoding(&self, pair: &Node<'_>) -> OptionEntry {
        let span = self.span(pair);
        let words: Vec<String> =
            children(pair, Rule::word).map(|word| word.as_str().to_lowercase()).collect();
        let text = match &words[..] {
            [format, encode] if format == "debezium" => format!("debezium-{encode}"),
            [_, encode] if encode == "bytes" => String::from("raw"),
            [_, encode] => encode.clone(),
            _ => String::new(),
        };
        let value = OptionValue { text, kind: OptionValueKind::Word, span };
        OptionEntry { key: Text { value: String::from("format"), span }, value }
    }

    /// Names of columns; without a query behind them their types are missing.
    fn column_names(&mut self, pair: &Node<'_>) -> Vec<Ident> {
        let Some(names) = child(pair, Rule::column_names) else { return Vec::new() };
        let behind = child(&names, Rule::comma).or_else(|| child(&names, Rule::rparen));
        if let (Some(behind), None) = (behind, child(pair, Rule::as_query)) {
            let found = format!("'{}'", behind.as_str());
            let expected = ["a type", "AS"].map(str::to_owned);
            self.report(syntax::unexpected_token(self.span(&behind), &found, &expected));
        }
        children(&names, Rule::ident).map(|name| self.ident(&name)).collect()
    }

    fn table_element(&mut self, pair: &Node<'_>) -> Vec<TableElement> {
        let inner = must(pair.clone().into_inner().next());
        let span = self.span(&inner);
        let element = match inner.as_rule() {
            Rule::watermark => TableElement::Watermark(WatermarkDef {
                column: self.first_name(&inner),
                expr: child(&inner, Rule::expr).map(|c| self.expr(c)),
                span,
            }),
            Rule::primary_key => TableElement::PrimaryKey(KeyDef {
                name: child(&inner, Rule::ident).map(|c| self.ident(&c)),
                columns: self.ident_list(&inner),
                span,
            }),
            _ => TableElement::Column(self.column(&inner)),
        };
        let bound = children(&inner, Rule::column_rule)
            .find_map(|rule| child(&rule, Rule::column_bound))
            .map(|bound| TableElement::Watermark(self.column_bound(&inner, &bound)));
        [Some(element), bound].into_iter().flatten().collect()
    }

    /// `LATENESS e` behind a column: WATERMARK FOR column AS column - e.
    fn column_bound(&mut self, column: &Node<'_>, bound: &Node<'_>) -> WatermarkDef {
        let span = self.span(bound);
        let column = ObjectName::single(self.first_ident(column));
        let left = Expr { kind: ExprKind::Name(column.clone()), span };
        let right = Box::new(self.first_expr(bound));
        let kind = ExprKind::Binary { op: BinaryOp::Subtract, left: Box::new(left), right };
        WatermarkDef { column, expr: Some(Expr { kind, span }), span }
    }

    fn column(&mut self, pair: &Node<'_>) -> ColumnDef {
        let kind = match (child(pair, Rule::computed), child(pair, Rule::column_type)) {
            (Some(computed), _) => ColumnKind::Computed(self.first_expr(&computed)),
            (None, column_type) => {
                let column_type = must(column_type);
                let ty = self.first_type(&column_type);
                let headers = child(&column_type, Rule::of_headers);
                let generated = child(&column_type, Rule::generated);
                let computed = generated.map(|generated| self.generated(&generated, ty.clone()));
                match (child(&column_type, Rule::metadata), headers) {
                    (None, None) if computed.is_some() => must(computed),
                    (Some(metadata), _) => ColumnKind::Metadata {
                        ty,
                        from: self.first_text(&metadata),
                        is_virtual: has(&metadata, Rule::k_virtual),
                    },
                    (None, Some(headers)) => {
                        ColumnKind::Headers { ty, key: self.first_text(&headers) }
                    }
                    (None, None) => ColumnKind::Physical(ty),
                }
            }
        };
        let mut column = ColumnDef {
            name: self.first_ident(pair),
            kind,
            primary_key: None,
            record_key: None,
            comment: None,
            span: self.span(pair),
        };
        for rule in children(pair, Rule::column_rule) {
            match child(&rule, Rule::comment) {
                Some(comment) => column.comment = self.first_text(&comment),
                None if has(&rule, Rule::record_key) => column.record_key = Some(self.span(&rule)),
                None if has(&rule, Rule::column_bound) => {}
                None => column.primary_key = Some(self.span(&rule)),
            }
        }
        column
    }

    /// A column of this type that is computed.
    fn generated(&mut self, pair: &Node<'_>, ty: TypeExpr) -> ColumnKind {
        let (arg, span) = (Box::new(self.first_expr(pair)), self.span(pair));
        let kind = ExprKind::Cast { arg, ty, lenient: false, colons: false };
        ColumnKind::Computed(Expr { kind, span })
    }

    fn like_table(&mut self, pair: &Node<'_>) -> LikeTable {
        let options = children(pair, Rule::like_option)
            .map(|option| {
                let behaviour = if has(&option, Rule::k_including) {
                    LikeBehaviour::Including
                } else if has(&option, Rule::k_excluding) {
                    LikeBehaviour::Excluding
                } else {
                    LikeBehaviour::Overwriting
                };
                (behaviour, self.ident(&must(child(&option, Rule::word))))
            })
            .collect();
        LikeTable { name: self.first_name(pair), options, span: self.span(pair) }
    }

    fn create_view(&mut self, pair: &Node<'_>, modifiers: Modifiers) -> CreateView {
        CreateView {
            materialized: has(pair, Rule::k_materialized),
            temporary: modifiers.temporary,
            or_replace: modifiers.or_replace,
            if_not_exists: has(pair, Rule::if_not_exists),
            name: self.first_name(pair),
            columns: child(pair, Rule::view_columns).map_or_else(Vec::new, |columns| {
                children(&columns, Rule::view_column).map(|c| self.first_ident(&c)).collect()
            }),
            comment: child(pair, Rule::comment).and_then(|c| self.first_text(&c)),
            options: self.first_options(pair),
            query: self.first_query(&must(child(pair, Rule::as_query))),
        }
    }

    fn create_index(&mut self, pair: &Node<'_>) -> CreateIndex {
        let mut names = children(pair, Rule::object_name);
        CreateIndex {
            search: has(pair, Rule::k_search),
            if_not_exists: has(pair, Rule::if_not_exists),
            name: self.object_name(&must(names.next())),
            on: self.object_name(&must(names.next())),
            columns: self.ident_list(pair),
            options: self.first_options(pair),
        }
    }

    fn create_function(&mut self, pair: &Node<'_>, modifiers: Modifiers) -> CreateFunction {
        let params = child(pair, Rule::params).map(|params| {
            children(&params, Rule::param)
                .map(|param| FunctionParam {
                    name: self.first_ident(&param),
                    ty: child(&param, Rule::data_type).map(|c| self.type_expr(c)),
                })
                .collect()
        });
        CreateFunction {
            temporary: modifiers.temporary,
            or_replace: modifiers.or_replace,
            if_not_exists: has(pair, Rule::if_not_exists),
            name: self.first_name(pair),
            params,
            returns: child(pair, Rule::returns).map(|c| self.first_type(&c)),
            body: self.first_expr(pair),
            language: child(pair, Rule::language).map(|c| self.first_ident(&c)),
        }
    }

    fn insert(&mut self, pair: &Node<'_>) -> Insert {
        let partition = child(pair, Rule::insert_partition).map_or_else(Vec::new, |partition| {
            children(&partition, Rule::partition_pair)
                .map(|pair| (self.first_ident(&pair), self.option_value(&pair)))
                .collect()
        });
        Insert {
            overwrite: has(pair, Rule::k_overwrite),
            table: self.first_name(pair),
            partition,
            columns: self.ident_list(pair),
            query: self.first_query(pair),
            on_conflict: child(pair, Rule::on_conflict).map(|conflict| {
                let what = if has(&conflict, Rule::k_nothing) {
                    OnConflict::Nothing
                } else if has(&conflict, Rule::k_error) {
                    OnConflict::Error
                } else {
                    OnConflict::Deduplicate
                };
                (what, self.span(&conflict))
            }),
            span: self.span(pair),
        }
    }

    fn change(&mut self, pair: &Node<'_>) -> Change {
        let set = has(pair, Rule::k_update).then(|| {
            children(pair, Rule::assignment)
                .map(|set| (self.first_ident(&set), self.first_expr(&set)))
                .collect()
        });
        Change {
            table: self.first_name(pair),
            set,
            filter: child(pair, Rule::filter_rows).map(|filter| self.first_expr(&filter)),
            span: self.span(pair),
        }
    }

    fn first_options(&mut self, pair: &Node<'_>) -> Vec<OptionEntry> {
        child(pair, Rule::with_options).map_or_else(Vec::new, |c| self.options(&c))
    }

    fn options(&mut self, pair: &Node<'_>) -> Vec<OptionEntry> {
        children(pair, Rule::option)
            .map(|c| OptionEntry { key: self.option_key(&c), value: self.option_value(&c) })
            .collect()
    }

    fn option_key(&mut self, pair: &Node<'_>) -> Text {
        let key = must(child(pair, Rule::option_key));
        match self.first_text(&key) {
            Some(text) => text,
            None => Text { value: key.as_str().trim_end().to_owned(), span: self.span(&key) },
        }
    }

    fn option_value(&mut self, pair: &Node<'_>) -> OptionValue {
        let value = must(child(pair, Rule::option_value));
        let inner = must(value.into_inner().next());
        let span = self.span(&inner);
        let (kind, text) = match inner.as_rule() {
            Rule::string => (OptionValueKind::String, self.text(&inner).value),
            Rule::option_number => (OptionValueKind::Number, inner.as_str().to_owned()),
            _ => (OptionValueKind::Word, inner.as_str().to_owned()),
        };
        OptionValue { text, kind, span }
    }

    fn show_what(&mut self, pair: &Node<'_>) -> ShowWhat {
        let inner = must(pair.clone().into_inner().next());
        match inner.as_rule() {
            Rule::show_create => {
                let kind = object_kind(&must(child(&inner, Rule::object_kind)));
                ShowWhat::Create(kind, self.first_name(&inner))
            }
            Rule::show_columns => ShowWhat::Columns(self.first_name(&inner)),
            _ => {
                let words: Vec<String> =
                    self.idents(&inner).iter().map(|word| word.text.to_uppercase()).collect();
                let words = words.join(" ");
                let of = child(pair, Rule::show_of).map(|of| self.first_name(&of));
                shown(&words, of).unwrap_or_else(|| {
                    let at = self.span(&inner);
                    self.report(syntax::unknown_object_kind(at, "SHOW", &words, SHOWN));
                    ShowWhat::Tables
                })
            }
        }
    }
}

/// What the words stand for; only indexes are shown `of` something.
fn shown(words: &str, of: Option<ObjectName>) -> Option<ShowWhat> {
    let what = match words {
        "INDEX" | "INDEXES" | "SEARCH INDEXES" => ShowWhat::Indexes(of),
        _ if of.is_some() => return None,
        "STREAMS" => ShowWhat::Streams,
        "TABLES" => ShowWhat::Tables,
        "VIEWS" | "MATERIALIZED VIEWS" => ShowWhat::Views,
        "FUNCTIONS" => ShowWhat::Functions,
        "JOBS" | "QUERIES" => ShowWhat::Jobs,
        "TOPICS" => ShowWhat::Topics,
        "SCHEMAS" => ShowWhat::Schemas,
        "SETTINGS" | "PROPERTIES" => ShowWhat::Settings,
        _ => return None,
    };
    Some(what)
}

fn object_kind(pair: &Node<'_>) -> ObjectKind {
    if has(pair, Rule::k_stream) {
        ObjectKind::Stream
    } else if has(pair, Rule::k_table) {
        ObjectKind::Table
    } else if has(pair, Rule::k_view) {
        ObjectKind::View
    } else if has(pair, Rule::k_search) {
        ObjectKind::SearchIndex
    } else if has(pair, Rule::k_index) {
        ObjectKind::Index
    } else if has(pair, Rule::k_type) {
        ObjectKind::Type
    } else if has(pair, Rule::k_job) {
        ObjectKind::Job
    } else {
        ObjectKind::Function
    }
}
