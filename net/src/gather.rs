//! Making one reply of the parts that several shards or cores gave: their values are merged, and then encoded once.

use crate::resp::{Args, Protocol, Reply};
use crate::value::{Value, ValueWriter, Values};

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
    /// Something else, made by the command itself from the parts.
    Custom(fn(&[Vec<u8>], &mut Reply<'_>)),
}

impl Merge {
    /// Writes one reply of these parts. With `InKeyOrder`, `part_of_key` is the part that each key went to.
    pub fn write(self, parts: &[Vec<u8>], part_of_key: &[u16], reply: &mut Reply<'_>) {
        let error = parts.iter().find_map(|part| match Values::of(part).next() {
            Some(Value::Error(text)) => Some(text),
            _ => None,
        });
        if let Some(text) = error {
            return reply.error(text);
        }
        match self {
            Merge::Sum => reply.integer(sum(parts)),
            Merge::AllOk => reply.ok(),
            Merge::InKeyOrder => {
                let mut each: Vec<Values<'_>> = parts.iter().map(|part| Values::of(part)).collect();
                each.iter_mut().for_each(|values| _ = values.array());
                reply.array(part_of_key.len());
                part_of_key.iter().for_each(|&part| each[part as usize].copy_next(reply));
            }
            Merge::Concat => {
                let mut each: Vec<Values<'_>> = parts.iter().map(|part| Values::of(part)).collect();
                reply.array(each.iter_mut().map(Values::array).sum());
                each.into_iter().flatten().for_each(|value| reply.value(value));
            }
            Merge::Texts => {
                let text: String = parts.iter().map(|part| String::from_utf8_lossy(bytes(part))).collect();
                reply.verbatim("txt", &text);
            }
            Merge::Custom(merge) => merge(parts, reply),
        }
    }
}

/// The sum of parts that are integers.
pub fn sum(parts: &[Vec<u8>]) -> i64 {
    let integer = |part: &Vec<u8>| match Values::of(part).next() {
        Some(Value::Integer(value)) => value,
        _ => 0,
    };
    parts.iter().map(integer).sum()
}

/// The bytes of a part that is bytes.
fn bytes(part: &[u8]) -> &[u8] {
    match Values::of(part).next() {
        Some(Value::Bytes(bytes)) => bytes,
        _ => b"",
    }
}

/// A reply that is waiting for its parts.
pub struct Gather {
    merge: Merge,
    /// What the reply is encoded for.
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

    /// Takes one part; answers the whole reply, encoded, with the last one.
    pub fn deliver(&mut self, part: u16, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.bytes += bytes.len();
        self.parts[part as usize] = bytes;
        self.missing -= 1;
        (self.missing == 0).then(|| {
            let mut out = Vec::with_capacity(self.bytes + 16);
            self.merge.write(&self.parts, &self.part_of_key, &mut Reply::new(&mut out, self.protocol));
            out
        })
    }

    /// The bytes of the parts that have come.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
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
    use crate::value::PartWriter;

    fn gathered(merge: Merge, parts: &[&[Value<'_>]], part_of_key: &[u16], protocol: Protocol) -> String {
        let mut gather = Gather::new(merge, protocol, parts.len(), part_of_key.to_vec());
        let mut whole = None;
        for (index, values) in parts.iter().enumerate().rev() {
            assert!(whole.is_none());
            let mut part = Vec::new();
            values.iter().for_each(|value| PartWriter::new(&mut part).value(*value));
            whole = gather.deliver(index as u16, part);
        }
        String::from_utf8(whole.expect("the last part makes the reply")).expect("only text").replace("\r\n", " ")
    }

    #[test]
    fn values_come_in_the_order_of_the_keys() {
        let parts = [&[Value::Array(2), Value::Bytes(b"a"), Value::Null][..], &[Value::Array(1), Value::Bytes(b"b")]];
        let gather = |merge, part_of_key, protocol| gathered(merge, &parts, part_of_key, protocol);
        assert_eq!(gather(Merge::InKeyOrder, &[0, 1, 0], Protocol::Resp2), "*3 $1 a $1 b $-1 ");
        assert_eq!(gather(Merge::InKeyOrder, &[0, 1, 0], Protocol::Resp3), "*3 $1 a $1 b _ ");
        assert_eq!(gather(Merge::Concat, &[], Protocol::Resp2), "*3 $1 a $-1 $1 b ");
    }

    #[test]
    fn rows_stay_together() {
        let row = [Value::Array(1), Value::Array(2), Value::Bytes(b"key"), Value::Integer(-7)];
        assert_eq!(gathered(Merge::Concat, &[&row, &row], &[], Protocol::Resp2), "*2 *2 $3 key :-7 *2 $3 key :-7 ");
    }

    #[test]
    fn one_error_is_the_reply() {
        let sum = |parts: [Value<'_>; 2]| gathered(Merge::Sum, &[&parts[..1], &parts[1..]], &[], Protocol::Resp2);
        assert_eq!(sum([Value::Integer(2), Value::Integer(40)]), ":42 ");
        assert_eq!(sum([Value::Integer(2), Value::Error(b"ERR no")]), "-ERR no ");
    }

    #[test]
    fn texts_become_one() {
        let texts = [&[Value::Bytes(b"id=1")][..], &[Value::Bytes(b"")], &[Value::Bytes(b"id=2")]];
        assert_eq!(gathered(Merge::Texts, &texts, &[], Protocol::Resp2), "$8 id=1id=2 ");
        assert_eq!(gathered(Merge::Texts, &texts, &[], Protocol::Resp3), "=12 txt:id=1id=2 ");
    }

    #[test]
    fn a_value_goes_with_its_key() {
        let args: OwnedArgs = ["mset", "a", "1", "b", "2", "c", "3"].into_iter().collect();
        let split = Split::new(args.as_args(), (1..7).step_by(2), 2, |key| u16::from(key == b"b"));
        assert_eq!(split.places, [(0, vec![1, 2, 5, 6]), (1, vec![3, 4])]);
        assert_eq!(split.part_of_key, [0, 1, 0]);
    }
}
