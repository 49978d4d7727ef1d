//! A bounded number of each check, by bytes that follow from a fixed seed. PROPTEST_CASES and
//! PROPTEST_RNG_SEED ask for more and for others. And the generators make everything there is.

use std::cell::RefCell;

use flow_engines::{check, on_deep_stack};
use flow_stdlib::host;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

/// The seed of what `./test` runs.
const SEED: u64 = 20_260_813;
/// Bytes of a case at most.
const BYTES_MAX: usize = 3_000;
/// Cases of which one at least must have each operation.
const SHOWN: u32 = 12_000;

fn run(config: Config, test: impl Fn(&[u8]) -> Result<(), String>) {
    let config = Config { failure_persistence: None, ..config };
    let ran = TestRunner::new(config)
        .run(&vec(any::<u8>(), 0..BYTES_MAX), |bytes| test(&bytes).map_err(TestCaseError::fail));
    ran.unwrap_or_else(|why| panic!("{why}"));
}

fn hold(name: &str, cases: u32) {
    let given = |variable| std::env::var_os(variable).is_some();
    let mut config = Config::default();
    if !given("PROPTEST_CASES") {
        config.cases = cases;
    }
    if !given("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    on_deep_stack(|| run(config, check(name).hold));
}

/// The words that are in the text of no case.
fn never_made<'w>(name: &str, words: impl IntoIterator<Item = &'w str>) -> Vec<&'w str> {
    let all = on_deep_stack(|| {
        let all = RefCell::new(String::new());
        let config = Config { cases: SHOWN, rng_seed: RngSeed::Fixed(SEED), ..Config::default() };
        run(config, |bytes| {
            all.borrow_mut().push_str(&(check(name).show)(bytes)?);
            Ok(())
        });
        all.into_inner()
    });
    words.into_iter().filter(|word| !all.contains(word)).collect()
}

#[test]
fn scalar_programs() {
    hold("scalar", 2_000);
}

#[test]
fn decode_plans() {
    hold("decode", 2_000);
}

#[test]
fn encode_plans() {
    hold("encode", 2_000);
}

#[test]
fn envelopes() {
    hold("envelope", 4_000);
}

#[test]
fn update_programs() {
    hold("update", 4_000);
}

#[test]
fn programs_have_every_operation_and_call_every_function() {
    let mut words: Vec<String> = [
        "column",
        "const",
        "clock",
        "and",
        "or",
        "not",
        "is_null",
        "select",
        "add",
        "sub",
        "mul",
        "div",
        "rem",
        "neg",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "cast",
        "try_cast",
        "reinterpret",
        "field[1]",
        "element",
        "row",
        "array",
        "map_each",
        "filter_each",
        "fold_each",
    ]
    .iter()
    .map(|name| format!(" = {name}"))
    .collect();
    words.extend(["where r".to_string(), " if r".to_string()]);
    let calls = host::functions().filter(|f| f.pure).map(|f| format!("host {} ", f.name));
    words.extend(calls);
    let lacking = never_made("scalar", words.iter().map(String::as_str));
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[test]
fn decode_plans_have_every_step() {
    const WORDS: [&str; 63] = [
        "key: unread",
        "key: avro",
        "key: json",
        "key: raw",
        "key: csv",
        "rows go",
        "rows of keys [",
        "value: avro",
        "value: json",
        "value: raw",
        "value: csv",
        " (c",
        ": peek",
        "= default",
        ": skip",
        " varints(",
        " strings(",
        " bytes(",
        " blocks(",
        " union( ",
        " recursive(",
        "= null",
        "= row",
        "= union",
        "array of row",
        "map of row",
        "array of union",
        "refuse ",
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "bytes",
        "string",
        "fixed(",
        "enum(",
        "decimal(fixed",
        "decimal(bytes",
        "uuid text",
        "uuid fixed",
        "uuid bytes",
        "date",
        "time-millis",
        "time-micros",
        "timestamp-millis",
        "timestamp-micros",
        "timestamp-nanos",
        "duration",
        "TIMESTAMP(3)",
        "TIMESTAMP_LTZ(6)",
        "members",
        "from timestamp",
        "from topic",
        "from partition",
        "from offset",
        "from headers",
        "from batch position",
        "from tombstone",
        "from watermark",
        "recursive 0:",
        "aliases",
        "reader {",
    ];
    let lacking = never_made("decode", WORDS);
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[test]
fn encode_plans_have_every_writer() {
    const WORDS: [&str; 35] = [
        "\nempty",
        "\nraw c",
        "\njson Iso",
        "\njson Millis",
        "\ncsv ",
        "\navro",
        "prefix",
        "constant",
        "union(null Some(0), 1)",
        "union(null Some(1), 0)",
        "union(null None)\n",
        "union(null Some(2))\n",
        "array of record",
        "map of union",
        "record\n",
        " boolean\n",
        " int\n",
        " long\n",
        " float\n",
        " double\n",
        " bytes\n",
        " string\n",
        " fixed(",
        " enum(",
        " decimal(fixed",
        " decimal(bytes",
        " uuid text\n",
        " uuid fixed\n",
        " uuid bytes\n",
        " date\n",
        " time-millis\n",
        " time-micros\n",
        " timestamp-millis\n",
        " timestamp-micros\n",
        " timestamp-nanos\n",
    ];
    let lacking = never_made("encode", WORDS.into_iter().chain([" duration\n"]));
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[test]
fn envelopes_have_every_field() {
    const WORDS: [&str; 8] = [
        "json, nested true",
        "json, nested false",
        "Skip([",
        "Before { branches: [Some(",
        "After { branches: [None, Some(",
        "Op { branch: None }",
        "Op { branch: Some(",
        "recursive: [[",
    ];
    let lacking = never_made("envelope", WORDS);
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[test]
fn update_programs_have_every_update() {
    const WORDS: [&str; 23] = [
        " is there",
        " += weight",
        " += c1\n",
        " += wide c2",
        " += c1 * weight",
        " += long c1:c2",
        " += long c2 * weight",
        " &= c",
        " |= c",
        " ^= c",
        " = least of a",
        " = greatest of a",
        ", Signed",
        ", Float",
        ", Wide",
        ", Unsigned",
        ", Interval",
        " is not null",
        " if c0",
        " if not c0",
        " and c0",
        "weight > 0",
        "weight is odd",
    ];
    let lacking = never_made("update", WORDS);
    assert!(lacking.is_empty(), "{lacking:?}");
}
