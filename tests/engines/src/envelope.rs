//! Envelopes: records that say what happened to a row, in JSON and in Avro, of which some are
//! damaged. What serde_json or apache-avro find in one is what the interpreter takes out of it; no
//! native code takes envelopes apart, but what is in them is read by plans (`decode`).

use std::fmt::Debug;

use flow_ir::decode_plan::EnvelopePlan;
use flow_schema::envelope;
use flow_stdlib::interp::decode::{Change, Opener};
use serde::de::IgnoredAny;
use serde_json::Value as Json;

use crate::avro::EnvelopeSample;
use crate::damage::damage;
use crate::source::Source;

/// Texts of rows, and of what is none.
const ROWS: [&str; 9] = [
    "{}",
    "null",
    " { \"a\" : 1, \"a\" : [ 2, {} ] } ",
    "{\"op\":\"d\",\"after\":null}",
    "{\"\\u0061\":\"\\\"}\"}",
    "{\"\u{fc}\":-1.5e3}",
    "7",
    "\"c\"",
    "[{}]",
];

/// Texts of operations.
const OPERATIONS: [&str; 10] =
    ["\"c\"", "\"r\"", "\"u\"", "\"d\"", "\"u\"", "\"\\u0064\"", "\"t\"", "\"\"", "null", "1"];

/// What an envelope says, in the form of whoever read it: the rows before and after, and the
/// operation; `None` if there is none.
struct Said<V> {
    before: Option<V>,
    after: Option<V>,
    operation: Option<String>,
}

/// One random envelope.
struct Case {
    payloads: Vec<Vec<u8>>,
    /// Payloads that nothing is wrong with, the first so many.
    good: usize,
    needs_before: bool,
    form: Form,
}

enum Form {
    Json { nested: bool },
    Avro(Box<EnvelopeSample>),
}

/// Some envelopes of one form.
///
/// # Errors
/// What serde_json or apache-avro say otherwise.
pub fn hold(bytes: &[u8]) -> Result<(), String> {
    let case = Case::random(&mut Source::new(bytes))?;
    let mut opener = match &case.form {
        Form::Json { nested } => Opener::json(*nested, case.needs_before),
        Form::Avro(sample) => Opener::avro(plan_of(sample)?, case.needs_before),
    };
    for (number, payload) in case.payloads.iter().enumerate() {
        let mut changes = Vec::new();
        let opened = opener.open(payload, &mut changes);
        let opened = opened.map(|()| changes.pop().unwrap_or_default());
        case.against_known(payload, &opened, number < case.good).map_err(|why| {
            let text = payload.escape_ascii();
            format!("payload {number}, {text}: {why}\nopened: {opened:?}\n{}", case.text())
        })?;
    }
    Ok(())
}

/// The form of the envelopes that the bytes make.
///
/// # Errors
/// If the generator made what is not valid.
pub fn show(bytes: &[u8]) -> Result<String, String> {
    Ok(Case::random(&mut Source::new(bytes))?.text())
}

fn plan_of(sample: &EnvelopeSample) -> Result<EnvelopePlan, String> {
    envelope(&sample.schema).map(|envelope| envelope.plan).map_err(|e| e.to_string())
}

impl Case {
    fn random(s: &mut Source<'_>) -> Result<Self, String> {
        let needs_before = s.once_in(2);
        let (mut payloads, form) = match s.below(3) {
            0 => {
                let nested = s.once_in(3);
                let payloads = (0..1 + s.below(4)).map(|_| json(s, nested)).collect();
                (payloads, Form::Json { nested })
            }
            _ => {
                let sample = EnvelopeSample::random(s)?;
                (sample.good.clone(), Form::Avro(Box::new(sample)))
            }
        };
        let good = payloads.len();
        for _ in 0..s.below(12) {
            let at = s.below(good);
            payloads.push(damage(s, &payloads[at]));
        }
        Ok(Self { payloads, good, needs_before, form })
    }

    fn text(&self) -> String {
        let needs = self.needs_before;
        match &self.form {
            Form::Json { nested } => format!("json, nested {nested}, needs before {needs}\n"),
            Form::Avro(sample) => {
                let schema = serde_json::to_string(&sample.schema).unwrap_or_default();
                format!("avro, needs before {needs}, {schema}\n{:?}\n", plan_of(sample))
            }
        }
    }

    fn against_known(
        &self,
        payload: &[u8],
        opened: &Result<Change<'_>, &str>,
        is_good: bool,
    ) -> Result<(), String> {
        match &self.form {
            Form::Json { nested } => {
                if serde_json::from_slice::<IgnoredAny>(payload).is_err() {
                    return match opened {
                        Ok(_) => Err("it is opened, and is no JSON".into()),
                        Err(_) => Ok(()),
                    };
                }
                // Numbers and characters that serde_json has no form for.
                let Ok(whole) = serde_json::from_slice(payload) else { return Ok(()) };
                let said = said_by_json(whole, *nested);
                self.same(&said, opened, true, |part| serde_json::from_slice(part).ok())
            }
            Form::Avro(sample) => {
                let Some(said) = sample.read(payload) else { return Ok(()) };
                let [before, after] = said.rows;
                let said = Said { before, after, operation: said.operation };
                // What is too long or too deep for the interpreter may be no more than odd.
                self.same(&said, opened, is_good, |part| sample.read_row(part))
            }
        }
    }

    /// Whether what is taken out of an envelope is what it says; with `must`, also whether it is
    /// taken at all.
    fn same<V: Debug>(
        &self,
        said: &Said<V>,
        opened: &Result<Change<'_>, &str>,
        must: bool,
        read: impl Fn(&[u8]) -> Option<V>,
    ) -> Result<(), String> {
        let Said { before, after, operation } = said;
        let (goes, comes, needs) = match operation.as_deref() {
            Some("c" | "r") => (None, after.as_ref(), [false, true]),
            Some("u") => (before.as_ref(), after.as_ref(), [self.needs_before, true]),
            Some("d") => (before.as_ref(), None, [true, false]),
            Some(_) | None => (None, None, [true, true]),
        };
        let is_whole = (goes.is_some() || !needs[0]) && (comes.is_some() || !needs[1]);
        match opened {
            Ok(_) if !is_whole => Err("it is opened, and says nothing".into()),
            Err(_) if is_whole && must => Err("it is not opened".into()),
            Err(_) => Ok(()),
            Ok(change) => {
                for (part, known) in [(&change.before, goes), (&change.after, comes)] {
                    let is = format!("{:?}", part.as_deref().map(&read));
                    let should_be = format!("{:?}", known.map(Some));
                    if is != should_be {
                        return Err(format!("{is} should be {should_be}"));
                    }
                }
                Ok(())
            }
        }
    }
}

fn said_by_json(whole: Json, nested: bool) -> Said<Json> {
    let inner = if nested { whole.get("payload").cloned() } else { Some(whole) };
    let member = |name: &str| inner.as_ref()?.get(name).filter(|v| !v.is_null()).cloned();
    let operation = member("op").and_then(|op| op.as_str().map(str::to_string));
    Said { before: member("before"), after: member("after"), operation }
}

/// An envelope's text: members in any order, at times twice or missing, among others.
fn json(s: &mut Source<'_>, nested: bool) -> Vec<u8> {
    let mut members = Vec::new();
    for (name, values) in [
        ("before", &ROWS[..]),
        ("after", &ROWS[..]),
        ("op", &OPERATIONS[..]),
        ("\\u006fp", &OPERATIONS[..]),
        ("source", &ROWS[..]),
        ("Op", &OPERATIONS[..]),
    ] {
        let times = if ["before", "after", "op"].contains(&name) { 6 } else { 1 };
        for _ in 0..(s.below(8) + times) / 7 {
            members.push(format!("\"{name}\"{}{}", s.pick(&[":", " : "]), s.pick(values)));
        }
    }
    if !members.is_empty() {
        let first = s.below(members.len());
        members.rotate_left(first);
    }
    let text = format!("{{{}}}", members.join(*s.pick(&[",", " ,\n"])));
    let text = match (nested, s.below(4)) {
        (false, _) => text,
        (true, 0) => format!("{{\"payload\":{text}}}"),
        (true, 1) => format!("{{\"payload\":1,\"schema\":{{}},\"payload\":{text}}}"),
        (true, _) => format!("{{\"schema\":{{\"payload\":[]}}, \"payload\":{text}}}\n"),
    };
    text.into_bytes()
}
