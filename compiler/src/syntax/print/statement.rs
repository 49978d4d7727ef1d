//! Statements as text.

use super::Printer;
use crate::syntax::ast::{
    Change, ColumnDef, ColumnKind, ControlVerb, CreateFunction, CreateIndex, CreateTable,
    CreateView, Ident, Insert, LikeBehaviour, ObjectKind, ObjectName, OptionEntry, ShowWhat,
    Statement, StatementKind, Subscribe, TableElement, TableKind, Text,
};
use crate::syntax::pratt::Precedence;

impl Printer {
    pub(super) fn statement(&mut self, statement: &Statement) {
        match &statement.kind {
            StatementKind::CreateTable(table) => self.create_table(table),
            StatementKind::CreateView(view) => self.create_view(view),
            StatementKind::CreateIndex(index) => self.create_index(index),
            StatementKind::CreateFunction(function) => self.create_function(function),
            StatementKind::CreateType(made) => {
                let (replace, keep) = (made.or_replace, made.if_not_exists);
                self.create(replace, false, "TYPE", keep, &made.name);
                self.push(" AS ");
                self.data_type(&made.ty);
            }
            StatementKind::Insert(insert) => self.insert(insert),
            StatementKind::Change(change) => self.change(change),
            StatementKind::StatementSet(inserts) => {
                self.push("EXECUTE ");
                self.statement_set(inserts);
            }
            StatementKind::Query(query) => self.query(query),
            StatementKind::Subscribe(to) => {
                self.push("SUBSCRIBE TO ");
                match &**to {
                    Subscribe::Name(name) => self.name(name),
                    Subscribe::Query(query) => self.query(query),
                }
            }
            StatementKind::Explain { details, statement } => self.explain(details, statement),
            StatementKind::AnalyzeJob(job) => {
                self.push("EXPLAIN ANALYZE JOB ");
                self.name(job);
            }
            StatementKind::Control { verb, job } => {
                self.push(control(*verb));
                self.name(job);
            }
            StatementKind::Show { what, like } => self.show(what, like.as_ref()),
            StatementKind::Describe { name, extended } => {
                self.push(if *extended { "DESCRIBE EXTENDED " } else { "DESCRIBE " });
                self.name(name);
            }
            StatementKind::DescribeFunction { name, extended } => {
                self.describe_function(name, *extended);
            }
            StatementKind::Drop { kind, temporary, if_exists, name } => {
                self.push(if *temporary { "DROP TEMPORARY " } else { "DROP " });
                self.push(object_kind(*kind));
                self.push(if *if_exists { " IF EXISTS " } else { " " });
                self.name(name);
            }
            StatementKind::Set(None) => self.push("SET"),
            StatementKind::Set(Some(entry)) => {
                self.push("SET ");
                self.option_entry(entry);
            }
            StatementKind::Reset(None) => self.push("RESET"),
            StatementKind::Reset(Some(key)) => {
                self.push("RESET ");
                self.text(key);
            }
            StatementKind::Import(file) => {
                self.push("IMPORT ");
                self.text(file);
            }
            StatementKind::Print { topic, from_beginning, limit } => {
                self.print_topic(topic, *from_beginning, *limit);
            }
        }
    }

    fn print_topic(&mut self, topic: &Text, from_beginning: bool, limit: Option<u64>) {
        self.push("PRINT ");
        self.text(topic);
        self.push(if from_beginning { " FROM BEGINNING" } else { "" });
        if let Some(limit) = limit {
            self.push(&format!(" LIMIT {limit}"));
        }
    }

    fn describe_function(&mut self, name: &Ident, extended: bool) {
        self.push("DESCRIBE FUNCTION ");
        self.push(if extended { "EXTENDED " } else { "" });
        match name.quoted {
            true => self.ident(name),
            false => self.push(&name.text),
        }
    }

    fn explain(&mut self, details: &[Ident], statement: &Statement) {
        self.push("EXPLAIN ");
        if let StatementKind::StatementSet(inserts) = &statement.kind {
            return self.statement_set(inserts);
        }
        self.idents(details);
        self.push(if details.is_empty() { "" } else { " " });
        self.statement(statement);
    }

    fn statement_set(&mut self, inserts: &[Insert]) {
        self.push("STATEMENT SET BEGIN");
        for insert in inserts {
            self.line();
            self.insert(insert);
            self.push(";");
        }
        self.line();
        self.push("END");
    }

    /// `CREATE OR REPLACE TEMPORARY kind IF NOT EXISTS name`.
    fn create(
        &mut self,
        or_replace: bool,
        temporary: bool,
        kind: &str,
        if_not_exists: bool,
        name: &ObjectName,
    ) {
        self.push(if or_replace { "CREATE OR REPLACE " } else { "CREATE " });
        self.push(if temporary { "TEMPORARY " } else { "" });
        self.push(kind);
        self.push(if if_not_exists { " IF NOT EXISTS " } else { " " });
        self.name(name);
    }

    fn create_table(&mut self, table: &CreateTable) {
        let kind = match (table.source, table.kind) {
            (false, TableKind::Stream) => "STREAM",
            (false, TableKind::Table) => "TABLE",
            (true, TableKind::Stream) => "SOURCE STREAM",
            (true, TableKind::Table) => "SOURCE TABLE",
        };
        self.create(table.or_replace, table.temporary, kind, table.if_not_exists, &table.name);
        if !table.columns.is_empty() {
            self.push(" ");
            self.columns(&table.columns);
        }
        if let Some(elements) = &table.elements {
            self.push(" ");
            self.block(|p| {
                for (i, element) in elements.iter().enumerate() {
                    if i > 0 {
                        p.push(",");
                        p.line();
                    }
                    p.table_element(element);
                }
            });
        }
        self.comment(table.comment.as_ref());
        if !table.partitioned_by.is_empty() {
            self.push(" PARTITIONED BY");
            self.columns(&table.partitioned_by);
        }
        self.options(&table.options);
        if let Some(like) = &table.like {
            self.push(" LIKE ");
            self.name(&like.name);
            if !like.options.is_empty() {
                self.push(" (");
                for (i, (behaviour, part)) in like.options.iter().enumerate() {
                    self.push(if i > 0 { " " } else { "" });
                    self.push(match behaviour {
                        LikeBehaviour::Including => "INCLUDING ",
                        LikeBehaviour::Excluding => "EXCLUDING ",
                        LikeBehaviour::Overwriting => "OVERWRITING ",
                    });
                    self.ident(part);
                }
                self.push(")");
            }
        }
        if let Some(query) = &table.query {
            self.push(" AS");
            self.line();
            self.query(query);
        }
    }

    fn table_element(&mut self, element: &TableElement) {
        match element {
            TableElement::Column(column) => self.column(column),
            TableElement::Watermark(watermark) => {
                self.push("WATERMARK FOR ");
                self.name(&watermark.column);
                if let Some(expr) = &watermark.expr {
                    self.push(" AS ");
                    self.expr(expr, Precedence::Lowest);
                }
            }
            TableElement::PrimaryKey(key) => {
                if let Some(name) = &key.name {
                    self.push("CONSTRAINT ");
                    self.ident(name);
                    self.push(" ");
                }
                self.push("PRIMARY KEY");
                self.columns(&key.columns);
                self.push(" NOT ENFORCED");
            }
        }
    }

    fn column(&mut self, column: &ColumnDef) {
        self.ident(&column.name);
        match &column.kind {
            ColumnKind::Physical(ty) => {
                self.push(" ");
                self.data_type(ty);
            }
            ColumnKind::Computed(expr) => {
                self.push(" AS ");
                self.expr(expr, Precedence::Lowest);
            }
            ColumnKind::Headers { ty, key } => {
                self.push(" ");
                self.data_type(ty);
                match key {
                    None => self.push(" HEADERS"),
                    Some(key) => {
                        self.push(" HEADER(");
                        self.text(key);
                        self.push(")");
                    }
                }
            }
            ColumnKind::Metadata { ty, from, is_virtual } => {
                self.push(" ");
                self.data_type(ty);
                self.push(" METADATA");
                if let Some(from) = from {
                    self.push(" FROM ");
                    self.text(from);
                }
                self.push(if *is_virtual { " VIRTUAL" } else { "" });
            }
        }
        if column.primary_key.is_some() {
            self.push(" PRIMARY KEY NOT ENFORCED");
        }
        self.push(if column.record_key.is_some() { " KEY" } else { "" });
        self.comment(column.comment.as_ref());
    }

    /// ` COMMENT '…'`, or nothing.
    fn comment(&mut self, comment: Option<&Text>) {
        if let Some(comment) = comment {
            self.push(" COMMENT ");
            self.text(comment);
        }
    }

    /// ` WITH (…)`, one option a line, or nothing.
    fn options(&mut self, options: &[OptionEntry]) {
        if options.is_empty() {
            return;
        }
        self.push(" WITH ");
        self.block(|p| {
            for (i, entry) in options.iter().enumerate() {
                if i > 0 {
                    p.push(",");
                    p.line();
                }
                p.option_entry(entry);
            }
        });
    }

    fn create_view(&mut self, view: &CreateView) {
        let kind = if view.materialized { "MATERIALIZED VIEW" } else { "VIEW" };
        self.create(view.or_replace, view.temporary, kind, view.if_not_exists, &view.name);
        self.columns(&view.columns);
        self.comment(view.comment.as_ref());
        self.options(&view.options);
        self.push(" AS");
        self.line();
        self.query(&view.query);
    }

    fn create_index(&mut self, index: &CreateIndex) {
        let kind = if index.search { "SEARCH INDEX" } else { "INDEX" };
        self.create(false, false, kind, index.if_not_exists, &index.name);
        self.push(" ON ");
        self.name(&index.on);
        self.columns(&index.columns);
        self.options(&index.options);
    }

    fn create_function(&mut self, function: &CreateFunction) {
        self.create(
            function.or_replace,
            function.temporary,
            "FUNCTION",
            function.if_not_exists,
            &function.name,
        );
        if let Some(params) = &function.params {
            self.push(" (");
            self.list(params, |p, param| {
                p.ident(&param.name);
                if let Some(ty) = &param.ty {
                    p.push(" ");
                    p.data_type(ty);
                }
            });
            self.push(")");
        }
        if let Some(returns) = &function.returns {
            self.push(" RETURNS ");
            self.data_type(returns);
        }
        self.push(" AS ");
        self.expr(&function.body, Precedence::Lowest);
        if let Some(language) = &function.language {
            self.push(" LANGUAGE ");
            self.ident(language);
        }
    }

    fn insert(&mut self, insert: &Insert) {
        self.push(if insert.overwrite { "INSERT OVERWRITE " } else { "INSERT INTO " });
        self.name(&insert.table);
        if !insert.partition.is_empty() {
            self.push(" PARTITION (");
            self.list(&insert.partition, |p, (name, value)| {
                p.ident(name);
                p.push(" = ");
                p.option_value(value);
            });
            self.push(")");
        }
        self.columns(&insert.columns);
        self.line();
        self.query(&insert.query);
        if let Some((what, _)) = &insert.on_conflict {
            self.line();
            self.push("ON CONFLICT DO ");
            self.push(what.word());
        }
    }

    fn change(&mut self, change: &Change) {
        self.push(if change.set.is_some() { "UPDATE " } else { "DELETE FROM " });
        self.name(&change.table);
        if let Some(sets) = &change.set {
            self.line();
            self.push("SET ");
            self.list(sets, |p, (column, value)| {
                p.ident(column);
                p.push(" = ");
                p.expr(value, Precedence::Or);
            });
        }
        if let Some(filter) = &change.filter {
            self.line();
            self.push("WHERE ");
            self.expr(filter, Precedence::Or);
        }
    }

    fn show(&mut self, what: &ShowWhat, like: Option<&Text>) {
        self.push("SHOW ");
        match what {
            ShowWhat::Streams => self.push("STREAMS"),
            ShowWhat::Tables => self.push("TABLES"),
            ShowWhat::Views => self.push("VIEWS"),
            ShowWhat::Functions => self.push("FUNCTIONS"),
            ShowWhat::Indexes(of) => {
                self.push("INDEXES");
                if let Some(of) = of {
                    self.push(" FROM ");
                    self.name(of);
                }
            }
            ShowWhat::Jobs => self.push("JOBS"),
            ShowWhat::Topics => self.push("TOPICS"),
            ShowWhat::Schemas => self.push("SCHEMAS"),
            ShowWhat::Settings => self.push("SETTINGS"),
            ShowWhat::Columns(name) => {
                self.push("COLUMNS FROM ");
                self.name(name);
            }
            ShowWhat::Create(kind, name) => {
                self.push("CREATE ");
                self.push(object_kind(*kind));
                self.push(" ");
                self.name(name);
            }
        }
        if let Some(like) = like {
            self.push(" LIKE ");
            self.text(like);
        }
    }
}

fn control(verb: ControlVerb) -> &'static str {
    match verb {
        ControlVerb::Stop => "STOP JOB ",
        ControlVerb::Pause => "PAUSE JOB ",
        ControlVerb::Resume => "RESUME JOB ",
    }
}

fn object_kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Stream => "STREAM",
        ObjectKind::Table => "TABLE",
        ObjectKind::View => "VIEW",
        ObjectKind::Index => "INDEX",
        ObjectKind::SearchIndex => "SEARCH INDEX",
        ObjectKind::Function => "FUNCTION",
        ObjectKind::Type => "TYPE",
        ObjectKind::Job => "JOB",
    }
}
