//! Lambdas: `TRANSFORM(xs, x -> x + 1)` and its kin become an `Each`. A parameter's name hides
//! columns, and stands for an expression over the parameters that `Each` numbers: those of inner
//! lambdas follow those of outer ones.

use flow_ir::each::EachKind;
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_stdlib::builtin::{Builtin, LambdaForm, Meaning};
use flow_stdlib::coerce::{common_type, decimal_of, widens};
use flow_stdlib::signature::{Pattern, Signature};

use super::Checker;
use super::coerce::{cast, open_type};
use super::expr::{ExprCx, not};
use super::scope::{Found, find};
use crate::diagnostics::types;
use crate::syntax::ast::{self, Arg, ArgValue, Ident};

/// How often the type of an accumulator may grow before it is settled.
const GROWTHS_MAX: usize = 3;

/// A name that stands for an expression: a parameter of a lambda or of a function's body.
#[derive(Clone, Debug)]
pub(super) struct Param {
    pub name: Ident,
    pub value: Expr,
}

/// A lambda as written.
#[derive(Clone, Copy)]
struct Lambda<'a> {
    params: &'a [Ident],
    body: &'a ast::Expr,
}

/// An argument: a value, or a lambda that waits for the types of its parameters.
enum Argument<'a> {
    Value(Expr),
    Lambda(Lambda<'a>),
}

/// The names in scope and how many numbers are taken.
#[derive(Debug, Default)]
pub(super) struct Params {
    pub named: Vec<Param>,
    pub numbers: usize,
}

impl Checker<'_> {
    /// What a name stands for, if it is a parameter's; inner ones hide outer ones.
    pub(super) fn named_param(&self, name: &str) -> Option<&Param> {
        let names = || self.params.named.iter().rev().map(|p| p.name.text.as_str());
        let exact = names().position(|known| known == name);
        let at = exact.or_else(|| match find(name, names()) {
            Found::One(at) => Some(at),
            Found::Many(all) => all.first().copied(),
            Found::None => None,
        })?;
        self.params.named.iter().rev().nth(at)
    }

    /// The value of a parameter of this name.
    pub(super) fn param_value(&mut self, name: &Ident) -> Option<Expr> {
        let mut value = self.named_param(&name.text)?.value.clone();
        if matches!(value.kind, ExprKind::Param(_)) {
            value.span = name.span;
        }
        self.note_type(name.span, &value.ty);
        Some(value)
    }

    /// The call of a builtin that takes lambdas.
    pub(super) fn lambda_call(
        &mut self,
        builtin: &'static Builtin,
        written: &str,
        args: &[Arg],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let typed: Vec<Option<Argument<'_>>> = args
            .iter()
            .map(|arg| match &arg.value {
                ArgValue::Lambda { params, body } => {
                    Some(Argument::Lambda(Lambda { params, body }))
                }
                _ => self.argument(written, arg, cx).map(Argument::Value),
            })
            .collect();
        let args = typed.into_iter().collect::<Option<Vec<Argument<'_>>>>()?;
        let form = builtin.overloads.iter().find(|s| fits(s, &args)).map(|s| s.meaning);
        let Some(Meaning::Lambda(form)) = form else {
            let given: Vec<Type> = args
                .iter()
                .filter_map(|arg| match arg {
                    Argument::Value(value) => Some(value.ty.clone()),
                    Argument::Lambda(_) => None,
                })
                .collect();
            let usage = builtin.usage();
            return self.report(types::wrong_arguments(written, &given, &usage, span, None));
        };
        let mut values = Vec::new();
        let mut lambdas = Vec::new();
        for arg in args {
            match arg {
                Argument::Value(value) => values.push(value),
                Argument::Lambda(lambda) => lambdas.push(lambda),
            }
        }
        self.lambda_form(form, values, &lambdas, span, cx)
    }

    fn lambda_form(
        &mut self,
        form: LambdaForm,
        values: Vec<Expr>,
        lambdas: &[Lambda<'_>],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let mut values = values.into_iter();
        let first = values.next()?;
        let (map, filter) = (EachKind::Map, EachKind::Filter);
        let lambda = lambdas.first()?;
        match form {
            LambdaForm::Map => self.each(map, vec![first], lambda, span, cx),
            LambdaForm::Filter => self.each(filter, vec![first], lambda, span, cx),
            LambdaForm::MapAt | LambdaForm::FilterAt => {
                let kind = if form == LambdaForm::MapAt { map } else { filter };
                self.bound_once(first, span, |this, first| {
                    let positions = this.positions(&first, span)?;
                    this.each(kind, vec![first, positions], lambda, span, cx)
                })
            }
            LambdaForm::Zip => self.each(map, vec![first, values.next()?], lambda, span, cx),
            LambdaForm::Any | LambdaForm::All | LambdaForm::None => {
                let tests = self.tests(first, lambda, span, cx)?;
                let name = if form == LambdaForm::All { "ARRAY_BOOL_AND" } else { "ARRAY_BOOL_OR" };
                let found = self.operator(name, vec![tests], span)?;
                Some(if form == LambdaForm::None { not(found, span) } else { found })
            }
            LambdaForm::FoldThen => {
                let carried = self.fold(vec![first], values.next()?, lambda, span, cx)?;
                let then = lambdas.get(1)?;
                self.bound_once_as(carried, then.params.first()?, span, |this| {
                    this.lambda_body(then, cx)
                })
            }
            LambdaForm::Fold | LambdaForm::FoldStartLast => {
                self.fold(vec![first], values.next()?, lambda, span, cx)
            }
            LambdaForm::FoldOwn => self.bound_once(first, span, |this, first| {
                let start = this.operator("ARRAY_FIRST", vec![first.clone()], span)?;
                let two = int(2, span);
                let rest = this.operator("ARRAY_SLICE", vec![first, two], span)?;
                this.fold(vec![rest], start, lambda, span, cx)
            }),
            LambdaForm::FoldEntries => {
                let entries = self.operator("MAP_ENTRIES", vec![first], span)?;
                self.fold(vec![entries], values.next()?, lambda, span, cx)
            }
            LambdaForm::MapEntries
            | LambdaForm::MapKeys
            | LambdaForm::MapValues
            | LambdaForm::FilterEntries => self.over_entries(form, first, lambdas, span, cx),
        }
    }

    /// TRANSFORM and FILTER over the entries of a map.
    fn over_entries(
        &mut self,
        form: LambdaForm,
        map: Expr,
        lambdas: &[Lambda<'_>],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let lambda = lambdas.first()?;
        let entries = self.operator("MAP_ENTRIES", vec![map], span)?;
        let made = if form == LambdaForm::FilterEntries {
            self.each(EachKind::Filter, vec![entries], lambda, span, cx)?
        } else {
            self.each_with(EachKind::Map, vec![entries], span, |this, elements| {
                let [key, value] = parts(elements.first()?, span)?;
                let mut of = |this: &mut Self, lambda: &Lambda<'_>| {
                    this.with_names(lambda, vec![key.clone(), value.clone()], |this| {
                        this.lambda_body(lambda, cx)
                    })
                };
                let (key, value) = match form {
                    LambdaForm::MapKeys => (of(this, lambda)?, value.clone()),
                    LambdaForm::MapValues => (key.clone(), of(this, lambda)?),
                    _ => (of(this, lambda)?, of(this, lambdas.get(1)?)?),
                };
                Some(entry(key, value, span))
            })?
        };
        self.operator("MAP_FROM_ENTRIES", vec![made], span)
    }

    /// What a condition says of each element.
    fn tests(
        &mut self,
        array: Expr,
        lambda: &Lambda<'_>,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        self.each_with(EachKind::Map, vec![array], span, |this, elements| {
            let body = this.with_names(lambda, elements, |this| this.lambda_body(lambda, cx))?;
            this.boolean(body, "a lambda")
        })
    }

    /// MAP or FILTER of arrays by a lambda of as many parameters, or of an entry's two.
    fn each(
        &mut self,
        kind: EachKind,
        arrays: Vec<Expr>,
        lambda: &Lambda<'_>,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        self.each_with(kind, arrays, span, |this, elements| {
            let values = spread(elements, lambda.params.len(), span)?;
            let body = this.with_names(lambda, values, |this| this.lambda_body(lambda, cx))?;
            if kind == EachKind::Filter { this.boolean(body, "a lambda") } else { Some(body) }
        })
    }

    /// What is made of each element of an array.
    pub(super) fn each_element(
        &mut self,
        array: Expr,
        span: Span,
        body: impl FnOnce(&mut Self, Expr) -> Option<Expr>,
    ) -> Option<Expr> {
        self.each_with(EachKind::Map, vec![array], span, |this, mut elements| {
            body(this, elements.pop()?)
        })
    }

    fn each_with(
        &mut self,
        kind: EachKind,
        arrays: Vec<Expr>,
        span: Span,
        body: impl FnOnce(&mut Self, Vec<Expr>) -> Option<Expr>,
    ) -> Option<Expr> {
        let first = self.params.numbers;
        let elements = element_params(first, &arrays, span)?;
        self.params.numbers += arrays.len();
        let body = body(self, elements);
        self.params.numbers = first;
        let body = body?;
        let nullable = arrays.iter().any(|array| array.ty.nullable);
        let data = match kind {
            EachKind::Filter => arrays[0].ty.data.clone(),
            EachKind::Map | EachKind::Fold => DataType::Array(Box::new(body.ty.clone())),
        };
        let kind = ExprKind::Each { kind, first, arrays, init: None, body: Box::new(body) };
        Some(Expr { kind, ty: Type { data, nullable }, span })
    }

    /// A fold. The accumulator's type is the least that holds what it begins with and what the
    /// lambda makes of it.
    fn fold(
        &mut self,
        arrays: Vec<Expr>,
        init: Expr,
        lambda: &Lambda<'_>,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let first = self.params.numbers;
        let mut ty = init.ty.clone();
        for round in 0.. {
            let known = self.found.len();
            let of = ty.with_nullable(true);
            let accumulator = Expr { kind: ExprKind::Param(first), ty: of, span };
            let elements = element_params(first + 1, &arrays, span)?;
            let wanted = lambda.params.len().checked_sub(1)?;
            let mut values = spread(elements, wanted, span)?;
            values.insert(0, accumulator);
            self.params.numbers = first + 1 + arrays.len();
            let body = self.with_names(lambda, values, |this| this.lambda_body(lambda, cx));
            self.params.numbers = first;
            let body = body?;
            let common = common_type(&[ty.clone(), open_type(&body)]);
            let grown = match common {
                Some(common) if common.data == ty.data || round >= GROWTHS_MAX => None,
                Some(common) if round + 1 == GROWTHS_MAX => Some(widest(common)),
                Some(common) => Some(common),
                None => None,
            };
            if let Some(grown) = grown {
                self.found.truncate(known);
                ty = grown;
                continue;
            }
            let (at, data) = (body.span, ty.data.clone());
            let body = if widens(&open_type(&body).data, &data) {
                self.widen(body, &data)?
            } else if body.ty.data.is_numeric() && data.is_numeric() {
                cast(body, &data, false, at)
            } else {
                let given = [ty, body.ty];
                return self.report(types::no_common_type("the lambda", &given, at, None));
            };
            let init = self.widen(init, &data)?;
            let ty = Type::nullable(data);
            let (kind, init) = (EachKind::Fold, Some(Box::new(init)));
            let kind = ExprKind::Each { kind, first, arrays, init, body: Box::new(body) };
            return Some(Expr { kind, ty, span });
        }
        None
    }

    /// The positions of an array's elements, from 1.
    fn positions(&mut self, array: &Expr, span: Span) -> Option<Expr> {
        let count = self.operator("CARDINALITY", vec![array.clone()], span)?;
        let one = int(1, span);
        self.operator("GENERATE_SERIES", vec![one, count], span)
    }

    /// The body of a lambda whose parameters have their names.
    fn lambda_body(&mut self, lambda: &Lambda<'_>, cx: &mut ExprCx<'_>) -> Option<Expr> {
        let mut inner = ExprCx {
            group_window: cx.group_window,
            aliases: cx.aliases,
            null_keys: cx.null_keys,
            ..ExprCx::rows(cx.scope, cx.place)
        };
        self.expr(lambda.body, &mut inner)
    }

    /// Calls `then` where the parameters of a lambda stand for these.
    fn with_names<T>(
        &mut self,
        lambda: &Lambda<'_>,
        values: Vec<Expr>,
        then: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let before = self.params.named.len();
        for (name, value) in lambda.params.iter().zip(values) {
            self.params.named.push(Param { name: name.clone(), value });
        }
        let done = then(self);
        self.params.named.truncate(before);
        done
    }

    /// What `then` makes of a value that it may use twice. A value that differs from call to call
    /// is computed once: as the only element of an array.
    pub(super) fn bound_once(
        &mut self,
        value: Expr,
        span: Span,
        then: impl FnOnce(&mut Self, Expr) -> Option<Expr>,
    ) -> Option<Expr> {
        if crate::exprs::is_repeatable(&value) {
            return then(self, value);
        }
        let ty = Type::not_null(DataType::Array(Box::new(value.ty.clone())));
        let array = Expr { kind: ExprKind::Array(vec![value]), ty, span };
        let one = self.each_with(EachKind::Map, vec![array], span, |this, mut elements| {
            then(this, elements.pop()?)
        })?;
        self.operator("ARRAY_FIRST", vec![one], span)
    }

    fn bound_once_as(
        &mut self,
        value: Expr,
        name: &Ident,
        span: Span,
        then: impl FnOnce(&mut Self) -> Option<Expr>,
    ) -> Option<Expr> {
        self.bound_once(value, span, |this, value| {
            this.params.named.push(Param { name: name.clone(), value });
            let done = then(this);
            this.params.named.pop();
            done
        })
    }
}

/// Whether an overload takes these arguments, by their kinds: arrays, maps, lambdas of so many
/// parameters.
fn fits(signature: &Signature, args: &[Argument<'_>]) -> bool {
    signature.params.len() == args.len()
        && signature.params.iter().zip(args).all(|(pattern, arg)| match (pattern, arg) {
            (Pattern::Lambda(params, _), Argument::Lambda(lambda)) => {
                params.len() == lambda.params.len()
            }
            (Pattern::Lambda(..), Argument::Value(_)) | (_, Argument::Lambda(_)) => false,
            (Pattern::Array(_), Argument::Value(value)) => {
                matches!(value.ty.data, DataType::Array(_))
            }
            (Pattern::Map(..), Argument::Value(value)) => {
                matches!(value.ty.data, DataType::Map(..))
            }
            (_, Argument::Value(_)) => true,
        })
}

/// An element of each array, as numbered parameters.
fn element_params(first: usize, arrays: &[Expr], span: Span) -> Option<Vec<Expr>> {
    let many = arrays.len() > 1;
    let element = |(at, array): (usize, &Expr)| match &array.ty.data {
        DataType::Array(item) => {
            let ty = item.with_nullable(item.nullable || many);
            Some(Expr { kind: ExprKind::Param(first + at), ty, span })
        }
        _ => None,
    };
    arrays.iter().enumerate().map(element).collect()
}

/// The elements as so many values: an entry of a map is its key and its value.
fn spread(elements: Vec<Expr>, wanted: usize, span: Span) -> Option<Vec<Expr>> {
    match elements.as_slice() {
        [entry] if wanted == 2 => parts(entry, span).map(|parts| parts.to_vec()),
        _ => Some(elements),
    }
}

/// The two fields of an entry.
fn parts(entry: &Expr, span: Span) -> Option<[Expr; 2]> {
    let DataType::Row(fields) = &entry.ty.data else { return None };
    let field = |index: usize| {
        let ty = fields.get(index)?.ty.clone();
        let kind = ExprKind::Field { arg: Box::new(entry.clone()), index };
        Some(Expr { kind, ty, span })
    };
    Some([field(0)?, field(1)?])
}

fn entry(key: Expr, value: Expr, span: Span) -> Expr {
    let fields = [Field::new("key", key.ty.clone()), Field::new("value", value.ty.clone())];
    let ty = Type::not_null(DataType::Row(fields.into()));
    Expr { kind: ExprKind::Row(vec![key, value]), ty, span }
}

/// A BIGINT constant.
fn int(value: i64, span: Span) -> Expr {
    Expr::literal(Value::Int(value), Type::not_null(DataType::BigInt), span)
}

/// The type that sums of a growing DECIMAL end at.
fn widest(ty: Type) -> Type {
    let data = match ty.data {
        DataType::Decimal { scale, .. } => decimal_of(38, u32::from(scale)),
        other => other,
    };
    Type { data, ..ty }
}
