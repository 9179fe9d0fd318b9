//! The part of an event's message that is the same for all who get it: from its position on. Thousands of subscribers
//! may get the same event; it is encoded for the first two of them, and copied for the others.
//!
//! Nothing is kept for the first: an event that one subscriber alone gets costs no copy.

use super::Numbers;
use crate::resp::{Protocol, Reply};
use keytide_engine::position::Position;
use keytide_engine::ring::Record;

/// How many tails are kept: those of the events that a subscription is told in one go are told to the next one.
const SLOTS: usize = 512;

/// A longer tail is not kept: encoding it is copying as well.
const TAIL_BYTES_MAX: usize = 2 << 10;

/// The latest tails of one core; at most `SLOTS` × `TAIL_BYTES_MAX` bytes, 1 MiB.
pub struct Tails {
    numbers: Numbers,
    slots: Box<[Slot]>,
}

#[derive(Clone, Default)]
struct Slot {
    position: Position,
    protocol: Protocol,
    is_link: bool,
    /// The stream of the link; empty where it is the event itself.
    stream: Vec<u8>,
    /// Empty until it is encoded for the second time, and where it is too long.
    bytes: Vec<u8>,
}

impl Default for Tails {
    fn default() -> Tails {
        Tails { numbers: Numbers::default(), slots: vec![Slot::default(); SLOTS].into_boxed_slice() }
    }
}

impl Tails {
    /// Appends the tail of an event, or of the link to it in a stream.
    /// What `is_shared` by all who get it already is not kept.
    #[inline]
    pub fn put(
        &mut self,
        out: &mut Vec<u8>,
        protocol: Protocol,
        record: &Record<'_>,
        link: Option<&[u8]>,
        is_shared: bool,
    ) {
        if is_shared {
            super::tail(&mut Reply::new(out, protocol), &mut self.numbers, record, link);
            return;
        }
        let (position, stream) = (record.position(), link.unwrap_or_default());
        let slot = &mut self.slots[place(position, protocol, stream)];
        let is_known = slot.position == position
            && slot.protocol == protocol
            && slot.is_link == link.is_some()
            && (stream.is_empty() && slot.stream.is_empty() || slot.stream == stream);
        if is_known && !slot.bytes.is_empty() {
            out.extend_from_slice(&slot.bytes);
            return;
        }
        let mark = out.len();
        super::tail(&mut Reply::new(out, protocol), &mut self.numbers, record, link);
        if is_known {
            let tail = &out[mark..];
            if tail.len() <= TAIL_BYTES_MAX {
                slot.bytes.extend_from_slice(tail);
            }
        } else {
            (slot.position, slot.protocol, slot.is_link) = (position, protocol, link.is_some());
            slot.stream.clear();
            slot.stream.extend_from_slice(stream);
            slot.bytes.clear();
        }
    }
}

/// Where a tail is kept. What one event is told as lies apart, and so do events that follow each other.
#[inline]
fn place(position: Position, protocol: Protocol, stream: &[u8]) -> usize {
    // The first letter behind `$` tells the kinds of link streams apart.
    let kind = usize::from(stream.get(1).copied().unwrap_or(0)) * 2 + usize::from(protocol == Protocol::Resp3);
    (position.0 as usize).wrapping_add(kind.wrapping_mul(61)) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::super::tests::records;
    use super::*;

    #[test]
    fn a_tail_is_the_same_however_often_and_to_whom_it_is_told() {
        // More events than there are slots, each told to several subscribers of all kinds.
        let many = |shard: &mut keytide_engine::shard::Shard| {
            for n in 0..SLOTS * 2 {
                let value = vec![b'v'; if n % 100 == 0 { TAIL_BYTES_MAX + 1 } else { n % 50 }];
                shard.set(format!("user-{n}").as_bytes(), &value).unwrap();
            }
        };
        let mut tails = Tails::default();
        records(many, |record| {
            for _ in 0..3 {
                for protocol in [Protocol::Resp2, Protocol::Resp3] {
                    for link in [None, Some(&b"$ce-user"[..]), Some(b"$et-Set"), Some(b"$streams"), Some(b"")] {
                        let (mut told, mut encoded) = (Vec::new(), Vec::new());
                        tails.put(&mut told, protocol, record, link, false);
                        super::super::tail(
                            &mut Reply::new(&mut encoded, protocol),
                            &mut Numbers::default(),
                            record,
                            link,
                        );
                        assert_eq!(told, encoded);
                    }
                }
            }
        });
    }

    #[test]
    fn what_is_told_to_many_is_encoded_twice() {
        let mut tails = Tails::default();
        records(
            |shard| shard.set(b"k", b"v").unwrap(),
            |record| {
                let kept = |tails: &Tails| tails.slots.iter().filter(|slot| !slot.bytes.is_empty()).count();
                let mut out = Vec::new();
                tails.put(&mut out, Protocol::Resp2, record, None, false);
                assert_eq!(kept(&tails), 0);
                tails.put(&mut out, Protocol::Resp2, record, None, false);
                assert_eq!(kept(&tails), 1);
                let once = out.len() / 2;
                tails.put(&mut out, Protocol::Resp2, record, None, false);
                assert_eq!(out[..once], out[once * 2..]);
            },
        );
    }
}
