//! The hash of a password: only that is kept, never the password.

use crate::limits::PASSWORD_BYTES_MAX;
use sha2::{Digest, Sha256};
use std::fmt;

const BYTES: usize = 32;

/// The SHA-256 of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash([u8; BYTES]);

impl PasswordHash {
    /// The hash of a password; none of one that is longer than [`PASSWORD_BYTES_MAX`].
    pub fn of(password: &[u8]) -> Option<PasswordHash> {
        (password.len() <= PASSWORD_BYTES_MAX).then(|| PasswordHash(Sha256::digest(password).into()))
    }

    /// The hash that these 64 lower-case hexadecimal digits are.
    pub fn from_hex(digits: &[u8]) -> Option<PasswordHash> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut hash = [0; BYTES];
        if digits.len() != BYTES * 2 {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(PasswordHash(hash))
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &PasswordHash) -> bool {
        let differing = self.0.iter().zip(&other.0).fold(0u8, |found, (a, b)| found | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

/// In hexadecimal digits, as rules have it.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hides the hash: a hash that is known can be tried against lists of passwords.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";

    #[test]
    fn a_hash_is_what_redis_stores() {
        let hash = |password: &[u8]| PasswordHash::of(password).expect("it is short");
        assert_eq!(hash(b"pw").to_string(), HEX);
        assert!(PasswordHash::from_hex(HEX.as_bytes()).is_some_and(|known| known.matches(&hash(b"pw"))));
        assert!(!hash(b"pw").matches(&hash(b"px")));
        assert!(PasswordHash::of(&[b'x'; PASSWORD_BYTES_MAX]).is_some());
        assert!(PasswordHash::of(&[b'x'; PASSWORD_BYTES_MAX + 1]).is_none());
    }

    #[test]
    fn a_hash_has_64_lower_case_digits() {
        for wrong in [&HEX[1..], &format!("{HEX}0"), &HEX.to_uppercase(), &HEX.replace('c', "g")] {
            assert!(PasswordHash::from_hex(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert!(!format!("{:?}", PasswordHash::from_hex(HEX.as_bytes())).contains("30c9"));
    }
}
