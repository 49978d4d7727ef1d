//! Expressions: operands, what stands behind them, and the predicates.

use flow_ir::span::Span;
use pest::iterators::Pairs;

use super::{Builder, Node, child, children, has, must};
use crate::diagnostics::syntax;
use crate::syntax::ast::{
    Arg, ArgValue, BinaryOp, Call, Expr, ExprKind, Ident, IsTest, Literal, ObjectName, Quantifier,
    Query, SetExpr, SetExprKind, UnaryOp,
};
use crate::syntax::grammar::Rule;
use crate::syntax::pratt::{Fold, Operator, Precedence};

/// Functions that are called without parentheses.
pub(crate) const BARE_FUNCTIONS: &[&str] = &[
    "CURRENT_TIMESTAMP",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_ROW_TIMESTAMP",
    "LOCALTIMESTAMP",
    "LOCALTIME",
];

/// What stood in parentheses.
pub(super) enum Paren {
    Query(Box<Query>),
    /// Never empty.
    Exprs(Vec<Expr>),
}

impl Builder<'_> {
    /// The expression directly below.
    pub(super) fn first_expr(&mut self, pair: &Node<'_>) -> Expr {
        self.expr(must(child(pair, Rule::expr)))
    }

    /// The expressions directly below.
    pub(super) fn exprs(&mut self, pair: &Node<'_>) -> Vec<Expr> {
        children(pair, Rule::expr).map(|c| self.expr(c)).collect()
    }

    /// An `expr` or an `arith`.
    pub(super) fn expr(&mut self, pair: Node<'_>) -> Expr {
        let items = pair.clone().into_inner();
        let levels = 1 + depth_of_chain(items.clone());
        if !self.enter(levels, &pair) {
            return self.refused(self.span(&pair));
        }
        let expr = self.fold(items);
        self.leave(levels);
        expr
    }

    fn fold(&mut self, items: Pairs<'_, Rule>) -> Expr {
        self.fold_behind(Fold::default(), items)
    }

    /// Folds what stands behind what is there already.
    fn fold_behind(&mut self, mut fold: Fold, items: Pairs<'_, Rule>) -> Expr {
        // Whether the last operand is a name without parentheses, which a field would lengthen.
        let mut bare_name = false;
        let mut items = items.peekable();
        while let Some(item) = items.next() {
            let span = self.span(&item);
            match item.as_rule() {
                Rule::prefix => {
                    let op = match must(item.into_inner().next()).as_rule() {
                        Rule::k_not => Operator::Not,
                        Rule::minus => Operator::Sign(UnaryOp::Minus),
                        Rule::tilde => Operator::Sign(UnaryOp::BitNot),
                        _ => Operator::Sign(UnaryOp::Plus),
                    };
                    fold.prefix(op, span);
                }
                Rule::infix | Rule::arith_op => fold.infix(operator(&item), span),
                Rule::predicate => self.predicate(&mut fold, &item),
                Rule::postfix => {
                    let arg = fold.take_last();
                    let (expr, still_bare) = self.postfix(arg, &item, bare_name);
                    bare_name = still_bare;
                    fold.operand(expr);
                }
                Rule::ident => {
                    let has_field = items.peek().is_some_and(|next| has(next, Rule::field));
                    bare_name = true;
                    fold.operand(self.name(&item, has_field));
                }
                _ => {
                    bare_name = false;
                    fold.operand(self.primary(item));
                }
            }
        }
        fold.finish()
    }

    /// `name -> body` where no lambda can stand: the operator, as tight as it is.
    pub(super) fn arrow(&mut self, name: &Node<'_>, body: Node<'_>) -> Expr {
        let mut fold = Fold::default();
        let levels = 2 + depth_of_chain(body.clone().into_inner());
        if !self.enter(levels, &body) {
            return self.refused(self.span(&body));
        }
        fold.operand(self.name(name, false));
        fold.infix(Operator::Binary(BinaryOp::Arrow), self.span(name));
        let expr = self.fold_behind(fold, body.into_inner());
        self.leave(levels);
        expr
    }

    /// `MAP {k: v}`, or `{'a': 1}`, which is STRUCT(a := 1).
    fn braced(&mut self, pair: &Node<'_>, span: Span) -> ExprKind {
        let mut pairs = Vec::new();
        for entry in children(pair, Rule::pair) {
            let mut sides = children(&entry, Rule::expr);
            let (key, value) = (must(sides.next()), must(sides.next()));
            pairs.push((self.expr(key), self.expr(value)));
        }
        if has(pair, Rule::k_map) {
            return ExprKind::Map(pairs);
        }
        let mut args = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let name = match &key.kind {
                ExprKind::Literal(Literal::String(text)) => Some(text.clone()),
                ExprKind::Name(name) => name.as_single().map(|name| name.text.clone()),
                _ => None,
            };
            let Some(text) = name else {
                self.report(syntax::malformed_call(key.span, "{ }", "{'name': value}"));
                continue;
            };
            let name = Some(Ident { text, quoted: true, span: key.span });
            args.push(Arg { name, span: value.span, value: ArgValue::Expr(value) });
        }
        let name = Ident { text: "STRUCT".to_owned(), quoted: false, span };
        ExprKind::Call(Box::new(Call::plain(ObjectName::single(name), args)))
    }

    fn name(&mut self, pair: &Node<'_>, has_field: bool) -> Expr {
        let ident = self.ident(pair);
        let span = ident.span;
        if self.cases > 0 && ident.is_word("end") {
            self.report(syntax::reserved_word(span, &ident.text));
        }
        let is_call = !has_field && BARE_FUNCTIONS.iter().any(|name| ident.is_word(name));
        let name = ObjectName::single(ident);
        let kind = if is_call {
            ExprKind::Call(Box::new(Call::plain(name, Vec::new())))
        } else {
            ExprKind::Name(name)
        };
        Expr { kind, span }
    }

    fn primary(&mut self, pair: Node<'_>) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::case => self.case(&pair),
            Rule::cast => ExprKind::Cast {
                arg: Box::new(self.first_expr(&pair)),
                ty: self.first_type(&pair),
                lenient: has(&pair, Rule::k_try_cast),
                colons: false,
            },
            Rule::exists => match self.paren(&must(child(&pair, Rule::paren))) {
                Paren::Query(query) => ExprKind::Exists(query),
                Paren::Exprs(_) => {
                    self.report(syntax::malformed_call(span, "EXISTS", "EXISTS (SELECT …)"));
                    return self.refused(span);
                }
            },
            Rule::array_query => {
                let Paren::Query(query) = self.paren(&must(child(&pair, Rule::paren))) else {
                    self.report(syntax::malformed_call(span, "ARRAY", "ARRAY(SELECT …)"));
                    return self.refused(span);
                };
                let kind = ExprKind::Subquery(query);
                let arg = Arg { name: None, value: ArgValue::Expr(Expr { kind, span }), span };
                let text = String::from("ARRAY");
                let name = ObjectName::single(Ident { text, quoted: false, span });
                ExprKind::Call(Box::new(Call::plain(name, vec![arg])))
            }
            Rule::array => ExprKind::Array(self.exprs(&pair)),
            Rule::braced => self.braced(&pair, span),
            Rule::call => return self.call(pair),
            Rule::interval_of => self.interval_of(&pair, span),
            Rule::ident => return self.name(&pair, true),
            Rule::paren => match self.paren(&pair) {
                Paren::Query(query) => ExprKind::Subquery(query),
                Paren::Exprs(mut exprs) if exprs.len() == 1 => return must(exprs.pop()),
                Paren::Exprs(exprs) => ExprKind::Row(exprs),
            },
            _ => return self.literal(&pair),
        };
        Expr { kind, span }
    }

    /// What stood in parentheses; `((SELECT …))` is the query in it.
    pub(super) fn paren(&mut self, pair: &Node<'_>) -> Paren {
        if let Some(query) = child(pair, Rule::query) {
            return Paren::Query(Box::new(self.query(query)));
        }
        let mut exprs = self.exprs(pair);
        if let Some(tail) = child(pair, Rule::set_tail) {
            let first = must(exprs.pop());
            return match first.kind {
                ExprKind::Subquery(query) => {
                    let body = SetExpr { kind: SetExprKind::Query(query), span: first.span };
                    Paren::Query(Box::new(self.query_from(body, tail)))
                }
                _ => {
                    self.unexpected_tail(&tail);
                    Paren::Exprs(vec![first])
                }
            };
        }
        match exprs.pop() {
            Some(Expr { kind: ExprKind::Subquery(query), .. }) if exprs.is_empty() => {
                Paren::Query(query)
            }
            Some(last) => {
                exprs.push(last);
                Paren::Exprs(exprs)
            }
            None => Paren::Exprs(vec![self.refused(self.span(pair))]),
        }
    }

    /// UNION and the like behind something that is no query.
    pub(super) fn unexpected_tail(&mut self, tail: &Node<'_>) {
        let word: String = tail.as_str().chars().take_while(|c| c.is_alphanumeric()).collect();
        let at = self.span(tail);
        let end = at.start + word.len() as u32;
        let at = Span { end, ..at };
        self.report(syntax::unexpected_token(at, &word.to_uppercase(), &["')'".to_owned()]));
    }

    fn case(&mut self, pair: &Node<'_>) -> ExprKind {
        self.cases += 1;
        let operand = child(pair, Rule::expr).map(|c| Box::new(self.expr(c)));
        let mut branches = Vec::new();
        for when in children(pair, Rule::when) {
            let mut parts: Vec<Expr> =
                children(&when, Rule::expr).map(|part| self.expr(part)).collect();
            let result = must(parts.pop());
            // Several values of one branch are a branch each.
            branches.extend(parts.into_iter().map(|condition| (condition, result.clone())));
        }
        let otherwise = child(pair, Rule::otherwise).map(|c| Box::new(self.first_expr(&c)));
        self.cases -= 1;
        ExprKind::Case { operand, branches, otherwise }
    }

    /// Applies `::T`, `[i]`, `.field` or AT TIME ZONE; also says whether the result is still a
    /// name that a further field would lengthen.
    fn postfix(&mut self, arg: Expr, item: &Node<'_>, bare_name: bool) -> (Expr, bool) {
        let part = must(item.clone().into_inner().next());
        let span = arg.span.to(self.span(item));
        let kind = match part.as_rule() {
            Rule::field => return self.field(arg, &part, bare_name),
            Rule::index => return (self.index(arg, &part, bare_name), false),
            Rule::cast_to => ExprKind::Cast {
                arg: Box::new(arg),
                ty: self.type_expr(must(child(&part, Rule::bare_type))),
                lenient: false,
                colons: true,
            },
            _ => {
                let zone = match child(&part, Rule::zone) {
                    Some(zone) => self.zone(zone),
                    None => session_zone(self.span(&part)),
                };
                ExprKind::AtTimeZone { arg: Box::new(arg), zone: Box::new(zone) }
            }
        };
        (Expr { kind, span }, false)
    }

    fn field(&mut self, arg: Expr, part: &Node<'_>, bare_name: bool) -> (Expr, bool) {
        let name = self.ident(&must(part.clone().into_inner().next()));
        let span = arg.span.to(name.span);
        match arg.kind {
            ExprKind::Name(mut path) if bare_name => {
                path.parts.push(name);
                (Expr { kind: ExprKind::Name(path), span }, true)
            }
            kind => {
                let arg = Box::new(Expr { kind, span: arg.span });
                (Expr { kind: ExprKind::Field { arg, name }, span }, false)
            }
        }
    }

    /// `x[i]`; with the name MAP and an even number of entries, a map.
    fn index(&mut self, arg: Expr, part: &Node<'_>, bare_name: bool) -> Expr {
        let span = arg.span.to(self.span(part));
        let mut entries = self.exprs(part);
        if let Some(to) = child(part, Rule::slice_to) {
            let from = entries.pop().map(Box::new);
            let to = child(&to, Rule::expr).map(|to| Box::new(self.expr(to)));
            return Expr { kind: ExprKind::Slice { arg: Box::new(arg), from, to }, span };
        }
        let is_word = |word: &str| {
            bare_name
                && matches!(&arg.kind, ExprKind::Name(name)
                    if name.as_single().is_some_and(|n: &Ident| n.is_word(word)))
        };
        if is_word("list") && entries.len() != 1 {
            return Expr { kind: ExprKind::Array(entries), span };
        }
        if is_word("map") && entries.len().is_multiple_of(2) {
            let mut pairs = Vec::with_capacity(entries.len() / 2);
            let mut entries = entries.into_iter();
            while let (Some(key), Some(value)) = (entries.next(), entries.next()) {
                pairs.push((key, value));
            }
            return Expr { kind: ExprKind::Map(pairs), span };
        }
        match (entries.pop(), entries.is_empty()) {
            (Some(index), true) => {
                let kind = ExprKind::Index { arg: Box::new(arg), index: Box::new(index) };
                Expr { kind, span }
            }
            _ => {
                self.report(syntax::malformed_call(span, "[ ]", "x[position] or x[key]"));
                arg
            }
        }
    }

    fn zone(&mut self, pair: Node<'_>) -> Expr {
        let mut parts = pair.clone().into_inner().peekable();
        let levels = parts.clone().count();
        if !self.enter(levels, &pair) {
            return self.refused(self.span(&pair));
        }
        let mut bare_name = false;
        let mut zone = self.refused(self.span(&pair));
        while let Some(part) = parts.next() {
            match part.as_rule() {
                Rule::field => (zone, bare_name) = self.field(zone, &part, bare_name),
                Rule::index => {
                    zone = self.index(zone, &part, bare_name);
                    bare_name = false;
                }
                Rule::ident => {
                    let has_field = parts.peek().is_some_and(|next| next.as_rule() == Rule::field);
                    bare_name = true;
                    zone = self.name(&part, has_field);
                }
                _ => {
                    bare_name = false;
                    zone = self.primary(part);
                }
            }
        }
        self.leave(levels);
        zone
    }

    fn predicate(&mut self, fold: &mut Fold, item: &Node<'_>) {
        let end = self.span(item);
        let negated = has(item, Rule::k_not);
        let part = must(item.clone().into_inner().find(|c| c.as_rule() != Rule::k_not));
        let (precedence, make): (_, Box<dyn FnOnce(Box<Expr>) -> ExprKind>) = match part.as_rule() {
            Rule::is_null => {
                let negated = has(&part, Rule::k_notnull);
                let make = move |arg| ExprKind::Is { arg, test: IsTest::Null, negated };
                (Precedence::Is, Box::new(make))
            }
            Rule::is => {
                let negated = has(&part, Rule::k_not);
                (Precedence::Is, self.is(&part, negated))
            }
            Rule::quantified => {
                let op = comparison(must(child(&part, Rule::compare)).as_str());
                let quantifier = match has(&part, Rule::k_all) {
                    true => Quantifier::All,
                    false => Quantifier::Any,
                };
                let set = Box::new(self.primary(must(child(&part, Rule::paren))));
                let make = move |arg| ExprKind::Quantified { arg, op, quantifier, set };
                (Precedence::Compare, Box::new(make))
            }
            Rule::overlaps => {
                let other = match self.paren(&must(child(&part, Rule::paren))) {
                    Paren::Exprs(other) => other,
                    Paren::Query(_) => Vec::new(),
                };
                return self.overlaps(fold, other, end);
            }
            Rule::between => {
                let mut bounds = children(&part, Rule::arith);
                let low = Box::new(self.expr(must(bounds.next())));
                let high = Box::new(self.expr(must(bounds.next())));
                let symmetric = has(&part, Rule::k_symmetric);
                let make = move |arg| ExprKind::Between { arg, low, high, symmetric, negated };
                (Precedence::Range, Box::new(make))
            }
            Rule::in_set => match self.paren(&must(child(&part, Rule::paren))) {
                Paren::Query(query) => {
                    let make = move |arg| ExprKind::InQuery { arg, query, negated };
                    (Precedence::Range, Box::new(make))
                }
                Paren::Exprs(list) => {
                    let make = move |arg| ExprKind::InList { arg, list, negated };
                    (Precedence::Range, Box::new(make))
                }
            },
            _ => return self.like(&part, negated, fold, end),
        };
        fold.predicate(precedence, |left| {
            let span = left.span.to(end);
            Expr { kind: make(Box::new(left)), span }
        });
    }

    /// `(a, b) OVERLAPS (c, d)`, which is OVERLAPS(a, b, c, d).
    fn overlaps(&mut self, fold: &mut Fold, other: Vec<Expr>, end: Span) {
        let mut problem = None;
        fold.predicate(Precedence::Range, |left| {
            let span = left.span.to(end);
            let (start, whole) = (left.span, other.len() == 2);
            let mut all = match left.kind {
                ExprKind::Row(items) if items.len() == 2 && whole => items,
                _ => {
                    problem = Some(span);
                    Vec::new()
                }
            };
            all.extend(other);
            let arg = |e: Expr| Arg { name: None, span: e.span, value: ArgValue::Expr(e) };
            let name = Ident { text: "OVERLAPS".to_owned(), quoted: false, span: start };
            let args = all.into_iter().map(arg).collect();
            let call = Call::plain(ObjectName::single(name), args);
            Expr { kind: ExprKind::Call(Box::new(call)), span }
        });
        if let Some(span) = problem {
            let form = "(start, end) OVERLAPS (start, end)";
            self.report(syntax::malformed_call(span, "OVERLAPS", form));
        }
    }

    fn is(&mut self, part: &Node<'_>, negated: bool) -> Box<dyn FnOnce(Box<Expr>) -> ExprKind> {
        if let Some(distinct) = child(part, Rule::is_distinct) {
            let right = Box::new(self.expr(must(child(&distinct, Rule::arith))));
            return Box::new(move |left| ExprKind::IsDistinctFrom { left, right, negated });
        }
        let test = if has(part, Rule::k_null) {
            IsTest::Null
        } else if has(part, Rule::k_true) {
            IsTest::True
        } else if has(part, Rule::k_false) {
            IsTest::False
        } else if let Some(json) = child(part, Rule::is_json) {
            if has(&json, Rule::k_object) {
                IsTest::JsonObject
            } else if has(&json, Rule::k_array) {
                IsTest::JsonArray
            } else if has(&json, Rule::k_scalar) {
                IsTest::JsonScalar
            } else {
                IsTest::Json
            }
        } else {
            IsTest::Unknown
        };
        Box::new(move |arg| ExprKind::Is { arg, test, negated })
    }
}

/// What AT LOCAL goes by: CURRENT_SETTING('TIMEZONE').
fn session_zone(span: Span) -> Expr {
    let text = Literal::String("TIMEZONE".to_owned());
    let setting = ArgValue::Expr(Expr { kind: ExprKind::Literal(text), span });
    let args = vec![Arg { name: None, value: setting, span }];
    let name = Ident { text: "CURRENT_SETTING".to_owned(), quoted: false, span };
    let call = Call::plain(ObjectName::single(name), args);
    Expr { kind: ExprKind::Call(Box::new(call)), span }
}

/// How many items of an expression can each make its tree a level deeper. AND and OR chains are
/// flat, and so are dotted names.
fn depth_of_chain(items: Pairs<'_, Rule>) -> usize {
    let mut levels = 0;
    let mut bare_name = false;
    for item in items {
        let lengthens_name = bare_name && has(&item, Rule::field);
        let flat = match item.as_rule() {
            Rule::prefix | Rule::predicate | Rule::arith_op => false,
            Rule::postfix => lengthens_name,
            Rule::infix => matches!(operator(&item), Operator::And | Operator::Or),
            _ => true,
        };
        levels += usize::from(!flat);
        bare_name = lengthens_name || item.as_rule() == Rule::ident;
    }
    levels
}

/// The operator of an `infix` or an `arith_op`.
fn operator(item: &Node<'_>) -> Operator {
    if let Some(inner) = child(item, Rule::arith_op) {
        return operator(&inner);
    }
    if has(item, Rule::k_and) {
        return Operator::And;
    }
    if has(item, Rule::k_or) {
        return Operator::Or;
    }
    Operator::Binary(match item.as_str().trim_end() {
        "||" => BinaryOp::Concat,
        "->" => BinaryOp::Arrow,
        "->>" => BinaryOp::ArrowText,
        "^" | "**" => BinaryOp::Power,
        "&" => BinaryOp::BitAnd,
        "|" => BinaryOp::BitOr,
        "#" => BinaryOp::BitXor,
        "<<" => BinaryOp::ShiftLeft,
        ">>" => BinaryOp::ShiftRight,
        "~" => BinaryOp::Matches,
        "~*" => BinaryOp::MatchesAnyCase,
        "!~" => BinaryOp::NotMatches,
        "!~*" => BinaryOp::NotMatchesAnyCase,
        "@>" => BinaryOp::Contains,
        "<@" => BinaryOp::ContainedIn,
        "&&" => BinaryOp::Overlaps,
        "?" => BinaryOp::HasKey,
        "?|" => BinaryOp::HasAnyKey,
        "?&" => BinaryOp::HasAllKeys,
        "#>" => BinaryOp::Path,
        "#>>" => BinaryOp::PathText,
        "#-" => BinaryOp::DeletePath,
        "^@" => BinaryOp::StartsWith,
        "/" => BinaryOp::Divide,
        "%" => BinaryOp::Modulo,
        _ if has(item, Rule::plus) => BinaryOp::Add,
        _ if has(item, Rule::minus) => BinaryOp::Subtract,
        _ if has(item, Rule::star) => BinaryOp::Multiply,
        compare => comparison(compare),
    })
}

fn comparison(text: &str) -> BinaryOp {
    match text.trim_end() {
        "<" => BinaryOp::Lt,
        "<=" => BinaryOp::LtEq,
        ">" => BinaryOp::Gt,
        ">=" => BinaryOp::GtEq,
        "<>" | "!=" => BinaryOp::NotEq,
        _ => BinaryOp::Eq,
    }
}
