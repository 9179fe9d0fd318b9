//! What KurrentDB's rules say of appends: expectations, repetitions, deleted and ended streams.

use super::*;
use crate::error::Refusal;
use crate::event::CustomType;
use crate::limits::RING_BYTES_MIN;
use crate::position::Revision;
use crate::ring;
use crate::stream_metadata::metadata_stream;
use crate::turn::ClientEvent;

fn shard() -> Shard {
    let (writer, _) = ring::create(RING_BYTES_MIN).expect("there is memory for a small ring");
    let sequencer = Arc::new(Sequencer::new(Position(1), 1));
    Shard::new(ShardId(0), sequencer, Some(writer), 100)
}

fn event(id: u8) -> ClientEvent<'static> {
    let event_type = CustomType::new(b"T").expect("no built-in type");
    ClientEvent { event_type, data: b"d", meta: None, id: Some([id; 16]), json: false }
}

fn append(shard: &mut Shard, ids: &[u8], expected: Expected) -> Result<Option<u64>, Refusal> {
    let events: Vec<_> = ids.iter().copied().map(event).collect();
    let appended = shard.append_events(b"s", &events, expected)?;
    assert_eq!(appended.position.is_some(), !ids.is_empty());
    Ok(appended.revision.map(|revision| revision.0))
}

fn at(revision: u64) -> Expected {
    Expected::At(Revision(revision))
}

fn wrong(actual: Option<u64>) -> Result<Option<u64>, Refusal> {
    Err(Refusal::WrongRevision { actual: actual.map(Revision) })
}

#[test]
fn a_stream_has_to_be_as_expected() {
    let mut shard = shard();
    assert_eq!(append(&mut shard, &[1], Expected::Exists), wrong(None));
    assert_eq!(append(&mut shard, &[1], at(0)), wrong(None));
    assert_eq!(append(&mut shard, &[], Expected::NoStream), Ok(None));
    assert_eq!(append(&mut shard, &[1, 2], Expected::NoStream), Ok(Some(1)));
    assert_eq!(append(&mut shard, &[3], at(7)), wrong(Some(1)));
    assert_eq!(append(&mut shard, &[3], Expected::NoStream), wrong(Some(1)));
    assert_eq!(append(&mut shard, &[3], at(1)), Ok(Some(2)));
    assert_eq!(append(&mut shard, &[4], Expected::Exists), Ok(Some(3)));
    assert_eq!(append(&mut shard, &[], Expected::Any), Ok(Some(3)));
}

#[test]
fn what_was_appended_before_is_not_appended_again() {
    let mut shard = shard();
    let first = shard.append_events(b"s", &[event(1), event(2)], Expected::NoStream);
    assert_eq!(append(&mut shard, &[3, 4], Expected::Any), Ok(Some(3)));
    // Where it was expected to be: the same events there, in the same order.
    assert_eq!(shard.append_events(b"s", &[event(1), event(2)], Expected::NoStream), first);
    assert_eq!(append(&mut shard, &[3, 4], at(1)), Ok(Some(3)));
    assert_eq!(append(&mut shard, &[3], at(1)), Ok(Some(2)));
    assert_eq!(append(&mut shard, &[2, 1], Expected::NoStream), wrong(Some(3)));
    assert_eq!(append(&mut shard, &[1, 2, 5], Expected::NoStream), wrong(Some(3)));
    assert_eq!(append(&mut shard, &[3, 4, 5], at(1)), wrong(Some(3)));
    // Wherever: all of them, or none.
    assert_eq!(shard.append_events(b"s", &[event(1), event(2)], Expected::Any), first);
    assert_eq!(append(&mut shard, &[1, 9], Expected::Any), wrong(Some(3)));
    assert_eq!(append(&mut shard, &[9, 1], Expected::Any), Ok(Some(5)));
}

#[test]
fn a_deleted_stream_goes_on_behind_its_last_event() {
    let mut shard = shard();
    assert_eq!(shard.delete_stream(b"s", Expected::Any), Err(Refusal::WrongRevision { actual: None }));
    assert_eq!(append(&mut shard, &[1, 2], Expected::Any), Ok(Some(1)));
    assert_eq!(shard.delete_stream(b"s", at(0)), Err(Refusal::WrongRevision { actual: Some(Revision(1)) }));
    assert!(shard.delete_stream(b"s", at(1)).is_ok());
    let state = shard.stream_state(b"s");
    assert!(state.metadata.is_deleted() && !state.is_ended && state.last == Some(Revision(1)));
    assert_eq!(append(&mut shard, &[3], Expected::Exists), Err(Refusal::StreamEnded));
    assert_eq!(append(&mut shard, &[3], Expected::NoStream), Ok(Some(2)));
    let state = shard.stream_state(b"s");
    assert_eq!((state.metadata.is_deleted(), state.metadata.truncate_before), (false, Some(2)));
}

#[test]
fn metadata_for_a_deleted_stream_begins_it_again() {
    let mut shard = shard();
    assert_eq!(append(&mut shard, &[1, 2], Expected::Any), Ok(Some(1)));
    assert!(shard.delete_stream(b"s", Expected::Any).is_ok());
    let event_type = CustomType::new(b"$metadata").expect("no built-in type");
    let json = br#"{"$maxCount":5}"#;
    let metadata = ClientEvent { event_type, data: json, meta: None, id: Some([9; 16]), json: true };
    assert!(shard.append_events(&metadata_stream(b"s"), &[metadata], Expected::Any).is_ok());
    let state = shard.stream_state(b"s");
    assert_eq!((state.metadata.truncate_before, state.metadata.max_count), (Some(2), Some(5)));
    assert_eq!(shard.stream_state(&metadata_stream(b"s")).metadata.max_count, Some(1));
}

#[test]
fn an_ended_stream_takes_nothing_more() {
    let mut shard = shard();
    assert_eq!(shard.end_stream(b"s", Expected::Exists), Err(Refusal::WrongRevision { actual: None }));
    assert!(shard.end_stream(b"s", Expected::NoStream).is_ok());
    for expected in [Expected::Any, Expected::NoStream, Expected::Exists, at(0)] {
        assert_eq!(append(&mut shard, &[1], expected), Err(Refusal::StreamEnded), "{expected:?}");
    }
    assert_eq!(shard.end_stream(b"s", Expected::Any), Err(Refusal::StreamEnded));
    assert_eq!(shard.append_event(b"s", event(1), Expected::Any), Err(Refusal::StreamEnded));
    // The key is not the stream: a change of it is recorded, and the stream goes on.
    shard.set(b"s", b"x").expect("there is room");
    assert!(!shard.stream_state(b"s").is_ended);
    assert!(matches!(shard.append_events(b"s", &[event(1)], Expected::Any), Ok(Appended { .. })));
}
