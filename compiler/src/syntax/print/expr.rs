//! Expressions as text.

use super::Printer;
use crate::syntax::ast::{
    Arg, ArgValue, BinaryOp, Call, Expr, ExprKind, Ident, IsTest, JsonClauses, JsonOn, JsonWrapper,
    LikeKind, Literal, NullTreatment, OrderItem, Over, Quantifier, Query, TableArg, TableArgSource,
    TrimSide, TypedKind, UnaryOp,
};
use crate::syntax::build::BARE_FUNCTIONS;
use crate::syntax::pratt::Precedence;

impl Printer {
    /// An expression in a place that takes operators from `least` on; looser ones get parentheses.
    pub(super) fn expr(&mut self, expr: &Expr, least: Precedence) {
        if Precedence::of(expr) < least {
            self.push("(");
            self.bare(expr);
            self.push(")");
        } else {
            self.bare(expr);
        }
    }

    pub(super) fn exprs(&mut self, exprs: &[Expr]) {
        self.list(exprs, |p, expr| p.expr(expr, Precedence::Lowest));
    }

    fn bare(&mut self, expr: &Expr) {
        let own = Precedence::of(expr);
        match &expr.kind {
            ExprKind::Literal(literal) => self.literal(literal),
            ExprKind::Name(name) => self.name(name),
            ExprKind::Unary { op, arg } => self.unary(*op, arg, own),
            ExprKind::Binary { op, left, right } => {
                self.around(left, own, binary(*op));
                self.expr(right, own.tighter());
            }
            ExprKind::And(args) => self.chain(args, " AND ", own),
            ExprKind::Or(args) => self.chain(args, " OR ", own),
            ExprKind::Not(arg) => {
                self.push("NOT ");
                self.expr(arg, own);
            }
            ExprKind::Is { arg, test, negated } => {
                self.negatable(arg, own, [" IS ", " IS NOT "], *negated);
                self.push(is_test(*test));
            }
            ExprKind::IsDistinctFrom { left, right, negated } => {
                let words = [" IS DISTINCT FROM ", " IS NOT DISTINCT FROM "];
                self.negatable(left, own, words, *negated);
                self.expr(right, Precedence::Concat);
            }
            ExprKind::Between { arg, low, high, symmetric, negated } => {
                self.negatable(arg, own, [" BETWEEN ", " NOT BETWEEN "], *negated);
                self.push(if *symmetric { "SYMMETRIC " } else { "" });
                self.around(low, Precedence::Concat, " AND ");
                self.expr(high, Precedence::Concat);
            }
            ExprKind::InList { arg, list, negated } => {
                self.negatable(arg, own, [" IN ", " NOT IN "], *negated);
                self.tuple(list);
            }
            ExprKind::InQuery { arg, query, negated } => {
                self.negatable(arg, own, [" IN ", " NOT IN "], *negated);
                self.subquery(query);
            }
            ExprKind::Like { kind, arg, pattern, escape, negated } => {
                self.negatable(arg, own, like(*kind), *negated);
                self.like_pattern(pattern, escape.as_deref());
            }
            ExprKind::Quantified { arg, op, quantifier, set } => {
                self.around(arg, own, binary(*op));
                self.quantified(*quantifier, set);
            }
            ExprKind::AtTimeZone { arg, zone } => {
                self.around(arg, own, " AT TIME ZONE ");
                self.expr(zone, Precedence::Access);
            }
            ExprKind::Index { arg, index } => {
                self.around(arg, own, "[");
                self.around(index, Precedence::Lowest, "]");
            }
            ExprKind::Slice { arg, from, to } => {
                self.slice(arg, own, [from.as_deref(), to.as_deref()]);
            }
            ExprKind::Field { arg, name } => self.field(arg, name, own),
            ExprKind::Exists(_)
            | ExprKind::Subquery(_)
            | ExprKind::Case { .. }
            | ExprKind::Cast { .. }
            | ExprKind::Array(_)
            | ExprKind::Map(_)
            | ExprKind::Row(_)
            | ExprKind::Trim { .. }
            | ExprKind::Call(_) => self.closed(&expr.kind),
        }
    }

    /// The forms that begin and end with words or brackets of their own.
    fn closed(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::Exists(query) => {
                self.push("EXISTS ");
                self.subquery(query);
            }
            ExprKind::Subquery(query) => self.subquery(query),
            ExprKind::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref());
            }
            ExprKind::Cast { arg, ty, colons: true, .. } => {
                self.around(arg, Precedence::Access, "::");
                self.data_type(ty);
            }
            ExprKind::Cast { arg, ty, lenient, .. } => {
                self.push(if *lenient { "TRY_CAST(" } else { "CAST(" });
                self.around(arg, Precedence::Lowest, " AS ");
                self.data_type(ty);
                self.push(")");
            }
            ExprKind::Array(items) => {
                self.push("ARRAY[");
                self.exprs(items);
                self.push("]");
            }
            ExprKind::Map(entries) => {
                self.push("MAP[");
                self.list(entries, |p, (key, value)| {
                    p.around(key, Precedence::Lowest, ", ");
                    p.expr(value, Precedence::Lowest);
                });
                self.push("]");
            }
            ExprKind::Row(fields) => {
                self.push("ROW");
                self.tuple(fields);
            }
            ExprKind::Trim { side, what, arg } => self.trim(*side, what.as_deref(), arg),
            ExprKind::Call(call) => self.call(call),
            ExprKind::Literal(_)
            | ExprKind::Name(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary { .. }
            | ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Not(_)
            | ExprKind::Is { .. }
            | ExprKind::IsDistinctFrom { .. }
            | ExprKind::Between { .. }
            | ExprKind::InList { .. }
            | ExprKind::InQuery { .. }
            | ExprKind::Like { .. }
            | ExprKind::Quantified { .. }
            | ExprKind::AtTimeZone { .. }
            | ExprKind::Index { .. }
            | ExprKind::Slice { .. }
            | ExprKind::Field { .. } => debug_assert!(false, "`bare` prints these"),
        }
    }

    /// `x[from:to]`.
    fn slice(&mut self, arg: &Expr, own: Precedence, [from, to]: [Option<&Expr>; 2]) {
        self.around(arg, own, "[");
        from.into_iter().for_each(|from| self.expr(from, Precedence::Lowest));
        self.push(":");
        to.into_iter().for_each(|to| self.expr(to, Precedence::Lowest));
        self.push("]");
    }

    /// What LIKE compares with.
    fn like_pattern(&mut self, pattern: &Expr, escape: Option<&Expr>) {
        self.expr(pattern, Precedence::Concat);
        if let Some(escape) = escape {
            self.push(" ESCAPE ");
            self.expr(escape, Precedence::Concat);
        }
    }

    /// An operand and what stands behind it.
    fn around(&mut self, expr: &Expr, least: Precedence, behind: &str) {
        self.expr(expr, least);
        self.push(behind);
    }

    /// An operand and one of two wordings of the operator behind it.
    fn negatable(&mut self, arg: &Expr, own: Precedence, words: [&str; 2], negated: bool) {
        self.around(arg, own, words[usize::from(negated)]);
    }

    /// `(a, b)`.
    fn tuple(&mut self, items: &[Expr]) {
        self.push("(");
        self.exprs(items);
        self.push(")");
    }

    fn unary(&mut self, op: UnaryOp, arg: &Expr, own: Precedence) {
        self.push(match op {
            UnaryOp::BitNot => "~",
            UnaryOp::Minus => "-",
            UnaryOp::Plus => "+",
        });
        // Two signs in a row would be a comment.
        self.push(if matches!(arg.kind, ExprKind::Unary { .. }) { " " } else { "" });
        self.expr(arg, own);
    }

    fn chain(&mut self, args: &[Expr], word: &str, own: Precedence) {
        for (i, arg) in args.iter().enumerate() {
            self.push(if i > 0 { word } else { "" });
            self.expr(arg, own.tighter());
        }
    }

    fn quantified(&mut self, quantifier: Quantifier, set: &Expr) {
        self.push(match quantifier {
            Quantifier::Any => "ANY ",
            Quantifier::All => "ALL ",
        });
        match &set.kind {
            ExprKind::Subquery(query) => self.subquery(query),
            ExprKind::Row(items) if items.len() > 1 => self.tuple(items),
            _ => self.tuple(std::slice::from_ref(set)),
        }
    }

    fn field(&mut self, arg: &Expr, name: &Ident, own: Precedence) {
        // A name, a number or a function without parentheses would swallow the field.
        let swallows = match &arg.kind {
            ExprKind::Call(call) => call.args.is_empty(),
            kind => matches!(kind, ExprKind::Name(_) | ExprKind::Literal(_)),
        };
        if swallows {
            self.tuple(std::slice::from_ref(arg));
        } else {
            self.expr(arg, own);
        }
        self.push(".");
        self.ident(name);
    }

    pub(super) fn subquery(&mut self, query: &Query) {
        self.block(|p| p.query(query));
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) {
        self.push("CASE");
        if let Some(operand) = operand {
            self.push(" ");
            self.expr(operand, Precedence::Lowest);
        }
        for (when, then) in branches {
            self.push(" WHEN ");
            self.expr(when, Precedence::Lowest);
            self.push(" THEN ");
            self.expr(then, Precedence::Lowest);
        }
        if let Some(otherwise) = otherwise {
            self.push(" ELSE ");
            self.expr(otherwise, Precedence::Lowest);
        }
        self.push(" END");
    }

    fn trim(&mut self, side: TrimSide, what: Option<&Expr>, arg: &Expr) {
        self.push("TRIM(");
        self.push(match side {
            // The grammar takes a side only before some forms of expression.
            TrimSide::Both if what.is_some() => "",
            TrimSide::Both => "BOTH ",
            TrimSide::Leading => "LEADING ",
            TrimSide::Trailing => "TRAILING ",
        });
        if let Some(what) = what {
            self.expr(what, Precedence::Lowest);
            self.push(" ");
        }
        self.push("FROM ");
        self.expr(arg, Precedence::Lowest);
        self.push(")");
    }

    fn call(&mut self, call: &Call) {
        let word = call.name.as_single().filter(|name| !name.quoted).map(|n| n.text.to_uppercase());
        let word = word.unwrap_or_default();
        self.name(&call.name);
        let bare = call.args.is_empty() && BARE_FUNCTIONS.contains(&word.as_str());
        if bare && call.over.is_none() && call.filter.is_none() {
            return;
        }
        self.push("(");
        if call.distinct {
            self.push("DISTINCT ");
        }
        for (i, arg) in call.args.iter().enumerate() {
            if i > 0 {
                self.push(match (word.as_str(), &arg.value) {
                    ("EXTRACT", _) => " FROM ",
                    ("CEIL" | "CEILING" | "FLOOR", ArgValue::Unit(_)) => " TO ",
                    _ => ", ",
                });
            }
            self.arg(arg);
        }
        self.json_clauses(&call.json);
        self.order_by_inside(&call.order_by);
        self.push(")");
        if !call.within_group.is_empty() {
            self.push(" WITHIN GROUP (ORDER BY ");
            self.order_items(&call.within_group);
            self.push(")");
        }
        if let Some(filter) = &call.filter {
            self.push(" FILTER (WHERE ");
            self.expr(filter, Precedence::Lowest);
            self.push(")");
        }
        match call.nulls {
            Some(NullTreatment::Ignore) => self.push(" IGNORE NULLS"),
            Some(NullTreatment::Respect) => self.push(" RESPECT NULLS"),
            None => {}
        }
        match &call.over {
            Some(Over::Named(name)) => {
                self.push(" OVER ");
                self.ident(name);
            }
            Some(Over::Spec(spec)) => {
                self.push(" OVER ");
                self.window_spec(spec);
            }
            None => {}
        }
    }

    fn json_clauses(&mut self, json: &JsonClauses) {
        if let Some(ty) = &json.returning {
            self.push(" RETURNING ");
            self.data_type(ty);
        }
        match json.wrapper {
            Some(JsonWrapper::Without) => self.push(" WITHOUT WRAPPER"),
            Some(JsonWrapper::Conditional) => self.push(" WITH CONDITIONAL WRAPPER"),
            Some(JsonWrapper::Unconditional) => self.push(" WITH WRAPPER"),
            None => {}
        }
        for (on, when) in [(&json.on_empty, " ON EMPTY"), (&json.on_error, " ON ERROR")] {
            let Some(on) = on else { continue };
            match on {
                JsonOn::Null => self.push(" NULL"),
                JsonOn::Error => self.push(" ERROR"),
                JsonOn::True => self.push(" TRUE"),
                JsonOn::False => self.push(" FALSE"),
                JsonOn::Unknown => self.push(" UNKNOWN"),
                JsonOn::EmptyArray => self.push(" EMPTY ARRAY"),
                JsonOn::EmptyObject => self.push(" EMPTY OBJECT"),
                JsonOn::Default(value) => {
                    self.push(" DEFAULT ");
                    self.expr(value, Precedence::Lowest);
                }
            }
            self.push(when);
        }
        match json.nulls {
            Some(true) => self.push(" NULL ON NULL"),
            Some(false) => self.push(" ABSENT ON NULL"),
            None => {}
        }
    }

    pub(super) fn arg(&mut self, arg: &Arg) {
        if let Some(name) = &arg.name {
            self.ident(name);
            self.push(" => ");
        }
        match &arg.value {
            // A name before `->` would be read as a lambda's.
            ArgValue::Expr(expr) if is_arrow(expr) => self.tuple(std::slice::from_ref(expr)),
            ArgValue::Expr(expr) => self.expr(expr, Precedence::Lowest),
            ArgValue::Wildcard => self.push("*"),
            ArgValue::Unit(unit) => self.push(unit.word()),
            ArgValue::Lambda { params, body } => {
                self.push("(");
                self.idents(params);
                self.push(") -> ");
                self.expr(body, Precedence::Lowest);
            }
            ArgValue::Table(table) => self.table_arg(table),
            ArgValue::Descriptor(columns) => {
                self.push("DESCRIPTOR(");
                self.idents(columns);
                self.push(")");
            }
        }
    }

    fn table_arg(&mut self, table: &TableArg) {
        self.push("TABLE ");
        match &table.source {
            TableArgSource::Named(name) => self.name(name),
            TableArgSource::Query(query) => self.subquery(query),
        }
        match &table.partition_by[..] {
            [] => {}
            [only] => {
                self.push(" PARTITION BY ");
                self.expr(only, Precedence::Lowest);
            }
            several => {
                self.push(" PARTITION BY (");
                self.exprs(several);
                self.push(")");
            }
        }
        self.order_by_inside(&table.order_by);
    }

    /// ` ORDER BY …`, or nothing.
    fn order_by_inside(&mut self, items: &[OrderItem]) {
        if !items.is_empty() {
            self.push(" ORDER BY ");
            self.order_items(items);
        }
    }

    pub(super) fn order_items(&mut self, items: &[OrderItem]) {
        self.list(items, |p, item| {
            p.expr(&item.expr, Precedence::Lowest);
            if item.descending {
                p.push(" DESC");
            }
            match item.nulls_first {
                Some(true) => p.push(" NULLS FIRST"),
                Some(false) => p.push(" NULLS LAST"),
                None => {}
            }
        });
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Null => self.push("NULL"),
            Literal::Boolean(true) => self.push("TRUE"),
            Literal::Boolean(false) => self.push("FALSE"),
            Literal::Number { text, .. } => self.push(text),
            Literal::String(text) => self.string(text),
            Literal::Bytes(bytes) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                self.push(&format!("X'{digits}'"));
            }
            Literal::Typed { kind, value } => {
                self.push(match kind {
                    TypedKind::Date => "DATE ",
                    TypedKind::Time => "TIME ",
                    TypedKind::Timestamp => "TIMESTAMP ",
                    TypedKind::TimestampLtz => "TIMESTAMP_LTZ ",
                    TypedKind::Uuid => "UUID ",
                    TypedKind::Json => "JSON ",
                });
                self.text(value);
            }
            Literal::Interval { negative, value, units } => {
                self.push(if *negative { "INTERVAL -" } else { "INTERVAL " });
                self.text(value);
                self.units(units.as_ref());
            }
        }
    }
}

fn is_arrow(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Binary { op: BinaryOp::Arrow, .. })
}

fn is_test(test: IsTest) -> &'static str {
    match test {
        IsTest::Null => "NULL",
        IsTest::True => "TRUE",
        IsTest::False => "FALSE",
        IsTest::Unknown => "UNKNOWN",
        IsTest::Json => "JSON",
        IsTest::JsonObject => "JSON OBJECT",
        IsTest::JsonArray => "JSON ARRAY",
        IsTest::JsonScalar => "JSON SCALAR",
    }
}

/// The words without and with NOT.
fn like(kind: LikeKind) -> [&'static str; 2] {
    match kind {
        LikeKind::Like => [" LIKE ", " NOT LIKE "],
        LikeKind::ILike => [" ILIKE ", " NOT ILIKE "],
        LikeKind::SimilarTo => [" SIMILAR TO ", " NOT SIMILAR TO "],
    }
}

fn binary(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => " + ",
        BinaryOp::Subtract => " - ",
        BinaryOp::Multiply => " * ",
        BinaryOp::Divide => " / ",
        BinaryOp::Modulo => " % ",
        BinaryOp::Concat => " || ",
        BinaryOp::Arrow => " -> ",
        BinaryOp::ArrowText => " ->> ",
        BinaryOp::Power => " ^ ",
        BinaryOp::BitAnd => " & ",
        BinaryOp::BitOr => " | ",
        BinaryOp::BitXor => " # ",
        BinaryOp::ShiftLeft => " << ",
        BinaryOp::ShiftRight => " >> ",
        BinaryOp::Matches => " ~ ",
        BinaryOp::MatchesAnyCase => " ~* ",
        BinaryOp::NotMatches => " !~ ",
        BinaryOp::NotMatchesAnyCase => " !~* ",
        BinaryOp::Contains => " @> ",
        BinaryOp::ContainedIn => " <@ ",
        BinaryOp::Overlaps => " && ",
        BinaryOp::HasKey => " ? ",
        BinaryOp::HasAnyKey => " ?| ",
        BinaryOp::HasAllKeys => " ?& ",
        BinaryOp::Path => " #> ",
        BinaryOp::PathText => " #>> ",
        BinaryOp::DeletePath => " #- ",
        BinaryOp::StartsWith => " ^@ ",
        BinaryOp::Eq => " = ",
        BinaryOp::NotEq => " <> ",
        BinaryOp::Lt => " < ",
        BinaryOp::LtEq => " <= ",
        BinaryOp::Gt => " > ",
        BinaryOp::GtEq => " >= ",
    }
}
