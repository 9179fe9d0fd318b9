//! Texts as one word of a rule: what a rule cannot have is written as `%XX`, as in URLs.

/// The text as a word.
pub(super) fn encoded(text: &str) -> Vec<u8> {
    let mut word = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            // Parentheses begin and end selectors.
            b'%' | b'(' | b')' | ..=b' ' | 0x7f.. => word.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => word.push(byte),
        }
    }
    word
}

/// The text of a word; none of one that is not written so.
pub(super) fn decoded(word: &[u8]) -> Option<String> {
    let (mut text, mut rest) = (Vec::with_capacity(word.len()), word);
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            text.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        text.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_one_word_and_comes_back() {
        for text in ["", "Ann", "Ann B", "(x) 100 %", "\n\0\u{7f}", "Jürgen", "a=b"] {
            let word = encoded(text);
            assert!(word.iter().all(|byte| byte.is_ascii_graphic() && !b"()".contains(byte)), "{text}");
            assert_eq!(decoded(&word).as_deref(), Some(text));
        }
        for wrong in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert_eq!(decoded(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
