//! LZF: how Redis compresses strings of its snapshots. Only reading.

/// The bytes that these are compressed of, which are `length`; `None` where they are others.
pub fn decompress(mut from: &[u8], length: usize) -> Option<Vec<u8>> {
    // It grows as bytes come out of it: the length is only announced.
    let mut out: Vec<u8> = Vec::new();
    while let [control, rest @ ..] = from {
        let control = usize::from(*control);
        from = rest;
        if control < 32 {
            // So many bytes as they are.
            let (literal, rest) = from.split_at_checked(control + 1)?;
            out.extend_from_slice(literal);
            from = rest;
        } else {
            // Bytes that were there before.
            let mut count = control >> 5;
            if count == 7 {
                let (more, rest) = from.split_first()?;
                count += usize::from(*more);
                from = rest;
            }
            let (low, rest) = from.split_first()?;
            from = rest;
            let back = (control & 31) << 8 | usize::from(*low);
            let start = out.len().checked_sub(back + 1)?;
            // They may overlap with what they become.
            (start..start + count + 2).for_each(|at| out.push(out[at]));
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_taken_from_before() {
        assert_eq!(decompress(b"\x00a\xe0\x10\x00", 26), Some(b"a".repeat(26)));
        assert_eq!(decompress(b"\x02abc\x20\x02", 6), Some(b"abcabc".to_vec()));
        for (bytes, length) in [(&b"\x05ab"[..], 6), (b"\x20\x00", 3), (b"\x00a\xe0", 9), (b"\x00a", 2), (b"\x01ab", 1)]
        {
            assert_eq!(decompress(bytes, length), None);
        }
    }
}
