//! A connection's replies in the order of its commands, though some come from other cores, later.
//!
//! ```text
//!   ready bytes ─► [bytes] [waiting] [bytes] [gathering parts] …
//!                   └ what was answered here after a command that is still on its way
//! ```

use crate::gather::Gather;
use crate::limits::{FORWARDED_BYTES_MAX, PIPELINE_MAX, PIPELINE_START, REMOTE_REPLIES_BYTES};
use std::collections::VecDeque;

enum Place {
    Bytes(Vec<u8>),
    Waiting,
    Gathering(Box<Gather>),
}

/// The replies of one connection.
#[derive(Default)]
pub struct Replies {
    ready: Vec<u8>,
    places: VecDeque<Place>,
    /// The number of the first place; numbers are never reused within a connection.
    first: u64,
    waiting: usize,
    /// The bytes of all places but the last one, which may still grow.
    behind: usize,
    /// How large a reply from elsewhere is, or was a while ago.
    remote_reply_bytes: usize,
    /// How many replies from elsewhere have come.
    delivered: usize,
    /// The bytes of commands sent elsewhere since none was on its way.
    forwarded_bytes: usize,
}

impl Replies {
    /// Where a reply that is made here is written.
    #[inline]
    pub fn here(&mut self) -> &mut Vec<u8> {
        if self.places.is_empty() {
            return &mut self.ready;
        }
        if !matches!(self.places.back(), Some(Place::Bytes(_))) {
            self.places.push_back(Place::Bytes(Vec::new()));
        }
        match self.places.back_mut() {
            Some(Place::Bytes(bytes)) => bytes,
            _ => unreachable!("bytes were just put there"),
        }
    }

    /// Keeps the place of a reply that comes later; answers its number.
    pub fn reserve(&mut self) -> u64 {
        self.push(Place::Waiting)
    }

    /// Keeps the place of a reply whose parts come later; answers its number.
    pub fn reserve_gather(&mut self, gather: Gather) -> u64 {
        self.push(Place::Gathering(Box::new(gather)))
    }

    fn push(&mut self, place: Place) -> u64 {
        self.behind += self.last_bytes();
        self.places.push_back(place);
        self.waiting += 1;
        self.first + self.places.len() as u64 - 1
    }

    /// Puts a reply, or a part of one, into its place. A number whose place is gone is ignored.
    pub fn deliver(&mut self, number: u64, part: u16, bytes: &[u8]) {
        let Some(index) = number.checked_sub(self.first) else { return };
        let Some(place) = self.places.get_mut(index as usize) else { return };
        let whole = match place {
            Place::Bytes(_) => return,
            Place::Waiting => Some(bytes.to_vec()),
            Place::Gathering(gather) => gather.deliver(part, bytes),
        };
        let Some(whole) = whole else { return };
        self.remote_reply_bytes = whole.len().max(self.remote_reply_bytes - self.remote_reply_bytes / 16);
        self.delivered += 1;
        let whole_bytes = whole.len();
        *place = Place::Bytes(whole);
        if index as usize + 1 < self.places.len() {
            self.behind += whole_bytes;
        }
        self.waiting -= 1;
        if self.waiting == 0 {
            self.forwarded_bytes = 0;
        }
        while let Some(Place::Bytes(bytes)) = self.places.front_mut() {
            let count = bytes.len();
            if self.ready.is_empty() {
                std::mem::swap(&mut self.ready, bytes);
            } else {
                self.ready.append(bytes);
            }
            self.places.pop_front();
            self.first += 1;
            if !self.places.is_empty() {
                self.behind -= count;
            }
        }
    }

    /// How many replies are on their way.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The bytes that may leave.
    #[inline]
    pub fn ready(&self) -> &[u8] {
        &self.ready
    }

    /// Takes the bytes that may leave, and leaves an empty buffer in their stead.
    pub fn take_ready(&mut self, spare: Vec<u8>) -> Vec<u8> {
        debug_assert!(spare.is_empty());
        std::mem::replace(&mut self.ready, spare)
    }

    /// The bytes held for this connection, those that wait behind an unfinished reply included.
    pub fn held_bytes(&self) -> usize {
        self.ready.len() + self.behind + self.last_bytes()
    }

    fn last_bytes(&self) -> usize {
        if let Some(Place::Bytes(bytes)) = self.places.back() { bytes.len() } else { 0 }
    }

    /// Whether a command of so many bytes may be sent elsewhere; if not, it waits for all replies that are on their
    /// way. Their size is not known before they come: so there are few at first, and as many as their size allows
    /// later.
    pub fn may_forward(&mut self, bytes: usize) -> bool {
        let by_size = REMOTE_REPLIES_BYTES / self.remote_reply_bytes.max(1);
        let window = (PIPELINE_START + self.delivered).min(by_size).clamp(1, PIPELINE_MAX);
        let fits = self.waiting == 0
            || (self.waiting < window && self.forwarded_bytes.saturating_add(bytes) <= FORWARDED_BYTES_MAX);
        if fits {
            self.forwarded_bytes += bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::Merge;
    use crate::resp::Protocol;

    #[test]
    fn replies_leave_in_the_order_of_the_commands() {
        let mut replies = Replies::default();
        replies.here().extend_from_slice(b"a");
        let second = replies.reserve();
        replies.here().extend_from_slice(b"c");
        let fourth = replies.reserve_gather(Gather::new(Merge::Sum, Protocol::Resp2, 2, Vec::new()));
        replies.here().extend_from_slice(b"e");
        assert_eq!((replies.ready(), replies.waiting()), (&b"a"[..], 2));
        replies.deliver(fourth, 1, b":1\r\n");
        replies.deliver(second, 0, b"b");
        assert_eq!((replies.ready(), replies.waiting()), (&b"abc"[..], 1));
        assert_eq!(replies.held_bytes(), 4);
        assert_eq!(replies.behind + replies.last_bytes(), 1);
        replies.deliver(fourth, 0, b":2\r\n");
        assert_eq!(replies.ready(), b"abc:3\r\ne");
        replies.deliver(fourth, 0, b"late");
        replies.here().extend_from_slice(b"f");
        assert_eq!((replies.held_bytes(), replies.behind), (9, 0));
        assert_eq!(replies.take_ready(Vec::new()), b"abc:3\r\nef");
    }

    #[test]
    fn large_replies_from_elsewhere_are_asked_for_a_few_at_a_time() {
        let mut replies = Replies::default();
        let mut numbers = Vec::new();
        while replies.may_forward(10) {
            numbers.push(replies.reserve());
        }
        assert_eq!(numbers.len(), PIPELINE_START);
        let large = vec![b'x'; REMOTE_REPLIES_BYTES / 2];
        numbers.drain(..).for_each(|number| replies.deliver(number, 0, &large));
        assert_eq!(replies.held_bytes(), PIPELINE_START * large.len());
        while replies.may_forward(10) {
            numbers.push(replies.reserve());
        }
        assert_eq!(numbers.len(), 2);
        numbers.drain(..).for_each(|number| replies.deliver(number, 0, b"+OK\r\n"));
        assert!(replies.may_forward(FORWARDED_BYTES_MAX * 2), "one long command may always go");
        replies.reserve();
        assert!(!replies.may_forward(1));
    }
}
