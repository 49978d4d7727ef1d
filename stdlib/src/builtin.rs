//! Builtins as data: name, documentation, examples, overloads and what each overload means.
//! Operators are builtins whose names are symbols. Which overload a call takes is decided here;
//! a call is then (name, overload, arguments of exactly the types that `resolve` gives).

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use crate::builder::{Lazy, Operand, ScalarBuilder};
use crate::host::HostFn;
use crate::scalar;
use crate::signature::{Bindings, Nullability, Returns, Signature};

/// A function or operator.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// Name in upper case, or a symbol.
    pub name: &'static str,
    /// Other names with the same meaning.
    pub aliases: &'static [&'static str],
    /// One sentence: what it gives.
    pub doc: &'static str,
    /// The group it is listed in.
    pub family: Family,
    /// The argument lists it takes; among equally good ones the first wins.
    pub overloads: &'static [Signature],
    /// What it does with NULL.
    pub nulls: NullRule,
    /// Whether two calls may differ; see `volatility_of` for one overload.
    pub volatility: Volatility,
    /// (expression, printed result) pairs: documentation and tests at once.
    pub examples: &'static [(&'static str, &'static str)],
}

/// The groups of builtins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Operators with symbols or keywords for names.
    Operator,
    /// Text and bytes.
    Text,
    /// Numbers.
    Math,
    /// Dates, times, intervals.
    Time,
    /// Choice between values.
    Conditional,
    /// Arrays.
    Array,
    /// Maps.
    Map,
    /// Digests and checksums.
    Hash,
    /// JSON text.
    Json,
    /// Functions that take functions.
    Lambda,
}

/// What a builtin does with NULL arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullRule {
    /// Any NULL argument makes the result NULL.
    Strict,
    /// It looks at NULLs itself.
    SeesNulls,
}

/// When a builtin may give another result for the same arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    /// Never: a call over constants is a constant.
    Immutable,
    /// From epoch to epoch.
    EpochClock,
    /// From call to call.
    NonDeterministic,
}

/// What an overload means.
#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    /// Expands to primitive instructions.
    Ops(fn(&mut ScalarBuilder, &[Operand], &Type) -> Operand),
    /// Expands to primitive instructions and decides which arguments are computed where.
    Lazy(fn(&mut ScalarBuilder, &[Lazy<'_>], &Type) -> Operand),
    /// One call of a host function.
    Host(HostFn),
    /// What the checker makes of lambdas and their arrays.
    Lambda(LambdaForm),
}

/// What a function that takes lambdas does with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LambdaForm {
    /// (array, x): an array of results.
    Map,
    /// (array, (x, position)): an array of results.
    MapAt,
    /// (map, (k, v), (k, v)): a map of new keys and values.
    MapEntries,
    /// (map, (k, v)): a map of new keys.
    MapKeys,
    /// (map, (k, v)): a map of new values.
    MapValues,
    /// (array, array, (x, y)): an array of results.
    Zip,
    /// (array, x): what is kept of an array.
    Filter,
    /// (array, (x, position)): what is kept of an array.
    FilterAt,
    /// (map, (k, v)): what is kept of a map.
    FilterEntries,
    /// (array, x): OR.
    Any,
    /// (array, x): AND.
    All,
    /// (array, x): NOT OR.
    None,
    /// (array, start, (carried, x)): what is carried in the end.
    Fold,
    /// (array, start, (carried, x), carried): what is made of what is carried in the end.
    FoldThen,
    /// (map, start, (carried, k, v)): what is carried in the end.
    FoldEntries,
    /// (array, (carried, x)): the first element is what it starts with.
    FoldOwn,
    /// (array, (carried, x), start): what is carried in the end.
    FoldStartLast,
}

/// How a call is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Position among the builtin's overloads.
    pub overload: u16,
    /// The types to which the arguments must be cast.
    pub arg_types: Vec<Type>,
    /// Type of the result.
    pub ty: Type,
}

/// Why no overload takes the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    /// The builtin's name.
    pub function: &'static str,
    /// The argument types.
    pub given: Vec<Type>,
    /// What it does take, one overload a line.
    pub candidates: Vec<String>,
    /// Whether no overload takes that many arguments.
    pub wrong_count: bool,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wrong_count {
            return write!(f, "{} does not take {} arguments", self.function, self.given.len());
        }
        let given: Vec<String> = self.given.iter().map(|t| t.data.to_string()).collect();
        write!(f, "{} does not take ({})", self.function, given.join(", "))
    }
}

impl Builtin {
    /// A strict, immutable function: what most entries start from.
    pub const STRICT: Builtin = Builtin {
        name: "",
        aliases: &[],
        doc: "",
        family: Family::Operator,
        overloads: &[],
        nulls: NullRule::Strict,
        volatility: Volatility::Immutable,
        examples: &[],
    };

    /// The best overload for arguments of these types. An untyped literal (a bare NULL, or text
    /// whose type the context decides) has type `DataType::Null`.
    ///
    /// # Errors
    /// If none takes them, even after widening.
    pub fn resolve(&self, args: &[Type]) -> Result<Resolved, ResolveError> {
        self.resolve_with(args, &[])
    }

    /// As `resolve`, with the values of arguments that are literals (position by position, as far
    /// as the slice reaches): the scale of ROUND's result follows its second argument.
    ///
    /// # Errors
    /// If none takes them, even after widening.
    pub fn resolve_with(
        &self,
        args: &[Type],
        literals: &[Option<&Value>],
    ) -> Result<Resolved, ResolveError> {
        let mut best: Option<(u32, Resolved)> = None;
        for (index, signature) in self.overloads.iter().enumerate() {
            let Some((cost, arg_types)) = bind(signature, args) else { continue };
            if best.as_ref().is_some_and(|(least, _)| *least <= cost.total) {
                continue;
            }
            let data = match &signature.returns {
                Returns::Is(pattern) => cost.bindings.result(pattern),
                Returns::Computed(compute) => Some(compute(&arg_types, literals)),
            };
            let Some(data) = data else { continue };
            let nullable = self.result_nullable(signature, &arg_types);
            let ty = Type { data, nullable };
            best = Some((cost.total, Resolved { overload: index as u16, arg_types, ty }));
        }
        best.map(|(_, resolved)| resolved).ok_or_else(|| ResolveError {
            function: self.name,
            given: args.to_vec(),
            candidates: self.usage(),
            wrong_count: !self.overloads.iter().any(|s| s.takes(args.len())),
        })
    }

    fn result_nullable(&self, signature: &Signature, args: &[Type]) -> bool {
        match signature.nullability {
            Nullability::Always => true,
            Nullability::Never => false,
            Nullability::AllArgs => args.iter().all(|t| t.nullable),
            Nullability::AnyArg => args.iter().any(|t| t.nullable),
        }
    }

    /// The overloads as text, such as `SUBSTRING(STRING, BIGINT) → STRING`.
    pub fn usage(&self) -> Vec<String> {
        self.overloads.iter().map(|s| s.describe(self.name)).collect()
    }

    /// Whether two calls of an overload may differ: the clock is read only without arguments.
    pub fn volatility_of(&self, overload: u16) -> Volatility {
        let takes_none = self.overloads.get(usize::from(overload)).is_none_or(|s| s.takes(0));
        match self.volatility {
            Volatility::EpochClock if !takes_none => Volatility::Immutable,
            other => other,
        }
    }

    /// The meaning of an overload.
    pub fn meaning(&self, overload: u16) -> Option<Meaning> {
        self.overloads.get(usize::from(overload)).map(|s| s.meaning)
    }
}

struct Cost {
    total: u32,
    bindings: Bindings,
}

/// What it costs to pass these arguments to a signature, and as which types they arrive.
fn bind(signature: &Signature, args: &[Type]) -> Option<(Cost, Vec<Type>)> {
    if !signature.takes(args.len()) {
        return None;
    }
    let mut bindings = Bindings::default();
    for (i, arg) in args.iter().enumerate() {
        bindings.collect(signature.param(i)?, arg)?;
    }
    bindings.settle()?;
    let mut total = 0;
    let mut types = Vec::with_capacity(args.len());
    for (i, arg) in args.iter().enumerate() {
        let want = bindings.argument(signature.param(i)?, &arg.data)?;
        total += crate::coerce::widening_cost(&arg.data, &want)?;
        types.push(Type { data: want, nullable: arg.nullable || arg.data == DataType::Null });
    }
    Some((Cost { total, bindings }, types))
}

/// Whether a function of this name, whatever its case, takes lambdas.
pub fn takes_lambda(name: &str) -> bool {
    lookup(name).is_some_and(|b| b.overloads.iter().any(Signature::takes_lambda))
}

/// All builtins, family by family.
pub fn all() -> impl Iterator<Item = &'static Builtin> {
    scalar::FAMILIES.iter().flat_map(|family| family.iter())
}

/// The builtin of this name or alias, whatever its case.
pub fn lookup(name: &str) -> Option<&'static Builtin> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static Builtin>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| {
        let names = |b: &'static Builtin| {
            std::iter::once(b.name).chain(b.aliases.iter().copied()).map(move |n| (n, b))
        };
        all().flat_map(names).collect()
    });
    by_name.get(name).or_else(|| by_name.get(name.to_uppercase().as_str())).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(data: DataType) -> Type {
        Type::not_null(data)
    }

    fn decimal(precision: u8, scale: u8) -> DataType {
        DataType::Decimal { precision, scale }
    }

    fn result(name: &str, args: &[DataType]) -> DataType {
        let args: Vec<Type> = args.iter().cloned().map(ty).collect();
        lookup(name).expect("known").resolve(&args).expect("resolves").ty.data
    }

    #[test]
    fn names_are_case_blind_and_unique() {
        assert_eq!(lookup("cardinality").map(|b| b.name), Some("CARDINALITY"));
        assert_eq!(lookup("Mod").map(|b| b.name), Some("%"));
        assert!(lookup("no_such_function").is_none());
        let mut names: Vec<&str> =
            all().flat_map(|b| std::iter::once(b.name).chain(b.aliases.iter().copied())).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_entry_is_documented() {
        for b in all() {
            assert!(b.doc.ends_with('.'), "{}: the doc is a sentence", b.name);
            assert!(!b.overloads.is_empty(), "{} takes something", b.name);
            assert!(b.examples.len() >= 2, "{} has two examples", b.name);
        }
    }

    #[test]
    fn arithmetic_has_the_usual_types() {
        use DataType::*;
        assert_eq!(result("+", &[Int, Int]), Int);
        assert_eq!(result("+", &[TinyInt, BigInt]), BigInt);
        assert_eq!(result("+", &[Int, Real]), Double);
        assert_eq!(result("*", &[decimal(3, 3), BigInt]), decimal(23, 3));
        assert_eq!(result("/", &[decimal(10, 2), Double]), Double);
        assert_eq!(result("+", &[decimal(10, 2), decimal(5, 4)]), decimal(13, 4));
        assert_eq!(
            result("-", &[Timestamp { precision: 3 }, Interval]),
            Timestamp { precision: 3 }
        );
        assert_eq!(result("-", &[Date, Date]), Interval);
        assert_eq!(result("+", &[Null, Int]), Int);
    }

    #[test]
    fn comparison_casts_to_the_common_type() {
        let b = lookup("=").expect("known");
        let r = b.resolve(&[ty(DataType::Int), Type::nullable(DataType::BigInt)]).expect("ok");
        assert_eq!(r.arg_types[0], ty(DataType::BigInt));
        assert_eq!(r.ty, Type::nullable(DataType::Boolean));
        let local = DataType::TimestampLtz { precision: 3 };
        let plain = DataType::Timestamp { precision: 3 };
        let r = b.resolve(&[ty(local.clone()), ty(plain)]).expect("an instant in the zone");
        assert_eq!(r.arg_types[1], ty(local));
        assert!(b.resolve(&[ty(DataType::String), ty(DataType::Int)]).is_err());
    }

    #[test]
    fn an_error_says_what_is_taken() {
        let b = lookup("SPLIT").expect("known");
        let e = b.resolve(&[ty(DataType::Int), ty(DataType::String)]).expect_err("no");
        assert_eq!(e.to_string(), "SPLIT does not take (INT, STRING)");
        assert_eq!(e.candidates, vec!["SPLIT(STRING, STRING) → ARRAY<STRING>"]);
        let e = b.resolve(&[]).expect_err("no");
        assert!(e.wrong_count);
    }
}
