//! Arrays. Positions count from 1; an array that is NULL gives NULL.

use std::collections::HashSet;

use flow_ir::row::{ContainerBuilder, append_element_key};
use flow_ir::types::{DataType, Slot, Type};

use crate::builtin::{Builtin, Family, Meaning, NullRule};
use crate::host::{HostArg, HostCx, HostError, HostOut, host, host_sees_nulls};
use crate::signature::{ANY, ARRAY, Pattern as P, sig};
use crate::text;

const ARRAYS: Builtin = Builtin { family: Family::Array, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "CARDINALITY",
        aliases: &["ARRAY_SIZE", "SIZE", "MAP_LENGTH"],
        doc: "How many elements an array, or entries a map, has.",
        overloads: &[
            sig(&[ARRAY], P::Int, host("array_cardinality", cardinality)),
            sig(&[crate::signature::MAP], P::Int, host("map_cardinality", cardinality)),
        ],
        examples: &[("CARDINALITY(ARRAY[1, 2, NULL])", "3"), ("CARDINALITY(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ELEMENT",
        doc: "The only element of an array of one; NULL for an empty array, an error for more.",
        overloads: &[sig(&[ARRAY], ANY, host("array_element", element)).may_be_null()],
        examples: &[("ELEMENT(ARRAY[7])", "7"), ("ELEMENT(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_ELEMENT",
        aliases: &["LIST_ELEMENT", "LIST_EXTRACT", "ARRAY_EXTRACT"],
        doc: "The element at a position, counted from 1; NULL outside.",
        overloads: &[sig(
            &[ARRAY, P::BigInt],
            ANY,
            Meaning::Ops(|b, a, ty| b.element(a[0], a[1], ty)),
        )
        .may_be_null()],
        examples: &[
            ("ARRAY_ELEMENT(ARRAY[7, 8], 2)", "8"),
            ("ARRAY_ELEMENT(ARRAY[7], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_CONTAINS",
        aliases: &["LIST_CONTAINS", "LIST_HAS", "ARRAY_HAS", "ARRAYCONTAINS"],
        doc: "Whether an array has an element; a NULL is found like any other.",
        overloads: &[sig(&[ARRAY, ANY], P::Boolean, host_sees_nulls("array_contains", contains))
            .may_be_null()],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("ARRAY_CONTAINS(ARRAY[1, 2], 2)", "TRUE"),
            ("ARRAY_CONTAINS(ARRAY[1, NULL], NULL)", "TRUE"),
            ("ARRAY_CONTAINS(CAST(NULL AS ARRAY<INT>), 1)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_POSITION",
        aliases: &["LIST_POSITION", "LIST_INDEXOF", "ARRAY_INDEXOF"],
        doc: "The position of the first such element, counted from 1; 0 if there is none.",
        overloads: &[sig(&[ARRAY, ANY], P::Int, host("array_position", position))],
        examples: &[
            ("ARRAY_POSITION(ARRAY['a', 'b'], 'b')", "2"),
            ("ARRAY_POSITION(ARRAY['a'], 'x')", "0"),
            ("ARRAY_POSITION(ARRAY['a'], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_CONCAT",
        aliases: &["ARRAY_CAT", "LIST_CONCAT", "LIST_CAT"],
        doc: "The elements of all arrays, one after the other.",
        overloads: &[sig(&[ARRAY], ARRAY, host("array_concat", array_concat)).variadic()],
        examples: &[
            ("ARRAY_CONCAT(ARRAY[1], ARRAY[2, 3])", "[1, 2, 3]"),
            ("ARRAY_CONCAT(ARRAY[1], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_APPEND",
        aliases: &["LIST_APPEND", "ARRAY_PUSH_BACK"],
        doc: "The array with one more element at its end.",
        overloads: &[
            sig(&[ARRAY, ANY], ARRAY, host_sees_nulls("array_append", append)).may_be_null()
        ],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("ARRAY_APPEND(ARRAY[1], 2)", "[1, 2]"),
            ("ARRAY_APPEND(CAST(NULL AS ARRAY<INT>), 2)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_PREPEND",
        aliases: &["LIST_PREPEND", "ARRAY_PUSH_FRONT"],
        doc: "The array with one more element at its start.",
        overloads: &[
            sig(&[ARRAY, ANY], ARRAY, host_sees_nulls("array_prepend", prepend)).may_be_null(),
            sig(&[ANY, ARRAY], ARRAY, host_sees_nulls("array_prepend_to", prepend_to))
                .may_be_null(),
        ],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("ARRAY_PREPEND(ARRAY[1], 2)", "[2, 1]"),
            ("ARRAY_PREPEND(2, ARRAY[1])", "[2, 1]"),
            ("ARRAY_PREPEND(CAST(NULL AS ARRAY<INT>), 2)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_REMOVE",
        doc: "The array without the elements equal to a value.",
        overloads: &[
            sig(&[ARRAY, ANY], ARRAY, host_sees_nulls("array_remove", remove)).may_be_null()
        ],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", "[2]"),
            ("ARRAY_REMOVE(CAST(NULL AS ARRAY<INT>), 1)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_DISTINCT",
        aliases: &["LIST_DISTINCT"],
        doc: "The array with each element once, at its first place.",
        overloads: &[sig(&[ARRAY], ARRAY, host("array_distinct", distinct))],
        examples: &[
            ("ARRAY_DISTINCT(ARRAY[1, 2, 1, NULL, NULL])", "[1, 2, NULL]"),
            ("ARRAY_DISTINCT(NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_UNION",
        doc: "Each element of the two arrays once, in the order of their first places.",
        overloads: &[sig(&[ARRAY, ARRAY], ARRAY, host("array_union", union))],
        examples: &[
            ("ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3])", "[1, 2, 3]"),
            ("ARRAY_UNION(ARRAY[1], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_INTERSECT",
        aliases: &["LIST_INTERSECT"],
        doc: "Each element that both arrays have, once.",
        overloads: &[sig(&[ARRAY, ARRAY], ARRAY, host("array_intersect", intersect))],
        examples: &[
            ("ARRAY_INTERSECT(ARRAY[1, 2, 2], ARRAY[2])", "[2]"),
            ("ARRAY_INTERSECT(NULL, ARRAY[1])", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_EXCEPT",
        doc: "Each element of the first array that the second does not have, once.",
        overloads: &[sig(&[ARRAY, ARRAY], ARRAY, host("array_except", except))],
        examples: &[
            ("ARRAY_EXCEPT(ARRAY[1, 2, 1], ARRAY[2])", "[1]"),
            ("ARRAY_EXCEPT(ARRAY[1], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_SLICE",
        aliases: &["LIST_SLICE", "SLICE"],
        doc: "The elements from one position to another, both included; below 0 from the end.",
        overloads: &[
            sig(&[ARRAY, P::BigInt], ARRAY, host("array_slice", slice)),
            sig(&[ARRAY, P::BigInt, P::BigInt], ARRAY, host("array_slice", slice)),
        ],
        examples: &[
            ("ARRAY_SLICE(ARRAY[1, 2, 3, 4], 2, 3)", "[2, 3]"),
            ("ARRAY_SLICE(ARRAY[1, 2, 3], -2)", "[2, 3]"),
            ("ARRAY_SLICE(ARRAY[1], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_REVERSE",
        aliases: &["LIST_REVERSE"],
        doc: "The elements in the opposite order.",
        overloads: &[sig(&[ARRAY], ARRAY, host("array_reverse", reverse))],
        examples: &[("ARRAY_REVERSE(ARRAY[1, 2])", "[2, 1]"), ("ARRAY_REVERSE(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_SORT",
        aliases: &["LIST_SORT"],
        doc: "The elements in order: ascending (or 'asc'), NULLs first (or 'nulls first').",
        overloads: &[
            sig(&[ARRAY], ARRAY, host("array_sort", sort)),
            sig(&[ARRAY, P::Boolean], ARRAY, host("array_sort", sort)),
            sig(&[ARRAY, P::Boolean, P::Boolean], ARRAY, host("array_sort", sort)),
            sig(&[ARRAY, P::String], ARRAY, host("array_sort_word", sort_by_words)),
            sig(&[ARRAY, P::String, P::String], ARRAY, host("array_sort_word", sort_by_words)),
        ],
        examples: &[
            ("ARRAY_SORT(ARRAY[3, NULL, 1])", "[1, 3, NULL]"),
            ("ARRAY_SORT(ARRAY[1, 3], FALSE)", "[3, 1]"),
            ("ARRAY_SORT(ARRAY[1, NULL, 3], TRUE, TRUE)", "[NULL, 1, 3]"),
            ("ARRAY_SORT(ARRAY[1, NULL, 3], 'DESC', 'NULLS LAST')", "[3, 1, NULL]"),
            ("ARRAY_SORT(NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_MIN",
        aliases: &["LIST_MIN"],
        doc: "The least element that is not NULL.",
        overloads: &[sig(&[ARRAY], ANY, host("array_min", min)).may_be_null()],
        examples: &[("ARRAY_MIN(ARRAY[3, NULL, 1])", "1"), ("ARRAY_MIN(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_MAX",
        aliases: &["LIST_MAX"],
        doc: "The greatest element that is not NULL.",
        overloads: &[sig(&[ARRAY], ANY, host("array_max", max)).may_be_null()],
        examples: &[("ARRAY_MAX(ARRAY[3, NULL, 1])", "3"), ("ARRAY_MAX(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_JOIN",
        aliases: &["ARRAY_TO_STRING"],
        doc: "The elements as text with a delimiter between; NULLs are left out or replaced.",
        overloads: &[
            sig(&[ARRAY, P::String], P::String, host("array_join", join)),
            sig(&[ARRAY, P::String, P::String], P::String, host("array_join", join)),
        ],
        examples: &[
            ("ARRAY_JOIN(ARRAY['a', NULL, 'b'], '-')", "a-b"),
            ("ARRAY_JOIN(ARRAY['a', NULL], '-', '?')", "a-?"),
            ("ARRAY_JOIN(ARRAY['a'], NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "SPLIT",
        aliases: &["STR_SPLIT", "STRING_SPLIT"],
        doc: "The pieces of a text between delimiters; its characters if the delimiter is empty.",
        overloads: &[sig(&[P::String, P::String], P::Array(&P::String), host("split", split))],
        examples: &[("SPLIT('a,b,', ',')", "[a, b, ]"), ("SPLIT('a', NULL)", "NULL")],
        ..ARRAYS
    },
];

/// The type of an array's elements.
pub(super) fn item_of(ty: &Type) -> Type {
    match &ty.data {
        DataType::Array(item) => (**item).clone(),
        _ => Type::nullable(DataType::Null),
    }
}

/// The elements of an array argument.
pub(super) fn elements<'a>(arg: HostArg<'a>, ty: &Type) -> Vec<HostArg<'a>> {
    let array = arg.array(ty);
    let item = item_of(ty);
    (0..array.len()).map(|i| HostArg::element(array, i, &item)).collect()
}

/// The key bytes of a value: equal iff the values are, ordered as they are.
pub(super) fn key_of(value: HostArg<'_>, item: &Type) -> Vec<u8> {
    let mut one = ContainerBuilder::default();
    value.push_to(&mut one, item.slot());
    let words = flow_ir::row::array_words(&one);
    let mut key = Vec::new();
    append_element_key(flow_ir::row::ArrayRef::new(&words, item.slot()), 0, item, &mut key);
    key
}

/// Puts an array of these elements.
pub(super) fn put<'a>(
    cx: &mut HostCx,
    out: &mut HostOut<'_>,
    slot: Slot,
    elements: impl IntoIterator<Item = HostArg<'a>>,
) {
    cx.items.clear();
    for element in elements {
        element.push_to(&mut cx.items, slot);
    }
    cx.items.finish_array(out.container());
}

/// Puts an array of texts.
pub(super) fn put_texts<'a>(
    cx: &mut HostCx,
    out: &mut HostOut<'_>,
    texts: impl IntoIterator<Item = Option<&'a str>>,
) {
    let item = |text: Option<&'a str>| text.map_or(HostArg::Null, |t| HostArg::Bytes(t.as_bytes()));
    put(cx, out, Slot::Var, texts.into_iter().map(item));
}

/// How many elements an array, or entries a map, has.
pub(super) fn cardinality(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(flow_ir::row::ArrayRef::new(args[0].container(), Slot::Word).len() as i64);
    Ok(())
}

fn element(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    match *elements(args[0], &cx.args[0]).as_slice() {
        [] => {}
        [only] => out.copy(only),
        ref more => {
            return Err(HostError::bad_argument(format!("ELEMENT of {} elements", more.len())));
        }
    }
    Ok(())
}

/// Where the value stands, from 0.
fn find(cx: &HostCx, args: &[HostArg<'_>]) -> Option<usize> {
    let item = item_of(&cx.args[0]);
    let wanted = key_of(args[1], &item);
    elements(args[0], &cx.args[0]).iter().position(|e| key_of(*e, &item) == wanted)
}

fn contains(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if !args[0].is_null() {
        out.bool(find(cx, args).is_some());
    }
    Ok(())
}

fn position(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(find(cx, args).map_or(0, |at| at as i64 + 1));
    Ok(())
}

/// The elements of all arrays.
pub(super) fn array_concat(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let size = args.iter().map(|a| a.container().len() * 8).sum();
    crate::host::check_size(size)?;
    let slot = item_of(&cx.result).slot();
    let all: Vec<HostArg<'_>> =
        args.iter().zip(&cx.args).flat_map(|(arg, ty)| elements(*arg, ty)).collect();
    put(cx, out, slot, all);
    Ok(())
}

fn append(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if args[0].is_null() {
        return Ok(());
    }
    let mut all = elements(args[0], &cx.args[0]);
    all.push(args[1]);
    put(cx, out, item_of(&cx.result).slot(), all);
    Ok(())
}

fn prepend(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if args[0].is_null() {
        return Ok(());
    }
    let mut all = elements(args[0], &cx.args[0]);
    all.insert(0, args[1]);
    put(cx, out, item_of(&cx.result).slot(), all);
    Ok(())
}

/// As Postgres and DuckDB have it: (element, array).
fn prepend_to(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    cx.args.swap(0, 1);
    let done = prepend(cx, &[args[1], args[0]], out);
    cx.args.swap(0, 1);
    done
}

fn remove(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if args[0].is_null() {
        return Ok(());
    }
    let item = item_of(&cx.args[0]);
    let unwanted = key_of(args[1], &item);
    let all = elements(args[0], &cx.args[0]);
    put(cx, out, item.slot(), all.into_iter().filter(|e| key_of(*e, &item) != unwanted));
    Ok(())
}

/// Each element once, where `keep` holds for its key.
fn once<'a>(
    elements: Vec<HostArg<'a>>,
    item: &Type,
    keep: impl Fn(&[u8]) -> bool,
) -> Vec<HostArg<'a>> {
    let mut seen = HashSet::new();
    let fresh = |e: &HostArg<'a>| {
        let key = key_of(*e, item);
        keep(&key) && seen.insert(key)
    };
    elements.into_iter().filter(fresh).collect()
}

fn distinct(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let item = item_of(&cx.args[0]);
    let kept = once(elements(args[0], &cx.args[0]), &item, |_| true);
    put(cx, out, item.slot(), kept);
    Ok(())
}

fn union(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let item = item_of(&cx.result);
    let mut all = elements(args[0], &cx.args[0]);
    all.extend(elements(args[1], &cx.args[1]));
    put(cx, out, item.slot(), once(all, &item, |_| true));
    Ok(())
}

fn intersect(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    restrict(cx, args, out, true)
}

fn except(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    restrict(cx, args, out, false)
}

fn restrict(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>, inside: bool) -> Done {
    let item = item_of(&cx.args[0]);
    let others: HashSet<Vec<u8>> =
        elements(args[1], &cx.args[1]).into_iter().map(|e| key_of(e, &item)).collect();
    let kept = once(elements(args[0], &cx.args[0]), &item, |key| others.contains(key) == inside);
    put(cx, out, item.slot(), kept);
    Ok(())
}

fn slice(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all = elements(args[0], &cx.args[0]);
    let len = all.len() as i64;
    let position = |p: i64| if p < 0 { len.saturating_add(p).saturating_add(1) } else { p };
    let from = position(args[1].i64()).max(1);
    let to = args.get(2).map_or(len, |to| position(to.i64())).min(len);
    let count = to.saturating_sub(from).saturating_add(1).max(0) as usize;
    let skip = usize::try_from(from - 1).unwrap_or(usize::MAX);
    put(cx, out, item_of(&cx.args[0]).slot(), all.into_iter().skip(skip).take(count));
    Ok(())
}

fn reverse(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all = elements(args[0], &cx.args[0]);
    put(cx, out, item_of(&cx.args[0]).slot(), all.into_iter().rev());
    Ok(())
}

fn sorted<'a>(cx: &HostCx, arg: HostArg<'a>) -> Vec<HostArg<'a>> {
    let item = item_of(&cx.args[0]);
    let mut all = elements(arg, &cx.args[0]);
    all.sort_by_cached_key(|e| key_of(*e, &item));
    all
}

fn sort(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let ascending = args.get(1).is_none_or(|ascending| ascending.bool());
    put_sorted(cx, args[0], ascending, args.get(2).map(|first| first.bool()), out);
    Ok(())
}

/// Puts the elements in order; NULL is the largest value unless it is to come first or last.
pub(super) fn put_sorted(
    cx: &mut HostCx,
    array: HostArg<'_>,
    ascending: bool,
    nulls_first: Option<bool>,
    out: &mut HostOut<'_>,
) {
    let mut all = sorted(cx, array);
    if !ascending {
        all.reverse();
    }
    if let Some(first) = nulls_first {
        all.sort_by_key(|element| element.is_null() != first);
    }
    put(cx, out, item_of(&cx.args[0]).slot(), all);
}

fn sort_by_words(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unknown = |word: &str| HostError::bad_argument(format!("no order '{word}'"));
    let word = |arg: &HostArg<'_>| arg.str().trim().to_ascii_uppercase();
    let order = word(&args[1]);
    let ascending = match order.as_str() {
        "ASC" | "ASCENDING" => true,
        "DESC" | "DESCENDING" => false,
        _ => return Err(unknown(&order)),
    };
    let nulls_first = match args.get(2).map(word).as_deref() {
        None => None,
        Some("NULLS FIRST") => Some(true),
        Some("NULLS LAST") => Some(false),
        Some(other) => return Err(unknown(other)),
    };
    put_sorted(cx, args[0], ascending, nulls_first, out);
    Ok(())
}

fn min(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(least) = sorted(cx, args[0]).into_iter().next() {
        out.copy(least);
    }
    Ok(())
}

fn max(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(greatest) = sorted(cx, args[0]).into_iter().rev().find(|e| !e.is_null()) {
        out.copy(greatest);
    }
    Ok(())
}

fn join(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let item = item_of(&cx.args[0]);
    let text = out.open();
    let mut first = true;
    for element in elements(args[0], &cx.args[0]) {
        if element.is_null() && args.len() < 3 {
            continue;
        }
        if !first {
            text.extend_from_slice(args[1].bytes());
        }
        first = false;
        if element.is_null() {
            text.extend_from_slice(args[2].bytes());
        } else {
            text::write_value(element, &item.data, text);
        }
    }
    Ok(())
}

fn split(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    cx.items.clear();
    let (text, delimiter) = (args[0].str(), args[1].str());
    if delimiter.is_empty() {
        let mut buffer = [0; 4];
        for c in text.chars() {
            cx.items.push_bytes(c.encode_utf8(&mut buffer).as_bytes());
        }
    } else {
        for piece in text.split(delimiter) {
            cx.items.push_bytes(piece.as_bytes());
        }
    }
    cx.items.finish_array(out.container());
    Ok(())
}
