//! A cursor over a complete RESP2 reply, without copying.

use crate::error::BenchError;
use crate::scan::ScanError;

/// A position in a reply. The scanner has found the reply complete and well-formed; it may still not be the expected
/// one.
#[derive(Clone, Copy, Debug)]
pub struct ReplyCursor<'a> {
    rest: &'a [u8],
}

impl<'a> ReplyCursor<'a> {
    /// The start of a reply.
    pub fn new(reply: &'a [u8]) -> ReplyCursor<'a> {
        ReplyCursor { rest: reply }
    }

    /// The length of an array, whose elements follow. `None` if it is nil.
    pub fn array(&mut self) -> Result<Option<usize>, BenchError> {
        self.header(b'*')
    }

    /// An integer.
    pub fn integer(&mut self) -> Result<i64, BenchError> {
        let line = self.line(b':')?;
        std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or_else(|| self.unlike("an integer"))
    }

    /// A bulk string, empty if it is nil.
    pub fn bulk(&mut self) -> Result<&'a [u8], BenchError> {
        let Some(length) = self.header(b'$')? else { return Ok(&[]) };
        let Some((bytes, rest)) = self.rest.split_at_checked(length + 2) else { return Err(self.unlike("a string")) };
        self.rest = rest;
        Ok(&bytes[..length])
    }

    /// Skips this many values of any type.
    pub fn skip(&mut self, values: usize) -> Result<(), BenchError> {
        let mut left = values;
        while left > 0 {
            left -= 1;
            match self.rest.first() {
                Some(b'$') => drop(self.bulk()?),
                Some(b'*') => left += self.array()?.unwrap_or(0),
                Some(&kind) => drop(self.line(kind)?),
                None => return Err(self.unlike("a value")),
            }
        }
        Ok(())
    }

    fn header(&mut self, kind: u8) -> Result<Option<usize>, BenchError> {
        match self.line(kind)? {
            b"-1" => Ok(None),
            digits => {
                let length = digits.iter().fold(0_usize, |sum, digit| {
                    sum.wrapping_mul(10).wrapping_add(usize::from(digit.wrapping_sub(b'0')))
                });
                Ok(Some(length))
            }
        }
    }

    fn line(&mut self, kind: u8) -> Result<&'a [u8], BenchError> {
        let end = self.rest.iter().position(|byte| *byte == b'\r');
        match end {
            Some(end) if self.rest[0] == kind && self.rest.get(end + 1) == Some(&b'\n') => {
                let line = &self.rest[1..end];
                self.rest = &self.rest[end + 2..];
                Ok(line)
            }
            Some(_) | None => Err(self.unlike(&format!("a value that begins with {:?}", char::from(kind)))),
        }
    }

    /// The error for an unexpected reply.
    pub fn unlike(&self, expected: &str) -> BenchError {
        let rest = String::from_utf8_lossy(&self.rest[..self.rest.len().min(40)]);
        ScanError::Malformed(format!("{rest}, where {expected} should be")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_passed_over_with_all_that_is_in_them() {
        let mut cursor = ReplyCursor::new(b"*3\r\n*2\r\n$2\r\n\r\n\r\n*-1\r\n$-1\r\n:5\r\n:-7\r\n$3\r\nabc\r\n");
        assert_eq!(cursor.array().unwrap(), Some(3));
        cursor.skip(2).unwrap();
        assert_eq!(cursor.integer().unwrap(), 5);
        assert_eq!(cursor.integer().unwrap(), -7);
        assert_eq!(cursor.bulk().unwrap(), b"abc");
        assert!(cursor.skip(1).is_err());
    }

    #[test]
    fn another_value_than_expected_is_an_error() {
        assert!(ReplyCursor::new(b":5\r\n").array().is_err());
        assert!(ReplyCursor::new(b"$5\r\nab\r\n").bulk().is_err());
        assert!(ReplyCursor::new(b"+OK\r\n").integer().is_err());
        assert!(ReplyCursor::new(b"").array().is_err());
        assert_eq!(ReplyCursor::new(b"*-1\r\n").array().unwrap(), None);
        assert_eq!(ReplyCursor::new(b"$-1\r\n").bulk().unwrap(), b"");
    }
}
