//! Operator precedence. Operands and operators come in the order of the text; two stacks, no
//! recursion, so a chain of any length is folded in a loop. `print` uses the same table.
//!
//! From loosest to tightest: OR · AND · NOT · IS · comparison · BETWEEN, IN, LIKE · `||` and the
//! other operators of Postgres · `+ -` · `* / %` · `^` · sign · AT TIME ZONE · index, field ·
//! everything closed in itself.

use flow_ir::span::Span;

use super::ast::{BinaryOp, Expr, ExprKind, UnaryOp};

/// How tightly an operator binds; higher is tighter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Precedence {
    Lowest,
    Or,
    And,
    Not,
    Is,
    Compare,
    Range,
    Concat,
    Add,
    Multiply,
    Power,
    Sign,
    AtZone,
    Access,
    Closed,
}

impl Precedence {
    /// The next tighter one.
    pub(crate) fn tighter(self) -> Precedence {
        match self {
            Precedence::Lowest => Precedence::Or,
            Precedence::Or => Precedence::And,
            Precedence::And => Precedence::Not,
            Precedence::Not => Precedence::Is,
            Precedence::Is => Precedence::Compare,
            Precedence::Compare => Precedence::Range,
            Precedence::Range => Precedence::Concat,
            Precedence::Concat => Precedence::Add,
            Precedence::Add => Precedence::Multiply,
            Precedence::Multiply => Precedence::Power,
            Precedence::Power => Precedence::Sign,
            Precedence::Sign => Precedence::AtZone,
            Precedence::AtZone => Precedence::Access,
            Precedence::Access | Precedence::Closed => Precedence::Closed,
        }
    }

    /// Of an operator with two operands.
    pub(crate) fn of_binary(op: BinaryOp) -> Precedence {
        match op {
            BinaryOp::Add | BinaryOp::Subtract => Precedence::Add,
            BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => Precedence::Multiply,
            BinaryOp::Power => Precedence::Power,
            BinaryOp::Concat
            | BinaryOp::Arrow
            | BinaryOp::ArrowText
            | BinaryOp::BitAnd
            | BinaryOp::BitOr
            | BinaryOp::BitXor
            | BinaryOp::ShiftLeft
            | BinaryOp::ShiftRight
            | BinaryOp::Matches
            | BinaryOp::MatchesAnyCase
            | BinaryOp::NotMatches
            | BinaryOp::NotMatchesAnyCase
            | BinaryOp::Contains
            | BinaryOp::ContainedIn
            | BinaryOp::Overlaps
            | BinaryOp::HasKey
            | BinaryOp::HasAnyKey
            | BinaryOp::HasAllKeys
            | BinaryOp::Path
            | BinaryOp::PathText
            | BinaryOp::DeletePath
            | BinaryOp::StartsWith => Precedence::Concat,
            BinaryOp::Eq
            | BinaryOp::NotEq
            | BinaryOp::Lt
            | BinaryOp::LtEq
            | BinaryOp::Gt
            | BinaryOp::GtEq => Precedence::Compare,
        }
    }

    /// Of an expression, when it stands as an operand.
    pub(crate) fn of(expr: &Expr) -> Precedence {
        match &expr.kind {
            ExprKind::Or(_) => Precedence::Or,
            ExprKind::And(_) => Precedence::And,
            ExprKind::Not(_) => Precedence::Not,
            ExprKind::Is { .. } | ExprKind::IsDistinctFrom { .. } => Precedence::Is,
            ExprKind::Quantified { .. } => Precedence::Compare,
            ExprKind::Binary { op, .. } => Precedence::of_binary(*op),
            ExprKind::Between { .. }
            | ExprKind::InList { .. }
            | ExprKind::InQuery { .. }
            | ExprKind::Like { .. } => Precedence::Range,
            ExprKind::Unary { .. } => Precedence::Sign,
            ExprKind::AtTimeZone { .. } => Precedence::AtZone,
            ExprKind::Index { .. }
            | ExprKind::Slice { .. }
            | ExprKind::Field { .. }
            | ExprKind::Cast { colons: true, .. } => Precedence::Access,
            ExprKind::Literal(_)
            | ExprKind::Name(_)
            | ExprKind::Exists(_)
            | ExprKind::Subquery(_)
            | ExprKind::Case { .. }
            | ExprKind::Cast { .. }
            | ExprKind::Array(_)
            | ExprKind::Map(_)
            | ExprKind::Row(_)
            | ExprKind::Trim { .. }
            | ExprKind::Call(_) => Precedence::Closed,
        }
    }
}

/// An operator between operands or before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Not,
    Sign(UnaryOp),
    Binary(BinaryOp),
}

impl Operator {
    fn precedence(self) -> Precedence {
        match self {
            Operator::Or => Precedence::Or,
            Operator::And => Precedence::And,
            Operator::Not => Precedence::Not,
            Operator::Sign(_) => Precedence::Sign,
            Operator::Binary(op) => Precedence::of_binary(op),
        }
    }
}

/// The two stacks. Operands and operators are pushed in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    operands: Vec<Expr>,
    operators: Vec<(Operator, Span)>,
}

impl Fold {
    /// An operand.
    pub(crate) fn operand(&mut self, expr: Expr) {
        self.operands.push(expr);
    }

    /// The operand pushed last, for what binds tighter than any operator.
    pub(crate) fn take_last(&mut self) -> Expr {
        self.operands.pop().expect("the grammar puts an operand before each operator")
    }

    /// NOT or a sign, which stands before its operand.
    pub(crate) fn prefix(&mut self, op: Operator, span: Span) {
        self.operators.push((op, span));
    }

    /// An operator between two operands; equal ones group from the left.
    pub(crate) fn infix(&mut self, op: Operator, span: Span) {
        self.reduce(op.precedence());
        self.operators.push((op, span));
    }

    /// An operator that stands behind its operand and brings the rest of itself along.
    pub(crate) fn predicate(&mut self, precedence: Precedence, make: impl FnOnce(Expr) -> Expr) {
        self.reduce(precedence);
        let left = self.take_last();
        self.operands.push(make(left));
    }

    /// The whole expression.
    pub(crate) fn finish(mut self) -> Expr {
        self.reduce(Precedence::Lowest);
        self.take_last()
    }

    /// Applies the operators that bind at least as tightly as `least`.
    fn reduce(&mut self, least: Precedence) {
        while let Some((op, span)) = self.operators.pop_if(|(op, _)| op.precedence() >= least) {
            let right = self.take_last();
            let expr = match op {
                Operator::Not => {
                    let span = span.to(right.span);
                    Expr { kind: ExprKind::Not(Box::new(right)), span }
                }
                Operator::Sign(op) => {
                    let span = span.to(right.span);
                    Expr { kind: ExprKind::Unary { op, arg: Box::new(right) }, span }
                }
                Operator::Binary(op) => {
                    let left = Box::new(self.take_last());
                    let span = left.span.to(right.span);
                    Expr { kind: ExprKind::Binary { op, left, right: Box::new(right) }, span }
                }
                Operator::And => self.chain(right, ExprKind::And, |kind| match kind {
                    ExprKind::And(args) => Some(args),
                    _ => None,
                }),
                Operator::Or => self.chain(right, ExprKind::Or, |kind| match kind {
                    ExprKind::Or(args) => Some(args),
                    _ => None,
                }),
            };
            self.operands.push(expr);
        }
    }

    /// Adds `right` to a chain of AND or OR on its left, or begins one.
    fn chain(
        &mut self,
        right: Expr,
        wrap: fn(Vec<Expr>) -> ExprKind,
        args_of: fn(&mut ExprKind) -> Option<&mut Vec<Expr>>,
    ) -> Expr {
        let mut left = self.take_last();
        let span = left.span.to(right.span);
        match args_of(&mut left.kind) {
            Some(args) => {
                args.push(right);
                left.span = span;
                left
            }
            None => Expr { kind: wrap(vec![left, right]), span },
        }
    }
}
