//! Envelopes: records that say what happened to a row. They are taken apart before the rows in
//! them are read; what holds of plans holds here: no panic, whatever the bytes.

use std::borrow::Cow;

use flow_ir::decode_plan::{AvroSkip, EnvelopeField, EnvelopePlan};

use super::Bad;
use super::avro::skip;
use super::captured::Captured;
use super::input::Input;
use super::json_members::{Finder, plain};
use super::json_scan::{Place, Scan};

/// What happened to a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change<'a> {
    /// The payload of the row that went.
    pub before: Option<Cow<'a, [u8]>>,
    /// The payload of the row that came.
    pub after: Option<Cow<'a, [u8]>>,
}

/// Takes envelopes apart.
#[derive(Debug)]
pub struct Opener {
    form: Form,
    /// Whether a row that is replaced must be there, since nothing else says what it was.
    needs_before: bool,
}

#[derive(Debug)]
enum Form {
    Json {
        /// The envelope stands in the member `payload`.
        nested: bool,
        /// Operations are I, U and D instead of c, u and d.
        upper: bool,
        outer: Finder,
        /// Of `before`, `after` and `op`.
        inner: Finder,
        scratch: Vec<u8>,
    },
    Avro(EnvelopePlan),
    Captured(Captured),
}

/// Why an update, or a delete, cannot be told.
pub(super) const NO_BEFORE: &str = "no row before the change: the database must log rows whole";

impl Opener {
    /// For JSON; `nested`: a schema stands beside the envelope.
    pub fn json(nested: bool, needs_before: bool) -> Self {
        let form = Form::Json {
            nested,
            upper: false,
            outer: Finder::exact(["payload"].into_iter()),
            inner: Finder::exact(["before", "after", "op"].into_iter()),
            scratch: Vec::new(),
        };
        Self { form, needs_before }
    }

    /// For GoldenGate's JSON.
    pub fn ogg(needs_before: bool) -> Self {
        let form = Form::Json {
            nested: false,
            upper: true,
            outer: Finder::exact(std::iter::empty()),
            inner: Finder::exact(["before", "after", "op_type"].into_iter()),
            scratch: Vec::new(),
        };
        Self { form, needs_before }
    }

    /// For Canal's JSON, which tells of `several` rows at once, and Maxwell's.
    pub fn captured(several: bool, needs_before: bool) -> Self {
        Self { form: Form::Captured(Captured::new(several)), needs_before }
    }

    /// For Avro data.
    pub fn avro(plan: EnvelopePlan, needs_before: bool) -> Self {
        Self { form: Form::Avro(plan), needs_before }
    }

    /// Appends what a payload says.
    ///
    /// # Errors
    /// Says what is wrong with it; nothing is appended then.
    pub fn open<'a>(
        &mut self,
        payload: &'a [u8],
        out: &mut Vec<Change<'a>>,
    ) -> Result<(), &'static str> {
        let from = out.len();
        let opened = match &mut self.form {
            Form::Captured(captured) => captured.open(payload, self.needs_before, out),
            Form::Json { .. } | Form::Avro(_) => self.open_one(payload).map(|one| out.push(one)),
        };
        if opened.is_err() {
            out.truncate(from);
        }
        opened
    }

    fn open_one<'a>(&mut self, payload: &'a [u8]) -> Result<Change<'a>, &'static str> {
        let (before, after, op) = match &mut self.form {
            Form::Json { nested, upper, outer, inner, scratch } => {
                let mut scan = Scan::new(payload);
                if *nested {
                    let place = outer.find(&mut scan, scratch, alone).map_err(Bad::message)?[0];
                    ends(&mut scan)?;
                    if !place.is_somewhere() {
                        return Err("no member payload");
                    }
                    scan = scan.at(place);
                }
                let (before, after, op) = json(&mut scan, inner, scratch)?;
                if !*nested {
                    ends(&mut scan)?;
                }
                (before, after, if *upper { from_upper(op) } else { op })
            }
            Form::Avro(plan) => avro(plan, payload).map_err(Bad::message)?,
            Form::Captured(_) => return Err("several changes at once"),
        };
        let (before, after) = (before.map(Cow::Borrowed), after.map(Cow::Borrowed));
        let change = match op {
            b'c' | b'r' => Change { before: None, after },
            b'u' => Change { before, after },
            b'd' => Change { before, after: None },
            _ => return Err("an operation that is none of insert, update and delete"),
        };
        let needs_before = op == b'd' || (op == b'u' && self.needs_before);
        if needs_before && change.before.is_none() {
            return Err(NO_BEFORE);
        }
        match op != b'd' && change.after.is_none() {
            true => Err("it has no row after the change"),
            false => Ok(change),
        }
    }
}

/// The rows before and after, and the operation.
type Parts<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, u8);

/// An operation is one letter; 0 is none.
fn letter(op: &[u8]) -> u8 {
    if let [letter] = op { *letter } else { 0 }
}

/// GoldenGate's letter as Debezium's.
fn from_upper(op: u8) -> u8 {
    match op {
        b'I' => b'c',
        b'U' => b'u',
        b'D' => b'd',
        _ => 0,
    }
}

/// Nothing follows the envelope.
pub(super) fn ends(scan: &mut Scan<'_>) -> Result<(), &'static str> {
    if scan.is_done() { Ok(()) } else { Err(Bad::Trailing.message()) }
}

/// Values of members are passed over.
pub(super) fn alone(_: usize, _: &mut Scan<'_>, _: &mut Vec<u8>) -> Result<Option<Place>, Bad> {
    Ok(None)
}

fn json<'a>(
    scan: &mut Scan<'a>,
    finder: &mut Finder,
    scratch: &mut Vec<u8>,
) -> Result<Parts<'a>, &'static str> {
    let places = finder.find(scan, scratch, alone).map_err(Bad::message)?;
    let part = |at: usize| {
        let token = scan.token_at(places[at]);
        (token.first() != b'n').then_some(token.text)
    };
    let (before, after, op) = (part(0), part(1), scan.token_at(places[2]));
    if op.first() != b'"' {
        return Err("no operation");
    }
    let op = plain(op.string(), scratch).map_err(Bad::message)?;
    Ok((before, after, letter(op)))
}

fn avro<'a>(plan: &EnvelopePlan, payload: &'a [u8]) -> Result<Parts<'a>, Bad> {
    let mut input = Input::new(payload);
    let (mut before, mut after, mut op): Parts<'a> = (None, None, 0);
    for field in &plan.fields {
        match field {
            EnvelopeField::Skip(skips) => skip(skips, &mut input, &plan.recursive, 0)?,
            EnvelopeField::Before { branches } => {
                before = row(branches, &mut input, &plan.recursive)?;
            }
            EnvelopeField::After { branches } => {
                after = row(branches, &mut input, &plan.recursive)?;
            }
            EnvelopeField::Op { branch } => {
                let named = match branch {
                    Some(branch) => input.branch()? == *branch as usize,
                    None => true,
                };
                op = if named { letter(input.lengthed()?) } else { 0 };
            }
        }
    }
    if input.is_empty() { Ok((before, after, op)) } else { Err(Bad::Trailing) }
}

/// The bytes of a row that may be null: the skips of its union's branches, none for null.
fn row<'a>(
    branches: &[Option<Vec<AvroSkip>>],
    input: &mut Input<'a>,
    recursive: &[Vec<AvroSkip>],
) -> Result<Option<&'a [u8]>, Bad> {
    let branch = match branches {
        [only] => only,
        branches => branches.get(input.branch()?).ok_or(Bad::Branch)?,
    };
    let Some(skips) = branch else { return Ok(None) };
    let start = input.rest();
    skip(skips, input, recursive, 0)?;
    Ok(Some(&start[..start.len() - input.rest().len()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open<'a>(payload: &'a str, nested: bool, needs_before: bool) -> Result<Change<'a>, String> {
        let mut opener = Opener::json(nested, needs_before);
        let mut out = Vec::new();
        opener.open(payload.as_bytes(), &mut out).map_err(str::to_string)?;
        out.pop().ok_or_else(|| "nothing".to_string())
    }

    #[test]
    fn json_is_taken_apart_by_its_operation() {
        let change = |before: Option<&'static str>, after: Option<&'static str>| {
            let row = |text: Option<&'static str>| text.map(|row| Cow::Borrowed(row.as_bytes()));
            let (before, after) = (row(before), row(after));
            Ok(Change { before, after })
        };
        let update = r#"{"before": {"n":1} ,"x":[{"op":"d"}],"after":{"n":2},"op":"u"}"#;
        assert_eq!(open(update, false, true), change(Some(r#"{"n":1}"#), Some(r#"{"n":2}"#)));
        let read = r#"{"op":"r","before":{"n":0},"after":{"n":1}}"#;
        assert_eq!(open(read, false, true), change(None, Some(r#"{"n":1}"#)));
        let nested = r#"{"schema":{},"payload":{"before":{},"op":"d","after":null}}"#;
        assert_eq!(open(nested, true, false), change(Some("{}"), None));
        let escaped = r#"{"\u006fp":"\u0063","after":{}}"#;
        assert_eq!(open(escaped, false, true), change(None, Some("{}")));
        let half = r#"{"before":null,"after":{},"op":"u"}"#;
        assert_eq!(open(half, false, false), change(None, Some("{}")));
        assert!(open(half, false, true).is_err());
    }

    #[test]
    fn what_is_no_envelope_is_told() {
        for (payload, nested) in [
            ("", false),
            ("[]", false),
            ("{}", false),
            ("{}", true),
            (r#"{"payload":1}"#, true),
            (r#"{"op":1,"after":{}}"#, false),
            (r#"{"op":"x","after":{}}"#, false),
            (r#"{"op":"c","after":null}"#, false),
            (r#"{"op":"d","after":{}}"#, false),
            (r#"{"op":"c","after":{}},"#, false),
            (r#"{"payload":{"op":"c","after":{}}}x"#, true),
        ] {
            assert!(open(payload, nested, false).is_err(), "{payload}");
        }
        let whole = r#"{"before":{"a":"\"}"},"after":{"n":[1,{}]},"op":"u"}"#;
        for end in 0..whole.len() {
            assert!(open(&whole[..end], false, true).is_err(), "{end}");
        }
    }

    #[test]
    fn avro_cut_or_changed_anywhere_is_told_or_another_change() {
        let text = || vec![None, Some(vec![AvroSkip::Strings(1)])];
        let fields = vec![
            EnvelopeField::Before { branches: text() },
            EnvelopeField::After { branches: text() },
            EnvelopeField::Skip(vec![AvroSkip::Varints(1)]),
            EnvelopeField::Op { branch: Some(1) },
        ];
        let mut opener = Opener::avro(EnvelopePlan { fields, recursive: Vec::new() }, true);
        let whole = [2, 2, b'a', 2, 4, b'b', b'c', 9, 2, 2, b'u'];
        let row = |row: &'static [u8]| Some(Cow::Borrowed(row));
        let change = opener.open_one(&whole).expect("an envelope");
        assert_eq!(change, Change { before: row(&[2, b'a']), after: row(&[4, b'b', b'c']) });
        for end in 0..whole.len() {
            assert!(opener.open_one(&whole[..end]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole;
            bytes[at] ^= 0xff;
            let _ = opener.open_one(&bytes);
        }
    }
}
