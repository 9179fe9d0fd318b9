//! Numbers that grow slowly, as text: the positions and times of events that follow each other begin with the same
//! digits.

/// How many values share their first digits.
const TAIL: u64 = 10_000;

/// The text of the last number's first digits.
#[derive(Default)]
pub struct Running {
    head: u64,
    text: [u8; 16],
    len: u8,
}

impl Running {
    /// Appends a number as RESP writes an integer.
    #[inline]
    pub fn put(&mut self, out: &mut Vec<u8>, value: u64) {
        let (head, tail) = (value / TAIL, (value % TAIL) as u16);
        if head != self.head {
            self.set(head);
        }
        if self.len == 0 {
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            out.extend_from_slice(b"\r\n");
            return;
        }
        let mut text = [0; 24];
        let end = 1 + self.len as usize;
        text[0] = b':';
        text[1..17].copy_from_slice(&self.text);
        for (place, divisor) in [1000, 100, 10, 1].into_iter().enumerate() {
            text[end + place] = b'0' + (tail / divisor % 10) as u8;
        }
        text[end + 4..end + 6].copy_from_slice(b"\r\n");
        out.extend_from_slice(&text[..end + 6]);
    }

    #[cold]
    fn set(&mut self, head: u64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(head).as_bytes();
        // With four more, and the rest of an integer, it has to fit the text that is put together; 0 is not written.
        let len = if head > 0 && digits.len() <= self.text.len() { digits.len() } else { 0 };
        self.text[..len].copy_from_slice(&digits[..len]);
        (self.head, self.len) = (head, len as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_number(values in proptest::collection::vec((any::<u64>(), 0u32..64), 1..20)) {
            let mut running = Running::default();
            for (value, shift) in values {
                let value = value >> shift;
                for value in [value, value.saturating_add(1), value.saturating_add(9_999)] {
                    let mut out = b"x".to_vec();
                    running.put(&mut out, value);
                    prop_assert_eq!(String::from_utf8(out).unwrap(), format!("x:{value}\r\n"));
                }
            }
        }
    }
}
