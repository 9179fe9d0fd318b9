//! The ring against a plain model: a list of owned records. Whatever is appended, stamped, published and evicted, a
//! reader sees what the model holds, or is told that it came too late.
#![cfg(not(loom))]

use keytide_engine::event::EventType;
use keytide_engine::limits::unpublished_bytes_max;
use keytide_engine::position::{Position, Revision, RingOffset};
use keytide_engine::ring::{Data, Draft, Record, RecordData, Ring, RingReader, RingWriter, create};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A record as the model keeps it.
#[derive(Clone, Debug, PartialEq)]
struct Owned {
    position: u64,
    event_type: EventType,
    name: Vec<u8>,
    key: Vec<u8>,
    data: Option<OwnedData>,
    meta: Option<Vec<u8>>,
    id: Option<[u8; 16]>,
    json: bool,
    revision: u64,
    timestamp_ms: u64,
    back_link: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum OwnedData {
    One(Vec<u8>),
    Parts(Vec<Vec<u8>>),
}

#[derive(Clone, Debug)]
enum Step {
    Append(Owned),
    Stamp { skipped: u64 },
    Publish,
    Seek { of_all: f64 },
    Read { budget: usize },
    Own { of_all: f64 },
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

fn data() -> impl Strategy<Value = Option<OwnedData>> {
    let one = prop_oneof![8 => bytes(40), 2 => bytes(300), 1 => bytes(4_000)].prop_map(OwnedData::One);
    option::of(prop_oneof![2 => one, 1 => vec(bytes(20), 0..4).prop_map(OwnedData::Parts)])
}

fn record() -> impl Strategy<Value = Owned> {
    let event_type = prop_oneof![
        Just((EventType::Set, b"Set".to_vec())),
        Just((EventType::HSet, b"HSet".to_vec())),
        bytes(20).prop_map(|name| (EventType::Custom, name)),
    ];
    let extra = (option::weighted(0.3, bytes(30)), option::weighted(0.3, any::<[u8; 16]>()), any::<bool>());
    (event_type, bytes(30), data(), extra, any::<(u64, u64, u64)>()).prop_map(
        |((event_type, name), key, data, (meta, id, json), (revision, timestamp_ms, back_link))| Owned {
            position: 0,
            event_type,
            name,
            key,
            data,
            meta,
            id,
            json,
            revision,
            timestamp_ms,
            back_link,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => record().prop_map(Step::Append),
        2 => (1..4u64).prop_map(|skipped| Step::Stamp { skipped }),
        4 => Just(Step::Publish),
        2 => (0.0..1.1f64).prop_map(|of_all| Step::Seek { of_all }),
        2 => (0..600usize).prop_map(|budget| Step::Read { budget }),
        1 => (0.0..1.1f64).prop_map(|of_all| Step::Own { of_all }),
    ]
}

fn owned(record: &Record<'_>) -> Owned {
    Owned {
        position: record.position().0,
        event_type: record.event_type(),
        name: record.type_name().to_vec(),
        key: record.key().to_vec(),
        data: record.data().map(|data| match data {
            RecordData::One(bytes) => OwnedData::One(bytes.to_vec()),
            RecordData::Parts(parts) => OwnedData::Parts(parts.map(<[u8]>::to_vec).collect()),
        }),
        meta: record.meta().map(<[u8]>::to_vec),
        id: record.id(),
        json: record.is_json(),
        revision: record.revision().0,
        timestamp_ms: record.timestamp_ms(),
        back_link: record.back_link().0,
    }
}

/// The ring under test, and beside it every record ever appended with its offset.
struct Run {
    writer: RingWriter,
    ring: Ring,
    reader: RingReader,
    all: Vec<(RingOffset, Owned)>,
    stamped: usize,
    published: usize,
    next: u64,
    /// Where a reader that never hurries reads on, and the index of the record there.
    cursor: (RingOffset, usize),
}

impl Run {
    fn new(capacity: u64) -> Run {
        let (writer, ring) = create(capacity).unwrap();
        let reader = ring.reader();
        Run { writer, ring, reader, all: vec![], stamped: 0, published: 0, next: 1, cursor: (RingOffset(0), 0) }
    }

    fn append(&mut self, record: &Owned) {
        let parts: Vec<&[u8]> = match &record.data {
            Some(OwnedData::Parts(parts)) => parts.iter().map(Vec::as_slice).collect(),
            _ => vec![],
        };
        let draft = Draft {
            event_type: record.event_type,
            custom_type: if record.event_type == EventType::Custom { &record.name } else { b"" },
            key: &record.key,
            data: match &record.data {
                None => Data::None,
                Some(OwnedData::One(bytes)) => Data::One(bytes),
                Some(OwnedData::Parts(_)) => Data::Parts(&parts),
            },
            meta: record.meta.as_deref(),
            id: record.id,
            json: record.json,
            revision: Revision(record.revision),
            timestamp_ms: record.timestamp_ms,
            back_link: RingOffset(record.back_link),
        };
        let most = unpublished_bytes_max(self.writer.capacity());
        if self.writer.unpublished_bytes() + draft.record_bytes() > most {
            self.publish();
        }
        if draft.record_bytes() > most {
            return;
        }
        let end = self.writer.end();
        assert_eq!(self.writer.append(&draft), end);
        assert_eq!(self.writer.end().0 - end.0, draft.record_bytes());
        self.all.push((end, record.clone()));
    }

    fn stamp(&mut self, skipped: u64) {
        self.next += skipped;
        assert_eq!(self.writer.unstamped_records() as usize, self.all.len() - self.stamped);
        self.writer.stamp(Position(self.next));
        for (_, record) in &mut self.all[self.stamped..] {
            record.position = self.next;
            self.next += 1;
        }
        self.stamped = self.all.len();
    }

    fn publish(&mut self) {
        self.stamp(0);
        assert_eq!(self.writer.unpublished_records() as usize, self.all.len() - self.published);
        self.writer.publish();
        self.published = self.all.len();
    }

    /// The index of the oldest record that the ring still has.
    fn oldest(&self) -> usize {
        let head = self.ring.head();
        let oldest = self.all.partition_point(|(offset, _)| *offset < head);
        assert!(oldest == self.all.len() || self.all[oldest].0 == head, "the head is where a record starts");
        oldest
    }

    fn check_bounds(&self) {
        let (bounds, oldest) = (self.ring.bounds(), self.oldest());
        assert_eq!((bounds.head, bounds.tail), (self.writer.head(), self.writer.tail()));
        assert_eq!(
            bounds.evicted_through.map(|p| p.0),
            oldest.checked_sub(1).map(|newest| self.all[newest].1.position)
        );
        let (capacity, held) = (self.ring.capacity(), self.writer.end().0 - bounds.head.0);
        assert!(held <= capacity && bounds.head <= bounds.tail);
        // What room was made for ends within a block and a record of what was needed.
        let longest = (0..self.all.len()).map(|i| self.offset(i + 1).0 - self.offset(i).0).max().unwrap_or(0);
        assert!(bounds.head.0 == 0 || held + capacity / 16 + longest >= capacity, "{bounds:?}");
    }

    fn offset(&self, index: usize) -> RingOffset {
        self.all.get(index).map_or(self.writer.end(), |(offset, _)| *offset)
    }

    fn seek(&mut self, of_all: f64) {
        let position = (of_all * self.next as f64) as u64;
        let published = &self.all[self.oldest()..self.published];
        let wanted = published.iter().find(|(_, record)| record.position >= position);
        let offset = self.reader.seek(Position(position));
        assert_eq!(offset, wanted.map_or(self.ring.tail(), |(offset, _)| *offset), "sought {position}");
        let found = self.reader.record_at(offset).unwrap().as_ref().map(owned);
        assert_eq!(found.as_ref(), wanted.map(|(_, record)| record));
    }

    fn read(&mut self, budget: usize) {
        let (from, index) = self.cursor;
        let oldest = self.oldest();
        match self.reader.read(from, budget) {
            Err(lapped) => {
                assert!(index < oldest, "lapped while it was still there");
                assert_eq!(
                    (lapped.head, Some(lapped.evicted_through)),
                    (self.ring.head(), self.ring.evicted_through())
                );
                self.cursor = (lapped.head, oldest);
            }
            Ok(batch) => {
                assert!(index >= oldest, "read what was overwritten");
                let end = batch.end();
                let read: Vec<(RingOffset, Owned)> = batch.map(|record| (record.offset(), owned(&record))).collect();
                let wanted = &self.all[index..self.published];
                assert!(!read.is_empty() || wanted.is_empty());
                assert!(read.len() <= 1 || end.0 - from.0 <= budget as u64);
                assert_eq!(read.as_slice(), &wanted[..read.len()]);
                self.cursor = (end, index + read.len());
                assert_eq!(end, self.offset(index + read.len()));
            }
        }
    }

    fn own(&mut self, of_all: f64) {
        let index = ((of_all * self.all.len() as f64) as usize).min(self.all.len());
        let (oldest, offset) = (self.oldest(), self.offset(index));
        let read: Vec<Owned> = self.writer.records(offset).map(|record| owned(&record)).collect();
        let wanted: Vec<Owned> = self.all[index.max(oldest)..].iter().map(|(_, record)| record.clone()).collect();
        assert_eq!(read, wanted);
        let one = self.writer.record_at(offset).as_ref().map(owned);
        assert_eq!(one.as_ref(), self.all.get(index).filter(|_| index >= oldest).map(|(_, record)| record));
        assert_eq!(self.writer.unpublished().count(), self.all.len() - self.published);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append(record) => self.append(record),
            Step::Stamp { skipped } => self.stamp(*skipped),
            Step::Publish => self.publish(),
            Step::Seek { of_all } => self.seek(*of_all),
            Step::Read { budget } => self.read(*budget),
            Step::Own { of_all } => self.own(*of_all),
        }
        self.check_bounds();
    }
}

proptest! {
    #[test]
    fn a_ring_holds_what_a_list_would(shift in 8..13u32, steps in vec(step(), 1..250)) {
        let mut run = Run::new(1 << shift);
        for step in &steps {
            run.take(step);
        }
    }
}
