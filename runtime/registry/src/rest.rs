//! The wire side of Confluent's REST API as pure functions: bodies, what an answer means, and
//! whether and when to ask again. Nothing here does I/O.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Reference, Schema, SchemaType};

/// What requests and answers are made of.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Requests are asked at most so many times in all; each of them may be asked twice without harm.
pub(crate) const TRIES_MAX: u32 = 5;

/// The longest wait between two tries.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What came of one try.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// The registry answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The body, JSON if the peer is a registry.
        body: Vec<u8>,
    },
    /// The peer is not who it should be.
    Untrusted {
        /// What is wrong with its certificate.
        reason: String,
    },
    /// No answer.
    Failed {
        /// What happened.
        reason: String,
        /// Whether another try may fare better.
        transient: bool,
    },
}

impl Exchange {
    /// How long to wait before the next try after so many; `None` if this is the end of it: an
    /// answer, a failure that would repeat itself, or the last try.
    pub(crate) fn wait(&self, tries: u32, first_backoff: Duration) -> Option<Duration> {
        let again = match self {
            Exchange::Answered { status, .. } => matches!(status, 429 | 500 | 502..=599),
            Exchange::Untrusted { .. } => false,
            Exchange::Failed { transient, .. } => *transient,
        };
        let doublings = tries.saturating_sub(1).min(16);
        let wait = first_backoff.saturating_mul(1 << doublings).min(BACKOFF_MAX);
        (again && tries < TRIES_MAX).then_some(wait)
    }
}

/// What an answer means, by its status and the error code in its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The request was carried out; the body holds the result.
    Done,
    /// The subject, version or schema is not there.
    Absent,
    /// The credentials do not do.
    Denied(String),
    /// The schema breaks the subject's rule.
    Incompatible(String),
    /// The schema or the subject is refused.
    Invalid(String),
    /// Anything else.
    Unexpected(String),
}

impl Answer {
    /// The registry's codes for a missing thing are 404xx; a bare 404 comes from a wrong path.
    pub(crate) fn of(status: u16, body: &[u8]) -> Answer {
        let problem = serde_json::from_slice::<Problem>(body).unwrap_or_default();
        let message = problem.message.unwrap_or_else(|| excerpt(body));
        match (status, problem.error_code) {
            (200..=299, _) => Answer::Done,
            (401 | 403, _) => Answer::Denied(message),
            (404, Some(40_400..=40_499)) => Answer::Absent,
            (404, _) => Answer::Unexpected(format!(
                "no schema registry at this path (Apicurio's is /apis/ccompat/v7): {message}"
            )),
            (409, _) => Answer::Incompatible(message),
            (422, _) => Answer::Invalid(message),
            _ => Answer::Unexpected(message),
        }
    }

    /// The same with other words.
    pub(crate) fn map(self, words: impl FnOnce(String) -> String) -> Answer {
        match self {
            Answer::Done => Answer::Done,
            Answer::Absent => Answer::Absent,
            Answer::Denied(why) => Answer::Denied(words(why)),
            Answer::Incompatible(why) => Answer::Incompatible(words(why)),
            Answer::Invalid(why) => Answer::Invalid(words(why)),
            Answer::Unexpected(why) => Answer::Unexpected(words(why)),
        }
    }
}

/// An error's body.
#[derive(Default, Deserialize)]
struct Problem {
    error_code: Option<i64>,
    message: Option<String>,
}

/// The beginning of a body that is not a registry's: an HTML page, as a rule.
fn excerpt(body: &[u8]) -> String {
    const EXCERPT_BYTES_MAX: usize = 200;
    let text = String::from_utf8_lossy(body.get(..EXCERPT_BYTES_MAX).unwrap_or(body));
    match text.split_whitespace().collect::<Vec<_>>().join(" ") {
        empty if empty.is_empty() => "without a word".to_string(),
        text => text,
    }
}

/// A schema in a request or an answer; Avro and no references go without saying.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireSchema {
    schema: String,
    #[serde(default, skip_serializing_if = "is_avro", deserialize_with = "absent_is_default")]
    schema_type: SchemaType,
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "absent_is_default"
    )]
    references: Vec<Reference>,
}

fn is_avro(schema_type: &SchemaType) -> bool {
    *schema_type == SchemaType::Avro
}

/// Some registries write `null` for what is not there.
fn absent_is_default<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl From<&Schema> for WireSchema {
    fn from(schema: &Schema) -> WireSchema {
        WireSchema {
            schema: schema.text.clone(),
            schema_type: schema.schema_type,
            references: schema.references.clone(),
        }
    }
}

impl From<WireSchema> for Schema {
    fn from(wire: WireSchema) -> Schema {
        Schema { schema_type: wire.schema_type, text: wire.schema, references: wire.references }
    }
}

/// A schema as a version of a subject.
#[derive(Deserialize)]
pub(crate) struct WireVersion {
    pub(crate) subject: String,
    pub(crate) version: u32,
    pub(crate) id: u32,
    #[serde(flatten)]
    pub(crate) schema: WireSchema,
}

/// The answer to a registration.
#[derive(Deserialize)]
pub(crate) struct WireId {
    pub(crate) id: u32,
}

/// The level of a subject or of the registry.
#[derive(Deserialize)]
pub(crate) struct WireLevel {
    #[serde(rename = "compatibilityLevel")]
    pub(crate) level: String,
}

/// The answer to a compatibility question.
#[derive(Deserialize)]
pub(crate) struct WireVerdict {
    pub(crate) is_compatible: bool,
    #[serde(default, deserialize_with = "absent_is_default")]
    pub(crate) messages: Vec<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Duration = Duration::from_millis(100);

    fn answered(status: u16) -> Exchange {
        Exchange::Answered { status, body: Vec::new() }
    }

    #[test]
    fn answers_are_told_apart_by_status_and_code() {
        let json = |code: u32| format!(r#"{{"error_code":{code},"message":"why"}}"#);
        let of = |status, body: &str| Answer::of(status, body.as_bytes());
        assert_eq!(of(200, "{}"), Answer::Done);
        assert_eq!(of(404, &json(40_401)), Answer::Absent);
        assert_eq!(of(404, &json(40_403)), Answer::Absent);
        assert_eq!(of(401, &json(401)), Answer::Denied("why".into()));
        assert_eq!(of(403, "<html>\n no  </html>"), Answer::Denied("<html> no </html>".into()));
        assert_eq!(of(409, &json(409)), Answer::Incompatible("why".into()));
        assert_eq!(of(422, &json(42_201)), Answer::Invalid("why".into()));
        assert_eq!(of(500, &json(50_001)), Answer::Unexpected("why".into()));
        let Answer::Unexpected(message) = of(404, "<h1>nginx</h1>") else { panic!("a bare 404") };
        assert!(message.contains("no schema registry") && message.contains("nginx"), "{message}");
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        for status in [429, 500, 502, 503, 504] {
            assert_eq!(answered(status).wait(1, FIRST), Some(FIRST), "{status}");
            assert_eq!(answered(status).wait(TRIES_MAX, FIRST), None, "{status}");
        }
        for status in [200, 401, 404, 409, 422, 501] {
            assert_eq!(answered(status).wait(1, FIRST), None, "{status}");
        }
        let failed = |transient| Exchange::Failed { reason: String::new(), transient };
        assert_eq!(failed(true).wait(3, FIRST), Some(FIRST * 4));
        assert_eq!(failed(false).wait(1, FIRST), None);
        assert_eq!(failed(true).wait(4, Duration::from_secs(3600)), Some(BACKOFF_MAX));
    }

    #[test]
    fn avro_without_references_goes_without_saying() {
        let body = serde_json::to_string(&WireSchema::from(&Schema::avro("\"long\""))).unwrap();
        assert_eq!(body, r#"{"schema":"\"long\""}"#);
        let text = r#"{"schema":"{}","schemaType":"JSON","references":[
            {"name":"N","subject":"s","version":3}]}"#;
        let schema = Schema::from(serde_json::from_str::<WireSchema>(text).unwrap());
        assert_eq!(schema.schema_type, SchemaType::Json);
        assert_eq!(schema.references[0].version, 3);
        let nulls = r#"{"schema":"{}","schemaType":null,"references":null}"#;
        let schema = Schema::from(serde_json::from_str::<WireSchema>(nulls).unwrap());
        assert_eq!(schema, Schema::avro("{}"));
    }

    proptest! {
        #[test]
        fn any_body_has_a_meaning(status in 100u16..1000, body in any::<Vec<u8>>()) {
            let done = Answer::of(status, &body) == Answer::Done;
            prop_assert_eq!(done, (200..300).contains(&status));
        }
    }
}
