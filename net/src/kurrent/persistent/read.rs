//! Read: a reader of a group. The group gives it events as long as it has room, and it says of each what has become of it.

use super::super::error::refused as stream_refused;
use super::super::event;
use super::super::id::{self, IdForm};
use super::super::links::{Item, Links};
use super::super::proto::Uuid;
use super::super::proto::persistent_subscriptions::ReadReq;
use super::super::proto::persistent_subscriptions::read_req::nack::Action;
use super::super::proto::persistent_subscriptions::read_req::options::{UuidOption, uuid_option};
use super::super::proto::persistent_subscriptions::read_req::{Content, Options};
use super::super::rights::{Use, may_read_group};
use super::super::wire;
use super::error::{dropped, refused};
use super::in_flight::InFlight;
use super::names::GroupName;
use super::settings::Settings;
use crate::groups::ask::{GroupAnswer, GroupAsk, ReaderInfo, Reading};
use crate::grpc::{CallContext, Code, Handler, Status};
use crate::kurrent::access_denied;
use crate::limits::GROUP_ACK_BYTES_MAX;
use crate::streams::{Job, Outcome};
use bytes::Bytes;
use keytide_engine::account::Owned;
use keytide_engine::event::EventType;
use keytide_engine::group::{Given, Nack};
use keytide_engine::history::History;
use keytide_engine::interest::{Interest, Source};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring::Record;
use prost::Message;
use std::sync::Arc;

/// About the memory of a reader without what is in flight to it, in bytes.
const READER_BYTES: u64 = 1_024;

/// A call of Read.
#[derive(Default)]
pub struct Reader {
    open: Option<Open>,
}

/// A reader, once it has said what it reads.
struct Open {
    name: GroupName,
    core: ShardId,
    ids: IdForm,
    in_flight: InFlight,
    /// What it asks of the group, until it has.
    asks: Option<(usize, ReaderInfo)>,
    /// Which events it reads, once the group has said so.
    reads: Option<Reads>,
    /// What waits behind a link.
    links: Links,
    /// It counts among the subscriptions of its user.
    _owned: Owned,
}

struct Reads {
    interest: Arc<Interest>,
    /// The name of its stream, for links in it.
    stream: Vec<u8>,
    resolve_links: bool,
    /// Whether it is measured how long the reader takes.
    is_measured: bool,
}

impl Reader {
    pub fn begin() -> Box<dyn Handler> {
        Box::<Reader>::default()
    }

    fn open(context: &mut CallContext<'_>, options: Options) -> Result<Open, Status> {
        let name = GroupName::read(options.stream_option, options.group_name)?;
        let ids = match options.uuid_option {
            Some(UuidOption { content: Some(uuid_option::Content::String(_)) }) => IdForm::Text,
            Some(UuidOption { content: Some(uuid_option::Content::Structured(_)) | None }) => IdForm::Structured,
            None => return Err(Status::invalid("uuid_option is missing")),
        };
        let window = match usize::try_from(options.buffer_size) {
            Ok(window) if window > 0 => window.min(context.server.config.readers.events),
            _ => return Err(Status::invalid("buffer_size must be positive")),
        };
        name.check(context, Use::ReadGroup)?;
        let owned = context.user.usage().subscriptions.take(READER_BYTES);
        let owned = owned.map_err(|over| Status::new(Code::ResourceExhausted, over.to_string()))?;
        let info = ReaderInfo {
            peer: context.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            user: String::from_utf8_lossy(context.user.name()).into_owned(),
            connection: context.connection_name.to_owned(),
        };
        let core = name.names().core(context.server.shards());
        let in_flight = InFlight::new(window);
        let (asks, links) = (Some((window, info)), Links::new(ids));
        let mut open = Open { name, core, ids, in_flight, asks, reads: None, links, _owned: owned };
        match Source::of(&open.name.source) {
            // Its metadata may say who reads it.
            Source::Stream(_) => context.run(0, Job::Describe { stream: open.name.source.clone() }),
            _ => open.ask(context),
        }
        Ok(open)
    }
}

impl Open {
    /// Asks the group for its events.
    fn ask(&mut self, context: &mut CallContext<'_>) {
        if let Some((window, info)) = self.asks.take() {
            context.ask_group(self.core, 0, GroupAsk::Read(self.name.names(), window, Box::new(info)));
        }
    }

    /// The positions of events with these ids, with the times of their deliveries, Unix milliseconds. Unknown ids are no
    /// events of this reader, or not any more.
    fn take(&mut self, ids: &[Uuid]) -> Result<Vec<(Position, u64)>, Status> {
        let mut positions = Vec::new();
        for event in ids {
            positions.extend(self.in_flight.take(id::read(Some(event))?));
        }
        Ok(positions)
    }

    fn begin(&mut self, context: &mut CallContext<'_>, reading: Reading) -> Result<(), Status> {
        // The group may have more events than its name says, and the rights may have changed since.
        if !may_read_group(context.server, context.user, &reading.interest) {
            return Err(access_denied());
        }
        let settings: Option<Settings> = serde_json::from_slice(&reading.notes).ok();
        self.reads = Some(Reads {
            stream: reading.interest.source.name(),
            resolve_links: settings.as_ref().is_some_and(|settings| settings.resolve_links),
            is_measured: settings.is_some_and(|settings| settings.extra_statistics),
            interest: reading.interest,
        });
        let subscription = format!("{}::{}", self.name.stream(), self.name.group);
        context.send(|out| wire::confirmation(out, &subscription));
        Ok(())
    }

    fn send(&mut self, context: &mut CallContext<'_>, given: Vec<Given>, history: &mut History) {
        let mut gone = Vec::new();
        for Given { position, place, deliveries } in given {
            let sent = match place {
                Some((shard, offset)) => history.record_at(shard, offset, |record| {
                    let is_it = record.position() == position;
                    if is_it {
                        self.send_event(context, record, deliveries);
                    }
                    is_it
                }),
                None => history.visit_older(position, |record| {
                    self.send_event(context, record, deliveries);
                    true
                }),
            };
            if !matches!(sent, Ok(Some(true))) {
                gone.push(position);
            }
        }
        if !gone.is_empty() {
            // Retention has taken them since they were given. The group finds that when it looks at them again.
            context.ask_group(self.core, 0, GroupAsk::Nack(Nack::Retry, gone));
        }
    }

    fn send_event(&mut self, context: &mut CallContext<'_>, record: &Record<'_>, deliveries: u32) {
        let Some(Reads { interest, stream, resolve_links, .. }) = &self.reads else { return };
        let retries = deliveries.saturating_sub(1);
        let is_link = interest.source.is_links() && record.event_type() != EventType::FlushDb;
        let recorded = event::recorded(record);
        let ids = self.ids;
        let (original, item) = match is_link {
            true => {
                let link = event::link(record, stream);
                let parts = if *resolve_links { (Some(&recorded), Some(&link)) } else { (Some(&link), None) };
                (link.id, Item::message(|out| wire::group_event(out, parts, retries, ids)))
            }
            false => {
                let link = Item::link(record, Some(retries)).filter(|_| *resolve_links);
                let event = || Item::message(|out| wire::group_event(out, (Some(&recorded), None), retries, ids));
                (recorded.id, link.unwrap_or_else(event))
            }
        };
        self.links.send(context, item);
        if !self.links.is_empty() {
            context.read_history();
        }
        self.in_flight.add(original, record.position(), context.now_ms);
    }
}

impl Handler for Reader {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        if message.len() > GROUP_ACK_BYTES_MAX {
            let text = format!("a request of {} bytes exceeds {GROUP_ACK_BYTES_MAX}", message.len());
            return Err(Status::new(Code::ResourceExhausted, text));
        }
        let request = ReadReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        let content = request.content.ok_or_else(|| Status::invalid("the request is empty"))?;
        let Some(open) = &mut self.open else {
            let Content::Options(options) = content else {
                return Err(Status::invalid("the first request must have options"));
            };
            self.open = Some(Reader::open(context, options)?);
            return Ok(());
        };
        let ask = match content {
            Content::Options(_) => return Err(Status::invalid("options come once")),
            Content::Ack(ack) => {
                let (positions, sent_ms): (Vec<Position>, Vec<u64>) = open.take(&ack.ids)?.into_iter().unzip();
                let is_measured = open.reads.as_ref().is_some_and(|reads| reads.is_measured);
                let took_ms = |at_ms| u32::try_from(context.now_ms.saturating_sub(at_ms)).unwrap_or(u32::MAX);
                let times = if is_measured { sent_ms.into_iter().map(took_ms).collect() } else { Box::default() };
                GroupAsk::Ack(positions, times)
            }
            Content::Nack(nack) => {
                let positions = open.take(&nack.ids)?.into_iter().map(|(position, _)| position).collect();
                let kind = match Action::try_from(nack.action) {
                    Ok(Action::Park) => Nack::Park,
                    // KurrentDB's server does the same with both, whatever the name says.
                    Ok(Action::Skip | Action::Stop) => Nack::Skip,
                    Ok(Action::Retry | Action::Unknown) | Err(_) => Nack::Retry,
                };
                GroupAsk::Nack(kind, positions)
            }
        };
        if !matches!(&ask, GroupAsk::Ack(none, _) | GroupAsk::Nack(_, none) if none.is_empty()) {
            context.ask_group(open.core, 0, ask);
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CallContext<'_>) -> Result<(), Status> {
        // A client that has nothing more to say still gets events.
        if context.has_message { Ok(()) } else { Err(Status::invalid("the request has no message")) }
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, number: u32, outcome: Outcome) -> Result<(), Status> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.links.outcome(context, number, &outcome) {
            return Ok(());
        }
        let Outcome::Described(stream) = outcome else { return Ok(()) };
        stream.map_err(|error| stream_refused(&open.name.source, &error))?;
        open.ask(context);
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.in_flight.memory_bytes() + open.links.memory_bytes())
    }

    fn waiting_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.links.waiting_bytes())
    }

    fn read(&mut self, context: &mut CallContext<'_>, history: &mut History) -> Result<(), Status> {
        self.open.as_mut().map_or(Ok(()), |open| open.links.go_on(context, history).map(drop))
    }

    fn group(
        &mut self,
        context: &mut CallContext<'_>,
        _: u32,
        answer: GroupAnswer,
        history: &mut History,
    ) -> Result<(), Status> {
        let Some(open) = &mut self.open else { return Ok(()) };
        match answer {
            GroupAnswer::Reads(Ok(reading)) => open.begin(context, *reading),
            GroupAnswer::Reads(Err(error)) => Err(refused(&open.name, error)),
            GroupAnswer::Given(given) => {
                open.send(context, given, history);
                Ok(())
            }
            GroupAnswer::Dropped(why) => Err(dropped(&open.name, &why)),
            GroupAnswer::Done(_) | GroupAnswer::Described(_) | GroupAnswer::Listed(..) => Ok(()),
        }
    }
}
