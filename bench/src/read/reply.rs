//! Going through a whole reply of the second version of the protocol, without copying.

use crate::error::BenchError;
use crate::scan::ScanError;

/// A place in a reply. The scanner has found the reply whole and well-formed; here it may still be another one than
/// the command should have.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    /// The beginning of a reply.
    pub fn new(reply: &'a [u8]) -> Walk<'a> {
        Walk { rest: reply }
    }

    /// An array's length; its elements come next. `None` if it is nil.
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

    /// Passes over so many values, whatever they are.
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

    /// The error for a reply that is not what it should be.
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
        let mut walk = Walk::new(b"*3\r\n*2\r\n$2\r\n\r\n\r\n*-1\r\n$-1\r\n:5\r\n:-7\r\n$3\r\nabc\r\n");
        assert_eq!(walk.array().unwrap(), Some(3));
        walk.skip(2).unwrap();
        assert_eq!(walk.integer().unwrap(), 5);
        assert_eq!(walk.integer().unwrap(), -7);
        assert_eq!(walk.bulk().unwrap(), b"abc");
        assert!(walk.skip(1).is_err());
    }

    #[test]
    fn another_value_than_expected_is_an_error() {
        assert!(Walk::new(b":5\r\n").array().is_err());
        assert!(Walk::new(b"$5\r\nab\r\n").bulk().is_err());
        assert!(Walk::new(b"+OK\r\n").integer().is_err());
        assert!(Walk::new(b"").array().is_err());
        assert_eq!(Walk::new(b"*-1\r\n").array().unwrap(), None);
        assert_eq!(Walk::new(b"$-1\r\n").bulk().unwrap(), b"");
    }
}
