//! The expected messages of a subscription, derived from the list of all events.

use keytide_engine::event::EventType;
use keytide_engine::filter::{Filter, Pattern, Target};
use keytide_engine::interest::{Interest, Source};
use keytide_engine::position::{Position, Revision, ShardId};
use keytide_engine::ring::Record;
use keytide_engine::subscription::{EventForm, OnGap, OnSlow, Push, Reason, Start, Subscribe};
use std::ops::Range;

/// An event as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub position: u64,
    pub shard: u16,
    pub key: String,
    pub event_type: String,
    pub revision: u64,
}

impl Event {
    pub fn new(record: &Record<'_>, shard: ShardId) -> Event {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("names here are text");
        Event {
            position: record.position().0,
            shard: shard.0,
            key: text(record.key()),
            event_type: text(record.type_name()),
            revision: record.revision().0,
        }
    }

    fn is_del(&self) -> bool {
        self.event_type == EventType::Del.name().expect("a built-in type")
    }

    pub fn is_flush(&self) -> bool {
        self.event_type == EventType::FlushDb.name().expect("a built-in type")
    }
}

/// A message that a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Event(u64, Form),
    CaughtUp(u64),
    FellBehind(u64),
    Checkpoint(u64),
    Gap(u64, u64),
    Dropped(Reason, u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Itself,
    Link(String),
    Resolved(String),
}

impl Sent {
    pub fn new(push: Push<'_>) -> Sent {
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match push {
            Push::Event(record, form) => Sent::Event(
                record.position().0,
                match form {
                    EventForm::Event => Form::Itself,
                    EventForm::Link(stream) => Form::Link(name(stream)),
                    EventForm::Resolved(stream) => Form::Resolved(name(stream)),
                },
            ),
            Push::CaughtUp(position) => Sent::CaughtUp(position.0),
            Push::FellBehind(position) => Sent::FellBehind(position.0),
            Push::Checkpoint(position) => Sent::Checkpoint(position.0),
            Push::Gap(from, to) => Sent::Gap(from.0, to.0),
            Push::Dropped(reason, position) => Sent::Dropped(reason, position.0),
        }
    }
}

/// A subscription's request, and its messages so far.
pub struct Subscribed {
    pub core: usize,
    pub client: u64,
    pub id: u64,
    pub source: &'static str,
    pub filter: Wanted,
    pub wanted: Subscribe,
    /// The frontier when the subscription was made.
    pub frontier: u64,
    /// The next position to be handed out at that time.
    pub next: u64,
    /// Whether the client has ended it, or has disconnected.
    pub is_over: bool,
    pub sent: Vec<Sent>,
}

/// A filter, by the events that it lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    NoSystem,
    KeyPrefixes,
    KeyRegex,
    KeyGlob,
    TypePrefix,
    TypeRegex,
}

impl Wanted {
    pub const ALL: [Wanted; 7] = [
        Wanted::All,
        Wanted::NoSystem,
        Wanted::KeyPrefixes,
        Wanted::KeyRegex,
        Wanted::KeyGlob,
        Wanted::TypePrefix,
        Wanted::TypeRegex,
    ];

    pub fn filter(self) -> Filter {
        let (on, pattern, no_system) = match self {
            Wanted::All => (Target::Stream, Ok(Pattern::All), false),
            Wanted::NoSystem => (Target::Stream, Ok(Pattern::All), true),
            Wanted::KeyPrefixes => (Target::Stream, Pattern::prefixes([&b"user:1"[..], b"order"]), false),
            Wanted::KeyRegex => (Target::Stream, Pattern::regex(b"[13]$"), false),
            Wanted::KeyGlob => (Target::Stream, Pattern::glob(b"*er:?"), false),
            Wanted::TypePrefix => (Target::Type, Pattern::prefixes([&b"Se"[..]]), false),
            Wanted::TypeRegex => (Target::Type, Pattern::regex(b"^(Del|Paid)$"), false),
        };
        Filter::new(on, pattern.expect("these are filters"), no_system)
    }

    fn passes(self, event: &Event) -> bool {
        let (key, event_type) = (&event.key[..], &event.event_type[..]);
        match self {
            Wanted::All => true,
            Wanted::NoSystem => !key.starts_with('$') && !event_type.starts_with('$'),
            Wanted::KeyPrefixes => key.starts_with("user:1") || key.starts_with("order"),
            Wanted::KeyRegex => key.ends_with('1') || key.ends_with('3'),
            Wanted::KeyGlob => key.len() >= 4 && &key[key.len() - 4..key.len() - 1] == "er:",
            Wanted::TypePrefix => event_type.starts_with("Se"),
            Wanted::TypeRegex => event_type == "Del" || event_type == "Paid",
        }
    }
}

/// The sources that are subscribed to.
pub const SOURCES: [&str; 9] =
    ["$all", "$all", "$shard-0", "$shard-1", "$ce-user", "$et-Set", "$streams", "user:1", "order-3"];

fn in_source(source: &str, event: &Event) -> bool {
    if let Some(shard) = source.strip_prefix("$shard-") {
        return event.shard.to_string() == shard;
    }
    if let Some(category) = source.strip_prefix("$ce-") {
        let end = event.key.find(['-', ':']);
        return end.is_some_and(|end| &event.key[..end] == category);
    }
    if let Some(event_type) = source.strip_prefix("$et-") {
        return event.event_type == event_type;
    }
    match source {
        "$all" => true,
        "$streams" => event.revision == 0,
        stream => event.key == stream,
    }
}

/// Counts of what happened in all worlds together: a test in which no ring overflows proves nothing about overflows.
#[derive(Debug, Default)]
pub struct Seen {
    events: u64,
    gaps: u64,
    fell_behind: u64,
    evicted: u64,
    too_slow: u64,
    ahead: u64,
    revision_ahead: u64,
    lost: u64,
    evicted_by_loss: u64,
    checkpoints: u64,
    resumed: u64,
    shared: u64,
}

impl Seen {
    pub fn assert_all_happened(&self) {
        let Seen { events, gaps, fell_behind, evicted, too_slow, ahead, revision_ahead, .. } = *self;
        let Seen { lost, evicted_by_loss, checkpoints, resumed, shared, .. } = *self;
        let all = [events, gaps, fell_behind, evicted, too_slow, ahead, revision_ahead];
        let all = [&all[..], &[lost, evicted_by_loss, checkpoints, resumed, shared]].concat();
        assert!(all.iter().all(|count| *count > 0), "something was never tried: {self:?}");
    }
}

impl Subscribed {
    pub fn interest(source: &str, filter: Wanted) -> Interest {
        Interest { source: Source::of(source.as_bytes()), filter: filter.filter() }
    }

    fn wants(&self, event: &Event) -> bool {
        event.is_flush() || in_source(self.source, event) && self.filter.passes(event)
    }

    /// The events behind its start that it should get.
    fn expected<'a>(&self, events: &'a [Event]) -> Vec<&'a Event> {
        let is_behind = |event: &&Event| match self.wanted.start {
            Start::Start => true,
            Start::End => event.position >= self.frontier,
            Start::Position(Position(position)) => event.position > position,
            // It gets every event that happens after it was made, or is refused.
            Start::Revision(_) if event.is_flush() => self.starts_at(events).is_none_or(|start| event.position > start),
            Start::Revision(Revision(revision)) => event.revision > revision || event.position >= self.next,
        };
        events.iter().filter(is_behind).filter(|event| self.wants(event)).collect()
    }

    /// The position up to which its start had passed everything when it was made; none for a start behind a revision that
    /// did not exist.
    fn starts_at(&self, events: &[Event]) -> Option<u64> {
        match self.wanted.start {
            Start::Start => Some(0),
            Start::End => Some(self.frontier - 1),
            Start::Position(Position(position)) => Some(position),
            Start::Revision(Revision(revision)) => {
                let start = events.iter().find(|event| event.key == self.source && event.revision == revision);
                start.map(|event| event.position).filter(|start| *start < self.next)
            }
        }
    }

    /// Checks its messages against all events and the positions that a power loss took. `evicted` is the last position of
    /// its source that retention has removed.
    pub fn check(&self, events: &[Event], lost: Option<&Range<u64>>, frontier: u64, evicted: u64, seen: &mut Seen) {
        let what = format!("{} of {}/{}: {} {:?} {:?}", self.id, self.core, self.client, self.source, self.filter, {
            let Subscribe { start, checkpoint_events, window, on_slow, on_gap, .. } = &self.wanted;
            (start, checkpoint_events, window, on_slow, on_gap, self.frontier)
        });
        let by_revision = matches!(self.wanted.start, Start::Revision(_));
        if by_revision {
            // The revisions of a forgotten stream begin anew at 0, so a revision may name several events.
            let revisions = events.iter().filter(|event| event.key == self.source).map(|event| event.revision);
            if !revisions.is_sorted() {
                return;
            }
        }
        let mut expected = self.expected(events).into_iter().peekable();
        // Everything up to here is accounted for.
        let mut through = 0;
        let mut checkpoint = 0;
        let mut looked = self.starts_at(events);
        let crosses = |looked: Option<u64>, position: u64| {
            let lost =
                looked.is_some_and(|looked| lost.is_some_and(|lost| looked + 1 < lost.end && position >= lost.end));
            assert!(!lost, "{what}: {position} without a gap for lost events: {:?}", self.sent);
            looked.max(Some(position))
        };
        let mut is_caught_up = false;
        let mut sent_event = false;
        // One case is not exact: a flush behind a revision whose event is gone, where the flush is gone too and no event of
        // the stream is. The revisions show that none is missing, but a flush has no revision, and nothing that is left shows
        // whether there was one. So no gap is sent.
        let is_start_gone = by_revision && self.starts_at(events).is_none_or(|start| start <= evicted);
        let may_miss = |event: &&Event, to: u64| event.is_flush() && event.position <= to.min(evicted);
        // Whether an event or a gap was sent, or everything before its start was read.
        let mut is_found = !is_start_gone;
        let mut sent = self.sent.iter().peekable();
        while let Some(one) = sent.next() {
            match one {
                Sent::Event(position, form) => {
                    seen.events += 1;
                    sent_event = true;
                    let is_ahead = by_revision && self.starts_at(events).is_none();
                    let has_gap = self.sent.iter().any(|sent| matches!(sent, Sent::Gap(..)));
                    assert!(!is_ahead || has_gap, "{what}: its start was ahead of the history: {:?}", self.sent);
                    while !is_found && expected.next_if(|event| may_miss(event, *position - 1)).is_some() {}
                    is_found = true;
                    let next = expected.next();
                    let near: Vec<_> = events.iter().filter(|event| event.position.abs_diff(*position) < 3).collect();
                    assert_eq!(next.map(|event| event.position), Some(*position), "{what}: {:?} {near:?}", self.sent);
                    assert!(*position > through, "{what}: {position} after {through}");
                    through = *position;
                    looked = crosses(looked, *position);
                    let is_flush = next.is_some_and(Event::is_flush);
                    let is_links = ["$ce-", "$et-", "$streams"].iter().any(|name| self.source.starts_with(name));
                    let wanted_form = match (is_links && !is_flush, self.wanted.resolve_links) {
                        (false, _) => Form::Itself,
                        (true, true) => Form::Resolved(self.source.into()),
                        (true, false) => Form::Link(self.source.into()),
                    };
                    assert_eq!(*form, wanted_form, "{what}");
                }
                Sent::Gap(from, to) => {
                    seen.gaps += 1;
                    assert!(from <= to || *from <= through + 1, "{what}: gap from {from} to {to}");
                    assert!(*to >= through, "{what}: a gap up to {to} after {through}");
                    let may_skip = self.wanted.on_gap == OnGap::Skip || !sent_event;
                    assert!(may_skip, "{what}: got a gap instead of being dropped");
                    while expected.next_if(|event| event.position <= *to).is_some() {}
                    is_found = true;
                    through = *to;
                    looked = looked.max(Some(*to));
                    seen.lost += u64::from(lost.is_some_and(|lost| *to + 1 == lost.end));
                }
                Sent::Checkpoint(position) => {
                    seen.checkpoints += 1;
                    assert!(self.wanted.checkpoint_events.is_some(), "{what}");
                    let advances = *position > checkpoint && *position >= through;
                    assert!(advances && *position < frontier, "{what}: checkpoint {position}: {:?}", self.sent);
                    looked = crosses(looked, *position);
                    while !is_found && expected.next_if(|event| may_miss(event, *position)).is_some() {}
                    let missing = expected.peek().filter(|event| event.position <= *position);
                    assert_eq!(missing, None, "{what}: checkpoint {position}");
                    (checkpoint, through) = (*position, *position);
                }
                Sent::CaughtUp(position) => {
                    let is_so = !is_caught_up && *position > 0 && *position >= through;
                    assert!(is_so, "{what}: {:?}", self.sent);
                    is_caught_up = true;
                    looked = crosses(looked, *position);
                    while !is_found && expected.next_if(|event| may_miss(event, *position)).is_some() {}
                    is_found = true;
                    let missing = expected.peek().filter(|event| event.position <= *position);
                    assert_eq!(missing, None, "{what}: caught up at {position}");
                }
                Sent::FellBehind(position) => {
                    seen.fell_behind += 1;
                    assert!(is_caught_up && *position >= through, "{what}: {:?}", self.sent);
                    is_caught_up = false;
                }
                Sent::Dropped(reason, position) => {
                    assert_eq!(sent.peek(), None, "{what}: got a message after it was dropped");
                    match reason {
                        Reason::TooSlow => {
                            seen.too_slow += 1;
                            assert_eq!(self.wanted.on_slow, OnSlow::Drop, "{what}");
                        }
                        Reason::PositionEvicted => {
                            seen.evicted += 1;
                            assert_eq!(self.wanted.on_gap, OnGap::Drop, "{what}");
                            // A client that resumes from there makes progress.
                            let passed = through.max(looked.unwrap_or(0));
                            // One case is not exact: a start behind a revision whose event is gone, after a power loss that
                            // was before this event. The history begins at `position`, right behind the event, so nothing
                            // is missing. But the engine knows neither the position of an event that is gone nor where in
                            // the log a loss was, only that both are before `position`: the loss may as well be behind the
                            // event, and have taken events of the stream.
                            let start = self.starts_at(events).filter(|_| by_revision && !sent_event);
                            let may_be_lost = start.is_some_and(|start| {
                                lost.is_some_and(|lost| lost.end <= start) && *position == start + 1 && through <= start
                            });
                            assert!(*position > passed + 1 || may_be_lost, "{what}: {position} after {passed}");
                            let is_lost = lost.is_some_and(|lost| lost.contains(position));
                            assert!(!is_lost, "{what}: {position} is lost");
                            seen.evicted_by_loss += u64::from(lost.is_some_and(|lost| *position == lost.end));
                        }
                        Reason::PositionAhead => {
                            seen.ahead += 1;
                            let start = &self.wanted.start;
                            assert!(matches!(start, Start::Position(Position(at)) if *at >= self.next), "{what}");
                        }
                        Reason::RevisionAhead => {
                            seen.revision_ahead += 1;
                            assert!(by_revision && !sent_event, "{what}");
                            // A stream whose key was absent for long is forgotten together with its revisions.
                            let is_end = |event: &Event| event.is_flush() || event.key == self.source && event.is_del();
                            let start = self.starts_at(events);
                            let was_absent = events.iter().any(|end| is_end(end) && Some(end.position) > start);
                            assert!(start.is_none() || was_absent, "{what}: its start existed: {start:?}");
                        }
                        Reason::Unsubscribed => assert!(self.is_over && *position >= through, "{what}"),
                        Reason::AccessRevoked | Reason::ShuttingDown | Reason::Internal => panic!("{what}: {reason:?}"),
                    }
                    return;
                }
            }
        }
        if self.is_over {
            return;
        }
        assert!(is_caught_up, "{what}: {:?}", self.sent);
        assert_eq!(expected.next(), None, "{what}: {:?}", self.sent);
    }

    /// The position to resume from: its last checkpoint, or the gap at which it was dropped.
    pub fn resumes_at(&self) -> Option<u64> {
        self.sent.iter().rev().find_map(|sent| match sent {
            Sent::Checkpoint(position) => Some(*position),
            Sent::Dropped(Reason::PositionEvicted, first) => Some(first - 1),
            _ => None,
        })
    }
}

impl Seen {
    pub fn note_shared(&mut self, pushes: u64) {
        self.shared += pushes;
    }

    pub fn note_resumed(&mut self) {
        self.resumed += 1;
    }
}
