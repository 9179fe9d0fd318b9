//! What the turn has published goes to those who are live, on this core and on the others; and this core's
//! subscriptions are told what there is for them.

use super::Core;
use crate::limits::PUSH_SEND_NS;
use crate::mesh::message::Message;
use keytide_engine::fanout::Fanned;
use keytide_engine::position::ShardId;
use std::time::{Duration, Instant};

impl Core {
    /// Runs what this core's shard has published through what all cores' subscriptions want. To be called after the
    /// commit. Tells whether there is more to do at once.
    pub(super) fn fan_out(&mut self) -> bool {
        if self.fanout.is_idle() {
            return false;
        }
        // A shard that is lent is looked at when it is back.
        let Some(shard) = self.shard.as_deref_mut() else { return false };
        let outbound = &self.outbound;
        let is_full = |core: ShardId| outbound[core.0 as usize].as_ref().is_some_and(|lane| lane.is_backed_up());
        for (core, batch) in self.fanout.turn(shard, is_full) {
            if core == self.id {
                self.take_fanned(core, batch);
            } else {
                self.outbound(core).push(Message::Fanned(batch));
            }
        }
        // A full lane may empty before this turn ends, and then nobody would ask for another one.
        self.fanout.has_unsent()
    }

    /// Takes what a shard has for this core's subscriptions.
    pub(super) fn take_fanned(&mut self, shard: ShardId, batch: Box<Fanned>) {
        self.hub.receive(shard, batch, &mut self.delivery.to(&mut self.connections, &mut self.listed));
    }

    /// Tells this core's subscriptions what there is for them, as far as the turn, which has `started` then, has time
    /// for it. Those who are live are told no more than half of the time, as long as there is other work: what happens
    /// meanwhile goes together, and many subscribers cost a send each for many events. Tells whether there is more to do
    /// at once.
    pub(super) fn tell_subscribers(&mut self, started: Instant, worked: bool) -> bool {
        if self.hub.is_idle() {
            return false;
        }
        let Core { hub, history, delivery, connections, listed, .. } = self;
        let listed_before = listed.len();
        let mut outlet = delivery.to(connections, listed);
        let allowance = &mut self.reading_time;
        allowance.begin(started, worked);
        let began = Instant::now();
        // Without other work there is nothing better to do.
        let tells_live = !worked || began >= self.tell_from;
        let mut again = hub.turn(history, &mut outlet, tells_live, |reading| allowance.allows(reading));
        allowance.end();
        if tells_live {
            let (now, sends) = (Instant::now(), (self.listed.len() - listed_before) as u32);
            self.tell_from = now + (now - began) + Duration::from_nanos(PUSH_SEND_NS) * sends;
        }
        again |= self.wake_watchers();
        if let Some(spent) = self.hub.take_spent() {
            self.fanout.keep(spent);
        }
        for (shard, ask) in self.hub.take_asks() {
            if shard == self.id {
                self.fanout.ask(shard, ask);
                again = true;
            } else {
                self.outbound(shard).push(Message::Ask(ask));
            }
        }
        again
    }

    /// Whether something here waits for other shards to publish, and no batch of theirs will tell.
    pub(super) fn waits_for_publication(&self) -> bool {
        self.hub.waits_for_publication()
    }
}
