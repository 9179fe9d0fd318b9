//! The classes of events, by the letters of `notify-keyspace-events`.

use std::sync::atomic::{AtomicU32, Ordering};

/// A set of classes of events, and of the channels on which they are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u32);

impl Classes {
    /// `K`: events are published on the channels of their keys.
    pub const KEYSPACE: Classes = Classes(1);
    /// `E`: events are published on channels of their own.
    pub const KEYEVENT: Classes = Classes(1 << 1);
    /// `g`: commands for any type.
    pub const GENERIC: Classes = Classes(1 << 2);
    /// `$`: strings.
    pub const STRING: Classes = Classes(1 << 3);
    /// `l`: lists.
    pub const LIST: Classes = Classes(1 << 4);
    /// `s`: sets.
    pub const SET: Classes = Classes(1 << 5);
    /// `h`: hashes.
    pub const HASH: Classes = Classes(1 << 6);
    /// `z`: sorted sets.
    pub const SORTED: Classes = Classes(1 << 7);
    /// `x`: keys whose TTL is over.
    pub const EXPIRED: Classes = Classes(1 << 8);
    /// `e`: keys that memory had no room for.
    pub const EVICTED: Classes = Classes(1 << 9);
    /// `t`: streams.
    pub const STREAM: Classes = Classes(1 << 10);
    /// `d`: types of modules, of which there are none.
    pub const MODULE: Classes = Classes(1 << 11);
    /// `n`: keys that are new.
    pub const NEW: Classes = Classes(1 << 12);
    /// `m`: keys that were looked up and do not exist.
    pub const MISS: Classes = Classes(1 << 13);
    /// `A`: `g$lshzxetd`.
    const ALL: Classes = Classes(0b1111_1111_1100);

    /// The letters in the order in which Redis shows them: those that `A` stands for and `n`, then the others.
    const LETTERS: [(u8, Classes); 14] = [
        (b'g', Classes::GENERIC),
        (b'$', Classes::STRING),
        (b'l', Classes::LIST),
        (b's', Classes::SET),
        (b'h', Classes::HASH),
        (b'z', Classes::SORTED),
        (b'x', Classes::EXPIRED),
        (b'e', Classes::EVICTED),
        (b't', Classes::STREAM),
        (b'd', Classes::MODULE),
        (b'n', Classes::NEW),
        (b'K', Classes::KEYSPACE),
        (b'E', Classes::KEYEVENT),
        (b'm', Classes::MISS),
    ];

    /// The error for other letters; Redis's text.
    pub const INVALID: &'static str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";

    /// The classes of these letters; none if one is no letter of a class.
    pub fn parse(letters: &[u8]) -> Option<Classes> {
        letters.iter().try_fold(Classes(0), |classes, letter| {
            let found = Classes::LETTERS.iter().find(|(own, _)| own == letter).map(|(_, class)| *class);
            let added = found.or((*letter == b'A').then_some(Classes::ALL))?;
            Some(Classes(classes.0 | added.0))
        })
    }

    /// The letters, as CONFIG GET shows them.
    pub fn letters(self) -> String {
        let has_all = self.has(Classes::ALL);
        // As in Redis 7, `n` is not shown beside `A`, though it is none of those.
        let is_hidden = |class: Classes| has_all && (Classes::ALL.has(class) || class == Classes::NEW);
        let is_shown = |class: Classes| self.has(class) && !is_hidden(class);
        let letters = Classes::LETTERS.iter().filter(|(_, class)| is_shown(*class)).map(|(letter, _)| *letter as char);
        has_all.then_some('A').into_iter().chain(letters).collect()
    }

    /// Whether all of these are among them.
    #[inline]
    pub fn has(self, classes: Classes) -> bool {
        self.0 & classes.0 == classes.0
    }

    /// Whether any event is published: one needs a class, and a channel.
    pub fn publishes(self) -> bool {
        let channels = Classes::KEYSPACE.0 | Classes::KEYEVENT.0;
        self.0 & channels != 0 && self.0 & !channels != 0
    }
}

/// The classes that are enabled, for all cores.
#[derive(Debug, Default)]
pub struct SharedClasses(AtomicU32);

impl SharedClasses {
    /// These classes.
    pub fn new(Classes(bits): Classes) -> SharedClasses {
        SharedClasses(AtomicU32::new(bits))
    }

    /// The classes.
    #[inline]
    pub fn get(&self) -> Classes {
        // Relaxed: a value by itself. Who has been told of a change has its commands taken up by a core that looks after that.
        Classes(self.0.load(Ordering::Relaxed))
    }

    /// Changes them.
    pub fn set(&self, Classes(bits): Classes) {
        // Relaxed: as above.
        self.0.store(bits, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_shown_as_redis_shows_them() {
        let shown = |letters: &str| Classes::parse(letters.as_bytes()).map(Classes::letters);
        for (letters, wanted) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Ex", "xE"),
            ("zhslKg$", "g$lshzK"),
            ("g$lshzxetdK", "AK"),
            ("Kg$lshzxet", "g$lshzxetK"),
            ("mnE", "nEm"),
            ("KEAnm", "AKEm"),
            ("AAKK", "AK"),
        ] {
            assert_eq!(shown(letters).as_deref(), Some(wanted), "{letters}");
        }
        for letters in ["KEQ", "a", "K E"] {
            assert_eq!(Classes::parse(letters.as_bytes()), None, "{letters}");
        }
    }

    #[test]
    fn a_class_without_a_channel_publishes_nothing() {
        let publishes = |letters: &str| Classes::parse(letters.as_bytes()).is_some_and(Classes::publishes);
        assert_eq!(["", "K", "KE", "A", "Kx", "EA"].map(publishes), [false, false, false, false, true, true]);
    }
}
