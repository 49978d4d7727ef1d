//! CREATE FUNCTION: a function whose body is an expression over its parameters. A call is the body
//! with the arguments in the parameters' places, so nothing of a function is left in a plan.
//!
//! The body is checked where it is declared, its parameters standing for nothing in particular, and
//! once more for each call. It sees its parameters and no columns.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::Type;
use flow_stdlib::aggregates;
use flow_stdlib::builtin::lookup;
use flow_stdlib::coerce::{castable, widening_cost};

use super::Checker;
use super::coerce::{cast, open_type};
use super::expr::ExprCx;
use super::lambda::{Param, Params};
use super::notes::FunctionNote;
use super::scope::Scope;
use crate::diagnostics::{aggregates as calls, names, plans, types};
use crate::syntax::ast::{
    Arg, CreateFunction, ExprKind as Written, FunctionParam, Ident, Literal, ObjectName,
};

/// Parts of the expression that a call may become.
const CALL_PARTS_MAX: usize = 100_000;
/// What an argument of any type costs when overloads are weighed; more than any widening.
const ANY_TYPE_COST: u32 = 1_000;

/// A declared function.
#[derive(Debug)]
pub(super) struct Function<'a> {
    create: &'a CreateFunction,
    /// Types of the parameters; none where any will do.
    params: Vec<Option<Type>>,
    returns: Option<Type>,
    /// The declaration failed, and was reported.
    poisoned: bool,
}

impl Function<'_> {
    pub(super) fn name(&self) -> &Ident {
        self.create.name.last()
    }

    /// What editors are told of it.
    pub(super) fn note(&self) -> FunctionNote {
        let name = self.name();
        FunctionNote { name: name.text.clone(), usage: self.usage(), declared: name.span }
    }

    /// `f(a INT, b) → STRING`.
    pub(super) fn usage(&self) -> String {
        let names = self.create.params.as_deref().unwrap_or(&[]);
        let param = |(param, ty): (&FunctionParam, &Option<Type>)| match ty {
            Some(ty) => format!("{} {}", param.name.text, ty.data),
            None => param.name.text.clone(),
        };
        let params: Vec<String> = names.iter().zip(&self.params).map(param).collect();
        let name = &self.name().text;
        match &self.returns {
            Some(ty) => format!("{name}({}) → {}", params.join(", "), ty.data),
            None => format!("{name}({})", params.join(", ")),
        }
    }
}

impl<'a> Checker<'a> {
    /// CREATE FUNCTION.
    pub(super) fn create_function(&mut self, create: &'a CreateFunction, span: Span) {
        let name = create.name.last();
        if !self.is_sql(create, span) {
            return;
        }
        if lookup(&name.text).is_some() || aggregates::lookup(&name.text).is_some() {
            let what = format!("a function with the name of the builtin {}", name.text);
            let instead = Some("Give it another name.");
            self.found.push(plans::not_available(&what, name.span, instead));
            return;
        }
        let written = create.params.as_deref().unwrap_or(&[]);
        let mut whole = true;
        let mut params = Vec::with_capacity(written.len());
        for (at, param) in written.iter().enumerate() {
            if let Some(first) = written[..at].iter().find(|p| p.name.text == param.name.text) {
                let (name, first) = (&param.name, first.name.span);
                let place = format!("function {}", create.name);
                self.found.push(names::duplicate_column(
                    &name.text,
                    &place,
                    name.span,
                    Some(first),
                ));
                whole = false;
            }
            let ty = param.ty.as_ref().map(|ty| self.type_of(ty));
            whole &= !matches!(ty, Some(None));
            params.push(ty.flatten());
        }
        let returns = create.returns.as_ref().map(|ty| self.type_of(ty));
        whole &= !matches!(returns, Some(None));
        let same = |f: &Function<'_>| {
            let data = |p: &Option<Type>| p.as_ref().map(|ty| ty.data.clone());
            f.name().is_word(&name.text) && f.params.iter().map(data).eq(params.iter().map(data))
        };
        if let Some(at) = self.functions.iter().position(same) {
            if !create.or_replace {
                if !create.if_not_exists {
                    let first = self.functions[at].name().span;
                    self.found.push(names::declared_twice(&name.text, name.span, first));
                }
                return;
            }
            self.functions.remove(at);
        }
        let function = Function { create, params, returns: returns.flatten(), poisoned: !whole };
        self.functions.push(function);
        self.check_body();
    }

    /// Whether the body is SQL; if not, that is reported.
    fn is_sql(&mut self, create: &CreateFunction, span: Span) -> bool {
        let other = create.language.as_ref().filter(|language| !language.is_word("sql"));
        let class = matches!(&create.body.kind, Written::Literal(Literal::String(_)));
        if other.is_none() && !(class && create.params.is_none()) {
            return true;
        }
        let what = match other {
            Some(language) => format!("a function in {}", language.text.to_uppercase()),
            None => "a function that is a class".to_string(),
        };
        let instead = "Write its body in SQL: CREATE FUNCTION f(a INT) RETURNS INT AS a + 1.";
        self.found.push(plans::not_available(&what, span, Some(instead)));
        false
    }

    /// Checks the body of the function that was declared last, for values of its parameters' types.
    fn check_body(&mut self) {
        let Some(at) = self.functions.len().checked_sub(1) else { return };
        let function = &self.functions[at];
        if function.poisoned || function.params.iter().any(Option::is_none) {
            return;
        }
        let create = function.create;
        let value = |(number, (param, ty)): (usize, (&Ident, &Option<Type>))| {
            let ty = ty.clone()?.with_nullable(true);
            Some(Expr { kind: ExprKind::Param(number), ty, span: param.span })
        };
        let names = create.params.as_deref().unwrap_or(&[]).iter().map(|p| &p.name);
        let values = names.zip(&function.params).enumerate().map(value);
        let Some(values) = values.collect::<Option<Vec<Expr>>>() else { return };
        let numbers = self.params.numbers;
        self.params.numbers = values.len();
        let body = self.body_of(at, values);
        self.params.numbers = numbers;
        self.functions[at].poisoned = body.is_none();
    }

    /// The functions of this name, whatever its case.
    fn functions_named(&self, name: &str) -> Vec<usize> {
        let named = |(_, f): &(usize, &Function<'_>)| f.name().text.eq_ignore_ascii_case(name);
        self.functions.iter().enumerate().filter(named).map(|(at, _)| at).collect()
    }

    /// Whether a function of this name is declared.
    pub(super) fn is_function(&self, name: &str) -> bool {
        !self.functions_named(name).is_empty()
    }

    /// The arguments of a call as its parameters stand: those that are named at their places,
    /// behind the others.
    pub(super) fn in_order(&mut self, name: &Ident, args: &[Arg]) -> Option<Vec<Arg>> {
        let Some(first) = args.iter().position(|arg| arg.name.is_some()) else {
            return Some(args.to_vec());
        };
        let candidates = self.functions_named(&name.text);
        let placed = candidates.iter().find_map(|&at| {
            let params = self.functions[at].create.params.as_deref().unwrap_or(&[]);
            let named = |param: &FunctionParam| {
                let is =
                    |arg: &&Arg| arg.name.as_ref().is_some_and(|n| n.is_word(&param.name.text));
                args[first..].iter().find(is).map(|arg| Arg { name: None, ..arg.clone() })
            };
            let all = (params.len() == args.len()).then_some(params)?;
            let rest: Option<Vec<Arg>> = all[first..].iter().map(named).collect();
            Some([&args[..first], &rest?].concat())
        });
        placed.or_else(|| {
            let arg = &args[first];
            let what = format!("the argument {}", self.sources.text(arg.span));
            let usage: Vec<String> =
                candidates.iter().map(|at| self.functions[*at].usage()).collect();
            let problem = calls::modifier_not_taken(&name.text, &what, arg.span);
            self.report(problem.with_help(format!("There is {}.", usage.join(", "))))
        })
    }

    /// The call of a declared function.
    pub(super) fn function_call(
        &mut self,
        name: &Ident,
        args: Vec<Expr>,
        span: Span,
    ) -> Option<Expr> {
        let candidates = self.functions_named(&name.text);
        let cost = |at: &usize| self.functions[*at].cost(&args).map(|cost| (cost, *at));
        let best = candidates.iter().filter_map(cost).min();
        let Some((_, at)) = best else {
            let given: Vec<Type> = args.iter().map(|e| e.ty.clone()).collect();
            let usage: Vec<String> =
                candidates.iter().map(|at| self.functions[*at].usage()).collect();
            return self.report(types::wrong_arguments(&name.text, &given, &usage, span, None));
        };
        self.note_call(name.span, at);
        if self.functions[at].poisoned {
            return None;
        }
        if self.inlining.contains(&at) {
            let what = format!("{}, a function that calls itself,", name.text);
            return self.report(plans::not_available(&what, span, None));
        }
        let wanted = self.functions[at].params.clone();
        let mut values = Vec::with_capacity(args.len());
        for (arg, ty) in args.into_iter().zip(wanted) {
            values.push(match ty {
                Some(ty) => self.widen(arg, &ty.data)?,
                None => arg,
            });
        }
        let known = self.found.len();
        let called = self.with_values(at, values, Vec::new(), span)?;
        // What the body has to be told was told where it is declared.
        self.found.truncate(known);
        let mut parts = 0;
        called.walk(&mut |_| parts += 1);
        if parts > CALL_PARTS_MAX {
            let what = format!("a call of {} that comes to {parts} operations", name.text);
            return self.report(plans::not_available(&what, span, None));
        }
        Some(called)
    }

    /// The body over these arguments. One that differs from call to call is computed once.
    fn with_values(
        &mut self,
        at: usize,
        mut values: Vec<Expr>,
        mut bound: Vec<Expr>,
        span: Span,
    ) -> Option<Expr> {
        if values.is_empty() {
            return self.body_of(at, bound);
        }
        let next = values.remove(0);
        self.bound_once(next, span, |this, value| {
            bound.push(value);
            this.with_values(at, values, bound, span)
        })
    }

    /// The body where the parameters stand for these.
    fn body_of(&mut self, at: usize, values: Vec<Expr>) -> Option<Expr> {
        let create = self.functions[at].create;
        let names = create.params.as_deref().unwrap_or(&[]).iter().map(|p| p.name.clone());
        let named = names.zip(values).map(|(name, value)| Param { name, value }).collect();
        let numbers = self.params.numbers;
        let outer = std::mem::replace(&mut self.params, Params { named, numbers });
        self.inlining.push(at);
        let scope = Scope::default();
        let body = self.expr(&create.body, &mut ExprCx::rows(&scope, "a function"));
        self.inlining.pop();
        self.params = outer;
        let body = body?;
        let Some(to) = self.functions[at].returns.clone() else { return Some(body) };
        if body.ty.data == to.data {
            return Some(body);
        }
        let open = open_type(&body);
        if !castable(&open.data, &to.data) {
            return self.report(types::no_cast(&body.ty, &to, body.span));
        }
        let span = body.span;
        match widening_cost(&open.data, &to.data) {
            Some(_) => self.widen(body, &to.data),
            None => Some(cast(body, &to.data, false, span)),
        }
    }

    /// DROP FUNCTION: all functions of the name.
    pub(super) fn drop_function(&mut self, name: &ObjectName, if_exists: bool) {
        let gone = self.functions_named(&name.last().text);
        if gone.is_empty() && !if_exists {
            let known: Vec<String> = self.functions.iter().map(|f| f.name().text.clone()).collect();
            let name = name.last();
            self.found.push(names::unknown_function(&name.text, name.span, &known));
        }
        for at in gone.into_iter().rev() {
            self.functions.remove(at);
        }
    }
}

impl Function<'_> {
    /// What it costs to call it with these; none if it cannot be.
    fn cost(&self, args: &[Expr]) -> Option<u32> {
        if args.len() != self.params.len() {
            return None;
        }
        let one = |(arg, ty): (&Expr, &Option<Type>)| match ty {
            None => Some(ANY_TYPE_COST),
            Some(ty) => widening_cost(&arg.ty.data, &ty.data)
                .or_else(|| widening_cost(&open_type(arg).data, &ty.data)),
        };
        args.iter().zip(&self.params).map(one).sum()
    }
}
