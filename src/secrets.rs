//! Secrets of options: `${secret:NAME}` stays in a program and its artifact, and becomes a value
//! where a broker or a registry is asked: that of the environment variable NAME, or what the file
//! NAME in the folder of secrets holds. Values go to clients of brokers and registries, and nowhere
//! else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a reference to a secret begins; it ends with `}`.
const OPENING: &str = "${secret:";

/// The environment variable that names the folder of secrets when nothing else does.
const FOLDER_VARIABLE: &str = "FLOW_SECRETS_DIR";

/// Shorter secrets are not hidden: that would tear holes into any message.
const HIDDEN_BYTES_MIN: usize = 4;

/// Where secrets are looked up: in the environment, then in the files of a folder.
#[derive(Clone, Debug)]
pub struct Secrets {
    folder: Option<PathBuf>,
}

impl Default for Secrets {
    /// Secrets of the environment, and of the folder that it names.
    fn default() -> Self {
        Self::with_folder(None)
    }
}

impl Secrets {
    /// Secrets of the environment and, where it has none of a name, of files in this folder, else
    /// in the one that FLOW_SECRETS_DIR names.
    pub fn with_folder(folder: Option<PathBuf>) -> Self {
        let of_environment = || std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
        Self { folder: folder.or_else(of_environment) }
    }

    /// Options with their secrets filled in.
    ///
    /// # Errors
    /// Names the option and the secret that is missing, with the places it was looked for.
    pub fn fill(
        &self,
        options: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, String> {
        fill_from(options, |name| self.get(name), &self.places())
    }

    /// A message without the secrets that these options ask for.
    pub fn hide(&self, options: &BTreeMap<String, String>, message: &str) -> String {
        let names = options.values().flat_map(|value| {
            value.split(OPENING).skip(1).filter_map(|rest| rest.split_once('}')).map(|(n, _)| n)
        });
        let mut secrets: Vec<String> = names.filter_map(|name| self.get(name)).collect();
        secrets.retain(|secret| secret.len() >= HIDDEN_BYTES_MIN);
        // One that holds another is hidden whole.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.iter().fold(message.to_string(), |text, secret| text.replace(secret, "…"))
    }

    fn get(&self, name: &str) -> Option<String> {
        let of_file = |folder: &Path| {
            // A name with a separator would leave the folder.
            let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let inside = name.chars().all(is_name) && !name.starts_with('.');
            let text = std::fs::read_to_string(inside.then(|| folder.join(name))?).ok()?;
            // Editors end a file with a line's end, which is no part of the secret.
            Some(text.trim_end_matches(['\n', '\r']).to_string())
        };
        // A name that no variable can have would make the look-up panic.
        let of_environment = (!name.is_empty() && !name.contains(['=', '\0']))
            .then(|| std::env::var(name).ok())
            .flatten();
        of_environment.or_else(|| self.folder.as_deref().and_then(of_file))
    }

    fn places(&self) -> String {
        match &self.folder {
            Some(folder) => format!("environment variable and no file in {}", folder.display()),
            None => "environment variable".to_string(),
        }
    }
}

fn fill_from(
    options: &BTreeMap<String, String>,
    secret: impl Fn(&str) -> Option<String>,
    places: &str,
) -> Result<BTreeMap<String, String>, String> {
    let mut filled = options.clone();
    for (option, value) in &mut filled {
        let mut out = String::new();
        let mut rest = value.as_str();
        while let Some((before, after)) = rest.split_once(OPENING) {
            let Some((name, after)) = after.split_once('}') else { break };
            let found = secret(name)
                .ok_or_else(|| format!("option '{option}': there is no {places} {name}"))?;
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

    fn option(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("o".to_string(), value.to_string())])
    }

    fn filled(value: &str) -> Result<String, String> {
        let secret = |name: &str| (name == "PASSWORD").then(|| "hush".to_string());
        fill_from(&option(value), secret, "variable").map(|all| all["o"].clone())
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
        for name in ["", "a=b", "a\0b"] {
            let asked = Secrets::with_folder(None).fill(&option(&format!("${{secret:{name}}}")));
            assert!(asked.is_err(), "{name:?}");
        }
    }

    #[test]
    fn files_of_a_folder_are_secrets_and_none_outside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text| std::fs::write(folder.path().join(name), text).expect("it");
        std::fs::create_dir(folder.path().join("secrets")).expect("made");
        write("outside", "seen");
        write("secrets/broker", "hush\n");
        let secrets = Secrets::with_folder(Some(folder.path().join("secrets")));
        let wanted = option("a${secret:broker}");
        assert_eq!(secrets.fill(&wanted).expect("it is there")["o"], "ahush");
        assert_eq!(secrets.hide(&wanted, "`ahush` is wrong"), "`a…` is wrong");
        let error = secrets.fill(&option("${secret:../outside}")).expect_err("outside");
        assert!(error.contains("no file in"), "{error}");
    }
}
