//! A read of all events, or of a stream of links: in the order of positions.

use super::super::error::{position_evicted, unreadable};
use super::super::event;
use super::super::id::IdForm;
use super::super::links::{Item, Links, is_link};
use super::super::wire;
use super::backwards::Backwards;
use super::filter::FilterRequest;
use super::request::{Direction, From, Request};
use crate::grpc::{CallContext, Handler, Status};
use crate::limits::{READ_SLICE_BYTES, READ_SLICE_EVENTS};
use crate::streams::Outcome;
use bytes::Bytes;
use keytide_engine::event::EventType;
use keytide_engine::filter::Filter;
use keytide_engine::history::{History, Scan};
use keytide_engine::interest::Source;
use keytide_engine::position::Position;
use keytide_engine::ring::Record;

/// The read of one call.
pub struct AllRead {
    source: Source,
    from: From,
    direction: Direction,
    filter_request: Option<FilterRequest>,
    filter: Option<Filter>,
    form: EventForm,
    state: State,
    left: u64,
    /// What waits behind a link.
    links: Links,
    /// Whether everything was read.
    is_over: bool,
}

/// How events are written.
#[derive(Clone, Copy)]
pub struct EventForm {
    /// Of ids.
    pub ids: IdForm,
    /// Whether the event behind a link is sent with it.
    pub resolve_links: bool,
}

enum State {
    Beginning,
    /// Up to `end`, what there was when it began.
    Forwards {
        next: Position,
        end: Position,
    },
    Backwards(Backwards),
}

impl AllRead {
    /// Begins a read.
    pub fn begin(context: &mut CallContext<'_>, request: Request) -> AllRead {
        context.read_history();
        let left = match request.direction {
            Direction::Forwards(count) | Direction::Backwards(count) => count,
            Direction::Subscription => 0,
        };
        AllRead {
            source: request.source,
            from: request.from,
            direction: request.direction,
            filter_request: request.filter,
            filter: None,
            form: EventForm { ids: request.id_form, resolve_links: request.resolve_links },
            state: State::Beginning,
            left,
            links: Links::new(request.id_form),
            is_over: false,
        }
    }

    /// Where it begins, once its filter is ready.
    fn start(&mut self, history: &mut History) -> Result<State, Status> {
        let frontier = history.frontier();
        if let From::Position(position) = self.from {
            let first = history.first_available_in(&self.source);
            if position < first && matches!(self.direction, Direction::Forwards(_)) {
                return Err(position_evicted(first));
            }
        }
        // In all events the position itself is not read backwards, in a stream of links it is.
        let is_inclusive = self.source != Source::All;
        Ok(match (self.direction, self.from) {
            (Direction::Backwards(_), From::End) => State::Backwards(Backwards::before(frontier)),
            (Direction::Backwards(_), From::Position(position)) => {
                let end = if is_inclusive { position.next() } else { position };
                State::Backwards(Backwards::before(end.min(frontier)))
            }
            (Direction::Backwards(_), _) => State::Backwards(Backwards::before(Position(0))),
            (_, From::Position(position)) => State::Forwards { next: position, end: frontier },
            (_, From::End) => State::Forwards { next: frontier, end: frontier },
            (_, From::Start | From::Revision(_)) => State::Forwards { next: Position(0), end: frontier },
        })
    }

    /// Reads on; whether everything was read.
    fn go_on(&mut self, context: &mut CallContext<'_>, history: &mut History, filter: &Filter) -> Result<bool, Status> {
        if let State::Beginning = self.state {
            self.state = self.start(history)?;
        }
        let AllRead { source, form, state, left, links, .. } = self;
        match state {
            State::Beginning => Ok(true),
            State::Forwards { next, end } => {
                let scan = Scan {
                    cursor: *next,
                    until: Some(*end),
                    count: (*left as usize).min(READ_SLICE_EVENTS),
                    bytes: READ_SLICE_BYTES,
                    records: 16 * READ_SLICE_EVENTS,
                    source,
                    filter,
                };
                let mut sent = 0;
                let page = history.scan(&scan, |_, _, record| {
                    sent += 1;
                    send(context, links, record, (source, *form));
                    record.bytes().len() as u64
                });
                if page.is_damaged || page.is_too_long {
                    return Err(unreadable());
                }
                if let Some(gap) = page.gap.filter(|gap| next.0 > 0 && gap.last >= *next) {
                    return Err(position_evicted(gap.last.next()));
                }
                *left -= sent;
                *next = page.next;
                Ok(*left == 0 || page.next >= *end)
            }
            State::Backwards(backwards) => {
                backwards.send((context, links), history, ((source, filter), *form), left, |_| true)
            }
        }
    }
}

/// Writes an event of a source as its stream has it.
fn write(out: &mut Vec<u8>, record: &Record<'_>, source: &Source, form: EventForm) {
    let name = source.name();
    if source.is_links() && record.event_type() != EventType::FlushDb {
        let link = event::link(record, &name);
        let target = form.resolve_links.then(|| event::recorded(record));
        match &target {
            Some(target) => wire::event(out, (Some(target), Some(&link)), form.ids),
            None => wire::event(out, (Some(&link), None), form.ids),
        }
    } else {
        wire::event(out, (Some(&event::recorded(record)), None), form.ids);
    }
}

/// An event of a source as its stream has it, with what precedes a message; or a link that is to be resolved.
pub fn item(record: &Record<'_>, source: &Source, form: EventForm) -> Item {
    let link = if form.resolve_links && !source.is_links() { Item::link(record, None) } else { None };
    link.unwrap_or_else(|| Item::message(|out| write(out, record, source, form)))
}

/// Sends an event of a source as its stream has it, behind what waits in `links`.
pub fn send(
    context: &mut CallContext<'_>,
    links: &mut Links,
    record: &Record<'_>,
    (source, form): (&Source, EventForm),
) {
    if links.is_empty() && !(form.resolve_links && is_link(record)) {
        context.send(|out| write(out, record, source, form));
    } else {
        links.send(context, item(record, source, form));
    }
}

impl Handler for AllRead {
    fn message(&mut self, _: &mut CallContext<'_>, _: Bytes) -> Result<(), Status> {
        Ok(())
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, number: u32, outcome: Outcome) -> Result<(), Status> {
        self.links.outcome(context, number, &outcome);
        Ok(())
    }

    fn read(&mut self, context: &mut CallContext<'_>, history: &mut History) -> Result<(), Status> {
        if self.filter.is_none() {
            self.filter = match &mut self.filter_request {
                None => Some(Filter::default()),
                Some(request) => request.poll(context.server)?,
            };
        }
        let Some(filter) = &self.filter else {
            context.read_history_later();
            return Ok(());
        };
        let filter = filter.clone();
        if !self.links.go_on(context, history)? {
            return Ok(());
        }
        if !self.is_over {
            let read = self.go_on(context, history, &filter);
            self.is_over = self.links.end_behind(read)?;
        }
        if self.is_over && self.links.is_empty() {
            context.finish();
        } else {
            context.read_history();
        }
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.links.memory_bytes()
    }
}
