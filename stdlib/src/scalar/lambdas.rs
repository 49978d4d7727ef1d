//! Functions that take a function: `x -> x + 1`. What such a call comes to is an `Each`, which the
//! checker makes by the form that an entry says.

use crate::builtin::{Builtin, Family, LambdaForm, Meaning};
use crate::signature::{ANY, ARRAY, Class, MAP, OTHER, Pattern as P, Signature, sig};

const LAMBDA: Builtin = Builtin { family: Family::Lambda, ..Builtin::STRICT };

/// A third type variable, of results.
const RESULT: P = P::Var(2, Class::Any);
const RESULTS: P = P::Array(&RESULT);

/// One element to TRUE or FALSE; an element and its position.
const TEST: P = P::Lambda(&[ANY], &P::Boolean);
const TEST_AT: P = P::Lambda(&[ANY, P::BigInt], &P::Boolean);
/// An entry of a map to TRUE or FALSE.
const TEST_ENTRY: P = P::Lambda(&[ANY, OTHER], &P::Boolean);
const OF_ENTRY: P = P::Lambda(&[ANY, OTHER], &RESULT);

const fn form(params: &'static [P], result: P, form: LambdaForm) -> Signature {
    sig(params, result, Meaning::Lambda(form)).may_be_null()
}

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "TRANSFORM",
        aliases: &["ARRAY_TRANSFORM", "LIST_TRANSFORM", "ARRAY_APPLY", "LIST_APPLY", "APPLY"],
        doc: "What a function makes of each element, or of each entry's key and value.",
        overloads: &[
            form(&[ARRAY, P::Lambda(&[ANY], &RESULT)], RESULTS, LambdaForm::Map),
            form(&[ARRAY, P::Lambda(&[ANY, P::BigInt], &RESULT)], RESULTS, LambdaForm::MapAt),
            form(
                &[MAP, OF_ENTRY, P::Lambda(&[ANY, OTHER], &P::Var(3, Class::Any))],
                P::Map(&RESULT, &P::Var(3, Class::Any)),
                LambdaForm::MapEntries,
            ),
        ],
        examples: &[
            ("TRANSFORM(ARRAY[1, 2, NULL], x -> x + 1)", "[2, 3, NULL]"),
            ("TRANSFORM(ARRAY['a', 'b'], (x, i) -> x || CAST(i AS STRING))", "[a1, b2]"),
            ("TRANSFORM(MAP['a', 1], (k, v) -> UPPER(k), (k, v) -> v + 1)", "{A=2}"),
            ("TRANSFORM(CAST(NULL AS ARRAY<INT>), x -> x + 1)", "NULL"),
        ],
        ..LAMBDA
    },
    Builtin {
        name: "FILTER",
        aliases: &["ARRAY_FILTER", "LIST_FILTER"],
        doc: "The elements, or entries of a map, for which a condition is TRUE.",
        overloads: &[
            form(&[ARRAY, TEST], ARRAY, LambdaForm::Filter),
            form(&[ARRAY, TEST_AT], ARRAY, LambdaForm::FilterAt),
            form(&[MAP, TEST_ENTRY], MAP, LambdaForm::FilterEntries),
        ],
        examples: &[
            ("FILTER(ARRAY[1, 2, 3, NULL], x -> x > 1)", "[2, 3]"),
            ("FILTER(ARRAY['a', 'b'], (x, i) -> i = 2)", "[b]"),
            ("FILTER(MAP['a', 1, 'b', 2], (k, v) -> v > 1)", "{b=2}"),
            ("FILTER(CAST(NULL AS ARRAY<INT>), x -> TRUE)", "NULL"),
        ],
        ..LAMBDA
    },
    Builtin {
        name: "REDUCE",
        aliases: &["FOLD", "AGGREGATE", "LIST_REDUCE", "ARRAY_REDUCE"],
        doc: "A value carried from element to element: REDUCE(xs, start, (carried, x) -> …).",
        overloads: &[
            form(&[ARRAY, OTHER, P::Lambda(&[OTHER, ANY], &OTHER)], OTHER, LambdaForm::Fold),
            form(
                &[ARRAY, OTHER, P::Lambda(&[OTHER, ANY], &OTHER), P::Lambda(&[OTHER], &RESULT)],
                RESULT,
                LambdaForm::FoldThen,
            ),
            form(
                &[MAP, RESULT, P::Lambda(&[RESULT, ANY, OTHER], &RESULT)],
                RESULT,
                LambdaForm::FoldEntries,
            ),
            form(&[ARRAY, P::Lambda(&[ANY, ANY], &ANY)], ANY, LambdaForm::FoldOwn),
            form(
                &[ARRAY, P::Lambda(&[OTHER, ANY], &OTHER), OTHER],
                OTHER,
                LambdaForm::FoldStartLast,
            ),
        ],
        examples: &[
            ("REDUCE(ARRAY[1, 2, 3], 0, (sum, x) -> sum + x)", "6"),
            ("REDUCE(ARRAY['a', 'b'], '', (s, x) -> s || x, s -> LENGTH(s))", "2"),
            ("REDUCE(MAP['a', 1, 'b', 2], 10, (sum, k, v) -> sum + v)", "13"),
            ("LIST_REDUCE(ARRAY[1, 2, 3], (a, b) -> a * b)", "6"),
            ("REDUCE(CAST(NULL AS ARRAY<INT>), 0, (sum, x) -> sum + x)", "NULL"),
        ],
        ..LAMBDA
    },
    Builtin {
        name: "ANY_MATCH",
        aliases: &["ARRAY_ANY_MATCH"],
        doc: "Whether a condition is TRUE for an element: OR over all of them.",
        overloads: &[form(&[ARRAY, TEST], P::Boolean, LambdaForm::Any)],
        examples: &[
            ("ANY_MATCH(ARRAY[1, 2], x -> x > 1)", "TRUE"),
            ("ANY_MATCH(ARRAY[1, NULL], x -> x > 1)", "NULL"),
        ],
        ..LAMBDA
    },
    Builtin {
        name: "ALL_MATCH",
        aliases: &["ARRAY_ALL_MATCH", "FORALL"],
        doc: "Whether a condition is TRUE for all elements: AND over all of them.",
        overloads: &[form(&[ARRAY, TEST], P::Boolean, LambdaForm::All)],
        examples: &[
            ("ALL_MATCH(ARRAY[1, 2], x -> x > 1)", "FALSE"),
            ("ALL_MATCH(ARRAY[2, NULL], x -> x > 1)", "NULL"),
        ],
        ..LAMBDA
    },
    Builtin {
        name: "NONE_MATCH",
        aliases: &["ARRAY_NONE_MATCH"],
        doc: "Whether a condition is TRUE for no element: NOT ANY_MATCH.",
        overloads: &[form(&[ARRAY, TEST], P::Boolean, LambdaForm::None)],
        examples: &[
            ("NONE_MATCH(ARRAY[1, 2], x -> x > 2)", "TRUE"),
            ("NONE_MATCH(ARRAY[1, NULL], x -> x > 2)", "NULL"),
        ],
        ..LAMBDA
    },
    Builtin {
        name: "ZIP_WITH",
        doc: "What a function makes of the elements of two arrays at each position.",
        overloads: &[form(
            &[ARRAY, P::Array(&OTHER), P::Lambda(&[ANY, OTHER], &RESULT)],
            RESULTS,
            LambdaForm::Zip,
        )],
        examples: &[
            ("ZIP_WITH(ARRAY[1, 2], ARRAY[10, 20], (x, y) -> x + y)", "[11, 22]"),
            ("ZIP_WITH(ARRAY[1, 2], ARRAY[10], (x, y) -> x + y)", "[11, NULL]"),
            ("ZIP_WITH(ARRAY[1], CAST(NULL AS ARRAY<INT>), (x, y) -> x + y)", "NULL"),
        ],
        ..LAMBDA
    },
    Builtin {
        name: "TRANSFORM_KEYS",
        doc: "The map with each key replaced by what a function makes of its entry.",
        overloads: &[form(&[MAP, OF_ENTRY], P::Map(&RESULT, &OTHER), LambdaForm::MapKeys)],
        examples: &[
            ("TRANSFORM_KEYS(MAP['a', 1], (k, v) -> k || CAST(v AS STRING))", "{a1=1}"),
            ("TRANSFORM_KEYS(CAST(NULL AS MAP<STRING, INT>), (k, v) -> k)", "NULL"),
        ],
        ..LAMBDA
    },
    Builtin {
        name: "TRANSFORM_VALUES",
        doc: "The map with each value replaced by what a function makes of its entry.",
        overloads: &[form(&[MAP, OF_ENTRY], P::Map(&ANY, &RESULT), LambdaForm::MapValues)],
        examples: &[
            ("TRANSFORM_VALUES(MAP['a', 1, 'b', 2], (k, v) -> v * 10)", "{a=10, b=20}"),
            ("TRANSFORM_VALUES(CAST(NULL AS MAP<STRING, INT>), (k, v) -> v)", "NULL"),
        ],
        ..LAMBDA
    },
    Builtin {
        name: "MAP_FILTER",
        doc: "The entries of a map for which a condition is TRUE.",
        overloads: &[form(&[MAP, TEST_ENTRY], MAP, LambdaForm::FilterEntries)],
        examples: &[
            ("MAP_FILTER(MAP['a', 1, 'b', 2], (k, v) -> k = 'a')", "{a=1}"),
            ("MAP_FILTER(CAST(NULL AS MAP<STRING, INT>), (k, v) -> TRUE)", "NULL"),
        ],
        ..LAMBDA
    },
];
