//! More of arrays: nested ones, sets, sums, masks, ranges of time.

use std::collections::HashSet;

use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::arrays::{elements, item_of, key_of, put, put_sorted};
use crate::builtin::{Builtin, Family, Meaning, NullRule};
use crate::calendar::add_interval;
use crate::coerce::decimal_of;
use crate::host::{
    HostArg, HostCx, HostError, HostOut, RESULT_BYTES_MAX, check_size, host, host_sees_nulls,
};
use crate::signature::{ANY, ARRAY, INSTANT, Nullability, Pattern as P, sig};

const ARRAYS: Builtin = Builtin { family: Family::Array, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "FLATTEN",
        aliases: &["ARRAY_FLATTEN"],
        doc: "The elements of all arrays of an array, one after the other.",
        overloads: &[sig(&[P::Array(&ARRAY)], ARRAY, host("flatten", flatten))],
        examples: &[
            ("FLATTEN(ARRAY[ARRAY[1, 2], ARRAY[3]])", "[1, 2, 3]"),
            ("FLATTEN(NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAYS_OVERLAP",
        aliases: &["ARRAY_HAS_ANY", "LIST_HAS_ANY", "ARRAY_OVERLAP"],
        doc: "Whether two arrays have an element in common; NULLs aside.",
        overloads: &[sig(&[ARRAY, ARRAY], P::Boolean, host("arrays_overlap", overlap))],
        examples: &[
            ("ARRAYS_OVERLAP(ARRAY[1, 2], ARRAY[2, 3])", "TRUE"),
            ("ARRAYS_OVERLAP(ARRAY[1, NULL], ARRAY[2, NULL])", "FALSE"),
            ("ARRAYS_OVERLAP(ARRAY[1], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_HAS_ALL",
        aliases: &["LIST_HAS_ALL"],
        doc: "Whether an array has all elements of another.",
        overloads: &[sig(&[ARRAY, ARRAY], P::Boolean, host("array_has_all", has_all))],
        examples: &[
            ("ARRAY_HAS_ALL(ARRAY[1, 2, 3], ARRAY[3, 1])", "TRUE"),
            ("ARRAY_HAS_ALL(ARRAY[1], ARRAY[1, 2])", "FALSE"),
            ("ARRAY_HAS_ALL(ARRAY[1], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_REVERSE_SORT",
        aliases: &["LIST_REVERSE_SORT"],
        doc: "The elements in descending order.",
        overloads: &[sig(
            &[ARRAY],
            ARRAY,
            host("array_reverse_sort", |cx, a, out| {
                put_sorted(cx, a[0], false, None, out);
                Ok(())
            }),
        )],
        examples: &[
            ("ARRAY_REVERSE_SORT(ARRAY[1, 3, 2])", "[3, 2, 1]"),
            ("ARRAY_REVERSE_SORT(NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_POSITIONS",
        doc: "All positions of a value, counted from 1.",
        overloads: &[sig(
            &[ARRAY, ANY],
            P::Array(&P::Int),
            host_sees_nulls("array_positions", positions),
        )
        .may_be_null()],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("ARRAY_POSITIONS(ARRAY['a', 'b', 'a'], 'a')", "[1, 3]"),
            ("ARRAY_POSITIONS(CAST(NULL AS ARRAY<INT>), 1)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_REPLACE",
        doc: "The array with each element equal to a value replaced by another.",
        overloads: &[
            sig(&[ARRAY, ANY, ANY], ARRAY, host_sees_nulls("array_replace", replace)).may_be_null()
        ],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("ARRAY_REPLACE(ARRAY[1, 2, 1], 1, 9)", "[9, 2, 9]"),
            ("ARRAY_REPLACE(ARRAY[1, NULL], NULL, 0)", "[1, 0]"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_REPEAT",
        doc: "An array of so many equal elements.",
        overloads: &[
            sig(&[ANY, P::BigInt], ARRAY, host_sees_nulls("array_repeat", repeat)).may_be_null()
        ],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("ARRAY_REPEAT('a', 3)", "[a, a, a]"),
            ("ARRAY_REPEAT(1, -1)", "[]"),
            ("ARRAY_REPEAT(1, NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_COMPACT",
        doc: "The elements that are not NULL.",
        overloads: &[sig(&[ARRAY], ARRAY, host("array_compact", compact))],
        examples: &[
            ("ARRAY_COMPACT(ARRAY[1, NULL, 2])", "[1, 2]"),
            ("ARRAY_COMPACT(NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_SUM",
        aliases: &["LIST_SUM"],
        doc: "The sum of the elements that are not NULL; NULL without any.",
        overloads: &[
            sig(&[P::Array(&P::BigInt)], P::BigInt, host("array_sum_integer", sum_integers))
                .may_be_null(),
            sig(&[P::Array(&DECIMALS)], P::Double, host("array_sum_decimal", sum_decimals))
                .returns(sum_type)
                .may_be_null(),
            sig(&[P::Array(&P::Double)], P::Double, host("array_sum_float", sum_floats))
                .may_be_null(),
        ],
        examples: &[
            ("ARRAY_SUM(ARRAY[1, 2, NULL])", "3"),
            ("ARRAY_SUM(ARRAY[1.5e0, 2])", "3.5"),
            ("ARRAY_SUM(ARRAY[1.50, 2])", "3.50"),
            ("ARRAY_SUM(NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_AVG",
        aliases: &["LIST_AVG"],
        doc: "The mean of the elements that are not NULL; NULL without any.",
        overloads: &[sig(&[FLOATS], P::Double, host("array_avg", mean)).may_be_null()],
        examples: &[("ARRAY_AVG(ARRAY[1, 2])", "1.5"), ("ARRAY_AVG(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_WHERE",
        aliases: &["LIST_WHERE"],
        doc: "The elements where a second array is TRUE.",
        overloads: &[sig(&[ARRAY, P::Array(&P::Boolean)], ARRAY, host("array_where", keep))],
        examples: &[
            ("ARRAY_WHERE(ARRAY[1, 2, 3], ARRAY[TRUE, NULL, TRUE])", "[1, 3]"),
            ("ARRAY_WHERE(ARRAY[1], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_BOOL_OR",
        aliases: &["LIST_BOOL_OR"],
        doc: "Whether an element is TRUE: OR of all.",
        overloads: &[sig(
            &[P::Array(&P::Boolean)],
            P::Boolean,
            host("array_bool_or", |cx, a, out| connect(cx, a, out, true)),
        )
        .may_be_null()],
        examples: &[
            ("ARRAY_BOOL_OR(ARRAY[FALSE, NULL, TRUE])", "TRUE"),
            ("ARRAY_BOOL_OR(ARRAY[FALSE, NULL])", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_BOOL_AND",
        aliases: &["LIST_BOOL_AND"],
        doc: "Whether all elements are TRUE: AND of all.",
        overloads: &[sig(
            &[P::Array(&P::Boolean)],
            P::Boolean,
            host("array_bool_and", |cx, a, out| connect(cx, a, out, false)),
        )
        .may_be_null()],
        examples: &[
            ("ARRAY_BOOL_AND(ARRAY[FALSE, NULL, TRUE])", "FALSE"),
            ("ARRAY_BOOL_AND(ARRAY[TRUE, NULL])", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_FIRST",
        aliases: &["LIST_FIRST"],
        doc: "The first element; NULL of an empty array.",
        overloads: &[sig(
            &[ARRAY],
            ANY,
            Meaning::Ops(|b, a, ty| {
                let one = b.int(1);
                b.element(a[0], one, ty)
            }),
        )
        .may_be_null()],
        examples: &[("ARRAY_FIRST(ARRAY[7, 8])", "7"), ("ARRAY_FIRST(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_LAST",
        aliases: &["LIST_LAST"],
        doc: "The last element; NULL of an empty array.",
        overloads: &[sig(
            &[ARRAY],
            ANY,
            host("array_last", |cx, a, out| {
                if let Some(last) = elements(a[0], &cx.args[0]).last() {
                    out.copy(*last);
                }
                Ok(())
            }),
        )
        .may_be_null()],
        examples: &[("ARRAY_LAST(ARRAY[7, 8])", "8"), ("ARRAY_LAST(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "TRIM_ARRAY",
        doc: "The array without so many of its last elements.",
        overloads: &[sig(&[ARRAY, P::BigInt], ARRAY, host("trim_array", trim))],
        examples: &[
            ("TRIM_ARRAY(ARRAY[1, 2, 3], 2)", "[1]"),
            ("TRIM_ARRAY(ARRAY[1], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "RANGE",
        doc: "The integers from one (0 when left out) up to another, itself left out, by a step.",
        overloads: &[
            sig(&[P::BigInt], P::Array(&P::BigInt), host("range_to", range_to)),
            sig(&[P::BigInt, P::BigInt], P::Array(&P::BigInt), host("range", range)),
            sig(&[P::BigInt, P::BigInt, P::BigInt], P::Array(&P::BigInt), host("range", range)),
        ],
        examples: &[
            ("RANGE(3)", "[0, 1, 2]"),
            ("RANGE(1, 6, 2)", "[1, 3, 5]"),
            ("RANGE(3, 3)", "[]"),
            ("RANGE(1, NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "TIME_SERIES",
        doc: "The times from one to another, both included, by an interval.",
        overloads: &[sig(
            &[INSTANT, INSTANT, P::Interval],
            P::Array(&INSTANT),
            host("time_series", time_series),
        )],
        examples: &[
            (
                "TIME_SERIES(TIMESTAMP '2026-01-31', TIMESTAMP '2026-03-31', INTERVAL '1' MONTH)",
                "[2026-01-31 00:00:00, 2026-02-28 00:00:00, 2026-03-31 00:00:00]",
            ),
            ("TIME_SERIES(TIMESTAMP '2026-01-31', NULL, INTERVAL '1' MONTH)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "NUM_NULLS",
        family: Family::Conditional,
        doc: "How many arguments are NULL.",
        overloads: &[sig(
            &[P::Anything],
            P::Int,
            host_sees_nulls("num_nulls", |_, a, out| {
                out.i64(a.iter().filter(|arg| arg.is_null()).count() as i64);
                Ok(())
            }),
        )
        .variadic()
        .nullability(Nullability::Never)],
        nulls: NullRule::SeesNulls,
        examples: &[("NUM_NULLS(1, NULL, 'a')", "1"), ("NUM_NULLS(1)", "0")],
        ..ARRAYS
    },
    Builtin {
        name: "NUM_NONNULLS",
        family: Family::Conditional,
        doc: "How many arguments are not NULL.",
        overloads: &[sig(
            &[P::Anything],
            P::Int,
            host_sees_nulls("num_nonnulls", |_, a, out| {
                out.i64(a.iter().filter(|arg| !arg.is_null()).count() as i64);
                Ok(())
            }),
        )
        .variadic()
        .nullability(Nullability::Never)],
        nulls: NullRule::SeesNulls,
        examples: &[("NUM_NONNULLS(1, NULL, 'a')", "2"), ("NUM_NONNULLS(NULL)", "0")],
        ..ARRAYS
    },
];

/// DOUBLEs.
const FLOATS: P = P::Array(&P::Double);
/// DECIMALs of one type.
const DECIMALS: P = P::Var(0, crate::signature::Class::Decimal);

/// The elements that are not NULL.
fn present<'a>(arg: HostArg<'a>, ty: &Type) -> Vec<HostArg<'a>> {
    elements(arg, ty).into_iter().filter(|e| !e.is_null()).collect()
}

fn keys_of(arg: HostArg<'_>, ty: &Type) -> HashSet<Vec<u8>> {
    let item = item_of(ty);
    elements(arg, ty).into_iter().map(|e| key_of(e, &item)).collect()
}

fn flatten(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let inner = item_of(&cx.args[0]);
    let all: Vec<HostArg<'_>> = present(args[0], &cx.args[0])
        .into_iter()
        .flat_map(|array| elements(array, &inner))
        .collect();
    put(cx, out, item_of(&cx.result).slot(), all);
    Ok(())
}

fn overlap(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let item = item_of(&cx.args[0]);
    let others = keys_of(args[1], &cx.args[1]);
    let all = present(args[0], &cx.args[0]);
    out.bool(all.into_iter().any(|e| others.contains(&key_of(e, &item))));
    Ok(())
}

fn has_all(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all = keys_of(args[0], &cx.args[0]);
    out.bool(keys_of(args[1], &cx.args[1]).is_subset(&all));
    Ok(())
}

fn positions(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if args[0].is_null() {
        return Ok(());
    }
    let item = item_of(&cx.args[0]);
    let wanted = key_of(args[1], &item);
    let all = elements(args[0], &cx.args[0]).into_iter().enumerate();
    let found: Vec<HostArg<'_>> = all
        .filter(|(_, e)| key_of(*e, &item) == wanted)
        .map(|(at, _)| HostArg::Word(at as u64 + 1))
        .collect();
    put(cx, out, flow_ir::types::Slot::Word, found);
    Ok(())
}

fn replace(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if args[0].is_null() {
        return Ok(());
    }
    let item = item_of(&cx.args[0]);
    let old = key_of(args[1], &item);
    let all = elements(args[0], &cx.args[0]);
    let size = match args[2] {
        HostArg::Bytes(bytes) => bytes.len(),
        HostArg::Container(words) => words.len() * 8,
        HostArg::Null | HostArg::Word(_) | HostArg::Wide(_) => 0,
    };
    check_size(size.saturating_mul(all.len()))?;
    let new = |e| if key_of(e, &item) == old { args[2] } else { e };
    put(cx, out, item.slot(), all.into_iter().map(new));
    Ok(())
}

fn repeat(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if args[1].is_null() {
        return Ok(());
    }
    let count = usize::try_from(args[1].i64()).unwrap_or(0);
    let size = match args[0] {
        HostArg::Bytes(bytes) => bytes.len() + 8,
        HostArg::Container(words) => words.len() * 8 + 8,
        HostArg::Null | HostArg::Word(_) | HostArg::Wide(_) => 16,
    };
    check_size(count.saturating_mul(size))?;
    put(cx, out, item_of(&cx.result).slot(), std::iter::repeat_n(args[0], count));
    Ok(())
}

fn compact(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all = present(args[0], &cx.args[0]);
    put(cx, out, item_of(&cx.args[0]).slot(), all);
    Ok(())
}

fn sum_integers(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all = present(args[0], &cx.args[0]);
    if !all.is_empty() {
        let sum: i128 = all.iter().map(|e| i128::from(e.i64())).sum();
        out.i64(i64::try_from(sum).map_err(|_| HostError::overflow())?);
    }
    Ok(())
}

/// As SUM has it: 38 digits.
fn sum_type(args: &[Type], _: &[Option<&Value>]) -> DataType {
    match args.first().map(item_of).map(|item| item.data) {
        Some(DataType::Decimal { scale, .. }) => decimal_of(38, u32::from(scale)),
        _ => decimal_of(38, 0),
    }
}

fn sum_decimals(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let mut all = present(args[0], &cx.args[0]).into_iter();
    let Some(first) = all.next() else { return Ok(()) };
    let sum = all.try_fold(first.i128(), |sum, e| sum.checked_add(e.i128()));
    let fits = sum.filter(|sum| sum.unsigned_abs() < 10u128.pow(38));
    out.i128(fits.ok_or_else(HostError::overflow)?, cx.result.slot());
    Ok(())
}

fn sum_floats(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all = present(args[0], &cx.args[0]);
    if !all.is_empty() {
        out.f64(all.iter().map(|e| e.f64()).sum());
    }
    Ok(())
}

fn mean(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all = present(args[0], &cx.args[0]);
    if !all.is_empty() {
        out.f64(all.iter().map(|e| e.f64()).sum::<f64>() / all.len() as f64);
    }
    Ok(())
}

fn keep(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let kept = elements(args[0], &cx.args[0])
        .into_iter()
        .zip(elements(args[1], &cx.args[1]))
        .filter(|(_, keep)| keep.bool())
        .map(|(e, _)| e);
    let kept: Vec<HostArg<'_>> = kept.collect();
    put(cx, out, item_of(&cx.args[0]).slot(), kept);
    Ok(())
}

/// AND (`decides` FALSE) or OR (`decides` TRUE) of all elements.
fn connect(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>, decides: bool) -> Done {
    let all = elements(args[0], &cx.args[0]);
    if all.iter().any(|e| !e.is_null() && e.bool() == decides) {
        out.bool(decides);
    } else if !all.iter().any(|e| e.is_null()) {
        out.bool(!decides);
    }
    Ok(())
}

fn trim(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all = elements(args[0], &cx.args[0]);
    let gone = usize::try_from(args[1].i64()).ok().filter(|gone| *gone <= all.len());
    let gone = gone.ok_or_else(|| {
        HostError::bad_argument(format!("{} of {} elements", args[1].i64(), all.len()))
    })?;
    let kept = all.len() - gone;
    put(cx, out, item_of(&cx.args[0]).slot(), all.into_iter().take(kept));
    Ok(())
}

fn range_to(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    range(cx, &[HostArg::Word(0), args[0]], out)
}

fn range(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (from, to) = (i128::from(args[0].i64()), i128::from(args[1].i64()));
    let step = i128::from(args.get(2).map_or(1, |step| step.i64()));
    if step == 0 {
        return Err(HostError::bad_argument("the step is 0"));
    }
    let span = (to - from) * step.signum();
    let count = if span > 0 { (span + step.abs() - 1) / step.abs() } else { 0 };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    check_size(count.checked_mul(8).unwrap_or(RESULT_BYTES_MAX + 1))?;
    let item = |at: usize| HostArg::Word((from + step * at as i128) as i64 as u64);
    put(cx, out, flow_ir::types::Slot::Word, (0..count).map(item));
    Ok(())
}

pub(super) fn time_series(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (from, to, (months, micros)) = (args[0].i64(), args[1].i64(), args[2].interval());
    let forward = months > 0 || (months == 0 && micros > 0);
    if (months, micros) == (0, 0) || (months != 0 && micros != 0 && (months > 0) != (micros > 0)) {
        return Err(HostError::bad_argument("the step goes nowhere"));
    }
    cx.items.clear();
    for step in 0.. {
        let times = |part: i64| part.checked_mul(step).ok_or_else(HostError::overflow);
        let at = add_interval(from, times(months)?, times(micros)?)?;
        if (forward && at > to) || (!forward && at < to) {
            break;
        }
        cx.items.push_word(at as u64);
        check_size(cx.items.len() * 8)?;
    }
    cx.items.finish_array(out.container());
    Ok(())
}
