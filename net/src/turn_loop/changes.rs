//! Channels of changes on a core. What a client subscribes to is checked before anything is changed; then it is subscribed as
//! to any channel, and told so; and only then, behind the commit, its subscription begins, which so has no message before
//! that. It begins behind what was recorded when the client was told.

use super::Core;
use super::resp::Client;
use super::subscriptions::Live;
use crate::changes::{Channel, is_of_changes, message, name};
use crate::channels::{Finished, Kind, Message, Step};
use crate::command::DeferredState;
use crate::command::access::{check, note_denied};
use crate::command::cdc::{may_subscribe, of_channel, refusal_of_channel};
use crate::command::table::TABLE;
use crate::net_ring::ConnectionId;
use crate::resp::{Args, OwnedArgs, error_text};
use keytide_engine::position::Position;
use keytide_engine::subscription::Start;
use keytide_engine::subscription::hub::TooMany;
use std::rc::Rc;

/// What clients of one core have begun and ended with, in order; of what has begun earlier, that which has to wait.
#[derive(Default)]
pub(super) struct ChangesOfChannels(Vec<ChangeOfChannel>);

enum ChangeOfChannel {
    Begun(Begun),
    Ended(ConnectionId, Box<[u8]>),
}

impl ChangeOfChannel {
    /// Whether this channel of this connection is to begin.
    fn is_of(&self, connection: ConnectionId, name: &[u8]) -> bool {
        matches!(self, ChangeOfChannel::Begun(begun) if begun.connection == connection && *begun.channel.name == *name)
    }
}

/// A channel whose subscription is to begin.
struct Begun {
    connection: ConnectionId,
    channel: Rc<Channel>,
    /// CDC.SUBSCRIBE as the channel's name says it.
    words: OwnedArgs,
    /// Whether it begins with what is recorded from now on: from `next` on.
    is_live: bool,
    /// The next position as of the time when the client was subscribed.
    next: Position,
    state: DeferredState,
}

impl Core {
    /// Why a client may not subscribe to these channels or patterns: the error, if one of them is of changes.
    pub(super) fn refuse_changes(&self, client: &Client<'_>, step: Step, names: Args<'_>) -> Option<Vec<u8>> {
        let mut of_changes = names.iter().filter(|name| is_of_changes(name) && step.subscribes).peekable();
        if step.kind == Kind::Pattern && of_changes.peek().is_some() {
            return Some(
                b"ERR no pattern begins with 'cdc:': SUBSCRIBE cdc:$all?match=<pattern> has the changes of many keys"
                    .into(),
            );
        }
        // One that was dropped counts until the client has unsubscribed.
        let (count, max) = (of_changes.clone().count(), self.server.config.subscriptions.per_client);
        if step.kind == Kind::Channel && count > 0 && self.channels.changes_of(client.id) + count > max {
            return Some(format!("ERR {}", TooMany::Subscriptions { max }).into_bytes());
        }
        of_changes.filter(|_| step.kind == Kind::Channel).find_map(|channel| {
            let asked = match name::read(channel) {
                Ok(asked) => asked.words.into_iter().collect::<OwnedArgs>(),
                Err(error) => return Some(error.into_bytes()),
            };
            let subscribe = TABLE.index_of(asked.as_args().get(0))?;
            if let Err(refused) = check(client.session.user(), subscribe, asked.as_args()) {
                note_denied(&self.server, (client.session, client.resp), &refused, (false, self.now_ms));
                return Some(refused.text().as_bytes().into());
            }
            refusal_of_channel(asked.as_args(), &self.server)
        })
    }

    /// Notes which channels of changes a client has begun or ended with.
    pub(super) fn follow_channels(&mut self, connection: ConnectionId, finished: &Finished) {
        if finished.step.kind != Kind::Channel {
            return;
        }
        let names = finished.rows.iter().filter_map(|(name, _)| name.as_deref());
        for channel in names.filter(|name| is_of_changes(name)) {
            let change = if !finished.step.subscribes {
                ChangeOfChannel::Ended(connection, channel.into())
            } else if let Ok(asked) = name::read(channel) {
                ChangeOfChannel::Begun(Begun {
                    connection,
                    channel: Rc::new(Channel { name: channel.into(), format: asked.format }),
                    words: asked.words.into_iter().collect(),
                    is_live: asked.is_live,
                    next: self.server.sequencer.next(),
                    state: DeferredState::default(),
                })
            } else {
                continue;
            };
            self.live.channels.0.push(change);
        }
    }

    /// Begins and ends the subscriptions of channels. To be called after the commit. Returns whether there is more to do at
    /// once.
    pub(super) fn serve_channels_of_changes(&mut self) -> bool {
        if self.live.channels.0.is_empty() {
            return false;
        }
        let mut left: Vec<ChangeOfChannel> = Vec::new();
        for change in std::mem::take(&mut self.live.channels.0) {
            match change {
                ChangeOfChannel::Begun(begun) => left.extend(self.begin_channel(begun).map(ChangeOfChannel::Begun)),
                ChangeOfChannel::Ended(connection, name) => {
                    left.retain(|change| !change.is_of(connection, &name));
                    self.end_channel(connection, &name);
                }
            }
        }
        let has_left = !left.is_empty();
        // None was added meanwhile.
        self.live.channels.0 = left;
        has_left
    }

    fn end_channel(&mut self, connection: ConnectionId, name: &[u8]) {
        let Some(connection) = self.connections.get(connection) else { return };
        let Some(subscription) = connection.session.changes.subscription(name) else { return };
        let Some(subscriber) = connection.subscriber else { return };
        let Live { hub, delivery, .. } = &mut self.live;
        // Only fails if it has ended already.
        let _ = hub.unsubscribe(subscriber, subscription, &mut delivery.to(&mut self.connections, &mut self.listed));
    }

    /// Returns what has to wait.
    fn begin_channel(&mut self, mut begun: Begun) -> Option<Begun> {
        let connection = self.connections.get(begun.connection).filter(|connection| !connection.is_closed)?;
        if connection.session.changes.subscription(&begun.channel.name).is_some() {
            return None;
        }
        if self.history.frontier() < begun.next {
            return Some(begun);
        }
        let user = connection.session.user().clone();
        let asked = match of_channel(begun.words.as_args(), &mut begun.state, &self.server) {
            Ok(None) => return Some(begun),
            Ok(Some(asked)) if may_subscribe(&user, &asked.interest) => Ok(asked),
            // The user was changed since.
            Ok(Some(_)) => Err(error_text::access_revoked(error_text::NO_PERMISSION_KEY).into_bytes()),
            Err(error) => Err(error),
        };
        let Live { hub, delivery, .. } = &mut self.live;
        let mut outlet = delivery.to(&mut self.connections, &mut self.listed);
        let subscriber = outlet.subscriber_of(begun.connection)?;
        let subscribed = asked.and_then(|mut asked| {
            if begun.is_live {
                asked.start = Start::behind_position(begun.next.0.saturating_sub(1));
            }
            let owner = outlet.owner_of(subscriber).unwrap_or_default();
            let subscribed = hub.subscribe_for(subscriber, &owner, asked, &self.history);
            subscribed.map_err(|error| format!("ERR {error}").into_bytes())
        });
        if subscribed.is_ok() {
            outlet.count_in(subscriber);
        }
        let connection = self.connections.get(begun.connection)?;
        match subscribed {
            Ok(subscription) => connection.session.changes.insert(subscription, begun.channel),
            Err(error) => {
                let Channel { name, format } = &*begun.channel;
                let payload = message::of_refusal(*format, &error);
                let message = Message { kind: Kind::Channel, channel: name, payload: &payload };
                connection.protocol.encoding()?.published(connection.output.ready(), message, None);
                connection.list(&mut self.listed);
            }
        }
        None
    }
}
