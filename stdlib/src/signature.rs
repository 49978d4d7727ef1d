//! Argument lists of builtins as constant data, with type variables, and how they bind to the
//! types of a call.

use std::fmt;

use flow_ir::types::{DataType, Field, TIME_MAX_PRECISION, Type};
use flow_ir::value::Value;

use crate::builtin::Meaning;
use crate::coerce::{common_type, integer_digits, widens};

/// One argument list.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Patterns of the arguments, in order.
    pub params: &'static [Pattern],
    /// Whether the last pattern takes one or more arguments.
    pub variadic: bool,
    /// Type of the result.
    pub returns: Returns,
    /// When the result may be NULL.
    pub nullability: Nullability,
    /// What it does.
    pub meaning: Meaning,
}

/// Types that an argument may have, or the type of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// BOOLEAN.
    Boolean,
    /// INT and what widens to it.
    Int,
    /// BIGINT and what widens to it.
    BigInt,
    /// DOUBLE and what widens to it.
    Double,
    /// Any DECIMAL; an integer as the DECIMAL that holds it. Not for results.
    Decimal,
    /// STRING.
    String,
    /// BYTES.
    Bytes,
    /// DATE.
    Date,
    /// TIME.
    Time,
    /// TIMESTAMP and DATE.
    Timestamp,
    /// TIMESTAMP_LTZ.
    TimestampLtz,
    /// INTERVAL.
    Interval,
    /// UUID.
    Uuid,
    /// JSON.
    Json,
    /// Any type, as it is, whatever the other arguments are. Not for results.
    Anything,
    /// A type variable: arguments of the same variable arrive as their common type.
    Var(usize, Class),
    /// ARRAY of.
    Array(&'static Pattern),
    /// MAP from, to.
    Map(&'static Pattern, &'static Pattern),
    /// ROW of a key and a value: an entry of a map.
    Entry(&'static Pattern, &'static Pattern),
    /// A lambda from these to this. Only the checker can tell what one is.
    Lambda(&'static [Pattern], &'static Pattern),
}

/// What a type variable stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Any type.
    Any,
    /// TINYINT to BIGINT.
    Integer,
    /// REAL and DOUBLE.
    Float,
    /// Any number.
    Number,
    /// DECIMAL.
    Decimal,
    /// TIMESTAMP and TIMESTAMP_LTZ.
    Instant,
    /// STRING and BYTES.
    Octets,
}

/// Type variables of one signature.
pub const VARIABLES_MAX: usize = 4;

/// Any type.
pub const ANY: Pattern = Pattern::Var(0, Class::Any);
/// Another type.
pub const OTHER: Pattern = Pattern::Var(1, Class::Any);
/// Integers of one width.
pub const INTEGER: Pattern = Pattern::Var(0, Class::Integer);
/// Floats of one width.
pub const FLOAT: Pattern = Pattern::Var(0, Class::Float);
/// One number type.
pub const NUMBER: Pattern = Pattern::Var(0, Class::Number);
/// TIMESTAMP or TIMESTAMP_LTZ.
pub const INSTANT: Pattern = Pattern::Var(0, Class::Instant);
/// STRING or BYTES.
pub const OCTETS: Pattern = Pattern::Var(0, Class::Octets);
/// An array of any type.
pub const ARRAY: Pattern = Pattern::Array(&ANY);
/// A map between any types.
pub const MAP: Pattern = Pattern::Map(&ANY, &OTHER);

/// How the result's type follows from the arguments.
#[derive(Clone, Copy)]
pub enum Returns {
    /// A pattern over the bound variables.
    Is(Pattern),
    /// Computed from the argument types and the literals among the arguments.
    Computed(fn(&[Type], &[Option<&Value>]) -> DataType),
}

impl fmt::Debug for Returns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Returns::Is(pattern) => write!(f, "{pattern:?}"),
            Returns::Computed(_) => f.write_str("computed"),
        }
    }
}

/// When a result may be NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nullability {
    /// When an argument may be.
    AnyArg,
    /// When all arguments may be.
    AllArgs,
    /// Whatever the arguments.
    Always,
    /// Never.
    Never,
}

/// A signature whose result is NULL when an argument is.
pub const fn sig(params: &'static [Pattern], result: Pattern, meaning: Meaning) -> Signature {
    let returns = Returns::Is(result);
    Signature { params, variadic: false, returns, nullability: Nullability::AnyArg, meaning }
}

impl Signature {
    /// The last pattern takes one or more arguments.
    pub const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    /// The result may be NULL for arguments that are not.
    pub const fn may_be_null(mut self) -> Self {
        self.nullability = Nullability::Always;
        self
    }

    /// When the result may be NULL.
    pub const fn nullability(mut self, nullability: Nullability) -> Self {
        self.nullability = nullability;
        self
    }

    /// The result's type is computed.
    pub const fn returns(mut self, compute: fn(&[Type], &[Option<&Value>]) -> DataType) -> Self {
        self.returns = Returns::Computed(compute);
        self
    }

    /// Whether it takes this many arguments.
    pub fn takes(&self, count: usize) -> bool {
        count == self.params.len() || (self.variadic && count >= self.params.len())
    }

    /// The pattern of argument `index`.
    pub fn param(&self, index: usize) -> Option<&'static Pattern> {
        self.params.get(index).or(if self.variadic { self.params.last() } else { None })
    }

    /// Whether an argument is a lambda.
    pub fn takes_lambda(&self) -> bool {
        self.params.iter().any(|pattern| matches!(pattern, Pattern::Lambda(..)))
    }

    /// The signature as text.
    pub fn describe(&self, name: &str) -> String {
        let params: Vec<String> = self.params.iter().map(ToString::to_string).collect();
        let more = if self.variadic { ", …" } else { "" };
        match self.returns {
            Returns::Is(result) => format!("{name}({}{more}) → {result}", params.join(", ")),
            Returns::Computed(_) => format!("{name}({}{more})", params.join(", ")),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pattern::Boolean => "BOOLEAN",
            Pattern::Int => "INT",
            Pattern::BigInt => "BIGINT",
            Pattern::Double => "DOUBLE",
            Pattern::Decimal => "DECIMAL",
            Pattern::String => "STRING",
            Pattern::Bytes => "BYTES",
            Pattern::Date => "DATE",
            Pattern::Time => "TIME",
            Pattern::Timestamp => "TIMESTAMP",
            Pattern::TimestampLtz => "TIMESTAMP_LTZ",
            Pattern::Interval => "INTERVAL",
            Pattern::Uuid => "UUID",
            Pattern::Json => "JSON",
            Pattern::Anything => "anything",
            Pattern::Var(0, Class::Any) => "any",
            Pattern::Var(1, Class::Any) => "any other",
            Pattern::Var(_, Class::Any) => "any result",
            Pattern::Var(_, Class::Integer) => "integer",
            Pattern::Var(_, Class::Float) => "float",
            Pattern::Var(_, Class::Number) => "number",
            Pattern::Var(_, Class::Decimal) => "DECIMAL",
            Pattern::Var(_, Class::Instant) => "TIMESTAMP or TIMESTAMP_LTZ",
            Pattern::Var(_, Class::Octets) => "STRING or BYTES",
            Pattern::Array(item) => return write!(f, "ARRAY<{item}>"),
            Pattern::Map(key, value) => return write!(f, "MAP<{key}, {value}>"),
            Pattern::Entry(key, value) => return write!(f, "ROW<key {key}, value {value}>"),
            Pattern::Lambda([param], result) => return write!(f, "{param} -> {result}"),
            Pattern::Lambda(params, result) => {
                let params: Vec<String> = params.iter().map(ToString::to_string).collect();
                return write!(f, "({}) -> {result}", params.join(", "));
            }
        })
    }
}

/// What the type variables of one call stand for.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    vars: [Option<(Class, Type)>; VARIABLES_MAX],
}

impl Bindings {
    /// Lets the variables in a pattern stand for what an argument has there. `None` if they
    /// cannot.
    pub fn collect(&mut self, pattern: &Pattern, arg: &Type) -> Option<()> {
        match (pattern, &arg.data) {
            (Pattern::Var(index, class), _) => {
                let bound = match self.vars[*index].take() {
                    None => arg.clone(),
                    Some((_, before)) => common_type(&[before, arg.clone()])?,
                };
                self.vars[*index] = Some((*class, bound));
                Some(())
            }
            (Pattern::Array(item), DataType::Array(arg)) => self.collect(item, arg),
            (Pattern::Array(item), DataType::Null) => self.collect(item, arg),
            (Pattern::Map(key, value), DataType::Map(arg_key, arg_value)) => {
                self.collect(key, arg_key)?;
                self.collect(value, arg_value)
            }
            (Pattern::Map(key, value) | Pattern::Entry(key, value), DataType::Null) => {
                self.collect(key, arg)?;
                self.collect(value, arg)
            }
            (Pattern::Entry(key, value), DataType::Row(fields)) if fields.len() == 2 => {
                self.collect(key, &fields[0].ty)?;
                self.collect(value, &fields[1].ty)
            }
            (
                Pattern::Array(_) | Pattern::Map(..) | Pattern::Entry(..) | Pattern::Lambda(..),
                _,
            ) => None,
            _ => Some(()),
        }
    }

    /// Lifts each variable into its class. `None` if one does not fit.
    pub fn settle(&mut self) -> Option<()> {
        for (class, ty) in self.vars.iter_mut().flatten() {
            ty.data = class.lift(&ty.data)?;
        }
        Some(())
    }

    /// The type as which an argument arrives; `None` if the pattern does not take it.
    pub fn argument(&self, pattern: &Pattern, arg: &DataType) -> Option<DataType> {
        let same_kind = |want: DataType| match (pattern, arg) {
            (Pattern::Timestamp, DataType::Timestamp { .. })
            | (Pattern::TimestampLtz, DataType::TimestampLtz { .. })
            | (Pattern::Time, DataType::Time { .. }) => arg.clone(),
            _ => want,
        };
        match pattern {
            Pattern::Anything => Some(arg.clone()),
            Pattern::Decimal => match arg {
                DataType::Decimal { .. } => Some(arg.clone()),
                DataType::Null => Some(DataType::Decimal { precision: 10, scale: 0 }),
                other => {
                    integer_digits(other).map(|precision| DataType::Decimal { precision, scale: 0 })
                }
            },
            pattern => self.result(pattern).map(same_kind),
        }
    }

    /// The type of a result of this pattern.
    pub fn result(&self, pattern: &Pattern) -> Option<DataType> {
        let precision = TIME_MAX_PRECISION;
        Some(match pattern {
            Pattern::Boolean => DataType::Boolean,
            Pattern::Int => DataType::Int,
            Pattern::BigInt => DataType::BigInt,
            Pattern::Double => DataType::Double,
            Pattern::Decimal | Pattern::Anything | Pattern::Lambda(..) => return None,
            Pattern::String => DataType::String,
            Pattern::Bytes => DataType::Bytes,
            Pattern::Date => DataType::Date,
            Pattern::Time => DataType::Time { precision },
            Pattern::Timestamp => DataType::Timestamp { precision },
            Pattern::TimestampLtz => DataType::TimestampLtz { precision },
            Pattern::Interval => DataType::Interval,
            Pattern::Uuid => DataType::Uuid,
            Pattern::Json => DataType::Json,
            Pattern::Var(index, _) => self.vars[*index].as_ref()?.1.data.clone(),
            Pattern::Array(item) => DataType::Array(Box::new(self.part(item)?)),
            Pattern::Map(key, value) => {
                let key = self.part(key)?.with_nullable(false);
                DataType::Map(Box::new(key), Box::new(self.part(value)?))
            }
            Pattern::Entry(key, value) => {
                let key = Field::new("key", self.part(key)?);
                DataType::Row([key, Field::new("value", self.part(value)?)].into())
            }
        })
    }

    /// The type of an array's items or a map's keys or values.
    fn part(&self, pattern: &Pattern) -> Option<Type> {
        match pattern {
            Pattern::Var(index, _) => self.vars[*index].as_ref().map(|(_, ty)| ty.clone()),
            other => self.result(other).map(Type::nullable),
        }
    }
}

impl Class {
    /// The least type of the class that `data` widens to.
    fn lift(self, data: &DataType) -> Option<DataType> {
        let fits = match self {
            Class::Any => true,
            Class::Integer => data.is_integer(),
            Class::Float => data.is_float(),
            Class::Number => data.is_numeric(),
            Class::Decimal => matches!(data, DataType::Decimal { .. }),
            Class::Instant => data.is_timestamp(),
            Class::Octets => matches!(data, DataType::String | DataType::Bytes),
        };
        if fits {
            return Some(data.clone());
        }
        let least = match self {
            Class::Any => return None,
            Class::Integer | Class::Number => DataType::Int,
            Class::Decimal => DataType::Decimal { precision: 10, scale: 0 },
            Class::Float => DataType::Double,
            Class::Instant => DataType::Timestamp { precision: TIME_MAX_PRECISION },
            Class::Octets => DataType::String,
        };
        widens(data, &least).then_some(least)
    }
}
