//! One element of a pattern: a byte, any byte, or a class of bytes.

/// A matcher for one byte of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Token {
    /// Any byte.
    Any,
    /// This byte.
    Byte(u8),
    /// A byte of the pattern's class with this index.
    Class(u16),
}

impl Token {
    #[inline]
    pub fn matches(self, byte: u8, classes: &[Class]) -> bool {
        match self {
            Token::Any => true,
            Token::Byte(expected) => expected == byte,
            Token::Class(place) => classes[usize::from(place)].contains(byte),
        }
    }
}

/// A set of bytes, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Class([u64; 4]);

impl Class {
    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn insert_range(&mut self, first: u8, last: u8) {
        for word in first >> 6..=last >> 6 {
            let from = if word == first >> 6 { first & 63 } else { 0 };
            let to = if word == last >> 6 { last & 63 } else { 63 };
            self.0[usize::from(word)] |= u64::MAX >> (63 - to) & u64::MAX << from;
        }
    }

    #[inline]
    pub fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// Its bytes, in ascending order.
    pub fn bytes(&self) -> impl Iterator<Item = u8> {
        let class = *self;
        (0..=255).filter(move |&byte| class.contains(byte))
    }

    /// Whether every byte is in it.
    pub fn is_full(&self) -> bool {
        self.0 == [u64::MAX; 4]
    }

    /// The one byte in it, if it is one.
    pub fn single(&self) -> Option<u8> {
        let count: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        if count == 1 { self.bytes().next() } else { None }
    }

    /// Its bytes as ranges, both ends included.
    pub fn ranges(&self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for byte in self.bytes() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == byte => *last = byte,
                _ => ranges.push((byte, byte)),
            }
        }
        ranges
    }

    /// Parses a class whose `[` is consumed; also returns the rest.
    pub fn read(pattern: &[u8]) -> (Class, &[u8]) {
        let (negated, mut rest) = match pattern {
            [b'^', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut class = Class::default();
        loop {
            rest = match rest {
                [] => break,
                [b'\\', byte, rest @ ..] => {
                    class.insert(*byte);
                    rest
                }
                [b']', after @ ..] => {
                    rest = after;
                    break;
                }
                [a, b'-', b, rest @ ..] => {
                    class.insert_range(*a.min(b), *a.max(b));
                    rest
                }
                [byte, rest @ ..] => {
                    class.insert(*byte);
                    rest
                }
            };
        }
        if negated {
            class.0 = class.0.map(|bits| !bits);
        }
        (class, rest)
    }
}
