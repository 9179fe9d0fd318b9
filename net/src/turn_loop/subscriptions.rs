//! Live delivery: the records that the turn has published go to live subscriptions, on this core and on the others; and
//! this core's subscriptions are served.

use super::Core;
use super::changes::ChangesOfChannels;
use crate::delivery::Delivery;
use crate::limits::PUSH_SEND_NS;
use crate::mesh::message::Message;
use crate::reading_time::ReadingTime;
use keytide_engine::fanout::{Fanned, Fanout};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::subscription::Hub;
use std::time::{Duration, Instant};

/// The subscriptions of one core's clients, and what keeps them up to date.
pub(super) struct Live {
    pub hub: Hub,
    /// Which of all cores' subscriptions want what this core's shard records.
    pub fanout: Fanout,
    /// The channels of changes that clients have begun or ended with.
    pub channels: ChangesOfChannels,
    /// How messages reach connections.
    pub delivery: Delivery,
    /// How long subscriptions may read the history.
    pub reading_time: ReadingTime,
    /// From when on live subscriptions are sent what has happened since the last delivery.
    pub deliver_from: Instant,
    /// The frontier before subscriptions that wait for publications last read on.
    pub tried_frontier: Position,
}

impl Core {
    /// Runs what this core's shard has published through what all cores' subscriptions want. To be called after the
    /// commit. Returns whether there is more to do at once.
    pub(super) fn fan_out(&mut self) -> bool {
        if self.live.fanout.is_idle() {
            return false;
        }
        // A lent shard is fanned out when it is back.
        let Some(shard) = self.shard.as_deref_mut() else { return false };
        let outbound = &self.lanes.outbound;
        let is_full = |core: ShardId| outbound[core.0 as usize].as_ref().is_some_and(|lane| lane.is_backed_up());
        for (core, batch) in self.live.fanout.turn(shard, is_full) {
            if core == self.id {
                self.take_fanned(core, batch);
            } else {
                self.lanes.to(core).push(Message::Fanned(batch));
            }
        }
        // A full lane may empty before this turn ends, and then nobody would ask for another one.
        self.live.fanout.has_unsent()
    }

    /// Takes what a shard has for this core's subscriptions.
    pub(super) fn take_fanned(&mut self, shard: ShardId, batch: Box<Fanned>) {
        self.live.hub.receive(shard, batch, &mut self.live.delivery.to(&mut self.connections, &mut self.listed));
    }

    /// Serves this core's subscriptions as far as the turn, which has `started` then, has time for it. As long as there is
    /// other work, live delivery takes no more than half of the time: events that are recorded meanwhile leave together, so
    /// many subscribers cost one send each for many events. Returns whether there is more to do at once.
    pub(super) fn serve_subscriptions(&mut self, started: Instant, worked: bool) -> bool {
        if self.live.hub.is_idle() {
            return false;
        }
        let Core { live, history, connections, listed, .. } = self;
        let Live { hub, delivery, reading_time: allowance, deliver_from, .. } = live;
        let listed_before = listed.len();
        let mut outlet = delivery.to(connections, listed);
        allowance.begin(started, worked);
        let began = Instant::now();
        // Without other work there is nothing better to do.
        let delivers_live = !worked || began >= *deliver_from;
        let mut again = hub.turn(history, &mut outlet, delivers_live, |reading| allowance.allows(reading));
        allowance.end();
        if delivers_live {
            let (now, sends) = (Instant::now(), (listed.len() - listed_before) as u32);
            *deliver_from = now + (now - began) + Duration::from_nanos(PUSH_SEND_NS) * sends;
        }
        again |= self.wake_watchers();
        if let Some(spent) = self.live.hub.take_spent() {
            self.live.fanout.keep(spent);
        }
        for (shard, ask) in self.live.hub.take_asks() {
            if shard == self.id {
                self.live.fanout.ask(shard, ask);
                again = true;
            } else {
                self.lanes.to(shard).push(Message::Ask(ask));
            }
        }
        again
    }

    /// Whether something here waits for other shards to publish, and no batch of theirs will tell.
    pub(super) fn waits_for_publication(&self) -> bool {
        self.live.hub.waits_for_publication() || self.calls.waits_at.is_some()
    }
}
