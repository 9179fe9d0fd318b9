//! A stream as a list of texts, as `Rename` events and rows of snapshots contain it, and back. It consists of items, each of
//! which begins with a letter:
//!
//! | item | texts |
//! |---|---|
//! | `s` | last id, number of entries ever added, greatest id that was deleted by itself: once, at the beginning |
//! | `e` | an entry: id, number of fields, and a name and a value for each |
//! | `g` | a group: name, greatest id delivered, entries read or `-` |
//! | `c` | a consumer: its group, name, when it was heard of, number of entries, and for each id, when and how often it was delivered; continued in another item if it has many |

use super::group::StreamGroup;
use super::{EntryId, RedisStream, RedisStreamValue};
use crate::collection::{Member, Thresholds};
use crate::number::parse_u64;
use smallvec::SmallVec;

/// One item.
pub(crate) type Item<'a> = SmallVec<[Member<'a>; 8]>;

/// The most entries of a consumer in one item.
const PENDING_AT_ONCE: usize = 1024;

/// What stands for a number that is not known.
const UNKNOWN: &[u8] = b"-";

fn number<'a>(value: u64) -> Member<'a> {
    Member::of_text(itoa::Buffer::new().format(value).as_bytes())
}

fn id<'a>(id: EntryId) -> Member<'a> {
    Member::of_text(&id.text())
}

impl RedisStream {
    /// The items.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let state = [Member::of(b"s"), id(self.last_id), number(self.added), id(self.max_deleted)];
        let entries = self.range(EntryId::MIN, EntryId::MAX).map(|entry| {
            let mut item: Item<'_> = SmallVec::new();
            item.extend([Member::of(b"e"), id(entry.id), number(entry.fields.len() as u64)]);
            item.extend(entry.fields.flat_map(|(name, value)| [Member::of(name), Member::of(value)]));
            item
        });
        let groups = self.groups().flat_map(|(name, group)| group_items(name, group));
        std::iter::once(SmallVec::from_slice(&state)).chain(entries).chain(groups)
    }

    /// What the texts of all items take in a record, in bytes.
    pub(crate) fn parts_bytes(&self) -> u64 {
        self.items().map(|item| item.iter().map(|part| part.len() as u64 + 4).sum::<u64>()).sum()
    }
}

fn group_items<'a>(name: &'a [u8], group: &'a StreamGroup) -> impl Iterator<Item = Item<'a>> {
    let read = group.entries_read().map_or(Member::of(UNKNOWN), number);
    let head = [Member::of(b"g"), Member::of(name), id(group.last_delivered()), read];
    let consumers = group.consumers().flat_map(move |consumer| {
        let pending: Vec<EntryId> = consumer.pending(EntryId::MIN, EntryId::MAX).collect();
        // At least one item, if there are no entries.
        let items = pending.len().div_ceil(PENDING_AT_ONCE).max(1);
        (0..items).map(move |n| {
            let some = pending.iter().skip(n * PENDING_AT_ONCE).take(PENDING_AT_ONCE);
            let mut item: Item<'_> = SmallVec::new();
            item.extend([Member::of(b"c"), Member::of(name), Member::of(consumer.name())]);
            item.extend([number(consumer.recorded_ms()), number(some.len() as u64)]);
            for each in some {
                let entry = group.pending_entry(*each).map_or((0, 0), |entry| (entry.delivered_ms, entry.times));
                item.extend([id(*each), number(entry.0), number(entry.1)]);
            }
            item
        })
    });
    std::iter::once(SmallVec::from_slice(&head)).chain(consumers)
}

/// An id in the form in which it is written here.
pub(crate) fn parse_id(text: &[u8]) -> Option<EntryId> {
    let at = text.iter().position(|&byte| byte == b'-')?;
    Some(EntryId { ms: parse_u64(&text[..at])?, seq: parse_u64(&text[at + 1..])? })
}

/// A number that may not be known.
pub(crate) fn parse_known(text: &[u8]) -> Option<Option<u64>> {
    if text == UNKNOWN { Some(None) } else { parse_u64(text).map(Some) }
}

impl RedisStreamValue {
    /// Appends items. Returns whether they were valid: ids grow and are within those that the stream has had, no group
    /// comes twice, no entry is pending twice.
    pub(crate) fn add_parts<'p>(&mut self, mut parts: impl Iterator<Item = &'p [u8]>, thresholds: &Thresholds) -> bool {
        while let Some(letter) = parts.next() {
            if self.add_item(letter, &mut parts, thresholds).is_none() {
                return false;
            }
        }
        true
    }

    fn add_item<'p>(
        &mut self,
        letter: &[u8],
        parts: &mut impl Iterator<Item = &'p [u8]>,
        thresholds: &Thresholds,
    ) -> Option<()> {
        let stream = self.edit();
        match letter {
            b"s" => {
                let (last_id, added) = (parse_id(parts.next()?)?, parse_u64(parts.next()?)?);
                let max_deleted = parse_id(parts.next()?)?;
                let is_first = stream.is_empty() && stream.groups.len() == 0;
                is_first.then(|| stream.set_state(last_id, added, max_deleted))
            }
            b"e" => {
                let (id, count) = (parse_id(parts.next()?)?, parse_u64(parts.next()?)?);
                let mut pairs: SmallVec<[(&[u8], &[u8]); 8]> = SmallVec::new();
                for _ in 0..count {
                    pairs.push((parts.next()?, parts.next()?));
                }
                let is_next = id > stream.blocks.last_ever().unwrap_or(EntryId::MIN) && id <= stream.last_id;
                is_next.then(|| stream.blocks.push(id, pairs.iter().copied(), thresholds))
            }
            b"g" => {
                let name = parts.next()?;
                let (last_delivered, entries_read) = (parse_id(parts.next()?)?, parse_known(parts.next()?)?);
                stream.group(name).is_none().then(|| stream.set_group(name, last_delivered, entries_read))
            }
            b"c" => {
                let (group, name, seen_ms) = (parts.next()?, parts.next()?, parse_u64(parts.next()?)?);
                let count = parse_u64(parts.next()?)?;
                stream.see_consumer(group, name, seen_ms)?;
                for _ in 0..count {
                    let (id, delivered_ms) = (parse_id(parts.next()?)?, parse_u64(parts.next()?)?);
                    let times = parse_u64(parts.next()?)?;
                    stream.add_pending((group, name), id, (delivered_ms, times))?;
                }
                Some(())
            }
            _ => None,
        }
    }
}
