//! The HTTP client against a real registry, which this test starts and stops.

#[path = "../../../tests/support/mod.rs"]
mod support;

use flow_registry::{
    CompatibilityLevel, Options, Reference, RegistryError, Schema, SchemaType, Verdict, open,
};

const V1: &str = r#"{"type":"record","name":"U","fields":[{"name":"id","type":"long"}]}"#;
const V2: &str = r#"{"type":"record","name":"U","fields":[{"name":"id","type":"long"},
    {"name":"city","type":["null","string"],"default":null}]}"#;
const BROKEN: &str = r#"{"type":"record","name":"U","fields":[{"name":"id","type":"string"}]}"#;

#[test]
fn a_subjects_life() {
    let server = support::SchemaRegistry::shared();
    let registry = open(server.url(), &Options::new("avro-confluent.url")).unwrap();
    let subject = "eu/orders v1-value";
    assert_eq!(registry.latest(subject).unwrap(), None);
    assert_eq!(registry.versions(subject).unwrap(), Vec::<u32>::new());
    assert_eq!(registry.compatibility(subject).unwrap(), CompatibilityLevel::Backward);
    let first = Schema::avro(V1);
    assert_eq!(registry.check_compatible(subject, &first).unwrap(), Verdict::Compatible);

    let id = registry.register(subject, &first).unwrap();
    assert_eq!(registry.register(subject, &first).unwrap(), id);
    assert_eq!(registry.register("another-value", &first).unwrap(), id);
    assert!(registry.subjects().unwrap().contains(&subject.to_owned()));
    assert_eq!(registry.by_id(id).unwrap(), Some(first.clone()));
    assert_eq!(registry.by_id(1_000_000).unwrap(), None);

    let second = Schema::avro(V2);
    assert_eq!(registry.check_compatible(subject, &second).unwrap(), Verdict::Compatible);
    let newer = registry.register(subject, &second).unwrap();
    let latest = registry.latest(subject).unwrap().unwrap();
    assert_eq!((latest.id, latest.version, latest.subject.as_str()), (newer, 2, subject));
    assert_eq!(registry.versions(subject).unwrap(), [1, 2]);
    assert_eq!(registry.version(subject, 1).unwrap().unwrap().schema, first);
    assert_eq!(registry.version(subject, 9).unwrap(), None);
    assert_eq!(registry.compatibility(subject).unwrap(), CompatibilityLevel::Backward);
}

#[test]
fn refusals_say_why() {
    let server = support::SchemaRegistry::shared();
    let registry = open(server.url(), &Options::new("avro-confluent.url")).unwrap();
    registry.register("refusals-value", &Schema::avro(V1)).unwrap();
    let broken = Schema::avro(BROKEN);
    let verdict = registry.check_compatible("refusals-value", &broken).unwrap();
    assert!(matches!(verdict, Verdict::Incompatible(_)), "{verdict:?}");
    let error = registry.register("refusals-value", &broken).unwrap_err();
    let RegistryError::Incompatible { subject, messages } = &error else { panic!("{error}") };
    assert_eq!(subject, "refusals-value");
    assert!(messages.concat().contains("STRING"), "{error}");
    let error = registry.register("new-value", &Schema::avro(r#"{"type":"rec"}"#)).unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error}");

    let root = server.url().trim_end_matches("/apis/ccompat/v7");
    let registry = open(root, &Options::new("avro-confluent.url")).unwrap();
    let error = registry.latest("refusals-value").unwrap_err().to_string();
    assert!(error.contains("no schema registry at this path"), "{error}");
}

#[test]
fn types_and_references_come_back() {
    let server = support::SchemaRegistry::shared();
    let registry = open(server.url(), &Options::new("avro-confluent.url")).unwrap();
    registry.register("part-value", &Schema::avro(V1)).unwrap();
    let whole = Schema {
        references: vec![Reference { name: "U".into(), subject: "part-value".into(), version: 1 }],
        ..Schema::avro(r#"{"type":"record","name":"V","fields":[{"name":"u","type":"U"}]}"#)
    };
    registry.register("whole-value", &whole).unwrap();
    assert_eq!(registry.latest("whole-value").unwrap().unwrap().schema, whole);
    let json = Schema {
        schema_type: SchemaType::Json,
        ..Schema::avro(r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#)
    };
    let id = registry.register("json-value", &json).unwrap();
    assert_eq!(registry.by_id(id).unwrap(), Some(json));
}

#[test]
fn a_registry_that_comes_back_still_knows_its_ids() {
    let mut server = support::SchemaRegistry::start();
    let registry = open(server.url(), &Options::new("avro-confluent.url")).unwrap();
    let id = registry.register("s-value", &Schema::avro(V1)).unwrap();
    server.stop();
    let error = registry.by_id(id).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    server.restart();
    assert_eq!(registry.by_id(id).unwrap(), Some(Schema::avro(V1)));
}

/// Options with the certificates of this file.
fn trusting(ca: &str) -> Options {
    let mut options = Options::new("avro-confluent.url");
    assert!(options.set("ssl.ca.location", ca));
    options.first_backoff = std::time::Duration::from_millis(1);
    options
}

#[test]
fn over_https_with_an_authority_of_its_own() {
    let server = support::SchemaRegistry::start_secure();
    assert!(server.url().starts_with("https://"));
    let registry = open(server.url(), &trusting(&server.tls("ca.pem"))).unwrap();
    let id = registry.register("s-value", &Schema::avro(V1)).unwrap();
    assert_eq!(registry.by_id(id).unwrap(), Some(Schema::avro(V1)));
    let strange = open(server.url(), &trusting(&server.tls("other-ca.pem"))).unwrap();
    let usual = open(server.url(), &Options::new("avro-confluent.url")).unwrap();
    for registry in [strange, usual] {
        let error = registry.by_id(id).unwrap_err().to_string();
        assert!(error.contains(server.url()) && error.contains("certificate"), "{error}");
        assert!(error.contains("avro-confluent.ssl.ca.location"), "{error}");
    }
}
