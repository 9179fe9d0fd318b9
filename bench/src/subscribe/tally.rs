//! What subscribers have received: counted, and checked for order and gaps.

use super::push::Message;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the subscriptions of a run received, as a part of its result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Subscriptions that the server has taken, those added meanwhile included.
    pub accepted: u64,
    /// Subscriptions that it has refused.
    pub refused: u64,
    /// What it said to the first of them.
    pub first_refusal: Option<String>,
    /// Subscriptions that were added while it ran.
    pub added: u64,
    /// Subscriptions that were live in the end; of a redis-server all.
    pub live: u64,
    /// Events received, of all subscriptions together; of channels: messages.
    pub events: u64,
    /// Events that should have come; null where that is not known.
    pub expected: Option<u64>,
    /// Positions that were left out, where every position should come.
    pub missing: u64,
    /// Events whose position was not above the one before.
    pub disordered: u64,
    /// `cdc.gap`.
    pub gaps: u64,
    /// The positions in them.
    pub lost: u64,
    /// `cdc.caughtup`.
    pub caught_up: u64,
    /// `cdc.fellbehind`.
    pub fell_behind: u64,
    /// `cdc.checkpoint`.
    pub checkpoints: u64,
    /// `cdc.dropped` by reason.
    pub dropped: BTreeMap<String, u64>,
    /// When the first event came, seconds since the start.
    pub first_push_seconds: Option<f64>,
    /// When the last event came, seconds since the start.
    pub last_push_seconds: Option<f64>,
    /// The server's CPU from the start to the last event, for each event, microseconds.
    pub server_cpu_us_per_event: Option<f64>,
    /// The longest turn of a Keytide meanwhile, as it says itself, microseconds.
    pub longest_turn_us: Option<f64>,
    /// GETs beside it that have no latency, as they had no reply.
    pub probes_unanswered: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    CatchingUp,
    Live,
    Over,
}

/// One subscription.
#[derive(Clone, Copy, Debug)]
struct Subscription {
    stage: Stage,
    /// The last event's position; 0 before the first one.
    last: u64,
}

/// The subscriptions of one connection, by their number.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    /// From 1 on: the first place is free.
    by_id: Vec<Option<Subscription>>,
}

impl Subscriptions {
    /// The server has given this number to one.
    pub fn add(&mut self, id: u64) {
        let index = id as usize;
        if self.by_id.len() <= index {
            self.by_id.resize(index + 1, None);
        }
        self.by_id[index] = Some(Subscription { stage: Stage::CatchingUp, last: 0 });
    }

    #[inline]
    fn get(&mut self, id: u64) -> Option<&mut Subscription> {
        self.by_id.get_mut(id as usize)?.as_mut()
    }
}

impl Delivery {
    /// Counts a push to one of these subscriptions. `is_dense`: every position should come. Whether it belongs to
    /// one: a server may not push to a subscription before it has told its number.
    #[inline]
    pub fn take(&mut self, subscriptions: &mut Subscriptions, message: Message<'_>, is_dense: bool) -> bool {
        match message {
            Message::Event { id, position, .. } => {
                let Some(subscription) = subscriptions.get(id) else { return false };
                let last = std::mem::replace(&mut subscription.last, position);
                if position <= last {
                    self.disordered += 1;
                } else if is_dense && last > 0 {
                    self.missing += position - last - 1;
                }
                self.events += 1;
            }
            Message::CaughtUp(id) => {
                self.caught_up += 1;
                return self.step(subscriptions, id, Stage::Live);
            }
            Message::FellBehind(id) => {
                self.fell_behind += 1;
                return self.step(subscriptions, id, Stage::CatchingUp);
            }
            Message::Dropped(id, reason) => {
                *self.dropped.entry(String::from_utf8_lossy(reason).into_owned()).or_default() += 1;
                return self.step(subscriptions, id, Stage::Over);
            }
            Message::Gap(id, from, to) => {
                self.gaps += 1;
                self.lost += (to + 1).saturating_sub(from);
                let Some(subscription) = subscriptions.get(id) else { return false };
                subscription.last = to;
            }
            Message::Checkpoint(_) => self.checkpoints += 1,
            Message::Published(_) => self.events += 1,
            Message::Confirmed | Message::Integer(_) | Message::Error(_) | Message::Reply => {}
        }
        true
    }

    /// Counts what the server has answered to a subscription; whether it is such an answer.
    pub fn note_accepted(&mut self, subscriptions: &mut Subscriptions, message: Message<'_>) -> bool {
        match message {
            Message::Integer(id) => subscriptions.add(id),
            // A redis-server's are live from here on.
            Message::Confirmed => self.live += 1,
            Message::Event { .. }
            | Message::CaughtUp(_)
            | Message::FellBehind(_)
            | Message::Checkpoint(_)
            | Message::Gap(..)
            | Message::Dropped(..)
            | Message::Published(_)
            | Message::Error(_)
            | Message::Reply => return false,
        }
        self.accepted += 1;
        true
    }

    fn step(&mut self, subscriptions: &mut Subscriptions, id: u64, to: Stage) -> bool {
        let Some(subscription) = subscriptions.get(id) else { return false };
        let from = std::mem::replace(&mut subscription.stage, to);
        self.live -= u64::from(from == Stage::Live);
        self.live += u64::from(to == Stage::Live);
        true
    }

    /// Those that have ended.
    pub fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u64, position: u64) -> Message<'static> {
        Message::Event { id, position, data: b"" }
    }

    #[test]
    fn positions_that_are_left_out_and_events_out_of_order_are_counted_for_each_subscription() {
        let (mut subscriptions, mut delivery) = (Subscriptions::default(), Delivery::default());
        subscriptions.add(1);
        subscriptions.add(2);
        for message in [event(1, 10), event(2, 50), event(1, 11), event(1, 14), event(2, 50), event(2, 51)] {
            assert!(delivery.take(&mut subscriptions, message, true));
        }
        assert_eq!((delivery.events, delivery.missing, delivery.disordered), (6, 2, 1));
        assert!(!delivery.take(&mut subscriptions, event(3, 1), true), "nobody has this number");
    }

    #[test]
    fn with_a_filter_positions_may_be_left_out_and_a_gap_that_is_told_is_not_missing() {
        let (mut subscriptions, mut delivery) = (Subscriptions::default(), Delivery::default());
        subscriptions.add(1);
        for message in [event(1, 10), event(1, 20)] {
            delivery.take(&mut subscriptions, message, false);
        }
        assert_eq!(delivery.missing, 0);
        for message in [Message::Gap(1, 21, 30), event(1, 31)] {
            delivery.take(&mut subscriptions, message, true);
        }
        assert_eq!((delivery.missing, delivery.gaps, delivery.lost), (0, 1, 10));
    }

    #[test]
    fn a_subscription_is_live_from_when_it_has_caught_up_until_it_falls_behind_or_ends() {
        let (mut subscriptions, mut delivery) = (Subscriptions::default(), Delivery::default());
        (1..=3).for_each(|id| subscriptions.add(id));
        for id in 1..=3 {
            delivery.take(&mut subscriptions, Message::CaughtUp(id), true);
        }
        assert_eq!(delivery.live, 3);
        delivery.take(&mut subscriptions, Message::FellBehind(1), true);
        delivery.take(&mut subscriptions, Message::Dropped(1, b"too-slow"), true);
        delivery.take(&mut subscriptions, Message::Dropped(2, b"too-slow"), true);
        assert_eq!((delivery.live, delivery.fell_behind, delivery.dropped()), (1, 1, 2));
        assert_eq!(delivery.dropped["too-slow"], 2);
    }
}
