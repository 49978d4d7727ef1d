//! Finding members of JSON objects. Writers keep to one order and one way of writing names, so what
//! stood before each value of the last object is compared first, with what is there now, at once.

use super::Bad;
use super::json_scan::{Beginning, Place, RawString, Scan, unescape};

/// Members whose beginnings are remembered, and bytes of one.
const KNOWN_MEMBERS: usize = 256;
const KNOWN_BYTES: usize = 64;

/// Finds the wanted members of objects.
#[derive(Debug)]
pub(super) struct Finder {
    names: Vec<Box<[u8]>>,
    /// Whether only names count that are the wanted ones.
    exact: bool,
    /// Where each one's value stands in the object that was gone through last.
    places: Vec<Place>,
    /// The members of that object in order: what stands there before the value, from the quote on,
    /// and which wanted one it is.
    known: Vec<(Beginning, Option<Wanted>)>,
}

/// A wanted member that one of an object is.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    at: usize,
    /// Its name is the wanted one; else it differs in case, and counts where no other does.
    exact: bool,
}

impl Finder {
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let names: Vec<Box<[u8]>> = names.map(|name| name.as_bytes().into()).collect();
        let places = vec![Place::default(); names.len()];
        Self { places, names, exact: false, known: Vec::new() }
    }

    /// Of members of these very names.
    pub(super) fn exact<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        Self { exact: true, ..Self::new(names) }
    }

    /// Goes through an object, every value of which is passed over and checked; gives where those
    /// of the wanted members stand. Of equal names the last one counts; of those that differ from a
    /// wanted one in case the first, where none is equal. `inner` may go through the value of a
    /// wanted member itself, and says where that stands.
    pub(super) fn find(
        &mut self,
        scan: &mut Scan<'_>,
        scratch: &mut Vec<u8>,
        mut inner: impl FnMut(usize, &mut Scan<'_>, &mut Vec<u8>) -> Result<Option<Place>, Bad>,
    ) -> Result<&[Place], Bad> {
        if scan.peek()? != b'{' {
            return Err(Bad::NotObject);
        }
        self.places.fill(Place::default());
        let mut more = scan.open(b'{', b'}')?;
        let mut number = 0;
        while more {
            scan.peek()?;
            let member = match self.known.get(number) {
                Some((before, member)) if scan.eat_all(before) => *member,
                Some(_) | None => self.learn(number, scan, scratch)?,
            };
            number += 1;
            let counts = |m: &Wanted| m.exact || !self.places[m.at].is_somewhere();
            let member = member.filter(counts).map(|member| member.at);
            let inside = match member {
                Some(member) => inner(member, scan, scratch)?,
                None => None,
            };
            let place = match inside {
                Some(place) => place,
                None => scan.place()?,
            };
            if let Some(member) = member {
                self.places[member] = place;
            }
            more = scan.more(b'}')?;
        }
        Ok(&self.places)
    }

    /// What `find` gave last.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The wanted member of this name, else the only one whose name differs in case.
    fn wanted(&self, name: &[u8]) -> Option<Wanted> {
        if let Some(at) = self.names.iter().position(|wanted| **wanted == *name) {
            return Some(Wanted { at, exact: true });
        }
        if self.exact {
            return None;
        }
        let mut blind =
            (0..self.names.len()).filter(|at| self.names[*at].eq_ignore_ascii_case(name));
        let at = blind.next().filter(|_| blind.next().is_none())?;
        Some(Wanted { at, exact: false })
    }

    /// Reads a member's name; which wanted one it is.
    #[cold]
    fn learn(
        &mut self,
        number: usize,
        scan: &mut Scan<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<Wanted>, Bad> {
        let start = scan.position();
        let name = plain(scan.name()?, scratch)?;
        let member = self.wanted(name);
        let before = scan.since(start);
        if before.len() <= KNOWN_BYTES && number <= self.known.len() && number < KNOWN_MEMBERS {
            if number == self.known.len() {
                self.known.push((Beginning::default(), None));
            }
            let known = &mut self.known[number];
            known.0.set(before);
            known.1 = member;
        }
        Ok(member)
    }
}

/// A string's characters: its own bytes, or `scratch` with the escapes resolved.
#[inline]
pub(super) fn plain<'s>(raw: RawString<'s>, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Bad> {
    if !raw.escaped {
        return Ok(raw.text);
    }
    scratch.clear();
    unescape(raw.text, scratch)?;
    Ok(scratch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'t>(finder: &mut Finder, text: &'t str) -> Vec<&'t str> {
        let mut scan = Scan::new(text.as_bytes());
        let found = finder.find(&mut scan, &mut Vec::new(), |_, _, _| Ok(None));
        let places = found.expect("an object").to_vec();
        let text = |place| std::str::from_utf8(scan.token_at(place).text).expect("text");
        places.into_iter().map(text).collect()
    }

    #[test]
    fn a_name_in_another_case_counts_where_no_other_does() {
        let mut finder = Finder::new(["a", "Ab", "aB"].into_iter());
        for _ in 0..2 {
            assert_eq!(found(&mut finder, r#"{"A":1,"aB":2,"AB":3}"#), ["1", "", "2"]);
            assert_eq!(found(&mut finder, r#"{"A":1,"a":2}"#), ["2", "", ""]);
            assert_eq!(found(&mut finder, r#"{"a":1,"A":2}"#), ["1", "", ""]);
        }
    }

    #[test]
    fn what_is_known_of_the_last_object_decides_nothing() {
        let mut finder = Finder::new(["a", "b"].into_iter());
        for _ in 0..2 {
            assert_eq!(found(&mut finder, r#"{"a":1,"c":[{}],"b":"x"}"#), ["1", "\"x\""]);
            assert_eq!(found(&mut finder, r#"{"b" : 2 , "a":{"b":3}}"#), ["{\"b\":3}", "2"]);
            assert_eq!(found(&mut finder, r#"{"\u0061":1,"a":2}"#), ["2", ""]);
            assert_eq!(found(&mut finder, r#"{"a":"}","aa":3}"#), ["\"}\"", ""]);
            assert_eq!(found(&mut finder, "{}"), ["", ""]);
        }
        let many: Vec<String> = (0..600).map(|i| format!("\"k{i}\":{i}")).collect();
        let many = format!("{{{},\"b\":4}}", many.join(","));
        for _ in 0..2 {
            assert_eq!(found(&mut finder, &many), ["", "4"]);
        }
    }
}
