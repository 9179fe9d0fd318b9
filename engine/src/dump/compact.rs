//! The compact forms of collections in Redis: ziplists, listpacks, zipmaps, sets of integers. Each is one string.

use crate::collection::Bytes;
use crate::number::parse_i64;

/// The byte behind the last element.
const END: u8 = 0xff;

fn text(number: i64) -> Bytes {
    Bytes::from_slice(itoa::Buffer::new().format(number).as_bytes())
}

/// Takes the first `count` bytes.
fn take<'b>(rest: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    take(rest, 1).map(|taken| taken[0])
}

/// An integer with a sign, of `count` bytes, 1 to 8, the lowest first.
fn integer(rest: &mut &[u8], count: usize) -> Option<i64> {
    let mut bytes = [0; 8];
    bytes[8 - count..].copy_from_slice(take(rest, count)?);
    Some(i64::from_le_bytes(bytes) >> (64 - 8 * count))
}

fn u32_of(rest: &mut &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?) as usize)
}

/// The members of a set of integers.
pub fn integers(mut bytes: &[u8]) -> Option<Vec<Bytes>> {
    let rest = &mut bytes;
    let (width, count) = (u32_of(rest)?, u32_of(rest)?);
    if !matches!(width, 2 | 4 | 8) || count.checked_mul(width)? != rest.len() {
        return None;
    }
    (0..count).map(|_| integer(rest, width).map(text)).collect()
}

/// What follows the head of a list of elements.
fn behind_head(bytes: &[u8], head: usize) -> Option<&[u8]> {
    let mut rest = bytes;
    // The head begins with the number of all bytes.
    let total = u32_of(&mut { rest })?;
    take(&mut rest, head)?;
    (total == bytes.len()).then_some(rest)
}

/// The elements between the head and the end of a list of elements: `next` takes one.
fn elements(bytes: &[u8], head: usize, next: fn(&mut &[u8]) -> Option<Bytes>) -> Option<Vec<Bytes>> {
    let mut rest = behind_head(bytes, head)?;
    let mut found = Vec::new();
    while *rest.first()? != END {
        found.push(next(&mut rest)?);
    }
    (rest.len() == 1).then_some(found)
}

/// The elements of a ziplist.
pub fn ziplist(bytes: &[u8]) -> Option<Vec<Bytes>> {
    /// The numbers of bytes and elements, and where the last one is.
    const HEAD_BYTES: usize = 10;
    elements(bytes, HEAD_BYTES, |rest| {
        // The length of the element before.
        if byte(rest)? == 254 {
            take(rest, 4)?;
        }
        let form = byte(rest)?;
        let length = match form {
            0..0x40 => form.into(),
            0x40..0x80 => usize::from(form & 0x3f) << 8 | usize::from(byte(rest)?),
            0x80..0xc0 => u32::from_be_bytes(take(rest, 4)?.try_into().ok()?) as usize,
            0xc0 => return integer(rest, 2).map(text),
            0xd0 => return integer(rest, 4).map(text),
            0xe0 => return integer(rest, 8).map(text),
            0xf0 => return integer(rest, 3).map(text),
            0xfe => return integer(rest, 1).map(text),
            0xf1..=0xfd => return Some(text(i64::from(form & 0x0f) - 1)),
            _ => return None,
        };
        take(rest, length).map(Bytes::from_slice)
    })
}

/// The numbers of bytes and elements of a listpack.
const LISTPACK_HEAD_BYTES: usize = 6;

/// The elements of a listpack.
pub fn listpack(bytes: &[u8]) -> Option<Vec<Bytes>> {
    elements(bytes, LISTPACK_HEAD_BYTES, listpack_element)
}

/// A listpack that is read element by element.
pub struct Listpack<'b> {
    rest: &'b [u8],
}

impl Listpack<'_> {
    pub fn new(bytes: &[u8]) -> Option<Listpack<'_>> {
        behind_head(bytes, LISTPACK_HEAD_BYTES).map(|rest| Listpack { rest })
    }

    /// Whether no element is left.
    pub fn is_empty(&self) -> bool {
        self.rest == [END]
    }

    /// The next element; `None` if there is none.
    pub fn text(&mut self) -> Option<Bytes> {
        listpack_element(&mut self.rest)
    }

    /// The same, which has to be an integer.
    pub fn integer(&mut self) -> Option<i64> {
        parse_i64(&self.text()?)
    }
}

/// Takes an element of a listpack; `None` at the end.
fn listpack_element(rest: &mut &[u8]) -> Option<Bytes> {
    let before = rest.len();
    let form = byte(rest)?;
    let length = match form {
        0..0x80 => return listpack_end(rest, before, text(form.into())),
        0x80..0xc0 => usize::from(form & 0x3f),
        0xc0..0xe0 => {
            let bits = i64::from(form & 0x1f) << 8 | i64::from(byte(rest)?);
            return listpack_end(rest, before, text(bits << 51 >> 51));
        }
        0xe0..0xf0 => usize::from(form & 0x0f) << 8 | usize::from(byte(rest)?),
        0xf0 => u32_of(rest)?,
        0xf1..=0xf4 => {
            let number = integer(rest, [2, 3, 4, 8][usize::from(form - 0xf1)])?;
            return listpack_end(rest, before, text(number));
        }
        _ => return None,
    };
    let element = take(rest, length).map(Bytes::from_slice)?;
    listpack_end(rest, before, element)
}

/// Skips the length that stands behind each element of a listpack, for going back.
fn listpack_end(rest: &mut &[u8], before: usize, element: Bytes) -> Option<Bytes> {
    take(rest, back_width(before - rest.len()))?;
    Some(element)
}

/// The bytes of the length that stands behind an element of so many bytes.
fn back_width(length: usize) -> usize {
    match length {
        0..128 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Elements of a listpack that is written.
#[derive(Default)]
pub struct Elements {
    bytes: Vec<u8>,
    count: usize,
}

impl Elements {
    /// The bytes that they take.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn text(&mut self, text: &[u8]) {
        let start = self.bytes.len();
        match text.len() {
            length @ 0..0x40 => self.bytes.push(0x80 | length as u8),
            length @ 0x40..0x1000 => self.bytes.extend([0xe0 | (length >> 8) as u8, length as u8]),
            length => {
                self.bytes.push(0xf0);
                self.bytes.extend((length as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(text);
        self.end(start);
    }

    pub fn integer(&mut self, number: i64) {
        let start = self.bytes.len();
        match number {
            0..0x80 => self.bytes.push(number as u8),
            -0x1000..0x1000 => self.bytes.extend([0xc0 | (number >> 8) as u8 & 0x1f, number as u8]),
            _ => {
                self.bytes.push(0xf4);
                self.bytes.extend(number.to_le_bytes());
            }
        }
        self.end(start);
    }

    /// Writes the length of the element that begins at `start`, of which 7 bits are in each byte and the last byte has the
    /// lowest.
    fn end(&mut self, start: usize) {
        let length = self.bytes.len() - start;
        let width = back_width(length);
        for at in (0..width).rev() {
            let more = if at == width - 1 { 0 } else { 0x80 };
            // The first byte is the end of the length for who goes back.
            self.bytes.push((length >> (7 * at)) as u8 & 0x7f | more);
        }
        self.count += 1;
    }
}

/// A listpack of these elements, which take less than 4 GiB.
pub fn packed(parts: &[&Elements]) -> Vec<u8> {
    /// What stands for more elements than 16 bits count.
    const MANY: usize = u16::MAX as usize;
    let (bytes, count) = parts.iter().fold((0, 0), |sum, part| (sum.0 + part.bytes.len(), sum.1 + part.count));
    let total = LISTPACK_HEAD_BYTES + bytes + 1;
    let mut list = Vec::with_capacity(total);
    list.extend((total as u32).to_le_bytes());
    list.extend((count.min(MANY) as u16).to_le_bytes());
    parts.iter().for_each(|part| list.extend_from_slice(&part.bytes));
    list.push(END);
    list
}

/// The fields and values of a zipmap, a form of hashes that Redis has not written for long.
pub fn zipmap(bytes: &[u8]) -> Option<Vec<Bytes>> {
    fn length(rest: &mut &[u8]) -> Option<usize> {
        match byte(rest)? {
            length @ 0..254 => Some(length.into()),
            254 => u32_of(rest),
            END => None,
        }
    }
    let mut rest = bytes.get(1..)?;
    let mut found = Vec::new();
    while *rest.first()? != END {
        let field = length(&mut rest)?;
        found.push(Bytes::from_slice(take(&mut rest, field)?));
        let (value, free) = (length(&mut rest)?, byte(&mut rest)?);
        found.push(Bytes::from_slice(take(&mut rest, value)?));
        take(&mut rest, free.into())?;
    }
    (rest.len() == 1).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(elements: Option<Vec<Bytes>>) -> Option<Vec<String>> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        elements.map(|elements| elements.iter().map(text).collect())
    }

    fn words(line: &str) -> Option<Vec<String>> {
        Some(line.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn numbers_and_texts_are_read() {
        let zipped = b"\x1d\0\0\0\x19\0\0\0\x04\0\0\x02hi\x04\xf1\x02\xfe\x80\x03\xc0\x00\x01\x04\xf0\xff\xff\xff\xff";
        assert_eq!(texts(ziplist(zipped)), words("hi 0 -128 256 -1"));
        let packed = b"\x19\0\0\0\x04\0\x82hi\x03\x07\x01\xdf\xff\x02\xf1\x00\x80\x03\xf2\xff\xff\xff\x04\xff";
        assert_eq!(texts(listpack(packed)), words("hi 7 -1 -32768 -1"));
        assert_eq!(texts(integers(b"\x02\0\0\0\x02\0\0\0\xff\xff\x07\x00")), words("-1 7"));
        assert_eq!(texts(zipmap(b"\x01\x01a\x02\x01bc.\xff")), words("a bc"));
    }

    #[test]
    fn a_listpack_is_read_as_it_was_written() {
        let lengths = [0, 1, 63, 64, 125, 126, 127, 4095, 4096, 16_376, 16_377, 16_378, 70_000, 2_097_145, 2_097_146];
        let words: Vec<Vec<u8>> = lengths.iter().map(|length| vec![b'x'; *length]).collect();
        let numbers = [0, 127, 128, -1, 4095, 4096, -4096, -4097, i64::MAX, i64::MIN];
        let (mut one, mut other) = (Elements::default(), Elements::default());
        numbers.iter().for_each(|number| one.integer(*number));
        words.iter().for_each(|word| other.text(word));
        let bytes = packed(&[&one, &other]);
        let mut list = Listpack::new(&bytes).expect("a head");
        assert!(numbers.iter().all(|number| list.integer() == Some(*number)));
        assert!(words.iter().all(|word| list.text().as_deref() == Some(word)));
        assert!(list.is_empty() && list.text().is_none());
    }

    #[test]
    fn what_is_cut_off_or_has_more_is_refused() {
        let packed = b"\x0b\0\0\0\x01\0\x82hi\x03\xff";
        assert!(listpack(packed).is_some());
        for cut in 0..packed.len() {
            assert!(listpack(&packed[..cut]).is_none() && ziplist(&packed[..cut]).is_none());
            assert!(zipmap(&packed[..cut]).is_none());
        }
        assert!(listpack(b"\x0c\0\0\0\x01\0\x82hi\x03\xff\xff").is_none());
        assert!(integers(b"\x02\0\0\0\x02\0\0\0\xff\xff\x07").is_none());
    }
}
