//! Replies with entries.

use crate::resp::Reply;
use keytide_engine::collection::{EntryId, StreamEntry};
use smallvec::SmallVec;

/// Writes an id.
pub fn put_id(reply: &mut Reply<'_>, id: EntryId) {
    reply.bulk(&id.text());
}

/// Writes an entry: its id, and its fields.
pub fn put_entry(reply: &mut Reply<'_>, entry: StreamEntry<'_>) {
    reply.array(2);
    put_id(reply, entry.id);
    reply.array(2 * entry.fields.len());
    for (name, value) in entry.fields {
        reply.bulk(name);
        reply.bulk(value);
    }
}

/// Writes an array of entries, of which there are `count`.
pub fn put_counted<'a>(reply: &mut Reply<'_>, count: usize, entries: impl Iterator<Item = StreamEntry<'a>>) {
    reply.array(count);
    entries.for_each(|entry| put_entry(reply, entry));
}

/// Up to so many entries are collected before they are written; more are counted first.
const COLLECTED_MAX: usize = 64;

/// Writes an array of entries, at most so many of them.
pub fn put_entries<'a>(reply: &mut Reply<'_>, most: usize, entries: impl Iterator<Item = StreamEntry<'a>> + Clone) {
    if most <= COLLECTED_MAX {
        let entries: SmallVec<[StreamEntry<'a>; 10]> = entries.take(most).collect();
        return put_counted(reply, entries.len(), entries.into_iter());
    }
    let entries = entries.take(most);
    put_counted(reply, entries.clone().count(), entries);
}
