//! What Canal and Maxwell say of rows: the operation, the rows as they are, and of an update what
//! the members that changed were before. Canal says it of several rows at once.

use std::borrow::Cow;

use super::Bad;
use super::envelope::{Change, NO_BEFORE, alone, ends};
use super::json_members::{Finder, plain};
use super::json_scan::{Place, Scan};

/// Takes such records apart.
#[derive(Debug)]
pub(super) struct Captured {
    /// Whether rows stand in arrays.
    several: bool,
    /// Of `data`, `old` and `type`.
    members: Finder,
    scratch: Vec<u8>,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert,
    Update,
    Delete,
    /// To no row: the table was made, or its first rows begin or end.
    Nothing,
}

impl Captured {
    pub(super) fn new(several: bool) -> Self {
        let members = Finder::exact(["data", "old", "type"].into_iter());
        Self { several, members, scratch: Vec::new() }
    }

    /// Appends what a record says; `needs_before`: also what a row was that is replaced.
    pub(super) fn open<'a>(
        &mut self,
        payload: &'a [u8],
        needs_before: bool,
        out: &mut Vec<Change<'a>>,
    ) -> Result<(), &'static str> {
        let mut scan = Scan::new(payload);
        let places = self.members.find(&mut scan, &mut self.scratch, alone);
        let places: [Place; 3] = places.map_err(Bad::message)?.try_into().unwrap_or_default();
        ends(&mut scan)?;
        let [data, old, kind] = places;
        let kind = self.kind(&scan, kind)?;
        let is_there = |place: Place| place.is_somewhere() && scan.token_at(place).first() != b'n';
        if kind == Kind::Nothing || !is_there(data) {
            return Ok(());
        }
        let rows = self.rows(&scan, data).map_err(Bad::message)?;
        let old = match is_there(old) {
            true => self.rows(&scan, old).map_err(Bad::message)?,
            false => Vec::new(),
        };
        for (number, row) in rows.into_iter().enumerate() {
            let now = Some(Cow::Borrowed(row));
            out.push(match kind {
                Kind::Insert | Kind::Nothing => Change { before: None, after: now },
                Kind::Delete => Change { before: now, after: None },
                Kind::Update if !needs_before => Change { before: None, after: now },
                Kind::Update => {
                    let old = old.get(number).and_then(|old| over(row, old)).ok_or(NO_BEFORE)?;
                    Change { before: Some(Cow::Owned(old)), after: now }
                }
            });
        }
        Ok(())
    }

    fn kind(&mut self, scan: &Scan<'_>, place: Place) -> Result<Kind, &'static str> {
        let token = scan.token_at(place);
        if token.first() != b'"' {
            return Err("no member type");
        }
        let word = plain(token.string(), &mut self.scratch).map_err(Bad::message)?;
        Ok(match word.to_ascii_lowercase().as_slice() {
            b"insert" | b"bootstrap-insert" => Kind::Insert,
            b"update" => Kind::Update,
            b"delete" => Kind::Delete,
            b"create" | b"bootstrap-start" | b"bootstrap-complete" => Kind::Nothing,
            _ => return Err("a type that is none of insert, update and delete"),
        })
    }

    /// The texts of rows: of one, or of those in an array.
    fn rows<'a>(&self, scan: &Scan<'a>, place: Place) -> Result<Vec<&'a [u8]>, Bad> {
        if !self.several {
            return Ok(vec![scan.token_at(place).text]);
        }
        let mut scan = scan.at(place);
        if scan.peek()? != b'[' {
            return Err(Bad::Json);
        }
        let mut rows = Vec::new();
        let mut more = scan.open(b'[', b']')?;
        while more {
            let row = scan.place()?;
            rows.push(scan.token_at(row).text);
            more = scan.more(b']')?;
        }
        Ok(rows)
    }
}

/// The object with the members of `old` in the place of its own: of equal names the last counts.
fn over(row: &[u8], old: &[u8]) -> Option<Vec<u8>> {
    let [row, old] = [row, old].map(|text| {
        let inside = text.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
        Some(inside.trim_ascii())
    });
    let (row, old) = (row?, old?);
    let comma: &[u8] = if row.is_empty() || old.is_empty() { b"" } else { b"," };
    Some([b"{", row, comma, old, b"}"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(payload: &str, several: bool) -> Result<Vec<String>, String> {
        let mut out = Vec::new();
        Captured::new(several).open(payload.as_bytes(), true, &mut out)?;
        let text = |row: &Option<Cow<'_, [u8]>>| {
            row.as_deref().map_or(String::from("-"), |row| String::from_utf8_lossy(row).into())
        };
        Ok(out.iter().map(|c| format!("{} {}", text(&c.before), text(&c.after))).collect())
    }

    #[test]
    fn rows_are_as_they_are_and_as_they_were() {
        let canal = |kind: &str, old: &str| {
            let text = r#"{"data":[{"a":"1","b":"2"},{"a":"3"}],"old":OLD,"type":"KIND","ts":1}"#;
            open(&text.replace("OLD", old).replace("KIND", kind), true)
        };
        let rows = |rows: [&str; 2]| Ok(rows.map(str::to_string).to_vec());
        assert_eq!(canal("INSERT", "null"), rows([r#"- {"a":"1","b":"2"}"#, r#"- {"a":"3"}"#]));
        assert_eq!(canal("DELETE", "null"), rows([r#"{"a":"1","b":"2"} -"#, r#"{"a":"3"} -"#]));
        assert_eq!(
            canal("UPDATE", r#"[ { "b" : null } , {} ]"#),
            rows([r#"{"a":"1","b":"2","b" : null} {"a":"1","b":"2"}"#, r#"{"a":"3"} {"a":"3"}"#])
        );
        assert!(canal("UPDATE", "null").is_err());
        assert!(canal("UPDATE", "[{}]").is_err());
        assert_eq!(canal("CREATE", "null"), Ok(Vec::new()));
        assert_eq!(
            open(r#"{"data":null,"type":"ERASE"}"#, true),
            Err("a type that is none of insert, update and delete".into())
        );
        let maxwell = r#"{"type":"update","data":{"a":1},"old":{"a":0}}"#;
        assert_eq!(open(maxwell, false), Ok(vec![r#"{"a":1,"a":0} {"a":1}"#.to_string()]));
        assert_eq!(open(r#"{"type":"bootstrap-start","data":{}}"#, false), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_change_is_told() {
        for (payload, several) in [
            ("", false),
            ("[]", true),
            ("{}", false),
            (r#"{"type":1,"data":{}}"#, false),
            (r#"{"type":"x","data":{}}"#, false),
            (r#"{"type":"insert","data":{}}"#, true),
            (r#"{"type":"insert","data":[{}]}x"#, true),
            (r#"{"type":"update","data":[{}],"old":[3]}"#, true),
        ] {
            assert!(open(payload, several).is_err(), "{payload}");
        }
        let whole = r#"{"data":[{"a":"]"}],"old":[{"a":1}],"type":"UPDATE"}"#;
        for end in 0..whole.len() {
            assert!(open(&whole[..end], true).is_err(), "{end}");
        }
    }
}
