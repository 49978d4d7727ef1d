//! Operators as written.

/// Signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `~`.
    BitNot,
    /// `-`.
    Minus,
    /// `+`.
    Plus,
}

/// Operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// `%`.
    Modulo,
    /// `||`.
    Concat,
    /// `->`.
    Arrow,
    /// `->>`.
    ArrowText,
    /// `^`.
    Power,
    /// `&`.
    BitAnd,
    /// `|`.
    BitOr,
    /// `#`.
    BitXor,
    /// `<<`.
    ShiftLeft,
    /// `>>`.
    ShiftRight,
    /// `~`.
    Matches,
    /// `~*`.
    MatchesAnyCase,
    /// `!~`.
    NotMatches,
    /// `!~*`.
    NotMatchesAnyCase,
    /// `@>`.
    Contains,
    /// `<@`.
    ContainedIn,
    /// `&&`.
    Overlaps,
    /// `?`.
    HasKey,
    /// `?|`.
    HasAnyKey,
    /// `?&`.
    HasAllKeys,
    /// `#>`.
    Path,
    /// `#>>`.
    PathText,
    /// `#-`.
    DeletePath,
    /// `^@`.
    StartsWith,
    /// `=`, `==`.
    Eq,
    /// `<>`, `!=`.
    NotEq,
    /// `<`.
    Lt,
    /// `<=`.
    LtEq,
    /// `>`.
    Gt,
    /// `>=`.
    GtEq,
}
