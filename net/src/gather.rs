//! Making one reply of the parts that several shards or cores gave.

use crate::resp::split::elements;
use crate::resp::{Args, Protocol, Reply};

/// How parts make a reply.
#[derive(Clone, Copy)]
pub enum Merge {
    /// They are integers: their sum.
    Sum,
    /// Each is `OK`.
    AllOk,
    /// They are arrays with an element for each key: the elements in the order in which the client named the keys.
    InKeyOrder,
    /// They are arrays: one array of all their elements.
    Concat,
    /// They are texts: one verbatim text of all of them.
    Texts,
    /// Something else, made by the command itself from the encoded parts.
    Custom(fn(&[Vec<u8>], &mut Reply<'_>)),
}

/// A reply that is waiting for its parts.
pub struct Gather {
    merge: Merge,
    protocol: Protocol,
    parts: Vec<Vec<u8>>,
    missing: usize,
    /// The bytes of the parts that have come.
    bytes: usize,
    /// With `InKeyOrder`: the part that each key went to.
    part_of_key: Vec<u16>,
}

impl Gather {
    /// A reply of so many parts.
    pub fn new(merge: Merge, protocol: Protocol, parts: usize, part_of_key: Vec<u16>) -> Gather {
        Gather { merge, protocol, parts: vec![Vec::new(); parts], missing: parts, bytes: 0, part_of_key }
    }

    /// The whole reply of parts that are all there.
    pub fn of(merge: Merge, protocol: Protocol, parts: Vec<Vec<u8>>) -> Vec<u8> {
        Gather { merge, protocol, parts, missing: 0, bytes: 0, part_of_key: Vec::new() }.merged()
    }

    /// Takes one part; answers the whole reply with the last one.
    pub fn deliver(&mut self, part: u16, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.bytes += bytes.len();
        self.parts[part as usize] = bytes;
        self.missing -= 1;
        (self.missing == 0).then(|| self.merged())
    }

    /// The bytes of the parts that have come.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn merged(&self) -> Vec<u8> {
        if let Some(error) = self.parts.iter().find(|part| part.first() == Some(&b'-')) {
            return error.clone();
        }
        let mut out = Vec::with_capacity(self.parts.iter().map(Vec::len).sum::<usize>() + 16);
        let mut reply = Reply::new(&mut out, self.protocol);
        match self.merge {
            Merge::Sum => reply.integer(self.parts.iter().map(|part| integer(part)).sum()),
            Merge::AllOk => reply.ok(),
            Merge::InKeyOrder => {
                let mut each: Vec<_> = self.parts.iter().map(|part| array(part)).collect();
                reply.array(self.part_of_key.len());
                for &part in &self.part_of_key {
                    match each[part as usize].next() {
                        Some(element) => reply.raw(element),
                        None => reply.null(),
                    }
                }
            }
            Merge::Concat => {
                reply.array(self.parts.iter().map(|part| array(part).count()).sum());
                self.parts.iter().flat_map(|part| array(part)).for_each(|element| reply.raw(element));
            }
            Merge::Texts => {
                let text: String = self.parts.iter().map(|part| String::from_utf8_lossy(bulk(part))).collect();
                reply.verbatim("txt", &text);
            }
            Merge::Custom(merge) => merge(&self.parts, &mut reply),
        }
        out
    }
}

/// The integer of an encoded integer reply.
pub fn integer(part: &[u8]) -> i64 {
    let digits = part.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b"\r\n"));
    digits.and_then(keytide_engine::number::parse_i64).unwrap_or(0)
}

/// The elements of an encoded array.
pub fn array(part: &[u8]) -> impl Iterator<Item = &[u8]> {
    elements(part).into_iter().flatten()
}

/// The bytes of an encoded bulk string.
pub fn bulk(part: &[u8]) -> &[u8] {
    let Some(line) = part.iter().position(|&byte| byte == b'\n') else { return b"" };
    part[line + 1..].strip_suffix(b"\r\n").unwrap_or(b"")
}

/// Which argument goes to which part, when a command is split over shards.
pub struct Split {
    /// For each part the places of its arguments, keys and what belongs to them.
    pub places: Vec<(u16, Vec<usize>)>,
    /// The part that each key went to.
    pub part_of_key: Vec<u16>,
}

impl Split {
    /// Splits the keys at `places`, each with the arguments up to the next key, by the shard of each.
    pub fn new(
        args: Args<'_>,
        places: impl Iterator<Item = usize>,
        step: usize,
        shard_of: impl Fn(&[u8]) -> u16,
    ) -> Split {
        let mut split = Split { places: Vec::new(), part_of_key: Vec::new() };
        for place in places {
            let shard = shard_of(args.get(place));
            let part = match split.places.iter().position(|part| part.0 == shard) {
                Some(part) => part,
                None => {
                    split.places.push((shard, Vec::new()));
                    split.places.len() - 1
                }
            };
            split.places[part].1.extend(place..(place + step).min(args.len()));
            split.part_of_key.push(part as u16);
        }
        split
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn gathered(merge: Merge, parts: &[&[u8]], part_of_key: &[u16]) -> Vec<u8> {
        let mut gather = Gather::new(merge, Protocol::Resp2, parts.len(), part_of_key.to_vec());
        let mut whole = None;
        for (index, part) in parts.iter().enumerate().rev() {
            assert!(whole.is_none());
            whole = gather.deliver(index as u16, part.to_vec());
        }
        whole.expect("the last part makes the reply")
    }

    #[test]
    fn values_come_in_the_order_of_the_keys() {
        let parts: [&[u8]; 2] = [b"*2\r\n$1\r\na\r\n$-1\r\n", b"*1\r\n$1\r\nb\r\n"];
        assert_eq!(gathered(Merge::InKeyOrder, &parts, &[0, 1, 0]), b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n");
        assert_eq!(gathered(Merge::Concat, &parts, &[]), b"*3\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n");
    }

    #[test]
    fn one_error_is_the_reply() {
        assert_eq!(gathered(Merge::Sum, &[b":2\r\n", b":40\r\n"], &[]), b":42\r\n");
        assert_eq!(gathered(Merge::Sum, &[b":2\r\n", b"-ERR no\r\n"], &[]), b"-ERR no\r\n");
    }

    #[test]
    fn a_value_goes_with_its_key() {
        let args: OwnedArgs = ["mset", "a", "1", "b", "2", "c", "3"].into_iter().collect();
        let split = Split::new(args.as_args(), (1..7).step_by(2), 2, |key| u16::from(key == b"b"));
        assert_eq!(split.places, [(0, vec![1, 2, 5, 6]), (1, vec![3, 4])]);
        assert_eq!(split.part_of_key, [0, 1, 0]);
    }
}
