//! Shared by SCAN, HSCAN, SSCAN and ZSCAN: their options, and the reply of one step over a collection.

use super::options::{cursor, is};
use super::refuse;
use crate::resp::{Args, Reply, error_text};
use keytide_engine::error::Refusal;
use keytide_engine::filter::Glob;
use keytide_engine::number::parse_i64;
use keytide_engine::shard::{ScanBudget, Walked, walk};

/// The number of keys or elements that a call examines without COUNT.
const COUNT_DEFAULT: usize = 10;

/// The options of a scan.
pub struct ScanOptions<'a> {
    /// The wanted names; `None` = all.
    glob: Option<Glob>,
    /// The number of keys or elements that a call examines.
    pub count: usize,
    /// For SCAN: the wanted type; `None` = all.
    pub kind: Option<&'a [u8]>,
    /// For HSCAN: whether the values are left out.
    names_only: bool,
}

/// Which of the scans takes the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// SCAN.
    Keys,
    /// HSCAN.
    Fields,
    /// SSCAN, ZSCAN.
    Members,
}

impl<'a> ScanOptions<'a> {
    /// Parses the words after the cursor; or returns the text of the error.
    pub fn parse(words: Args<'a>, scanned: Scanned) -> Result<ScanOptions<'a>, String> {
        let mut options = ScanOptions { glob: None, count: COUNT_DEFAULT, kind: None, names_only: false };
        let mut at = 0;
        while let Some(word) = words.try_get(at) {
            if scanned == Scanned::Fields && is(word, "novalues") {
                options.names_only = true;
                at += 1;
                continue;
            }
            let value = words.try_get(at + 1).ok_or(error_text::SYNTAX)?;
            at += 2;
            if is(word, "match") {
                options.glob = Some(Glob::new(value).map_err(|error| error_text::err(&error))?);
            } else if is(word, "count") {
                let count = parse_i64(value).ok_or(error_text::NOT_INTEGER)?;
                options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(error_text::SYNTAX)?;
            } else if scanned == Scanned::Keys && is(word, "type") {
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

    /// The work of one call.
    pub fn budget(&self) -> ScanBudget {
        ScanBudget::new(self.count, self.glob.as_ref())
    }
}

/// Replies with one step over a collection.
pub fn answer_step<B: AsRef<[u8]>, const N: usize>(
    args: Args<'_>,
    scanned: Scanned,
    reply: &mut Reply<'_>,
    found: Result<Option<impl Walked<Words = [B; N]>>, Refusal>,
) {
    let Some(from) = cursor(args.get(2)) else { return reply.error(error_text::INVALID_CURSOR) };
    let collection = match found {
        Ok(Some(collection)) => collection,
        // Without a collection the options are not checked.
        Ok(None) => {
            reply.array(2);
            reply.bulk(b"0");
            return reply.array(0);
        }
        Err(refusal) => return refuse(reply, refusal),
    };
    let options = match ScanOptions::parse(args.rest(3), scanned) {
        Ok(options) => options,
        Err(text) => return reply.error(text),
    };
    let step = walk(from, options.count, collection.length(), collection.is_compact());
    let mut budget = options.budget();
    let mut next = step.next;
    let mut wanted: Vec<[B; N]> = Vec::new();
    let mut look = |element: [B; N]| {
        let [name, value] = [element[0].as_ref().len(), element[1..].iter().map(|bytes| bytes.as_ref().len()).sum()];
        if options.wants(element[0].as_ref()) {
            wanted.push(element);
        }
        budget.charge(name, value)
    };
    if step.is_whole {
        collection.all().for_each(|element| _ = look(element));
    } else if let Some(last) = step.places.rev().find(|&place| !collection.element(place).is_none_or(&mut look)) {
        next = last as u64;
    }
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    let shown = if options.names_only { 1 } else { N };
    reply.array(wanted.len() * shown);
    wanted.iter().flat_map(|element| &element[..shown]).for_each(|bytes| reply.bulk(bytes.as_ref()));
}
