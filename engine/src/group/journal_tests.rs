//! The guarantees of a journal: it restores the same groups, also where it was cut or damaged.

use super::codec::{ID_MAX, put_number};
use super::frame::{begin_frame, end_frame, first_frame, place_frames, split_frame, write_end};
use super::journal::put_group;
use super::model::{IDLE_MS, World, history_and_shards, op};
use super::*;
use proptest::prelude::*;

/// A journal of one group: its complete state.
pub(super) fn whole(group: &Group) -> Vec<u8> {
    let mut out = Vec::new();
    let start = begin_frame(&mut out);
    put_group(&mut out, 0, (b"a*", b"g"), group);
    end_frame(&mut out, start);
    out
}

/// Appends the group's changes.
pub(super) fn keep_changes(group: &mut Group, journal: &mut Vec<u8>) {
    let start = begin_frame(journal);
    group.changes.take(0, journal);
    end_frame(journal, start);
}

/// The group that a journal restores.
pub(super) fn restored(journal: &[u8]) -> Group {
    let mut table = GroupTable::default();
    assert_eq!(table.replay(journal, None).bytes, journal.len());
    table.groups.pop_first().unwrap().1.group
}

/// Everything that a journal keeps of a group except its cursor.
pub(super) fn dump(group: &Group) -> Vec<String> {
    let row = |kind: &str, row: PendingRow<'_>| format!("{kind} {row:?}");
    let consumers = group.consumers.iter().map(|(id, consumer)| format!("{id:?} {:?}", consumer.name));
    let pending = group.pending(u64::MAX).map(|entry| row("pending", entry));
    let parked = group.parked(u64::MAX).map(|entry| row("parked", entry));
    let rest = format!("{:?} {:?} {}", group.options, group.counts, group.consumers.next());
    consumers.chain(pending).chain(parked).chain([rest]).collect()
}

/// For each group: its names, its cursor, and the rest.
type Dump = Vec<(Vec<u8>, Vec<u8>, Position, Vec<String>)>;

fn dump_table(table: &GroupTable) -> Dump {
    table.iter().map(|(key, name, group)| (key.to_vec(), name.to_vec(), group.cursor, dump(group))).collect()
}

fn replayed(journal: &[u8]) -> (GroupTable, usize) {
    let mut table = GroupTable::default();
    let bytes = table.replay(journal, None).bytes;
    (table, bytes)
}

/// A journal of a few groups, with the end of each frame and the groups at that time.
struct Story {
    journal: Vec<u8>,
    frames: Vec<(usize, Dump)>,
}

const OPTIONS: GroupOptions = GroupOptions { idle_ms: IDLE_MS, max_deliveries: 2, max_pending: 10 };

/// Every kind of change of groups. Each step but the second makes a frame.
const STEPS: [fn(&mut GroupTable, &mut History); 10] = [
    |table, history| table.create(b"a*", b"g", Start::At(Position(0)), OPTIONS, history).unwrap(),
    |_, _| {},
    |table, history| {
        let group = table.get_mut(b"a*", b"g").unwrap();
        group.read(b"c", 4, u64::MAX, 1_000, history, |_| 1).unwrap();
    },
    |table, _| assert_eq!(table.get_mut(b"a*", b"g").unwrap().ack([Position(1001), Position(5)]), 1),
    |table, history| {
        table.create(b"*", b"other", Start::Head, GroupOptions::default(), history).unwrap();
        table.get_mut(b"a*", b"g").unwrap().nack(Nack::Park, [Position(1000), Position(1002)]);
        table.create(b"*", b"g", Start::Head, GroupOptions::default(), history).unwrap();
    },
    |table, history| {
        table.destroy(b"*", b"g");
        table.create(b"*", b"g", Start::At(Position(1002)), OPTIONS, history).unwrap();
        table.get_mut(b"*", b"g").unwrap().read(b"d", 1, u64::MAX, 1_000, history, |_| 1).unwrap();
        assert_eq!(table.get_mut(b"a*", b"g").unwrap().replay(Some(&[Position(1002)])), 1);
    },
    |table, history| {
        table.get_mut(b"*", b"g").unwrap().remove_consumer(b"d");
        table.get_mut(b"*", b"g").unwrap().set_cursor(Start::At(Position(1000)), history).unwrap();
    },
    |table, _| assert!(table.destroy(b"*", b"other")),
    |table, history| {
        let twice = [Position(1002), Position(1002)];
        table.get_mut(b"a*", b"g").unwrap().claim(b"e", 0, twice, u64::MAX, 1_007, history, |_| 1).unwrap();
    },
    |table, _| assert_eq!(table.get_mut(b"a*", b"g").unwrap().nack(Nack::Retry, [Position(1003)]), 1),
];

impl Story {
    fn new() -> Story {
        let mut world = World::new(b"a*", GroupOptions::default());
        (0..6).for_each(|_| world.write(0, 8));
        let mut table = GroupTable::default();
        table.start_journal();
        let mut story = Story { journal: Vec::new(), frames: vec![(0, Vec::new())] };
        for step in STEPS {
            step(&mut table, &mut world.history);
            let before = story.journal.len();
            let wrote = table.write_changes(&mut story.journal);
            assert_eq!(wrote.is_some(), story.journal.len() > before);
            if wrote.is_some() {
                story.frames.push((story.journal.len(), dump_table(&table)));
            }
        }
        assert_eq!(story.frames.len(), 10);
        story
    }

    /// The last frame that ends at or before `bytes`.
    fn at(&self, bytes: usize) -> &(usize, Dump) {
        self.frames.iter().rfind(|(end, _)| *end <= bytes).unwrap()
    }
}

#[test]
fn a_journal_cut_at_any_byte_restores_the_groups_of_its_last_complete_frame() {
    let story = Story::new();
    for cut in 0..=story.journal.len() {
        let (table, bytes) = replayed(&story.journal[..cut]);
        let (end, groups) = story.at(cut);
        assert_eq!((bytes, &dump_table(&table)), (*end, groups));
    }
}

#[test]
fn a_journal_with_any_damaged_byte_restores_the_groups_of_the_frame_before() {
    let story = Story::new();
    for spoiled in 0..story.journal.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut journal = story.journal.clone();
            journal[spoiled] ^= mask;
            let (table, bytes) = replayed(&journal);
            let (end, groups) = story.at(spoiled);
            assert_eq!((bytes, &dump_table(&table)), (*end, groups), "byte {spoiled}");
        }
    }
    // Zeros behind the journal, as in a file that was extended before it was written, are not a frame.
    let (table, bytes) = replayed(&[&story.journal[..], &[0; 64]].concat());
    assert_eq!((bytes, table.len()), (story.journal.len(), 2));
}

#[test]
fn a_complete_state_restores_the_same_groups_and_can_be_continued() {
    let story = Story::new();
    let (mut table, _) = replayed(&story.journal);
    table.start_journal();
    let mut anew = Vec::new();
    table.write_state(&mut anew);
    table.get_mut(b"a*", b"g").unwrap().ack([Position(1003)]);
    assert_eq!(table.write_changes(&mut anew), Some(Urgency::Soon));
    let (again, bytes) = replayed(&anew);
    assert_eq!((bytes, dump_table(&again)), (anew.len(), dump_table(&table)));
}

#[test]
fn a_frame_with_a_valid_checksum_and_invalid_changes_is_refused() {
    for changes in [&[0_u8][..], &[99], &[3, 0, 4, 5], &[4, 1], &[1, 0, 9], &[3], &[1, 0, 1, 42, 1, 42, 0, 0, 1]] {
        let mut journal = Vec::new();
        let start = begin_frame(&mut journal);
        journal.extend_from_slice(changes);
        end_frame(&mut journal, start);
        assert_eq!(replayed(&journal).1, 0, "{changes:?}");
    }
}

/// A frame of these changes.
fn frame(changes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = begin_frame(&mut out);
    out.extend_from_slice(changes);
    end_frame(&mut out, start);
    out
}

#[test]
fn a_frame_with_one_invalid_change_changes_nothing() {
    let story = Story::new();
    let mut at = 0;
    while let Some((changes, behind)) = split_frame(&story.journal, at, None) {
        let bad = [&story.journal[..at], &frame(&[changes, &[99]].concat()), &story.journal[behind..]].concat();
        let (table, bytes) = replayed(&bad);
        assert_eq!((bytes, dump_table(&table)), (at, story.at(at).1.clone()), "byte {at}");
        at = behind;
    }
}

#[test]
fn a_number_or_name_that_is_used_again_replaces_the_earlier_one() {
    let story = Story::new();
    let of = [3_u8, 0];
    // A consumer gets another name, then another number, and is removed.
    let renamed = [&of[..], &[5, 70, 1, b'x', 9], &[5, 70, 1, b'y', 9]].concat();
    let renumbered = [&of[..], &[5, 71, 1, b'y', 9], &[6, 70, 6, 71]].concat();
    // The group gets another name, and another group gets its name.
    let group = |number: u8, name: u8| [&[1, number, 1, b'*', 1, name][..], &[0; 13]].concat();
    let groups = [group(0, b'1'), group(0, b'2'), group(90, b'2'), group(91, b'1')];
    let mut journal = story.journal.clone();
    for changes in [&renamed, &renumbered, &groups[0], &groups[1], &groups[2], &groups[3]] {
        journal.extend(frame(changes));
        let (table, bytes) = replayed(&journal);
        assert_eq!((bytes, table.iter().count()), (journal.len(), table.len()), "{changes:?}");
        let mut state = Vec::new();
        table.write_state(&mut state);
        let (again, bytes) = replayed(&state);
        assert_eq!((bytes, dump_table(&again)), (state.len(), dump_table(&table)), "{changes:?}");
    }
}

/// A number as the journal has it.
fn number(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, number);
    bytes
}

#[test]
fn totals_and_numbers_beyond_their_maximum_are_refused() {
    let group = [&[1, 0, 1, b'*', 1, b'g'][..], &[0; 13]].concat();
    for most in [number(u64::MAX), number(COUNT_MAX + 1)] {
        for changes in [
            [&[1][..], &most, &[1, b'*', 1, b'h'], &[0; 13]].concat(),
            [&[1, 2, 1, b'*', 1, b'h', 0, 0, 0, 0], &most[..], &[0; 8]].concat(),
            [&[1, 2, 1, b'*', 1, b'h', 0, 0, 0, 0, 0, 0, 0, 0, 0], &most[..], &[0; 3]].concat(),
            [&[3, 0, 5], &most[..], &[1, b'c', 0]].concat(),
            [&[3, 0, 7], &most[..], &[0, 9, 0]].concat(),
            // The number of the next consumer would be beyond the maximum.
            [&[3, 0, 5], &number(COUNT_MAX)[..], &[1, b'c', 0]].concat(),
        ] {
            let journal = [frame(&group), frame(&changes)].concat();
            let (table, bytes) = replayed(&journal);
            assert_eq!((bytes, table.len()), (frame(&group).len(), 1), "{changes:?}");
            table.write_state(&mut Vec::new());
        }
    }
}

#[test]
fn a_group_with_the_highest_totals_and_numbers_is_restored_after_every_later_change() {
    let (most, id) = (number(COUNT_MAX), number(ID_MAX));
    let counts = [&most[..], &most, &most, &most, &most].concat();
    // One consumer, and three pending entries.
    let consumer = [&id[..], &[1, b'c', 5]].concat();
    let pending = [3, 7, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0];
    let group =
        [&[1][..], &id, &[1, b'*', 1, b'g', 0, 0, 9, 9], &counts, &most, &[1], &consumer, &pending, &[0]].concat();
    let (mut table, bytes) = replayed(&frame(&group));
    assert_eq!((bytes, table.len()), (frame(&group).len(), 1));
    let (_, mut history) = history_and_shards(1);
    let refused = table.create(b"*", b"h", Start::Head, GroupOptions::default(), &history);
    assert_eq!(refused, Err(GroupError::TooManyGroups));
    table.start_journal();
    let group = table.get_mut(b"*", b"g").unwrap();
    assert_eq!(group.read(b"d", 1, 9, 9, &mut history, |_| 1), Err(GroupError::TooManyConsumers));
    assert_eq!(group.ack([Position(7)]), 1);
    assert_eq!(group.nack(Nack::Park, [Position(8)]), 1);
    // Of the entry that is left the record is gone, and so is the history at the cursor.
    assert_eq!(group.read(b"c", 1, 9, 9, &mut history, |_| 1).unwrap().gaps, 2);
    let most = GroupCounts {
        delivered: COUNT_MAX,
        redelivered: COUNT_MAX,
        acknowledged: COUNT_MAX,
        lost: COUNT_MAX,
        parked: COUNT_MAX,
    };
    assert_eq!(table.get(b"*", b"g").unwrap().info().counts, most);
    let mut journal = Vec::new();
    table.write_changes(&mut Vec::new());
    table.write_state(&mut journal);
    let (again, bytes) = replayed(&journal);
    assert_eq!((bytes, dump_table(&again)), (journal.len(), dump_table(&table)));
}

#[test]
fn changes_of_administrators_are_urgent_and_those_of_consumers_are_not() {
    let (_, mut history) = history_and_shards(1);
    let mut table = GroupTable::default();
    table.start_journal();
    let mut out = Vec::new();
    assert_eq!(table.write_changes(&mut out), None);
    table.create(b"*", b"g", Start::Head, GroupOptions::default(), &history).unwrap();
    assert_eq!(table.write_changes(&mut out), Some(Urgency::Now));
    let group = table.get_mut(b"*", b"g").unwrap();
    group.read(b"c", 1, u64::MAX, 1, &mut history, |_| 1).unwrap();
    assert_eq!(table.write_changes(&mut out), Some(Urgency::Soon));
    assert!(table.get_mut(b"*", b"g").unwrap().read(b"c", 1, u64::MAX, 2, &mut history, |_| 1).unwrap().is_empty());
    assert_eq!(table.write_changes(&mut out), None, "a read that gives nothing changes nothing");
    table.get_mut(b"*", b"g").unwrap().set_cursor(Start::Head, &history).unwrap();
    assert_eq!(table.write_changes(&mut out), Some(Urgency::Now));
    table.destroy(b"*", b"g");
    assert_eq!(table.write_changes(&mut out), Some(Urgency::Now));
    assert!(replayed(&out).0.is_empty());
}

#[test]
fn cursors_are_written_when_the_server_stops() {
    let mut world = World::new(b"a*", GroupOptions::default());
    let mut table = GroupTable::default();
    table.create(b"a*", b"g", Start::Head, GroupOptions::default(), &world.history).unwrap();
    table.start_journal();
    let mut out = Vec::new();
    table.write_state(&mut out);
    world.write(4, 8);
    table.get_mut(b"a*", b"g").unwrap().read(b"c", 1, u64::MAX, 1, &mut world.history, |_| 1).unwrap();
    table.write_changes(&mut out);
    assert_eq!(replayed(&out).0.get(b"a*", b"g").unwrap().info().cursor, Position(1000));
    table.note_cursors();
    table.write_changes(&mut out);
    assert_eq!(replayed(&out).0.get(b"a*", b"g").unwrap().info().cursor, Position(1001));
}

#[test]
fn with_another_history_open_entries_are_lost_and_the_next_read_begins_with_a_gap() {
    let mut world = World::new(b"a*", GroupOptions::default());
    (0..3).for_each(|_| world.write(0, 8));
    let mut table = GroupTable::default();
    table.create(b"a*", b"g", Start::Head, GroupOptions::default(), &world.history).unwrap();
    let group = table.get_mut(b"a*", b"g").unwrap();
    group.set_cursor(Start::At(Position(0)), &world.history).unwrap();
    group.read(b"c", 2, u64::MAX, 1, &mut world.history, |_| 1).unwrap();
    table.cap_cursors(Position(900));
    assert_eq!(table.get(b"a*", b"g").unwrap().info().cursor, Position(900));
    table.forget_positions();
    let info = table.get(b"a*", b"g").unwrap().info();
    assert_eq!((info.pending, info.counts.lost, info.cursor), (0, 2, Position(1)));
    let read = table.get_mut(b"a*", b"g").unwrap().read(b"c", 9, u64::MAX, 1, &mut world.history, |_| 1).unwrap();
    assert_eq!((read.gaps, read.events), (1, 3));
}

#[test]
fn a_group_causes_one_warning_until_it_has_caught_up() {
    let mut world = World::new(b"*", GroupOptions::default());
    let mut table = GroupTable::default();
    table.create(b"*", b"g", Start::Head, GroupOptions::default(), &world.history).unwrap();
    let warned = |table: &mut GroupTable, world: &World| {
        let mut count = 0;
        (0..3).for_each(|_| table.check_retention(&world.history, 2, |_| None, |_, _, _| count += 1));
        count
    };
    world.write(0, 8);
    assert_eq!(warned(&mut table, &world), 0, "nothing was overwritten yet");
    for _ in 0..3 {
        (0..100).for_each(|key| world.write(key % 2, 8));
        assert_eq!(warned(&mut table, &world), 1);
        assert!(table.get(b"*", b"g").unwrap().retention_warning(&world.history));
        table.get_mut(b"*", b"g").unwrap().set_cursor(Start::Head, &world.history).unwrap();
        assert_eq!(warned(&mut table, &world), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    /// The model's own test restarts now and then; this one checks a crash after every step.
    #[test]
    fn after_every_step_the_journal_restores_the_same_group(
        ops in proptest::collection::vec(op(), 0..60),
        max_deliveries in 0..3_u32,
    ) {
        let mut world = World::new(b"a*", GroupOptions { idle_ms: IDLE_MS, max_deliveries, max_pending: 20 });
        for op in &ops {
            world.run(op);
            let again = restored(world.journal());
            prop_assert_eq!(dump(&again), dump(&world.group));
            prop_assert!(again.cursor <= world.group.cursor);
        }
    }
}

/// The journal is of a run whose clock was an hour ahead.
#[test]
fn a_clock_that_was_set_back_does_not_delay_redelivery() {
    let (mut shards, mut history) = history_and_shards(1);
    shards[0].set(b"a1", b"v").unwrap();
    shards[0].commit();
    let mut table = GroupTable::default();
    table.start_journal();
    table.create(b"a*", b"g", Start::At(Position(0)), OPTIONS, &history).unwrap();
    let (hour_ms, now_ms) = (3_600_000, 10_000);
    let group = table.get_mut(b"a*", b"g").unwrap();
    group.read(b"c", 1, u64::MAX, now_ms + hour_ms, &mut history, |_| 1).unwrap();
    let mut journal = Vec::new();
    table.write_changes(&mut journal);
    let (mut table, _) = replayed(&journal);
    table.bound_times(now_ms);
    let group = table.get_mut(b"a*", b"g").unwrap();
    assert_eq!(group.next_due_ms(), Some(now_ms + IDLE_MS));
    assert!(group.pending(now_ms).all(|row| row.idle_ms == 0));
    assert_eq!(group.consumers(now_ms + 5)[0].idle_ms, 5);
}

#[test]
fn a_misplaced_frame_or_one_behind_a_missing_frame_is_invalid() {
    let story = Story::new();
    let mut placed = story.journal.clone();
    place_frames(&mut placed, 64);
    let table = |bytes: &[u8], place| {
        let mut table = GroupTable::default();
        (table.replay(bytes, place), dump_table(&table))
    };
    let (all, groups) = table(&placed, Some(64));
    assert_eq!((all.bytes, all.is_ended, &groups), (placed.len(), false, &dump_table(&replayed(&story.journal).0)));
    assert_eq!(table(&placed, Some(65)).0.frames, 0);
    assert_eq!(table(&placed, None).0.frames, 0);
    let second = split_frame(&placed, 0, Some(64)).unwrap().1;
    let third = split_frame(&placed, second, Some(64)).unwrap().1;
    assert_eq!(first_frame(&placed, 1, Some(64)), Some(second));
    placed.drain(second..third);
    assert_eq!(table(&placed, Some(64)).0.frames, 1, "a missing frame is detected");
    assert_eq!(first_frame(&placed, second + 1, Some(64)), None);
    let mut ended = story.journal.clone();
    write_end(&mut ended);
    assert!(table(&ended, None).0.is_ended);
    let whole = table(&ended, None).0;
    // A frame with a valid checksum and an invalid change behind the end frame.
    ended.extend(frame(&[99]));
    assert_eq!(table(&ended, None).0, whole, "a refused frame takes nothing back");
}

#[test]
fn salvage_restores_no_group_beyond_the_damage_and_later_groups_completely() {
    let story = Story::new();
    let whole = dump_table(&replayed(&story.journal).0);
    let mut at = 0;
    while let Some((_, behind)) = split_frame(&story.journal, at, None) {
        for byte in [at, at + 5, behind - 1] {
            let mut damaged = story.journal.clone();
            damaged[byte] ^= 4;
            let mut table = GroupTable::default();
            let lost = table.salvage(&damaged, None);
            assert!(lost.iter().any(|lost| lost.contains(&at)), "{lost:?}");
            // Each group is as it was before the damage, or as some later frame left it.
            let before = dump_table(&replayed(&story.journal[..at]).0);
            for group in &dump_table(&table) {
                let names = |(key, name, ..): &(Vec<u8>, Vec<u8>, Position, Vec<String>)| (key.clone(), name.clone());
                let was = story.frames.iter().any(|(_, groups)| groups.contains(group));
                let is_held = before.iter().all(|other| names(other) != names(group) || other == group);
                let was_later = whole.contains(group);
                assert!(was && (is_held || was_later), "byte {byte}: {group:?}");
            }
        }
        at = behind;
    }
    let mut table = GroupTable::default();
    assert_eq!((table.salvage(&story.journal, None), dump_table(&table)), (Vec::new(), whole));
}
