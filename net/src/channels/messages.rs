//! Published messages on their way: in one block of memory, in order.

use super::Kind;
use keytide_engine::position::ShardId;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// Cores that a message goes to, each once.
pub type Cores = SmallVec<[ShardId; 8]>;

/// A published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Whether its channel is a sharded one.
    pub kind: Kind,
    /// Its channel.
    pub channel: &'a [u8],
    /// What was published.
    pub payload: &'a [u8],
}

struct Head {
    kind: Kind,
    channel_bytes: usize,
    payload_bytes: usize,
    cores: Cores,
}

/// Messages in the order in which they came.
#[derive(Default)]
pub struct Messages {
    heads: VecDeque<Head>,
    bytes: Vec<u8>,
    /// The bytes of messages that have gone.
    start: usize,
}

/// The memory that is kept for the next messages, in bytes.
const KEPT_BYTES: usize = 256 << 10;

impl Messages {
    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.start + self.heads.len() * size_of::<Head>()
    }

    /// How many there are: a mark for [`Messages::truncate`].
    pub fn mark(&self) -> usize {
        self.heads.len()
    }

    /// Drops what was added since the mark was taken.
    pub fn truncate(&mut self, mark: usize) {
        for head in self.heads.drain(mark.min(self.heads.len())..) {
            self.bytes.truncate(self.bytes.len() - head.channel_bytes - head.payload_bytes);
        }
    }

    /// Adds a message for these cores.
    pub fn push(&mut self, kind: Kind, channel: &[u8], payload: &[u8], cores: Cores) {
        self.bytes.extend_from_slice(channel);
        self.bytes.extend_from_slice(payload);
        let (channel_bytes, payload_bytes) = (channel.len(), payload.len());
        self.heads.push_back(Head { kind, channel_bytes, payload_bytes, cores });
    }

    /// Takes the first message, for `use_it`.
    pub fn take_first<R>(&mut self, use_it: impl FnOnce(Message<'_>, &Cores) -> R) -> Option<R> {
        let Head { kind, channel_bytes, payload_bytes, cores } = self.heads.pop_front()?;
        let (channel, rest) = self.bytes[self.start..].split_at(channel_bytes);
        let used = use_it(Message { kind, channel, payload: &rest[..payload_bytes] }, &cores);
        self.start += channel_bytes + payload_bytes;
        if self.heads.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            self.start = 0;
        } else if self.start > self.bytes.len() / 2 {
            // Moved only when less is left than has gone, so each byte moves a bounded number of times.
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        Some(used)
    }

    /// Takes all of them.
    pub fn drain(&mut self, mut each: impl FnMut(Message<'_>, &Cores)) {
        while self.take_first(&mut each).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_in_order_and_their_memory_with_them() {
        let mut messages = Messages::default();
        let mut next = 0;
        for number in 0..1_000_u32 {
            let payload = vec![b'x'; number as usize % 300];
            messages.push(Kind::Channel, format!("c{number}").as_bytes(), &payload, Cores::new());
            if number % 3 == 0 {
                let took = messages.take_first(|message, _| {
                    assert_eq!(message.channel, format!("c{next}").as_bytes());
                    assert_eq!(message.payload.len(), next % 300);
                });
                assert!(took.is_some());
                next += 1;
            }
        }
        let mut left = 0;
        messages.drain(|message, _| {
            assert_eq!(message.channel, format!("c{}", next + left).as_bytes());
            left += 1;
        });
        assert_eq!(next + left, 1_000);
        assert!(messages.is_empty() && messages.bytes() == 0);
    }
}
