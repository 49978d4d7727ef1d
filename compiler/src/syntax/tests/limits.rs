//! Depth, length and size: whatever the input, the parser ends, with a small stack.

use flow_ir::span::FileId;

use crate::diagnostics::Code;
use crate::syntax::{DEPTH_MAX, SOURCE_MAX_BYTES, parse, print};

/// Parses, prints and drops on a thread of 2 MiB, as tests and servers have; gives the codes.
fn codes(text: String) -> Vec<Code> {
    let work = move || {
        let (ast, diagnostics) = parse(FileId(0), &text);
        let printed = print::file(&ast);
        assert_eq!(ast.statements.is_empty(), printed.is_empty());
        diagnostics.iter().map(|d| d.code).collect()
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(work);
    thread.expect("a thread").join().expect("no panic, no overflow")
}

/// Nested texts: what opens a level, what stands inside, what closes a level.
const NESTED: &[(&str, &str, &str)] = &[
    ("(", "1", ")"),
    ("f(", "1", ")"),
    ("ARRAY[", "1", "]"),
    ("(SELECT ", "1", ")"),
    ("((SELECT ", "1", ") + 1)"),
    ("EXISTS (SELECT ", "1", ")"),
    ("CASE WHEN ", "1", " THEN 2 END"),
    ("CAST(", "1", " AS INT)"),
    ("-(", "1", ")"),
    ("NOT (", "1", ")"),
    ("1 IN (", "1", ")"),
    ("1 = ANY (", "1", ")"),
    ("f(x -> ", "1", ")"),
    ("f(a => ", "1", ")"),
    ("TRIM(both FROM ", "1", ")"),
    ("both(", "1", ")"),
    ("both(both - ", "1", ")"),
    ("a[", "1", "]"),
    ("SUBSTRING(", "'a'", " FROM 1)"),
    ("POSITION(", "'a'", " IN ('b'))"),
    ("any(", "1", ")"),
    ("1 BETWEEN (", "1", ") AND 2"),
    ("CAST(a AS ROW<a ", "INT", ">)"),
    ("(a, ", "1", ")"),
    ("COUNT(*) OVER (ORDER BY ", "1", ")"),
];

#[test]
fn deep_nesting_parses_or_is_refused() {
    for (open, inside, close) in NESTED {
        for levels in [10, 100, 200, 400, DEPTH_MAX + 1, 20_000] {
            let nested = format!("{}{inside}{}", open.repeat(levels), close.repeat(levels));
            for text in [format!("SELECT {nested}"), format!("SELECT * FROM t WHERE {nested} = 1")]
            {
                let found = codes(text);
                if levels > DEPTH_MAX {
                    assert_eq!(found, [Code::E0108], "{levels} × {open}");
                }
            }
        }
    }
}

#[test]
fn four_hundred_parentheses_are_fine() {
    let nested = format!("SELECT {}1{}", "(".repeat(400), ")".repeat(400));
    assert_eq!(codes(nested), []);
    let tables = format!("SELECT * FROM {}t{}", "(".repeat(400), ")".repeat(400));
    assert_eq!(codes(tables), []);
    let queries = format!("{}SELECT 1{}", "(".repeat(400), ")".repeat(400));
    assert_eq!(codes(queries), []);
}

#[test]
fn unfinished_nesting_ends_too() {
    for (open, inside, _) in NESTED {
        for levels in [5, 50, 300] {
            let text = format!("SELECT {}{inside} bad bad", open.repeat(levels));
            assert!(!codes(text).is_empty(), "{levels} × {open}");
        }
    }
}

#[test]
fn other_nesting_ends_too() {
    let cases = [
        ("SELECT * FROM ", "(", "t", ")"),
        ("SELECT * FROM ", "(SELECT * FROM ", "t", ") x"),
        ("SELECT * FROM ", "(t JOIN ", "u", " ON a)"),
        ("SELECT * FROM ", "TUMBLE(TABLE (SELECT * FROM ", "t", "), ts, 1)"),
        ("", "(", "SELECT 1", ")"),
        ("", "(SELECT 1 UNION ", "SELECT 1", ")"),
        ("", "WITH a AS (", "SELECT 1", ") SELECT 1"),
        ("SELECT 1 GROUP BY ", "GROUPING SETS (", "a", ")"),
        ("SELECT 1 GROUP BY ", "ROLLUP (", "a", ")"),
        ("CREATE TABLE t (a ", "ARRAY<", "INT", ">)"),
        ("CREATE TABLE t (a ", "MAP<INT, ", "INT", ">"),
        ("CREATE TABLE t (a ", "ROW(a ", "INT", ")"),
        ("SELECT * FROM t MATCH_RECOGNIZE (PATTERN (", "(", "A", ")"),
    ];
    for (start, open, inside, close) in cases {
        for levels in [20, 160, DEPTH_MAX + 1, 5_000] {
            let text = format!("{start}{}{inside}{}", open.repeat(levels), close.repeat(levels));
            let found = codes(text);
            if levels > DEPTH_MAX {
                assert!(found.contains(&Code::E0108), "{levels} × {open}: {found:?}");
            }
        }
    }
}

#[test]
fn chains_are_flat_or_refused() {
    let flat = [(" AND a", 50_000), (" OR a", 50_000), (", a", 20_000)];
    for (link, count) in flat {
        assert_eq!(codes(format!("SELECT a{}", link.repeat(count))), [], "{link}");
    }
    let deep = [" + a", " = a", " || a", " IS NULL", "[1]", "::INT", " LIKE a", " AT TIME ZONE a"];
    for link in deep {
        assert_eq!(codes(format!("SELECT a{}", link.repeat(300))), [], "{link}");
        assert_eq!(codes(format!("SELECT a{}", link.repeat(30_000))), [Code::E0108], "{link}");
    }
    for prefix in ["NOT ", "- ", "+ "] {
        assert_eq!(codes(format!("SELECT {}a", prefix.repeat(300))), [], "{prefix}");
        assert_eq!(codes(format!("SELECT {}a", prefix.repeat(30_000))), [Code::E0108], "{prefix}");
    }
    assert_eq!(codes(format!("SELECT a{}", ".b".repeat(20_000))), []);
    let union = " UNION ALL SELECT 1";
    assert_eq!(codes(format!("SELECT 1{}", union.repeat(300))), []);
    assert_eq!(codes(format!("SELECT 1{}", union.repeat(5_000))), [Code::E0108]);
    assert_eq!(codes(format!("SELECT * FROM a{}", " JOIN b ON c".repeat(5_000))), []);
    assert_eq!(codes(format!("CREATE TABLE t (a INT{})", " ARRAY".repeat(5_000))), [Code::E0108]);
}

#[test]
fn case_cannot_hide_its_depth() {
    let text = format!("SELECT {}1{}", "CASE WHEN end THEN ".repeat(3_000), " END".repeat(3_000));
    let found = codes(text);
    assert!(!found.is_empty());
}

#[test]
fn sources_have_a_largest_size() {
    let text = " ".repeat(SOURCE_MAX_BYTES + 1);
    assert_eq!(codes(text), [Code::E0119]);
}
