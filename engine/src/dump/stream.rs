//! Redis streams in the form of snapshots, which has grown twice; what is written is the second form, of Redis 7.0:
//!
//! ```text
//!  nodes      count │ for each: its first id, 16 bytes as a string │ a listpack as a string
//!  state      entries │ last id │ ─ from the second form on: first id │ greatest deleted id │ entries ever added
//!  groups     count │ for each: name │ last delivered id │ ─ from the second form on: entries read
//!  pending      count │ for each: id, 16 bytes │ time │ times delivered
//!  consumers    count │ for each: name │ time seen │ ─ in the third form: time active │ count │ ids, 16 bytes each
//! ```
//!
//! Counts, numbers and the halves of other ids are lengths; times have 8 bytes. The listpack of a node has
//!
//! ```text
//!  entries │ deleted ones │ number of names │ name … │ 0
//!  for each entry, deleted or not:
//!    flags │ ms - ms of the node │ number - number of the node │ [number of fields │ name │] value … │ elements before this
//! ```

use super::compact::{Elements, Listpack, packed};
use super::read::Reader;
use super::write::{length, string};
use crate::collection::{Bytes, EntryId, RedisStream, RedisStreamValue, StreamEntry, Thresholds};
use std::collections::BTreeMap;

pub const FIRST: u8 = 15;
pub const SECOND: u8 = 19;
pub const THIRD: u8 = 21;

/// The entry is deleted.
const DELETED: i64 = 1;
/// Its names are those of its node.
const SAME_NAMES: i64 = 2;

/// What stands for a number of read entries that is not known.
const UNKNOWN: u64 = u64::MAX;

/// A node that is written ends with the entry that makes it so long, in bytes: its length has 32 bits, and one entry takes
/// less than half of what they count.
const NODE_BYTES: usize = 64 << 20;

/// About what groups, their consumers and pending entries take in memory: a payload may have them in few bytes.
const GROUP_BYTES: usize = 320;
const CONSUMER_BYTES: usize = 160;
const PENDING_BYTES: usize = 120;

/// A stream, without the byte of its type; `None` unless it is whole and no id or number contradicts another.
pub fn read(form: u8, reader: &mut Reader<'_>, thresholds: &Thresholds) -> Option<RedisStreamValue> {
    let mut value = RedisStreamValue::default();
    let stream = value.edit();
    for _ in 0..reader.count(2)? {
        read_node(stream, reader, thresholds)?;
    }
    let (entries, last_id) = (reader.number()?, read_id(reader)?);
    let (max_deleted, added) = match form {
        FIRST => (EntryId::MIN, entries),
        _ => {
            // The first id follows from the entries.
            read_id(reader)?;
            (read_id(reader)?, reader.number()?)
        }
    };
    let is_sound = entries == stream.len() && stream.last_id().max(max_deleted) <= last_id && entries <= added;
    if !is_sound {
        return None;
    }
    stream.set_state(last_id, added, max_deleted);
    for _ in 0..reader.count(6)? {
        read_group(form, stream, reader)?;
    }
    Some(value)
}

fn read_node(stream: &mut RedisStream, reader: &mut Reader<'_>, thresholds: &Thresholds) -> Option<()> {
    let base = EntryId::of_bytes(reader.string()?.as_slice().try_into().ok()?);
    let list = reader.string()?;
    let list = &mut Listpack::new(&list)?;
    let (mut live, mut deleted) = (list.integer()?, list.integer()?);
    let names = texts(list, 1)?;
    if list.integer()? != 0 {
        return None;
    }
    while !list.is_empty() {
        let flags = list.integer()?;
        let ms = base.ms.wrapping_add_signed(list.integer()?);
        let id = EntryId { ms, seq: base.seq.wrapping_add_signed(list.integer()?) };
        let has_names = flags & SAME_NAMES == 0;
        let words = if has_names { texts(list, 2)? } else { some_texts(list, names.len())? };
        let elements = 3 + usize::from(has_names) + words.len();
        if words.is_empty() || list.integer()? != elements as i64 {
            return None;
        }
        if flags & DELETED != 0 {
            deleted -= 1;
            continue;
        }
        live -= 1;
        let pair = |n: usize| match has_names {
            true => (&words[2 * n][..], &words[2 * n + 1][..]),
            false => (&names[n][..], &words[n][..]),
        };
        let pairs = (0..if has_names { words.len() / 2 } else { words.len() }).map(pair);
        // Names may be repeated for each entry, in memory and in events.
        reader.spend(pairs.clone().map(|(name, value)| name.len() + value.len()).sum())?;
        if !stream.append(id, pairs, thresholds) {
            return None;
        }
    }
    (live == 0 && deleted == 0).then_some(())
}

/// A number, and so many times `each` texts.
fn texts(list: &mut Listpack<'_>, each: usize) -> Option<Vec<Bytes>> {
    let count = usize::try_from(list.integer()?).ok()?;
    some_texts(list, count.checked_mul(each)?)
}

fn some_texts(list: &mut Listpack<'_>, count: usize) -> Option<Vec<Bytes>> {
    // It grows as texts come: the number is only announced.
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(list.text()?);
    }
    Some(texts)
}

fn read_group(form: u8, stream: &mut RedisStream, reader: &mut Reader<'_>) -> Option<()> {
    let (group, last_delivered) = (reader.string()?, read_id(reader)?);
    let entries_read = match form {
        FIRST => stream.added_up_to(last_delivered, stream.first()),
        _ => match reader.unsigned()? {
            UNKNOWN => None,
            read => Some(read).filter(|read| i64::try_from(*read).is_ok()).map(Some)?,
        },
    };
    if stream.group(&group).is_some() {
        return None;
    }
    reader.spend(GROUP_BYTES)?;
    stream.set_group(&group, last_delivered, entries_read);
    let mut pending = BTreeMap::new();
    for _ in 0..reader.count(16 + 8 + 1)? {
        reader.spend(PENDING_BYTES)?;
        let (id, delivered_ms) = (EntryId::of_bytes(reader.array()?), read_time(reader)?);
        let is_new = pending.insert(id, (delivered_ms, reader.number()?)).is_none();
        is_new.then_some(())?;
    }
    for _ in 0..reader.count(1 + 8 + 1)? {
        reader.spend(CONSUMER_BYTES)?;
        let (consumer, seen_ms) = (reader.string()?, read_time(reader)?);
        if form == THIRD {
            // When it was given entries last, which may be never.
            reader.array::<8>()?;
        }
        let is_new = stream.see_consumer(&group, &consumer, seen_ms)?;
        is_new.then_some(())?;
        for _ in 0..reader.count(16)? {
            let id = EntryId::of_bytes(reader.array()?);
            stream.add_pending((&group, &consumer), id, pending.remove(&id)?)?;
        }
    }
    // Each entry has its consumer.
    pending.is_empty().then_some(())
}

fn read_id(reader: &mut Reader<'_>) -> Option<EntryId> {
    Some(EntryId { ms: reader.unsigned()?, seq: reader.unsigned()? })
}

/// A Unix time in milliseconds.
fn read_time(reader: &mut Reader<'_>) -> Option<u64> {
    u64::try_from(i64::from_le_bytes(reader.array()?)).ok()
}

/// Writes a stream in the second form, without the byte of its type.
pub fn write(out: &mut Vec<u8>, stream: &RedisStream) {
    // The number of nodes is known once they are written.
    out.push(0x80);
    let count_at = out.len();
    out.extend([0; 4]);
    let nodes: u32 = stream.runs().map(|entries| write_nodes(out, entries)).sum();
    out[count_at..][..4].copy_from_slice(&nodes.to_be_bytes());
    number(out, stream.len());
    id(out, stream.last_id());
    id(out, stream.first().unwrap_or(EntryId::MIN));
    id(out, stream.max_deleted());
    number(out, stream.added());
    length(out, stream.groups().len());
    for (name, group) in stream.groups() {
        string(out, name);
        id(out, group.last_delivered());
        number(out, group.entries_read().unwrap_or(UNKNOWN));
        length(out, group.pending_count());
        for (id, entry) in group.pending(EntryId::MIN, EntryId::MAX) {
            out.extend(id.to_bytes());
            out.extend(entry.delivered_ms.to_le_bytes());
            number(out, entry.times);
        }
        length(out, group.consumers().len());
        for consumer in group.consumers() {
            string(out, consumer.name());
            out.extend(consumer.seen_ms().to_le_bytes());
            length(out, consumer.pending_count());
            consumer.pending(EntryId::MIN, EntryId::MAX).for_each(|id| out.extend(id.to_bytes()));
        }
    }
}

/// Writes nodes of these entries; returns how many.
fn write_nodes<'s>(out: &mut Vec<u8>, entries: impl Iterator<Item = StreamEntry<'s>>) -> u32 {
    let (mut entries, mut nodes) = (entries.peekable(), 0);
    while let Some(first) = entries.peek().cloned() {
        let names = first.fields.clone().map(|(name, _)| name);
        let (mut head, mut body, mut count) = (Elements::default(), Elements::default(), 0);
        while body.len() < NODE_BYTES
            && let Some(entry) = entries.next()
        {
            write_entry(&mut body, &entry, first.id, names.clone());
            count += 1;
        }
        [count, 0, names.clone().count() as i64].iter().for_each(|number| head.integer(*number));
        names.for_each(|name| head.text(name));
        head.integer(0);
        string(out, &first.id.to_bytes());
        string(out, &packed(&[&head, &body]));
        nodes += 1;
    }
    nodes
}

fn write_entry<'s>(out: &mut Elements, entry: &StreamEntry<'s>, base: EntryId, names: impl Iterator<Item = &'s [u8]>) {
    let fields = entry.fields.clone();
    let is_same = names.eq(fields.clone().map(|(name, _)| name));
    out.integer(if is_same { SAME_NAMES } else { 0 });
    out.integer(entry.id.ms.wrapping_sub(base.ms).cast_signed());
    out.integer(entry.id.seq.wrapping_sub(base.seq).cast_signed());
    let count = fields.len() as i64;
    if !is_same {
        out.integer(count);
    }
    for (name, value) in fields {
        if !is_same {
            out.text(name);
        }
        out.text(value);
    }
    out.integer(if is_same { 3 + count } else { 4 + 2 * count });
}

fn id(out: &mut Vec<u8>, id: EntryId) {
    number(out, id.ms);
    number(out, id.seq);
}

fn number(out: &mut Vec<u8>, number: u64) {
    length(out, number as usize);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::collection::{Times, Trim, TrimTo};
    use crate::dump::tests::sealed;
    use crate::dump::{DumpError, decode, encode};
    use crate::keyspace::{Value, ValueRef};

    /// A stream that random commands have made.
    fn random(rng: &mut fastrand::Rng, thresholds: &Thresholds) -> RedisStreamValue {
        let mut value = RedisStreamValue::default();
        let stream = value.edit();
        let names: Vec<String> = (0..4).map(|n| "field".repeat(n) + &n.to_string()).collect();
        for _ in 0..rng.usize(..300) {
            let id = EntryId { ms: stream.last_id().ms + rng.u64(..3), seq: rng.u64(..4) };
            let old = EntryId { ms: rng.u64(..=id.ms), seq: rng.u64(..4) };
            let (group, consumer) = ([b'g', rng.u8(b'0'..b'3')], [b'c', rng.u8(b'0'..b'3')]);
            let both = (&group[..], &consumer[..]);
            match rng.u8(..16) {
                0 => _ = stream.delete(old),
                1 if rng.u8(..8) == 0 => {
                    let to = TrimTo::Length(rng.u64(..40));
                    stream.trim(Trim { to, is_approximate: rng.bool(), limit: None }, thresholds);
                }
                2 => stream.set_group(&group, old, rng.bool().then(|| rng.u64(..90))),
                3 => _ = stream.deliver(both, (EntryId::MAX, rng.usize(1..9)), rng.bool(), rng.u64(..99)),
                4 => _ = stream.claim(both, [old].into_iter(), (rng.u64(..99), Times::More), rng.u64(..99)),
                5 => {
                    _ = stream.acknowledge(
                        &group,
                        stream.range(old, id).map(|entry| entry.id).collect::<Vec<_>>().into_iter(),
                    )
                }
                6 => _ = stream.see_consumer(&group, &consumer, rng.u64(..99)),
                7 => {
                    let more = rng.u64(..3);
                    stream.set_state(stream.last_id().max(id), stream.added() + more, stream.max_deleted());
                }
                _ => {
                    let fields = rng.usize(1..5);
                    let value = "x".repeat(rng.usize(..90));
                    let pairs = names[..fields].iter().map(|name| (name.as_bytes(), value.as_bytes()));
                    stream.append(id, pairs, thresholds);
                }
            }
        }
        value
    }

    fn items(stream: &RedisStream) -> Vec<Vec<u8>> {
        stream.items().flatten().map(|part| part.to_vec()).collect()
    }

    #[test]
    fn a_stream_is_what_was_dumped() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..300 {
            let thresholds = Thresholds { stream_entries: rng.u32(1..40), ..Thresholds::default() };
            let value = random(&mut rng, &thresholds);
            let decoded = decode(&encode(ValueRef::RedisStream(value.view())), &thresholds);
            let Ok(Value::RedisStream(again)) = decoded else { panic!("no stream") };
            assert_eq!(items(value.view()), items(again.view()));
        }
    }

    #[test]
    fn a_changed_stream_is_refused_or_sound() {
        let mut rng = fastrand::Rng::with_seed(2);
        let (mut refused, thresholds) = (0, Thresholds::default());
        for _ in 0..4_000 {
            let value = random(&mut rng, &thresholds);
            let mut payload = encode(ValueRef::RedisStream(value.view()));
            payload.truncate(payload.len() - 10);
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(1..payload.len());
                payload[at] = if rng.bool() { rng.u8(..) } else { payload[at] ^ 1 << rng.u8(..8) };
            }
            payload[0] = *rng.choice([FIRST, SECOND, SECOND, SECOND, THIRD].iter()).expect("there are some");
            match decode(&sealed(payload), &thresholds) {
                Ok(Value::RedisStream(changed)) => {
                    // Its items are those of a stream, as the event has to be replayed.
                    let (items, mut again) = (items(changed.view()), RedisStreamValue::default());
                    assert!(again.add_parts(items.iter().map(Vec::as_slice), &thresholds));
                    assert_eq!(changed.allocated_bytes(), changed.walked_bytes());
                }
                other => {
                    assert_eq!(other.map(|_| ()), Err(DumpError::Format));
                    refused += 1;
                }
            }
        }
        assert!(refused > 1_000, "{refused}");
    }

    #[test]
    fn what_is_announced_takes_no_memory() {
        let mut names = Elements::default();
        let mut entry = Elements::default();
        [1, 0, 1].iter().for_each(|number| names.integer(*number));
        names.text(&[b'n'; 1 << 20]);
        names.integer(0);
        // Entries of some bytes each, whose names are a megabyte.
        for n in 0..1_000 {
            [SAME_NAMES, n, 1].iter().for_each(|number| entry.integer(*number));
            entry.text(b"");
            entry.integer(4);
        }
        let mut payload = vec![SECOND, 1];
        string(&mut payload, &EntryId::MIN.to_bytes());
        string(&mut payload, &packed(&[&names, &entry]));
        assert_eq!(decode(&sealed(payload), &Thresholds::default()).map(|_| ()), Err(DumpError::Format));
        // Counts far beyond the bytes that follow.
        for at in 1..9 {
            let mut payload = vec![0; at];
            payload[0] = SECOND;
            payload.extend(b"\x81\x00\x00\x00\xff\xff\xff\xff\xff1234");
            assert_eq!(decode(&sealed(payload), &Thresholds::default()).map(|_| ()), Err(DumpError::Format));
        }
    }
}
