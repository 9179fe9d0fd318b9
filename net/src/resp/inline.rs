//! Inline commands: one line, split into words, with Redis's quotes and escapes.
//!
//! In double quotes `\n \r \t \b \a` stand for control bytes, `\xHH` for any byte, and `\` before anything else for
//! that byte. In single quotes only `\'` is special. A closing quote must be followed by a space or the line's end.

use super::args::OwnedArgs;

/// The quotes do not match up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbalanced;

/// The spaces of C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Splits `line`, without its line end, into `words`, which must be empty. On an error `words` has the words before it.
pub fn split_words(line: &[u8], words: &mut OwnedArgs) -> Result<(), Unbalanced> {
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().take_while(|&&byte| is_space(byte)).count()..];
        if rest.is_empty() {
            return Ok(());
        }
        rest = word(rest, words.bytes_mut())?;
        words.end_argument();
    }
}

/// Appends the first word of `line` to `out` and returns the rest.
fn word<'a>(mut line: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        line = match line {
            [] => return Ok(line),
            [b'"', rest @ ..] => return double_quoted(rest, out),
            [b'\'', rest @ ..] => return single_quoted(rest, out),
            [byte, rest @ ..] if is_space(*byte) => return Ok(rest),
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        }
    }
}

fn double_quoted<'a>(mut line: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        line = match line {
            [] => return Err(Unbalanced),
            [b'"', rest @ ..] => return closed(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest
            }
            [b'\\', byte, rest @ ..] => {
                out.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest
            }
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        }
    }
}

fn single_quoted<'a>(mut line: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        line = match line {
            [] => return Err(Unbalanced),
            [b'\\', b'\'', rest @ ..] => {
                out.push(b'\'');
                rest
            }
            [b'\'', rest @ ..] => return closed(rest),
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        }
    }
}

fn closed(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest.first() {
        Some(&byte) if !is_space(byte) => Err(Unbalanced),
        _ => Ok(rest),
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
        let mut words = OwnedArgs::new();
        split_words(line, &mut words)?;
        Ok(words.as_args().iter().map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn words_are_split_at_any_run_of_spaces() {
        assert_eq!(words(b"  SET\t a \x0b b  ").unwrap(), [b"SET".to_vec(), b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(words(b" \t ").unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn quotes_keep_spaces_and_may_be_empty() {
        assert_eq!(words(br#""a b" 'c "d' "" ''"#).unwrap(), [b"a b".to_vec(), b"c \"d".to_vec(), vec![], vec![]]);
    }

    #[test]
    fn escapes_are_those_of_redis() {
        assert_eq!(
            words(br#""\x41\n\r\t\b\a\q\"\xzz" '\n\''"#).unwrap(),
            [b"A\n\r\t\x08\x07q\"xzz".to_vec(), b"\\n'".to_vec()]
        );
    }

    #[test]
    fn a_quote_inside_a_word_opens_and_must_end_it() {
        assert_eq!(words(br#"foo"bar" x"#).unwrap(), [b"foobar".to_vec(), b"x".to_vec()]);
        assert_eq!(words(br#"foo"bar"x"#), Err(Unbalanced));
    }

    #[test]
    fn an_open_quote_is_unbalanced() {
        for line in [&br#""abc"#[..], b"'abc", br#""abc\"#, br#""abc\""#, br"'abc\'"] {
            assert_eq!(words(line), Err(Unbalanced), "{}", line.escape_ascii());
        }
    }
}
