//! Reads the short lengths that nearly all commands consist of, without a loop.

/// The largest number that [`short_length`] reads.
pub(super) const SHORT_MAX: i64 = 999;

/// The usual line with a length: its type byte, its number of one to three digits, and the offset behind it. `None` for
/// anything else, for anything invalid, and near the end of the buffer.
#[inline(always)]
pub(super) fn short_length(buffer: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let &[kind, a, b, c, end, _] = buffer.get(at..)?.first_chunk::<6>()?;
    let digit = |byte: u8| byte.wrapping_sub(b'0');
    if digit(a) > 9 {
        return None;
    }
    let a = usize::from(digit(a));
    if b == b'\r' {
        return Some((kind, a, at + 4));
    }
    // Numbers have no leading zero.
    if digit(b) > 9 || a == 0 {
        return None;
    }
    let ab = a * 10 + usize::from(digit(b));
    if c == b'\r' {
        return Some((kind, ab, at + 5));
    }
    if digit(c) > 9 || end != b'\r' {
        return None;
    }
    Some((kind, ab * 10 + usize::from(digit(c)), at + 6))
}

/// The argument after a command's name, if `bytes` begins with an array and both are short and complete. A guess for
/// prefetching: it checks nothing.
#[inline]
pub fn first_argument(bytes: &[u8]) -> Option<&[u8]> {
    let bulk = |at: usize| match short_length(bytes, at)? {
        (b'$', length, start) => Some(start..start + length),
        _ => None,
    };
    let (b'*', _, name) = short_length(bytes, 0)? else { return None };
    let key = bulk(bulk(name)?.end + 2)?;
    bytes.get(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_one_to_three_digits_are_read_and_all_else_is_not() {
        let read = |line: &str| short_length(format!("{line}\r\nab").as_bytes(), 0);
        assert_eq!(read("$0"), Some((b'$', 0, 4)));
        assert_eq!(read("*7"), Some((b'*', 7, 4)));
        assert_eq!(read("$42"), Some((b'$', 42, 5)));
        assert_eq!(read("$999"), Some((b'$', SHORT_MAX as usize, 6)));
        for line in ["$", "$1000", "$01", "$-1", "$x", "$1x", "$12x", "$ 1", "$+1"] {
            assert_eq!(read(line), None, "{line}");
        }
        assert_eq!(short_length(b"$1\r\na", 0), None, "near the end");
        assert_eq!(short_length(b"$1\r\nab", 9), None, "behind the end");
    }

    #[test]
    fn the_first_argument_is_guessed_where_it_is_whole() {
        assert_eq!(first_argument(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"), Some(&b"key"[..]));
        assert_eq!(first_argument(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$900\r\nxx"), Some(&b"key"[..]));
        for bytes in [&b""[..], b"GET key\r\n", b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$3\r\nGET\r\n$300\r\nke"] {
            assert_eq!(first_argument(bytes), None);
        }
    }
}
