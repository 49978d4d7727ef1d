//! One instruction for one row: what native code calls for operations that it does not spell out.
//! The same conversions as the batch-wise steps, on single values.

use flow_ir::kernel::{ErrorCode, KernelError};
use flow_ir::row::{ArrayRef, Column, RowLayout, RowRef};
use flow_ir::scalar::{ArithOp, Inst, ScalarProgram};
use flow_ir::types::Slot;

use super::arith::{self, Arithmetic};
use super::compare;
use super::each::LoopError;
use super::step::{Action, Negation};
use crate::builtin::NullRule;
use crate::host::{HostArg, HostError, HostOut};

/// An instruction that is computed one value at a time.
#[derive(Debug)]
pub struct Single(Action);

impl Single {
    /// Instruction `inst` of a verified program.
    ///
    /// # Errors
    /// If it names an unknown host function or a cast that does not exist.
    pub fn new(program: &ScalarProgram, inst: &Inst) -> Result<Self, KernelError> {
        let layout = RowLayout::new(program.input.clone());
        Action::new(program, &layout, inst).map(Self)
    }

    /// Whether it gives its operand as it is, so that there is nothing to call.
    pub fn is_forward(&self) -> bool {
        matches!(self.0, Action::Forward(_))
    }

    /// Whether it takes NULLs as they are; of others a NULL operand makes the result NULL, and they
    /// are not to be called with one.
    pub fn sees_nulls(&self) -> bool {
        match &self.0 {
            Action::MakeRow { .. } | Action::MakeArray { .. } | Action::Each { .. } => true,
            Action::Host { host, .. } => host.nulls == NullRule::SeesNulls,
            Action::Column(_)
            | Action::Constant
            | Action::Clock
            | Action::And(..)
            | Action::Or(..)
            | Action::Not(_)
            | Action::IsNull(_)
            | Action::Select(..)
            | Action::Arith(..)
            | Action::Neg(..)
            | Action::Compare(..)
            | Action::Cast { .. }
            | Action::Forward(_)
            | Action::Field { .. }
            | Action::Element { .. } => false,
        }
    }

    /// Computes it from the values of its operands, in their order.
    ///
    /// # Errors
    /// What the instruction fails with; `BadArgument` for an operation that moves values only,
    /// which is never asked for.
    pub fn call(&mut self, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Result<(), HostError> {
        match (&mut self.0, args) {
            (Action::Arith(op, arithmetic, ..), [a, b]) => arith_one(*op, *arithmetic, *a, *b, out),
            (Action::Neg(negation, _), [a]) => negate_one(*negation, *a, out),
            (Action::Compare(op, order, ..), [a, b]) => {
                out.bool(compare::holds(*op, order.compare(*a, *b)));
                Ok(())
            }
            (Action::Cast { caster, lenient, .. }, [value]) => {
                let done = caster.cast(*value, out);
                if done.is_err() {
                    out.null();
                }
                if *lenient { Ok(()) } else { done }
            }
            (Action::Field { column, fixed_words, .. }, [row]) => {
                field_one(*row, *column, *fixed_words, out);
                Ok(())
            }
            (Action::Element { item, .. }, [array, index]) => {
                element_one(*array, index.i64(), *item, out);
                Ok(())
            }
            (Action::MakeRow { fields, builder }, args) => {
                builder.clear();
                for ((_, slot), arg) in fields.iter().zip(args) {
                    arg.push_to(builder, *slot);
                }
                builder.finish_row(out.container());
                Ok(())
            }
            (Action::MakeArray { item, builder, .. }, args) => {
                builder.clear();
                args.iter().for_each(|arg| arg.push_to(builder, *item));
                builder.finish_array(out.container());
                Ok(())
            }
            (Action::Host { host, cx, .. }, args) => {
                let done = (host.call)(cx, args, out);
                if done.is_err() {
                    out.null();
                }
                done
            }
            (Action::Each { each, .. }, args) => each.run(args, out).map_err(|error| match error {
                LoopError::Whole(error) => error,
                LoopError::Element(error) => HostError { code: error.code, detail: error.detail },
            }),
            (
                Action::Column(_)
                | Action::Constant
                | Action::Clock
                | Action::And(..)
                | Action::Or(..)
                | Action::Not(_)
                | Action::IsNull(_)
                | Action::Select(..)
                | Action::Forward(_)
                | Action::Arith(..)
                | Action::Neg(..)
                | Action::Compare(..)
                | Action::Cast { .. }
                | Action::Field { .. }
                | Action::Element { .. },
                _,
            ) => Err(ErrorCode::BadArgument.into()),
        }
    }
}

fn arith_one(
    op: ArithOp,
    arithmetic: Arithmetic,
    a: HostArg<'_>,
    b: HostArg<'_>,
    out: &mut HostOut<'_>,
) -> Result<(), HostError> {
    match arithmetic {
        Arithmetic::Integer(bits) => out.i64(arith::integer(op, a.i64(), b.i64(), bits)?),
        Arithmetic::Real => out.f64(f64::from(arith::float(op, a.f64(), b.f64()) as f32)),
        Arithmetic::Double => out.f64(arith::float(op, a.f64(), b.f64())),
        Arithmetic::Decimal { a: (a_scale, _), b: (b_scale, _), to, slot } => {
            let operands = ((a.i128(), a_scale), (b.i128(), b_scale));
            out.i128(crate::decimal::arith(op, operands.0, operands.1, to)?, slot);
        }
    }
    Ok(())
}

fn negate_one(negation: Negation, a: HostArg<'_>, out: &mut HostOut<'_>) -> Result<(), HostError> {
    match negation {
        Negation::Integer(bits) => out.i64(arith::integer(ArithOp::Sub, 0, a.i64(), bits)?),
        Negation::Float => out.f64(-a.f64()),
        Negation::Decimal(slot) => out.i128(a.i128().wrapping_neg(), slot),
        Negation::Interval => {
            let (months, micros) = a.interval();
            match (months.checked_neg(), micros.checked_neg()) {
                (Some(months), Some(micros)) => out.interval(months, micros),
                _ => return Err(ErrorCode::Overflow.into()),
            }
        }
    }
    Ok(())
}

fn field_one(row: HostArg<'_>, column: Column, fixed_words: usize, out: &mut HostOut<'_>) {
    let words = row.container();
    if words.len() < fixed_words || RowRef::new(words).is_null(column) {
        return;
    }
    let row = RowRef::new(words);
    match column.slot {
        Slot::Word => out.word(row.word(column)),
        Slot::Wide => out.wide(row.wide(column)),
        Slot::Var => out.bytes(row.var(column)),
    }
}

fn element_one(array: HostArg<'_>, index: i64, item: Slot, out: &mut HostOut<'_>) {
    let elements = ArrayRef::new(array.container(), item);
    let at = usize::try_from(index.wrapping_sub(1)).ok();
    if let Some(at) = at.filter(|at| *at < elements.len() && !elements.is_null(*at)) {
        match item {
            Slot::Word => out.word(elements.word(at)),
            Slot::Wide => out.wide(elements.wide(at)),
            Slot::Var => out.bytes(elements.var(at)),
        }
    }
}
