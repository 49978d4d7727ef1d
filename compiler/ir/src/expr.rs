//! Typed scalar expressions over the columns of one relation: what the checker makes and the
//! optimiser rewrites. `compiler/src/lower` turns them into scalar programs.

use serde::{Deserialize, Serialize};

use crate::each::EachKind;
use crate::span::Span;
use crate::types::Type;
use crate::value::Value;

/// An expression with its type and its place in the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// Type of the result.
    pub ty: Type,
    /// Where it was written.
    pub span: Span,
}

/// The forms of an expression. Operators are builtins with symbols for names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ExprKind {
    /// Column of the input by position; a join's right columns follow its left ones.
    Column(usize),
    /// A constant.
    Literal(Value),
    /// A builtin by name and, among its overloads, by position. Arguments have exactly the types
    /// that the overload takes.
    Call {
        /// Name in the standard library.
        function: String,
        /// Position among its overloads.
        overload: u16,
        /// The arguments.
        args: Vec<Expr>,
    },
    /// CAST, or TRY_CAST, to the type of the expression.
    Cast {
        /// What is converted.
        arg: Box<Expr>,
        /// TRY_CAST: NULL where the value cannot be converted.
        lenient: bool,
    },
    /// Searched CASE; the first condition that is TRUE decides. Only the branch taken can fail.
    Case {
        /// (condition, result) pairs in order.
        branches: Vec<(Expr, Expr)>,
        /// ELSE; NULL when left out.
        otherwise: Option<Box<Expr>>,
    },
    /// Three-valued AND; a later operand fails only where the earlier ones are not FALSE.
    And(Vec<Expr>),
    /// Three-valued OR; a later operand fails only where the earlier ones are not TRUE.
    Or(Vec<Expr>),
    /// Three-valued NOT.
    Not(Box<Expr>),
    /// IS NULL.
    IsNull(Box<Expr>),
    /// Field of a ROW by position; NULL where the row is NULL.
    Field {
        /// The row.
        arg: Box<Expr>,
        /// Position of the field.
        index: usize,
    },
    /// A ROW of these fields.
    Row(Vec<Expr>),
    /// An ARRAY of these elements.
    Array(Vec<Expr>),
    /// A parameter of an `Each` around this, by number; the innermost one of that number is meant.
    Param(usize),
    /// An expression for each element of arrays, which are walked side by side.
    Each {
        /// What becomes of the body's results.
        kind: EachKind,
        /// Number of the first parameter: the accumulator of a fold, then an element of each array.
        first: usize,
        /// The arrays; one at least.
        arrays: Vec<Expr>,
        /// What the accumulator of a fold begins with.
        init: Option<Box<Expr>>,
        /// The expression.
        body: Box<Expr>,
    },
    /// The epoch's clock as TIMESTAMP_LTZ: PROCTIME(), NOW(), CURRENT_TIMESTAMP.
    Clock,
}

impl Expr {
    /// A column reference.
    pub fn column(index: usize, ty: Type, span: Span) -> Self {
        Self { kind: ExprKind::Column(index), ty, span }
    }

    /// A constant.
    pub fn literal(value: Value, ty: Type, span: Span) -> Self {
        Self { kind: ExprKind::Literal(value), ty, span }
    }

    /// The direct operands, in order.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::Param(_) | ExprKind::Clock => {
                Vec::new()
            }
            ExprKind::Each { arrays, init, body, .. } => {
                arrays.iter().chain(init.as_deref()).chain([&**body]).collect()
            }
            ExprKind::Call { args, .. }
            | ExprKind::And(args)
            | ExprKind::Or(args)
            | ExprKind::Row(args)
            | ExprKind::Array(args) => args.iter().collect(),
            ExprKind::Cast { arg, .. }
            | ExprKind::Not(arg)
            | ExprKind::IsNull(arg)
            | ExprKind::Field { arg, .. } => vec![arg],
            ExprKind::Case { branches, otherwise } => branches
                .iter()
                .flat_map(|(when, then)| [when, then])
                .chain(otherwise.as_deref())
                .collect(),
        }
    }

    /// The direct operands, in order, to be rewritten in place.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::Param(_) | ExprKind::Clock => {
                Vec::new()
            }
            ExprKind::Each { arrays, init, body, .. } => {
                arrays.iter_mut().chain(init.as_deref_mut()).chain([&mut **body]).collect()
            }
            ExprKind::Call { args, .. }
            | ExprKind::And(args)
            | ExprKind::Or(args)
            | ExprKind::Row(args)
            | ExprKind::Array(args) => args.iter_mut().collect(),
            ExprKind::Cast { arg, .. }
            | ExprKind::Not(arg)
            | ExprKind::IsNull(arg)
            | ExprKind::Field { arg, .. } => vec![arg],
            ExprKind::Case { branches, otherwise } => branches
                .iter_mut()
                .flat_map(|(when, then)| [when, then])
                .chain(otherwise.as_deref_mut())
                .collect(),
        }
    }

    /// Calls `visit` with this expression and all below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// Calls `visit` with this expression and all below it, children first.
    pub fn rewrite(&mut self, visit: &mut impl FnMut(&mut Expr)) {
        for child in self.children_mut() {
            child.rewrite(visit);
        }
        visit(self);
    }

    /// The input columns it reads, ascending, each once.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        self.walk(&mut |e| {
            if let ExprKind::Column(index) = e.kind {
                columns.push(index);
            }
        });
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Replaces each column reference by what `map` gives for its position.
    pub fn map_columns(&mut self, map: &impl Fn(usize) -> usize) {
        self.rewrite(&mut |e| {
            if let ExprKind::Column(index) = &mut e.kind {
                *index = map(*index);
            }
        });
    }
}
