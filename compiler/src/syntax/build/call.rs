//! Calls and their arguments; the forms with words between arguments are put in order here.

use flow_ir::span::Span;

use super::types::unit_named;
use super::{Builder, Node, child, children, has, must};
use flow_stdlib::builtin::takes_lambda;

use crate::diagnostics::syntax;
use crate::syntax::ast::{
    Arg, ArgValue, Call, Expr, ExprKind, JsonClauses, JsonOn, JsonWrapper, NullTreatment,
    ObjectName, OrderItem, Over, TableArg, TableArgSource, TimeUnit, TrimSide,
};
use crate::syntax::grammar::Rule;

/// Units that a message offers.
const UNITS: &[&str] = &[
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
    "MILLISECOND",
    "MICROSECOND",
    "EPOCH",
    "DOW",
    "DOY",
    "ISODOW",
    "ISOYEAR",
    "DECADE",
    "CENTURY",
    "MILLENNIUM",
];

/// What stands before an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Comma,
    From,
    For,
    Placing,
    In,
    To,
}

/// The arguments as written, each with what stands before it.
struct Written {
    args: Vec<(Before, Arg)>,
    distinct: bool,
    order_by: Vec<OrderItem>,
    nulls: Option<NullTreatment>,
    json: JsonClauses,
}

impl Call {
    /// A call with arguments and nothing else.
    pub(crate) fn plain(name: ObjectName, args: Vec<Arg>) -> Call {
        Call {
            name,
            distinct: false,
            args,
            order_by: Vec::new(),
            within_group: Vec::new(),
            filter: None,
            nulls: None,
            over: None,
            json: JsonClauses::default(),
        }
    }
}

impl Builder<'_> {
    pub(super) fn call(&mut self, pair: Node<'_>) -> Expr {
        let span = self.span(&pair);
        let name = self.object_name(&must(child(&pair, Rule::call_name)));
        let args = child(&pair, Rule::call_args);
        if let Some(trim) = args.as_ref().filter(|args| has(args, Rule::trim_side)) {
            return self.trim_with_side(&name, trim, span);
        }
        let function = match name.as_single() {
            Some(name) if !name.quoted => name.text.to_uppercase(),
            _ => String::new(),
        };
        let written = self.written_args(args, &function);
        if function == "TRIM" && written.args.len() == 2 && written.args[1].0 == Before::From {
            return self.trim_of_two(written.args, span);
        }
        let args = self.ordered_args(&function, written.args, span);
        if function == "ROW" && args.iter().all(is_plain) {
            let fields = args.into_iter().filter_map(|arg| into_expr(arg.value)).collect();
            return Expr { kind: ExprKind::Row(fields), span };
        }
        let mut call = Call::plain(name, args);
        call.distinct = written.distinct;
        call.order_by = written.order_by;
        call.nulls = written.nulls;
        call.json = written.json;
        self.call_tails(&mut call, &pair);
        Expr { kind: ExprKind::Call(Box::new(call)), span }
    }

    fn call_tails(&mut self, call: &mut Call, pair: &Node<'_>) {
        for tail in pair.clone().into_inner() {
            match tail.as_rule() {
                Rule::within_group => call.within_group = self.first_order_by(&tail),
                Rule::filter => call.filter = Some(self.first_expr(&tail)),
                Rule::null_treatment => call.nulls = Some(null_treatment(&tail)),
                Rule::over => {
                    call.over = Some(match child(&tail, Rule::window_spec) {
                        Some(spec) => Over::Spec(Box::new(self.window_spec(&spec))),
                        None => Over::Named(self.first_ident(&tail)),
                    });
                }
                _ => {}
            }
        }
    }

    /// The arguments of a table function: no words between them, no ORDER BY.
    pub(super) fn table_args(&mut self, name: &ObjectName, pair: &Node<'_>) -> Vec<Arg> {
        let span = self.span(pair);
        let written = self.written_args(child(pair, Rule::call_args), "");
        let plain = written.args.iter().all(|(before, _)| *before == Before::Comma);
        if !plain || written.distinct || !written.order_by.is_empty() {
            let function = name.to_string();
            let form = format!("{}(argument, argument)", function.to_uppercase());
            self.report(syntax::malformed_call(span, &function, &form));
        }
        written.args.into_iter().map(|(_, arg)| arg).collect()
    }

    fn written_args(&mut self, pair: Option<Node<'_>>, function: &str) -> Written {
        let mut written = Written {
            args: Vec::new(),
            distinct: false,
            order_by: Vec::new(),
            nulls: None,
            json: JsonClauses::default(),
        };
        let mut before = Before::Comma;
        for part in pair.into_iter().flat_map(Node::into_inner) {
            match part.as_rule() {
                Rule::k_distinct => written.distinct = true,
                Rule::arg_separator => before = separator(&part),
                Rule::arg => {
                    for arg in self.arg(part, function) {
                        written.args.push((before, arg));
                        before = Before::Comma;
                    }
                }
                Rule::json_clause => self.json_clause(&part, &mut written.json),
                Rule::order_by => written.order_by = self.order_by(&part),
                Rule::null_treatment => written.nulls = Some(null_treatment(&part)),
                _ => {}
            }
        }
        written
    }

    /// An argument; a name or key with its value may be two.
    fn arg(&mut self, pair: Node<'_>, function: &str) -> Vec<Arg> {
        let span = self.span(&pair);
        let lambdas = takes_lambda(function);
        let mut name = child(&pair, Rule::arg_name).map(|c| self.first_ident(&c));
        if let Some(alias) = child(&pair, Rule::arg_alias) {
            name = name.or(Some(self.first_ident(&alias)));
        }
        let partition = child(&pair, Rule::arg_partition);
        let second = child(&pair, Rule::arg_value);
        if second.as_ref().is_some_and(|value| has(value, Rule::colon))
            && !function.starts_with("JSON_OBJECT")
        {
            let form = "name := value";
            self.report(syntax::malformed_call(span, function, form));
        }
        let second = second.map(|c| self.first_expr(&c));
        let before = [Rule::arg_name, Rule::json_key];
        let value = must(pair.into_inner().find(|c| !before.contains(&c.as_rule())));
        let value = match value.as_rule() {
            Rule::star => ArgValue::Wildcard,
            Rule::descriptor => ArgValue::Descriptor(self.ident_list(&value)),
            Rule::lambda if (!lambdas || name.is_some()) && is_arrow(&value) => {
                let name = must(child(&must(child(&value, Rule::lambda_params)), Rule::ident));
                let body = must(child(&value, Rule::expr));
                ArgValue::Expr(self.arrow(&name, body))
            }
            Rule::lambda if has(&value, Rule::k_lambda) => {
                let params = self.idents(&must(child(&value, Rule::lambda_names)));
                ArgValue::Lambda { params, body: self.first_expr(&value) }
            }
            Rule::lambda => {
                let params = must(child(&value, Rule::lambda_params));
                let listed = self.ident_list(&params);
                let params = if listed.is_empty() { self.idents(&params) } else { listed };
                ArgValue::Lambda { params, body: self.first_expr(&value) }
            }
            Rule::table_arg => {
                let source = match child(&value, Rule::paren_query) {
                    Some(paren) => {
                        let query = self.query(must(child(&paren, Rule::query)));
                        TableArgSource::Query(Box::new(query))
                    }
                    None => TableArgSource::Named(self.first_name(&value)),
                };
                let partition = child(&value, Rule::arg_partition);
                ArgValue::Table(self.table_arg(source, partition))
            }
            _ => {
                let expr = self.expr(value);
                self.arg_value(expr, partition)
            }
        };
        let one = |value, span| Arg { name: None, value, span };
        match (name, value, second) {
            // ksqlDB writes `x => x + 1`.
            (Some(name), ArgValue::Expr(body), None) if lambdas => {
                vec![one(ArgValue::Lambda { params: vec![name], body }, span)]
            }
            (Some(name), value, None) if function == "MAP" => {
                let at = name.span;
                let key = Expr { kind: ExprKind::Name(ObjectName::single(name)), span: at };
                vec![one(ArgValue::Expr(key), at), one(value, span)]
            }
            (None, key, Some(value)) => {
                let at = value.span;
                vec![one(key, span), one(ArgValue::Expr(value), at)]
            }
            (name, value, _) => vec![Arg { name, value, span }],
        }
    }

    fn json_clause(&mut self, pair: &Node<'_>, clauses: &mut JsonClauses) {
        let clause = must(pair.clone().into_inner().next());
        match clause.as_rule() {
            Rule::json_returning => clauses.returning = Some(self.first_type(&clause)),
            Rule::json_wrapper => {
                clauses.wrapper = Some(if has(&clause, Rule::k_without) {
                    JsonWrapper::Without
                } else if has(&clause, Rule::k_conditional) {
                    JsonWrapper::Conditional
                } else {
                    JsonWrapper::Unconditional
                });
            }
            Rule::json_nulls => clauses.nulls = Some(!has(&clause, Rule::k_absent)),
            _ => {
                let on = self.json_on(&clause);
                match has(&must(child(&clause, Rule::json_when)), Rule::k_empty) {
                    true => clauses.on_empty = Some(on),
                    false => clauses.on_error = Some(on),
                }
            }
        }
    }

    fn json_on(&mut self, pair: &Node<'_>) -> JsonOn {
        match must(pair.clone().into_inner().next()).as_rule() {
            Rule::k_null => JsonOn::Null,
            Rule::k_error => JsonOn::Error,
            Rule::k_true => JsonOn::True,
            Rule::k_false => JsonOn::False,
            Rule::k_unknown => JsonOn::Unknown,
            Rule::k_empty if has(pair, Rule::k_object) => JsonOn::EmptyObject,
            Rule::k_empty => JsonOn::EmptyArray,
            _ => JsonOn::Default(self.first_expr(pair)),
        }
    }

    /// An expression as an argument; with PARTITION BY behind it, a table.
    fn arg_value(&mut self, expr: Expr, partition: Option<Node<'_>>) -> ArgValue {
        let Some(partition) = partition else { return ArgValue::Expr(expr) };
        let source = match expr.kind {
            ExprKind::Name(name) => TableArgSource::Named(name),
            ExprKind::Subquery(query) => TableArgSource::Query(query),
            _ => {
                let at = self.span(&partition);
                let form = "SESSION(stream PARTITION BY key, time, gap)";
                self.report(syntax::malformed_call(at, "a table function", form));
                return ArgValue::Expr(expr);
            }
        };
        ArgValue::Table(self.table_arg(source, Some(partition)))
    }

    fn table_arg(&mut self, source: TableArgSource, partition: Option<Node<'_>>) -> TableArg {
        let mut arg = TableArg { source, partition_by: Vec::new(), order_by: Vec::new() };
        if let Some(partition) = partition {
            let keys = self.first_expr(&must(child(&partition, Rule::arg_keys)));
            arg.partition_by = match keys.kind {
                ExprKind::Row(keys) => keys,
                _ => vec![keys],
            };
            arg.order_by = self.first_order_by(&partition);
        }
        arg
    }

    /// Arguments in the function's order, whatever words stood between them.
    fn ordered_args(
        &mut self,
        function: &str,
        mut written: Vec<(Before, Arg)>,
        span: Span,
    ) -> Vec<Arg> {
        use Before::{Comma, For, From, In, Placing, To};
        if function == "POSITION" {
            written = split_in_list(written);
        }
        let words: Vec<Before> = written.iter().skip(1).map(|(before, _)| *before).collect();
        let mut args: Vec<Arg> = written.into_iter().map(|(_, arg)| arg).collect();
        let (fits, form) = match function {
            "EXTRACT" => (words == [From], "EXTRACT(unit FROM time)"),
            "TIMESTAMPADD" => (words == [Comma; 2], "TIMESTAMPADD(unit, count, time)"),
            "DATEADD" | "DATESUB" | "TIMEADD" | "TIMESUB" | "TIMESTAMPSUB" => {
                (words == [Comma; 2], "f(unit, count, time)")
            }
            "TIMESTAMPDIFF" => (words == [Comma; 2], "TIMESTAMPDIFF(unit, from, to)"),
            "CEIL" | "CEILING" | "FLOOR" => (
                words.iter().all(|w| *w == Comma) || words == [To],
                "FLOOR(x), FLOOR(time TO unit)",
            ),
            "SUBSTRING" | "SUBSTR" => (
                words.iter().all(|w| *w == Comma) || words == [From] || words == [From, For],
                "SUBSTRING(text FROM start FOR length)",
            ),
            "OVERLAY" => (
                words.iter().all(|w| *w == Comma)
                    || words == [Placing, From]
                    || words == [Placing, From, For],
                "OVERLAY(text PLACING new FROM start FOR length)",
            ),
            "POSITION" => (words == [In] || words == [Comma], "POSITION(part IN text)"),
            "TRIM" => (words.iter().all(|w| *w == Comma), "TRIM(BOTH characters FROM text)"),
            _ => (words.iter().all(|w| *w == Comma), "f(argument, argument)"),
        };
        if !fits {
            self.malformed(span, function, form);
            return args;
        }
        let unit_at = match (function, words.as_slice()) {
            ("EXTRACT" | "TIMESTAMPADD" | "TIMESTAMPDIFF", _) => Some(0),
            ("CEIL" | "CEILING" | "FLOOR", [To]) => Some(1),
            _ => None,
        };
        if let Some(arg) = unit_at.and_then(|at| args.get_mut(at)) {
            self.make_unit(arg, function, form);
        }
        // A unit by its name or as text.
        let by_count =
            ["DATEADD", "DATESUB", "TIMEADD", "TIMESUB", "TIMESTAMPSUB", "DATEDIFF", "DATE_DIFF"];
        if let [unit, _, _] = args.as_mut_slice()
            && by_count.contains(&function)
            && matches!(&unit.value, ArgValue::Expr(Expr { kind: ExprKind::Name(_), .. }))
        {
            self.make_unit(unit, function, "f(unit, from, to)");
        }
        args
    }

    fn malformed(&mut self, span: Span, function: &str, form: &str) {
        let form = match form.strip_prefix("f(") {
            Some(args) => format!("{function}({args}"),
            None => form.to_owned(),
        };
        self.report(syntax::malformed_call(span, function, &form));
    }

    /// Reads a bare name as a unit of time.
    fn make_unit(&mut self, arg: &mut Arg, function: &str, form: &str) {
        let unit = match &arg.value {
            ArgValue::Expr(Expr { kind: ExprKind::Name(name), .. }) => {
                let word = name.to_string();
                unit_named(&word).ok_or_else(|| syntax::unknown_unit(arg.span, &word, UNITS))
            }
            _ => Err(syntax::malformed_call(arg.span, function, form)),
        };
        let unit = unit.unwrap_or_else(|problem| {
            self.report(problem);
            TimeUnit::Second
        });
        arg.value = ArgValue::Unit(unit);
    }

    fn trim_with_side(&mut self, name: &ObjectName, pair: &Node<'_>, span: Span) -> Expr {
        let word = must(child(pair, Rule::trim_side));
        let side = if has(&word, Rule::k_leading) {
            TrimSide::Leading
        } else if has(&word, Rule::k_trailing) {
            TrimSide::Trailing
        } else {
            TrimSide::Both
        };
        if !name.as_single().is_some_and(|name| name.is_word("trim")) {
            let function = name.to_string();
            let form = format!("{}(argument, argument)", function.to_uppercase());
            self.report(syntax::malformed_call(self.span(&word), &function, &form));
        }
        let mut exprs = self.exprs(pair);
        let arg = Box::new(must(exprs.pop()));
        let what = exprs.pop().map(Box::new);
        Expr { kind: ExprKind::Trim { side, what, arg }, span }
    }

    /// `TRIM(what FROM arg)`.
    fn trim_of_two(&mut self, written: Vec<(Before, Arg)>, span: Span) -> Expr {
        let mut exprs = written.into_iter().filter_map(|(_, arg)| into_expr(arg.value));
        match (exprs.next(), exprs.next()) {
            (Some(what), Some(arg)) => {
                let (what, arg) = (Some(Box::new(what)), Box::new(arg));
                Expr { kind: ExprKind::Trim { side: TrimSide::Both, what, arg }, span }
            }
            _ => {
                let form = "TRIM(BOTH characters FROM text)";
                self.report(syntax::malformed_call(span, "TRIM", form));
                self.refused(span)
            }
        }
    }

    /// The ORDER BY directly below; empty without one.
    pub(super) fn first_order_by(&mut self, pair: &Node<'_>) -> Vec<OrderItem> {
        child(pair, Rule::order_by).map_or_else(Vec::new, |c| self.order_by(&c))
    }

    pub(super) fn order_by(&mut self, pair: &Node<'_>) -> Vec<OrderItem> {
        children(pair, Rule::order_item)
            .map(|item| OrderItem {
                expr: self.first_expr(&item),
                descending: has(&item, Rule::k_desc),
                nulls_first: child(&item, Rule::nulls_order).map(|n| has(&n, Rule::k_first)),
            })
            .collect()
    }
}

/// `POSITION(a IN (b))` parses as the predicate IN; this makes two arguments of it.
fn split_in_list(mut written: Vec<(Before, Arg)>) -> Vec<(Before, Arg)> {
    if written.len() != 1 {
        return written;
    }
    let Some((before, Arg { name, value, span })) = written.pop() else { return written };
    match value {
        ArgValue::Expr(Expr {
            kind: ExprKind::InList { arg, mut list, negated: false }, ..
        }) if list.len() == 1 => {
            let part = Arg { name, span: arg.span, value: ArgValue::Expr(*arg) };
            let text = list.pop().map(|text| {
                (Before::In, Arg { name: None, span: text.span, value: ArgValue::Expr(text) })
            });
            std::iter::once((before, part)).chain(text).collect()
        }
        value => vec![(before, Arg { name, value, span })],
    }
}

/// Whether a lambda may be the operator `->`: one name, without parentheses.
fn is_arrow(lambda: &Node<'_>) -> bool {
    child(lambda, Rule::lambda_params).is_some_and(|params| has(&params, Rule::ident))
}

fn is_plain(arg: &Arg) -> bool {
    arg.name.is_none() && matches!(arg.value, ArgValue::Expr(_))
}

/// The expression, if the argument is one.
pub(super) fn into_expr(value: ArgValue) -> Option<Expr> {
    match value {
        ArgValue::Expr(expr) => Some(expr),
        ArgValue::Wildcard
        | ArgValue::Unit(_)
        | ArgValue::Lambda { .. }
        | ArgValue::Table(_)
        | ArgValue::Descriptor(_) => None,
    }
}

fn separator(pair: &Node<'_>) -> Before {
    match must(pair.clone().into_inner().next()).as_rule() {
        Rule::k_from => Before::From,
        Rule::k_for => Before::For,
        Rule::k_placing => Before::Placing,
        Rule::k_in => Before::In,
        Rule::k_to => Before::To,
        _ => Before::Comma,
    }
}

fn null_treatment(pair: &Node<'_>) -> NullTreatment {
    match has(pair, Rule::k_ignore) {
        true => NullTreatment::Ignore,
        false => NullTreatment::Respect,
    }
}
