//! Programs for each element of arrays: a body is a random program over the elements and what it
//! captures.

use flow_ir::each::{Each, EachKind};
use flow_ir::ids::Reg;
use flow_ir::scalar::{Inst, ScalarOp, ScalarProgram};
use flow_ir::types::{DataType, Type};

use super::program::{DEPTH_MAX, Maker};
use crate::types::{any_type, data_type};

const KINDS: [EachKind; 3] = [EachKind::Map, EachKind::Filter, EachKind::Fold];
/// Steps of which a body is made.
const BODY_STEPS_MAX: usize = 5;
/// Bodies inside of bodies.
const BODIES_MAX: usize = 2;

impl Maker<'_, '_> {
    pub(super) fn each(&mut self) {
        if self.bodies >= BODIES_MAX {
            return;
        }
        let kind = *self.s.pick(&KINDS);
        let fits = |ty: &DataType| matches!(ty, DataType::Array(_)) && ty.depth() < DEPTH_MAX;
        let mut arrays = Vec::new();
        for _ in 0..if self.s.once_in(4) { 2 } else { 1 } {
            arrays.push(self.operand(fits, |s| DataType::Array(Box::new(any_type(s, 1)))));
        }
        let shallow = |ty: &DataType| ty.depth() < DEPTH_MAX - 1;
        let init = (kind == EachKind::Fold).then(|| self.operand(shallow, |s| data_type(s, 1)));
        let mut captured = Vec::new();
        for _ in 0..self.s.below(3) {
            captured.push(self.operand(shallow, |s| data_type(s, 1)));
        }
        let types: Vec<&Type> = arrays.iter().map(|reg| self.program.ty(*reg)).collect();
        let of_captured = captured.iter().map(|reg| self.program.ty(*reg).clone()).collect();
        let input = Each::input(init.map(|reg| self.program.ty(reg)), &types, of_captured);
        let (body, result) = self.body(input, kind);
        let data = match kind {
            EachKind::Map => DataType::Array(Box::new(body.ty(result).clone())),
            EachKind::Filter => self.ty(arrays[0]).clone(),
            EachKind::Fold => body.ty(result).data.clone(),
        };
        let nullable =
            kind == EachKind::Fold || arrays.iter().any(|reg| self.program.ty(*reg).nullable);
        let each = Each { kind, arrays, init, captured, body, result };
        let size = self.size(&each.operands()).saturating_mul(16) + 64;
        self.push(ScalarOp::Each(Box::new(each)), data, Some(nullable), size);
    }

    /// A body over these columns, and its result.
    fn body(&mut self, input: Vec<Type>, kind: EachKind) -> (ScalarProgram, Reg) {
        let columns = input.clone();
        let program = ScalarProgram::new(input);
        let bodies = self.bodies + 1;
        let mut maker = Maker { s: &mut *self.s, program, sizes: Vec::new(), bodies };
        for (i, ty) in columns.into_iter().enumerate() {
            let size = 8 * ty.slot().words() + 64;
            maker.add(Inst { op: ScalarOp::Column(i as u32), ty, guard: None, site: None }, size);
        }
        for _ in 0..maker.s.below(BODY_STEPS_MAX) {
            maker.step();
        }
        let wanted = match kind {
            EachKind::Map => None,
            EachKind::Filter => Some(DataType::Boolean),
            EachKind::Fold => Some(maker.ty(Reg::from(0usize)).clone()),
        };
        let result = match wanted {
            None => {
                let shallow = |ty: &DataType| ty.depth() < DEPTH_MAX - 1;
                maker.operand(shallow, |_| DataType::Int)
            }
            Some(data) => maker.operand_of(&data),
        };
        (maker.program, result)
    }
}
