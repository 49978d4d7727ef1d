//! Expressions to scalar programs: for kernels, and for folding constants. Only the branch that is
//! taken can fail (CASE, AND, OR, COALESCE); every failure has its place in the text.

use std::cell::RefCell;

use flow_ir::each::Each;
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::{Reg, SiteId};
use flow_ir::scalar::{Inst, ScalarOp, ScalarProgram};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::builder::{Lazy, ScalarBuilder};
use flow_stdlib::builtin::{Builtin, Volatility, lookup};
use flow_stdlib::interp;

/// The value of an expression without columns; `None` where computing it fails.
pub(crate) fn constant_value(expr: &Expr) -> Option<Value> {
    value_at(expr, 0)
}

/// The value of an expression without columns where the clock shows these microseconds since 1970;
/// `None` if it fails.
pub(crate) fn value_at(expr: &Expr, clock: i64) -> Option<Value> {
    let mut program = Program::new(Vec::new());
    let reg = program.expr(expr, &Columns::Input);
    let (program, _) = program.finish();
    interp::eval(&program, reg, &[], clock).ok()
}

/// A register with the value of `reg` and exactly this type, which differs in nullability at most:
/// a guard makes what it guards nullable, and a sink may allow NULL where the query has none.
pub(crate) fn typed(program: &mut ScalarProgram, reg: Reg, ty: Type) -> Reg {
    if *program.ty(reg) == ty {
        return reg;
    }
    debug_assert_eq!(program.ty(reg).data, ty.data);
    let plain = |op: ScalarOp, ty: Type| Inst { op, ty, guard: None, site: None };
    let op = if let ScalarOp::Column(index) = program.insts[reg.index()].op {
        ScalarOp::Column(index)
    } else if ty.data.is_container() {
        let boolean = Type::not_null(DataType::Boolean);
        let always = program.push(plain(ScalarOp::Const(Value::Boolean(true)), boolean));
        ScalarOp::Select(always, reg, reg)
    } else {
        ScalarOp::Reinterpret(reg)
    };
    program.push(plain(op, ty))
}

/// What column references stand for.
pub(crate) enum Columns<'a> {
    /// Columns of the program's input.
    Input,
    /// Values computed before.
    Computed(&'a [Reg]),
}

/// A scalar program under construction; its sites are positions in `spans` until it is finished.
pub(crate) struct Program {
    builder: ScalarBuilder,
    spans: RefCell<Vec<Span>>,
}

impl Program {
    pub(crate) fn new(input: Vec<Type>) -> Self {
        Self { builder: ScalarBuilder::new(input), spans: RefCell::new(Vec::new()) }
    }

    /// The program, and the places that its sites are positions among.
    pub(crate) fn finish(self) -> (ScalarProgram, Vec<Span>) {
        (self.builder.finish(), self.spans.into_inner())
    }

    /// Computes an expression.
    pub(crate) fn expr(&mut self, expr: &Expr, columns: &Columns<'_>) -> Reg {
        Lower { columns, spans: &self.spans, body: None }.expr(&mut self.builder, expr)
    }

    /// A column of the program's input.
    pub(crate) fn column(&mut self, index: usize) -> Reg {
        input_column(&mut self.builder, index)
    }

    /// TRUE where both are.
    pub(crate) fn and(&mut self, a: Reg, b: Reg) -> Reg {
        self.builder.and(a, b)
    }

    /// Computes an expression that can fail only where `guard` is TRUE.
    pub(crate) fn guarded(
        &mut self,
        guard: Option<Reg>,
        expr: &Expr,
        columns: &Columns<'_>,
    ) -> Reg {
        let lower = Lower { columns, spans: &self.spans, body: None };
        match guard {
            Some(guard) => self.builder.guarded(guard, |b| lower.expr(b, expr)),
            None => lower.expr(&mut self.builder, expr),
        }
    }
}

fn input_column(b: &mut ScalarBuilder, index: usize) -> Reg {
    b.column(u32::try_from(index).expect("a relation has fewer than 2^32 columns"))
}

struct Lower<'a> {
    columns: &'a Columns<'a>,
    spans: &'a RefCell<Vec<Span>>,
    /// The body of an `Each` that this is part of: it reads columns of its own alone.
    body: Option<&'a Body<'a>>,
}

/// What the columns of a body are: its parameters, then what it captures.
struct Body<'a> {
    first: usize,
    params: usize,
    captured: Vec<&'a Expr>,
}

impl Body<'_> {
    /// The column of an expression that is one.
    fn column(&self, expr: &Expr) -> Option<u32> {
        let at = match expr.kind {
            ExprKind::Param(number) if (self.first..self.first + self.params).contains(&number) => {
                number - self.first
            }
            _ => self.params + self.captured.iter().position(|e| same_place(e, expr))?,
        };
        u32::try_from(at).ok()
    }
}

/// Whether two expressions are the same column, parameter, clock, or field of one.
fn same_place(a: &Expr, b: &Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ExprKind::Column(a), ExprKind::Column(b)) | (ExprKind::Param(a), ExprKind::Param(b)) => {
            a == b
        }
        (ExprKind::Clock, ExprKind::Clock) => true,
        (ExprKind::Call { function: f, .. }, ExprKind::Call { function: g, .. }) => {
            f == g && is_clock_call(a) && is_clock_call(b)
        }
        (ExprKind::Field { arg: a, index: i }, ExprKind::Field { arg: b, index: j }) => {
            i == j && same_place(a, b)
        }
        _ => false,
    }
}

/// Whether it is a call without arguments that reads the clock.
fn is_clock_call(expr: &Expr) -> bool {
    let ExprKind::Call { function, overload, args } = &expr.kind else { return false };
    let clock = |b: &Builtin| b.volatility_of(*overload) == Volatility::EpochClock;
    args.is_empty() && lookup(function).is_some_and(clock)
}

/// Whether it is read from outside of a body with these parameters: a column, the clock, another
/// parameter, or a field of one.
fn is_outer(expr: &Expr, bound: &[usize]) -> bool {
    match &expr.kind {
        ExprKind::Column(_) | ExprKind::Clock => true,
        ExprKind::Call { .. } => is_clock_call(expr),
        ExprKind::Param(number) => !bound.contains(number),
        ExprKind::Field { arg, .. } => is_outer(arg, bound),
        _ => false,
    }
}

/// What an expression reads from outside, each once.
fn capture<'e>(expr: &'e Expr, bound: &mut Vec<usize>, found: &mut Vec<&'e Expr>) {
    if is_outer(expr, bound) {
        if !found.iter().any(|known| same_place(known, expr)) {
            found.push(expr);
        }
        return;
    }
    let ExprKind::Each { first, arrays, init, body, .. } = &expr.kind else {
        return expr.children().into_iter().for_each(|child| capture(child, bound, found));
    };
    arrays.iter().chain(init.as_deref()).for_each(|e| capture(e, bound, found));
    let known = bound.len();
    bound.extend(*first..first + arrays.len() + usize::from(init.is_some()));
    capture(body, bound, found);
    bound.truncate(known);
}

type Argument<'a> = Box<dyn Fn(&mut ScalarBuilder) -> Reg + 'a>;

impl Lower<'_> {
    fn expr(&self, b: &mut ScalarBuilder, expr: &Expr) -> Reg {
        if let Some(column) = self.body.and_then(|body| body.column(expr)) {
            return b.column(column);
        }
        match &expr.kind {
            ExprKind::Param(_) => unreachable!("a parameter stands in the body of its Each"),
            ExprKind::Each { .. } => self.each(b, expr),
            ExprKind::Column(index) => match self.columns {
                Columns::Input => input_column(b, *index),
                Columns::Computed(regs) => regs[*index],
            },
            ExprKind::Literal(Value::Null) => b.null(&expr.ty),
            ExprKind::Literal(value) => b.constant(value.clone(), expr.ty.clone()),
            ExprKind::Call { function, overload, args } => {
                let builtin = lookup(function).expect("the checker found the function");
                let args: Vec<Argument<'_>> = args.iter().map(|arg| self.later(arg)).collect();
                let args: Vec<Lazy<'_>> = args.iter().map(|arg| &**arg as Lazy<'_>).collect();
                self.at(b, expr.span, |b| b.call(builtin, *overload, &args, &expr.ty))
            }
            ExprKind::Cast { arg, lenient } => {
                let value = self.expr(b, arg);
                self.at(b, expr.span, |b| match lenient {
                    true => b.try_cast(value, &expr.ty),
                    false => b.cast(value, &expr.ty),
                })
            }
            ExprKind::Case { branches, otherwise } => {
                let branches: Vec<(Argument<'_>, Argument<'_>)> =
                    branches.iter().map(|(w, t)| (self.later(w), self.later(t))).collect();
                let branches: Vec<(Lazy<'_>, Lazy<'_>)> =
                    branches.iter().map(|(w, t)| (&**w as Lazy<'_>, &**t as Lazy<'_>)).collect();
                let otherwise = otherwise.as_ref().map(|e| self.later(e));
                b.case(&branches, otherwise.as_ref().map(|e| &**e as Lazy<'_>), &expr.ty)
            }
            ExprKind::And(args) => {
                let args: Vec<Argument<'_>> = args.iter().map(|arg| self.later(arg)).collect();
                b.and_all(&args.iter().map(|arg| &**arg as Lazy<'_>).collect::<Vec<_>>())
            }
            ExprKind::Or(args) => {
                let args: Vec<Argument<'_>> = args.iter().map(|arg| self.later(arg)).collect();
                b.or_any(&args.iter().map(|arg| &**arg as Lazy<'_>).collect::<Vec<_>>())
            }
            ExprKind::Not(arg) => {
                let arg = self.expr(b, arg);
                b.not(arg)
            }
            ExprKind::IsNull(arg) => {
                let arg = self.expr(b, arg);
                b.is_null(arg)
            }
            ExprKind::Field { arg, index } => {
                let arg = self.expr(b, arg);
                let index = u32::try_from(*index).expect("a row has fewer than 2^32 fields");
                b.field(arg, index, &expr.ty)
            }
            ExprKind::Row(args) => {
                let fields = args.iter().map(|arg| self.expr(b, arg)).collect();
                b.row(fields, &expr.ty)
            }
            ExprKind::Array(args) => {
                let items = args.iter().map(|arg| self.expr(b, arg)).collect();
                b.array(items, &expr.ty)
            }
            ExprKind::Clock => b.clock(expr.ty.clone()),
        }
    }

    fn each(&self, b: &mut ScalarBuilder, expr: &Expr) -> Reg {
        let ExprKind::Each { kind, first, arrays, init, body } = &expr.kind else {
            unreachable!("the caller looked")
        };
        let arrays: Vec<Reg> = arrays.iter().map(|array| self.expr(b, array)).collect();
        let init = init.as_ref().map(|init| self.expr(b, init));
        let params = arrays.len() + usize::from(init.is_some());
        let mut captured = Vec::new();
        capture(body, &mut (*first..first + params).collect(), &mut captured);
        let regs: Vec<Reg> = captured.iter().map(|e| self.expr(b, e)).collect();
        let types: Vec<&Type> = arrays.iter().map(|reg| b.ty(*reg)).collect();
        let of_captured = regs.iter().map(|reg| b.ty(*reg).clone()).collect();
        let input = Each::input(init.map(|reg| b.ty(reg)), &types, of_captured);
        let mut inner = ScalarBuilder::new(input);
        let of_body = Body { first: *first, params, captured };
        let lower = Lower { body: Some(&of_body), ..*self };
        let result = lower.expr(&mut inner, body);
        let body = inner.finish();
        let each = Each { kind: *kind, arrays, init, captured: regs, body, result };
        self.at(b, expr.span, |b| b.each(each, &expr.ty))
    }

    /// The expression, to be computed where the builder stands when it is asked for.
    fn later<'b>(&'b self, expr: &'b Expr) -> Argument<'b> {
        Box::new(move |b| self.expr(b, expr))
    }

    /// What `make` adds fails at this place.
    fn at(
        &self,
        b: &mut ScalarBuilder,
        span: Span,
        make: impl FnOnce(&mut ScalarBuilder) -> Reg,
    ) -> Reg {
        let mut spans = self.spans.borrow_mut();
        let known = spans.iter().rposition(|s| *s == span);
        let site = known.unwrap_or_else(|| {
            spans.push(span);
            spans.len() - 1
        });
        drop(spans);
        let outer = b.set_site(Some(SiteId::from(site)));
        let reg = make(b);
        b.set_site(outer);
        reg
    }
}

#[cfg(test)]
mod tests {
    use flow_ir::kernel::ErrorCode;

    use super::*;

    const AT: Span = Span { file: flow_ir::span::FileId(0), start: 3, end: 4 };

    fn bigint() -> Type {
        Type::nullable(DataType::BigInt)
    }

    fn int(value: i64) -> Expr {
        Expr::literal(Value::Int(value), Type::not_null(DataType::BigInt), AT)
    }

    fn call(name: &str, args: Vec<Expr>) -> Expr {
        let types: Vec<Type> = args.iter().map(|e| e.ty.clone()).collect();
        let resolved = lookup(name).expect("a builtin").resolve(&types).expect("an overload");
        let kind = ExprKind::Call { function: name.into(), overload: resolved.overload, args };
        Expr { kind, ty: resolved.ty, span: AT }
    }

    /// `10 / x`, x being the only column.
    fn tenth() -> Expr {
        call("/", vec![int(10), Expr::column(0, bigint(), AT)])
    }

    fn x_is_zero() -> Expr {
        call("=", vec![Expr::column(0, bigint(), AT), int(0)])
    }

    fn boolean(kind: ExprKind) -> Expr {
        Expr { kind, ty: Type::nullable(DataType::Boolean), span: AT }
    }

    fn eval(expr: &Expr, x: i64) -> Result<Value, ErrorCode> {
        let mut program = Program::new(vec![bigint()]);
        let reg = program.expr(expr, &Columns::Input);
        let (program, spans) = program.finish();
        program.verify().expect("well formed");
        assert!(program.insts.iter().flat_map(|i| i.site).all(|s| spans[s.index()] == AT));
        interp::eval(&program, reg, &[Value::Int(x)], 0).map_err(|e| e.code)
    }

    #[test]
    fn a_failure_has_a_code_and_a_place() {
        assert_eq!(eval(&tenth(), 5), Ok(Value::Int(2)));
        assert_eq!(eval(&tenth(), 0), Err(ErrorCode::DivisionByZero));
    }

    #[test]
    fn only_the_branch_taken_can_fail() {
        let branches = vec![(x_is_zero(), int(-1))];
        let kind = ExprKind::Case { branches, otherwise: Some(Box::new(tenth())) };
        let case = Expr { kind, ty: bigint(), span: AT };
        assert_eq!(eval(&case, 0), Ok(Value::Int(-1)));
        assert_eq!(eval(&case, 2), Ok(Value::Int(5)));
    }

    #[test]
    fn a_decided_connective_hides_later_failures() {
        let more = || call(">", vec![tenth(), int(1)]);
        let nonzero = boolean(ExprKind::Not(Box::new(x_is_zero())));
        let and = boolean(ExprKind::And(vec![nonzero, more()]));
        assert_eq!(eval(&and, 0), Ok(Value::Boolean(false)));
        assert_eq!(eval(&and, 5), Ok(Value::Boolean(true)));
        let or = boolean(ExprKind::Or(vec![x_is_zero(), more()]));
        assert_eq!(eval(&or, 0), Ok(Value::Boolean(true)));
        assert_eq!(eval(&or, 10), Ok(Value::Boolean(false)));
    }

    #[test]
    fn constants_have_values_unless_they_fail() {
        assert_eq!(constant_value(&call("+", vec![int(40), int(2)])), Some(Value::Int(42)));
        assert_eq!(constant_value(&call("/", vec![int(1), int(0)])), None);
    }

    #[test]
    fn outputs_are_of_exactly_the_type_asked_for() {
        let mut program = Program::new(vec![Type::not_null(DataType::BigInt)]);
        let column = program.column(0);
        let sum = program.expr(
            &call("+", vec![Expr::column(0, Type::not_null(DataType::BigInt), AT), int(1)]),
            &Columns::Input,
        );
        let (mut program, _) = program.finish();
        for reg in [column, sum] {
            let wider = typed(&mut program, reg, bigint());
            assert_eq!(program.ty(wider), &bigint());
            assert_eq!(typed(&mut program, wider, bigint()), wider);
        }
        program.verify().expect("well formed");
    }
}
