//! Links that clients have written: events of the type `$>` whose data is `<revision>@<stream>`. A client that wants links
//! resolved gets the event together with its link.
//!
//! The event may be on any shard, and far back in its stream. So whatever comes behind a link waits here until the event is
//! found, or is known to be gone:
//!
//! ```text
//!   events, links ─► queue ─► the streams of its first links are described by their shards, with the rights of the user
//!                      └────► the event of the first link is looked for, going back from the stream's last ─► sent
//! ```
//!
//! | module | what is in it |
//! |---|---|
//! | [`item`] | what waits: messages, and links with what they point to |
//! | [`places`] | the places of events that a search has passed |
//! | [`seek`] | the search for one event |

mod item;
mod places;
mod seek;

pub use item::{Item, is_link};

use super::event;
use super::id::IdForm;
use super::rights::{Use, check_stream};
use super::wire;
use crate::grpc::{CallContext, Status};
use crate::limits::{LINK_ROUND_LINKS, LINK_ROUND_STREAMS, READ_SLICE_BYTES, READ_SLICE_EVENTS};
use crate::streams::{Job, Outcome};
use bytes::Bytes;
use item::Link;
use keytide_engine::history::History;
use keytide_engine::ring::Record;
use keytide_engine::shard::StreamState;
use keytide_engine::stream_name::is_read_only;
use places::Places;
use seek::{Seek, Sought};
use std::collections::{HashMap, VecDeque};

/// What a call has to send behind a link whose event is looked for, the link first.
pub struct Links {
    ids: IdForm,
    queue: VecDeque<Item>,
    /// The bytes of what is in the queue.
    bytes: usize,
    round: Round,
    seek: Option<Seek>,
    places: Places,
    /// The number of the next job; 0 is none of this.
    next: u32,
}

/// The streams that the first links of the queue point to.
#[derive(Default)]
struct Round {
    /// How many of these links are left.
    links: usize,
    /// Their streams; none where the user may not read one, or it cannot be described.
    states: HashMap<Bytes, Option<StreamState>>,
    /// Those whose shards have not answered, by the numbers of the jobs.
    waits_for: HashMap<u32, Bytes>,
}

impl Links {
    /// For a call that writes ids in this form.
    pub fn new(ids: IdForm) -> Links {
        Links {
            ids,
            queue: VecDeque::new(),
            bytes: 0,
            round: Round::default(),
            seek: None,
            places: Places::default(),
            next: 1,
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The bytes of what waits.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// About all its memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.places.memory_bytes()
    }

    /// Adds what has to come behind everything that was added before.
    pub fn hold(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.queue.push_back(item);
    }

    /// Sends an item, or holds it: one that is ready leaves at once where nothing waits.
    pub fn send(&mut self, context: &mut CallContext<'_>, item: Item) {
        match item {
            Item::Message(message) if self.is_empty() => context.send_framed(&message),
            item => self.hold(item),
        }
    }

    /// Lets the end of a call wait behind what waits.
    ///
    /// # Errors
    /// Nothing waits, and the call ends with an error.
    pub fn end_behind(&mut self, read: Result<bool, Status>) -> Result<bool, Status> {
        match read {
            Err(status) if !self.is_empty() => {
                self.hold(Item::End(status));
                Ok(true)
            }
            read => read,
        }
    }

    /// Takes what has come of a job with this number, if that was one of its own.
    pub fn outcome(&mut self, context: &mut CallContext<'_>, number: u32, outcome: &Outcome) -> bool {
        let Some(stream) = self.round.waits_for.remove(&number) else { return false };
        let state = match outcome {
            Outcome::Described(Ok(state)) => Some(*state),
            _ => None,
        };
        self.round.states.insert(stream, state);
        if self.round.waits_for.is_empty() {
            context.read_history();
        }
        true
    }

    /// Sends what it can, as much as one step may. Returns whether nothing waits any more; else it goes on, either when shards
    /// have answered or with the next step, which it has asked for.
    ///
    /// # Errors
    /// The history cannot be read, or the end of the call has waited here.
    pub fn go_on(&mut self, context: &mut CallContext<'_>, history: &mut History) -> Result<bool, Status> {
        let (mut records, mut bytes) = (READ_SLICE_EVENTS, 0);
        while let Some(item) = self.queue.front() {
            if records == 0 || bytes >= READ_SLICE_BYTES {
                context.read_history();
                return Ok(false);
            }
            bytes += item.bytes() as u64;
            match item {
                Item::Message(message) => context.send_framed(message),
                Item::End(status) => return Err(status.clone()),
                Item::Link(_) if self.round.links == 0 => {
                    self.begin_round(context);
                    continue;
                }
                Item::Link(_) if !self.round.waits_for.is_empty() => return Ok(false),
                Item::Link(link) => {
                    let state = self.round.states.get(&link.stream).copied().flatten();
                    let mut seek = match self.seek.take() {
                        Some(seek) => seek,
                        None => Seek::begin(link, state, context.server.shards(), &mut self.places),
                    };
                    let ids = self.ids;
                    let sought = seek.go_on((link, &mut self.places), history, &mut records, |record| {
                        let is_old =
                            state.is_none_or(|state| state.metadata.is_too_old(record.timestamp_ms(), context.now_ms));
                        send(context, Some(record).filter(|_| !is_old), link, ids);
                        record.bytes().len() as u64
                    })?;
                    match sought {
                        Sought::Sent(length) => bytes += length,
                        Sought::Gone => send(context, None, link, ids),
                        Sought::NotYet => {
                            self.seek = Some(seek);
                            context.read_history();
                            return Ok(false);
                        }
                    }
                    self.round.links -= 1;
                }
            }
            if let Some(sent) = self.queue.pop_front() {
                self.bytes -= sent.bytes();
            }
        }
        Ok(true)
    }

    /// Has the streams described that the next links point to. What they are at that moment counts for all of these links.
    fn begin_round(&mut self, context: &mut CallContext<'_>) {
        self.round = Round::default();
        let links = self.queue.iter().filter_map(|item| match item {
            Item::Link(link) => Some(link),
            Item::Message(_) | Item::End(_) => None,
        });
        for link in links.take(LINK_ROUND_LINKS) {
            if !self.round.states.contains_key(&link.stream) {
                if self.round.states.len() == LINK_ROUND_STREAMS {
                    break;
                }
                self.round.states.insert(link.stream.clone(), None);
                // Computed streams have no events of their own.
                let may_read = !is_read_only(&link.stream) && check_stream(context, Use::Read, &link.stream).is_ok();
                if may_read {
                    context.run(self.next, Job::Describe { stream: link.stream.clone() });
                    self.round.waits_for.insert(self.next, link.stream.clone());
                    self.next = self.next.checked_add(1).unwrap_or(1);
                }
            }
            self.round.links += 1;
        }
    }
}

/// Sends a link, with its event where there is one.
fn send(context: &mut CallContext<'_>, record: Option<&Record<'_>>, link: &Link, ids: IdForm) {
    let mut event = record.map(event::recorded);
    let shown = link.recorded();
    match link.retries {
        None => context.send(|out| wire::event(out, (event.as_ref(), Some(&shown)), ids)),
        Some(retries) => {
            // Readers of groups see the link's position in both.
            if let Some(event) = &mut event {
                event.position = shown.position;
            }
            context.send(|out| wire::group_event(out, (event.as_ref(), Some(&shown)), retries, ids));
        }
    }
}
