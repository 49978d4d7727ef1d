//! The events of the Nexmark benchmark, by its published rules: an auction house whose persons,
//! auctions and bids come in fixed proportions, some of each being hot. The number of an event says
//! its kind, its identity and its time; the rest is random.

use std::collections::BTreeMap;

use super::avro::{put_bytes, put_long};
use super::random::Random;
use super::{BadOption, FirstTime, Generate, Numbers, Options};

/// Event time of the first event, where the options do not say: 2015-07-15, in microseconds.
const FIRST_TIME: i64 = 1_436_918_400_000_000;
/// Events a second of event time, where the options do not say.
const RATE: u64 = 10_000;

const FIRST_ID: u64 = 1_000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;
/// Persons that bid and sell, of the latest.
const ACTIVE_PEOPLE: u64 = 1_000;
/// Identities that are used before they are made.
const ID_LEAD: u64 = 10;
const IN_FLIGHT_AUCTIONS: u64 = 100;
/// One of so many persons or auctions in a row is the hot one.
const HOT_OF: u64 = 100;
const CHANNELS: u64 = 10_000;
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

const FIRST_NAMES: [&str; 11] = [
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter",
];
const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];

macro_rules! person {
    () => {
        r#"{"type":"record","name":"Person","fields":[{"name":"id","type":"long"},
        {"name":"name","type":"string"},{"name":"emailAddress","type":"string"},
        {"name":"creditCard","type":"string"},{"name":"city","type":"string"},
        {"name":"state","type":"string"},
        {"name":"dateTime","type":{"type":"long","logicalType":"local-timestamp-millis"}},
        {"name":"extra","type":"string"}]}"#
    };
}

macro_rules! auction {
    () => {
        r#"{"type":"record","name":"Auction","fields":[{"name":"id","type":"long"},
        {"name":"itemName","type":"string"},{"name":"description","type":"string"},
        {"name":"initialBid","type":"long"},{"name":"reserve","type":"long"},
        {"name":"dateTime","type":{"type":"long","logicalType":"local-timestamp-millis"}},
        {"name":"expires","type":{"type":"long","logicalType":"local-timestamp-millis"}},
        {"name":"seller","type":"long"},{"name":"category","type":"long"},
        {"name":"extra","type":"string"}]}"#
    };
}

macro_rules! bid {
    () => {
        r#"{"type":"record","name":"Bid","fields":[{"name":"auction","type":"long"},
        {"name":"bidder","type":"long"},{"name":"price","type":"long"},
        {"name":"channel","type":"string"},{"name":"url","type":"string"},
        {"name":"dateTime","type":{"type":"long","logicalType":"local-timestamp-millis"}},
        {"name":"extra","type":"string"}]}"#
    };
}

/// The Avro schema of the records: of all kinds, or of the events of one.
pub fn nexmark_schema(table: Option<&str>) -> &'static str {
    match table {
        Some("person") => person!(),
        Some("auction") => auction!(),
        Some("bid") => bid!(),
        Some(_) | None => concat!(
            r#"{"type":"record","name":"Event","fields":[{"name":"event_type","type":"int"},
            {"name":"person","type":["null","#,
            person!(),
            r#"]},{"name":"auction","type":["null","#,
            auction!(),
            r#"]},{"name":"bid","type":["null","#,
            bid!(),
            "]}]}"
        ),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Person,
    Auction,
    Bid,
}

/// The rules, by a stream's options.
#[derive(Clone, Debug, PartialEq)]
pub struct Nexmark {
    /// How events are numbered and paced.
    pub numbers: Numbers,
    /// When the first event happens.
    pub first: FirstTime,
    only: Option<Kind>,
    seed: u64,
    rate: u64,
    persons: u64,
    auctions: u64,
    all: u64,
    hot_auctions: u64,
    hot_bidders: u64,
    hot_sellers: u64,
    person_size: u32,
    auction_size: u32,
    bid_size: u32,
}

impl Nexmark {
    /// The rules that options name.
    ///
    /// # Errors
    /// The first option that is of no use.
    pub fn new(options: &BTreeMap<String, String>) -> Result<Self, BadOption> {
        let options = Options(options);
        let count = |name: &str, otherwise: u64| -> Result<u64, BadOption> {
            Ok(options.number(name, 0..=1_000_000_000)?.unwrap_or(otherwise))
        };
        let ratio = |name: &str, otherwise: u64| -> Result<u64, BadOption> {
            Ok(options.number(name, 1..=1_000_000)?.unwrap_or(otherwise))
        };
        let rate = Some(count("next-event.rate", 0)?).filter(|rate| *rate > 0);
        let first_rate = Some(count("first-event.rate", 0)?).filter(|rate| *rate > 0);
        if first_rate.is_some_and(|first| first != rate.unwrap_or(RATE)) {
            let takes = "the number of 'next-event.rate': rates are steady".to_string();
            return Err(BadOption { name: "first-event.rate".into(), takes });
        }
        let persons = ratio("person.proportion", 1)?;
        let auctions = ratio("auction.proportion", 3)?;
        let bids = count("bid.proportion", 46)?;
        let is_limited = options.flag("rate.limited").unwrap_or(true)
            && !options.flag("max-emit-speed").unwrap_or(false);
        let events = options.number("events.num", 0..=i64::MAX as u64 / 1_000)?;
        Ok(Self {
            numbers: Numbers {
                partitions: options.partitions()?,
                count: events.filter(|events| *events > 0),
                per_second: rate.filter(|_| is_limited),
            },
            first: options.first_time()?.unwrap_or(FirstTime::At(FIRST_TIME)),
            only: match options.text("table") {
                Some("person") => Some(Kind::Person),
                Some("auction") => Some(Kind::Auction),
                Some("bid") => Some(Kind::Bid),
                Some(_) | None => None,
            },
            seed: options.number("seed", 0..=u64::MAX)?.unwrap_or(0),
            rate: rate.unwrap_or(RATE),
            persons,
            auctions,
            all: persons + auctions + bids,
            hot_auctions: ratio("bid.hot-ratio.auctions", 2)?,
            hot_bidders: ratio("bid.hot-ratio.bidders", 4)?,
            hot_sellers: ratio("auction.hot-ratio.sellers", 4)?,
            person_size: options.size("person.avg-size", 200)?,
            auction_size: options.size("auction.avg-size", 500)?,
            bid_size: options.size("bid.avg-size", 100)?,
        })
    }

    /// What makes the events, if the first one happens at this time, in microseconds since 1970.
    pub fn events(self, first_micros: i64) -> impl Generate {
        Events { first_millis: first_micros.div_euclid(1_000), rules: self, text: Vec::new() }
    }

    fn kind(&self, number: u64) -> Kind {
        match number % self.all {
            rest if rest < self.persons => Kind::Person,
            rest if rest < self.persons + self.auctions => Kind::Auction,
            _ => Kind::Bid,
        }
    }

    /// The latest person made up to an event, from 0 on.
    fn last_person(&self, number: u64) -> u64 {
        let (round, rest) = (number / self.all, number % self.all);
        round * self.persons + rest.min(self.persons - 1)
    }

    /// The latest auction made up to an event, from 0 on; none is -1.
    fn last_auction(&self, number: u64) -> i64 {
        let (round, rest) = (number / self.all, number % self.all);
        let in_round = (rest + 1).saturating_sub(self.persons).min(self.auctions);
        (round * self.auctions + in_round) as i64 - 1
    }

    /// Some person that is active when an event happens.
    fn active_person(&self, number: u64, random: &mut Random) -> u64 {
        let people = self.last_person(number) + 1;
        let active = people.min(ACTIVE_PEOPLE);
        people - active + random.below(active + ID_LEAD)
    }

    /// Some auction that is open when an event happens.
    fn open_auction(&self, number: u64, random: &mut Random) -> u64 {
        let last = self.last_auction(number).max(0) as u64;
        let first = last.saturating_sub(IN_FLIGHT_AUCTIONS);
        first + random.below(last - first + 1 + ID_LEAD)
    }
}

struct Events {
    rules: Nexmark,
    first_millis: i64,
    text: Vec<u8>,
}

impl Generate for Events {
    fn record(&mut self, number: u64, out: &mut Vec<u8>) -> bool {
        let kind = self.rules.kind(number);
        match self.rules.only {
            Some(only) if only != kind => return false,
            Some(_) => self.event(kind, number, out),
            None => {
                put_long(kind as i64, out);
                // Each kind is a union of null and its record.
                for other in [Kind::Person, Kind::Auction, Kind::Bid] {
                    put_long(i64::from(other == kind), out);
                    if other == kind {
                        self.event(kind, number, out);
                    }
                }
            }
        }
        true
    }
}

impl Events {
    fn event(&mut self, kind: Kind, number: u64, out: &mut Vec<u8>) {
        let mut random = Random::new(self.rules.seed, number);
        match kind {
            Kind::Person => self.person(number, &mut random, out),
            Kind::Auction => self.auction(number, &mut random, out),
            Kind::Bid => self.bid(number, &mut random, out),
        }
    }

    /// When an event happens, milliseconds since 1970.
    fn time(&self, number: u64) -> i64 {
        let after = u128::from(number) * 1_000 / u128::from(self.rules.rate);
        self.first_millis.saturating_add(after as i64)
    }

    fn person(&mut self, number: u64, random: &mut Random, out: &mut Vec<u8>) {
        put_long((self.rules.last_person(number) + FIRST_ID) as i64, out);
        let start = out.len();
        let name = format!("{} {}", random.one_of(&FIRST_NAMES), random.one_of(&LAST_NAMES));
        put_bytes(name.as_bytes(), out);
        self.text.clear();
        words(7, b' ', random, &mut self.text);
        self.text.push(b'@');
        words(5, b' ', random, &mut self.text);
        self.text.extend_from_slice(b".com");
        put_bytes(&self.text, out);
        let mut four = || random.below(10_000);
        let card = format!("{:04} {:04} {:04} {:04}", four(), four(), four(), four());
        put_bytes(card.as_bytes(), out);
        put_bytes(random.one_of(&CITIES).as_bytes(), out);
        put_bytes(random.one_of(&STATES).as_bytes(), out);
        let size = 8 + (out.len() - start) as u32;
        put_long(self.time(number), out);
        self.extra(size, self.rules.person_size, random, out);
    }

    fn auction(&mut self, number: u64, random: &mut Random, out: &mut Vec<u8>) {
        put_long(self.rules.last_auction(number) + FIRST_ID as i64, out);
        let start = out.len();
        for longest in [20, 100] {
            self.text.clear();
            words(longest, b' ', random, &mut self.text);
            put_bytes(&self.text, out);
        }
        let size = 48 + (out.len() - start) as u32;
        let initial = price(random);
        put_long(initial, out);
        put_long(initial + price(random), out);
        let time = self.time(number);
        put_long(time, out);
        // As long as it takes, on average, until as many auctions are made as may be open.
        let events = IN_FLIGHT_AUCTIONS * self.rules.all / self.rules.auctions;
        let horizon = (self.time(number + events) - time).max(0) as u64;
        put_long(time + 1 + random.below((2 * horizon).max(1)) as i64, out);
        let seller = match random.below(self.rules.hot_sellers) {
            0 => self.rules.active_person(number, random),
            _ => self.rules.last_person(number) / HOT_OF * HOT_OF,
        };
        put_long((seller + FIRST_ID) as i64, out);
        put_long((FIRST_CATEGORY + random.below(CATEGORIES)) as i64, out);
        self.extra(size, self.rules.auction_size, random, out);
    }

    fn bid(&mut self, number: u64, random: &mut Random, out: &mut Vec<u8>) {
        let auction = match random.below(self.rules.hot_auctions) {
            0 => self.rules.open_auction(number, random),
            _ => self.rules.last_auction(number).max(0) as u64 / HOT_OF * HOT_OF,
        };
        put_long((auction + FIRST_ID) as i64, out);
        // The second of them, so that hot bidders are no hot sellers.
        let bidder = match random.below(self.rules.hot_bidders) {
            0 => self.rules.active_person(number, random),
            _ => self.rules.last_person(number) / HOT_OF * HOT_OF + 1,
        };
        put_long((bidder + FIRST_ID) as i64, out);
        put_long(price(random), out);
        self.channel(random, out);
        put_long(self.time(number), out);
        self.extra(32, self.rules.bid_size, random, out);
    }

    /// The channel of a bid and its address, which is the channel's own.
    fn channel(&mut self, random: &mut Random, out: &mut Vec<u8>) {
        let hot = random.below(2) > 0;
        let channel = random.below(if hot { HOT_CHANNELS.len() as u64 } else { CHANNELS });
        if hot {
            put_bytes(HOT_CHANNELS[channel as usize].as_bytes(), out);
        } else {
            put_bytes(format!("channel-{channel}").as_bytes(), out);
        }
        // Numbers that no event has.
        let own = u64::MAX - channel - if hot { CHANNELS } else { 0 };
        let mut random = Random::new(self.rules.seed, own);
        self.text.clear();
        self.text.extend_from_slice(b"https://www.nexmark.com/");
        for _ in 0..3 {
            words(5, b'_', &mut random, &mut self.text);
            self.text.push(b'/');
        }
        self.text.extend_from_slice(b"item.htm?query=1");
        if !hot && random.below(10) > 0 {
            let id = (channel as i32).reverse_bits().unsigned_abs();
            self.text.extend_from_slice(format!("&channel_id={id}").as_bytes());
        }
        put_bytes(&self.text, out);
    }

    /// Letters that make a record about as large as it is to be.
    fn extra(&mut self, size: u32, average: u32, random: &mut Random, out: &mut Vec<u8>) {
        let wanted = average.saturating_sub(size);
        let delta = (wanted + 2) / 5;
        let more = if delta == 0 { 0 } else { random.below(2 * u64::from(delta)) as u32 };
        let length = (wanted - delta + more) as usize;
        put_long(length as i64, out);
        letters(length, random, out);
    }
}

/// From 1 to 1,000,000, as many of each order of magnitude, in cents.
fn price(random: &mut Random) -> i64 {
    (10f64.powf(random.unit() * 6.0) * 100.0).round() as i64
}

/// At least three and less than `longest` letters; for one of thirteen stands `gap`. Blanks at
/// either end are left out.
fn words(longest: u64, gap: u8, random: &mut Random, out: &mut Vec<u8>) {
    let start = out.len();
    let length = 3 + random.below(longest - 3);
    let mut word = 0;
    for i in 0..length {
        if i % 8 == 0 {
            word = random.word();
        }
        let byte = (word & 0xff) as u32;
        word >>= 8;
        // 338 is 13 · 26.
        let which = byte * 338 / 256;
        out.push(if which % 13 == 0 { gap } else { b'a' + (which / 13) as u8 });
    }
    if gap == b' ' {
        let blanks = out[start..].iter().take_while(|byte| **byte == gap).count();
        out.drain(start..start + blanks);
        let end = start + out[start..].trim_ascii_end().len();
        out.truncate(end);
    }
}

/// So many letters; twelve of them a random word.
fn letters(count: usize, random: &mut Random, out: &mut Vec<u8>) {
    let end = out.len() + count;
    while out.len() < end {
        let mut word = random.word();
        for _ in 0..(end - out.len()).min(12) {
            out.push(b'a' + (word % 26) as u8);
            word /= 26;
        }
    }
}
