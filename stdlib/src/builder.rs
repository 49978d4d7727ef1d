//! Builds scalar programs. Equal pure instructions are made once; what may fail carries the guard
//! of the branch it stands in, so that only the branch taken can fail. Whatever is computed under
//! a guard is only ever read through a Select, AND or OR that masks the other rows.

use std::collections::HashMap;

use flow_ir::each::Each;
use flow_ir::ids::{Reg, SiteId};
use flow_ir::scalar::{ArithOp, CompareOp, Inst, ScalarOp, ScalarProgram};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use crate::builtin::{Builtin, Meaning};
use crate::host::{self, HostFn};

/// A computed value: the register that holds it.
pub type Operand = Reg;

/// An argument that is computed where the builder stands when it is called.
pub type Lazy<'a> = &'a dyn Fn(&mut ScalarBuilder) -> Operand;

/// A scalar program under construction.
#[derive(Debug, Default)]
pub struct ScalarBuilder {
    program: ScalarProgram,
    known: HashMap<String, Reg>,
    guard: Option<Reg>,
    site: Option<SiteId>,
}

impl ScalarBuilder {
    /// A program over rows with these columns.
    pub fn new(input: Vec<Type>) -> Self {
        Self { program: ScalarProgram::new(input), ..Self::default() }
    }

    /// The program.
    pub fn finish(self) -> ScalarProgram {
        self.program
    }

    /// The instructions so far.
    pub fn program(&self) -> &ScalarProgram {
        &self.program
    }

    /// Type of a value.
    pub fn ty(&self, of: Operand) -> &Type {
        self.program.ty(of)
    }

    /// Failures of the next instructions point here; gives the place before.
    pub fn set_site(&mut self, site: Option<SiteId>) -> Option<SiteId> {
        std::mem::replace(&mut self.site, site)
    }

    /// The value of an operand that is a constant.
    pub fn as_constant(&self, of: Operand) -> Option<&Value> {
        match &self.program.insts[of.index()].op {
            ScalarOp::Const(value) => Some(value),
            _ => None,
        }
    }

    /// Calls a builtin: `args` have the types that `Builtin::resolve` gave, `ty` is the result's.
    ///
    /// # Panics
    /// If the builtin has no such overload.
    pub fn call(&mut self, builtin: &Builtin, overload: u16, args: &[Lazy<'_>], ty: &Type) -> Reg {
        match builtin.meaning(overload).expect("the overload was resolved") {
            Meaning::Lazy(expand) => expand(self, args, ty),
            Meaning::Ops(expand) => {
                let args: Vec<Reg> = args.iter().map(|arg| arg(self)).collect();
                expand(self, &args, ty)
            }
            Meaning::Host(host) => {
                let args: Vec<Reg> = args.iter().map(|arg| arg(self)).collect();
                self.host(&host, &args, ty)
            }
            // The checker makes no call of it: it gives no value that a call could have.
            Meaning::Lambda(_) => self.null(ty),
        }
    }

    /// A column of the input row.
    pub fn column(&mut self, index: u32) -> Reg {
        let ty = self.program.input[index as usize].clone();
        self.add(ScalarOp::Column(index), ty)
    }

    /// A constant.
    pub fn constant(&mut self, value: Value, ty: Type) -> Reg {
        self.add(ScalarOp::Const(value), ty)
    }

    /// A BIGINT constant.
    pub fn int(&mut self, value: i64) -> Reg {
        self.constant(Value::Int(value), Type::not_null(DataType::BigInt))
    }

    /// A STRING constant.
    pub fn text(&mut self, value: &str) -> Reg {
        self.constant(Value::String(value.to_string()), Type::not_null(DataType::String))
    }

    /// NULL.
    pub fn null(&mut self, ty: &Type) -> Reg {
        self.constant(Value::Null, ty.with_nullable(true))
    }

    /// The epoch's clock.
    pub fn clock(&mut self, ty: Type) -> Reg {
        self.add(ScalarOp::Clock, ty)
    }

    /// Checked arithmetic.
    pub fn arith(&mut self, op: ArithOp, a: Reg, b: Reg, ty: &Type) -> Reg {
        self.add(ScalarOp::Arith(op, a, b), ty.clone())
    }

    /// BIGINT arithmetic.
    pub fn arith_int(&mut self, op: ArithOp, a: Reg, b: Reg) -> Reg {
        let nullable = self.any_nullable(&[a, b]);
        self.arith(op, a, b, &Type { data: DataType::BigInt, nullable })
    }

    /// Checked negation.
    pub fn neg(&mut self, a: Reg, ty: &Type) -> Reg {
        self.add(ScalarOp::Neg(a), ty.clone())
    }

    /// Comparison of two values of one type.
    pub fn compare(&mut self, op: CompareOp, a: Reg, b: Reg) -> Reg {
        let nullable = self.any_nullable(&[a, b]);
        self.add(ScalarOp::Compare(op, a, b), Type { data: DataType::Boolean, nullable })
    }

    /// CAST; nothing where the type is the same already.
    pub fn cast(&mut self, a: Reg, ty: &Type) -> Reg {
        match self.cast_is_free(a, ty) {
            Some(reg) => reg,
            None => self.add(ScalarOp::Cast(a), ty.clone()),
        }
    }

    /// TRY_CAST.
    pub fn try_cast(&mut self, a: Reg, ty: &Type) -> Reg {
        match self.cast_is_free(a, ty) {
            Some(reg) => reg,
            None => self.add(ScalarOp::TryCast(a), ty.with_nullable(true)),
        }
    }

    fn cast_is_free(&mut self, a: Reg, ty: &Type) -> Option<Reg> {
        if self.ty(a).data == ty.data {
            return Some(a);
        }
        matches!(self.as_constant(a), Some(Value::Null)).then(|| self.null(ty))
    }

    /// The same bits as another type.
    pub fn reinterpret(&mut self, a: Reg, data: DataType) -> Reg {
        if self.ty(a).data == data {
            return a;
        }
        let nullable = self.ty(a).nullable;
        self.add(ScalarOp::Reinterpret(a), Type { data, nullable })
    }

    /// Three-valued AND.
    pub fn and(&mut self, a: Reg, b: Reg) -> Reg {
        let nullable = self.any_nullable(&[a, b]);
        self.add(ScalarOp::And(a, b), Type { data: DataType::Boolean, nullable })
    }

    /// Three-valued OR.
    pub fn or(&mut self, a: Reg, b: Reg) -> Reg {
        let nullable = self.any_nullable(&[a, b]);
        self.add(ScalarOp::Or(a, b), Type { data: DataType::Boolean, nullable })
    }

    /// Three-valued NOT.
    pub fn not(&mut self, a: Reg) -> Reg {
        let ty = self.ty(a).clone();
        self.add(ScalarOp::Not(a), ty)
    }

    /// IS NULL.
    pub fn is_null(&mut self, a: Reg) -> Reg {
        let ty = Type::not_null(DataType::Boolean);
        if !self.ty(a).nullable {
            return self.constant(Value::Boolean(false), ty);
        }
        self.add(ScalarOp::IsNull(a), ty)
    }

    /// `a` where `condition` is TRUE, else `b`.
    pub fn select(&mut self, condition: Reg, a: Reg, b: Reg, ty: &Type) -> Reg {
        self.add(ScalarOp::Select(condition, a, b), ty.clone())
    }

    /// A field of a ROW.
    pub fn field(&mut self, a: Reg, index: u32, ty: &Type) -> Reg {
        self.add(ScalarOp::Field(a, index), ty.clone())
    }

    /// An element of an ARRAY, counted from 1.
    pub fn element(&mut self, array: Reg, index: Reg, ty: &Type) -> Reg {
        self.add(ScalarOp::Element(array, index), ty.with_nullable(true))
    }

    /// A ROW of these values.
    pub fn row(&mut self, fields: Vec<Reg>, ty: &Type) -> Reg {
        self.add(ScalarOp::MakeRow(fields), ty.clone())
    }

    /// An ARRAY of these values.
    pub fn array(&mut self, items: Vec<Reg>, ty: &Type) -> Reg {
        self.add(ScalarOp::MakeArray(items), ty.clone())
    }

    /// A call of a host function.
    pub fn host(&mut self, host: &HostFn, args: &[Reg], ty: &Type) -> Reg {
        let inst = self.inst(ScalarOp::Host(host.name.to_string(), args.to_vec()), ty.clone());
        if host.pure { self.share(inst) } else { self.program.push(inst) }
    }

    /// A program for each element of arrays.
    pub fn each(&mut self, each: Each, ty: &Type) -> Reg {
        let pure = is_pure(&each.body);
        let inst = self.inst(ScalarOp::Each(Box::new(each)), ty.clone());
        if pure { self.share(inst) } else { self.program.push(inst) }
    }

    /// What `then` builds can fail only where `condition` is TRUE.
    pub fn guarded(&mut self, condition: Reg, then: impl FnOnce(&mut ScalarBuilder) -> Reg) -> Reg {
        let outer = self.guard;
        self.guard = Some(match outer {
            Some(outer) => self.and(outer, condition),
            None => condition,
        });
        let value = then(self);
        self.guard = outer;
        value
    }

    /// AND of many; a later one fails only where the earlier ones are not FALSE.
    pub fn and_all(&mut self, args: &[Lazy<'_>]) -> Reg {
        self.chain(args, true)
    }

    /// OR of many; a later one fails only where the earlier ones are not TRUE.
    pub fn or_any(&mut self, args: &[Lazy<'_>]) -> Reg {
        self.chain(args, false)
    }

    fn chain(&mut self, args: &[Lazy<'_>], all: bool) -> Reg {
        let mut result = None;
        for arg in args {
            result = Some(match result {
                None => arg(self),
                Some(before) => {
                    let decided = if all { self.not(before) } else { before };
                    let open = self.is_not_true(decided);
                    let next = self.guarded(open, |b| arg(b));
                    if all { self.and(before, next) } else { self.or(before, next) }
                }
            });
        }
        result.unwrap_or_else(|| {
            self.constant(Value::Boolean(all), Type::not_null(DataType::Boolean))
        })
    }

    /// TRUE where `a` is FALSE or NULL.
    pub fn is_not_true(&mut self, a: Reg) -> Reg {
        let not = self.not(a);
        let null = self.is_null(a);
        self.or(null, not)
    }

    /// Searched CASE; the branches and `otherwise` are of type `ty`.
    pub fn case(
        &mut self,
        branches: &[(Lazy<'_>, Lazy<'_>)],
        otherwise: Option<Lazy<'_>>,
        ty: &Type,
    ) -> Reg {
        let outer = self.guard;
        let mut taken = Vec::with_capacity(branches.len());
        for (when, then) in branches {
            let condition = when(self);
            let value = self.guarded(condition, |b| then(b));
            taken.push((condition, value));
            let open = self.is_not_true(condition);
            self.guard = Some(match self.guard {
                Some(guard) => self.and(guard, open),
                None => open,
            });
        }
        let last = match otherwise {
            Some(value) => value(self),
            None => self.null(ty),
        };
        self.guard = outer;
        taken.into_iter().rev().fold(last, |rest, (when, then)| self.select(when, then, rest, ty))
    }

    /// Whether any of these may be NULL.
    pub fn any_nullable(&self, of: &[Reg]) -> bool {
        of.iter().any(|&reg| self.ty(reg).nullable)
    }

    fn add(&mut self, op: ScalarOp, ty: Type) -> Reg {
        let inst = self.inst(op, ty);
        self.share(inst)
    }

    fn inst(&self, op: ScalarOp, ty: Type) -> Inst {
        let may_fail = matches!(
            op,
            ScalarOp::Arith(..)
                | ScalarOp::Neg(_)
                | ScalarOp::Cast(_)
                | ScalarOp::TryCast(_)
                | ScalarOp::Host(..)
                | ScalarOp::Each(_)
        );
        let (guard, site) = if may_fail { (self.guard, self.site) } else { (None, None) };
        let ty = if guard.is_some() { ty.with_nullable(true) } else { ty };
        Inst { op, ty, guard, site }
    }

    /// The register of an equal instruction, or a new one. One without a guard will do for one
    /// with a guard.
    fn share(&mut self, inst: Inst) -> Reg {
        let plain = format!("{:?} {}", inst.op, inst.ty.data);
        if let Some(&reg) = self.known.get(&plain) {
            return reg;
        }
        let key = match inst.guard {
            Some(guard) => format!("{plain} if {}", guard.0),
            None => plain,
        };
        if let Some(&reg) = self.known.get(&key) {
            return reg;
        }
        let reg = self.program.push(inst);
        self.known.insert(key, reg);
        reg
    }
}

/// Whether a program gives the same each time.
fn is_pure(program: &ScalarProgram) -> bool {
    program.insts.iter().all(|inst| match &inst.op {
        ScalarOp::Host(name, _) => host::lookup(name).is_some_and(|host| host.pure),
        ScalarOp::Each(each) => is_pure(&each.body),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int() -> Type {
        Type::not_null(DataType::Int)
    }

    #[test]
    fn equal_instructions_are_one() {
        let mut b = ScalarBuilder::new(vec![int(), int()]);
        let (x, y) = (b.column(0), b.column(1));
        let first = b.arith(ArithOp::Add, x, y, &int());
        let again = b.arith(ArithOp::Add, x, y, &int());
        assert_eq!(first, again);
        let other = b.arith(ArithOp::Add, y, x, &int());
        assert_ne!(first, other);
        let zero = b.constant(Value::Float(0.0), Type::not_null(DataType::Double));
        let minus = b.constant(Value::Float(-0.0), Type::not_null(DataType::Double));
        assert_ne!(zero, minus);
        assert!(b.finish().verify().is_ok());
    }

    #[test]
    fn only_the_branch_taken_can_fail() {
        let mut b = ScalarBuilder::new(vec![Type::nullable(DataType::Boolean), int()]);
        let quotient = |b: &mut ScalarBuilder| {
            let (one, x) = (b.constant(Value::Int(1), int()), b.column(1));
            b.arith(ArithOp::Div, one, x, &int())
        };
        let zero = |b: &mut ScalarBuilder| b.constant(Value::Int(0), int());
        let when = |b: &mut ScalarBuilder| b.column(0);
        b.case(&[(&when, &quotient)], Some(&zero), &int());
        let program = b.finish();
        assert!(program.verify().is_ok());
        let div = program.insts.iter().find(|i| matches!(i.op, ScalarOp::Arith(..)));
        let guard = div.and_then(|i| i.guard).expect("guarded");
        assert_eq!(program.insts[guard.index()].op, ScalarOp::Column(0));
    }
}
