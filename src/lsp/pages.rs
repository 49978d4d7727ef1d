//! The explanations of codes as files, so that an editor can follow the link of a diagnostic,
//! without a network. They are written when first linked to.

use std::path::PathBuf;

use flow_compiler::diagnostics::Code;

/// The user's folder for what can be made again.
fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match set("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(set("HOME").or_else(|| set("LOCALAPPDATA"))?).join(".cache"),
    };
    Some(base.join("flow").join("explain").join(env!("CARGO_PKG_VERSION")))
}

/// The address of a code's page; `None` if it cannot be written.
pub(super) fn address(code: Code) -> Option<String> {
    let folder = cache_folder()?;
    let path = folder.join(format!("{code}.md"));
    let page = code.page();
    if std::fs::read_to_string(&path).ok().as_deref() != Some(page) {
        std::fs::create_dir_all(&folder).ok()?;
        std::fs::write(&path, page).ok()?;
    }
    let slashes = path.to_str()?.replace('\\', "/");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~:".contains(&b);
    let escaped = slashes.bytes().map(|b| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    });
    let absolute = if slashes.starts_with('/') { "" } else { "/" };
    Some(format!("file://{absolute}{}", escaped.collect::<String>()))
}
