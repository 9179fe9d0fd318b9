//! A journal of consumer groups: the groups that it restores are the same when written and restored again, and so are
//! later changes. A frame that is refused changes nothing.
//!
//! ```text
//!  flags │ place │ changes, each frame's after their length; or the bytes of the journal …
//! ```

use super::Input;
use keytide_engine::group::{GroupTable, Nack, Replayed, first_frame, place_frames, write_end};
use keytide_engine::position::Position;

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let (flags, place) = (input.byte(), input.byte());
    let place = (flags & 1 != 0).then_some(u64::from(place));
    // The bytes of a journal, or frames that are built here with valid checksums.
    let journal = if flags & 2 != 0 { input.0.to_vec() } else { frames(&mut input, place) };
    check_replay(&journal, place);
    check_salvage(&journal, place);
    check_changes(&journal, place, flags);
}

fn frames(input: &mut Input<'_>, place: Option<u64>) -> Vec<u8> {
    let mut journal = Vec::new();
    while !input.0.is_empty() {
        let length = input.short();
        let changes = input.take(length);
        if changes.is_empty() {
            write_end(&mut journal);
            continue;
        }
        let length = (changes.len() as u32).to_le_bytes();
        let sum = crc32c::crc32c_append(crc32c::crc32c(&length), changes);
        journal.extend([&length, &sum.to_le_bytes(), changes].concat());
    }
    if let Some(place) = place {
        place_frames(&mut journal, place);
    }
    journal
}

fn replayed(journal: &[u8], place: Option<u64>) -> (GroupTable, Replayed) {
    let mut table = GroupTable::default();
    let replayed = table.replay(journal, place);
    (table, replayed)
}

fn state(table: &GroupTable) -> Vec<u8> {
    let mut out = Vec::new();
    table.write_state(&mut out);
    out
}

/// Checks that a table is the same when written and restored; returns the copy.
fn copy(table: &GroupTable) -> GroupTable {
    let written = state(table);
    let (copy, replayed) = replayed(&written, None);
    assert_eq!((replayed.bytes, replayed.frames), (written.len(), table.len()));
    assert_eq!(state(&copy).escape_ascii().to_string(), written.escape_ascii().to_string());
    look(table);
    copy
}

/// Reads what commands read of a table.
fn look(table: &GroupTable) {
    for (key_pattern, name, group) in table.iter() {
        let info = group.info();
        assert_eq!(group.pending(u64::MAX).count(), info.pending);
        assert_eq!(group.parked(0).count(), info.parked);
        let consumers = group.consumers(1);
        assert_eq!(consumers.len(), info.consumers);
        assert!(consumers.iter().map(|consumer| consumer.pending).sum::<usize>() <= info.pending);
        let number = table.number(key_pattern, name).expect("it has a number");
        assert!(table.interest(number).is_some() && table.get(key_pattern, name).is_ok());
        let _ = (group.next_due_ms(), group.reads_from());
    }
    assert_eq!(table.iter().count(), table.len());
}

/// A journal restores what its valid frames restore.
fn check_replay(journal: &[u8], place: Option<u64>) {
    let (table, all) = replayed(journal, place);
    let (whole, again) = replayed(&journal[..all.bytes], place);
    assert_eq!(again, all);
    assert_eq!(state(&whole), state(&table), "a frame that was refused has changed something");
    copy(&table);
    if let Some(found) = first_frame(journal, 0, place) {
        assert!(found < journal.len());
    }
}

fn check_salvage(journal: &[u8], place: Option<u64>) {
    let mut table = GroupTable::default();
    let lost = table.salvage(journal, place);
    let mut end = 0;
    for range in &lost {
        assert!(range.start >= end && range.end > range.start && range.end <= journal.len());
        end = range.end;
    }
    copy(&table);
    let (plain, replayed) = replayed(journal, place);
    assert_eq!(lost.is_empty(), replayed.bytes == journal.len());
    if lost.is_empty() {
        assert_eq!(state(&plain), state(&table));
    }
}

/// Changes after a start are restored as they happened.
fn check_changes(journal: &[u8], place: Option<u64>, flags: u8) {
    let (mut table, _) = replayed(journal, place);
    if flags & 4 != 0 {
        table.bound_times(1 << 40);
    }
    if flags & 8 != 0 {
        table.forget_positions();
    }
    table.cap_cursors(Position(1 << 50));
    let mut kept = copy(&table);
    table.start_journal();
    let names: Vec<(Vec<u8>, Vec<u8>)> = table.iter().map(|(key, name, _)| (key.to_vec(), name.to_vec())).collect();
    let mut changes = Vec::new();
    for (number, (key_pattern, name)) in names.iter().enumerate() {
        change(&mut table, key_pattern, name, flags >> 4);
        // Some changes get a frame of their own.
        if number % 2 == 0 {
            table.write_changes(&mut changes);
        }
    }
    table.note_cursors();
    table.write_changes(&mut changes);
    let done = kept.replay(&changes, None);
    assert_eq!(done.bytes, changes.len());
    assert_eq!(state(&kept).escape_ascii().to_string(), state(&table).escape_ascii().to_string());
}

fn change(table: &mut GroupTable, key_pattern: &[u8], name: &[u8], what: u8) {
    let group = table.get_mut(key_pattern, name).expect("it is there");
    let pending: Vec<Position> = group.pending(0).map(|row| row.position).collect();
    let some = |each: usize| pending.iter().copied().skip(each % 3).step_by(3);
    if what & 1 != 0 {
        group.ack(some(0));
    }
    if what & 2 != 0 {
        group.nack(Nack::Park, some(1));
        group.nack(Nack::Retry, some(2));
    }
    if what & 4 != 0 {
        let consumers: Vec<Vec<u8>> = group.consumers(0).iter().map(|consumer| consumer.name.to_vec()).collect();
        for consumer in consumers.iter().step_by(2) {
            group.remove_consumer(consumer);
        }
    }
    if what & 8 != 0 {
        group.replay(None);
    }
    if what & 15 == 15 {
        table.destroy(key_pattern, name);
    }
}
