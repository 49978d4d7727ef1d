//! Choice between values. COALESCE, IF and their kin compute only the argument that is taken.

use flow_ir::scalar::CompareOp;
use flow_ir::types::{DataType, Type};

use crate::builder::{Lazy, Operand, ScalarBuilder};
use crate::builtin::{Builtin, Family, Meaning, NullRule};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::interp::compare_values;
use crate::signature::{ANY, Nullability, OTHER, Pattern as P, sig};

const CONDITIONAL: Builtin =
    Builtin { family: Family::Conditional, nulls: NullRule::SeesNulls, ..Builtin::STRICT };

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "COALESCE",
        doc: "The first argument that is not NULL; later ones are not computed.",
        overloads: &[sig(&[ANY], ANY, Meaning::Lazy(coalesce))
            .variadic()
            .nullability(Nullability::AllArgs)],
        examples: &[
            ("COALESCE(NULL, 2, 3)", "2"),
            ("COALESCE(1, 1 / 0)", "1"),
            ("COALESCE(NULL, NULL)", "NULL"),
        ],
        ..CONDITIONAL
    },
    Builtin {
        name: "IFNULL",
        aliases: &["NVL"],
        doc: "The first argument, or the second where it is NULL.",
        overloads: &[
            sig(&[ANY, ANY], ANY, Meaning::Lazy(coalesce)).nullability(Nullability::AllArgs)
        ],
        examples: &[("IFNULL(NULL, 2)", "2"), ("NVL(1, 2)", "1"), ("IFNULL(NULL, NULL)", "NULL")],
        ..CONDITIONAL
    },
    Builtin {
        name: "NVL2",
        doc: "The second argument where the first is not NULL, else the third.",
        overloads: &[sig(&[OTHER, ANY, ANY], ANY, Meaning::Lazy(nvl2)).may_be_null()],
        examples: &[("NVL2(1, 'a', 'b')", "a"), ("NVL2(NULL, 'a', 'b')", "b")],
        ..CONDITIONAL
    },
    Builtin {
        name: "NULLIF",
        doc: "The first argument, or NULL where it equals the second.",
        overloads: &[sig(&[ANY, ANY], ANY, Meaning::Ops(nullif)).may_be_null()],
        examples: &[("NULLIF(1, 2)", "1"), ("NULLIF(1, 1)", "NULL"), ("NULLIF(1, NULL)", "1")],
        ..CONDITIONAL
    },
    Builtin {
        name: "IF",
        aliases: &["IIF"],
        doc: "The second argument where the condition is TRUE, else the third.",
        overloads: &[sig(&[P::Boolean, ANY, ANY], ANY, Meaning::Lazy(if_else)).may_be_null()],
        examples: &[
            ("IF(1 < 2, 'a', 'b')", "a"),
            ("IF(NULL, 'a', 'b')", "b"),
            ("IF(TRUE, 1, 1 / 0)", "1"),
        ],
        ..CONDITIONAL
    },
    Builtin {
        name: "GREATEST",
        doc: "The greatest argument; NULL if one is NULL.",
        overloads: &[sig(&[ANY], ANY, host("greatest", greatest)).variadic()],
        nulls: NullRule::Strict,
        examples: &[
            ("GREATEST(1, 3, 2)", "3"),
            ("GREATEST('a', 'b')", "b"),
            ("GREATEST(1, NULL)", "NULL"),
        ],
        ..CONDITIONAL
    },
    Builtin {
        name: "LEAST",
        doc: "The least argument; NULL if one is NULL.",
        overloads: &[sig(&[ANY], ANY, host("least", least)).variadic()],
        nulls: NullRule::Strict,
        examples: &[("LEAST(2, 1.5)", "1.5"), ("LEAST(1, NULL)", "NULL")],
        ..CONDITIONAL
    },
    Builtin {
        name: "TYPEOF",
        doc: "The name of the argument's type.",
        overloads: &[
            sig(&[P::Anything], P::String, Meaning::Ops(type_of)).nullability(Nullability::Never),
            sig(&[P::Anything, P::Boolean], P::String, Meaning::Ops(type_of))
                .nullability(Nullability::Never),
        ],
        examples: &[
            ("TYPEOF(1.50)", "DECIMAL(3, 2)"),
            ("TYPEOF(ARRAY['a'])", "ARRAY<STRING NOT NULL>"),
            ("TYPEOF(CAST(NULL AS INT))", "INT"),
        ],
        ..CONDITIONAL
    },
    Builtin {
        name: "PG_TYPEOF",
        doc: "The name that Postgres has for the argument's type.",
        overloads: &[sig(
            &[P::Anything],
            P::String,
            Meaning::Ops(|b, a, _| {
                let name = pg_name(&b.ty(a[0]).data);
                b.text(&name)
            }),
        )
        .nullability(Nullability::Never)],
        examples: &[
            ("PG_TYPEOF(1)", "integer"),
            ("PG_TYPEOF(1.5)", "numeric"),
            ("PG_TYPEOF(ARRAY['a'])", "text[]"),
            ("PG_TYPEOF(CAST(NULL AS TIMESTAMP))", "timestamp without time zone"),
        ],
        ..CONDITIONAL
    },
    Builtin {
        name: "AS_VALUE",
        doc: "The argument as it is.",
        overloads: &[sig(&[ANY], ANY, Meaning::Ops(|_, a, _| a[0]))],
        nulls: NullRule::Strict,
        examples: &[("AS_VALUE('a')", "a"), ("AS_VALUE(NULL)", "NULL")],
        ..CONDITIONAL
    },
];

/// A type's name in Postgres; a map has none there.
fn pg_name(ty: &DataType) -> String {
    let name = match ty {
        DataType::Null => "unknown",
        DataType::Boolean => "boolean",
        DataType::TinyInt => "\"char\"",
        DataType::SmallInt => "smallint",
        DataType::Int => "integer",
        DataType::BigInt => "bigint",
        DataType::Real => "real",
        DataType::Double => "double precision",
        DataType::Decimal { .. } => "numeric",
        DataType::String => "text",
        DataType::Bytes => "bytea",
        DataType::Date => "date",
        DataType::Time { .. } => "time without time zone",
        DataType::Timestamp { .. } => "timestamp without time zone",
        DataType::TimestampLtz { .. } => "timestamp with time zone",
        DataType::Interval => "interval",
        DataType::Uuid => "uuid",
        DataType::Json => "jsonb",
        DataType::Array(item) => return format!("{}[]", pg_name(&item.data)),
        DataType::Map(..) => "map",
        DataType::Row(_) => "record",
    };
    name.to_owned()
}

/// Each argument is computed where all before it are NULL.
fn coalesce(b: &mut ScalarBuilder, args: &[Lazy<'_>], ty: &Type) -> Operand {
    let mut taken: Option<Operand> = None;
    for arg in args {
        taken = Some(match taken {
            None => arg(b),
            Some(value) => {
                let missing = b.is_null(value);
                let other = b.guarded(missing, |b| arg(b));
                b.select(missing, other, value, &ty.with_nullable(true))
            }
        });
    }
    taken.unwrap_or_else(|| b.null(ty))
}

fn nvl2(b: &mut ScalarBuilder, args: &[Lazy<'_>], ty: &Type) -> Operand {
    let value = args[0](b);
    let missing = b.is_null(value);
    b.case(&[(&|_: &mut ScalarBuilder| missing, args[2])], Some(args[1]), ty)
}

fn if_else(b: &mut ScalarBuilder, args: &[Lazy<'_>], ty: &Type) -> Operand {
    b.case(&[(args[0], args[1])], Some(args[2]), ty)
}

fn type_of(b: &mut ScalarBuilder, args: &[Operand], _: &Type) -> Operand {
    let name = b.ty(args[0]).data.to_string();
    b.text(&name)
}

fn nullif(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    let equal = b.compare(CompareOp::Eq, args[0], args[1]);
    let null = b.null(ty);
    b.select(equal, null, args[0], ty)
}

fn greatest(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Result<(), HostError> {
    let ty = &cx.result.data;
    if let Some(best) = args.iter().max_by(|a, b| compare_values(ty, **a, **b)) {
        out.copy(*best);
    }
    Ok(())
}

fn least(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Result<(), HostError> {
    let ty = &cx.result.data;
    if let Some(best) = args.iter().min_by(|a, b| compare_values(ty, **a, **b)) {
        out.copy(*best);
    }
    Ok(())
}
