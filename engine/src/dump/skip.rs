//! Where a value ends in a snapshot of Redis: a value there has the same bytes as in a payload of DUMP, but nothing says how
//! many. It is not looked into further than its end needs, and nothing of it is kept.

use super::read::{
    HASH, HASH_LISTPACK, HASH_TTLS, HASH_TTLS_LISTPACK, HASH_ZIPLIST, HASH_ZIPMAP, LIST, LIST_OF_LISTPACKS,
    LIST_OF_ZIPLISTS, LIST_ZIPLIST, LengthForm, SET, SET_INTEGERS, SET_LISTPACK, SORTED, SORTED_BY_TEXT,
    SORTED_LISTPACK, SORTED_ZIPLIST, STRING, length_form,
};
use super::stream;

/// A value of a module, with words that say what is what.
const MODULE: u8 = 7;
/// The same without them: only the module knows where it ends.
const MODULE_BARE: u8 = 6;
/// Hashes whose fields have TTLs, in candidates of Redis 7.4.
const HASH_TTLS_EARLY: u8 = 22;
const HASH_TTLS_LISTPACK_EARLY: u8 = 23;

/// Bytes that are read one after the other.
pub trait Source {
    /// Why they cannot be.
    type Error;

    /// Reads as many bytes as this takes.
    ///
    /// # Errors
    /// There are fewer, or they cannot be read.
    fn read(&mut self, into: &mut [u8]) -> Result<(), Self::Error>;

    /// Passes over so many bytes.
    ///
    /// # Errors
    /// There are fewer, or they cannot be read.
    fn pass(&mut self, count: u64) -> Result<(), Self::Error>;

    /// The error of something that is in no snapshot here.
    fn damaged(&self, what: String) -> Self::Error;
}

/// Reads so many bytes.
fn array<S: Source, const N: usize>(source: &mut S) -> Result<[u8; N], S::Error> {
    let mut bytes = [0; N];
    source.read(&mut bytes)?;
    Ok(bytes)
}

/// A length, or the form of a string that has none.
fn any_length<S: Source>(source: &mut S) -> Result<Result<u64, u8>, S::Error> {
    let [first] = array(source)?;
    Ok(Ok(match length_form(first) {
        Some(LengthForm::Is(length)) => length,
        Some(LengthForm::High(high)) => high << 8 | u64::from(array::<S, 1>(source)?[0]),
        Some(LengthForm::Four) => u32::from_be_bytes(array(source)?).into(),
        Some(LengthForm::Eight) => u64::from_be_bytes(array(source)?),
        Some(LengthForm::String(form)) => return Ok(Err(form)),
        None => return Err(source.damaged(format!("a length cannot begin with {first:#04x}"))),
    }))
}

/// Reads a length.
///
/// # Errors
/// The source's, or it is none.
pub fn length<S: Source>(source: &mut S) -> Result<u64, S::Error> {
    any_length(source)?.map_err(|form| source.damaged(format!("the form {form} of a string is no length")))
}

/// Passes over a string.
///
/// # Errors
/// The source's, or it is none.
pub fn string<S: Source>(source: &mut S) -> Result<(), S::Error> {
    let count = match any_length(source)? {
        Ok(length) => length,
        Err(0) => 1,
        Err(1) => 2,
        Err(2) => 4,
        Err(3) => {
            let packed = length(source)?;
            length(source)?;
            packed
        }
        Err(form) => return Err(source.damaged(format!("no string has the form {form}"))),
    };
    source.pass(count)
}

/// A number of something, and each of it.
fn each<S: Source>(source: &mut S, mut one: impl FnMut(&mut S) -> Result<(), S::Error>) -> Result<(), S::Error> {
    (0..length(source)?).try_for_each(|_| one(source))
}

fn strings<S: Source>(source: &mut S, count: usize) -> Result<(), S::Error> {
    (0..count).try_for_each(|_| string(source))
}

fn lengths<S: Source>(source: &mut S, count: usize) -> Result<(), S::Error> {
    (0..count).try_for_each(|_| length(source).map(drop))
}

/// Passes over a value, whose type was read.
///
/// # Errors
/// The source's, or it is no value of this type, or no type.
pub fn value<S: Source>(form: u8, source: &mut S) -> Result<(), S::Error> {
    match form {
        STRING
        | HASH_ZIPMAP
        | LIST_ZIPLIST
        | SET_INTEGERS
        | SORTED_ZIPLIST
        | HASH_ZIPLIST
        | HASH_LISTPACK
        | SORTED_LISTPACK
        | SET_LISTPACK
        | HASH_TTLS_LISTPACK_EARLY => string(source),
        LIST | SET | LIST_OF_ZIPLISTS => each(source, string),
        HASH => each(source, |source| strings(source, 2)),
        SORTED_BY_TEXT => each(source, |source| {
            string(source)?;
            let [length] = array(source)?;
            // Above that it stands for an infinite score, or for none.
            if length < 253 { source.pass(length.into()) } else { Ok(()) }
        }),
        SORTED => each(source, |source| {
            string(source)?;
            source.pass(8)
        }),
        LIST_OF_LISTPACKS => each(source, |source| {
            lengths(source, 1)?;
            string(source)
        }),
        stream::FIRST | stream::SECOND | stream::THIRD => of_stream(form, source),
        MODULE => {
            lengths(source, 1)?;
            module(source)
        }
        MODULE_BARE => Err(source.damaged("a value of a module in the form before Redis 4.0".to_owned())),
        HASH_TTLS_EARLY | HASH_TTLS => {
            // The first end of a TTL.
            source.pass(if form == HASH_TTLS { 8 } else { 0 })?;
            each(source, |source| {
                lengths(source, 1)?;
                strings(source, 2)
            })
        }
        HASH_TTLS_LISTPACK => {
            source.pass(8)?;
            string(source)
        }
        form => Err(source.damaged(format!("no value has the type {form}"))),
    }
}

/// Passes over what a module has written, up to its end.
///
/// # Errors
/// The source's, or a word that modules do not write.
pub fn module<S: Source>(source: &mut S) -> Result<(), S::Error> {
    loop {
        match length(source)? {
            0 => return Ok(()),
            1 | 2 => lengths(source, 1)?,
            3 => source.pass(4)?,
            4 => source.pass(8)?,
            5 => string(source)?,
            word => return Err(source.damaged(format!("modules do not write the word {word}"))),
        }
    }
}

fn of_stream<S: Source>(form: u8, source: &mut S) -> Result<(), S::Error> {
    each(source, |source| strings(source, 2))?;
    // The number of entries and the last id; the first id, the greatest deleted one, and the number ever added.
    lengths(source, if form == stream::FIRST { 3 } else { 8 })?;
    each(source, |source| {
        string(source)?;
        lengths(source, if form == stream::FIRST { 2 } else { 3 })?;
        each(source, |source| {
            source.pass(16 + 8)?;
            lengths(source, 1)
        })?;
        each(source, |source| {
            string(source)?;
            source.pass(if form == stream::THIRD { 16 } else { 8 })?;
            each(source, |source| source.pass(16))
        })
    })
}

/// What the value of a payload is if this server has no such values.
pub fn foreign(payload: &[u8]) -> Option<String> {
    match *payload.first()? {
        MODULE => {
            let id = length(&mut Slice(payload.get(1..)?)).ok()?;
            Some(format!("a value of the module {}", module_name(id)))
        }
        MODULE_BARE => Some("a value of a module".to_owned()),
        HASH_TTLS_EARLY | HASH_TTLS_LISTPACK_EARLY => {
            Some("a hash whose fields have TTLs, of a candidate of Redis 7.4".to_owned())
        }
        _ => None,
    }
}

/// Whether the value of a payload is a Redis stream.
pub fn is_stream(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(&(stream::FIRST | stream::SECOND | stream::THIRD)))
}

/// The name of a module's type, which its number has in 6 bits for each letter, above 10 bits of its version.
pub fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|n| char::from(LETTERS[(id >> (58 - 6 * n)) as usize & 63])).collect()
}

/// Bytes in memory.
pub(super) struct Slice<'b>(pub &'b [u8]);

impl Source for Slice<'_> {
    type Error = ();

    fn read(&mut self, into: &mut [u8]) -> Result<(), ()> {
        let (taken, rest) = self.0.split_at_checked(into.len()).ok_or(())?;
        into.copy_from_slice(taken);
        self.0 = rest;
        Ok(())
    }

    fn pass(&mut self, count: u64) -> Result<(), ()> {
        let count = usize::try_from(count).map_err(drop)?;
        self.0 = self.0.get(count..).ok_or(())?;
        Ok(())
    }

    fn damaged(&self, _: String) {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::collection::Thresholds;
    use crate::dump::decode;
    use crate::dump::tests::sealed;
    use proptest::prelude::*;

    fn end(bytes: &[u8]) -> Option<usize> {
        let (form, rest) = bytes.split_first()?;
        let mut source = Slice(rest);
        value(*form, &mut source).ok().map(|()| bytes.len() - source.0.len())
    }

    proptest! {
        /// What is read ends where it is passed over.
        #[test]
        fn a_value_ends_where_its_reader_ends(
            kind in 0u8..27, bytes in proptest::collection::vec(any::<u8>(), 0..60), small in any::<bool>(),
        ) {
            let bytes = bytes.into_iter().map(|byte| if small { byte % 24 } else { byte });
            let value: Vec<u8> = std::iter::once(kind).chain(bytes).collect();
            for cut in 1..value.len() {
                if decode(&sealed(value[..cut].to_vec()), &Thresholds::default()).is_ok() {
                    prop_assert_eq!(end(&value), Some(cut));
                }
            }
        }
    }

    #[test]
    fn values_that_this_server_has_not_are_passed_over_and_named() {
        let module = b"\x07\x81\x44\x14\xc8\x94\x14\xc8\x94\x00\x01\x3f\x02\x40\xff\x03....\x04........\x05\x01x\x00";
        assert_eq!(end(module), Some(module.len()));
        assert_eq!(foreign(module).as_deref(), Some("a value of the module RBTIlBTIl"));
        let hash = b"\x18........\x02\x00\x01a\x01b\x05\x01c\x01d";
        assert_eq!(end(hash), Some(hash.len()));
        assert_eq!(foreign(hash), None);
        assert_eq!(
            foreign(b"\x16\x01\x00\x01a\x01b").as_deref(),
            Some("a hash whose fields have TTLs, of a candidate of Redis 7.4")
        );
        assert_eq!(end(b"\x19........\x03abc"), Some(13));
        assert_eq!((end(b"\x17\x03abc"), end(b"\x16\x01\x00\x01a\x01b")), (Some(5), Some(7)));
        assert_eq!((end(b"\x07\x00\x06"), end(b"\x06\x00"), end(b"\x08"), end(b"\x1a")), (None, None, None, None));
        assert_eq!(foreign(b"\x00\x01a"), None);
    }
}
