//! Where a setting came from, so that an error names what its reader can change: the flag, the variable, or the line of
//! the file.

use std::collections::HashMap;

/// Where one setting came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The command line, or nowhere: the default.
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

/// The variable that stands for a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("KEYTIDE_{}", flag.to_uppercase().replace('-', "_"))
}

/// Where the settings came from that are not from the command line, by their flags' names.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(HashMap<String, Origin>);

impl Origins {
    /// Notes where a setting came from. What was noted first has precedence, as the setting has.
    pub(super) fn note(&mut self, flag: String, origin: Origin) {
        self.0.entry(flag).or_insert(origin);
    }

    /// Where a setting came from.
    pub(super) fn of(&self, flag: &str) -> Origin {
        self.0.get(flag).cloned().unwrap_or_default()
    }
}
