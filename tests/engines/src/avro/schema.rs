//! Random Avro schemas as JSON: all types and logical types, unions, named types used again, and
//! records that hold themselves.

use serde_json::{Value as Json, json};

use crate::source::Source;

/// Bytes of a record that holds itself or others, in its fields' names: more than one null word.
const MANY_FIELDS: usize = 66;

/// Logical types over a type of their own.
const LOGICAL: [(&str, &str); 11] = [
    ("string", "uuid"),
    ("bytes", "uuid"),
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "timestamp-nanos"),
    ("long", "local-timestamp-millis"),
    ("long", "local-timestamp-micros"),
    ("long", "local-timestamp-nanos"),
];

/// Makes the types of one schema.
pub(super) struct Schemas<'s, 'a> {
    s: &'s mut Source<'a>,
    names: usize,
    /// The records that what is made now stands in.
    around: Vec<String>,
    /// Named types that are whole.
    known: Vec<String>,
}

/// A record schema.
pub(super) fn record(s: &mut Source<'_>) -> Json {
    let depth = 1 + s.below(3);
    Schemas { s, names: 0, around: Vec::new(), known: Vec::new() }.record(depth)
}

/// A record schema whose names are numbered from one on.
pub(super) fn record_after(s: &mut Source<'_>, names: usize) -> Json {
    Schemas { s, names, around: Vec::new(), known: Vec::new() }.record(1)
}

/// A schema without names, for a field that is added.
pub(super) fn nameless(s: &mut Source<'_>) -> Json {
    let mut schemas = Schemas { s, names: 0, around: Vec::new(), known: Vec::new() };
    let scalar = schemas.nameless();
    match schemas.s.below(6) {
        0 => json!(["null", scalar]),
        1 => json!([scalar, "null"]),
        2 => json!({"type": "array", "items": scalar}),
        3 => json!({"type": "map", "values": scalar}),
        _ => scalar,
    }
}

impl Schemas<'_, '_> {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("N{}", self.names)
    }

    fn record(&mut self, depth: usize) -> Json {
        let name = self.name();
        let count = if self.s.once_in(50) { MANY_FIELDS } else { 1 + self.s.below(7) };
        self.around.push(name.clone());
        let fields: Vec<Json> = (0..count)
            .map(|i| json!({"name": format!("f{i}"), "type": self.schema(depth)}))
            .collect();
        self.around.pop();
        self.known.push(name.clone());
        json!({"type": "record", "name": name, "fields": fields})
    }

    fn schema(&mut self, depth: usize) -> Json {
        match self.s.below(if depth == 0 { 9 } else { 17 }) {
            0..=6 => self.scalar(),
            7 => {
                let scalar = self.scalar();
                self.or_null(scalar)
            }
            8 => match self.s.once_in(8) {
                true => json!("null"),
                false => self.again(),
            },
            9 => json!({"type": "array", "items": self.schema(depth - 1)}),
            10 => json!({"type": "map", "values": self.schema(depth - 1)}),
            11 => self.record(depth - 1),
            12 => {
                let record = self.record(depth - 1);
                self.or_null(record)
            }
            13 => {
                let array = json!({"type": "array", "items": self.schema(depth - 1)});
                self.or_null(array)
            }
            14 | 15 => self.union(depth - 1),
            _ => self.around(),
        }
    }

    fn or_null(&mut self, schema: Json) -> Json {
        if self.s.once_in(2) { json!([schema, "null"]) } else { json!(["null", schema]) }
    }

    /// A named type that was defined before.
    fn again(&mut self) -> Json {
        match self.known.is_empty() {
            true => self.scalar(),
            false => json!(self.s.pick(&self.known)),
        }
    }

    /// A record around this place, where data can come to an end.
    fn around(&mut self) -> Json {
        let name = self.s.pick(&self.around).clone();
        match self.s.below(3) {
            0 => json!(["null", name]),
            1 => json!({"type": "array", "items": name}),
            _ => json!({"type": "map", "values": name}),
        }
    }

    /// Several branches, of each type at most one that has no name. What defines names stays in the
    /// order in which it was made.
    fn union(&mut self, depth: usize) -> Json {
        let mut plain = Vec::new();
        for name in ["int", "string", "double", "boolean", "bytes", "float"] {
            if self.s.once_in(3) {
                plain.push(json!(name));
            }
        }
        if self.s.once_in(3) {
            plain.push(json!({"type": "long", "logicalType": "timestamp-millis"}));
        }
        let mut branches = Vec::new();
        if self.s.once_in(3) {
            branches.push(json!({"type": "array", "items": self.schema(depth)}));
        }
        if self.s.once_in(3) {
            branches.push(json!({"type": "map", "values": self.schema(depth)}));
        }
        for _ in 0..self.s.below(3) {
            let named = if self.s.once_in(2) { self.record(depth) } else { self.named() };
            branches.push(named);
        }
        while plain.len() + branches.len() < 2 {
            branches.push(self.named());
        }
        let at = if self.s.once_in(2) { branches.len() } else { 0 };
        branches.splice(at..at, plain);
        if self.s.once_in(2) {
            branches.insert(self.s.below(branches.len() + 1), json!("null"));
        }
        Json::Array(branches)
    }

    fn scalar(&mut self) -> Json {
        if self.s.below(5) < 4 { self.nameless() } else { self.named() }
    }

    fn nameless(&mut self) -> Json {
        const PLAIN: [&str; 10] = [
            "long", "string", "int", "boolean", "double", "float", "bytes", "string", "long", "int",
        ];
        match self.s.below(3) {
            0 | 1 if self.s.once_in(8) => {
                let precision = 1 + self.s.below(38);
                let scale = self.s.below(precision + 1);
                json!({"type": "bytes", "logicalType": "decimal", "precision": precision,
                       "scale": scale})
            }
            0 | 1 => json!(self.s.pick(&PLAIN)),
            _ => {
                let (base, logical) = *self.s.pick(&LOGICAL);
                json!({"type": base, "logicalType": logical})
            }
        }
    }

    fn named(&mut self) -> Json {
        let name = self.name();
        self.known.push(name.clone());
        match self.s.below(5) {
            0 => {
                let symbols: Vec<String> =
                    (0..1 + self.s.below(4)).map(|i| format!("S{i}")).collect();
                json!({"type": "enum", "name": name, "symbols": symbols})
            }
            1 => json!({"type": "fixed", "name": name, "size": self.s.below(20)}),
            2 => {
                let size = 1 + self.s.below(17);
                // The digits that so many bytes can hold, by log10(2).
                let precision = 1 + self.s.below(((8 * size - 1) * 301 / 1_000).clamp(1, 38));
                let scale = self.s.below(precision + 1);
                json!({"type": "fixed", "name": name, "size": size, "logicalType": "decimal",
                       "precision": precision, "scale": scale})
            }
            3 => json!({"type": "fixed", "name": name, "size": 16, "logicalType": "uuid"}),
            _ => json!({"type": "fixed", "name": name, "size": 12, "logicalType": "duration"}),
        }
    }
}
