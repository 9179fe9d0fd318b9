//! Publish/subscribe on a core: changes of channels, which all cores learn of before they are answered, and the delivery of
//! published messages. What it means is in the room [`channels`](crate::channels).
//!
//! ```text
//!   SUBSCRIBE ─► every other core learns of it ─► they answer ─► the client is subscribed, and told so
//!   PUBLISH ─► end of the turn, behind the commit ─► lanes to the cores with subscribers ─► outputs of the subscribers
//! ```

use super::Core;
use super::resp::Client;
use crate::channels::{Finished, Kind, Message, Step};
use crate::connection::Connection;
use crate::limits::{PUBLISHED_BYTES_MAX, SHARED_APART_BYTES, TURN_PUBLISHED};
use crate::mesh::message::Message as LaneMessage;
use crate::net_ring::{ConnectionId, SharedBytes};
use crate::protocol::Encoding;
use crate::resp::Args;
use crate::server::Stat;
use crate::session::Closing;
use keytide_engine::filter::Pattern;
use keytide_engine::position::ShardId;
use smallvec::SmallVec;
use std::rc::Rc;
use std::time::Instant;

impl Core {
    /// Subscribes a client to channels, or ends that. False where it has to wait first.
    pub(super) fn change_channels(&mut self, client: &mut Client<'_>, step: Step, args: Args<'_>) -> bool {
        if !self.has_all_replies(client) {
            return false;
        }
        let names = args.rest(1);
        if step == (Step { kind: Kind::Pattern, subscribes: true })
            && let Some(error) = names.iter().find_map(|pattern| Pattern::glob(pattern).err())
        {
            client.reply().error(format!("ERR {error}"));
            return true;
        }
        if let Some(error) = self.refuse_changes(client, step, names) {
            client.reply().error(error);
            return true;
        }
        let all = match step.kind {
            Kind::Monitor => vec![Box::default()],
            kind if names.is_empty() => self.channels.names_of(client.id, kind),
            _ => Vec::new(),
        };
        let names = names.iter().chain(all.iter().map(|name| &**name));
        let (account, user) = (&self.server.accounts.subscriptions, client.session.user());
        let change = self.channels.begin((client.id, user), || account.share(), step, names);
        let others = if change.told.is_empty() { 0 } else { usize::from(self.server.shards()) - 1 };
        if others > 0 {
            for core in (0..self.server.shards()).map(ShardId).filter(|core| *core != self.id) {
                self.lanes.to(core).channels(step, Some(client.id), change.told.iter().map(|name| &**name));
            }
            let to = self.wait_for_reply(client);
            self.channels.wait_for(client.id, others, to.number);
        } else if let Some(finished) = self.channels.finish(client.id) {
            client.session.channels = finished.counts;
            let protocol = client.resp.version;
            Encoding::Resp(protocol).channels(client.reply().out(), &finished);
            self.note_channels_changed();
            self.follow_channels(client.id, &finished);
        }
        true
    }

    /// Learns of a change of another core's clients.
    pub(super) fn learn_channels(
        &mut self,
        from: ShardId,
        (step, waits): (Step, Option<ConnectionId>),
        names: Args<'_>,
    ) {
        names.iter().for_each(|name| self.channels.note(from, step, name));
        if let Some(connection) = waits {
            self.lanes.to(from).push(LaneMessage::ChannelsKnown(connection));
        }
        self.note_channels_changed();
    }

    /// Notes that another core knows of a client's change. Once all do, the change is made and answered.
    pub(super) fn note_known(&mut self, id: ConnectionId) {
        if !self.channels.is_told(id) {
            return;
        }
        let Some(finished) = self.channels.finish(id) else { return };
        self.note_channels_changed();
        let Finished { counts, place: Some(place), .. } = finished else { return };
        let Some(connection) = self.connections.get(id).filter(|connection| !connection.is_closed) else { return };
        connection.session.channels = counts;
        let Some(encoding) = connection.protocol.encoding() else { return };
        let mut out = Vec::new();
        encoding.channels(&mut out, &finished);
        connection.deliver(place, 0, out);
        connection.list(&mut self.listed);
        self.follow_channels(id, &finished);
    }

    /// Ends everything of a client that is closed or begins anew. The others learn of it, and nobody waits for that.
    pub(super) fn end_channels(&mut self, id: ConnectionId) {
        let Core { channels, lanes, server, id: own, .. } = self;
        let mut has_ended = false;
        channels.end(id, |step, names| {
            has_ended = true;
            for core in (0..server.shards()).map(ShardId).filter(|core| core != own && !names.is_empty()) {
                lanes.to(core).channels(step, None, names.iter().map(|name| &**name));
            }
        });
        if has_ended {
            self.note_channels_changed();
        }
    }

    fn note_channels_changed(&self) {
        let [channels, shards, patterns, clients] = self.channels.sizes();
        for (stat, value) in [
            (Stat::Channels, channels),
            (Stat::ShardChannels, shards),
            (Stat::ChannelPatterns, patterns),
            (Stat::ChannelClients, clients),
        ] {
            self.server.tell(self.id, stat, value as u64);
        }
    }

    /// Whether so many messages wait for their delivery that clients which publish have to wait.
    pub(super) fn publishes_too_much(&self) -> bool {
        self.server.total(Stat::PublishedWaiting) > PUBLISHED_BYTES_MAX
    }

    /// Takes a message that another core has published.
    pub(super) fn take_published(&mut self, kind: Kind, message: Args<'_>) {
        self.published.push(kind, message.get(0), message.get(1), SmallVec::new());
    }

    /// Sends the messages on that were published here, and gives subscribers of this core theirs, as far as the turn has time
    /// for it. Returns whether some are left.
    pub(super) fn deliver_published(&mut self) -> bool {
        self.publish_changes();
        if self.channels.has_published() {
            let Core { channels, published, lanes, id: own, .. } = self;
            channels.take_published(|message, cores| {
                for &core in cores {
                    if core == *own {
                        published.push(message.kind, message.channel, message.payload, SmallVec::new());
                    } else {
                        lanes.to(core).published(message);
                    }
                }
            });
        }
        if self.published.is_empty() {
            return false;
        }
        let began = Instant::now();
        let mut published = std::mem::take(&mut self.published);
        while published.take_first(|message, _| self.deliver_message(message)).is_some() {
            if began.elapsed() >= TURN_PUBLISHED {
                break;
            }
        }
        self.published = published;
        self.server.tell(self.id, Stat::PublishedWaiting, self.published.bytes() as u64);
        !self.published.is_empty()
    }

    /// Puts a message into the outputs of this core's subscribers.
    fn deliver_message(&mut self, message: Message<'_>) {
        let mut found: Vec<ConnectionId> = Vec::new();
        self.channels.each_subscriber(message.kind, message.channel, |connection| found.push(connection));
        self.deliver_to(&found, message, None);
        found.clear();
        if message.kind == Kind::Channel {
            // A client gets the message once for each of its patterns, and behind that of the channel.
            let mut patterns: Vec<(Box<[u8]>, usize)> = Vec::new();
            self.channels.each_pattern(message.channel, |pattern, connection| {
                if patterns.last().is_none_or(|(last, _)| **last != *pattern) {
                    patterns.push((pattern.into(), found.len()));
                }
                found.push(connection);
            });
            for (index, (pattern, start)) in patterns.iter().enumerate() {
                let end = patterns.get(index + 1).map_or(found.len(), |next| next.1);
                self.deliver_to(&found[*start..end], message, Some(pattern));
            }
        }
    }

    fn deliver_to(&mut self, subscribers: &[ConnectionId], message: Message<'_>, pattern: Option<&[u8]>) {
        let mut encoded: SmallVec<[(Encoding, Rc<SharedBytes>); 2]> = SmallVec::new();
        for &id in subscribers {
            let Some(connection) = self.connections.get(id) else { continue };
            let gets_messages = !connection.is_closed && connection.session.closing == Closing::No;
            let Some(encoding) = connection.protocol.encoding().filter(|_| gets_messages) else { continue };
            if subscribers.len() == 1 {
                encoding.published(connection.output.ready(), message, pattern);
            } else {
                let known = encoded.iter().position(|(known, _)| *known == encoding);
                let place = known.unwrap_or_else(|| {
                    let mut bytes = Vec::with_capacity(message.channel.len() + message.payload.len() + 64);
                    encoding.published(&mut bytes, message, pattern);
                    encoded.push((encoding, Rc::new(SharedBytes::from(bytes))));
                    encoded.len() - 1
                });
                let bytes = &encoded[place].1;
                if bytes.len() < SHARED_APART_BYTES {
                    // All that a turn has for a client leaves in one send.
                    connection.output.ready().extend_from_slice(bytes);
                } else {
                    connection.output.send_shared(bytes);
                }
            }
            connection.list(&mut self.listed);
            self.figures.published += 1;
            if connection.output.unsent_bytes() > SHARED_APART_BYTES {
                self.bound_subscriber(id);
            }
        }
    }

    /// Closes a subscriber that reads too slowly, as `client-output-buffer-limit pubsub` says.
    #[cold]
    pub(super) fn bound_subscriber(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        let limit = self.server.pubsub_output.limit();
        let bytes = connection.output_bytes() as u64;
        let is_over_soft = limit.soft_bytes > 0 && bytes > limit.soft_bytes;
        let since = &mut connection.output.soft_since_ms;
        *since = is_over_soft.then(|| since.unwrap_or(self.steady_ms));
        let over_for_ms = since.map_or(0, |since| self.steady_ms - since);
        let is_over = limit.hard_bytes > 0 && bytes > limit.hard_bytes
            || is_over_soft && over_for_ms >= limit.soft_seconds * 1_000
            // While all clients' output is at its limit, those with the most.
            || self.unread.output.is_short(self.server.client_output_bytes()) && bytes > self.unread.output.level() as u64;
        if is_over {
            close_slow(connection, bytes);
            self.figures.output_closed += 1;
            connection.list(&mut self.listed);
        }
    }
}

fn close_slow(connection: &mut Connection, bytes: u64) {
    let address = connection.session.peer.map(|address| address.to_string()).unwrap_or_default();
    let client = connection.session.client;
    tracing::warn!(
        client,
        address,
        bytes,
        "closed: the subscriber reads its channels too slowly (client-output-buffer-limit pubsub)"
    );
    connection.session.closing = Closing::Now;
}
