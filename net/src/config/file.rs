//! The TOML file of `--config`. Its errors name the line.

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
    let refused = |line, error: &toml::de::Error| ConfigError::Line {
        file: file.clone(),
        line,
        message: error.message().lines().collect::<Vec<_>>().join(" "),
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
