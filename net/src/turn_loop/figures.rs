//! The figures of one core, and how the other cores learn them.

use super::Core;
use crate::net_ring::NetOps;
use crate::rate::Rate;
use crate::server::Stat;
use crate::strangers::Dismissal;
use keytide_engine::subscription::hub::HubCounts;

/// What one core has counted since it started.
#[derive(Default)]
pub(super) struct Figures {
    pub commands: u64,
    /// Commands per second.
    pub rate: Rate,
    pub accepted: u64,
    pub rejected: u64,
    /// Clients that are connected now.
    pub clients: u64,
    /// Commands that went to other cores.
    pub forwarded: u64,
    pub turns: u64,
    /// Turns that have left something for the next.
    pub cut_turns: u64,
    /// Clients closed for their output.
    pub output_closed: u64,
    /// Clients closed because the buffers of all took too much.
    pub evicted_clients: u64,
    /// Published messages given to subscribers.
    pub published: u64,
    /// Those of subscriptions that the other cores know.
    told: HubCounts,
}

impl Core {
    /// Publishes this core's figures to the other cores.
    pub(super) fn publish_figures(&mut self, ops: &NetOps) {
        if let Some(shard) = &mut self.shard {
            self.server.tell_databases(shard);
            self.server.tell_shard(shard);
        }
        let counters = ops.counters();
        self.figures.rate.note(self.now_ms, self.figures.commands);
        for (stat, value) in [
            (Stat::Commands, self.figures.commands),
            (Stat::RateSecond, self.figures.rate.second),
            (Stat::RateRunning, self.figures.rate.running),
            (Stat::RateLast, self.figures.rate.last),
            (Stat::Connections, self.figures.accepted),
            (Stat::Rejected, self.figures.rejected),
            (Stat::AcceptErrors, counters.accept_errors),
            (Stat::StrangersTooMany, self.strangers.dismissed(Dismissal::Number)),
            (Stat::StrangersTooSlow, self.strangers.dismissed(Dismissal::Time)),
            (Stat::StrangersTooMuch, self.strangers.dismissed(Dismissal::Bytes)),
            (Stat::Clients, self.figures.clients),
            (Stat::ReceivedBytes, counters.received_bytes),
            (Stat::SentBytes, counters.sent_bytes),
            (Stat::Forwarded, self.figures.forwarded),
            (Stat::Turns, self.figures.turns),
            (Stat::CutTurns, self.figures.cut_turns),
            (Stat::LongCommands, self.budget.long_commands()),
            (Stat::OutputClosed, self.figures.output_closed),
            (Stat::EvictedClients, self.figures.evicted_clients),
            (Stat::PublishedDelivered, self.figures.published),
            (Stat::TlsHandshakes, self.records.handshakes),
            (Stat::TlsFailures, self.records.failures),
            (Stat::Parks, counters.parks),
        ] {
            self.server.tell(self.id, stat, value);
        }
    }
    /// Publishes the figures of this core's subscriptions where they have changed. To be called after they are served, in
    /// every turn: subscriptions also read, are delivered to and end in turns without other work.
    pub(super) fn publish_subscription_figures(&mut self) {
        let subscriptions = self.live.hub.counts();
        if subscriptions == self.figures.told {
            return;
        }
        self.figures.told = subscriptions;
        for (stat, value) in [
            (Stat::Subscriptions, subscriptions.subscriptions),
            (Stat::LiveSubscriptions, subscriptions.live),
            (Stat::DemotedSubscriptions, subscriptions.demoted),
            (Stat::PushedEvents, subscriptions.events),
            (Stat::FellBehind, subscriptions.fell_behind),
            (Stat::DroppedSubscriptions, subscriptions.dropped),
        ] {
            self.server.tell(self.id, stat, value);
        }
    }
}
