//! Streams that make their records themselves. The numbers of the records are dealt out to
//! partitions; an offset is a number. What the records are follows from the options and the time of
//! the first one (`flow_stdlib::generated`); that time is settled at the first start and kept in
//! the identity of the partitions, so that a restart goes on as if nothing had happened.

use std::sync::Arc;
use std::time::Duration;

use flow_ir::connector::{DATAGEN, NEXMARK, STREAM_OPTIONS};
use flow_ir::decode_plan::Origin;
use flow_ir::kernel::Record;
use flow_ir::physical::Stream;
use flow_ir::types::Field;
use flow_stdlib::generated::{BadOption, Datagen, FirstTime, Generate, Nexmark, Numbers};

use super::{Assignment, FETCH_RECORDS_MAX, Fetched, Reader, RecordBatch};
use crate::error::{Result, RuntimeError};
use crate::world::Clock;

/// Bytes of records in a batch at which it is handed out.
const BATCH_BYTES: usize = 1 << 20;
/// Numbers that one batch passes over at most, where few have a record.
const BATCH_NUMBERS: u64 = 100_000;

/// What a generated stream makes, before its first time is known.
enum Rules {
    Nexmark(Nexmark),
    Datagen(Datagen),
}

/// A generated stream.
pub(crate) struct Generated {
    rules: Rules,
    pub(crate) numbers: Numbers,
    first: FirstTime,
    /// The options that say what the records are.
    content: String,
}

/// Options that say how fast records come, not what they are.
const PACE: &[&str] = &["rate.limited", "max-emit-speed", "scan.parallelism"];

impl Generated {
    /// The stream's rules.
    ///
    /// # Errors
    /// If an option is of no use.
    pub(crate) fn new(stream: &Stream) -> Result<Self> {
        let refuse = |BadOption { name, takes }: BadOption| {
            let value = stream.option(&name).unwrap_or_default();
            let told = format!("stream {}: '{name}' is '{value}'; it takes {takes}", stream.name);
            RuntimeError::user(told)
        };
        let (rules, numbers, first) = match stream.connector.as_str() {
            NEXMARK => {
                let rules = Nexmark::new(&stream.options).map_err(refuse)?;
                let (numbers, first) = (rules.numbers, rules.first);
                (Rules::Nexmark(rules), numbers, first)
            }
            DATAGEN => {
                let columns = stream.columns.iter();
                let columns = columns.filter(|c| matches!(c.origin, Origin::Value(_)));
                let columns: Vec<Field> =
                    columns.map(|c| Field::new(c.name.clone(), c.ty.clone())).collect();
                let rules = Datagen::new(&columns, &stream.options).map_err(refuse)?;
                let (numbers, first) = (rules.numbers, rules.first);
                (Rules::Datagen(rules), numbers, first)
            }
            other => {
                return Err(RuntimeError::internal(format!("connector {other} makes no records")));
            }
        };
        let is_content = |name: &str| {
            !PACE.contains(&name) && !STREAM_OPTIONS.iter().any(|option| option.matches(name))
        };
        let content = stream.options.iter().filter(|(name, _)| is_content(name));
        let content = content.map(|(name, value)| format!(" {name}={value}")).collect();
        Ok(Self { rules, numbers, first, content })
    }

    /// What identifies the stream's records from one start to the next.
    pub(crate) fn identity(&self, clock: &dyn Clock) -> String {
        let first = match self.first {
            FirstTime::At(micros) => micros,
            FirstTime::Start => clock.now_micros(),
        };
        format!("{first}{}", self.content)
    }

    /// The time of the first record that an identity names; `None` if it is another stream's.
    fn first_time(&self, identity: &str) -> Option<i64> {
        let content = self.content.as_str();
        let first: i64 = identity.strip_suffix(content)?.parse().ok()?;
        match self.first {
            FirstTime::At(micros) => (micros == first).then_some(first),
            FirstTime::Start => Some(first),
        }
    }

    /// Whether an identity is this stream's.
    pub(crate) fn is(&self, identity: &str) -> bool {
        self.first_time(identity).is_some()
    }

    /// Reads a partition from a number on.
    ///
    /// # Errors
    /// If the identity is another stream's.
    pub(crate) fn reader(
        self,
        identity: &str,
        from: i64,
        clock: Arc<dyn Clock>,
    ) -> Result<GeneratedReader> {
        let first = self.first_time(identity);
        let first = first.ok_or_else(|| RuntimeError::internal("another stream's identity"))?;
        let numbers = self.numbers;
        let generate: Box<dyn Generate> = match self.rules {
            Rules::Nexmark(rules) => Box::new(rules.events(first)),
            Rules::Datagen(rules) => Box::new(rules.rows(first)),
        };
        let next = from.max(0) as u64;
        let pace = numbers.per_second.map(|per_second| Pace {
            per_second,
            began_ms: clock.monotonic_ms(),
            from: next,
            clock,
        });
        let step = u64::from(numbers.partitions.max(1));
        let end = numbers.count;
        Ok(GeneratedReader { generate, next, step, end, pace, paused: false, room: 0 })
    }
}

/// How fast numbers come, from when reading began.
struct Pace {
    per_second: u64,
    clock: Arc<dyn Clock>,
    began_ms: u64,
    from: u64,
}

impl Pace {
    /// The first number that is not yet due.
    fn due(&self) -> u64 {
        let passed = u128::from(self.clock.monotonic_ms().saturating_sub(self.began_ms));
        let come = passed * u128::from(self.per_second) / 1_000;
        self.from.saturating_add(u64::try_from(come).unwrap_or(u64::MAX))
    }

    /// How long until a number is due, about.
    fn wait(&self, number: u64) -> Duration {
        let missing = number.saturating_add(1).saturating_sub(self.due());
        Duration::from_millis((missing.saturating_mul(1_000) / self.per_second).max(1))
    }
}

/// Makes the records of one partition.
pub(crate) struct GeneratedReader {
    generate: Box<dyn Generate>,
    next: u64,
    step: u64,
    end: Option<u64>,
    pace: Option<Pace>,
    paused: bool,
    /// Bytes that the next batch will take: some more than the last.
    room: usize,
}

/// Records end to end.
struct Made {
    bytes: Vec<u8>,
    /// Number of each, and where it ends.
    records: Vec<(i64, usize)>,
}

impl RecordBatch for Made {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn records<'a>(&'a self, out: &mut Vec<Record<'a>>) {
        let mut start = 0;
        out.extend(self.records.iter().map(|&(offset, end)| {
            let value = Some(&self.bytes[start..end]);
            start = end;
            Record { value, offset, ..Record::default() }
        }));
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl GeneratedReader {
    /// The first number that is not handed out yet, whatever it waits for.
    fn limit(&self) -> u64 {
        let due = self.pace.as_ref().map_or(u64::MAX, Pace::due);
        self.end.map_or(due, |end| end.min(due))
    }

    fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }
}

impl Reader for GeneratedReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Fetched>> {
        if self.paused || self.has_ended() {
            return Ok(None);
        }
        let limit = self.limit();
        if self.next >= limit {
            let until_due = self.pace.as_ref().map_or(wait, |pace| pace.wait(self.next));
            std::thread::sleep(wait.min(until_due));
            return Ok(None);
        }
        let mut made = Made { bytes: Vec::with_capacity(self.room), records: Vec::new() };
        let last = limit.min(self.next.saturating_add(BATCH_NUMBERS));
        while self.next < last
            && made.records.len() < FETCH_RECORDS_MAX
            && made.bytes.len() < BATCH_BYTES
        {
            if self.generate.record(self.next, &mut made.bytes) {
                made.records.push((self.next as i64, made.bytes.len()));
            }
            self.next += self.step;
        }
        self.room = made.bytes.len() + made.bytes.len() / 8;
        let next_offset = self.next as i64;
        Ok(Some(Fetched { partition: 0, batch: Box::new(made), next_offset }))
    }

    fn add(&mut self, _: &[Assignment]) -> Result<()> {
        Err(RuntimeError::internal("a generated stream has its partitions from the beginning"))
    }

    fn pause(&mut self, _: usize, paused: bool) {
        self.paused = paused;
    }

    fn position(&self, _: usize) -> i64 {
        self.next as i64
    }

    fn at_end(&self, _: usize) -> bool {
        self.next >= self.limit()
    }

    fn finished(&self, _: usize) -> bool {
        self.has_ended()
    }

    /// Of a stream without end and pace one: there is always more.
    fn lag(&self, _: usize) -> u64 {
        match self.limit() {
            u64::MAX => 1,
            limit => limit.saturating_sub(self.next).div_ceil(self.step),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use flow_ir::physical::StreamSchemas;

    use super::*;

    /// A clock that a test sets.
    #[derive(Default)]
    struct SetClock(AtomicU64);

    impl Clock for SetClock {
        fn now_micros(&self) -> i64 {
            self.monotonic_ms() as i64 * 1_000
        }

        fn monotonic_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn stream(options: &[(&str, &str)]) -> Stream {
        let own = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
        Stream {
            name: "s".into(),
            connector: NEXMARK.into(),
            value_format: Some("avro".into()),
            key_format: None,
            options: options.iter().map(own).collect(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            schemas: StreamSchemas::default(),
        }
    }

    fn reader(options: &[(&str, &str)], from: i64, clock: &Arc<SetClock>) -> GeneratedReader {
        let made = Generated::new(&stream(options)).expect("fine options");
        let identity = made.identity(&**clock);
        made.reader(&identity, from, clock.clone()).expect("its own identity")
    }

    /// What can be read now: number and bytes.
    fn read(reader: &mut GeneratedReader) -> Vec<(i64, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(fetched) = reader.poll(Duration::ZERO).expect("it is made") {
            let mut records = Vec::new();
            fetched.batch.records(&mut records);
            let own = |r: &Record<'_>| (r.offset, r.value.unwrap_or_default().to_vec());
            all.extend(records.iter().map(own));
        }
        all
    }

    #[test]
    fn partitions_share_the_numbers_and_reading_goes_on_from_any_of_them() {
        let clock = Arc::new(SetClock::default());
        let one = read(&mut reader(&[("events.num", "10000")], 0, &clock));
        assert_eq!(one.len(), 10_000);
        let three = [("events.num", "10000"), ("partitions", "3")];
        let mut all: Vec<_> = (0..3).flat_map(|p| read(&mut reader(&three, p, &clock))).collect();
        all.sort();
        assert_eq!(all, one);
        let mut rest = reader(&[("events.num", "10000")], 9_990, &clock);
        assert_eq!(read(&mut rest), one[9_990..]);
        assert!(rest.finished(0) && rest.lag(0) == 0);
    }

    #[test]
    fn the_clock_lets_numbers_go() {
        let clock = Arc::new(SetClock::default());
        let paced = [("next-event.rate", "100"), ("events.num", "30")];
        let mut reader = reader(&paced, 5, &clock);
        assert!(read(&mut reader).is_empty() && reader.at_end(0));
        clock.0.store(100, Ordering::Relaxed);
        let numbers = |all: Vec<(i64, Vec<u8>)>| all.iter().map(|r| r.0).collect::<Vec<_>>();
        assert_eq!(numbers(read(&mut reader)), (5..15).collect::<Vec<_>>());
        clock.0.store(10_000, Ordering::Relaxed);
        assert_eq!(numbers(read(&mut reader)), (15..30).collect::<Vec<_>>());
        assert!(reader.finished(0));
    }

    #[test]
    fn an_identity_keeps_the_first_time_and_tells_other_options() {
        let clock = SetClock::default();
        let now = Generated::new(&stream(&[("first-event.time", "now")])).expect("fine");
        let identity = now.identity(&clock);
        clock.0.store(99, Ordering::Relaxed);
        assert_ne!(now.identity(&clock), identity);
        assert!(now.is(&identity));
        let other = stream(&[("first-event.time", "now"), ("seed", "1")]);
        assert!(!Generated::new(&other).expect("fine").is(&identity));
        let slower = stream(&[("first-event.time", "now"), ("rate.limited", "false")]);
        assert!(Generated::new(&slower).expect("fine").is(&identity));
        assert!(!now.is("x") && !now.is(""));
    }
}
