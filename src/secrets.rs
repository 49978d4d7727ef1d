//! Secrets of options: `${secret:NAME}` stays in a program and its artifact, and becomes the value
//! of the environment variable NAME where the job runs.

use std::collections::BTreeMap;

/// How a reference to a secret begins; it ends with `}`.
const OPENING: &str = "${secret:";

/// Options with their secrets filled in.
///
/// # Errors
/// Names the option and the environment variable that is missing.
pub fn fill(options: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    fill_from(options, |name| std::env::var(name).ok())
}

fn fill_from(
    options: &BTreeMap<String, String>,
    secret: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut filled = options.clone();
    for (option, value) in &mut filled {
        let mut out = String::new();
        let mut rest = value.as_str();
        while let Some((before, after)) = rest.split_once(OPENING) {
            let Some((name, after)) = after.split_once('}') else { break };
            let found = secret(name).ok_or_else(|| {
                format!("option '{option}': there is no environment variable {name}")
            })?;
            out.push_str(before);
            out.push_str(&found);
            rest = after;
        }
        out.push_str(rest);
        *value = out;
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(value: &str) -> Result<String, String> {
        let options = BTreeMap::from([("o".to_string(), value.to_string())]);
        let secret = |name: &str| (name == "PASSWORD").then(|| "hush".to_string());
        fill_from(&options, secret).map(|all| all["o"].clone())
    }

    #[test]
    fn secrets_are_filled_in_and_nothing_else() {
        assert_eq!(filled("me:${secret:PASSWORD}!").as_deref(), Ok("me:hush!"));
        assert_eq!(filled("${PASSWORD} ${secret:").as_deref(), Ok("${PASSWORD} ${secret:"));
    }

    #[test]
    fn a_missing_secret_is_named_with_its_option() {
        let error = filled("${secret:OTHER}").expect_err("nobody has set it");
        assert!(error.contains("'o'") && error.contains("OTHER"), "{error}");
    }
}
