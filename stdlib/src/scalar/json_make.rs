//! JSON made of values of any type, as the format `json` writes them.

use flow_ir::row::{RowLayout, RowRef};
use flow_ir::types::{DataType, Type};

use crate::builtin::{Builtin, Family, NullRule};
use crate::host::{HostArg, HostCx, HostError, HostOut, check_size, host, host_sees_nulls};
use crate::interp::encode::{write_json_scalar, write_name, write_string};
use crate::signature::{Nullability, Pattern as P, sig};
use crate::text::field_of;

const JSON: Builtin = Builtin { family: Family::Json, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "JSON_STRING",
        aliases: &["TO_JSON_STRING"],
        doc: "A value of any type as JSON text.",
        overloads: &[sig(&[P::Anything], P::String, host("json_string", json_string))],
        examples: &[
            ("JSON_STRING(ARRAY['a', NULL])", r#"["a",null]"#),
            ("JSON_STRING(MAP['k', 1.5])", r#"{"k":1.5}"#),
            ("JSON_STRING(CAST(NULL AS INT))", "NULL"),
        ],
        ..JSON
    },
    Builtin {
        name: "TO_JSON",
        aliases: &["TO_JSONB", "ROW_TO_JSON", "ARRAY_TO_JSON"],
        doc: "A value of any type as JSON.",
        overloads: &[sig(&[P::Anything], P::Json, host("json_string", json_string))],
        examples: &[("TO_JSON('a')", "\"a\""), ("TO_JSON(CAST(NULL AS INT))", "NULL")],
        ..JSON
    },
    Builtin {
        name: "JSON_OBJECT",
        aliases: &["JSON_BUILD_OBJECT", "JSONB_BUILD_OBJECT"],
        doc: "The JSON object of names and values: JSON_OBJECT(KEY 'a' VALUE 1 ABSENT ON NULL).",
        overloads: &[
            sig(&[], P::String, host_sees_nulls("json_object", json_object))
                .nullability(Nullability::Never),
            sig(&[P::Anything], P::String, host_sees_nulls("json_object", json_object))
                .variadic()
                .nullability(Nullability::Never),
        ],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("JSON_OBJECT('a', 1, 'b', ARRAY['x'])", r#"{"a":1,"b":["x"]}"#),
            ("JSON_OBJECT('a', NULL)", r#"{"a":null}"#),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_OBJECT ABSENT ON NULL",
        family: Family::Operator,
        doc: "The JSON object of names and those values that are not NULL.",
        overloads: &[
            sig(&[], P::String, host_sees_nulls("json_object_absent", json_object_absent))
                .nullability(Nullability::Never),
            sig(
                &[P::Anything],
                P::String,
                host_sees_nulls("json_object_absent", json_object_absent),
            )
            .variadic()
            .nullability(Nullability::Never),
        ],
        nulls: NullRule::SeesNulls,
        examples: &[("JSON_OBJECT()", "{}"), ("JSON_OBJECT('a', NULL) IS NULL", "FALSE")],
        ..JSON
    },
    Builtin {
        name: "JSON_ARRAY",
        doc: "The JSON array of values that are not NULL; of all with NULL ON NULL.",
        overloads: &[
            sig(&[], P::String, host_sees_nulls("json_array", json_array))
                .nullability(Nullability::Never),
            sig(&[P::Anything], P::String, host_sees_nulls("json_array", json_array))
                .variadic()
                .nullability(Nullability::Never),
        ],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("JSON_ARRAY(1, 'a', TRUE)", r#"[1,"a",true]"#),
            ("JSON_ARRAY(1, NULL)", "[1]"),
        ],
        ..JSON
    },
    Builtin {
        name: "JSON_BUILD_ARRAY",
        aliases: &["JSONB_BUILD_ARRAY"],
        doc: "The JSON array of values, NULL as null: JSON_ARRAY(… NULL ON NULL).",
        overloads: &[
            sig(&[], P::String, host_sees_nulls("json_array_nulls", json_array_nulls))
                .nullability(Nullability::Never),
            sig(&[P::Anything], P::String, host_sees_nulls("json_array_nulls", json_array_nulls))
                .variadic()
                .nullability(Nullability::Never),
        ],
        nulls: NullRule::SeesNulls,
        examples: &[("JSON_BUILD_ARRAY(1, NULL)", "[1,null]"), ("JSON_BUILD_ARRAY()", "[]")],
        ..JSON
    },
];

/// Writes a value as JSON.
pub(super) fn write(value: HostArg<'_>, ty: &DataType, out: &mut Vec<u8>) {
    if value.is_null() {
        out.extend_from_slice(b"null");
        return;
    }
    match ty {
        DataType::Array(item) => {
            let array = value.array(&Type::not_null(ty.clone()));
            out.push(b'[');
            for i in 0..array.len() {
                separate(i, out);
                write(HostArg::element(array, i, item), &item.data, out);
            }
            out.push(b']');
        }
        DataType::Map(key, item) => {
            let map = value.map(&Type::not_null(ty.clone()));
            let (keys, values) = (map.keys(), map.values());
            out.push(b'{');
            for i in 0..map.len() {
                separate(i, out);
                write_name(HostArg::element(keys, i, key), &key.data, out);
                write(HostArg::element(values, i, item), &item.data, out);
            }
            out.push(b'}');
        }
        DataType::Row(fields) => {
            let layout = RowLayout::new(fields.iter().map(|f| f.ty.clone()).collect::<Vec<_>>());
            let words = value.container();
            let known = if words.len() < layout.fixed_words() { 0 } else { fields.len() };
            out.push(b'{');
            for (i, field) in fields.iter().enumerate().take(known) {
                separate(i, out);
                write_string(field.name.as_bytes(), out);
                out.push(b':');
                write(field_of(RowRef::new(words), &layout, i), &field.ty.data, out);
            }
            out.push(b'}');
        }
        scalar => write_json_scalar(value, scalar, out),
    }
}

/// Writes a column of a row as JSON.
pub(crate) fn write_json(row: RowRef<'_>, layout: &RowLayout, column: usize, out: &mut Vec<u8>) {
    write(field_of(row, layout, column), &layout.types()[column].data, out);
}

/// Writes a column of a row, not NULL, as a member's name and the colon.
pub(crate) fn write_json_name(
    row: RowRef<'_>,
    layout: &RowLayout,
    column: usize,
    out: &mut Vec<u8>,
) {
    write_name(field_of(row, layout, column), &layout.types()[column].data, out);
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn json_string(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    write(args[0], &cx.args[0].data, out.open());
    Ok(())
}

fn object(cx: &HostCx, args: &[HostArg<'_>], nulls: bool, out: &mut HostOut<'_>) -> Done {
    if !args.len().is_multiple_of(2) {
        return Err(HostError::bad_argument("a name without a value"));
    }
    let out = out.open();
    let start = out.len();
    out.push(b'{');
    let mut written = 0;
    for (pair, types) in args.chunks_exact(2).zip(cx.args.chunks_exact(2)) {
        if pair[0].is_null() {
            return Err(HostError::bad_argument("a name is NULL"));
        }
        if pair[1].is_null() && !nulls {
            continue;
        }
        separate(written, out);
        written += 1;
        write_name(pair[0], &types[0].data, out);
        write(pair[1], &types[1].data, out);
        check_size(out.len() - start)?;
    }
    out.push(b'}');
    Ok(())
}

fn json_object(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    object(cx, args, true, out)
}

fn json_object_absent(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    object(cx, args, false, out)
}

fn array(cx: &HostCx, args: &[HostArg<'_>], nulls: bool, out: &mut HostOut<'_>) -> Done {
    let out = out.open();
    let start = out.len();
    out.push(b'[');
    let kept = args.iter().zip(&cx.args).filter(|(arg, _)| nulls || !arg.is_null());
    for (i, (arg, ty)) in kept.enumerate() {
        separate(i, out);
        write(*arg, &ty.data, out);
        check_size(out.len() - start)?;
    }
    out.push(b']');
    Ok(())
}

fn json_array(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    array(cx, args, false, out)
}

fn json_array_nulls(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    array(cx, args, true, out)
}
