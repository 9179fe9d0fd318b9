//! The arguments of LMPOP, BLMPOP, ZMPOP and BZMPOP, which pop elements of the first of several keys that has some.

use super::options::is;
use crate::resp::{Args, error_text};
use keytide_engine::number::parse_i64;

/// The arguments; `E` is what names an end.
pub struct MultiPop<'a, E> {
    /// The keys, at least one.
    pub keys: Args<'a>,
    /// The end at which elements are popped.
    pub end: E,
    /// The most elements to pop, at least 1.
    pub count: usize,
}

impl<'a, E> MultiPop<'a, E> {
    /// Parses `numkeys key… end [COUNT n]`, or returns the text of the error.
    pub fn parse(words: Args<'a>, end_of_word: impl Fn(&[u8]) -> Option<E>) -> Result<MultiPop<'a, E>, &'static str> {
        let positive = |word| parse_i64(word).and_then(|number| usize::try_from(number).ok()).filter(|&n| n > 0);
        let number = positive(words.get(0)).ok_or(error_text::NUMKEYS)?;
        let end = number.checked_add(1).and_then(|place| words.try_get(place)).and_then(end_of_word);
        let end = end.ok_or(error_text::SYNTAX)?;
        let options = words.rest(number + 2);
        let count = match (options.try_get(0), options.try_get(1), options.len()) {
            (None, ..) => 1,
            (Some(word), Some(count), length) if is(word, "count") => {
                // Redis reads the number before it looks at what follows.
                let count = positive(count).ok_or(error_text::COUNT_NOT_POSITIVE)?;
                if length > 2 {
                    return Err(error_text::SYNTAX);
                }
                count
            }
            _ => return Err(error_text::SYNTAX),
        };
        Ok(MultiPop { keys: words.rest(1).first(number), end, count })
    }
}
