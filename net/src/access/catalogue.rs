//! The commands as rules name them: their names, which are subcommands of which, and their categories. A command is known
//! by its index here.

use super::category::{Categories, Category};
use crate::limits::COMMANDS_MAX;

/// One command, or one subcommand.
#[derive(Clone, Copy, Debug)]
pub struct CatalogueEntry {
    /// Its name in lower case; a subcommand has its container's in front, as `client|list`.
    pub name: &'static str,
    /// Its categories.
    pub categories: Categories,
}

/// All commands, by index.
#[derive(Debug)]
pub struct Catalogue {
    entries: Vec<CatalogueEntry>,
}

impl Catalogue {
    /// The catalogue of these commands. There are at most [`COMMANDS_MAX`].
    pub fn new(entries: Vec<CatalogueEntry>) -> Catalogue {
        assert!(entries.len() <= COMMANDS_MAX, "{} commands: raise COMMANDS_MAX", entries.len());
        Catalogue { entries }
    }

    /// The index of the command with this name, in any case.
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        // What ends with a bar is a container without a word, which nobody names.
        let is_it = |entry: &CatalogueEntry| entry.name.as_bytes().eq_ignore_ascii_case(name);
        self.entries.iter().position(is_it).filter(|_| !name.ends_with(b"|"))
    }

    /// A command's name.
    pub fn name(&self, command: usize) -> &'static str {
        self.entries[command].name
    }

    /// The subcommands of a command.
    pub fn subcommands(&self, command: usize) -> impl Iterator<Item = usize> {
        let container = self.entries[command].name;
        let is_inner = move |name: &str| name.strip_prefix(container).is_some_and(|rest| rest.starts_with('|'));
        self.entries.iter().enumerate().filter(move |(_, entry)| is_inner(entry.name)).map(|(index, _)| index)
    }

    /// Whether a command is a subcommand.
    pub fn is_subcommand(&self, command: usize) -> bool {
        self.entries[command].name.contains('|')
    }

    /// The commands of a category.
    pub fn in_category(&self, category: Category) -> impl Iterator<Item = usize> + Clone {
        let is_in = move |entry: &CatalogueEntry| entry.categories.has(category);
        self.entries.iter().enumerate().filter(move |(_, entry)| is_in(entry)).map(|(index, _)| index)
    }
}

/// A small catalogue for tests of this room.
#[cfg(test)]
pub(super) fn small() -> Catalogue {
    let entry = |name, categories: &[Category]| CatalogueEntry { name, categories: Categories::of(categories) };
    Catalogue::new(vec![
        entry("get", &[Category::Read, Category::String, Category::Fast]),
        entry("set", &[Category::Write, Category::String, Category::Slow]),
        entry("keys", &[Category::Read, Category::Keyspace, Category::Dangerous, Category::Slow]),
        entry("select", &[Category::Connection, Category::Fast]),
        entry("config", &[Category::Slow]),
        entry("config|get", &[Category::Admin, Category::Dangerous, Category::Slow]),
        entry("config|set", &[Category::Admin, Category::Dangerous, Category::Slow]),
        entry("subscribe", &[Category::PubSub, Category::Slow]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_name_with_their_subcommands() {
        let catalogue = small();
        let config = catalogue.find(b"CONFIG").expect("it is there");
        let names: Vec<_> = catalogue.subcommands(config).map(|command| catalogue.name(command)).collect();
        assert_eq!(names, ["config|get", "config|set"]);
        assert_eq!(catalogue.find(b"Config|Set").map(|command| catalogue.is_subcommand(command)), Some(true));
        assert!(catalogue.find(b"config|").is_none() && catalogue.find(b"nosuch").is_none());
        let read: Vec<_> = catalogue.in_category(Category::Read).map(|command| catalogue.name(command)).collect();
        assert_eq!(read, ["get", "keys"]);
    }
}
