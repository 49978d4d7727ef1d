//! Arrays as Postgres has them: dimensions, arrays in texts, series.

use flow_ir::types::{DataType, Type};

use super::arrays::{elements, item_of, put_texts};
use super::collections::time_series;
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, RESULT_BYTES_MAX, host};
use crate::signature::{ARRAY, INSTANT, Pattern as P, sig};

const ARRAYS: Builtin = Builtin { family: Family::Array, ..Builtin::STRICT };
const TEXTS: P = P::Array(&P::String);

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "ARRAY_LENGTH",
        aliases: &["LIST_LENGTH"],
        doc: "The number of elements; of a dimension, from 1, NULL where it has none.",
        overloads: &[
            sig(&[ARRAY], P::Int, host("cardinality", super::arrays::cardinality)),
            sig(&[ARRAY, P::Int], P::Int, host("array_length", length)).may_be_null(),
        ],
        examples: &[
            ("ARRAY_LENGTH(ARRAY[1, 2])", "2"),
            ("ARRAY_LENGTH(ARRAY[ARRAY[1, 2, 3]], 2)", "3"),
            ("ARRAY_LENGTH(ARRAY[1], 2)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_UPPER",
        doc: "The last position of a dimension, NULL where it has none.",
        overloads: &[sig(&[ARRAY, P::Int], P::Int, host("array_length", length)).may_be_null()],
        examples: &[("ARRAY_UPPER(ARRAY[1, 2], 1)", "2"), ("ARRAY_UPPER(NULL, 1)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_LOWER",
        doc: "The first position of a dimension: 1, NULL where it has none.",
        overloads: &[sig(&[ARRAY, P::Int], P::Int, host("array_lower", lower)).may_be_null()],
        examples: &[("ARRAY_LOWER(ARRAY[1, 2], 1)", "1"), ("ARRAY_LOWER(ARRAY[1], 2)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_NDIMS",
        doc: "How deep arrays are nested.",
        overloads: &[sig(&[ARRAY], P::Int, host("array_ndims", ndims))],
        examples: &[("ARRAY_NDIMS(ARRAY[ARRAY[1]])", "2"), ("ARRAY_NDIMS(NULL)", "NULL")],
        ..ARRAYS
    },
    Builtin {
        name: "GENERATE_SUBSCRIPTS",
        doc: "The positions of a dimension, from 1; as an item of SELECT, a row for each.",
        overloads: &[sig(
            &[ARRAY, P::Int],
            P::Array(&P::Int),
            host("generate_subscripts", subscripts),
        )],
        examples: &[
            ("GENERATE_SUBSCRIPTS(ARRAY['a', 'b'], 1)", "[1, 2]"),
            ("GENERATE_SUBSCRIPTS(ARRAY['a'], 2)", "[]"),
            ("GENERATE_SUBSCRIPTS(NULL, 1)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "STRING_TO_ARRAY",
        aliases: &["STRING_TO_TABLE"],
        doc: "The pieces of a text between delimiters, those equal to a third text as NULL.",
        overloads: &[
            sig(&[P::String, P::String], TEXTS, host("string_to_array", string_to_array)),
            sig(
                &[P::String, P::String, P::String],
                TEXTS,
                host("string_to_array", string_to_array),
            ),
        ],
        examples: &[
            ("STRING_TO_ARRAY('a,b', ',')", "[a, b]"),
            ("STRING_TO_ARRAY('a,,b', ',', '')", "[a, NULL, b]"),
            ("STRING_TO_ARRAY(NULL, ',')", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "ARRAY_OF_TEXT",
        doc: "The elements of an array that is written as '{a,b}', as texts.",
        overloads: &[sig(&[P::String], TEXTS, host("array_of_text", array_of_text))],
        examples: &[
            ("ARRAY_OF_TEXT('{1, NULL, \"a b\"}')", "[1, NULL, a b]"),
            ("ARRAY_OF_TEXT('{{1,2},{3}}')", "[{1,2}, {3}]"),
            ("ARRAY_OF_TEXT(NULL)", "NULL"),
        ],
        ..ARRAYS
    },
    Builtin {
        name: "GENERATE_SERIES",
        aliases: &["SEQUENCE"],
        doc: "The integers from one to another, both included, by a step (1 when left out); times. \
              As an item of SELECT, a row for each, unless FROM reads what is declared as ksqlDB \
              does.",
        overloads: &[
            sig(&[P::BigInt, P::BigInt], P::Array(&P::BigInt), host("generate_series", series)),
            sig(
                &[P::BigInt, P::BigInt, P::BigInt],
                P::Array(&P::BigInt),
                host("generate_series", series),
            ),
            sig(
                &[INSTANT, INSTANT, P::Interval],
                P::Array(&INSTANT),
                host("time_series", time_series),
            ),
        ],
        examples: &[
            ("GENERATE_SERIES(1, 3)", "[1, 2, 3]"),
            ("GENERATE_SERIES(3, 1, -2)", "[3, 1]"),
            ("GENERATE_SERIES(1, NULL)", "NULL"),
        ],
        ..ARRAYS
    },
];

fn dimension(arg: HostArg<'_>, ty: &Type, at: i64) -> Option<usize> {
    let items = elements(arg, ty);
    match at {
        1 => (!items.is_empty()).then_some(items.len()),
        _ if at < 1 => None,
        _ => {
            let item = item_of(ty);
            let first = items.into_iter().next().filter(|first| !first.is_null());
            let nested = matches!(item.data, DataType::Array(_));
            first.filter(|_| nested).and_then(|first| dimension(first, &item, at - 1))
        }
    }
}

fn length(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if let Some(length) = dimension(args[0], &cx.args[0], args[1].i64()) {
        out.i64(length as i64);
    }
    Ok(())
}

fn subscripts(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let count = dimension(args[0], &cx.args[0], args[1].i64()).unwrap_or(0);
    cx.items.clear();
    (1..=count as u64).for_each(|place| cx.items.push_word(place));
    cx.items.finish_array(out.container());
    Ok(())
}

fn lower(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    if dimension(args[0], &cx.args[0], args[1].i64()).is_some() {
        out.i64(1);
    }
    Ok(())
}

fn ndims(cx: &mut HostCx, _: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let mut ty = cx.args[0].clone();
    let mut count = 0;
    while let DataType::Array(item) = ty.data {
        count += 1;
        ty = *item;
    }
    out.i64(count);
    Ok(())
}

fn string_to_array(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (text, delimiter) = (args[0].str(), args[1].str());
    let pieces: Vec<&str> = match delimiter {
        _ if text.is_empty() => Vec::new(),
        "" => vec![text],
        delimiter => text.split(delimiter).collect(),
    };
    let null = args.get(2).map(|null| null.str());
    put_texts(cx, out, pieces.into_iter().map(|piece| (Some(piece) != null).then_some(piece)));
    Ok(())
}

/// The elements of `{a,"b c",NULL,{d}}` as they are written, without their quotes.
pub(super) fn items_of(text: &str) -> Result<Vec<Option<String>>, HostError> {
    let bad = || HostError::bad_argument(format!("'{text}' is no array"));
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or_else(bad)?;
    if inner.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (mut items, mut item, mut depth) = (Vec::new(), String::new(), 0usize);
    let (mut inside, mut quoted) = (false, false);
    let mut chars = inner.chars();
    let finish = |item: &mut String, quoted: &mut bool| {
        let text = std::mem::take(item);
        let plain = !std::mem::take(quoted);
        let text = if plain { text.trim().to_string() } else { text };
        (!plain || !text.eq_ignore_ascii_case("NULL")).then_some(text)
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                item.extend((depth > 0).then_some(c));
                item.extend(chars.next());
            }
            '"' if depth == 0 => {
                if !inside && !quoted {
                    item.clear();
                }
                (inside, quoted) = (!inside, true);
            }
            '{' if !inside => {
                depth += 1;
                item.push(c);
            }
            '}' if !inside => {
                depth = depth.checked_sub(1).ok_or_else(bad)?;
                item.push(c);
            }
            ',' if !inside && depth == 0 => items.push(finish(&mut item, &mut quoted)),
            // Behind a closing quote there is only room for blanks.
            c if quoted && !inside && c.is_whitespace() => {}
            c => item.push(c),
        }
    }
    if inside || depth > 0 {
        return Err(bad());
    }
    items.push(finish(&mut item, &mut quoted));
    Ok(items)
}

fn array_of_text(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let items = items_of(args[0].str())?;
    put_texts(cx, out, items.iter().map(Option::as_deref));
    Ok(())
}

fn series(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (from, to) = (args[0].i64(), args[1].i64());
    let step = args.get(2).map_or(1, |step| step.i64());
    if step == 0 {
        return Err(HostError::bad_argument("the step is 0"));
    }
    let span = i128::from(to) - i128::from(from);
    let count = (span / i128::from(step) + 1).max(0);
    let reaches = span == 0 || (span > 0) == (step > 0);
    let count = if reaches { usize::try_from(count).unwrap_or(usize::MAX) } else { 0 };
    crate::host::check_size(count.checked_mul(8).unwrap_or(RESULT_BYTES_MAX + 1))?;
    cx.items.clear();
    for i in 0..count {
        cx.items.push_word(from.wrapping_add(step.wrapping_mul(i as i64)) as u64);
    }
    cx.items.finish_array(out.container());
    Ok(())
}
