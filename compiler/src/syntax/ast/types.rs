//! Types as written. Names of scalar types are not looked up here.

use flow_ir::span::Span;

use super::{Ident, TimeUnit};

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    /// Its form.
    pub kind: TypeKind,
    /// `NOT NULL` is `Some(false)`, `NULL` is `Some(true)`, nothing is `None`.
    pub nullable: Option<bool>,
    /// The whole type, the nullability included.
    pub span: Span,
}

impl TypeExpr {
    /// Whether it is JSONB.
    pub fn is_jsonb(&self) -> bool {
        matches!(&self.kind, TypeKind::Named { name, .. } if name.is_word("jsonb"))
    }

    /// Whether it is NUMERIC, or DECIMAL, without digits.
    pub fn is_open_decimal(&self) -> bool {
        let TypeKind::Named { name, params, .. } = &self.kind else { return false };
        params.is_empty() && ["numeric", "decimal", "dec"].iter().any(|word| name.is_word(word))
    }
}

/// The forms of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// A scalar type by name: `BIGINT`, `DECIMAL(10, 2)`, `TIMESTAMP(3) WITH LOCAL TIME ZONE`.
    Named {
        /// The name; several words are joined by a blank: `DOUBLE PRECISION`.
        name: Ident,
        /// The numbers in parentheses.
        params: Vec<TypeParam>,
        /// WITH or WITHOUT TIME ZONE.
        zone: TimeZoneClause,
    },
    /// `INTERVAL DAY TO SECOND`; without units the bare `INTERVAL`.
    Interval(Option<IntervalUnits>),
    /// `ARRAY<T>`, `T ARRAY`, `T[]`.
    Array(Box<TypeExpr>),
    /// `MULTISET<T>`, `T MULTISET`.
    Multiset(Box<TypeExpr>),
    /// `MAP<K, V>`.
    Map(Box<TypeExpr>, Box<TypeExpr>),
    /// `ROW<a T, b U>`, `ROW(a T)`, `STRUCT<a T, b: U>`.
    Row(Vec<FieldType>),
}

/// A number in a type's parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeParam {
    /// The number; one too large for u32 is `u32::MAX`.
    pub value: u32,
    /// Where.
    pub span: Span,
}

/// What a time type says about the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeZoneClause {
    /// Nothing.
    None,
    /// `WITHOUT TIME ZONE`.
    Without,
    /// `WITH TIME ZONE`.
    With,
    /// `WITH LOCAL TIME ZONE`.
    WithLocal,
}

/// A field of a ROW.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldType {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: TypeExpr,
    /// COMMENT.
    pub comment: Option<super::Text>,
}

/// The units of an interval: `DAY`, `DAY TO SECOND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalUnits {
    /// The first, largest unit.
    pub from: TimeUnit,
    /// The unit after TO.
    pub to: Option<TimeUnit>,
    /// Where.
    pub span: Span,
}
