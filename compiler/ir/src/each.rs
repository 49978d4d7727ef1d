//! A program that is computed for each element of arrays: what TRANSFORM, FILTER and REDUCE come
//! to. Arrays are walked side by side; where one is shorter its elements are NULL.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::Reg;
use crate::scalar::{ScalarOp, ScalarProgram};
use crate::types::{DataType, Type};

/// What becomes of the body's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EachKind {
    /// They are the elements of an array.
    Map,
    /// The elements of the first array where they are TRUE are kept.
    Filter,
    /// Each is the accumulator of the next element; the last one is the result.
    Fold,
}

/// The operation. A NULL array makes the result NULL; what else it reads may be NULL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Each {
    /// What becomes of the body's results.
    pub kind: EachKind,
    /// The arrays; one at least.
    pub arrays: Vec<Reg>,
    /// What the accumulator of a fold begins with.
    pub init: Option<Reg>,
    /// What the body reads beside the elements.
    pub captured: Vec<Reg>,
    /// The body. Its input is the accumulator of a fold, an element of each array, then what is
    /// captured. It reads no clock: that is captured.
    pub body: ScalarProgram,
    /// The body's result.
    pub result: Reg,
}

impl Each {
    /// The registers it reads: arrays, what the accumulator begins with, what is captured.
    pub fn operands(&self) -> Vec<Reg> {
        self.arrays.iter().chain(&self.init).chain(&self.captured).copied().collect()
    }

    /// Checks that the body is well formed and that all types fit, `ty` being those of registers.
    ///
    /// # Errors
    /// What does not.
    pub fn verify<'a>(
        &self,
        ty: impl Fn(Reg) -> &'a DataType,
        result: &DataType,
    ) -> Result<(), String> {
        let wrong = |why: &str| Err(why.to_string());
        if (self.kind == EachKind::Fold) != self.init.is_some() {
            return wrong("a fold, and nothing else, has an accumulator");
        }
        let mut input: Vec<&DataType> = self.init.iter().map(|reg| ty(*reg)).collect();
        for array in &self.arrays {
            let DataType::Array(item) = ty(*array) else { return wrong("there is no array") };
            input.push(&item.data);
        }
        input.extend(self.captured.iter().map(|reg| ty(*reg)));
        if self.arrays.is_empty() || !input.into_iter().eq(self.body.input.iter().map(|t| &t.data))
        {
            return wrong("the body reads something else");
        }
        self.body.verify().map_err(|e| format!("in the body: {e}"))?;
        if self.body.insts.iter().any(|inst| matches!(inst.op, ScalarOp::Clock)) {
            return wrong("the body reads the clock");
        }
        let Some(inst) = self.body.insts.get(self.result.index()) else {
            return wrong("the body has no such register");
        };
        let given = &inst.ty.data;
        let fits = match self.kind {
            EachKind::Map => matches!(result, DataType::Array(item) if item.data == *given),
            EachKind::Filter => *given == DataType::Boolean && ty(self.arrays[0]) == result,
            EachKind::Fold => given == result && self.body.input[0].data == *result,
        };
        if fits { Ok(()) } else { wrong("the body gives something else") }
    }

    /// Types of the body's input: of the accumulator, an element of each array, what is captured.
    pub fn input(init: Option<&Type>, arrays: &[&Type], captured: Vec<Type>) -> Vec<Type> {
        let element = |array: &&Type| match &array.data {
            DataType::Array(item) => item.with_nullable(item.nullable || arrays.len() > 1),
            _ => Type::nullable(DataType::Null),
        };
        // Any element may make the accumulator NULL.
        let init = init.map(|ty| ty.with_nullable(true));
        init.into_iter().chain(arrays.iter().map(element)).chain(captured).collect()
    }
}

impl fmt::Display for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            EachKind::Map => "map_each",
            EachKind::Filter => "filter_each",
            EachKind::Fold => "fold_each",
        };
        f.write_str(name)?;
        for reg in self.operands() {
            write!(f, " r{}", reg.0)?;
        }
        let body = self.body.to_string();
        write!(f, " by r{} of {{ {} }}", self.result.0, body.trim_end().replace('\n', "; "))
    }
}
