//! Where a first start begins each partition of a topic, and where it ends:
//! `'scan.startup.mode'` and `'scan.bounded.mode'`. Both are asked once: the record keeps the
//! answers.

use flow_ir::connector::{GROUP_ID, parse_offsets};
use flow_ir::physical::Stream;

use crate::connect::{Log, OffsetQuery, TopicInfo};
use crate::error::{Result, RuntimeError};

/// Says what a group's missing offset stands for, as Kafka's clients have it.
const RESET: &str = "properties.auto.offset.reset";

/// A topic that is read for the first time.
pub(super) struct First<'a> {
    pub(super) stream: &'a Stream,
    pub(super) log: &'a dyn Log,
    pub(super) topic: &'a TopicInfo,
    /// The partitions' first offsets.
    pub(super) firsts: &'a [i64],
    /// No record dated before this is wanted, microseconds since 1970.
    pub(super) since: Option<i64>,
}

impl First<'_> {
    /// The first offset to read, by partition.
    ///
    /// # Errors
    /// If the options do not tell, or name offsets that the topic does not have.
    pub(super) fn starts(&self) -> Result<Vec<i64>> {
        let starts = self.told_starts()?;
        let Some(since) = self.since else { return Ok(starts) };
        let wanted = self.ask(OffsetQuery::Timestamp(since.div_euclid(1_000)))?;
        Ok(starts.iter().zip(wanted).map(|(told, wanted)| wanted.max(*told)).collect())
    }

    /// The same as far as the options tell.
    fn told_starts(&self) -> Result<Vec<i64>> {
        match self.stream.option("scan.startup.mode") {
            None | Some("earliest-offset") => Ok(self.firsts.to_vec()),
            Some("latest-offset") => self.ask(OffsetQuery::End),
            Some("timestamp") => self.ask(self.time("scan.startup.timestamp-millis")?),
            Some("group-offsets") => {
                let reset = match self.stream.option(RESET) {
                    Some("earliest") => Some(self.firsts.to_vec()),
                    Some("latest") => Some(self.ask(OffsetQuery::End)?),
                    Some(_) | None => None,
                };
                let otherwise = |p: usize| reset.as_ref().and_then(|r| r.get(p).copied());
                self.within(self.committed(otherwise)?)
            }
            Some("specific-offsets") => {
                self.within(self.named("scan.startup.specific-offsets", self.firsts)?)
            }
            Some(other) => Err(self.unknown("scan.startup.mode", other)),
        }
    }

    /// The first offset that is not read, by partition, if the stream ends.
    ///
    /// # Errors
    /// If the options do not tell.
    pub(super) fn bounds(&self, starts: &[i64]) -> Result<Option<Vec<i64>>> {
        let bounds = match self.stream.option("scan.bounded.mode") {
            None | Some("unbounded") => return Ok(None),
            Some("latest-offset") => self.ask(OffsetQuery::End)?,
            Some("timestamp") => self.ask(self.time("scan.bounded.timestamp-millis")?)?,
            Some("group-offsets") => self.committed(|_| None)?,
            Some("specific-offsets") => self.named("scan.bounded.specific-offsets", starts)?,
            Some(other) => return Err(self.unknown("scan.bounded.mode", other)),
        };
        Ok(Some(bounds.iter().zip(starts).map(|(bound, start)| *bound.max(start)).collect()))
    }

    fn ask(&self, query: OffsetQuery) -> Result<Vec<i64>> {
        self.log.offsets(&self.topic.name, query)
    }

    fn time(&self, option: &str) -> Result<OffsetQuery> {
        let millis = self.stream.option(option).and_then(|text| text.parse().ok());
        millis.map(OffsetQuery::Timestamp).ok_or_else(|| self.unusable(option))
    }

    /// What the stream's group has committed.
    fn committed(&self, otherwise: impl Fn(usize) -> Option<i64>) -> Result<Vec<i64>> {
        let name = &self.topic.name;
        let group = self.stream.option(GROUP_ID).ok_or_else(|| self.unusable(GROUP_ID))?;
        let offsets = self.log.group_offsets(group, name)?.into_iter().enumerate();
        let offset = |(p, offset): (usize, Option<i64>)| {
            offset.or_else(|| otherwise(p)).ok_or_else(|| {
                let told = format!("group {group} has no offset for partition {p} of topic {name}");
                self.error(&told).with_help(format!(
                    "Check '{GROUP_ID}'; '{RESET}' = 'earliest' or 'latest' says where to begin \
                     where the group has none."
                ))
            })
        };
        offsets.map(offset).collect()
    }

    /// What an option names, and `others` for the partitions that it leaves out.
    fn named(&self, option: &str, others: &[i64]) -> Result<Vec<i64>> {
        let named = self.stream.option(option).and_then(parse_offsets);
        let mut offsets = others.to_vec();
        for (partition, offset) in named.ok_or_else(|| self.unusable(option))? {
            let slot = offsets.get_mut(partition as usize).ok_or_else(|| {
                let (name, count) = (&self.topic.name, self.topic.partitions);
                self.error(&format!(
                    "'{option}' names partition {partition}; topic {name} has {count}, from 0 on"
                ))
            })?;
            *slot = offset;
        }
        Ok(offsets)
    }

    /// Starts that the topic has: those before its first record are refused, unless the stream
    /// says to go on without what is lost.
    fn within(&self, mut starts: Vec<i64>) -> Result<Vec<i64>> {
        let ends = self.ask(OffsetQuery::End)?;
        let skips = self.stream.option("scan.lost-records") == Some("skip");
        let has = self.firsts.iter().zip(&ends);
        for (partition, (start, (&first, &end))) in starts.iter_mut().zip(has).enumerate() {
            if *start < first && skips {
                *start = first;
            }
            if !(first..=end).contains(start) {
                let name = &self.topic.name;
                let told = format!(
                    "it is to begin at offset {start} of {name}-{partition}, which begins at \
                     {first} and ends at {end}"
                );
                return Err(self.error(&told).with_help(
                    "Begin elsewhere: 'scan.startup.mode'; or leave out records that are gone: \
                     'scan.lost-records' = 'skip'.",
                ));
            }
        }
        Ok(starts)
    }

    fn unknown(&self, option: &str, value: &str) -> RuntimeError {
        self.error(&format!("'{option}' = '{value}' is not known"))
    }

    fn unusable(&self, option: &str) -> RuntimeError {
        self.error(&format!("'{option}' is missing, or has a value that it does not take"))
    }

    fn error(&self, message: &str) -> RuntimeError {
        RuntimeError::user(format!("stream {}: {message}", self.stream.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::local::LocalLog;
    use crate::connect::{Assignment, NewTopic, Outcome, Outgoing};

    /// A log whose topic t has five records in each of two partitions, of the milliseconds 0 to 4.
    /// Group g has offset 2 of both, group half offset 3 of the second only.
    fn log() -> (LocalLog, TopicInfo) {
        let log = LocalLog::memory();
        let topic =
            NewTopic { name: "t".into(), partitions: 2, compacted: false, config: Vec::new() };
        let info = log.create_topic(&topic).expect("made");
        let mut writer = log.writer("w").expect("made");
        writer.begin().expect("begun");
        for (partition, at) in (0..10).map(|i| (i / 5, i64::from(i % 5))) {
            let timestamp = Some(at);
            let record = Outgoing { topic: "t", partition, timestamp, ..Outgoing::default() };
            writer.send(&record).expect("taken");
        }
        let at = |partition, offset| Assignment { topic: "t".into(), partition, offset };
        writer.send_offsets("g", &[at(0, 2), at(1, 2)]).expect("taken");
        writer.send_offsets("half", &[at(1, 3)]).expect("taken");
        assert_eq!(writer.commit(), Outcome::Committed);
        (log, info)
    }

    type Found = (Vec<i64>, Option<Vec<i64>>);

    /// Where a stream of these options begins and ends, if its partitions begin at `firsts`.
    fn found(firsts: [i64; 2], options: &[(&str, &str)]) -> Result<Found> {
        found_since(firsts, options, None)
    }

    fn found_since(
        firsts: [i64; 2],
        options: &[(&str, &str)],
        since: Option<i64>,
    ) -> Result<Found> {
        let (log, topic) = log();
        let own = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
        let stream = Stream {
            name: "s".into(),
            connector: "kafka".into(),
            value_format: None,
            key_format: None,
            options: options.iter().map(own).collect(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            schemas: Default::default(),
        };
        let first = First { stream: &stream, log: &log, topic: &topic, firsts: &firsts, since };
        let starts = first.starts()?;
        let bounds = first.bounds(&starts)?;
        Ok((starts, bounds))
    }

    const START: &str = "scan.startup.mode";
    const BOUND: &str = "scan.bounded.mode";
    const START_AT: &str = "scan.startup.specific-offsets";
    const BOUND_AT: &str = "scan.bounded.specific-offsets";

    #[test]
    fn starts_by_time_by_group_and_as_named() {
        let starts = |options: &[_]| found([0, 0], options).map(|(starts, _)| starts);
        assert_eq!(starts(&[]), Ok(vec![0, 0]));
        assert_eq!(starts(&[(START, "latest-offset")]), Ok(vec![5, 5]));
        let time = ("scan.startup.timestamp-millis", "3");
        assert_eq!(starts(&[(START, "timestamp"), time]), Ok(vec![3, 3]));
        let group = (START, "group-offsets");
        assert_eq!(starts(&[group, (GROUP_ID, "g")]), Ok(vec![2, 2]));
        let half = (GROUP_ID, "half");
        assert_eq!(starts(&[group, half, (RESET, "earliest")]), Ok(vec![0, 3]));
        assert_eq!(starts(&[group, half, (RESET, "latest")]), Ok(vec![5, 3]));
        let named = (START_AT, "partition:1,offset:4");
        assert_eq!(starts(&[(START, "specific-offsets"), named]), Ok(vec![0, 4]));
    }

    #[test]
    fn bounds_by_time_by_group_and_as_named() {
        let bounds = |options: &[_]| found([0, 0], options).map(|(_, bounds)| bounds);
        assert_eq!(bounds(&[]), Ok(None));
        assert_eq!(bounds(&[(BOUND, "latest-offset")]), Ok(Some(vec![5, 5])));
        let time = |millis| [(BOUND, "timestamp"), ("scan.bounded.timestamp-millis", millis)];
        assert_eq!(bounds(&time("3")), Ok(Some(vec![3, 3])));
        assert_eq!(bounds(&time("9")), Ok(Some(vec![5, 5])), "what is there, and no more");
        assert_eq!(bounds(&[(BOUND, "group-offsets"), (GROUP_ID, "g")]), Ok(Some(vec![2, 2])));
        // An end that is still to come is waited for; a partition without one gives nothing.
        let named = [(BOUND, "specific-offsets"), (BOUND_AT, "partition:1,offset:8")];
        assert_eq!(bounds(&named), Ok(Some(vec![0, 8])));
        let late = [(START, "latest-offset"), (BOUND, "group-offsets"), (GROUP_ID, "g")];
        assert_eq!(found([0, 0], &late), Ok((vec![5, 5], Some(vec![5, 5]))), "nothing is left");
    }

    #[test]
    fn records_that_are_too_old_are_passed_over() {
        let starts = |options: &[_], since| {
            found_since([0, 0], options, Some(since)).map(|(starts, _)| starts)
        };
        assert_eq!(starts(&[], -7), Ok(vec![0, 0]));
        assert_eq!(starts(&[], 2_999), Ok(vec![2, 2]));
        assert_eq!(starts(&[], 3_000), Ok(vec![3, 3]));
        assert_eq!(starts(&[], 9_000), Ok(vec![5, 5]), "none is wanted");
        let later = [(START, "specific-offsets"), (START_AT, "partition:1,offset:4")];
        assert_eq!(starts(&later, 2_000), Ok(vec![2, 4]));
        let bounded = [(BOUND, "specific-offsets"), (BOUND_AT, "partition:0,offset:1")];
        let found = found_since([0, 0], &bounded, Some(2_000));
        assert_eq!(found, Ok((vec![2, 2], Some(vec![2, 2]))));
    }

    #[test]
    fn what_is_not_there_is_refused_with_its_place() {
        let refused = |firsts, options: &[_]| {
            found(firsts, options).expect_err("there is no such place").to_string()
        };
        let group = [(START, "group-offsets"), (GROUP_ID, "half")];
        let told = refused([0, 0], &group);
        assert!(told.contains("group half has no offset for partition 0 of topic t"), "{told}");
        let group = [(BOUND, "group-offsets"), (GROUP_ID, "half"), (RESET, "latest")];
        assert!(refused([0, 0], &group).contains("partition 0"));
        let at = |text| [(START, "specific-offsets"), (START_AT, text)];
        let told = refused([0, 0], &at("partition:2,offset:0"));
        assert!(told.contains("partition 2; topic t has 2"), "{told}");
        let told = refused([0, 0], &at("partition:1,offset:6"));
        assert!(told.contains("offset 6 of t-1, which begins at 0 and ends at 5"), "{told}");
        let told = refused([0, 3], &at("partition:1,offset:2"));
        assert!(told.contains("begins at 3") && told.contains("'scan.lost-records'"), "{told}");
        let skips = ("scan.lost-records", "skip");
        let starts = found([0, 3], &[&at("partition:1,offset:2")[..], &[skips]].concat());
        assert_eq!(starts, Ok((vec![0, 3], None)));
    }
}
