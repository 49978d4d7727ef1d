//! The AST as canonical text: keywords in capitals, a clause a line, subqueries indented, only the
//! parentheses that precedence needs. Parsing the text gives the same tree again, apart from spans.
//! Comments are not in the tree and so not in the text.

mod expr;
mod query;
mod statement;
mod within;

use super::ast::{
    Ast, Expr, FieldType, Ident, IntervalUnits, ObjectName, OptionEntry, OptionValue,
    OptionValueKind, Query, Statement, Text, TimeZoneClause, TypeExpr, TypeKind,
};
use super::pratt::Precedence;

/// Columns that a nested query is set in.
const INDENT_COLUMNS: usize = 2;

/// A whole file; each statement ends with a semicolon and a line break.
pub fn file(ast: &Ast) -> String {
    let mut printer = Printer::default();
    for statement in &ast.statements {
        printer.statement(statement);
        printer.push(";\n");
    }
    printer.out
}

/// One statement, without a semicolon.
pub fn statement(statement: &Statement) -> String {
    let mut printer = Printer::default();
    printer.statement(statement);
    printer.out
}

/// One query.
pub fn query(query: &Query) -> String {
    let mut printer = Printer::default();
    printer.query(query);
    printer.out
}

/// One expression.
pub fn expr(expr: &Expr) -> String {
    let mut printer = Printer::default();
    printer.expr(expr, Precedence::Lowest);
    printer.out
}

/// One type.
pub fn data_type(ty: &TypeExpr) -> String {
    let mut printer = Printer::default();
    printer.data_type(ty);
    printer.out
}

#[derive(Default)]
struct Printer {
    out: String,
    indent: usize,
}

impl Printer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// A line break and the indentation.
    fn line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', self.indent));
    }

    /// What `inner` prints, on lines of its own, set in, between parentheses.
    fn block(&mut self, inner: impl FnOnce(&mut Self)) {
        self.push("(");
        self.indent += INDENT_COLUMNS;
        self.line();
        inner(self);
        self.indent -= INDENT_COLUMNS;
        self.line();
        self.push(")");
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            each(self, item);
        }
    }

    fn ident(&mut self, ident: &Ident) {
        if ident.quoted {
            let doubled = ident.text.replace('"', "\"\"");
            self.push(&format!("\"{doubled}\""));
        } else {
            self.push(&ident.text);
        }
    }

    fn idents(&mut self, idents: &[Ident]) {
        self.list(idents, |p, ident| p.ident(ident));
    }

    /// ` (a, b)`; nothing for an empty list.
    fn columns(&mut self, columns: &[Ident]) {
        if !columns.is_empty() {
            self.push(" (");
            self.idents(columns);
            self.push(")");
        }
    }

    fn name(&mut self, name: &ObjectName) {
        for (i, part) in name.parts.iter().enumerate() {
            if i > 0 {
                self.push(".");
            }
            self.ident(part);
        }
    }

    fn text(&mut self, text: &Text) {
        self.string(&text.value);
    }

    fn string(&mut self, text: &str) {
        let doubled = text.replace('\'', "''");
        self.push(&format!("'{doubled}'"));
    }

    fn option_entry(&mut self, entry: &OptionEntry) {
        self.text(&entry.key);
        self.push(" = ");
        self.option_value(&entry.value);
    }

    fn option_value(&mut self, value: &OptionValue) {
        match value.kind {
            OptionValueKind::String => self.string(&value.text),
            OptionValueKind::Number | OptionValueKind::Word => self.push(&value.text),
        }
    }

    fn data_type(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeKind::Named { name, params, zone } => {
                self.ident(name);
                if !params.is_empty() {
                    self.push("(");
                    self.list(params, |p, param| p.push(&param.value.to_string()));
                    self.push(")");
                }
                self.push(match zone {
                    TimeZoneClause::None => "",
                    TimeZoneClause::Without => " WITHOUT TIME ZONE",
                    TimeZoneClause::With => " WITH TIME ZONE",
                    TimeZoneClause::WithLocal => " WITH LOCAL TIME ZONE",
                });
            }
            TypeKind::Interval(units) => {
                self.push("INTERVAL");
                self.units(units.as_ref());
            }
            TypeKind::Array(item) => self.type_of_one("ARRAY", item),
            TypeKind::Multiset(item) => self.type_of_one("MULTISET", item),
            TypeKind::Map(key, value) => {
                self.push("MAP<");
                self.data_type(key);
                self.push(", ");
                self.data_type(value);
                self.push(">");
            }
            TypeKind::Row(fields) => {
                self.push("ROW<");
                self.list(fields, Self::field_type);
                self.push(">");
            }
        }
        match ty.nullable {
            Some(true) => self.push(" NULL"),
            Some(false) => self.push(" NOT NULL"),
            None => {}
        }
    }

    fn type_of_one(&mut self, name: &str, item: &TypeExpr) {
        self.push(name);
        self.push("<");
        self.data_type(item);
        self.push(">");
    }

    fn field_type(&mut self, field: &FieldType) {
        self.ident(&field.name);
        self.push(" ");
        self.data_type(&field.ty);
        if let Some(comment) = &field.comment {
            self.push(" COMMENT ");
            self.text(comment);
        }
    }

    fn units(&mut self, units: Option<&IntervalUnits>) {
        if let Some(units) = units {
            self.push(" ");
            self.push(units.from.word());
            if let Some(to) = units.to {
                self.push(" TO ");
                self.push(to.word());
            }
        }
    }
}
