//! What stands at a cursor and what can come there: a program with `|` where the cursor is, and
//! what is said of it.

use std::collections::BTreeMap;

use flow::ide::{self, Analysis, Completions, Program, Symbol};
use flow_compiler::check::CheckOptions;
use flow_compiler::check::catalog::MemoryCatalog;
use flow_compiler::source::SourceMap;
use flow_ir::span::FileId;

/// Streams that most programs here read.
const STREAMS: &str = "\
CREATE STREAM orders (
  id BIGINT, customer STRING, amount DECIMAL(10, 2), address ROW<street STRING, city STRING>,
  `order` INT, at TIMESTAMP_LTZ(3), WATERMARK FOR at AS at
) WITH ('connector' = 'file', 'path' = 'orders.jsonl', 'format' = 'json');
CREATE TABLE customers (id STRING PRIMARY KEY NOT ENFORCED, name STRING, since DATE)
WITH ('connector' = 'kafka', 'format' = 'json', 'key.format' = 'raw');
CREATE VIEW big AS SELECT id, amount * 2 AS twice FROM orders WHERE amount > 100;
";

const FILE: FileId = FileId(0);

struct Case {
    sources: SourceMap,
    offset: usize,
    catalog: MemoryCatalog,
    options: CheckOptions,
}

impl Case {
    /// A program; the cursor is at `|`, which is taken out.
    fn alone(text: &str) -> Self {
        let offset = text.find('|').expect("the text has a cursor");
        let mut sources = SourceMap::new();
        sources.add("test.flow", text.replacen('|', "", 1));
        let sale = r#"{"type": "record", "name": "Sale", "fields": [
            {"name": "id", "type": "long"}, {"name": "total", "type": "double"}]}"#;
        let subjects = BTreeMap::from([("sales-value".to_string(), sale.to_string())]);
        let (catalog, options) = (MemoryCatalog { subjects }, CheckOptions::default());
        Self { sources, offset, catalog, options }
    }

    /// A program behind `STREAMS`.
    fn new(text: &str) -> Self {
        Self::alone(&format!("{STREAMS}{text}"))
    }

    fn program(&self) -> Program<'_> {
        Program { sources: &self.sources, catalog: &self.catalog, options: &self.options }
    }

    fn analysis(&self) -> Analysis {
        self.program().analyse()
    }

    fn complete(&self) -> Completions {
        ide::complete(&self.program(), FILE, self.offset)
    }

    fn hover(&self) -> String {
        let hover = ide::hover(&self.sources, &self.analysis(), FILE, self.offset);
        hover.map_or(String::new(), |hover| hover.markdown)
    }

    /// The text where the name is declared and its line, from 1.
    fn declaration(&self) -> Option<(String, usize)> {
        let span = ide::declaration(&self.analysis(), FILE, self.offset)?;
        let line = self.sources.get(FILE)?.line_column(span.start).line;
        Some((self.sources.text(span).to_string(), line))
    }
}

fn labels(text: &str) -> Vec<String> {
    Case::new(text).complete().items.into_iter().map(|item| item.label).collect()
}

#[track_caller]
fn offers(text: &str, wanted: &[&str], unwanted: &[&str]) {
    let found = labels(text);
    for word in wanted {
        assert!(found.iter().any(|l| l == word), "{text}: no {word} in {found:?}");
    }
    for word in unwanted {
        assert!(!found.iter().any(|l| l == word), "{text}: {word} in {found:?}");
    }
}

#[track_caller]
fn offers_exactly(text: &str, wanted: &[&str]) {
    assert_eq!(labels(text), wanted, "{text}");
}

/// What the completion of a label puts in the text.
#[track_caller]
fn inserts(text: &str, label: &str) -> String {
    let found = Case::new(text).complete();
    let item = found.items.into_iter().find(|item| item.label == label);
    item.unwrap_or_else(|| panic!("{text}: no {label}")).insert
}

#[test]
fn keywords_are_those_that_the_grammar_takes() {
    offers("|", &["CREATE", "INSERT", "SELECT", "SET"], &["WHERE", "STREAM"]);
    offers("CREATE |", &["STREAM", "TABLE", "VIEW", "MATERIALIZED"], &["SELECT"]);
    offers("SELECT id FROM orders |", &["WHERE", "GROUP", "JOIN"], &["SET", "VALUES"]);
    offers_exactly("SELECT id FROM orders GROUP |", &["BY"]);
    offers("INSERT |", &["INTO"], &["SELECT"]);
    offers("SELECT id FROM orders WHERE id IS |", &["NULL", "NOT", "DISTINCT"], &["FROM"]);
}

#[test]
fn what_is_typed_narrows_and_gives_its_case() {
    offers_exactly("SELECT id FROM orders whe|", &["WHERE"]);
    assert_eq!(inserts("SELECT id FROM orders whe|", "WHERE"), "where");
    assert_eq!(inserts("SELECT id FROM orders WHE|", "WHERE"), "WHERE");
    assert_eq!(inserts("SELECT sum|(id) FROM orders", "SUM"), "sum");
}

#[test]
fn the_word_around_the_cursor_is_replaced() {
    let case = Case::new("SELECT am|ou FROM orders");
    let found = case.complete();
    let text = case.sources.get(FILE).expect("the file").text();
    assert_eq!(&text[found.replace], "amou");
    assert_eq!(found.items.first().map(|item| item.label.as_str()), Some("amount"));
}

#[test]
fn columns_come_from_what_from_brings_into_scope() {
    offers("SELECT | FROM orders", &["id", "customer", "amount", "COUNT"], &["name", "twice"]);
    offers("SELECT id FROM orders WHERE |", &["amount", "UPPER", "NOT"], &["since"]);
    offers("SELECT id FROM big WHERE |", &["id", "twice"], &["amount", "at"]);
    offers("SELECT id, | FROM orders;", &["amount"], &[]);
    offers(
        "SELECT o.id FROM orders AS o JOIN customers AS c ON |",
        &["customer", "name", "o", "c"],
        &["orders"],
    );
    offers(
        "SELECT | FROM TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '1' MINUTE)",
        &["window_start", "window_end", "amount"],
        &[],
    );
}

#[test]
fn columns_behind_a_name_are_that_relations() {
    let wanted = ["id", "customer", "amount", "address", "order", "at"];
    offers_exactly("SELECT o.| FROM orders AS o", &wanted);
    offers_exactly("SELECT SUM(o.| FROM orders AS o", &wanted);
    offers_exactly(
        "SELECT o.id FROM orders AS o JOIN customers c ON o.id = c.|",
        &["id", "name", "since"],
    );
    offers_exactly("SELECT o.address.| FROM orders AS o", &["street", "city"]);
    offers_exactly("SELECT address.c| FROM orders", &["city"]);
    offers_exactly("SELECT nobody.| FROM orders", &[]);
}

#[test]
fn half_written_statements_have_a_scope_too() {
    offers("SELECT CASE WHEN | FROM orders", &["amount"], &["name"]);
    offers("SELECT id FROM orders WHERE amount BETWEEN |", &["amount"], &[]);
    offers("SELECT id FROM (SELECT | FROM customers) AS x", &["since"], &["amount"]);
    offers("SELECT COALESCE(a|, FROM orders", &["amount", "at", "address"], &["id"]);
    offers("SELECT id FROM orders WHERE id IN (1, 2) AND |", &["amount"], &[]);
    offers("SELECT o.|\nINSERT INTO x SELECT * FROM orders", &[], &["CREATE"]);
}

#[test]
fn an_ambiguous_or_odd_name_is_written_so_that_it_works() {
    let joined = "SELECT | FROM orders JOIN customers ON customer = customers.id";
    assert_eq!(inserts(joined, "id"), "orders.id");
    assert_eq!(inserts(joined, "name"), "name");
    assert_eq!(inserts("SELECT | FROM orders", "order"), "`order`");
    assert_eq!(inserts("SELECT o.| FROM orders o", "order"), "`order`");
}

#[test]
fn relations_stand_in_from_and_where_else_one_is_named() {
    let all = ["orders", "customers", "big"];
    offers("SELECT id FROM |", &all, &["amount"]);
    offers("SELECT id FROM |", &["TUMBLE", "HOP"], &["UPPER"]);
    offers("SELECT o.id FROM orders AS o JOIN |", &all, &[]);
    offers("WITH recent AS (SELECT id FROM orders) SELECT id FROM |", &["recent", "big"], &[]);
    offers("WITH recent AS (SELECT id FROM orders) SELECT | FROM recent", &["id"], &["amount"]);
    offers("INSERT INTO |", &["orders", "customers"], &["big"]);
    offers("DROP VIEW |", &["big"], &["orders"]);
    offers("CREATE STREAM |", &["IF"], &["orders", "big"]);
}

#[test]
fn lists_of_columns_are_of_the_right_relation() {
    offers("INSERT INTO customers (|", &["id", "name", "since"], &["amount"]);
    offers("INSERT INTO customers (id, |", &["name"], &["amount"]);
    offers("SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(|", &["at"], &["amount", "since"]);
    let own = "CREATE TABLE own (a INT, b TIMESTAMP(3), ";
    offers(&format!("{own} PRIMARY KEY (|"), &["a", "b"], &["amount"]);
    offers(&format!("{own} WATERMARK FOR |"), &["a", "b"], &["amount"]);
    offers(&format!("{own} WATERMARK FOR b AS |"), &["a", "b"], &["amount"]);
}

#[test]
fn types_stand_where_types_stand() {
    offers("CREATE STREAM s (a |", &["BIGINT", "DECIMAL", "ARRAY"], &["orders"]);
    offers("SELECT CAST(id AS | FROM orders", &["STRING", "TIMESTAMP"], &["amount"]);
    offers("SELECT id::| FROM orders", &["STRING"], &["amount"]);
}

#[test]
fn options_and_their_values() {
    offers("CREATE STREAM s (a INT) WITH (|", &["connector", "format"], &["path", "BIGINT"]);
    let file = "CREATE STREAM s (a INT) WITH ('connector' = 'file', ";
    offers(&format!("{file}|"), &["path", "format"], &["connector", "topic"]);
    offers(&format!("{file}'pa|"), &["path"], &["format"]);
    assert_eq!(inserts(&format!("{file}|"), "path"), "'path' = ");
    assert_eq!(inserts(&format!("{file}'pa|' = 'x')"), "path"), "'path'");
    offers("CREATE STREAM s WITH ('connector' = |", &["kafka", "file"], &["case"]);
    offers("CREATE STREAM s WITH ('connector' = 'k|", &["kafka"], &["file"]);
    assert_eq!(inserts("CREATE STREAM s WITH (connector = |", "kafka"), "'kafka'");
    offers("CREATE STREAM s WITH ('format' = '|')", &["json", "avro"], &["kafka"]);
    let mode = "CREATE STREAM s WITH ('connector' = 'kafka', 'scan.startup.mode' = '|";
    offers(mode, &["earliest-offset", "latest-offset"], &[]);
    offers("CREATE STREAM s WITH (| , 'connector' = 'kafka')", &["topic"], &["connector"]);
    offers("SET |", &["commit.interval", "error.policy"], &["path"]);
    offers("SET 'error.policy' = '|", &["fail", "skip"], &[]);
    offers("CREATE STREAM s (t TIMESTAMP(3) METADATA FROM '|", &["timestamp", "offset"], &[]);
}

#[test]
fn functions_come_with_signature_and_documentation() {
    let found = Case::new("SELECT up| FROM orders").complete();
    let upper = found.items.iter().find(|item| item.label == "UPPER").expect("UPPER");
    assert!(upper.detail.starts_with("UPPER(STRING)"), "{}", upper.detail);
    assert!(upper.doc.contains("Example:"), "{}", upper.doc);
    assert!(upper.takes_arguments);
    let found = Case::new("SELECT CURRENT_TIMES| FROM orders").complete();
    let clock = found.items.iter().find(|item| item.label == "CURRENT_TIMESTAMP");
    assert!(clock.is_some_and(|item| !item.takes_arguments));
}

#[test]
fn a_call_tells_its_signature_and_argument() {
    let at = |text: &str| {
        let case = Case::new(text);
        let text = case.sources.get(FILE).expect("the file").text();
        ide::call(text, case.offset).map(|call| (call.signatures[0].clone(), call.argument))
    };
    let (signature, argument) = at("SELECT SUBSTRING(customer, |").expect("a call");
    assert!(signature.starts_with("SUBSTRING(STRING"), "{signature}");
    assert_eq!(argument, 1);
    assert_eq!(at("SELECT SUBSTRING(|)").map(|(_, at)| at), Some(0));
    assert_eq!(at("SELECT SUBSTRING(UPPER(a, b), (1 + |").map(|(_, at)| at), Some(1));
    assert_eq!(at("SELECT SUBSTRING(a, 1)|"), None);
    assert_eq!(at("SELECT nobody(|"), None);
    assert_eq!(at("SELECT 1 + (2, |"), None, "an operator is no function");
}

#[test]
fn nothing_comes_in_comments_strings_and_inside_characters() {
    offers_exactly("-- SELECT |", &[]);
    offers_exactly("/* a; b | c */ SELECT 1", &[]);
    offers_exactly("SELECT 'or|' FROM orders", &[]);
    offers("/* a - b */ |", &["SELECT"], &[]);
    let mut case = Case::new("SELECT '|é' FROM orders");
    case.offset += 1;
    assert_eq!(case.complete(), Completions::default());
    case.offset = 1 << 40;
    assert_eq!(case.complete(), Completions::default());
}

#[test]
fn every_position_of_a_program_can_be_asked_about() {
    let text = "SELECT o.id, 'é' || UPPER(customer) FROM orders AS o WHERE amount > 1 -- ü\n;";
    for offset in 0..=text.len() {
        if !text.is_char_boundary(offset) {
            continue;
        }
        let (before, after) = text.split_at(offset);
        let whole = Case::new(&format!("{before}|{after}"));
        let (_, _) = (whole.complete(), whole.hover());
        let cut = Case::new(&format!("{before}|"));
        assert!(cut.complete().replace.end <= STREAMS.len() + offset, "{before}");
    }
}

#[test]
fn hover_tells_what_a_name_is() {
    let relation = Case::new("SELECT id FROM ord|ers").hover();
    assert!(relation.contains("stream orders\n  id BIGINT"), "{relation}");
    assert!(relation.contains("at TIMESTAMP_LTZ(3)  -- event time"), "{relation}");
    let alias = Case::new("SELECT |o.id FROM orders AS o").hover();
    assert!(alias.contains("in FROM o"), "{alias}");
    let column = Case::new("SELECT o.amou|nt FROM orders AS o").hover();
    assert!(column.contains("o.amount DECIMAL(10, 2)"), "{column}");
    let view = Case::new("SELECT twi|ce FROM big").hover();
    assert!(view.contains("big.twice"), "{view}");
    let declared = Case::alone(&STREAMS.replacen("VIEW big", "VIEW b|ig", 1)).hover();
    assert!(declared.contains("view big\n  id BIGINT"), "{declared}");
    let target =
        Case::new("INSERT INTO custo|mers (id, name, since) SELECT 'a', 'b', NULL").hover();
    assert!(target.contains("table customers"), "{target}");
}

#[test]
fn functions_of_the_program_are_known() {
    const OWN: &str = "CREATE FUNCTION net(amount DECIMAL(10, 2)) RETURNS DECIMAL(10, 2)
      AS amount / 1.19;\n";
    offers(&format!("{OWN}SELECT ne| FROM orders"), &["net"], &[]);
    let called = format!("{OWN}SELECT ne|t(amount) FROM orders");
    let hover = Case::new(&called).hover();
    assert!(hover.contains("net(amount DECIMAL(10, 2))"), "{hover}");
    assert_eq!(Case::new(&called).declaration(), Some(("net".to_string(), 8)));
}

#[test]
fn hover_tells_types_functions_and_options() {
    let sum = Case::new("SELECT id + |1 FROM orders").hover();
    assert!(sum.contains("1 : "), "{sum}");
    let whole = Case::new("SELECT (id |+ 1) FROM orders").hover();
    assert!(whole.contains("id + 1 : BIGINT"), "{whole}");
    let field = Case::new("SELECT o.address.ci|ty FROM orders o").hover();
    assert!(field.contains("city : STRING"), "{field}");
    let function = Case::new("SELECT UPP|ER(customer) FROM orders").hover();
    assert!(function.contains("UPPER(STRING)") && function.contains("Example"), "{function}");
    let aggregate = Case::new("SELECT SU|M(amount) FROM orders").hover();
    assert!(aggregate.contains("SUM(") && aggregate.contains("over x ="), "{aggregate}");
    let window = "SELECT * FROM TUM|BLE(TABLE orders, DESCRIPTOR(at), INTERVAL '1' MINUTE)";
    assert!(Case::new(window).hover().contains("window_start"));
    let key = Case::new("CREATE STREAM s (a INT) WITH ('connector' = 'file', 'pa|th' = 'x')");
    assert!(key.hover().contains("**path** (text, required)"), "{}", key.hover());
    let bare = Case::new("CREATE STREAM s WITH (connector = 'kafka', scan.startup.m|ode = 'x')");
    assert!(bare.hover().contains("earliest-offset"), "{}", bare.hover());
    assert!(Case::new("SET 'commit.inter|val' = '1 s'").hover().contains("epoch"));
    assert_eq!(Case::new("SELECT id FROM orders -- UPP|ER(x)").hover(), "");
}

#[test]
fn columns_of_a_registry_are_known() {
    let text = "CREATE STREAM sales WITH ('connector' = 'kafka', 'format' = 'avro');\n";
    let hover = Case::alone(&text.replacen("sales", "sa|les", 1)).hover();
    assert!(hover.contains("total DOUBLE"), "{hover}");
    let case = Case::alone(&format!("{text}SELECT tot| FROM sales;"));
    let found: Vec<_> = case.complete().items.into_iter().map(|item| item.label).collect();
    assert_eq!(found, ["total"]);
}

#[test]
fn names_lead_to_their_declarations() {
    let at = |text: &str| Case::new(text).declaration();
    let found = |name: &str, line| Some((name.to_string(), line));
    assert_eq!(at("SELECT id FROM ord|ers"), found("orders", 1));
    assert_eq!(at("SELECT id FROM b|ig"), found("big", 7));
    assert_eq!(at("SELECT amou|nt FROM orders"), found("amount", 2));
    assert_eq!(at("SELECT o.amou|nt FROM orders AS o"), found("amount", 2));
    assert_eq!(at("SELECT twi|ce FROM big"), found("twice", 7));
    assert_eq!(at("SELECT |o.id FROM orders AS o"), found("o", 8));
    assert_eq!(at("SELECT ord|ers.id FROM orders"), found("orders", 1));
    assert_eq!(at("WITH r AS (SELECT id AS x FROM orders) SELECT x| FROM r"), found("x", 8));
    assert_eq!(at("WITH r AS (SELECT id FROM orders)\nSELECT id FROM r|"), found("r", 8));
    assert_eq!(at("INSERT INTO custo|mers SELECT 'a', 'b', NULL"), found("customers", 5));
    assert_eq!(at("SELECT UPP|ER(customer) FROM orders"), None);
    assert_eq!(at("SELECT nob|ody FROM orders"), None);
}

#[test]
fn the_outline_lists_what_is_declared_and_runs() {
    let case = Case::new("|INSERT INTO orders SELECT * FROM big;\nSELECT 1 FROM big;");
    let symbols = ide::symbols(&case.analysis(), FILE);
    let names: Vec<&str> = symbols.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["orders", "customers", "big", "INSERT INTO orders", "SELECT"]);
    let columns: Vec<&str> = symbols[1].children.iter().map(|s: &Symbol| s.name.as_str()).collect();
    assert_eq!(columns, ["id", "name", "since"]);
    for symbol in &symbols {
        assert!(symbol.span.start <= symbol.named.start && symbol.named.end <= symbol.span.end);
    }
}
