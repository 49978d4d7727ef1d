//! Calls of builtins, as the compiler makes them: an overload is chosen, arguments of its types are
//! found or made, and what the call expands to is set into the program.

use std::sync::LazyLock;

use flow_ir::each::Each;
use flow_ir::ids::{Reg, SiteId};
use flow_ir::scalar::{Inst, ScalarOp};
use flow_ir::types::{DataType, Field, TIME_MAX_PRECISION, Type};
use flow_ir::value::Value;
use flow_stdlib::builder::ScalarBuilder;
use flow_stdlib::builtin::{self, Builtin, Volatility};
use flow_stdlib::coerce::castable;
use flow_stdlib::signature::{Class, Pattern, Signature, VARIABLES_MAX};

use super::program::Maker;
use crate::source::Source;
use crate::types::{data_type, decimal_type};

/// Builtins whose result may be as large as a number among the arguments says.
const GROW_BY_NUMBER: [&str; 7] =
    ["REPEAT", "SPACE", "LPAD", "RPAD", "GENERATE_SERIES", "RANGE", "ARRAY_REPEAT"];
/// Builtins whose result may be as large as the product of the arguments' sizes.
const GROW_BY_PRODUCT: [&str; 4] = ["REPLACE", "REGEXP_REPLACE", "ARRAY_JOIN", "ARRAY_REPLACE"];
/// Numbers for the first of them: small, or refused.
const NUMBERS: [i64; 8] = [3, 0, -1, 1, 9, 17, i64::MAX, i64::MIN];

/// The types that a signature's variables stand for.
type Variables = [Option<DataType>; VARIABLES_MAX];

/// The overloads of the builtins that give the same result each time.
static OVERLOADS: LazyLock<Vec<(&'static Builtin, &'static Signature)>> = LazyLock::new(|| {
    let repeatable = builtin::all().filter(|b| b.volatility != Volatility::NonDeterministic);
    let overloads = repeatable.flat_map(|b| b.overloads.iter().map(move |s| (b, s)));
    overloads.filter(|(_, signature)| !signature.takes_lambda()).collect()
});

/// An argument: a register, and what it is cast to where the builtin wants it computed.
struct Argument {
    reg: Reg,
    cast: Option<Type>,
}

impl Maker<'_, '_> {
    /// Calls a builtin.
    pub(super) fn call(&mut self) {
        let (builtin, signature) = *self.s.pick(&OVERLOADS);
        // A body captures the clock.
        if self.bodies > 0 && builtin.volatility == Volatility::EpochClock {
            return;
        }
        let extra = if signature.variadic { self.s.below(3) } else { 0 };
        let mut variables = Variables::default();
        let mut arguments = Vec::new();
        for i in 0..signature.params.len() + extra {
            let Some(pattern) = signature.param(i) else { return };
            let argument = self.argument(builtin.name, pattern, &mut variables);
            arguments.push(argument);
        }
        self.expand(builtin, &arguments);
    }

    fn argument(&mut self, name: &str, pattern: &Pattern, variables: &mut Variables) -> Argument {
        if GROW_BY_NUMBER.contains(&name) && matches!(pattern, Pattern::BigInt | Pattern::Int) {
            let number = *self.s.pick(&NUMBERS);
            let reg = self.constant(Value::Int(number), DataType::BigInt);
            return Argument { reg, cast: None };
        }
        let known = variables.clone();
        if self.s.once_in(6) {
            let data = synthesise(self.s, pattern, variables);
            if data != DataType::String && castable(&DataType::String, &data) {
                let reg = self.operand_of(&DataType::String);
                let nullable = self.program.ty(reg).nullable;
                return Argument { reg, cast: Some(Type { data, nullable }) };
            }
            *variables = known.clone();
        }
        let made = synthesise(self.s, pattern, variables);
        let fits = |ty: &DataType| bind(pattern, ty, &mut known.clone());
        let reg = self.operand(fits, |_| made);
        let data = self.ty(reg).clone();
        *variables = known;
        bind(pattern, &data, variables);
        Argument { reg, cast: None }
    }

    /// Sets in what a call expands to. A call that does not resolve after all is left out.
    fn expand(&mut self, builtin: &Builtin, arguments: &[Argument]) {
        let given: Vec<Type> = arguments
            .iter()
            .map(|a| a.cast.clone().unwrap_or_else(|| self.program.ty(a.reg).clone()))
            .collect();
        let Ok(resolved) = builtin.resolve(&given) else { return };
        let columns = arguments.iter().map(|a| self.program.ty(a.reg).clone()).collect();
        let mut builder = ScalarBuilder::new(columns);
        let compute: Vec<_> = arguments
            .iter()
            .enumerate()
            .map(|(i, argument)| {
                let inst = self.program.insts[argument.reg.index()].clone();
                let (cast, wanted) = (argument.cast.clone(), resolved.arg_types[i].clone());
                move |b: &mut ScalarBuilder| {
                    let value = match &inst.op {
                        ScalarOp::Const(value) => b.constant(value.clone(), inst.ty.clone()),
                        _ => b.column(i as u32),
                    };
                    let value = cast.as_ref().map_or(value, |ty| b.cast(value, ty));
                    b.cast(value, &wanted)
                }
            })
            .collect();
        let lazy: Vec<&dyn Fn(&mut ScalarBuilder) -> Reg> =
            compute.iter().map(|c| c as &dyn Fn(&mut ScalarBuilder) -> Reg).collect();
        builder.set_site(self.s.once_in(2).then(|| SiteId::from(self.s.below(6))));
        builder.call(builtin, resolved.overload, &lazy, &resolved.ty);
        let registers: Vec<Reg> = arguments.iter().map(|a| a.reg).collect();
        let size = grown(builtin.name, self.size(&registers));
        let mut places: Vec<Reg> = Vec::new();
        for inst in builder.finish().insts {
            places.push(match inst.op {
                ScalarOp::Column(i) => registers[i as usize],
                _ => {
                    let at = |r: Reg| places[r.index()];
                    let (op, guard) = (moved(&inst.op, at), inst.guard.map(at));
                    self.add(Inst { op, guard, ..inst }, size)
                }
            });
        }
    }
}

/// Bytes of a result, roughly.
fn grown(name: &str, arguments: usize) -> usize {
    if GROW_BY_PRODUCT.contains(&name) {
        return (arguments + 8).saturating_mul(arguments + 8) / 4;
    }
    let times = if GROW_BY_NUMBER.contains(&name) { 20 } else { 4 };
    arguments.saturating_mul(times) + 64
}

/// Whether a type is one that a pattern takes as it is; binds its variables.
fn bind(pattern: &Pattern, ty: &DataType, variables: &mut Variables) -> bool {
    match (pattern, ty) {
        (Pattern::Var(index, class), _) => {
            let bound = &mut variables[*index];
            match bound {
                Some(bound) => bound == ty,
                None => {
                    *bound = Some(ty.clone());
                    in_class(*class, ty)
                }
            }
        }
        (Pattern::Array(item), DataType::Array(ty)) => bind(item, &ty.data, variables),
        (Pattern::Map(key, value), DataType::Map(k, v)) => {
            bind(key, &k.data, variables) && bind(value, &v.data, variables)
        }
        (Pattern::Entry(key, value), DataType::Row(fields)) => {
            fields.len() == 2
                && fields[0].name == "key"
                && fields[1].name == "value"
                && bind(key, &fields[0].ty.data, variables)
                && bind(value, &fields[1].ty.data, variables)
        }
        (Pattern::Array(_) | Pattern::Map(..) | Pattern::Entry(..) | Pattern::Lambda(..), _) => {
            false
        }
        (Pattern::Anything, ty) => ty.depth() < 4,
        (Pattern::Decimal, ty) => matches!(ty, DataType::Decimal { .. }),
        (Pattern::Time, ty) => matches!(ty, DataType::Time { .. }),
        (Pattern::Timestamp, ty) => matches!(ty, DataType::Timestamp { .. }),
        (Pattern::TimestampLtz, ty) => matches!(ty, DataType::TimestampLtz { .. }),
        (simple, ty) => plain(simple).as_ref() == Some(ty),
    }
}

/// A type that a pattern takes; binds its variables.
fn synthesise(s: &mut Source<'_>, pattern: &Pattern, variables: &mut Variables) -> DataType {
    match pattern {
        Pattern::Var(index, class) => {
            if let Some(bound) = &variables[*index] {
                return bound.clone();
            }
            let ty = of_class(s, *class);
            variables[*index] = Some(ty.clone());
            ty
        }
        Pattern::Array(item) => {
            let data = synthesise(s, item, variables);
            DataType::Array(Box::new(Type { data, nullable: !s.once_in(3) }))
        }
        Pattern::Map(key, value) => {
            let key = Type::not_null(synthesise(s, key, variables));
            let data = synthesise(s, value, variables);
            DataType::Map(Box::new(key), Box::new(Type { data, nullable: !s.once_in(3) }))
        }
        Pattern::Entry(key, value) => {
            let key = Type::nullable(synthesise(s, key, variables));
            let value = Type::nullable(synthesise(s, value, variables));
            DataType::Row([Field::new("key", key), Field::new("value", value)].into())
        }
        Pattern::Anything => data_type(s, 1),
        Pattern::Decimal => decimal_type(s),
        simple => plain(simple).unwrap_or(DataType::String),
    }
}

/// The type of a pattern without variables.
fn plain(pattern: &Pattern) -> Option<DataType> {
    let precision = TIME_MAX_PRECISION;
    Some(match pattern {
        Pattern::Boolean => DataType::Boolean,
        Pattern::Int => DataType::Int,
        Pattern::BigInt => DataType::BigInt,
        Pattern::Double => DataType::Double,
        Pattern::String => DataType::String,
        Pattern::Bytes => DataType::Bytes,
        Pattern::Date => DataType::Date,
        Pattern::Time => DataType::Time { precision },
        Pattern::Timestamp => DataType::Timestamp { precision },
        Pattern::TimestampLtz => DataType::TimestampLtz { precision },
        Pattern::Interval => DataType::Interval,
        Pattern::Uuid => DataType::Uuid,
        Pattern::Json => DataType::Json,
        Pattern::Anything
        | Pattern::Decimal
        | Pattern::Var(..)
        | Pattern::Array(_)
        | Pattern::Map(..)
        | Pattern::Entry(..)
        | Pattern::Lambda(..) => return None,
    })
}

fn in_class(class: Class, ty: &DataType) -> bool {
    match class {
        Class::Any => ty.depth() < 4,
        Class::Integer => ty.is_integer(),
        Class::Float => ty.is_float(),
        Class::Number => ty.is_numeric(),
        Class::Decimal => matches!(ty, DataType::Decimal { .. }),
        Class::Instant => ty.is_timestamp(),
        Class::Octets => matches!(ty, DataType::String | DataType::Bytes),
    }
}

fn of_class(s: &mut Source<'_>, class: Class) -> DataType {
    const INTEGERS: [DataType; 4] =
        [DataType::BigInt, DataType::Int, DataType::SmallInt, DataType::TinyInt];
    const INSTANTS: [DataType; 2] =
        [DataType::Timestamp { precision: 3 }, DataType::TimestampLtz { precision: 6 }];
    match class {
        Class::Any => data_type(s, 1),
        Class::Integer => s.pick(&INTEGERS).clone(),
        Class::Float => s.pick(&[DataType::Double, DataType::Real]).clone(),
        Class::Decimal => decimal_type(s),
        Class::Number if s.once_in(4) => decimal_type(s),
        Class::Number => s.pick(&INTEGERS).clone(),
        Class::Instant => s.pick(&INSTANTS).clone(),
        Class::Octets => s.pick(&[DataType::String, DataType::Bytes]).clone(),
    }
}

/// An operation with its operands elsewhere.
fn moved(op: &ScalarOp, at: impl Fn(Reg) -> Reg) -> ScalarOp {
    let all = |args: &[Reg]| args.iter().map(|r| at(*r)).collect();
    match op {
        ScalarOp::Column(_) | ScalarOp::Const(_) | ScalarOp::Clock => op.clone(),
        ScalarOp::And(a, b) => ScalarOp::And(at(*a), at(*b)),
        ScalarOp::Or(a, b) => ScalarOp::Or(at(*a), at(*b)),
        ScalarOp::Not(a) => ScalarOp::Not(at(*a)),
        ScalarOp::IsNull(a) => ScalarOp::IsNull(at(*a)),
        ScalarOp::Select(c, a, b) => ScalarOp::Select(at(*c), at(*a), at(*b)),
        ScalarOp::Arith(op, a, b) => ScalarOp::Arith(*op, at(*a), at(*b)),
        ScalarOp::Neg(a) => ScalarOp::Neg(at(*a)),
        ScalarOp::Compare(op, a, b) => ScalarOp::Compare(*op, at(*a), at(*b)),
        ScalarOp::Cast(a) => ScalarOp::Cast(at(*a)),
        ScalarOp::TryCast(a) => ScalarOp::TryCast(at(*a)),
        ScalarOp::Reinterpret(a) => ScalarOp::Reinterpret(at(*a)),
        ScalarOp::Field(a, index) => ScalarOp::Field(at(*a), *index),
        ScalarOp::Element(a, index) => ScalarOp::Element(at(*a), at(*index)),
        ScalarOp::MakeRow(args) => ScalarOp::MakeRow(all(args)),
        ScalarOp::MakeArray(args) => ScalarOp::MakeArray(all(args)),
        ScalarOp::Host(name, args) => ScalarOp::Host(name.clone(), all(args)),
        ScalarOp::Each(each) => ScalarOp::Each(Box::new(Each {
            arrays: all(&each.arrays),
            init: each.init.map(&at),
            captured: all(&each.captured),
            ..(**each).clone()
        })),
    }
}
