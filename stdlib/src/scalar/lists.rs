//! Arrays without an end of theirs, what they have, and their elements chosen in every way.

use std::collections::HashSet;

use flow_ir::row::{ContainerBuilder, array_words};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::arrays::{elements, item_of, key_of, put};
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, check_size, host};
use crate::signature::{ARRAY, Pattern as P, sig};

const ARRAYS: Builtin = Builtin { family: Family::Array, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "ARRAY_POP_BACK",
        aliases: &["LIST_POP_BACK"],
        doc: "The array without its last element.",
        overloads: &[sig(
            &[ARRAY],
            ARRAY,
            host("array_pop_back", |cx, a, out| {
                let mut items = elements(a[0], &cx.args[0]);
                items.pop();
                let slot = item_of(&cx.args[0]).slot();
                put(cx, out, slot, items);
                Ok(())
            }),
        )],
        examples: &[("ARRAY_POP_BACK(ARRAY[1, 2, 3])", "[1, 2]"), ("ARRAY_POP_BACK(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_POP_FRONT",
        aliases: &["LIST_POP_FRONT"],
        doc: "The array without its first element.",
        overloads: &[sig(
            &[ARRAY],
            ARRAY,
            host("array_pop_front", |cx, a, out| {
                let items = elements(a[0], &cx.args[0]);
                let slot = item_of(&cx.args[0]).slot();
                put(cx, out, slot, items.into_iter().skip(1));
                Ok(())
            }),
        )],
        examples: &[
            ("ARRAY_POP_FRONT(ARRAY[1, 2, 3])", "[2, 3]"),
            ("ARRAY_POP_FRONT(NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "LIST_UNIQUE",
        aliases: &["ARRAY_UNIQUE"],
        doc: "How many different elements an array has, NULLs aside.",
        overloads: &[sig(
            &[ARRAY],
            P::BigInt,
            host("list_unique", |cx, a, out| {
                let item = item_of(&cx.args[0]);
                let given = elements(a[0], &cx.args[0]).into_iter().filter(|e| !e.is_null());
                let keys: HashSet<Vec<u8>> = given.map(|e| key_of(e, &item)).collect();
                out.i64(keys.len() as i64);
                Ok(())
            }),
        )],
        examples: &[("LIST_UNIQUE(ARRAY[1, 2, 1, NULL])", "2"), ("LIST_UNIQUE(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "LIST_COUNT",
        doc: "How many elements of an array are not NULL.",
        overloads: &[sig(
            &[ARRAY],
            P::BigInt,
            host("list_count", |cx, a, out| {
                let given = elements(a[0], &cx.args[0]).into_iter().filter(|e| !e.is_null());
                out.i64(given.count() as i64);
                Ok(())
            }),
        )],
        examples: &[("LIST_COUNT(ARRAY[1, NULL])", "1"), ("LIST_COUNT(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "CUBE_EXPLODE",
        doc: "The array with each choice of its elements replaced by NULL, from all to none; an \
              element that is NULL makes no choice. As an item of SELECT, a row for each.",
        overloads: &[sig(&[ARRAY], P::Array(&ARRAY), host("cube", cube)).returns(cube_type)],
        examples: &[
            ("CUBE_EXPLODE(ARRAY[1, 2])", "[[NULL, NULL], [NULL, 2], [1, NULL], [1, 2]]"),
            ("CUBE_EXPLODE(ARRAY[1, NULL])", "[[NULL, NULL], [1, NULL]]"),
            ("CUBE_EXPLODE(NULL)", "NULL"),
        ],
        ..ARRAYS
    },
];

/// An ARRAY of the argument's arrays, whose elements may be NULL.
fn cube_type(args: &[Type], _: &[Option<&Value>]) -> DataType {
    let item = args.first().map_or(Type::nullable(DataType::Null), item_of);
    let array = Type::not_null(DataType::Array(Box::new(item.with_nullable(true))));
    DataType::Array(Box::new(array))
}

fn cube(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let slot = item_of(&cx.args[0]).slot();
    let items = elements(args[0], &cx.args[0]);
    let given = items.iter().filter(|item| !item.is_null()).count();
    let choices = 1_usize.checked_shl(given as u32).unwrap_or(usize::MAX);
    check_size(choices.saturating_mul(8 * (items.len() + 2)))?;
    cx.items.clear();
    for choice in 0..choices {
        let mut array = ContainerBuilder::default();
        let mut left = given;
        for item in &items {
            left -= usize::from(!item.is_null());
            let kept = !item.is_null() && choice >> left & 1 == 1;
            if kept { *item } else { HostArg::Null }.push_to(&mut array, slot);
        }
        cx.items.push_container(&array_words(&array));
    }
    cx.items.finish_array(out.container());
    Ok(())
}
