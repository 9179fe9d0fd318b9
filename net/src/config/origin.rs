//! The origin of a setting, so that an error names what the operator can change: the flag, the variable, or the line of
//! the file.

use std::collections::HashMap;

/// The origin of a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The command line, or the default.
    #[default]
    Flag,
    /// The environment.
    Variable,
    /// The file of `--config`.
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
}

impl Origin {
    /// The setting as it was written there.
    pub(super) fn setting(&self, flag: &str, value: Option<&str>) -> String {
        let (place, name, is) = match self {
            Origin::Flag => (String::new(), format!("--{flag}"), " "),
            Origin::Variable => (String::new(), variable(flag), "="),
            Origin::Line { file, line } => (format!("{file} line {line}: "), flag.to_owned(), " = "),
        };
        value.map_or_else(|| format!("{place}{name}"), |value| format!("{place}{name}{is}{value}"))
    }
}

/// The environment variable of a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("KEYTIDE_{}", flag.to_uppercase().replace('-', "_"))
}

/// The origins of settings that are not from the command line, by flag.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(HashMap<String, Origin>);

impl Origins {
    /// Notes the origin of a setting. The first one noted takes precedence, as its value does.
    pub(super) fn note(&mut self, flag: String, origin: Origin) {
        self.0.entry(flag).or_insert(origin);
    }

    /// The origin of a setting.
    pub(super) fn of(&self, flag: &str) -> Origin {
        self.0.get(flag).cloned().unwrap_or_default()
    }
}
