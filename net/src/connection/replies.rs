//! A connection's replies in the order of its commands, though some come from other cores, later.
//!
//! ```text
//!   ready bytes ─► [here] [waiting] [here] [gathering parts] …
//!                   └ what was answered here after a command that is still on its way
//! ```
//!
//! What was answered here lies in one buffer, in order; a reply from elsewhere that comes in its turn, as those of one
//! core always do, goes straight to what is ready. So neither takes an allocation.

use crate::gather::Gather;
use crate::limits::{
    BUFFER_KEEP_BYTES, FORWARDED_BYTES_MAX, PIPELINE_MAX, PIPELINE_START, REMOTE_REPLIES_BYTES, REMOTE_REPLY_BYTES_MIN,
};
use std::borrow::Cow;
use std::collections::VecDeque;

enum Place {
    /// So many bytes of `held`, the next ones; not known, and 0, while this is the last place.
    Here(usize),
    /// It has come before its turn.
    Came(Vec<u8>),
    Waiting,
    Gathering(Box<Gather>),
}

/// The replies of one connection.
#[derive(Default)]
pub struct Replies {
    places: VecDeque<Place>,
    /// The bytes of all `Here` places, in order, from `held_start` on.
    held: Vec<u8>,
    held_start: usize,
    /// The bytes of those whose length is known.
    closed_bytes: usize,
    /// The bytes of all `Came` places, and of the parts that have come of those that are gathered.
    came_bytes: usize,
    /// The number of the first place; numbers are never reused within a connection.
    first: u64,
    waiting: usize,
    /// How large a reply from elsewhere is, or was a while ago.
    remote_reply_bytes: usize,
    /// How many replies from elsewhere have come.
    delivered: usize,
    /// The bytes of commands sent elsewhere since none was on its way.
    forwarded_bytes: usize,
    /// Those on their way that are to be dropped, by their numbers.
    unwanted: Vec<u64>,
}

impl Replies {
    /// Where a reply that is made here is written; `ready` is where whole messages are appended that may leave.
    #[inline]
    pub fn here<'a>(&'a mut self, ready: &'a mut Vec<u8>) -> &'a mut Vec<u8> {
        match self.places.back() {
            None => ready,
            Some(Place::Here(_)) => &mut self.held,
            Some(Place::Came(_) | Place::Waiting | Place::Gathering(_)) => {
                self.places.push_back(Place::Here(0));
                &mut self.held
            }
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
        let open_bytes = self.open_bytes();
        if let Some(Place::Here(bytes)) = self.places.back_mut() {
            *bytes = open_bytes;
            self.closed_bytes += open_bytes;
        }
        self.places.push_back(place);
        self.waiting += 1;
        self.first + self.places.len() as u64 - 1
    }

    /// The bytes of the `Here` place that may still grow.
    fn open_bytes(&self) -> usize {
        self.held.len() - self.held_start - self.closed_bytes
    }

    /// Puts a reply, or a part of one, into its place. A number whose place is gone is ignored. Bytes that are owned are
    /// moved where that is possible, all others are copied.
    #[inline]
    pub fn deliver<'a>(&mut self, ready: &mut Vec<u8>, number: u64, part: u16, bytes: impl Into<Cow<'a, [u8]>>) {
        self.put(ready, number, part, bytes.into());
    }

    fn put(&mut self, ready: &mut Vec<u8>, number: u64, part: u16, bytes: Cow<'_, [u8]>) {
        let Some(index) = number.checked_sub(self.first).map(|index| index as usize) else { return };
        let Some(place) = self.places.get_mut(index) else { return };
        let whole = match place {
            Place::Here(_) | Place::Came(_) => return,
            Place::Waiting => bytes,
            Place::Gathering(gather) => {
                self.came_bytes += bytes.len();
                let Some(whole) = gather.deliver(part, bytes.into_owned()) else { return };
                self.came_bytes -= gather.bytes();
                Cow::Owned(whole)
            }
        };
        let whole = match self.unwanted.iter().position(|unwanted| *unwanted == number) {
            Some(place) => {
                self.unwanted.swap_remove(place);
                Cow::Borrowed(&b""[..])
            }
            None => whole,
        };
        self.remote_reply_bytes = whole.len().max(self.remote_reply_bytes - self.remote_reply_bytes / 16);
        self.delivered += 1;
        self.waiting -= 1;
        if self.waiting == 0 {
            self.forwarded_bytes = 0;
        }
        if index == 0 {
            match whole {
                Cow::Owned(whole) if ready.is_empty() => *ready = whole,
                whole => ready.extend_from_slice(&whole),
            }
            self.places.pop_front();
            self.first += 1;
            self.release(ready);
        } else {
            self.came_bytes += whole.len();
            *place = Place::Came(whole.into_owned());
        }
    }

    /// Makes ready what stands at the front and is there.
    fn release(&mut self, ready: &mut Vec<u8>) {
        loop {
            match self.places.front_mut() {
                Some(&mut Place::Here(closed)) => {
                    self.closed_bytes -= closed;
                    let count = if self.places.len() == 1 { self.open_bytes() } else { closed };
                    ready.extend_from_slice(&self.held[self.held_start..][..count]);
                    self.held_start += count;
                }
                Some(Place::Came(bytes)) => {
                    self.came_bytes -= bytes.len();
                    if ready.is_empty() {
                        *ready = std::mem::take(bytes);
                    } else {
                        ready.append(bytes);
                    }
                }
                Some(Place::Waiting | Place::Gathering(_)) | None => break,
            }
            self.places.pop_front();
            self.first += 1;
        }
        if self.held_start == self.held.len() {
            self.held.clear();
            self.held.shrink_to(BUFFER_KEEP_BYTES);
            self.held_start = 0;
        } else if self.held_start > self.held.len() / 2 {
            // Moved only when less is left than has gone, so each byte moves a bounded number of times.
            self.held.drain(..self.held_start);
            self.held_start = 0;
        }
    }

    /// How many replies are on their way.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The number that the next reserved place gets.
    pub fn next_number(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Drops the reply of a place that was reserved last, when it comes.
    pub fn drop_last(&mut self) {
        self.unwanted.push(self.next_number() - 1);
    }

    /// Whether the last reply is one whose parts come later.
    pub fn ends_with_parts(&self) -> bool {
        matches!(self.places.back(), Some(Place::Gathering(_)))
    }

    /// The bytes that wait behind an unfinished reply, parts of it included.
    #[inline]
    pub fn behind_bytes(&self) -> usize {
        self.held.len() - self.held_start + self.came_bytes
    }

    /// What the replies that are on their way are taken to have, in bytes: as much as one of the last had, at least what
    /// no core counts.
    #[inline]
    pub fn reserved_bytes(&self) -> usize {
        self.waiting * self.remote_reply_bytes.max(REMOTE_REPLY_BYTES_MIN)
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
    use crate::value::{PartWriter, ValueWriter};
    use proptest::prelude::*;

    #[test]
    fn replies_leave_in_the_order_of_the_commands() {
        let (mut replies, mut ready) = (Replies::default(), Vec::new());
        replies.here(&mut ready).extend_from_slice(b"a");
        let second = replies.reserve();
        replies.here(&mut ready).extend_from_slice(b"c");
        let fourth = replies.reserve_gather(Gather::new(Merge::Sum, Protocol::Resp2, 2, Vec::new()));
        replies.here(&mut ready).extend_from_slice(b"e");
        assert_eq!((ready.as_slice(), replies.waiting()), (&b"a"[..], 2));
        let part = |value| {
            let mut part = Vec::new();
            PartWriter::new(&mut part).integer(value);
            part
        };
        replies.deliver(&mut ready, fourth, 1, part(1));
        replies.deliver(&mut ready, second, 0, &b"b"[..]);
        assert_eq!((ready.as_slice(), replies.waiting()), (&b"abc"[..], 1));
        assert_eq!((ready.len(), replies.behind_bytes()), (3, 1 + part(1).len()), "a part that has come counts");
        replies.deliver(&mut ready, fourth, 0, part(2));
        assert_eq!(&ready[..], b"abc:3\r\ne");
        replies.deliver(&mut ready, fourth, 0, &b"late"[..]);
        replies.here(&mut ready).extend_from_slice(b"f");
        assert_eq!((&ready[..], replies.behind_bytes()), (&b"abc:3\r\nef"[..], 0));
    }

    proptest! {
        #[test]
        fn any_order_of_arrival_gives_the_order_of_the_commands(
            // Answered here, with so many bytes; or elsewhere. Then a reply of those on their way comes, or none.
            steps in proptest::collection::vec((proptest::option::of(0usize..5), proptest::option::of(any::<prop::sample::Index>())), 0..60),
        ) {
            let (mut replies, mut waiting, mut wanted, mut ready) = (Replies::default(), Vec::new(), Vec::new(), Vec::new());
            let deliver = |replies: &mut Replies, ready: &mut Vec<u8>, (number, reply): (u64, u8)| {
                replies.deliver(ready, number, 0, &[reply][..]);
            };
            for (n, (here, arrival)) in steps.iter().enumerate() {
                let reply = n as u8;
                match here {
                    Some(bytes) => {
                        replies.here(&mut ready).extend(std::iter::repeat_n(reply, *bytes));
                        wanted.extend(std::iter::repeat_n(reply, *bytes));
                    }
                    None => {
                        waiting.push((replies.reserve(), reply));
                        wanted.push(reply);
                    }
                }
                if let (Some(arrival), false) = (arrival, waiting.is_empty()) {
                    let arrived = waiting.swap_remove(arrival.index(waiting.len()));
                    deliver(&mut replies, &mut ready, arrived);
                }
                prop_assert_eq!(replies.waiting(), waiting.len());
                prop_assert_eq!(ready.len() + replies.behind_bytes() + waiting.len(), wanted.len());
                prop_assert_eq!(&ready[..], &wanted[..ready.len()]);
            }
            waiting.drain(..).rev().for_each(|one| deliver(&mut replies, &mut ready, one));
            prop_assert_eq!(ready, wanted);
            prop_assert_eq!((replies.behind_bytes(), replies.closed_bytes), (0, 0));
        }
    }

    #[test]
    fn large_replies_from_elsewhere_are_asked_for_a_few_at_a_time() {
        let (mut replies, mut ready) = (Replies::default(), Vec::new());
        let mut numbers = Vec::new();
        while replies.may_forward(10) {
            numbers.push(replies.reserve());
        }
        assert_eq!(numbers.len(), PIPELINE_START);
        let large = vec![b'x'; REMOTE_REPLIES_BYTES / 2];
        numbers.drain(..).for_each(|number| replies.deliver(&mut ready, number, 0, &large));
        assert_eq!(ready.len(), PIPELINE_START * large.len());
        while replies.may_forward(10) {
            numbers.push(replies.reserve());
        }
        assert_eq!(numbers.len(), 2);
        numbers.drain(..).for_each(|number| replies.deliver(&mut ready, number, 0, &b"+OK\r\n"[..]));
        assert!(replies.may_forward(FORWARDED_BYTES_MAX * 2), "one long command may always go");
        replies.reserve();
        assert!(!replies.may_forward(1));
    }
}
