//! What HSCAN and SSCAN share: their options, and the answer of one step over a collection.

use super::options::{cursor, is};
use super::refuse;
use crate::resp::{Args, Reply, error_text};
use keytide_engine::error::Refusal;
use keytide_engine::filter::Glob;
use keytide_engine::number::parse_i64;
use keytide_engine::shard::walk;

/// The options of HSCAN and SSCAN.
struct ScanOptions {
    /// Which names are wanted; none = all.
    glob: Option<Glob>,
    /// How many elements a call looks at.
    count: usize,
}

impl ScanOptions {
    /// Parses what follows the cursor, or tells the text of what is wrong with it.
    fn parse(words: Args<'_>) -> Result<ScanOptions, &'static str> {
        /// Where COUNT does not say.
        const COUNT_DEFAULT: usize = 10;
        let mut options = ScanOptions { glob: None, count: COUNT_DEFAULT };
        let mut at = 0;
        while let Some(word) = words.try_get(at) {
            let value = words.try_get(at + 1).ok_or(error_text::SYNTAX)?;
            at += 2;
            if is(word, "match") {
                options.glob = Some(Glob::new(value));
            } else if is(word, "count") {
                let count = parse_i64(value).ok_or(error_text::NOT_INTEGER)?;
                options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(error_text::SYNTAX)?;
            } else {
                return Err(error_text::SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether a field or member is wanted.
    fn wants(&self, name: &[u8]) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.matches(name))
    }
}

/// Answers one step over a collection, with `element` giving what stands at a place: its name first, and what is
/// answered beside that.
pub fn answer_step<'a, C, const N: usize>(
    args: Args<'_>,
    reply: &mut Reply<'_>,
    found: Result<Option<&'a C>, Refusal>,
    length: impl Fn(&C) -> usize,
    element: impl Fn(&'a C, usize) -> Option<[&'a [u8]; N]>,
) {
    let Some(from) = cursor(args.get(2)) else { return reply.error(error_text::INVALID_CURSOR) };
    let collection = match found {
        Ok(Some(collection)) => collection,
        // The options of a walk over nothing are not looked at.
        Ok(None) => {
            reply.array(2);
            reply.bulk(b"0");
            return reply.array(0);
        }
        Err(refusal) => return refuse(reply, refusal),
    };
    let options = match ScanOptions::parse(args.rest(3)) {
        Ok(options) => options,
        Err(text) => return reply.error(text),
    };
    let step = walk(from, options.count, length(collection));
    let elements = step.places.filter_map(|place| element(collection, place));
    let wanted: Vec<_> = elements.filter(|element| options.wants(element[0])).collect();
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(step.next).as_bytes());
    reply.array(wanted.len() * N);
    wanted.iter().flatten().for_each(|bytes| reply.bulk(bytes));
}
