//! The guarantees of a group, one case each.

use super::model::{IDLE_MS, Seen, World, history_and_shards, history_and_shards_of};
use super::*;

fn world() -> World {
    World::new(b"a*", GroupOptions { idle_ms: IDLE_MS, ..GroupOptions::default() })
}

#[test]
fn the_same_consumer_gets_its_own_idle_entries_again_and_before_new_events() {
    let mut world = world();
    (0..3).for_each(|_| world.write(0, 8));
    assert_eq!(world.read(1, 2).1, [Seen::Event(1000), Seen::Event(1001)]);
    world.now_ms += IDLE_MS - 1;
    assert_eq!(world.read(1, 10).1, [Seen::Event(1002)]);
    assert!(world.read(1, 10).0.is_empty());
    world.now_ms += 1;
    world.write(0, 8);
    assert_eq!(world.read(1, 10).1, [Seen::Event(1000), Seen::Event(1001), Seen::Event(1003)]);
}

#[test]
fn events_that_the_pattern_rejects_move_the_cursor_and_a_flush_always_matches() {
    let mut world = world();
    world.write(4, 8);
    assert!(world.read(1, 10).0.is_empty());
    assert_eq!(world.group.info().cursor, Position(1001));
    world.flush();
    assert_eq!(world.read(1, 10).1, [Seen::Event(1001)]);
    assert!(world.read(1, 10).0.is_empty(), "a flush is recorded by every shard and given once");
}

#[test]
fn with_the_maximum_pending_new_events_wait_for_an_acknowledgement() {
    let options = GroupOptions { idle_ms: IDLE_MS, max_pending: 2, ..GroupOptions::default() };
    let mut world = World::new(b"*", options);
    (0..3).for_each(|_| world.write(0, 8));
    assert_eq!(world.read(1, 10).0.events, 2);
    let (read, _) = world.read(1, 10);
    assert!(read.is_empty() && read.held_back && !read.more);
    assert_eq!(world.group.ack([Position(1000), Position(1000), Position(5)]), 1);
    assert_eq!(world.read(1, 10).1, [Seen::Event(1002)]);
}

#[test]
fn a_byte_budget_ends_a_read_but_never_before_its_first_event() {
    let mut world = world();
    (0..3).for_each(|_| world.write(0, 8));
    let (now_ms, history) = (world.now_ms, &mut world.history);
    let read = world.group.read(b"c", 10, 0, now_ms, history, |_| 1).unwrap();
    assert_eq!((read.events, read.more), (1, true));
    let read = world.group.read(b"c", 10, 2, now_ms, history, |_| 1).unwrap();
    assert_eq!(read.events, 2);
    let due_ms = now_ms + IDLE_MS;
    assert_eq!(world.group.next_due_ms(), Some(due_ms));
    let read = world.group.read(b"c", 10, 2, due_ms, history, |_| 1).unwrap();
    assert_eq!(read.events, 2);
    assert_eq!(world.group.next_due_ms(), Some(0));
}

#[test]
fn a_cursor_set_back_delivers_acknowledged_events_again_but_not_pending_ones() {
    let mut world = world();
    (0..3).for_each(|_| world.write(0, 8));
    world.read(1, 10);
    world.group.ack([Position(1001)]);
    world.group.set_cursor(Start::At(Position(0)), &world.history).unwrap();
    assert_eq!(world.read(2, 10).1, [Seen::Event(1001)]);
    assert_eq!(world.group.info().floor, Position(1000));
    world.group.set_cursor(Start::Head, &world.history).unwrap();
    world.write(0, 8);
    assert_eq!(world.read(2, 10).1, [Seen::Event(1003)]);
}

#[test]
fn a_start_beyond_the_head_is_refused_and_one_from_an_earlier_run_is_a_gap_of_unknown_size() {
    let mut world = world();
    world.write(0, 8);
    let new = |start| Group::new(b"*", Start::At(Position(start)), GroupOptions::default(), &world.history);
    assert!(new(1001).is_ok());
    let refused = BeyondHead { cursor: Position(1002), head: Position(1000) };
    assert_eq!(new(1002).err(), Some(GroupError::BeyondHead(refused)));
    world.group = new(5).unwrap();
    assert_eq!(world.read(1, 10).1, [Seen::Gap(999, None), Seen::Event(1000)]);
    assert_eq!(world.read(1, 10).1, []);
}

#[test]
fn without_room_to_park_an_exhausted_entry_stays_pending() {
    let mut world = World::new(b"*", GroupOptions { idle_ms: IDLE_MS, max_deliveries: 1, max_pending: 10 });
    (0..2).for_each(|_| world.write(0, 8));
    world.read(1, 10);
    let entry = *world.group.pending.get(Position(1000)).unwrap();
    world.group.parked = (0..GROUP_PARKED_MAX as u64).map(|position| (Position(position), entry)).collect();
    world.now_ms += IDLE_MS;
    assert!(world.read(1, 10).0.is_empty());
    assert_eq!(world.group.nack(Nack::Park, [Position(1000)]), 0);
    assert_eq!(world.group.pending(world.now_ms).count(), 2);
    world.group.ack([Position(7)]);
    assert_eq!(world.group.nack(Nack::Park, [Position(1000)]), 1);
}

#[test]
fn lost_entries_beyond_one_reads_limit_are_reported_by_the_next() {
    let mut world = world();
    world.write(0, 8);
    world.read(1, 1);
    let entry = *world.group.pending.get(Position(1000)).unwrap();
    let many = 1 + GROUP_FRUITLESS_MAX as u64;
    for position in 2000..2000 + many {
        world.group.pending.put(Position(position), entry, None);
    }
    let (read, rows) = world.read(1, 10);
    assert!(read.more && rows == [Seen::Gap(1998 + many, Some(many - 1))]);
    assert_eq!(world.read(1, 10).1, [Seen::Gap(1999 + many, Some(1))]);
}

#[test]
fn a_group_is_found_by_key_pattern_and_name_together() {
    let (_, history) = history_and_shards(1);
    let mut table = GroupTable::default();
    let options = GroupOptions::default();
    table.create(b"a*", b"g", Start::Head, options, &history).unwrap();
    table.create(b"b*", b"g", Start::Head, options, &history).unwrap();
    assert_eq!(table.create(b"a*", b"g", Start::Head, options, &history), Err(GroupError::Exists));
    let long = vec![b'g'; GROUP_NAME_BYTES_MAX + 1];
    assert!(matches!(table.create(b"a*", &long, Start::Head, options, &history), Err(GroupError::NameTooLong { .. })));
    assert!(table.destroy(b"a*", b"g") && !table.destroy(b"a*", b"g"));
    assert!(table.get(b"a*", b"g").is_err() && table.get_mut(b"b*", b"g").is_ok());
    let names: Vec<_> = table.iter().map(|(key, name, _)| (key.to_vec(), name.to_vec())).collect();
    assert_eq!((names, table.len()), (vec![(b"b*".to_vec(), b"g".to_vec())], 1));
}

#[test]
fn a_group_passes_over_an_examined_range_only_from_its_cursor() {
    let mut world = world();
    (0..3).for_each(|_| world.write(4, 8));
    assert!(world.read(1, 10).0.is_empty());
    assert_eq!(world.group.reads_from(), Some(Position(1003)));
    (0..3).for_each(|_| world.write(4, 8));
    world.group.pass_over(Position(1003)..Position(1005));
    assert_eq!(world.group.reads_from(), Some(Position(1005)));
    // The cursor was set elsewhere meanwhile.
    world.group.set_cursor(Start::At(Position(1001)), &world.history).unwrap();
    world.group.pass_over(Position(1003)..Position(1006));
    assert_eq!(world.group.reads_from(), Some(Position(1001)));
    world.group.set_cursor(Start::At(Position(1006)), &world.history).unwrap();
    world.group.pass_over(Position(1003)..Position(1006));
    assert_eq!(world.group.reads_from(), Some(Position(1006)));
}

#[test]
fn with_the_maximum_pending_no_new_event_is_waited_for() {
    let options = GroupOptions { idle_ms: IDLE_MS, max_pending: 1, ..GroupOptions::default() };
    let mut world = World::new(b"*", options);
    (0..2).for_each(|_| world.write(0, 8));
    assert_eq!(world.read(1, 10).0.events, 1);
    assert_eq!(world.group.reads_from(), None);
    world.group.ack([Position(1000)]);
    assert_eq!(world.group.reads_from(), Some(Position(1001)));
}

/// What a group gives to its only attached consumer: the positions, and what is lost.
fn given(group: &mut Group, history: &mut History, consumer: ConsumerId) -> (Vec<u64>, Option<Position>) {
    let mut given = Vec::new();
    group.set_open(consumer, true);
    let done = group.distribute(u64::MAX, 1_000, history, |_, event| given.push(event.position.0)).unwrap();
    assert_eq!(group.ack(given.iter().map(|position| Position(*position))), given.len());
    (given, done.lost)
}

#[test]
fn a_group_of_a_stream_has_lost_events_only_where_its_revisions_say_so() {
    let (mut shards, mut history) = history_and_shards_of(1, 1024);
    let selection =
        Selection { source: b"rare".as_slice().into(), filter: None, first_revision: crate::position::Revision(0) };
    let spec = GroupSpec { selection: Some(selection.clone()), ..GroupSpec::default() };
    let mut group = Group::new(b"rare", Start::At(Position(0)), GroupOptions::default(), &history).unwrap();
    group.set_spec(spec, selection.interest().unwrap());
    let consumer = group.attach(b"reader", 10, 0).unwrap();
    let mut write = |key: &[u8], count: usize| {
        for _ in 0..count {
            shards[0].set(key, b"0123456789").unwrap();
            shards[0].commit();
        }
    };
    write(b"rare", 1);
    assert_eq!(given(&mut group, &mut history, consumer).0.len(), 1);
    // Others' events pass the ring by.
    write(b"other", 100);
    assert_eq!(given(&mut group, &mut history, consumer), (vec![], None));
    write(b"rare", 1);
    let (again, lost) = given(&mut group, &mut history, consumer);
    assert_eq!((again.len(), lost, group.info().counts.lost), (1, None, 0));
    // Now one of its own is among them.
    write(b"rare", 1);
    write(b"other", 100);
    assert_eq!(given(&mut group, &mut history, consumer), (vec![], None));
    write(b"rare", 1);
    let (again, lost) = given(&mut group, &mut history, consumer);
    assert_eq!((again.len(), lost.is_some(), group.info().counts.lost), (1, true, 1));
}
