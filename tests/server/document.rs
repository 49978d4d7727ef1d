//! The OpenAPI document against the server: requests are made from it, good ones and bad ones, and
//! every answer has to be one that it describes. The numbers that choose are fixed, so a failure
//! comes again.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Answer, Sandbox, Server, clicks};

/// A job with a view, under the name that requests are made for.
const COUNTS: &str = "
SET 'job.name' = 'counts';
CREATE STREAM clicks (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE MATERIALIZED VIEW counts AS SELECT page, COUNT(*) AS clicks FROM clicks GROUP BY page;
";

/// Declares the stream that requests write to.
const CLICKS: &str = "CREATE STREAM clicks (page STRING NOT NULL, n BIGINT)
WITH (connector = 'kafka', format = 'json');";

/// A question that has an answer.
const QUESTION: &str = "SELECT page, clicks FROM counts";

/// Operations whose success goes on without end; other tests have them.
const ENDLESS: [&str; 2] = ["POST /v1/query/stream", "GET /v1/query/socket"];

/// Requests of each operation.
const REQUESTS: usize = 60;

/// Small numbers without a pattern (SplitMix64).
struct Dice(u64);

impl Dice {
    /// For one request of an operation, whatever the others are.
    fn of(operation: &str, round: usize) -> Self {
        let seed = |so_far: u64, byte: u8| so_far.wrapping_mul(31).wrapping_add(byte.into());
        Self(operation.bytes().fold(round as u64, seed))
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll() as usize % of.len()]
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll().is_multiple_of(n)
    }
}

/// Texts that a body may hold.
const TEXTS_IN_BODIES: [&str; 8] =
    [COUNTS, CLICKS, QUESTION, "clicks", "counts", "", "';--", "\u{0}"];

/// Texts that a path or a query may hold, encoded.
const TEXTS: [&str; 14] = [
    "counts",
    "clicks",
    "none",
    "clicks-value",
    "..",
    "%2e%2e%2f",
    "a%00b",
    "%F0%9F%A6%80",
    "'",
    "1",
    "-1",
    "true",
    "a b",
    "%22%3B",
];

/// What makes sense for a property of this name.
fn hint(name: &str) -> Option<Value> {
    match name {
        "source" => Some(json!(COUNTS)),
        "sql" => Some(json!(QUESTION)),
        "declarations" => Some(json!(CLICKS)),
        "stream" => Some(json!("clicks")),
        "records" => Some(json!([{"page": "p"}])),
        _ => None,
    }
}

/// What there is under a path.
fn there_is(path: &str) -> &'static str {
    match path.split('/').nth(2) {
        Some("topics" | "streams") => "clicks",
        Some("schemas") => "clicks-value",
        _ => "counts",
    }
}

struct Document(Value);

impl Document {
    /// What a reference stands for.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(path) => {
                let pointer = path.strip_prefix('#').expect("a reference inside the document");
                self.resolve(self.0.pointer(pointer).expect("it is there"))
            }
            None => schema,
        }
    }

    /// A value of a schema, or now and then of none.
    fn value(&self, schema: &Value, dice: &mut Dice, depth: u32) -> Value {
        let schema = self.resolve(schema);
        if dice.one_in(9) || depth > 5 {
            let odd = [json!(null), json!(-1), json!("x"), json!([]), json!({}), json!(1e300)];
            return dice.pick(&odd).clone();
        }
        for either in ["oneOf", "anyOf", "enum"] {
            if let Some(all) = schema[either].as_array() {
                let one = dice.pick(all);
                return if either == "enum" { one.clone() } else { self.value(one, dice, depth) };
            }
        }
        match schema["type"].as_str().or(schema["type"][0].as_str()) {
            Some("object") => {
                let mut object = Map::new();
                let required = schema["required"].as_array();
                for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                    let must = required.is_some_and(|all| all.contains(&json!(name)));
                    if dice.one_in(if must { 9 } else { 2 }) {
                        continue;
                    }
                    let value = match hint(name) {
                        Some(hint) if !dice.one_in(3) => hint,
                        _ => self.value(inner, dice, depth + 1),
                    };
                    object.insert(name.clone(), value);
                }
                if dice.one_in(3) {
                    object.insert("page".into(), json!("p"));
                }
                Value::Object(object)
            }
            Some("array") => {
                let items =
                    (0..dice.roll() % 3).map(|_| self.value(&schema["items"], dice, depth + 1));
                items.collect()
            }
            Some("integer" | "number") => json!(dice.roll() % 300),
            Some("boolean") => json!(dice.one_in(2)),
            _ => json!(dice.pick(&TEXTS_IN_BODIES)),
        }
    }

    /// Whether a value is what a schema says.
    fn check(&self, schema: &Value, value: &Value, at: &str) {
        let schema = self.resolve(schema);
        if let Some(all) = schema["oneOf"].as_array() {
            let null = all.iter().any(|one| one["type"] == "null");
            if !(null && value.is_null()) {
                let other = all.iter().find(|one| one["type"] != "null").expect("a schema");
                self.check(other, value, at);
            }
            return;
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value, at);
        }
        if let Some(all) = schema["enum"].as_array() {
            assert!(all.contains(value), "{at}: {value} is none of {all:?}");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let fits = types.contains(&is) || is == "integer" && types.contains(&"number");
        assert!(fits, "{at}: {value} is no {types:?}");
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().expect("a name");
            // Those that may be null may be left out.
            let inner = self.resolve(&schema["properties"][name]).to_string();
            assert!(value.get(name).is_some() || inner.contains("null"), "{at}: no {name}");
        }
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(found) = value.get(name) {
                self.check(inner, found, &format!("{at}.{name}"));
            }
        }
        for (place, item) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], item, &format!("{at}[{place}]"));
        }
    }

    /// Asks once for an operation, and holds the answer against it.
    fn ask(
        &self,
        server: &Server,
        method: &str,
        path: &str,
        operation: &Value,
        dice: &mut Dice,
    ) -> u16 {
        let (mut url, mut query, mut headers) = (path.to_string(), Vec::new(), Vec::new());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().expect("a name");
            let text = match dice.one_in(2) {
                true => there_is(path),
                false => *dice.pick(&TEXTS),
            };
            let text = text.replace(' ', "%20");
            match parameter["in"].as_str() {
                Some("path") => url = url.replace(&format!("{{{name}}}"), &text),
                Some("query") if name == "follow" => query.push(format!("{name}=false")),
                Some("query") if dice.one_in(3) => {
                    let value = self.value(&parameter["schema"], dice, 0);
                    let value = value.as_str().map_or(value.to_string(), |_| text.clone());
                    query.push(format!("{name}={}", value.replace(['{', '}', '[', ']'], "")));
                }
                Some("header") if dice.one_in(3) => headers.push((name, "key")),
                _ => {}
            }
        }
        if !query.is_empty() {
            url = format!(
                "{url}?{}",
                query.join("&").replace(['\n', ' ', '"', '\'', ';', '\0'], "+")
            );
        }
        let contents = operation["requestBody"]["content"].as_object();
        let body = contents.map(|contents| {
            let kinds: Vec<&String> = contents.keys().collect();
            let kind = *dice.pick(&kinds);
            let value = self.value(&contents[kind]["schema"], dice, 0);
            let bytes = match kind.contains("json") && !dice.one_in(10) {
                true => value.to_string().into_bytes(),
                false => format!("FLOWJOB {value}").into_bytes(),
            };
            (kind.as_str(), bytes)
        });
        let body = body.as_ref().map(|(kind, bytes)| (*kind, bytes.as_slice()));
        let answer = match ENDLESS.contains(&format!("{method} {path}").as_str()) {
            // Its body goes on for ever when it succeeds.
            true => {
                let answer = server.exchange(method, &url, body, &headers);
                Answer { status: answer.status().as_u16(), text: String::new() }
            }
            false => server.ask_with(method, &url, body, &headers),
        };
        let at = format!("{method} {url}");
        let described = &operation["responses"][answer.status.to_string()];
        // A path that a name broke out of is another path.
        let other = url.contains("/..") && [400, 404, 405].contains(&answer.status);
        assert!(described.is_object() || other, "{at}: {answer:?} is not described");
        // A question comes too early for a job that starts, or gives itself no time.
        let asks = path.starts_with("/v1/query") || path.starts_with("/v1/views");
        let untimely = asks && [503, 504].contains(&answer.status);
        assert!(answer.status < 500 || untimely, "{at}: {answer:?}");
        let schema = &described["content"]["application/json"]["schema"];
        if schema.is_object() && !other && !answer.text.is_empty() {
            self.check(schema, &answer.json(), &at);
        }
        answer.status
    }
}

#[test]
fn every_answer_is_one_that_the_document_describes() {
    let sandbox = Sandbox::new();
    sandbox.fill("clicks", 2, "page", &clicks(0..5));
    sandbox.write("click.avsc", "{\"type\": \"record\", \"name\": \"Click\", \"fields\": []}");
    sandbox.must(&["schema", "register", "clicks-value", "click.avsc", "--local", "data"]);
    let server = Server::start_in(sandbox, &[]);
    let document = Document(server.get("/v1/openapi.json").expect(200));
    assert!(document.0["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")));
    let mut succeeded = BTreeSet::new();
    for round in 0..REQUESTS {
        if round % 4 == 0 {
            server.submit("", COUNTS);
        }
        for (path, operations) in document.0["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                let method = method.to_uppercase();
                let name = format!("{method} {path}");
                let mut dice = Dice::of(&name, round);
                let status = document.ask(&server, &method, path, operation, &mut dice);
                if status < 300 {
                    succeeded.insert(name);
                }
            }
        }
    }
    server.get("/health").expect(200);
    let all: BTreeSet<String> = document.0["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().expect("operations").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    succeeded.extend(ENDLESS.map(String::from));
    let never: Vec<_> = all.difference(&succeeded).collect();
    assert!(never.is_empty(), "nothing of this ever succeeded: {never:?}");
}
