//! The categories of commands, by which rules name many of them at once.

/// A category: Redis's, and one of this server's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation: `docs/operations.md` says what each means")]
pub enum Category {
    Keyspace,
    Read,
    Write,
    Set,
    SortedSet,
    List,
    Hash,
    String,
    Bitmap,
    HyperLogLog,
    Geo,
    Stream,
    PubSub,
    Admin,
    Fast,
    Slow,
    Blocking,
    Dangerous,
    Connection,
    Transaction,
    Scripting,
    Cdc,
}

impl Category {
    /// All, in the order in which they are listed.
    pub const ALL: &[(Category, &str)] = &[
        (Category::Keyspace, "keyspace"),
        (Category::Read, "read"),
        (Category::Write, "write"),
        (Category::Set, "set"),
        (Category::SortedSet, "sortedset"),
        (Category::List, "list"),
        (Category::Hash, "hash"),
        (Category::String, "string"),
        (Category::Bitmap, "bitmap"),
        (Category::HyperLogLog, "hyperloglog"),
        (Category::Geo, "geo"),
        (Category::Stream, "stream"),
        (Category::PubSub, "pubsub"),
        (Category::Admin, "admin"),
        (Category::Fast, "fast"),
        (Category::Slow, "slow"),
        (Category::Blocking, "blocking"),
        (Category::Dangerous, "dangerous"),
        (Category::Connection, "connection"),
        (Category::Transaction, "transaction"),
        (Category::Scripting, "scripting"),
        // Redis does not have this one.
        (Category::Cdc, "cdc"),
    ];

    /// Whether this names, in any case, a category of Redis 8 whose commands are those of modules: rules may name it.
    pub fn is_foreign(name: &[u8]) -> bool {
        const FOREIGN: [&str; 8] = ["search", "json", "timeseries", "bloom", "cuckoo", "cms", "topk", "tdigest"];
        FOREIGN.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    }

    /// The category of this name, in any case.
    pub fn by_name(name: &[u8]) -> Option<Category> {
        let named = Category::ALL.iter().find(|(_, own)| name.eq_ignore_ascii_case(own.as_bytes()));
        named.map(|(category, _)| *category)
    }
}

/// A set of categories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Categories(u32);

impl Categories {
    /// The set of these.
    pub const fn of(categories: &[Category]) -> Categories {
        let (mut set, mut at) = (Categories(0), 0);
        while at < categories.len() {
            set = set.with(categories[at]);
            at += 1;
        }
        set
    }

    /// The set and this one.
    #[must_use]
    pub const fn with(self, category: Category) -> Categories {
        Categories(self.0 | 1 << category as u32)
    }

    /// Whether it is in the set.
    pub const fn has(self, category: Category) -> bool {
        self.0 & 1 << category as u32 != 0
    }

    /// The names of those in the set, in the order in which categories are listed.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Category::ALL.iter().filter(move |(category, _)| self.has(*category)).map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_category_is_listed_once_and_found_by_its_name() {
        for (place, (category, name)) in Category::ALL.iter().enumerate() {
            assert_eq!(*category as usize, place, "{name}");
            assert_eq!(Category::by_name(name.to_uppercase().as_bytes()), Some(*category));
        }
        assert_eq!(Category::by_name(b"all"), None);
    }

    #[test]
    fn a_set_names_what_is_in_it() {
        let set = Categories::of(&[Category::Fast, Category::Read]).with(Category::Cdc);
        assert_eq!(set.names().collect::<Vec<_>>(), ["read", "fast", "cdc"]);
        assert!(set.has(Category::Read) && !set.has(Category::Write));
    }
}
