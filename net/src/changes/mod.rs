//! Channels of changes: events for clients that know nothing but publish/subscribe. A channel whose name begins with `cdc:`
//! is a subscription, and its messages are that one's. Knows no protocol.
//!
//! | module | what is in it |
//! |---|---|
//! | [`name`] | what the name of a channel asks for |
//! | [`message`] | the messages, as JSON or MessagePack |

pub mod message;
pub mod name;

pub use name::is_of_changes;
use std::rc::Rc;

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON: text that every client can read. Bytes that are no text are in Base64.
    #[default]
    Json,
    /// MessagePack: bytes as they are.
    MessagePack,
}

/// A channel of changes. Its name says everything, so channels with equal names have equal messages.
#[derive(Debug)]
pub struct Channel {
    /// The name, as the client has written it.
    pub name: Box<[u8]>,
    /// How its messages are written.
    pub format: Format,
}

impl PartialEq for Channel {
    fn eq(&self, other: &Channel) -> bool {
        self.name == other.name
    }
}

/// The channels of changes that a client has subscriptions for, by the numbers of these.
#[derive(Debug, Default)]
pub struct Subscribed(Vec<(u64, Rc<Channel>)>);

impl Subscribed {
    /// The channel of a subscription.
    #[inline]
    pub fn of(&self, subscription: u64) -> Option<&Rc<Channel>> {
        let place = self.0.binary_search_by_key(&subscription, |(id, _)| *id).ok()?;
        Some(&self.0[place].1)
    }

    /// The subscription of the channel with this name.
    pub fn subscription(&self, name: &[u8]) -> Option<u64> {
        self.0.iter().find(|(_, channel)| *channel.name == *name).map(|(id, _)| *id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Notes the subscription of a channel: the client's latest, so with the highest number.
    pub fn insert(&mut self, subscription: u64, channel: Rc<Channel>) {
        self.0.push((subscription, channel));
    }

    /// Forgets the channel of a subscription that has ended.
    pub fn remove(&mut self, subscription: u64) -> Option<Rc<Channel>> {
        let place = self.0.binary_search_by_key(&subscription, |(id, _)| *id).ok()?;
        Some(self.0.remove(place).1)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
