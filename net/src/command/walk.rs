//! What SCAN, HSCAN and SSCAN share: their options, and the answer of one step over a collection.

use super::options::{cursor, is};
use super::refuse;
use crate::resp::{Args, Reply, error_text};
use keytide_engine::error::Refusal;
use keytide_engine::filter::Glob;
use keytide_engine::number::parse_i64;
use keytide_engine::shard::{Work, walk};

/// How many keys or elements a call looks at where COUNT does not say.
const COUNT_DEFAULT: usize = 10;

/// The options of a scan.
pub struct ScanOptions<'a> {
    /// Which names are wanted; none = all.
    glob: Option<Glob>,
    /// How many keys or elements a call looks at.
    pub count: usize,
    /// SCAN's: the type that is wanted; none = all.
    pub kind: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Parses the words behind the cursor, of SCAN if it `has_type`; or tells the text of what is wrong with them.
    pub fn parse(words: Args<'a>, has_type: bool) -> Result<ScanOptions<'a>, String> {
        let mut options = ScanOptions { glob: None, count: COUNT_DEFAULT, kind: None };
        let mut at = 0;
        while let Some(word) = words.try_get(at) {
            let value = words.try_get(at + 1).ok_or(error_text::SYNTAX)?;
            at += 2;
            if is(word, "match") {
                options.glob = Some(Glob::new(value).map_err(|error| error_text::err(&error))?);
            } else if is(word, "count") {
                let count = parse_i64(value).ok_or(error_text::NOT_INTEGER)?;
                options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(error_text::SYNTAX)?;
            } else if has_type && is(word, "type") {
                options.kind = Some(value);
            } else {
                return Err(error_text::SYNTAX.to_owned());
            }
        }
        Ok(options)
    }

    /// Whether a name is wanted.
    pub fn wants(&self, name: &[u8]) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.matches(name))
    }

    /// What one call may do.
    pub fn work(&self) -> Work {
        Work::new(self.count, self.glob.as_ref())
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
    let options = match ScanOptions::parse(args.rest(3), false) {
        Ok(options) => options,
        Err(text) => return reply.error(text),
    };
    let step = walk(from, options.count, length(collection));
    let mut work = options.work();
    let mut next = step.next;
    let mut wanted: Vec<[&[u8]; N]> = Vec::new();
    let mut look = |place| {
        let Some(element) = element(collection, place) else { return true };
        if options.wants(element[0]) {
            wanted.push(element);
        }
        work.take(element[0].len(), element[1..].iter().map(|bytes| bytes.len()).sum())
    };
    if step.is_whole {
        step.places.for_each(|place| _ = look(place));
    } else if let Some(last) = step.places.rev().find(|&place| !look(place)) {
        next = last as u64;
    }
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(wanted.len() * N);
    wanted.iter().flatten().for_each(|bytes| reply.bulk(bytes));
}
