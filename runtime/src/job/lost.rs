//! Records that an input no longer has, because retention deleted them or someone cut the topic.
//! None is passed over in silence:
//!
//! | what is gone | a start |
//! | --- | --- |
//! | records that were not read yet | is refused, unless `'scan.lost-records' = 'skip'` |
//! | records that were read, also by a job that `--fresh` forgets | warns: a rebuild may differ |
//! | records before a first start at the earliest offset | warns that they are no part of it |
//!
//! While the job runs, its reader fails on the first kind (`auto.offset.reset` is `error`).

use flow_ir::physical::Stream;

use crate::commit::InputPosition;
use crate::connect::LOST_RECORDS_HELP;
use crate::error::{Result, RuntimeError};

/// Partitions that a message names at most.
const NAMED_MAX: usize = 5;

/// Deals with records that were to be read next and are gone. `firsts` are the partitions' first
/// offsets. Returns a warning if positions were moved on to what is left.
///
/// # Errors
/// If there are such records and the stream does not say to go on without them.
pub(super) fn unread(
    stream: &Stream,
    positions: &mut [InputPosition],
    firsts: &[i64],
) -> Result<Option<String>> {
    let first = |p: &InputPosition| firsts.get(p.partition as usize).copied().unwrap_or(0);
    let reads_on = |p: &InputPosition| !p.ended && p.bound.is_none_or(|bound| p.offset < bound);
    let is_gone = |p: &&mut InputPosition| reads_on(p) && p.offset < first(p);
    let mut gone: Vec<&mut InputPosition> = positions.iter_mut().filter(is_gone).collect();
    if gone.is_empty() {
        return Ok(None);
    }
    let told = |p: &&mut InputPosition| {
        let (name, now) = (partition_name(p), first(p));
        format!("{name} is read up to {} and begins at {now} now", p.offset)
    };
    let told = list(gone.iter().map(told));
    let name = &stream.name;
    if stream.option("scan.lost-records") != Some("skip") {
        let message = format!("stream {name}: records that were not read yet are gone: {told}");
        return Err(RuntimeError::user(message).with_help(LOST_RECORDS_HELP));
    }
    for position in &mut gone {
        position.offset = first(position);
    }
    Ok(Some(format!("stream {name}: records that were not read yet are gone and left out: {told}")))
}

/// Warns of records that a rebuild would miss. `now` are the stream's positions, each with its
/// partition's first offset; `before` those of the last run of the job, also if it is forgotten.
pub(super) fn read<'a>(
    stream: &Stream,
    now: impl Iterator<Item = (&'a InputPosition, i64)>,
    before: &[InputPosition],
) -> Option<String> {
    let mode = stream.option("scan.startup.mode");
    if mode == Some("latest-offset") {
        // Another start would not repeat what this one reads.
        return None;
    }
    let (mut gone, mut absent) = (Vec::new(), Vec::new());
    for (position, first) in now {
        let same = |p: &&InputPosition| {
            (&p.stream, &p.topic_id, p.partition)
                == (&position.stream, &position.topic_id, position.partition)
        };
        let name = partition_name(position);
        match before.iter().find(same) {
            Some(InputPosition { start, .. }) if *start < first => {
                gone.push(format!("{name} was read from {start} on and begins at {first} now"));
            }
            None if first > 0 && mode.is_none_or(|mode| mode == "earliest-offset") => {
                absent.push(format!("{name} begins at {first}"));
            }
            Some(_) | None => {}
        }
    }
    let name = &stream.name;
    if !gone.is_empty() {
        return Some(format!(
            "stream {name}: records that this job has read are gone: {}; an answer that is rebuilt \
             from what is left may differ",
            list(gone.into_iter())
        ));
    }
    (!absent.is_empty()).then(|| {
        format!(
            "stream {name}: the topic's first records are gone: {}; they are no part of the \
             answer, and one that is rebuilt when more are gone may differ",
            list(absent.into_iter())
        )
    })
}

fn partition_name(position: &InputPosition) -> String {
    format!("{}-{}", position.topic, position.partition)
}

/// The first of these, and how many more there are.
fn list(mut all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED_MAX);
    let named: Vec<String> = all.by_ref().take(NAMED_MAX).collect();
    let named = named.join(", ");
    if more == 0 { named } else { format!("{named}, and {more} more partitions") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::error::{Retry, Who};

    fn stream(options: &[(&str, &str)]) -> Stream {
        let own = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
        Stream {
            name: "s".into(),
            connector: "kafka".into(),
            value_format: None,
            key_format: None,
            options: options.iter().map(own).collect::<BTreeMap<_, _>>(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            schemas: Default::default(),
        }
    }

    fn at(partition: u32, start: i64, offset: i64) -> InputPosition {
        InputPosition {
            stream: "s".into(),
            cluster: "c".into(),
            topic: "t".into(),
            topic_id: "id".into(),
            partition,
            start,
            offset,
            watermark: i64::MIN,
            bound: None,
            ended: false,
            idle: false,
        }
    }

    #[test]
    fn unread_records_that_are_gone_stop_the_start_with_their_places() {
        let mut positions = [at(0, 0, 5), at(1, 0, 8)];
        let error = unread(&stream(&[]), &mut positions, &[8, 8]).expect_err("5 to 7 are gone");
        assert_eq!((error.who, error.retry), (Who::User, Retry::Never));
        let told = error.to_string();
        for part in ["t-0 is read up to 5 and begins at 8", "--fresh", "'scan.lost-records'"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("t-1"), "{told}");
        assert_eq!(positions, [at(0, 0, 5), at(1, 0, 8)]);
    }

    #[test]
    fn they_are_left_out_with_a_warning_where_the_stream_says_so() {
        let mut positions = [at(0, 0, 5), at(1, 0, 9)];
        let skips = stream(&[("scan.lost-records", "skip")]);
        let warning = unread(&skips, &mut positions, &[8, 8]).expect("it goes on");
        assert!(warning.is_some_and(|told| told.contains("t-0 is read up to 5")));
        assert_eq!(positions, [at(0, 0, 8), at(1, 0, 9)]);
        assert_eq!(unread(&skips, &mut positions, &[8, 8]), Ok(None));
    }

    #[test]
    fn a_partition_that_is_read_to_its_end_misses_nothing() {
        let ended = InputPosition { ended: true, ..at(0, 0, 5) };
        let at_bound = InputPosition { bound: Some(5), ..at(1, 0, 5) };
        assert_eq!(unread(&stream(&[]), &mut [ended, at_bound], &[8, 8]), Ok(None));
    }

    #[test]
    fn many_partitions_are_counted() {
        let mut positions: Vec<_> = (0..9).map(|p| at(p, 0, 1)).collect();
        let error = unread(&stream(&[]), &mut positions, &[2; 9]).expect_err("all miss one");
        assert!(error.message.ends_with("and 4 more partitions"), "{error}");
    }

    #[test]
    fn read_records_that_are_gone_are_warned_of() {
        let told = |now: &InputPosition, first, before: &[InputPosition], options: &[_]| {
            read(&stream(options), [(now, first)].into_iter(), before)
        };
        let before = [at(0, 2, 9)];
        assert_eq!(told(&before[0], 2, &before, &[]), None, "it began there");
        let warning = told(&before[0], 4, &before, &[]).expect("2 and 3 are gone");
        assert!(warning.contains("t-0 was read from 2 on and begins at 4 now"), "{warning}");
        // Started anew, the job begins at what is left; the run before had more.
        assert_eq!(told(&at(0, 4, 4), 4, &before, &[]), Some(warning));
        let latest = [("scan.startup.mode", "latest-offset")];
        assert_eq!(told(&before[0], 4, &before, &latest), None);
        let other = InputPosition { topic_id: "other".into(), ..at(0, 0, 0) };
        assert_eq!(told(&other, 0, &before, &[]), None, "a topic that was made again");
    }

    #[test]
    fn a_first_start_warns_of_a_topic_that_begins_late() {
        let now = at(0, 3, 3);
        let told = |options: &[_]| read(&stream(options), [(&now, 3)].into_iter(), &[]);
        assert!(told(&[]).is_some_and(|warning| warning.contains("t-0 begins at 3")));
        assert_eq!(told(&[("scan.startup.mode", "timestamp")]), None);
    }
}
