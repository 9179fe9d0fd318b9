//! The search for the event that a link points to: from the stream's last event, or from one behind it whose place is known,
//! back to it. What shards of another number have recorded has no places: there the history is read in order.

use super::super::error::unreadable;
use super::item::Link;
use super::places::{Block, Places};
use crate::grpc::Status;
use crate::limits::{READ_SLICE_BYTES, READ_SLICE_EVENTS};
use keytide_engine::filter::Filter;
use keytide_engine::history::{History, Scan};
use keytide_engine::interest::Source;
use keytide_engine::position::{Position, RingOffset, ShardId};
use keytide_engine::ring::Record;
use keytide_engine::shard::StreamState;
use keytide_engine::slot::shard_of;

/// A search.
pub enum Seek {
    /// There is no such event.
    Gone,
    /// It goes back from an event of the stream, at this place.
    Back(ShardId, RingOffset, Block),
    /// It reads what shards of another number have recorded, from this position on.
    Older(Position),
}

/// What a step of a search comes to.
pub enum Sought {
    /// The event was found and sent; so many bytes.
    Sent(u64),
    /// There is no such event.
    Gone,
    /// The search goes on.
    NotYet,
}

impl Seek {
    /// A search for the event of a link to a stream that is in this state, on one of so many shards.
    pub fn begin(link: &Link, state: Option<StreamState>, shards: u16, places: &mut Places) -> Seek {
        let (Some(state), Some(revision)) = (state, link.revision) else { return Seek::Gone };
        let Some(last) = state.last.filter(|last| revision <= last.0) else { return Seek::Gone };
        if state.is_ended || state.metadata.is_deleted() || revision < state.metadata.first_readable(last).0 {
            return Seek::Gone;
        }
        let shard = shard_of(&link.stream, shards);
        let known = places.nearest(&link.stream, revision, last.0).map(|(_, place)| place);
        match known.or(state.place) {
            Some(place) => Seek::Back(shard, place, Block::new(link.stream.clone())),
            None => Seek::Older(Position(0)),
        }
    }

    /// Looks at up to `records` events, which it counts down, and sends the one that is sought, if it finds it.
    ///
    /// # Errors
    /// The history cannot be read there.
    pub fn go_on(
        &mut self,
        (link, places): (&Link, &mut Places),
        history: &mut History,
        records: &mut usize,
        mut send: impl FnMut(&Record<'_>) -> u64,
    ) -> Result<Sought, Status> {
        let Some(revision) = link.revision else { return Ok(Sought::Gone) };
        loop {
            match self {
                Seek::Gone => return Ok(Sought::Gone),
                Seek::Older(next) => {
                    *records = 0;
                    return read_older(link, revision, next, history, send);
                }
                Seek::Back(..) if *records == 0 => return Ok(Sought::NotYet),
                Seek::Back(shard, place, block) => {
                    *records -= 1;
                    let found = history.record_at(*shard, *place, |record| {
                        let is_its = record.key() == &link.stream[..];
                        let sent = (is_its && record.revision().0 == revision).then(|| send(record));
                        is_its.then(|| (record.revision().0, record.back_link(), sent))
                    });
                    // Retention has passed here, or the stream was begun anew since.
                    let Some((at, back, sent)) = found.map_err(|_| unreadable())?.flatten() else {
                        return Ok(Sought::Gone);
                    };
                    places.pass(block, at, *place);
                    if let Some(bytes) = sent {
                        places.keep(std::mem::replace(block, Block::new(link.stream.clone())));
                        return Ok(Sought::Sent(bytes));
                    }
                    if at < revision {
                        return Ok(Sought::Gone);
                    }
                    match back {
                        // The events before it were recorded by shards of another number, or are forgotten.
                        RingOffset::NONE => *self = Seek::Older(Position(0)),
                        back => *place = back,
                    }
                }
            }
        }
    }
}

/// Reads a part of what shards of another number have recorded.
fn read_older(
    link: &Link,
    revision: u64,
    next: &mut Position,
    history: &mut History,
    mut send: impl FnMut(&Record<'_>) -> u64,
) -> Result<Sought, Status> {
    let end = history.older_end();
    if *next >= end {
        return Ok(Sought::Gone);
    }
    let scan = Scan {
        cursor: *next,
        until: Some(end),
        count: READ_SLICE_EVENTS,
        bytes: READ_SLICE_BYTES,
        records: 16 * READ_SLICE_EVENTS,
        source: &Source::Stream(link.stream[..].into()),
        filter: &Filter::default(),
    };
    let mut sent = None;
    let page = history.scan(&scan, |_, _, record| {
        if sent.is_none() && record.key() == &link.stream[..] && record.revision().0 == revision {
            sent = Some(send(record));
        }
        record.bytes().len() as u64
    });
    if let Some(bytes) = sent {
        return Ok(Sought::Sent(bytes));
    }
    if page.is_damaged || page.is_too_long {
        return Err(unreadable());
    }
    *next = page.next;
    Ok(if page.next >= end { Sought::Gone } else { Sought::NotYet })
}
