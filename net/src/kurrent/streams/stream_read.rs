//! A read of one stream.
//!
//! The shard of the stream says where its last event is, and each event where the one before it is. So a read goes back
//! from the end to where it begins, and then sends what it has passed. Where that would be very far, or leads into what
//! shards of another number have recorded, it reads the history in order instead.

use super::super::error::{position_evicted, refused, stream_deleted, unreadable};
use super::super::links::Links;
use super::super::wire;
use super::all_read::{EventForm, send};
use super::backwards::Backwards;
use super::request::{Direction, From, Request};
use crate::grpc::{CallContext, Handler, Status};
use crate::limits::{READ_SLICE_BYTES, READ_SLICE_EVENTS, STREAM_READ_LINKS_MAX};
use crate::streams::{Job, Outcome};
use bytes::Bytes;
use keytide_engine::event::EventType;
use keytide_engine::filter::Filter;
use keytide_engine::history::{History, Scan};
use keytide_engine::interest::Source;
use keytide_engine::position::{Position, Revision, RingOffset, ShardId};
use keytide_engine::ring::Record;
use keytide_engine::shard::StreamState;
use keytide_engine::slot::shard_of;

/// The read of one call.
pub struct StreamRead {
    name: Bytes,
    source: Source,
    from: From,
    is_backwards: bool,
    /// How many more events are wanted.
    left: u64,
    form: EventForm,
    knows_positions: bool,
    stream: StreamState,
    has_sent: bool,
    /// Whether it has met any event of the stream, reading the history in order.
    has_met: bool,
    stage: Stage,
    /// What waits behind a link.
    links: Links,
    /// Whether everything was read.
    is_over: bool,
}

enum Stage {
    /// The shard is asked.
    Asked,
    /// It goes back: the next event on its way, and those that it has passed and will send.
    Back {
        place: RingOffset,
        revision: u64,
        passed: Vec<RingOffset>,
    },
    /// It sends what it has passed, the last one first.
    Passed(Vec<RingOffset>),
    /// It reads the history in order.
    InOrder {
        next: Position,
        end: Position,
    },
    /// It reads what shards of another number have recorded, backwards.
    Backwards(Backwards),
    Over,
}

/// What is known of a record on the way back.
struct OnWay {
    back: RingOffset,
    revision: u64,
    position: Position,
}

impl OnWay {
    fn of(record: &Record<'_>) -> OnWay {
        OnWay { back: record.back_link(), revision: record.revision().0, position: record.position() }
    }
}

impl StreamRead {
    /// Begins a read.
    pub fn begin(context: &mut CallContext<'_>, request: Request) -> StreamRead {
        let name = Bytes::from(request.source.name());
        context.run(0, Job::Describe { stream: name.clone() });
        let (is_backwards, left) = match request.direction {
            Direction::Backwards(count) => (true, count),
            Direction::Forwards(count) => (false, count),
            Direction::Subscription => (false, 0),
        };
        StreamRead {
            name,
            source: request.source,
            from: request.from,
            is_backwards,
            left,
            form: EventForm { ids: request.id_form, resolve_links: request.resolve_links },
            knows_positions: request.knows_positions,
            stream: StreamState::default(),
            has_sent: false,
            has_met: false,
            stage: Stage::Asked,
            links: Links::new(request.id_form),
            is_over: false,
        }
    }

    /// The first revision that may be read.
    fn first_readable(&self) -> u64 {
        self.stream.last.map_or(0, |last| self.stream.metadata.first_readable(last).0)
    }

    /// The first revision that is wanted, of a read forwards.
    fn first_wanted(&self) -> u64 {
        let asked = match self.from {
            From::Revision(revision) => revision,
            From::Start | From::Position(_) => 0,
            From::End => u64::MAX,
        };
        asked.max(self.first_readable())
    }

    /// The last revision that is wanted, of a read backwards.
    fn last_wanted(&self, last: Revision) -> u64 {
        match self.from {
            From::Revision(revision) => revision.min(last.0),
            From::Start | From::Position(_) => 0,
            From::End => last.0,
        }
    }

    fn send(&mut self, context: &mut CallContext<'_>, record: &Record<'_>) {
        if self.left == 0 || self.stream.metadata.is_too_old(record.timestamp_ms(), context.now_ms) {
            return;
        }
        send(context, &mut self.links, record, (&self.source, self.form));
        self.left -= 1;
        self.has_sent = true;
    }

    /// Goes on; whether it is over.
    fn go_on(&mut self, context: &mut CallContext<'_>, history: &mut History) -> Result<bool, Status> {
        let shard = shard_of(&self.name, context.server.shards());
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Asked | Stage::Over => Ok(true),
            Stage::Back { place, revision, passed } if self.is_backwards => {
                debug_assert!(passed.is_empty());
                self.go_back_sending(context, history, (shard, place, revision))
            }
            Stage::Back { place, revision, passed } => self.go_back(context, history, (shard, place, revision), passed),
            Stage::Passed(mut passed) => {
                let mut bytes = 0;
                while bytes < READ_SLICE_BYTES && self.left > 0 {
                    let Some(place) = passed.pop() else { break };
                    let sent = history.record_at(shard, place, |record| {
                        self.send(context, record);
                        record.bytes().len() as u64
                    });
                    match sent {
                        Ok(Some(length)) => bytes += length,
                        // Retention has taken it since.
                        Ok(None) => return Err(position_evicted(history.first_available_in(&self.source))),
                        Err(_) => return Err(unreadable()),
                    }
                }
                let is_over = passed.is_empty() || self.left == 0;
                self.stage = Stage::Passed(passed);
                Ok(is_over)
            }
            Stage::InOrder { next, end } => self.read_in_order(context, history, (next, end)),
            Stage::Backwards(mut backwards) => {
                let (source, form, name) = (&self.source, self.form, &self.name);
                let highest = self.stream.last.map_or(0, |last| self.last_wanted(last));
                let lowest = self.first_readable();
                let (metadata, now_ms) = (self.stream.metadata, context.now_ms);
                let is_wanted = |record: &Record<'_>| {
                    record.key() == &name[..]
                        && (lowest..=highest).contains(&record.revision().0)
                        && !metadata.is_too_old(record.timestamp_ms(), now_ms)
                };
                let left = self.left;
                let what = ((source, &Filter::default()), form);
                let out = (context, &mut self.links);
                let is_over = backwards.send(out, history, what, &mut self.left, is_wanted)?;
                self.has_sent |= self.left < left;
                self.stage = Stage::Backwards(backwards);
                Ok(is_over)
            }
        }
    }

    /// Goes back and keeps the places of what will be sent.
    fn go_back(
        &mut self,
        context: &mut CallContext<'_>,
        history: &mut History,
        (shard, mut place, mut revision): (ShardId, RingOffset, u64),
        mut passed: Vec<RingOffset>,
    ) -> Result<bool, Status> {
        let first = self.first_wanted();
        let last = first.saturating_add(self.left);
        for _ in 0..READ_SLICE_EVENTS {
            match history.record_at(shard, place, OnWay::of).map_err(|_| unreadable())? {
                Some(way) => {
                    if way.revision < last {
                        passed.push(place);
                    }
                    if way.revision <= first {
                        self.stage = Stage::Passed(passed);
                        return self.go_on(context, history);
                    }
                    if way.back == RingOffset::NONE {
                        // The events before it were recorded by shards of another number, or are forgotten.
                        self.stage = Stage::InOrder { next: Position(0), end: history.frontier() };
                        return Ok(false);
                    }
                    (place, revision) = (way.back, way.revision - 1);
                }
                // Retention has passed here.
                None => {
                    if let From::Revision(wanted) = self.from
                        && wanted >= self.first_readable()
                        && wanted <= revision
                    {
                        return Err(position_evicted(history.first_available_in(&self.source)));
                    }
                    // As many as are wanted, from the first that is left.
                    self.stage = Stage::InOrder { next: Position(0), end: history.frontier() };
                    return Ok(false);
                }
            }
        }
        self.stage = Stage::Back { place, revision, passed };
        Ok(false)
    }

    /// Goes back and sends what is wanted on the way.
    fn go_back_sending(
        &mut self,
        context: &mut CallContext<'_>,
        history: &mut History,
        (shard, mut place, mut revision): (ShardId, RingOffset, u64),
    ) -> Result<bool, Status> {
        let Some(last) = self.stream.last else { return Ok(true) };
        let (highest, lowest) = (self.last_wanted(last), self.first_readable());
        let mut bytes = 0;
        for _ in 0..READ_SLICE_EVENTS {
            if revision < lowest || self.left == 0 {
                return Ok(true);
            }
            let found = history.record_at(shard, place, |record| {
                if record.revision().0 <= highest {
                    self.send(context, record);
                    bytes += record.bytes().len() as u64;
                }
                OnWay::of(record)
            });
            let Some(way) = found.map_err(|_| unreadable())? else {
                // Retention has passed here: before where the client starts, or behind.
                let is_start_gone = matches!(self.from, From::Revision(_)) && revision >= highest && !self.has_sent;
                return if is_start_gone {
                    Err(position_evicted(history.first_available_in(&self.source)))
                } else {
                    Ok(true)
                };
            };
            if way.revision == 0 {
                return Ok(true);
            }
            if way.back == RingOffset::NONE {
                self.stage = Stage::Backwards(Backwards::before(way.position));
                return Ok(false);
            }
            (place, revision) = (way.back, way.revision - 1);
            if bytes >= READ_SLICE_BYTES {
                break;
            }
        }
        self.stage = Stage::Back { place, revision, passed: Vec::new() };
        Ok(false)
    }

    fn read_in_order(
        &mut self,
        context: &mut CallContext<'_>,
        history: &mut History,
        (next, end): (Position, Position),
    ) -> Result<bool, Status> {
        let first = self.first_wanted();
        let (source, name) = (self.source.clone(), self.name.clone());
        let filter = Filter::default();
        let scan = Scan {
            cursor: next,
            until: Some(end),
            count: READ_SLICE_EVENTS,
            bytes: READ_SLICE_BYTES,
            records: 16 * READ_SLICE_EVENTS,
            source: &source,
            filter: &filter,
        };
        // The revision at which the client starts, where the stream's metadata hides nothing of it.
        let start = match self.from {
            From::Revision(revision) if revision >= self.first_readable() => Some(revision),
            _ => None,
        };
        let mut evicted = None;
        let page = history.scan(&scan, |_, _, record| {
            let is_wanted = record.event_type() != EventType::FlushDb && record.key() == &name[..];
            if is_wanted
                && !std::mem::replace(&mut self.has_met, true)
                && start.is_some_and(|at| record.revision().0 > at)
            {
                evicted = Some(record.position());
            }
            if is_wanted && evicted.is_none() && record.revision().0 >= first {
                self.send(context, record);
            }
            record.bytes().len() as u64
        });
        if let Some(first) = evicted {
            return Err(position_evicted(first));
        }
        if page.is_damaged || page.is_too_long {
            return Err(unreadable());
        }
        if let Some(gap) = page.gap.filter(|gap| next.0 > 0 && gap.last >= next) {
            return Err(position_evicted(gap.last.next()));
        }
        self.stage = Stage::InOrder { next: page.next, end };
        Ok(self.left == 0 || page.next >= end)
    }

    /// Ends it: says where the stream begins and ends, to clients that know of it.
    fn finish(&self, context: &mut CallContext<'_>, last: Revision) {
        if self.knows_positions {
            let next = self.first_readable();
            let asked = match self.from {
                From::Revision(revision) => Some(revision),
                From::Start => Some(0),
                From::End | From::Position(_) => None,
            };
            if !self.has_sent && !self.is_backwards {
                let next = if asked.is_some_and(|asked| asked > last.0) { last.0 + 1 } else { next };
                if asked != Some(next) {
                    context.send(|out| wire::first_stream_position(out, Revision(next)));
                }
            }
            context.send(|out| wire::last_stream_position(out, last));
        }
        context.finish();
    }
}

impl Handler for StreamRead {
    fn message(&mut self, _: &mut CallContext<'_>, _: Bytes) -> Result<(), Status> {
        Ok(())
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, number: u32, outcome: Outcome) -> Result<(), Status> {
        if self.links.outcome(context, number, &outcome) {
            return Ok(());
        }
        let Outcome::Described(stream) = outcome else { return Ok(()) };
        let stream = stream.map_err(|error| refused(&self.name, &error))?;
        self.stream = stream;
        if stream.is_ended {
            return Err(stream_deleted(&self.name));
        }
        let Some(last) = stream.last.filter(|_| !stream.metadata.is_deleted()) else {
            let name = self.name.clone();
            context.send(|out| wire::stream_not_found(out, &name));
            context.finish();
            return Ok(());
        };
        if !self.is_backwards && self.first_wanted() > last.0 {
            self.finish(context, last);
            return Ok(());
        }
        let is_far = !self.is_backwards && last.0 - self.first_wanted() > STREAM_READ_LINKS_MAX as u64;
        self.stage = match stream.place {
            Some(place) if !is_far => Stage::Back { place, revision: last.0, passed: Vec::new() },
            _ if self.is_backwards => Stage::Backwards(Backwards::before(Position::END)),
            _ => Stage::InOrder { next: Position(0), end: Position::END },
        };
        context.read_history();
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.links.memory_bytes()
    }

    fn read(&mut self, context: &mut CallContext<'_>, history: &mut History) -> Result<(), Status> {
        if !self.links.go_on(context, history)? {
            return Ok(());
        }
        // What is published later is not read.
        let frontier = history.frontier();
        match &mut self.stage {
            Stage::InOrder { end, .. } => *end = (*end).min(frontier),
            Stage::Backwards(backwards) => backwards.bound(frontier),
            _ => {}
        }
        if !self.is_over {
            let read = self.go_on(context, history);
            self.is_over = self.links.end_behind(read)?;
        }
        if !self.is_over || !self.links.is_empty() {
            context.read_history();
        } else if let Some(last) = self.stream.last {
            self.finish(context, last);
        }
        Ok(())
    }
}
