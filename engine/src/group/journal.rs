//! The changes of a table besides those that its groups note themselves, and the complete state of a group as bytes.

use super::Group;
use super::changes::{Tag, put_attached};
use super::codec::{distance, put_bytes, put_number};
use super::pending::Entry;
use super::spec::GroupSpec;
use crate::position::Position;

/// The changes that a table notes itself, and the groups that may have noted changes.
#[derive(Default)]
pub(super) struct Journal {
    /// The encoded creations and destructions of groups.
    pub(super) bytes: Vec<u8>,
    /// The numbers of the groups that may have noted changes.
    pub(super) touched: Vec<u64>,
}

impl Journal {
    pub(super) fn created(&mut self, number: u64, names: (&[u8], &[u8]), group: &mut Group) {
        put_group(&mut self.bytes, number, names, group);
        group.changes.start(group.cursor);
    }

    pub(super) fn destroyed(&mut self, number: u64) {
        self.bytes.push(Tag::Destroyed as u8);
        put_number(&mut self.bytes, number);
    }

    pub(super) fn touched(&mut self, number: u64) {
        if self.touched.last() != Some(&number) {
            self.touched.push(number);
        }
    }
}

/// Encodes the complete state of a group. `GroupTable::apply_group` in `restore` decodes it.
pub(super) fn put_group(out: &mut Vec<u8>, number: u64, (key_pattern, name): (&[u8], &[u8]), group: &Group) {
    let (options, counts) = (&group.options, &group.counts);
    out.push(Tag::Group as u8);
    put_number(out, number);
    put_bytes(out, key_pattern);
    put_bytes(out, name);
    let numbers = [
        options.idle_ms,
        u64::from(options.max_deliveries),
        options.max_pending as u64,
        group.cursor.0,
        counts.delivered,
        counts.redelivered,
        counts.acknowledged,
        counts.lost,
        counts.parked,
        group.consumers.next(),
        group.consumers.len() as u64,
    ];
    numbers.into_iter().for_each(|number| put_number(out, number));
    for (id, consumer) in group.consumers.iter() {
        put_number(out, id.0);
        put_bytes(out, &consumer.name);
        put_number(out, consumer.seen_ms);
    }
    put_entries(out, group.pending.len(), group.pending.iter());
    put_entries(out, group.parked.len(), group.parked.iter().map(|(position, entry)| (*position, entry)));
    let is_plain = group.spec == GroupSpec::default() && group.attached.is_empty();
    if is_plain && group.creator.is_empty() {
        return;
    }
    out.push(Tag::Select as u8);
    put_number(out, number);
    if !group.creator.is_empty() {
        out.push(Tag::Creator as u8);
        put_bytes(out, &group.creator);
    }
    if is_plain {
        return;
    }
    out.push(Tag::Spec as u8);
    group.spec.put(out);
    group.attached.iter().for_each(|consumer| put_attached(out, *consumer));
}

fn put_entries<'a>(out: &mut Vec<u8>, count: usize, entries: impl Iterator<Item = (Position, &'a Entry)>) {
    put_number(out, count as u64);
    let (mut last, mut last_ms) = (0, 0);
    for (position, entry) in entries {
        put_number(out, position.0.wrapping_sub(last));
        put_number(out, entry.consumer.map_or(0, |consumer| consumer.0 + 1));
        put_number(out, u64::from(entry.deliveries));
        put_number(out, distance(last_ms, entry.delivered_ms));
        (last, last_ms) = (position.0, entry.delivered_ms);
    }
}
