//! The Nexmark benchmark's events: an auction house's persons, auctions and bids, as Avro records.
//!
//! * Of 50 events the first is a person, the next three are auctions, the rest bids.
//! * An event is a function of the seed and its number alone: a shorter stream is the beginning of
//!   a longer one.
//! * Half of the bids go to the newest auction whose id is a multiple of 100, and three of four
//!   come from one bidder of each 100, so keys are as skewed as the benchmark wants them. Other
//!   bids choose among recent ids.
//!
//! The rules are those of Tucker, Tufte, Papadimos, Maier: NEXMark, a benchmark for queries over
//! data streams (2002), with the proportions that Apache Beam's generator made common. Prices are
//! drawn as integers, so that every machine makes the same bytes.

/// Events of which the kinds have fixed numbers.
const PROPORTION: u64 = 50;
/// Auctions of these.
const AUCTIONS: u64 = 3;
/// The first id of persons, and of auctions.
const FIRST_ID: u64 = 1_000;
/// One id of so many is chosen by most.
const HOT_EVERY: u64 = 100;
/// Persons that act at a time, and auctions that are open at a time.
const ACTIVE_PERSONS: u64 = 1_000;
const OPEN_AUCTIONS: u64 = 100;
/// Bids may name an auction, or a bidder, that comes later by so many at most.
const LEAD: u64 = 10;

const CHANNELS: [&str; 4] = ["apple", "google", "facebook", "baidu"];
const FIRST_NAMES: [&str; 6] = ["peter", "paul", "luke", "john", "saul", "vicky"];
const LAST_NAMES: [&str; 6] = ["shultz", "abrams", "spencer", "white", "bartels", "walton"];
const CITIES: [(&str, &str); 6] = [
    ("phoenix", "az"),
    ("los angeles", "ca"),
    ("boise", "id"),
    ("portland", "or"),
    ("seattle", "wa"),
    ("cheyenne", "wy"),
];

/// What an event is about; its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Person,
    Auction,
    Bid,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Person, Kind::Auction, Kind::Bid];

    /// The topic's name.
    pub(crate) fn topic(self) -> &'static str {
        match self {
            Kind::Person => "person",
            Kind::Auction => "auction",
            Kind::Bid => "bid",
        }
    }

    /// The Avro schema of its records.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Kind::Person => {
                r#"{"type":"record","name":"Person","namespace":"nexmark","fields":[
                {"name":"id","type":"long"},{"name":"name","type":"string"},
                {"name":"emailAddress","type":"string"},{"name":"creditCard","type":"string"},
                {"name":"city","type":"string"},{"name":"state","type":"string"},
                {"name":"dateTime","type":{"type":"long","logicalType":"timestamp-millis"}},
                {"name":"extra","type":"string"}]}"#
            }
            Kind::Auction => {
                r#"{"type":"record","name":"Auction","namespace":"nexmark","fields":[
                {"name":"id","type":"long"},{"name":"itemName","type":"string"},
                {"name":"description","type":"string"},{"name":"initialBid","type":"long"},
                {"name":"reserve","type":"long"},
                {"name":"dateTime","type":{"type":"long","logicalType":"timestamp-millis"}},
                {"name":"expires","type":{"type":"long","logicalType":"timestamp-millis"}},
                {"name":"seller","type":"long"},{"name":"category","type":"long"},
                {"name":"extra","type":"string"}]}"#
            }
            Kind::Bid => {
                r#"{"type":"record","name":"Bid","namespace":"nexmark","fields":[
                {"name":"auction","type":"long"},{"name":"bidder","type":"long"},
                {"name":"price","type":"long"},{"name":"channel","type":"string"},
                {"name":"url","type":"string"},
                {"name":"dateTime","type":{"type":"long","logicalType":"timestamp-millis"}},
                {"name":"extra","type":"string"}]}"#
            }
        }
    }
}

/// What is known of an event besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    /// The person's or auction's id; a bid's auction.
    pub(crate) key: u64,
    /// Event time, milliseconds since 1970.
    pub(crate) time: u64,
}

/// A stream of events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nexmark {
    pub(crate) seed: u64,
    /// Event time of the first event, milliseconds since 1970.
    pub(crate) begin: u64,
    /// Events a second of event time; at least 1.
    pub(crate) rate: u64,
}

impl Nexmark {
    /// Appends the Avro bytes of event `number` to `out`.
    pub(crate) fn write(&self, number: u64, out: &mut Vec<u8>) -> Event {
        let mut writer = Writer { random: Random::new(self.seed, number), out };
        let time = self.begin + number * 1_000 / self.rate;
        let group = number / PROPORTION;
        let (kind, key) = match number % PROPORTION {
            0 => (Kind::Person, writer.person(FIRST_ID + group, time)),
            place if place <= AUCTIONS => {
                let id = FIRST_ID + group * AUCTIONS + place - 1;
                let span = (HOT_EVERY * PROPORTION * 1_000 / AUCTIONS / self.rate).max(1);
                (Kind::Auction, writer.auction(id, group, time, span))
            }
            _ => (Kind::Bid, writer.bid(group, time)),
        };
        Event { kind, key, time }
    }
}

/// Writes the fields of one event.
struct Writer<'a> {
    random: Random,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn person(&mut self, id: u64, time: u64) -> u64 {
        let (first, last) = (self.random.of(&FIRST_NAMES), self.random.of(&LAST_NAMES));
        let (city, state) = self.random.of(&CITIES);
        let card: Vec<String> =
            (0..4).map(|_| format!("{:04}", self.random.below(10_000))).collect();
        self.long(id);
        self.text(&format!("{first} {last}"));
        self.text(&format!("{first}.{last}@example.com"));
        self.text(&card.join(" "));
        self.text(city);
        self.text(state);
        self.long(time);
        self.filler(60, 100);
        id
    }

    /// `span`: milliseconds in which a hundred auctions begin.
    fn auction(&mut self, id: u64, group: u64, time: u64, span: u64) -> u64 {
        let price = self.random.price();
        self.long(id);
        self.filler(10, 20);
        self.filler(60, 100);
        self.long(price);
        let reserve = price + self.random.price();
        self.long(reserve);
        self.long(time);
        let expires = time + 1 + self.random.below(2 * span);
        self.long(expires);
        let seller = self.person_of(group, 0, 4);
        self.long(seller);
        let category = 10 + self.random.below(5);
        self.long(category);
        self.filler(200, 300);
        id
    }

    fn bid(&mut self, group: u64, time: u64) -> u64 {
        let newest = group * AUCTIONS + AUCTIONS - 1;
        let auction = match self.random.below(2) {
            0 => newest / HOT_EVERY * HOT_EVERY,
            _ => {
                let oldest = newest.saturating_sub(OPEN_AUCTIONS);
                oldest + self.random.below(newest - oldest + 1 + LEAD)
            }
        };
        let auction = FIRST_ID + auction;
        let bidder = self.person_of(group, 1, 4);
        let price = self.random.price();
        self.long(auction);
        self.long(bidder);
        self.long(price);
        self.channel();
        self.long(time);
        self.filler(60, 110);
        auction
    }

    /// Half of the bids come through one of four channels, the rest through any of 10,000.
    fn channel(&mut self) {
        let number = self.random.below(10_000);
        let known = self.random.below(2) == 0;
        match known {
            true => self.text(CHANNELS[(number % 4) as usize]),
            false => self.text(&format!("channel-{number}")),
        }
        let mut url = b"https://www.nexmark.com/".to_vec();
        for _ in 0..3 {
            self.random.letters(5, &mut url);
            url.push(b'/');
        }
        url.extend_from_slice(b"item.htm?query=1");
        if !known {
            url.extend_from_slice(format!("&channel_id={number}").as_bytes());
        }
        self.bytes(&url);
    }

    /// Of `one_of` draws all but one name the hot person, `place` ids after a multiple of
    /// `HOT_EVERY`; the others anyone who is active.
    fn person_of(&mut self, newest: u64, place: u64, one_of: u64) -> u64 {
        let person = match self.random.below(one_of) {
            0 => {
                let active = (newest + 1).min(ACTIVE_PERSONS);
                newest + 1 - active + self.random.below(active + LEAD)
            }
            _ => newest / HOT_EVERY * HOT_EVERY + place,
        };
        FIRST_ID + person
    }

    /// Text without meaning, of a length below `longest`.
    fn filler(&mut self, shortest: u64, longest: u64) {
        let length = shortest + self.random.below(longest - shortest);
        self.long(length);
        self.random.letters(length as usize, self.out);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.long(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// Avro's long: zigzag, then 7 bits a byte from the lowest on. All numbers here are positive.
    fn long(&mut self, value: u64) {
        let mut rest = value << 1;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Random(u64);

impl Random {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    fn new(seed: u64, number: u64) -> Self {
        let start = Self(seed.wrapping_mul(Self::STEP) ^ number).next();
        Self(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is small enough for the bias not to matter.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// From 100 to 100 million, each power of ten as likely.
    fn price(&mut self) -> u64 {
        10u64.pow(self.below(6) as u32) * (100 + self.below(900))
    }

    fn letters(&mut self, count: usize, out: &mut Vec<u8>) {
        let mut left = count;
        while left > 0 {
            let some = self.next().to_le_bytes();
            let take = left.min(some.len());
            out.extend(some[..take].iter().map(|byte| b'a' + byte % 26));
            left -= take;
        }
    }
}

#[cfg(test)]
mod tests {
    use apache_avro::Schema;
    use apache_avro::reader::datum::GenericDatumReader;
    use apache_avro::types::Value;

    use super::*;

    const STREAM: Nexmark = Nexmark { seed: 0, begin: 1_436_918_400_000, rate: 10_000 };

    /// The fields of an event, read with its schema to the last byte.
    fn read(number: u64) -> (Event, Vec<(String, Value)>) {
        let mut bytes = Vec::new();
        let event = STREAM.write(number, &mut bytes);
        let schema = Schema::parse_str(event.kind.schema()).expect("a valid schema");
        let reader = GenericDatumReader::builder(&schema).build().expect("a valid schema");
        let mut rest = bytes.as_slice();
        let value = reader.read_value(&mut rest).expect("a record of the schema");
        assert!(rest.is_empty(), "event {number} has {} bytes too many", rest.len());
        let Value::Record(fields) = value else { panic!("event {number} is no record") };
        (event, fields)
    }

    fn long(fields: &[(String, Value)], name: &str) -> u64 {
        let value = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
        match value {
            Some(Value::Long(value) | Value::TimestampMillis(value)) => *value as u64,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn records_are_avro_of_their_schemas() {
        for number in 0..5_000 {
            let (event, fields) = read(number);
            let id = match event.kind {
                Kind::Person | Kind::Auction => "id",
                Kind::Bid => "auction",
            };
            assert_eq!(long(&fields, id), event.key);
            assert_eq!(long(&fields, "dateTime"), event.time);
            assert_eq!(event.time, STREAM.begin + number / 10);
        }
    }

    #[test]
    fn kinds_come_as_1_3_46_and_ids_in_order() {
        let mut counts = [0u64; 3];
        for number in 0..5_000 {
            let event = STREAM.write(number, &mut Vec::new());
            let count = &mut counts[event.kind as usize];
            match event.kind {
                Kind::Person | Kind::Auction => assert_eq!(event.key, FIRST_ID + *count),
                Kind::Bid => {}
            }
            *count += 1;
        }
        assert_eq!(counts, [100, 300, 4_600]);
    }

    #[test]
    fn half_of_the_bids_go_to_the_hot_auction_and_the_rest_to_recent_ones() {
        let (mut bids, mut hot) = (0u64, 0u64);
        for number in 500_000..520_000u64 {
            let event = STREAM.write(number, &mut Vec::new());
            if event.kind != Kind::Bid {
                continue;
            }
            let newest = number / PROPORTION * AUCTIONS + AUCTIONS - 1;
            let auction = event.key - FIRST_ID;
            bids += 1;
            if auction == newest / HOT_EVERY * HOT_EVERY {
                hot += 1;
            } else {
                let recent = newest - OPEN_AUCTIONS..=newest + LEAD;
                assert!(recent.contains(&auction), "{auction} at {newest}");
            }
        }
        assert!((bids * 45..bids * 56).contains(&(hot * 100)), "{hot} of {bids}");
    }

    #[test]
    fn events_depend_on_seed_and_number_alone() {
        let bytes = |stream: Nexmark, number| {
            let mut out = Vec::new();
            stream.write(number, &mut out);
            out
        };
        let other = Nexmark { seed: 1, ..STREAM };
        for number in [0, 1, 7, 49, 1_999_999] {
            assert_eq!(bytes(STREAM, number), bytes(STREAM, number));
            assert_ne!(bytes(STREAM, number), bytes(other, number));
        }
    }
}
