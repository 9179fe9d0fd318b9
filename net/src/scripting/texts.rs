//! The texts of scripts by their SHA-1, known to all cores.

use keytide_engine::account::{Account, OverLimit, Share};
use sha1::{Digest, Sha1};
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha([u8; 20]);

impl Sha {
    /// The name of this text.
    pub fn of(text: &[u8]) -> Sha {
        Sha(Sha1::digest(text).into())
    }

    /// Reads 40 hexadecimal digits.
    pub fn parse(text: &[u8]) -> Option<Sha> {
        if text.len() != 40 {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let mut sha = [0; 20];
        for (byte, pair) in sha.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Sha(sha))
    }
}

impl Display for Sha {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct Text {
    text: Arc<[u8]>,
    /// Whether a client loaded it: then it stays until SCRIPT FLUSH.
    is_loaded: bool,
    share: Share,
}

/// All scripts, for all cores. A core takes the lock for a script that it has not compiled yet.
pub struct ScriptTexts {
    texts: Mutex<HashMap<Sha, Text, foldhash::fast::RandomState>>,
    account: Account,
    /// Grows with each SCRIPT FLUSH.
    generation: AtomicU64,
}

/// More memory than a text itself: its places in the tables of texts, in bytes.
const TEXT_BYTES: u64 = 256;

impl ScriptTexts {
    /// No scripts; their texts count in this account.
    pub fn new(account: Account) -> ScriptTexts {
        ScriptTexts { texts: Mutex::default(), account, generation: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sha, Text, foldhash::fast::RandomState>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation: where it has changed, scripts that a core has compiled are forgotten.
    #[inline]
    pub fn generation(&self) -> u64 {
        // Acquire: with the release below, who sees the new generation sees the texts gone.
        self.generation.load(Ordering::Acquire)
    }

    /// The text of a script.
    pub fn get(&self, sha: Sha) -> Option<Arc<[u8]>> {
        self.lock().get(&sha).map(|text| text.text.clone())
    }

    /// Keeps a script. One that was only run makes place for others when there is none left.
    ///
    /// # Errors
    /// If there is no place for it.
    pub fn put(&self, sha: Sha, text: &[u8], is_loaded: bool) -> Result<(), OverLimit> {
        let mut texts = self.lock();
        if let Some(known) = texts.get_mut(&sha) {
            known.is_loaded |= is_loaded;
            return Ok(());
        }
        let bytes = text.len() as u64 + TEXT_BYTES;
        let mut share = self.account.share();
        if self.account.over(bytes).is_some() {
            texts.retain(|_, text| text.is_loaded);
        }
        share.take(bytes)?;
        texts.insert(sha, Text { text: text.into(), is_loaded, share });
        Ok(())
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        let old = std::mem::take(&mut *self.lock());
        // Release: see above.
        self.generation.fetch_add(1, Ordering::Release);
        drop(old);
    }

    /// How many scripts there are, and the bytes that they take.
    pub fn figures(&self) -> (usize, u64) {
        let texts = self.lock();
        (texts.len(), texts.values().map(|text| text.share.bytes()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_were_only_run_make_place_and_loaded_ones_do_not() {
        let texts = ScriptTexts::new(Account::new("scripts-bytes", 2_000));
        let put = |text: &[u8], is_loaded| texts.put(Sha::of(text), text, is_loaded);
        let (run, loaded) = (vec![b'r'; 700], vec![b'l'; 700]);
        assert!(put(&run, false).is_ok() && put(&loaded, true).is_ok());
        assert!(put(&[b'x'; 700], true).is_ok());
        assert!(texts.get(Sha::of(&run)).is_none() && texts.get(Sha::of(&loaded)).is_some());
        assert!(put(&[b'y'; 700], true).is_err());
        let generation = texts.generation();
        texts.flush();
        assert!(texts.figures() == (0, 0) && texts.generation() != generation);
        assert!(put(&[b'y'; 700], true).is_ok());
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let sha = Sha::of(b"");
        assert_eq!(sha.to_string(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(Sha::parse(b"DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"), Some(sha));
        assert_eq!(Sha::parse(b"da39"), None);
        assert_eq!(Sha::parse(&[b'g'; 40]), None);
    }
}
