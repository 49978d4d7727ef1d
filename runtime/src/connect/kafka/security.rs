//! Who asks and whom to trust: options of Kafka's Java client, which programs bring along from
//! Flink, said in librdkafka's words. What has no equivalent, or is left open, is refused with what
//! to write instead. Passwords and keys are never shown.

use std::collections::BTreeMap;

use crate::error::{Result, RuntimeError};

/// How a login is written in Java's configuration.
const JAAS_FORM: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required \
     username=\"…\" password=\"…\";";

/// PEM text under another name.
const RENAMED: &[(&str, &str)] = &[
    ("ssl.truststore.certificates", "ssl.ca.pem"),
    ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
    ("ssl.keystore.key", "ssl.key.pem"),
];

/// The names of the option that says how a user proves who it is.
const MECHANISM: [&str; 2] = ["sasl.mechanism", "sasl.mechanisms"];

type Properties = BTreeMap<String, String>;

/// Says the same in librdkafka's properties. What stands there in its own words already wins.
///
/// # Errors
/// Names the option that has no equivalent, or is not written as it should be.
pub(super) fn translate(properties: &mut Properties) -> Result<()> {
    if let Some(config) = properties.remove("sasl.jaas.config") {
        login(&config, properties)?;
    }
    trust_store(properties)?;
    key_store(properties)?;
    for (java, own) in RENAMED {
        if let Some(pem) = properties.remove(*java) {
            properties.entry((*own).to_string()).or_insert(pem);
        }
    }
    // Java turns the check of the host's name off with an empty text.
    if let Some(check) = properties.get_mut("ssl.endpoint.identification.algorithm")
        && check.trim().is_empty()
    {
        *check = String::from("none");
    }
    mechanism(properties)
}

/// Options that name files.
const FILES: [&str; 5] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.crl.location",
];

/// Files that are named can be read: the client library's own words do not say what is wrong.
///
/// # Errors
/// Names the option and the file.
pub(super) fn check_files(properties: &Properties) -> Result<()> {
    for name in FILES {
        // `probe` asks the client library to look for the system's certificates.
        if let Some(file) = properties.get(name).filter(|file| *file != "probe")
            && let Err(error) = std::fs::metadata(file)
        {
            let why = format!("'properties.{name}': {file} cannot be read: {error}");
            return Err(RuntimeError::user(why));
        }
    }
    Ok(())
}

/// How a user proves who it is, if the protocol asks for a user.
fn mechanism(properties: &Properties) -> Result<()> {
    let protocol = properties.get("security.protocol").map_or("", String::as_str);
    if !protocol.trim().to_ascii_uppercase().starts_with("SASL_") {
        return Ok(());
    }
    let wrong = |why: &str| {
        RuntimeError::user(format!("'properties.sasl.mechanism': {why}")).with_help(
            "Set it to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, with 'properties.sasl.username' and \
             'properties.sasl.password'.",
        )
    };
    match named(properties, MECHANISM) {
        None => Err(wrong(&format!("{protocol} needs one"))),
        Some("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512") => Ok(()),
        Some("GSSAPI") => Err(wrong("Kerberos (GSSAPI) is not supported")),
        Some("OAUTHBEARER") => Err(wrong("tokens of OAuth (OAUTHBEARER) are not supported")),
        Some(other) => Err(wrong(&format!("{other} is not supported"))),
    }
}

fn named<'a>(properties: &'a Properties, names: [&str; 2]) -> Option<&'a str> {
    names.iter().find_map(|name| properties.get(*name)).map(String::as_str)
}

/// Takes user and password out of a JAAS configuration.
fn login(config: &str, properties: &mut Properties) -> Result<()> {
    let wrong = |why: String| {
        RuntimeError::user(format!("'properties.sasl.jaas.config': {why}")).with_help(format!(
            "Write it as '{JAAS_FORM}', or set 'properties.sasl.username' and \
             'properties.sasl.password' instead."
        ))
    };
    let entry = Entry::read(config).ok_or_else(|| wrong("it is not a login module".into()))?;
    let module = entry.module.rsplit('.').next().unwrap_or_default();
    let fits = match (module, named(properties, MECHANISM)) {
        ("PlainLoginModule", None) => {
            properties.insert("sasl.mechanism".into(), "PLAIN".into());
            true
        }
        ("PlainLoginModule", Some(mechanism)) => mechanism == "PLAIN",
        ("ScramLoginModule", Some(mechanism)) => mechanism.starts_with("SCRAM-SHA-"),
        ("ScramLoginModule", None) => false,
        _ => return Err(wrong(format!("{module} is not supported, only PLAIN and SCRAM are"))),
    };
    if !fits {
        let other = "'properties.sasl.mechanism' does not go with it";
        return Err(wrong(format!("{module}: {other} (PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512)")));
    }
    for name in ["username", "password"] {
        let value = entry.options.iter().find(|(option, _)| option == name);
        let (_, value) = value.ok_or_else(|| wrong(format!("it has no {name}")))?;
        properties.entry(format!("sasl.{name}")).or_insert_with(|| value.clone());
    }
    Ok(())
}

/// `Module flag name=value …;` of a JAAS configuration.
struct Entry {
    module: String,
    options: Vec<(String, String)>,
}

impl Entry {
    fn read(config: &str) -> Option<Self> {
        let words = words(config)?;
        let (end, words) = words.split_last()?;
        let (module, words) = words.split_first()?;
        let (flag, words) = words.split_first()?;
        let flags = ["required", "requisite", "sufficient", "optional"];
        if end != ";" || !flags.contains(&flag.to_ascii_lowercase().as_str()) {
            return None;
        }
        let options = words.chunks(3).map(|option| match option {
            [name, equals, value] if equals == "=" => Some((name.clone(), value.clone())),
            _ => None,
        });
        Some(Self { module: module.clone(), options: options.collect::<Option<_>>()? })
    }
}

/// Words, quoted texts without their quotes, `=` and `;`; `None` if a quote is not closed.
fn words(config: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = config.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            space if space.is_whitespace() => {}
            '=' | ';' => words.push(first.to_string()),
            '"' | '\'' => words.push(quoted(first, &mut rest)?),
            _ => {
                let mut word = String::from(first);
                let inside = |c: &char| !c.is_whitespace() && !matches!(c, '=' | ';' | '"' | '\'');
                while let Some(next) = rest.next_if(inside) {
                    word.push(next);
                }
                words.push(word);
            }
        }
    }
    Some(words)
}

/// A text up to its closing quote; a backslash takes the next character as it is.
fn quoted(quote: char, rest: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()? {
            '\\' => text.push(rest.next()?),
            end if end == quote => return Some(text),
            other => text.push(other),
        }
    }
}

/// The certificates to trust.
fn trust_store(properties: &mut Properties) -> Result<()> {
    let kind = properties.remove("ssl.truststore.type");
    let Some(file) = properties.remove("ssl.truststore.location") else { return Ok(()) };
    if !is(kind.as_deref(), "PEM") {
        return Err(RuntimeError::user(
            "'properties.ssl.truststore.location': a store of Java's cannot be read",
        )
        .with_help(
            "Set 'properties.ssl.ca.location' to a PEM file with the certificates; \
             `keytool -exportcert -rfc -keystore STORE -alias NAME` writes one.",
        ));
    }
    properties.entry("ssl.ca.location".into()).or_insert(file);
    Ok(())
}

/// The certificate and key that this client shows. A PKCS#12 store is read as it is.
fn key_store(properties: &mut Properties) -> Result<()> {
    let kind = properties.remove("ssl.keystore.type");
    if is(kind.as_deref(), "JKS") {
        return Err(RuntimeError::user(
            "'properties.ssl.keystore.type': a store of Java's cannot be read",
        )
        .with_help(
            "Convert it: `keytool -importkeystore -srckeystore STORE -destkeystore STORE.p12 \
             -deststoretype pkcs12`, and say 'PKCS12'; or set \
             'properties.ssl.certificate.location' and 'properties.ssl.key.location' to PEM files.",
        ));
    }
    if is(kind.as_deref(), "PEM")
        && let Some(file) = properties.remove("ssl.keystore.location")
    {
        for part in ["ssl.certificate.location", "ssl.key.location"] {
            properties.entry(part.into()).or_insert_with(|| file.clone());
        }
    }
    Ok(())
}

fn is(kind: Option<&str>, wanted: &str) -> bool {
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn translated(given: &[(&str, &str)]) -> Result<Properties> {
        let own = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
        let mut properties = given.iter().map(own).collect();
        translate(&mut properties).map(|()| properties)
    }

    fn says(given: &[(&str, &str)], wanted: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
        assert_eq!(translated(given), Ok(wanted.iter().map(own).collect()), "{given:?}");
    }

    fn refuses(given: &[(&str, &str)], parts: &[&str]) {
        let told = translated(given).expect_err("it has no equivalent").to_string();
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }

    #[test]
    fn a_login_becomes_user_and_password() {
        let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required\n  \
                    username=\"me\" password=\"hu\\\"sh = ;\";";
        says(
            &[("sasl.jaas.config", jaas)],
            &[
                ("sasl.mechanism", "PLAIN"),
                ("sasl.password", "hu\"sh = ;"),
                ("sasl.username", "me"),
            ],
        );
        let scram = "shaded.ScramLoginModule REQUIRED username='me' password=hush serviceName=k;";
        says(
            &[("sasl.jaas.config", scram), ("sasl.mechanism", "SCRAM-SHA-512")],
            &[
                ("sasl.mechanism", "SCRAM-SHA-512"),
                ("sasl.password", "hush"),
                ("sasl.username", "me"),
            ],
        );
    }

    #[test]
    fn a_login_that_is_none_is_refused_without_its_words() {
        let jaas = |text| [("sasl.jaas.config", text)];
        for text in ["", "hush", "PlainLoginModule required password=\"hush", "M needed hush=1;"] {
            refuses(&jaas(text), &["'properties.sasl.jaas.config'", "PlainLoginModule required"]);
        }
        refuses(&jaas("PlainLoginModule required username=hush;"), &["it has no password"]);
        let kerberos = "com.sun.security.auth.module.Krb5LoginModule required keyTab=hush;";
        refuses(&jaas(kerberos), &["Krb5LoginModule is not supported"]);
        let scram = "ScramLoginModule required username=me password=hush;";
        refuses(&jaas(scram), &["'properties.sasl.mechanism'", "SCRAM-SHA-256"]);
    }

    #[test]
    fn a_user_needs_a_way_to_prove_itself() {
        let protocol = ("security.protocol", "SASL_SSL");
        refuses(&[protocol], &["'properties.sasl.mechanism'", "SASL_SSL needs one"]);
        refuses(&[protocol, ("sasl.mechanism", "GSSAPI")], &["Kerberos", "SCRAM-SHA-512"]);
        let tokens = ("sasl.mechanism", "OAUTHBEARER");
        refuses(&[protocol, tokens], &["OAuth (OAUTHBEARER) are not supported", "SCRAM-SHA-256"]);
        let unknown = ("sasl.mechanisms", "AWS_MSK_IAM");
        refuses(&[protocol, unknown], &["AWS_MSK_IAM is not supported", "PLAIN"]);
        assert!(translated(&[protocol, ("sasl.mechanisms", "PLAIN")]).is_ok());
        assert!(translated(&[("security.protocol", "SSL")]).is_ok());
    }

    #[test]
    fn pem_stores_are_taken_and_javas_own_are_refused() {
        says(
            &[
                ("ssl.truststore.type", "PEM"),
                ("ssl.truststore.location", "ca.pem"),
                ("ssl.keystore.type", "pem"),
                ("ssl.keystore.location", "me.pem"),
                ("ssl.endpoint.identification.algorithm", ""),
            ],
            &[
                ("ssl.ca.location", "ca.pem"),
                ("ssl.certificate.location", "me.pem"),
                ("ssl.endpoint.identification.algorithm", "none"),
                ("ssl.key.location", "me.pem"),
            ],
        );
        says(
            &[("ssl.truststore.certificates", "CA"), ("ssl.keystore.key", "KEY")],
            &[("ssl.ca.pem", "CA"), ("ssl.key.pem", "KEY")],
        );
        says(
            &[("ssl.keystore.type", "PKCS12"), ("ssl.keystore.location", "me.p12")],
            &[("ssl.keystore.location", "me.p12")],
        );
        refuses(&[("ssl.truststore.location", "t.jks")], &["'properties.ssl.ca.location'"]);
        refuses(&[("ssl.keystore.type", "JKS")], &["keytool -importkeystore"]);
    }

    proptest! {
        #[test]
        fn any_password_comes_through(password in "[^\\x00]{0,20}") {
            let escaped = password.replace('\\', "\\\\").replace('"', "\\\"");
            let jaas = format!("PlainLoginModule required username=u password=\"{escaped}\";");
            let properties = translated(&[("sasl.jaas.config", &jaas)]).expect("a login");
            prop_assert_eq!(&properties["sasl.password"], &password);
        }

        #[test]
        fn any_text_is_a_login_or_refused(text in any::<String>()) {
            let refused = translated(&[("sasl.jaas.config", &text)]).is_err();
            prop_assert!(refused || text.contains("LoginModule"));
        }
    }
}
