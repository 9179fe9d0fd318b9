//! A subscription: the events behind a start, then each as it happens.

use super::super::error::{access_denied, position_evicted, refused, shutting_down, stream_deleted};
use super::super::event;
use super::super::id;
use super::super::links::{Item, Links};
use super::super::wire::{self, Progress, Recorded};
use super::all_read::EventForm;
use super::filter::FilterRequest;
use super::request::{From, Request};
use crate::grpc::{CallContext, Code, Handler, Outbox, Status};
use crate::streams::{Job, Outcome};
use bytes::Bytes;
use keytide_engine::event::EventType;
use keytide_engine::filter::Filter;
use keytide_engine::history::History;
use keytide_engine::interest::{Interest, Source};
use keytide_engine::position::{Position, Revision};
use keytide_engine::ring::Record;
use keytide_engine::shard::StreamState;
use keytide_engine::stream_metadata::DELETED_TYPE;
use keytide_engine::subscription::{EventForm as Form, OnGap, OnSlow, Push, Reason, Start, Subscribe};

/// The subscription of one call.
pub struct Subscription {
    source: Source,
    from: From,
    filter: Option<FilterRequest>,
    form: EventForm,
    stream: StreamState,
    /// The revision of the last event that was sent; none before the first.
    last_sent: Option<Revision>,
    /// Events up to this revision, or position, are not wanted although they happen later: it starts behind the end.
    skip_through: Option<u64>,
    /// Everything before this was recorded before the stream was described.
    began: Position,
    /// Whether it was made.
    is_made: bool,
    /// What waits behind a link.
    links: Links,
}

impl Subscription {
    /// Begins a subscription.
    pub fn begin(context: &mut CallContext<'_>, request: Request) -> Subscription {
        match &request.source {
            Source::Stream(name) => context.run(0, Job::Describe { stream: Bytes::copy_from_slice(name) }),
            _ => context.read_history(),
        }
        Subscription {
            source: request.source,
            from: request.from,
            filter: request.filter,
            form: EventForm { ids: request.id_form, resolve_links: request.resolve_links },
            stream: StreamState::default(),
            last_sent: None,
            skip_through: None,
            began: context.server.sequencer.next(),
            is_made: false,
            links: Links::new(request.id_form),
        }
    }

    fn start(&mut self, history: &History) -> Result<Start, Status> {
        let is_stream = matches!(self.source, Source::Stream(_));
        let first_readable = self.stream.last.map_or(0, |last| self.stream.metadata.first_readable(last).0);
        let start = match self.from {
            From::End => Start::End,
            From::Position(position) if position > history.head() => {
                self.skip_through = Some(position.0);
                Start::End
            }
            From::Position(position) => {
                let first = history.first_available_in(&self.source);
                if position.next() < first {
                    return Err(position_evicted(first));
                }
                Start::Position(position)
            }
            // A deleted stream reads as if it had never existed. Events may have come since it was described.
            From::Start | From::Revision(_) if is_stream && self.stream.metadata.is_deleted() => {
                self.skip_through = self.stream.last.map(|last| last.0);
                Start::Position(Position(self.began.0.saturating_sub(1)))
            }
            From::Revision(revision) if self.stream.last.is_none_or(|last| revision > last.0) => {
                self.skip_through = Some(revision);
                Start::Position(Position(self.began.0.saturating_sub(1)))
            }
            From::Revision(revision) => Start::Revision(Revision(revision.max(first_readable.saturating_sub(1)))),
            From::Start if first_readable > 0 => Start::Revision(Revision(first_readable - 1)),
            From::Start => Start::Start,
        };
        if let Start::Revision(revision) = start {
            self.last_sent = Some(revision);
        }
        Ok(start)
    }

    fn progress(&self, position: Position) -> Progress {
        match self.source {
            Source::Stream(_) => Progress::Stream(self.last_sent),
            _ => Progress::All(position),
        }
    }

    /// Sends a message, behind what waits.
    fn send(&mut self, outbox: &mut Outbox<'_>, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.links.is_empty() {
            outbox.send(encode);
        } else {
            self.links.hold(Item::message(encode));
        }
    }

    /// The same for a message that depends on nothing but the event, its interest and the form of ids.
    fn send_alike(&mut self, outbox: &mut Outbox<'_>, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.links.is_empty() {
            outbox.send_alike(self.form.ids as u8, encode);
        } else {
            self.links.hold(Item::message(encode));
        }
    }

    fn send_event(&mut self, outbox: &mut Outbox<'_>, record: &Record<'_>, form: Form<'_>) -> Result<(), Status> {
        let is_stream = matches!(self.source, Source::Stream(_));
        let is_flush = record.event_type() == EventType::FlushDb;
        let number = if is_stream { record.revision().0 } else { record.position().0 };
        if !is_flush && self.skip_through.is_some_and(|through| number <= through)
            || self.stream.metadata.is_too_old(record.timestamp_ms(), outbox.now_ms)
        {
            return Ok(());
        }
        let mut flush_revision = None;
        if is_stream && is_flush {
            // A client resumes behind the revision of the event that came last: the flush has that of the stream's last one.
            // Before any event of the stream it would have none, and the client has nothing that could be wrong.
            let Some(revision) = self.last_sent else { return Ok(()) };
            flush_revision = Some(revision);
        } else if is_stream {
            self.last_sent = Some(record.revision());
        }
        let recorded = || {
            let event = event::recorded(record);
            Recorded { revision: flush_revision.unwrap_or(event.revision), ..event }
        };
        let ids = self.form.ids;
        match form {
            Form::Event => match Item::link(record, None).filter(|_| self.form.resolve_links) {
                Some(link) => {
                    self.links.hold(link);
                    outbox.read_history();
                }
                // A flush has the revision of this call's last event.
                None if is_flush => self.send(outbox, |out| wire::event(out, (Some(&recorded()), None), ids)),
                None => self.send_alike(outbox, |out| wire::event(out, (Some(&recorded()), None), ids)),
            },
            Form::Link(name) => {
                self.send_alike(outbox, |out| wire::event(out, (Some(&event::link(record, name)), None), ids));
            }
            Form::Resolved(name) => self.send_alike(outbox, |out| {
                wire::event(out, (Some(&recorded()), Some(&event::link(record, name))), ids);
            }),
        }
        match &self.source {
            // A change of the key may have begun the stream again.
            Source::Stream(name)
                if record.type_name() == DELETED_TYPE
                    && self.stream.last.is_none_or(|last| record.revision() >= last) =>
            {
                Err(stream_deleted(name))
            }
            _ => Ok(()),
        }
    }
}

impl Handler for Subscription {
    fn message(&mut self, _: &mut CallContext<'_>, _: Bytes) -> Result<(), Status> {
        Ok(())
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, number: u32, outcome: Outcome) -> Result<(), Status> {
        if self.links.outcome(context, number, &outcome) {
            return Ok(());
        }
        let (Outcome::Described(stream), Source::Stream(name)) = (outcome, &self.source) else { return Ok(()) };
        let stream = stream.map_err(|error| refused(name, &error))?;
        if stream.is_ended {
            return Err(stream_deleted(name));
        }
        self.stream = stream;
        context.read_history();
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.links.memory_bytes()
    }

    fn waiting_bytes(&self) -> usize {
        self.links.waiting_bytes()
    }

    fn read(&mut self, context: &mut CallContext<'_>, history: &mut History) -> Result<(), Status> {
        if self.is_made {
            return self.links.go_on(context, history).map(drop);
        }
        let (filter, checkpoint_events) = match &mut self.filter {
            None => (Filter::default(), None),
            Some(request) => match request.poll(context.server)? {
                Some(filter) => (filter, Some(request.checkpoint_events)),
                None => {
                    context.read_history_later();
                    return Ok(());
                }
            },
        };
        let start = self.start(history)?;
        self.is_made = true;
        context.send(|out| wire::confirmation(out, &id::random()));
        context.subscribe(Subscribe {
            interest: Interest { source: self.source.clone(), filter },
            start,
            checkpoint_events,
            resolve_links: self.form.resolve_links,
            window: None,
            on_slow: OnSlow::Fallback,
            on_gap: OnGap::Drop,
        });
        Ok(())
    }

    fn push(&mut self, outbox: &mut Outbox<'_>, push: Push<'_>) -> Result<(), Status> {
        // Whose right was taken away gets nothing more.
        let is_revoked = matches!(push, Push::Dropped(Reason::AccessRevoked, _));
        match self.take(outbox, push) {
            Err(status) if !self.links.is_empty() && !is_revoked => {
                self.links.hold(Item::End(status));
                Ok(())
            }
            taken => taken,
        }
    }
}

impl Subscription {
    /// Takes a message of its subscription.
    fn take(&mut self, outbox: &mut Outbox<'_>, push: Push<'_>) -> Result<(), Status> {
        let now_ms = outbox.now_ms;
        match push {
            Push::Event(record, form) => return self.send_event(outbox, record, form),
            Push::CaughtUp(position) => {
                let progress = self.progress(position);
                self.send(outbox, |out| wire::caught_up(out, progress, now_ms));
            }
            Push::FellBehind(position) => {
                let progress = self.progress(position);
                // Some clients read a revision or a position without a look whether there is one.
                if progress != Progress::Stream(None) {
                    self.send(outbox, |out| wire::fell_behind(out, progress, now_ms));
                }
            }
            Push::Checkpoint(position) => self.send(outbox, |out| wire::checkpoint(out, position, now_ms)),
            // Only one that starts at the first event is told of a gap: the first event is the first that is left.
            Push::Gap(..) => {}
            Push::Dropped(reason, position) => {
                return Err(match reason {
                    Reason::PositionEvicted => position_evicted(position),
                    Reason::AccessRevoked => access_denied(),
                    Reason::ShuttingDown => shutting_down(),
                    Reason::PositionAhead | Reason::RevisionAhead => {
                        Status::new(Code::Aborted, "The stream was begun anew since")
                    }
                    Reason::TooSlow | Reason::Unsubscribed | Reason::Internal => {
                        Status::new(Code::Aborted, "The subscription was dropped")
                    }
                });
            }
        }
        Ok(())
    }
}
