//! Nexmark's events against its rules, read by Avro's library.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use flow_stdlib::generated::{BadOption, Generate, Nexmark, nexmark_schema};

/// 2015-07-15, in microseconds.
const FIRST_TIME: i64 = 1_436_918_400_000_000;

fn rules(options: &[(&str, &str)]) -> Result<Nexmark, BadOption> {
    let own = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
    Nexmark::new(&options.iter().map(own).collect())
}

/// The records of the first `count` numbers of a table.
fn records(count: u64, options: &[(&str, &str)]) -> Vec<Vec<u8>> {
    let mut events = rules(options).expect("fine options").events(FIRST_TIME);
    let record = |number| {
        let mut out = Vec::new();
        events.record(number, &mut out).then_some(out)
    };
    (0..count).filter_map(record).collect()
}

fn read(table: Option<&str>, mut bytes: &[u8]) -> Value {
    let schema = flow_schema::parse(nexmark_schema(table)).expect("a schema");
    let reader = GenericDatumReader::builder(&schema).build().expect("names resolve");
    let value = reader.read_value(&mut bytes).expect("its data");
    assert!(bytes.is_empty(), "all is read");
    value
}

fn long(value: &Value, name: &str) -> i64 {
    let Value::Record(fields) = value else { panic!("{value:?} is no record") };
    match fields.iter().find(|(n, _)| n == name) {
        Some((_, Value::Long(n) | Value::LocalTimestampMillis(n))) => *n,
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn of_fifty_events_one_is_a_person_and_three_are_auctions() {
    for (table, count) in [("person", 20), ("auction", 60), ("bid", 920)] {
        let records = records(1_000, &[("table", table)]);
        assert_eq!(records.len(), count, "{table}");
        for record in &records {
            read(Some(table), record);
        }
    }
    for record in records(200, &[]) {
        read(None, &record);
    }
}

#[test]
fn identities_and_times_follow_from_numbers() {
    let auctions = records(100, &[("table", "auction"), ("next-event.rate", "1000")]);
    let auctions: Vec<_> = auctions.iter().map(|r| read(Some("auction"), r)).collect();
    let ids: Vec<i64> = auctions.iter().map(|a| long(a, "id")).collect();
    assert_eq!(ids, [1000, 1001, 1002, 1003, 1004, 1005]);
    let first = FIRST_TIME / 1_000;
    let times: Vec<i64> = auctions.iter().map(|a| long(a, "dateTime") - first).collect();
    assert_eq!(times, [1, 2, 3, 51, 52, 53]);
    for auction in &auctions {
        assert!(long(auction, "expires") > long(auction, "dateTime"));
        assert!(long(auction, "reserve") > long(auction, "initialBid"));
    }
}

#[test]
fn half_of_the_bids_go_to_the_hot_auction() {
    let bids = records(50_000, &[("table", "bid")]);
    let bids: Vec<_> = bids.iter().skip(20_000).map(|r| read(Some("bid"), r)).collect();
    let hot = bids.iter().filter(|b| (long(b, "auction") - 1_000) % 100 == 0).count();
    let share = hot as f64 / bids.len() as f64;
    assert!((0.48..0.54).contains(&share), "{share}");
    let prices = bids.iter().map(|b| long(b, "price"));
    assert!(prices.clone().all(|p| (100..=100_000_000).contains(&p)));
    let cheap = prices.filter(|p| *p < 100_000).count() as f64 / bids.len() as f64;
    assert!((0.48..0.52).contains(&cheap), "{cheap}");
}

#[test]
fn a_seed_makes_other_events_and_a_number_always_the_same() {
    let first = records(500, &[]);
    assert_eq!(first, records(500, &[]));
    assert_ne!(first, records(500, &[("seed", "1")]));
}

#[test]
fn options_of_no_use_are_named() {
    for (name, value) in [
        ("partitions", "0"),
        ("first-event.rate", "5"),
        ("first-event.time", "yesterday"),
        ("bid.avg-size", "2 gb"),
        ("auction.proportion", "0"),
    ] {
        assert_eq!(rules(&[(name, value)]).expect_err("of no use").name, name);
    }
    let rate = [("first-event.rate", "5"), ("next-event.rate", "5")];
    assert_eq!(rules(&rate).expect("steady").numbers.per_second, Some(5));
    let unlimited = [rate[1], ("rate.limited", "false")];
    assert_eq!(rules(&unlimited).expect("fine").numbers.per_second, None);
}
