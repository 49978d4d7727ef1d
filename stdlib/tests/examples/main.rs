//! Runs the examples of every builtin: a small reader of expressions builds the scalar program,
//! the interpreter evaluates it, and the printed value is compared.

mod read;

use flow_ir::types::DataType;
use flow_ir::value::Value;
use flow_stdlib::builder::ScalarBuilder;
use flow_stdlib::builtin::{self, Family, NullRule, Volatility};
use flow_stdlib::interp::eval;
use flow_stdlib::text::format_value;

/// 2026-08-13T12:00:00Z
const CLOCK: i64 = 1_786_622_400_000_000;

/// The printed value of an expression, or the code it fails with.
fn printed(text: &str) -> Result<String, String> {
    let node = read::expression(text)?;
    let mut builder = ScalarBuilder::new(Vec::new());
    let register = (node.build)(&mut builder);
    let program = builder.finish();
    program.verify().map_err(|e| format!("{e} in\n{program}"))?;
    assert_eq!(program.ty(register).data, node.ty.data, "{text}: the type is as resolved");
    match eval(&program, register, &[], CLOCK) {
        Ok(value) => {
            assert!(node.ty.nullable || !value.is_null(), "{text} is NULL but NOT NULL");
            Ok(format_value(&value, &node.ty.data))
        }
        Err(e) => Err(format!("{:?}", e.code)),
    }
}

#[test]
fn every_example_gives_what_it_says() {
    let mut wrong = Vec::new();
    let mut count = 0;
    // Lambdas are the checker's: `tests/suite` runs their examples.
    for builtin in builtin::all().filter(|b| b.family != Family::Lambda) {
        for (expression, want) in builtin.examples {
            count += 1;
            match printed(expression) {
                Ok(got) if got == *want => {}
                got => wrong.push(format!("{}: {expression} = {got:?}, not {want}", builtin.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn there_are_many_functions_and_each_shows_null() {
    assert!(builtin::all().count() >= 300, "{}", builtin::all().count());
    for builtin in builtin::all() {
        let takes_some = builtin.overloads.iter().any(|s| !s.params.is_empty());
        let shows = builtin.examples.iter().any(|(e, r)| e.contains("NULL") || *r == "NULL");
        assert!(shows || !takes_some, "{} has no example with NULL", builtin.name);
    }
}

#[test]
fn strict_builtins_give_null_for_null_in_each_place() {
    let mut checked = 0;
    for builtin in builtin::all() {
        if builtin.nulls != NullRule::Strict || builtin.volatility == Volatility::NonDeterministic {
            continue;
        }
        for (expression, _) in builtin.examples {
            let Ok(read::Call { function, args }) = read::call(expression) else { continue };
            if function.name != builtin.name {
                continue;
            }
            for place in 0..args.len() {
                let node = read::call_with_null(function, &args, place);
                let Ok(node) = node else { continue };
                let mut builder = ScalarBuilder::new(Vec::new());
                let register = (node.build)(&mut builder);
                let value = eval(&builder.finish(), register, &[], CLOCK);
                assert_eq!(value, Ok(Value::Null), "{expression} with NULL at {place}");
                checked += 1;
            }
        }
    }
    assert!(checked > 250, "{checked} places");
}

#[test]
fn failures_have_codes() {
    for (expression, code) in [
        ("1 / 0", "DivisionByZero"),
        ("1 % 0", "DivisionByZero"),
        ("1.5 / 0.0", "DivisionByZero"),
        ("2147483647 + 1", "Overflow"),
        ("ABS(-2147483647 - 1)", "Overflow"),
        ("9223372036854775807 * 2", "Overflow"),
        ("CAST('x' AS INT)", "BadCast"),
        ("CAST(300 AS TINYINT)", "Overflow"),
        ("CAST('2026-02-30' AS DATE)", "BadCast"),
        ("SQRT(-1)", "BadArgument"),
        ("LN(0)", "BadArgument"),
        ("LOG(-1)", "BadArgument"),
        ("ACOS(2)", "BadArgument"),
        ("REPEAT('abcdefgh', 100000000)", "BadArgument"),
        ("LPAD('x', 1000000000)", "BadArgument"),
        ("REGEXP_LIKE('a', '(')", "BadArgument"),
        ("REGEXP_LIKE('a', '((((a{100}){100}){100}){100})')", "BadArgument"),
        ("GENERATE_SERIES(1, 9223372036854775807)", "BadArgument"),
        ("SUBSTRING('a', 1, -1)", "BadArgument"),
        ("SPLIT_PART('a', ',', 0)", "BadArgument"),
        ("JSON_VALUE('{}', 'a')", "BadArgument"),
        ("DATE_FORMAT(DATE '2026-01-01', 'bb')", "BadArgument"),
        ("CAST('9999-12-31 00:00:00' AS TIMESTAMP) AT TIME ZONE 'Nowhere'", "BadArgument"),
        ("TO_TIMESTAMP_LTZ(9223372036854775807, 0)", "Overflow"),
        ("DATE_ADD(DATE '2026-01-01', 2147483647)", "Overflow"),
        ("ROUND(9223372036854775807, -1)", "Overflow"),
        ("ELEMENT(ARRAY[1, 2])", "BadArgument"),
        ("MAP_FROM_ARRAYS(ARRAY[1, 2], ARRAY[1])", "BadArgument"),
        ("CHR(-1)", "BadArgument"),
        ("MAKE_DATE(2026, 13, 1)", "BadArgument"),
    ] {
        assert_eq!(printed(expression), Err(code.to_string()), "{expression}");
    }
}

#[test]
fn more_cases() {
    for (expression, want) in [
        ("1.0e0 / 0", "Infinity"),
        ("CAST(2.5 AS INT)", "3"),
        ("CAST(-2.5 AS INT)", "-3"),
        ("CAST(2.5e0 AS INT)", "2"),
        ("CAST('2026-01-01T00:00:00+02:00' AS TIMESTAMP)", "2025-12-31 22:00:00"),
        ("CAST(0.1e0 + 0.2e0 AS STRING)", "0.30000000000000004"),
        ("CAST(ARRAY[1, NULL] AS STRING)", "[1, NULL]"),
        ("CAST(CAST('x' AS BYTES) AS STRING)", "x"),
        ("SUBSTRING('héllo', 0, 3)", "hé"),
        ("SUBSTRING('hello', 9223372036854775807)", ""),
        ("SUBSTRING('hello', -9223372036854775807, 9223372036854775807)", ""),
        ("LEFT('hello', -9223372036854775807)", ""),
        ("OVERLAY('abc' PLACING 'X' FROM 100)", "abcX"),
        ("LOCATE('', 'abc', 5)", "0"),
        ("LOCATE('', 'abc')", "1"),
        ("'a\nb' LIKE 'a%b'", "TRUE"),
        ("'a.b' LIKE 'a_b'", "TRUE"),
        ("'a%' LIKE 'a\\%'", "TRUE"),
        ("'ab' LIKE 'a\\%'", "FALSE"),
        ("REGEXP_REPLACE('abc', '(b)', '[\\1$1]')", "a[bb]c"),
        ("REGEXP_REPLACE('', 'x*', '-', 'g')", "-"),
        ("ROUND(9.99, 1)", "10.0"),
        ("ROUND(-0.5)", "-1"),
        ("TRUNCATE(1.5, 5)", "1.5"),
        ("ROUND(1234567, -10)", "0"),
        ("ARRAY_SLICE(ARRAY[1, 2, 3], -9223372036854775807, 9223372036854775807)", "[1, 2, 3]"),
        ("GREATEST(1.5e0, CAST('NaN' AS DOUBLE))", "NaN"),
        ("DATE '2026-01-31' + INTERVAL '1' MONTH", "2026-02-28"),
        ("DATE '2026-01-31' + INTERVAL '1' HOUR", "2026-01-31 01:00:00"),
        ("INTERVAL '1' MONTH + INTERVAL '2' DAY", "1 month 2 days"),
        ("CAST('25:00' AS INTERVAL)", "1 day 01:00:00"),
        ("COALESCE(CAST(NULL AS INT), 2) + 1", "3"),
        ("ARRAY[1.5, 2]", "[1.5, 2.0]"),
        ("ARRAY[ARRAY[1], ARRAY[2, 3]][2][1]", "2"),
        ("MAP['b', 1, 'a', 2]", "{a=2, b=1}"),
        ("SPLIT_INDEX('a', ',', -1)", "NULL"),
        ("UNIX_TIMESTAMP()", "1786622400"),
        ("CURRENT_DATE", "2026-08-13"),
        (
            "CAST(CAST('00000000-0000-0000-0000-00000000000A' AS UUID) AS STRING)",
            "00000000-0000-0000-0000-00000000000a",
        ),
    ] {
        assert_eq!(printed(expression).as_deref(), Ok(want), "{expression}");
    }
}

#[test]
fn wrong_types_do_not_resolve() {
    for expression in ["1 + 'a'", "UPPER(1)", "ARRAY_CONTAINS(1, 1)", "1 = 'a'", "LENGTH()"] {
        assert!(read::expression(expression).is_err(), "{expression}");
    }
    assert_eq!(read::expression("1 + 1").map(|n| n.ty.data), Ok(DataType::Int));
}
