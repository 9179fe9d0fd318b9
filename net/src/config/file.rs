//! The TOML file of `--config`. Its errors name the line, and show nothing of a line with passwords.

use super::origin::Origin;
use super::{ConfigError, Flags};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Spanned, Table, Value};

/// The setting in one line of the file.
pub(super) struct Setting {
    /// The flag's name.
    pub name: String,
    /// The line.
    pub origin: Origin,
    /// Only that setting.
    pub flags: Flags,
}

/// Reads the file: its settings one by one.
pub(super) fn read(path: &Path) -> Result<Vec<Setting>, ConfigError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: file.clone(), source })?;
    let line_of = |at: usize| 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count();
    let refused = |line, error: &toml::de::Error| {
        let message = match secret_before(&text, line) {
            Some(name) => format!("{name}: {} is expected, in quotes; it is not shown here", expected(name)),
            None => error.message().lines().collect::<Vec<_>>().join(" "),
        };
        ConfigError::Line { file: file.clone(), line, message }
    };
    let settings: BTreeMap<String, Spanned<Value>> =
        toml::from_str(&text).map_err(|error| refused(line_of(error.span().map_or(0, |span| span.start)), &error))?;
    let setting = |(name, value): (String, Spanned<Value>)| {
        let line = line_of(value.span().start);
        // By itself, so that its error is about this line.
        let alone = Table::from_iter([(name.clone(), value.into_inner())]);
        let flags = alone.try_into::<Flags>().map_err(|error| refused(line, &error))?;
        Ok(Setting { name, origin: Origin::Line { file: file.clone(), line }, flags })
    };
    settings.into_iter().map(setting).collect()
}

/// The settings whose values have passwords in them.
const SECRETS: [&str; 2] = ["requirepass", "user"];

fn expected(secret: &str) -> &'static str {
    if secret == "user" { "an array of texts, each a name and rules," } else { "a text" }
}

/// The setting of a line, or the one that the line continues, if that has passwords in it: what the parser says may quote
/// it.
fn secret_before(text: &str, line: usize) -> Option<&'static str> {
    let name = |line: &str| {
        let (name, _) = line.split_once('=')?;
        let name = name.trim().trim_matches(['"', '\'']);
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        is_name.then(|| SECRETS.into_iter().find(|secret| *secret == name))
    };
    let lines: Vec<&str> = text.lines().take(line).collect();
    lines.into_iter().rev().find_map(name)?
}
