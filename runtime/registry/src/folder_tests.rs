//! The folder registry: layouts, ids, and what a hand in the folder can do.

use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const LONG: &str = r#"{"type":"record","name":"R","fields":[{"name":"x","type":"long"}]}"#;
const LONG_LAID_OUT: &str = r#"{
  "name": "R", "type": "record",
  "fields": [{ "type": "long", "name": "x" }]
}
"#;
const TEXT: &str = r#"{"type":"record","name":"R","fields":[{"name":"x","type":"string"}]}"#;

fn registry() -> (TempDir, FolderRegistry) {
    let dir = tempfile::tempdir().unwrap();
    let registry = FolderRegistry::open(dir.path()).unwrap();
    (dir, registry)
}

fn put(dir: &TempDir, name: &str, text: &str) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn registered_versions_and_ids_are_found_again() {
    let (dir, registry) = registry();
    let (long, text) = (Schema::avro(LONG), Schema::avro(TEXT));
    assert_eq!(registry.register("a/b-value", &long).unwrap(), 1);
    assert_eq!(registry.register("a/b-value", &text).unwrap(), 2);
    assert_eq!(registry.register("a/b-value", &Schema::avro(LONG_LAID_OUT)).unwrap(), 1);
    assert_eq!(registry.register("other", &text).unwrap(), 2, "one schema, one id");
    let json = Schema { schema_type: SchemaType::Json, ..text.clone() };
    assert_eq!(registry.register("other", &json).unwrap(), 3, "another type is another schema");

    let again = FolderRegistry::open(dir.path()).unwrap();
    assert_eq!(again.subjects().unwrap(), ["a/b-value", "other"]);
    assert_eq!(again.versions("a/b-value").unwrap(), [1, 2]);
    let latest = again.latest("a/b-value").unwrap().unwrap();
    assert_eq!((latest.version, latest.id, &latest.schema), (2, 2, &text));
    assert_eq!(again.version("a/b-value", 1).unwrap().unwrap().schema, long);
    assert_eq!(again.version("a/b-value", 3).unwrap(), None);
    assert_eq!(again.by_id(3).unwrap(), Some(json));
    assert_eq!(again.by_id(4).unwrap(), None);
    assert!(dir.path().join("a%2Fb-value/2.avsc").is_file());
    assert!(!dir.path().join("a%2Fb-value/2.tmp").exists());
}

#[test]
fn plain_files_are_a_registry_that_reading_does_not_change() {
    let (dir, registry) = registry();
    put(&dir, "orders.avsc", LONG_LAID_OUT);
    put(&dir, "payments-value.avsc", TEXT);
    put(&dir, "README.md", "# Schemas");
    assert_eq!(registry.subjects().unwrap(), ["orders", "payments-value"]);
    let orders = registry.latest("orders-value").unwrap().unwrap();
    assert_eq!((orders.version, &*orders.subject), (1, "orders-value"));
    assert_eq!(registry.latest("orders").unwrap().unwrap().id, orders.id);
    assert_eq!(registry.by_id(orders.id).unwrap().unwrap().text, LONG_LAID_OUT.trim());
    assert_eq!(registry.versions("payments").unwrap(), Vec::<u32>::new());
    assert_eq!(registry.register("orders-value", &Schema::avro(LONG)).unwrap(), orders.id);
    assert!(!dir.path().join(IDS).exists());
}

#[test]
fn an_unregistered_id_depends_on_the_schema_alone() {
    let id = |name: &str, text: &str, subject: &str| {
        let (dir, registry) = registry();
        put(&dir, "another.avsc", TEXT);
        put(&dir, name, text);
        registry.latest(subject).unwrap().unwrap().id
    };
    let want = id("orders.avsc", LONG, "orders-value");
    assert!((HASH_IDS..1 << 31).contains(&want));
    assert_eq!(id("orders.avsc", LONG_LAID_OUT, "orders"), want);
    assert_eq!(id("s/1.avsc", LONG, "s"), want);
    assert_ne!(id("orders.avsc", TEXT, "orders"), want);
}

#[test]
fn a_plain_file_can_be_evolved_by_registering() {
    let (dir, registry) = registry();
    put(&dir, "orders.avsc", LONG);
    let first = registry.latest("orders-value").unwrap().unwrap();
    assert_eq!(registry.register("orders-value", &Schema::avro(TEXT)).unwrap(), 1);
    assert_eq!(registry.versions("orders-value").unwrap(), [1, 2]);
    assert_eq!(registry.version("orders-value", 1).unwrap(), Some(first.clone()));
    assert_eq!(registry.by_id(first.id).unwrap(), Some(first.schema));
    assert_eq!(registry.subjects().unwrap(), ["orders-value"]);
    assert!(dir.path().join("orders-value/2.avsc").is_file());
}

#[test]
fn a_subjects_own_files_come_before_plain_ones() {
    let (dir, registry) = registry();
    put(&dir, "s.avsc", LONG);
    put(&dir, "s-value.avsc", TEXT);
    assert_eq!(registry.latest("s-value").unwrap().unwrap().schema.text, TEXT);
    put(&dir, "s-value/1.avsc", "\"int\"");
    assert_eq!(registry.latest("s-value").unwrap().unwrap().schema.text, "\"int\"");
}

#[test]
fn a_hash_id_outlives_the_registration_of_its_schema_elsewhere() {
    let (dir, registry) = registry();
    put(&dir, "s/1.avsc", LONG);
    let by_hand = registry.latest("s").unwrap().unwrap();
    assert_eq!(registry.register("t", &Schema::avro(LONG)).unwrap(), 1);
    assert_eq!(registry.latest("s").unwrap().unwrap().id, by_hand.id);
    fs::remove_dir_all(dir.path().join("s")).unwrap();
    assert_eq!(registry.by_id(by_hand.id).unwrap().unwrap().text, LONG);
}

#[test]
fn broken_files_are_named() {
    let (dir, registry) = registry();
    put(&dir, "orders.avsc", "{ \"type\": ");
    let error = registry.latest("orders").unwrap_err().to_string();
    assert!(error.contains("orders.avsc") && error.contains("line 1"), "{error}");
    assert_eq!(registry.by_id(HASH_IDS + 1).unwrap(), None, "it has no id");
    put(&dir, "s/1.avsc", LONG);
    put(&dir, "s/1.proto", "message M {}");
    let error = registry.versions("s").unwrap_err().to_string();
    assert!(error.contains("1.proto") && error.contains("1.avsc"), "{error}");
    registry.register("t", &Schema::avro(TEXT)).unwrap();
    fs::remove_file(dir.path().join("t/1.avsc")).unwrap();
    let error = registry.by_id(1).unwrap_err().to_string();
    assert!(error.contains("id 1") && error.contains("t/1"), "{error}");
    put(&dir, IDS, "[]");
    let error = registry.latest("t").map(|_| ()).and(registry.by_id(1).map(|_| ())).unwrap_err();
    assert!(error.to_string().contains(IDS), "{error}");
}

#[test]
fn what_cannot_be_registered_is_refused_and_leaves_nothing() {
    let (dir, registry) = registry();
    let refused = |subject: &str, schema: &Schema| {
        let error = registry.register(subject, schema).unwrap_err();
        assert!(matches!(error, RegistryError::Invalid { .. }), "{error}");
    };
    refused("", &Schema::avro(LONG));
    refused("s", &Schema::avro("{"));
    let reference = crate::Reference { name: "N".into(), subject: "n".into(), version: 1 };
    refused("s", &Schema { references: vec![reference], ..Schema::avro(LONG) });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn levels_come_from_the_configuration_file() {
    let (dir, registry) = registry();
    assert_eq!(registry.compatibility("s").unwrap(), CompatibilityLevel::Backward);
    put(&dir, CONFIG, r#"{"compatibility":"FULL","subjects":{"s":"NONE"}}"#);
    assert_eq!(registry.compatibility("s").unwrap(), CompatibilityLevel::None);
    assert_eq!(registry.compatibility("t").unwrap(), CompatibilityLevel::Full);
    assert_eq!(registry.check_compatible("t", &Schema::avro(LONG)).unwrap(), Verdict::NotChecked);
    put(&dir, CONFIG, r#"{"compatibility":"full"}"#);
    let error = registry.compatibility("t").unwrap_err().to_string();
    assert!(error.contains(CONFIG) && error.contains("full"), "{error}");
}

#[test]
fn writers_at_the_same_time_get_different_ids() {
    let (dir, _) = registry();
    let root = Arc::new(dir.path().to_owned());
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let root = Arc::clone(&root);
            std::thread::spawn(move || {
                let registry = FolderRegistry::open(&root).unwrap();
                registry.register("s", &Schema::avro(format!("\"n{n}\""))).unwrap()
            })
        })
        .collect();
    let mut ids: Vec<u32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8]);
    let registry = FolderRegistry::open(&root).unwrap();
    assert_eq!(registry.versions("s").unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// Compares with a model: per subject a list of distinct texts; per text the id of its first
/// registration.
fn behaves_like_the_model(steps: Vec<(String, u8)>) {
    let (dir, registry) = registry();
    let mut subjects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ids: Vec<String> = Vec::new();
    for (subject, n) in steps {
        let text = format!("\"t{n}\"");
        if !ids.contains(&text) {
            ids.push(text.clone());
        }
        let versions = subjects.entry(subject.clone()).or_default();
        if !versions.contains(&text) {
            versions.push(text.clone());
        }
        let want = ids.iter().position(|known| *known == text).unwrap() + 1;
        let id = registry.register(&subject, &Schema::avro(text)).unwrap();
        assert_eq!(id as usize, want);
    }
    let registry = FolderRegistry::open(dir.path()).unwrap();
    assert_eq!(registry.subjects().unwrap(), subjects.keys().cloned().collect::<Vec<_>>());
    for (subject, texts) in &subjects {
        for (version, text) in (1..).zip(texts) {
            let got = registry.version(subject, version).unwrap().unwrap();
            assert_eq!(&got.schema.text, text);
            assert_eq!(registry.by_id(got.id).unwrap(), Some(got.schema));
        }
        assert_eq!(registry.latest(subject).unwrap().unwrap().schema.text, *texts.last().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_registrations_are_found_again(
        steps in prop::collection::vec(
            (prop_oneof!["[a-b./:% ]{1,3}", Just(IDS.to_owned()), Just(CONFIG.to_owned())], 0u8..6),
            1..12,
        )
    ) {
        behaves_like_the_model(steps);
    }
}
