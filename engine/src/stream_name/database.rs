//! The databases of a Redis client: the key `k` of database n has the name `db<n>/k`, but for those of database 0, whose names are
//! the keys. So a name says its database, and no key of database 0 may look like one of another.

use std::borrow::Cow;

/// The number of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Database(pub u16);

/// The most databases that there may be: their numbers have at most four digits.
pub const DATABASES_MAX: u16 = 10_000;

impl Database {
    /// The one that a client begins in.
    pub const FIRST: Database = Database(0);

    /// The database of a name, and the key there.
    #[inline]
    pub fn of(name: &[u8]) -> (Database, &[u8]) {
        // Nearly all names are told apart by their first bytes.
        match name {
            [b'd', b'b', b'1'..=b'9', ..] => Database::of_numbered(name),
            _ => (Database::FIRST, name),
        }
    }

    fn of_numbered(name: &[u8]) -> (Database, &[u8]) {
        let digits = name[2..].iter().take(5).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = name[2..].split_at(digits);
        match rest.split_first() {
            Some((b'/', key)) if digits <= 4 => {
                let number = number.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
                (Database(number), key)
            }
            _ => (Database::FIRST, name),
        }
    }

    /// The key of a name, without its database.
    #[inline]
    pub fn key_of(name: &[u8]) -> &[u8] {
        Database::of(name).1
    }

    /// The name of a key here.
    pub fn name_of(self, key: &[u8]) -> Cow<'_, [u8]> {
        if self == Database::FIRST { key.into() } else { [format!("db{}/", self.0).as_bytes(), key].concat().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_database_and_one_key() {
        for number in [1, 9, 10, 15, 999, 9_999] {
            for key in [&b""[..], b"k", b"db2/k", b"{tag}/x"] {
                let name = Database(number).name_of(key);
                assert_eq!(Database::of(&name), (Database(number), key));
            }
        }
        assert_eq!(Database::FIRST.name_of(b"k"), Cow::from(&b"k"[..]));
        for name in ["", "d", "db", "db/", "db1", "db0/k", "db01/k", "db12345/k", "db1x/k", "DB1/k", "adb1/k", "db-1/k"]
        {
            assert_eq!(Database::of(name.as_bytes()), (Database::FIRST, name.as_bytes()), "{name}");
        }
    }
}
