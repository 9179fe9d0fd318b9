//! Counts the received messages, and checks them for order and gaps.

use super::push::Message;
use crate::delivery::Delivery;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubscriptionState {
    CatchingUp,
    Live,
    Over,
}

/// One subscription.
#[derive(Clone, Copy, Debug)]
struct Subscription {
    state: SubscriptionState,
    /// The last event's position; 0 before the first one.
    last: u64,
}

/// The subscriptions of one connection, by their number.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    /// From 1 on: the first place is unused.
    by_id: Vec<Option<Subscription>>,
}

impl Subscriptions {
    /// Adds a subscription with the number from the server.
    pub fn add(&mut self, id: u64) {
        let index = id as usize;
        if self.by_id.len() <= index {
            self.by_id.resize(index + 1, None);
        }
        self.by_id[index] = Some(Subscription { state: SubscriptionState::CatchingUp, last: 0 });
    }

    #[inline]
    fn get(&mut self, id: u64) -> Option<&mut Subscription> {
        self.by_id.get_mut(id as usize)?.as_mut()
    }
}

impl Delivery {
    /// Counts a push to one of these subscriptions. `is_dense`: every position is expected. Returns whether the
    /// subscription is known: a server may not push before it has sent the subscription's number.
    #[inline]
    pub fn count(&mut self, subscriptions: &mut Subscriptions, message: Message<'_>, is_dense: bool) -> bool {
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
                return self.step(subscriptions, id, SubscriptionState::Live);
            }
            Message::FellBehind(id) => {
                self.fell_behind += 1;
                return self.step(subscriptions, id, SubscriptionState::CatchingUp);
            }
            Message::Dropped(id, reason) => {
                *self.dropped.entry(String::from_utf8_lossy(reason).into_owned()).or_default() += 1;
                return self.step(subscriptions, id, SubscriptionState::Over);
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

    /// Counts the server's reply to a subscription; returns whether it is such a reply.
    pub fn count_accepted(&mut self, subscriptions: &mut Subscriptions, message: Message<'_>) -> bool {
        match message {
            Message::Integer(id) => subscriptions.add(id),
            // A redis-server's subscriptions are live from here on.
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

    fn step(&mut self, subscriptions: &mut Subscriptions, id: u64, to: SubscriptionState) -> bool {
        let Some(subscription) = subscriptions.get(id) else { return false };
        let from = std::mem::replace(&mut subscription.state, to);
        self.live -= u64::from(from == SubscriptionState::Live);
        self.live += u64::from(to == SubscriptionState::Live);
        true
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
            assert!(delivery.count(&mut subscriptions, message, true));
        }
        assert_eq!((delivery.events, delivery.missing, delivery.disordered), (6, 2, 1));
        assert!(!delivery.count(&mut subscriptions, event(3, 1), true), "nobody has this number");
    }

    #[test]
    fn with_a_filter_positions_may_be_skipped_and_a_reported_gap_is_not_missing() {
        let (mut subscriptions, mut delivery) = (Subscriptions::default(), Delivery::default());
        subscriptions.add(1);
        for message in [event(1, 10), event(1, 20)] {
            delivery.count(&mut subscriptions, message, false);
        }
        assert_eq!(delivery.missing, 0);
        for message in [Message::Gap(1, 21, 30), event(1, 31)] {
            delivery.count(&mut subscriptions, message, true);
        }
        assert_eq!((delivery.missing, delivery.gaps, delivery.lost), (0, 1, 10));
    }

    #[test]
    fn a_subscription_is_live_from_when_it_has_caught_up_until_it_falls_behind_or_ends() {
        let (mut subscriptions, mut delivery) = (Subscriptions::default(), Delivery::default());
        (1..=3).for_each(|id| subscriptions.add(id));
        for id in 1..=3 {
            delivery.count(&mut subscriptions, Message::CaughtUp(id), true);
        }
        assert_eq!(delivery.live, 3);
        delivery.count(&mut subscriptions, Message::FellBehind(1), true);
        delivery.count(&mut subscriptions, Message::Dropped(1, b"too-slow"), true);
        delivery.count(&mut subscriptions, Message::Dropped(2, b"too-slow"), true);
        assert_eq!((delivery.live, delivery.fell_behind, delivery.dropped()), (1, 1, 2));
        assert_eq!(delivery.dropped["too-slow"], 2);
    }
}
