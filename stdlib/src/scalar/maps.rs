//! Maps. Entries stand in the order of their keys.

use std::iter::repeat_n;

use flow_ir::row::{ContainerBuilder, RowLayout, RowRef};
use flow_ir::types::{DataType, Type};

use super::arrays::{elements, key_of, put};
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, check_size, host};
use crate::signature::{ANY, ARRAY, MAP, OTHER, Pattern as P, sig};

const MAPS: Builtin = Builtin { family: Family::Map, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The entries of a map.
const ENTRIES: P = P::Array(&P::Entry(&ANY, &OTHER));

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "MAP_FROM_ARRAYS",
        aliases: &["AS_MAP", "MAP_FROM_KEY_VALUES"],
        doc: "The map from one array's elements to another's: what MAP[k, v, …] means.",
        overloads: &[sig(
            &[ARRAY, P::Array(&OTHER)],
            MAP,
            host("map_from_arrays", map_from_arrays),
        )],
        examples: &[
            ("MAP_FROM_ARRAYS(ARRAY['b', 'a'], ARRAY[1, 2])", "{a=2, b=1}"),
            ("MAP['k', NULL]", "{k=NULL}"),
            ("MAP_FROM_ARRAYS(ARRAY['a'], NULL)", "NULL"),
        ],
        ..MAPS
    },
    Builtin {
        name: "MAP_KEYS",
        doc: "The keys of a map, in order.",
        overloads: &[sig(&[MAP], ARRAY, host("map_keys", map_keys))],
        examples: &[("MAP_KEYS(MAP['a', 1, 'b', 2])", "[a, b]"), ("MAP_KEYS(NULL)", "NULL")],
        ..MAPS
    },
    Builtin {
        name: "MULTISET_ELEMENTS",
        doc: "The keys of a map, each as often as its value says: what COLLECT collected.",
        overloads: &[sig(
            &[P::Map(&ANY, &P::Int)],
            ARRAY,
            host("multiset_elements", multiset_elements),
        )],
        examples: &[
            ("MULTISET_ELEMENTS(MAP['a', 1, 'b', 2])", "[a, b, b]"),
            ("MULTISET_ELEMENTS(MAP['a', -1])", "[]"),
            ("MULTISET_ELEMENTS(NULL)", "NULL"),
        ],
        ..MAPS
    },
    Builtin {
        name: "MAP_VALUES",
        doc: "The values of a map, in the order of their keys.",
        overloads: &[sig(&[MAP], P::Array(&OTHER), host("map_values", map_values))],
        examples: &[("MAP_VALUES(MAP['a', 1, 'b', 2])", "[1, 2]"), ("MAP_VALUES(NULL)", "NULL")],
        ..MAPS
    },
    Builtin {
        name: "MAP_CONTAINS_KEY",
        aliases: &["MAP_CONTAINS"],
        doc: "Whether a map has a key.",
        overloads: &[sig(&[MAP, ANY], P::Boolean, host("map_contains_key", map_contains_key))],
        examples: &[
            ("MAP_CONTAINS_KEY(MAP['a', 1], 'a')", "TRUE"),
            ("MAP_CONTAINS_KEY(MAP['a', 1], NULL)", "NULL"),
        ],
        ..MAPS
    },
    Builtin {
        name: "MAP_CONCAT",
        aliases: &["MAP_UNION", "MAP_CAT"],
        doc: "The entries of all maps; of equal keys the last map's.",
        overloads: &[sig(&[MAP], MAP, host("map_concat", map_concat)).variadic()],
        examples: &[
            ("MAP_CONCAT(MAP['a', 1], MAP['a', 2, 'b', 3])", "{a=2, b=3}"),
            ("MAP_CONCAT(MAP['a', 1], NULL)", "NULL"),
        ],
        ..MAPS
    },
    Builtin {
        name: "MAP_ENTRIES",
        aliases: &["ENTRIES"],
        doc: "The entries of a map as rows (key, value), in the order of their keys.",
        overloads: &[
            sig(&[MAP], ENTRIES, host("map_entries", map_entries)),
            sig(&[MAP, P::Boolean], ENTRIES, host("map_entries", map_entries)),
        ],
        examples: &[
            ("MAP_ENTRIES(MAP['b', 2, 'a', 1])", "[(a, 1), (b, 2)]"),
            ("MAP_ENTRIES(CAST(NULL AS MAP<STRING, INT>))", "NULL"),
        ],
        ..MAPS
    },
    Builtin {
        name: "MAP_FROM_ENTRIES",
        doc: "The map of an array of rows of two fields; of equal keys the last row's.",
        overloads: &[sig(&[ENTRIES], MAP, host("map_from_entries", map_from_entries))],
        examples: &[
            ("MAP_FROM_ENTRIES(MAP_ENTRIES(MAP['a', 1]))", "{a=1}"),
            ("MAP_FROM_ENTRIES(MAP_ENTRIES(CAST(NULL AS MAP<STRING, INT>)))", "NULL"),
        ],
        ..MAPS
    },
    Builtin {
        name: "MAP_CONTAINS_VALUE",
        doc: "Whether a map has a value.",
        overloads: &[sig(
            &[MAP, OTHER],
            P::Boolean,
            host("map_contains_value", map_contains_value),
        )],
        examples: &[
            ("MAP_CONTAINS_VALUE(MAP['a', 1], 1)", "TRUE"),
            ("MAP_CONTAINS_VALUE(MAP['a', 1], NULL)", "NULL"),
        ],
        ..MAPS
    },
    Builtin {
        name: "MAP_REMOVE",
        aliases: &["MAP_DELETE"],
        doc: "The map without a key.",
        overloads: &[sig(&[MAP, ANY], MAP, host("map_remove", map_remove))],
        examples: &[
            ("MAP_REMOVE(MAP['a', 1, 'b', 2], 'a')", "{b=2}"),
            ("MAP_REMOVE(MAP['a', 1], NULL)", "NULL"),
        ],
        ..MAPS
    },
    Builtin {
        name: "ELEMENT_AT",
        aliases: &["MAP_ACCESS"],
        doc: "An array's element, below 0 from its end, or a map's value of a key; NULL if none.",
        overloads: &[
            sig(&[ARRAY, P::BigInt], ANY, host("array_element_at", array_element_at)).may_be_null(),
            sig(&[MAP, ANY], OTHER, host("map_get", map_get)).may_be_null(),
        ],
        examples: &[
            ("ELEMENT_AT(ARRAY['a', 'b'], -1)", "b"),
            ("ELEMENT_AT(MAP['a', 1], 'a')", "1"),
            ("ELEMENT_AT(MAP['a', 1], NULL)", "NULL"),
        ],
        ..MAPS
    },
];

fn parts(ty: &Type) -> (Type, Type) {
    match &ty.data {
        DataType::Map(key, value) => ((**key).clone(), (**value).clone()),
        _ => (Type::nullable(DataType::Null), Type::nullable(DataType::Null)),
    }
}

/// The entries of a map argument.
fn entries<'a>(arg: HostArg<'a>, ty: &Type) -> Vec<(HostArg<'a>, HostArg<'a>)> {
    let (key, value) = parts(ty);
    let map = arg.map(ty);
    let (keys, values) = (map.keys(), map.values());
    (0..map.len())
        .map(|i| (HostArg::element(keys, i, &key), HostArg::element(values, i, &value)))
        .collect()
}

/// Puts a map of these entries, of (key, value) types: sorted, of equal keys the last.
pub(crate) fn put_map<'a>(
    (key, value): (&Type, &Type),
    out: &mut HostOut<'_>,
    entries: impl IntoIterator<Item = (HostArg<'a>, HostArg<'a>)>,
) -> Done {
    let mut sorted = Vec::new();
    for (k, v) in entries {
        if k.is_null() {
            return Err(HostError::bad_argument("a key of a map is NULL"));
        }
        sorted.push((key_of(k, key), k, v));
    }
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut keys, mut values) = (ContainerBuilder::default(), ContainerBuilder::default());
    for (i, (bytes, k, v)) in sorted.iter().enumerate() {
        if sorted.get(i + 1).is_some_and(|(next, ..)| next == bytes) {
            continue;
        }
        k.push_to(&mut keys, key.slot());
        v.push_to(&mut values, value.slot());
    }
    keys.finish_map(&values, out.container());
    Ok(())
}

/// The value of a key, NULL if the map has none.
pub(super) fn map_get(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (key, _) = parts(&cx.args[0]);
    let wanted = key_of(args[1], &key);
    let found = entries(args[0], &cx.args[0]).into_iter().find(|(k, _)| key_of(*k, &key) == wanted);
    if let Some((_, value)) = found {
        out.copy(value);
    }
    Ok(())
}

fn map_from_arrays(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (keys, values) = (elements(args[0], &cx.args[0]), elements(args[1], &cx.args[1]));
    if keys.len() != values.len() {
        let detail = format!("{} keys and {} values", keys.len(), values.len());
        return Err(HostError::bad_argument(detail));
    }
    let (key, value) = parts(&cx.result);
    put_map((&key, &value), out, keys.into_iter().zip(values))
}

fn map_keys(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let keys: Vec<_> = entries(args[0], &cx.args[0]).into_iter().map(|(k, _)| k).collect();
    let slot = parts(&cx.args[0]).0.slot();
    put(cx, out, slot, keys);
    Ok(())
}

fn multiset_elements(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let counted = entries(args[0], &cx.args[0]).into_iter().map(|(key, count)| {
        let count = if count.is_null() { 0 } else { count.i64() };
        (key, usize::try_from(count).unwrap_or(0))
    });
    let counted: Vec<_> = counted.collect();
    let all = counted.iter().fold(0, |all: usize, (_, count)| all.saturating_add(*count));
    check_size(all.saturating_mul(size_of::<u64>()))?;
    let slot = parts(&cx.args[0]).0.slot();
    put(cx, out, slot, counted.into_iter().flat_map(|(key, count)| repeat_n(key, count)));
    Ok(())
}

fn map_values(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let values: Vec<_> = entries(args[0], &cx.args[0]).into_iter().map(|(_, v)| v).collect();
    let slot = parts(&cx.args[0]).1.slot();
    put(cx, out, slot, values);
    Ok(())
}

fn map_contains_key(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (key, _) = parts(&cx.args[0]);
    let wanted = key_of(args[1], &key);
    out.bool(entries(args[0], &cx.args[0]).iter().any(|(k, _)| key_of(*k, &key) == wanted));
    Ok(())
}

fn map_concat(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all: Vec<_> = args.iter().zip(&cx.args).flat_map(|(arg, ty)| entries(*arg, ty)).collect();
    let (key, value) = parts(&cx.result);
    put_map((&key, &value), out, all)
}

fn map_entries(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (key, value) = parts(&cx.args[0]);
    let (mut row, mut words) = (ContainerBuilder::default(), Vec::new());
    cx.items.clear();
    for (k, v) in entries(args[0], &cx.args[0]) {
        row.clear();
        words.clear();
        k.push_to(&mut row, key.slot());
        v.push_to(&mut row, value.slot());
        row.finish_row(&mut words);
        cx.items.push_container(&words);
    }
    cx.items.finish_array(out.container());
    Ok(())
}

fn map_from_entries(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let item = super::arrays::item_of(&cx.args[0]);
    let fields: Vec<Type> = match &item.data {
        DataType::Row(fields) => fields.iter().map(|f| f.ty.clone()).collect(),
        _ => Vec::new(),
    };
    let layout = RowLayout::new(fields);
    let mut pairs = Vec::new();
    for row in elements(args[0], &cx.args[0]) {
        if row.container().len() < layout.fixed_words() {
            return Err(HostError::bad_argument("an entry of a map is NULL"));
        }
        let row = RowRef::new(row.container());
        let part = |at| crate::text::field_of(row, &layout, at);
        pairs.push((part(0), part(1)));
    }
    let (key, value) = parts(&cx.result);
    put_map((&key, &value), out, pairs)
}

fn map_contains_value(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (_, value) = parts(&cx.args[0]);
    let wanted = key_of(args[1], &value);
    let all = entries(args[0], &cx.args[0]);
    out.bool(all.iter().any(|(_, v)| !v.is_null() && key_of(*v, &value) == wanted));
    Ok(())
}

fn map_remove(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (key, value) = parts(&cx.args[0]);
    let gone = key_of(args[1], &key);
    let all = entries(args[0], &cx.args[0]);
    put_map((&key, &value), out, all.into_iter().filter(|(k, _)| key_of(*k, &key) != gone))
}

fn array_element_at(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let all = elements(args[0], &cx.args[0]);
    let position = args[1].i64();
    let at = usize::try_from(position.unsigned_abs()).ok().and_then(|at| match position {
        1.. => at.checked_sub(1),
        _ => all.len().checked_sub(at),
    });
    if let Some(element) = at.and_then(|at| all.get(at)) {
        out.copy(*element);
    }
    Ok(())
}
