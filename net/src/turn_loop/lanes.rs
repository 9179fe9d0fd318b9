//! A core's lanes: to each other core, and from each.

use super::inbox::Inbound;
use crate::mesh::credit::Credit;
use crate::mesh::message::Batch;
use crate::mesh::{LaneReceiver, Outbound};
use keytide_engine::position::ShardId;

/// The lanes of one core.
pub(super) struct Lanes {
    /// To the other cores, by their numbers; none at this core's own place.
    pub outbound: Vec<Option<Outbound>>,
    /// From the other cores.
    pub inbound: Vec<Inbound>,
    /// Which of `inbound` is the next whose waiting commands run; behind the last, `credit`.
    pub next: usize,
    /// The replies of this core that other cores have not acknowledged, and commands that wait for that.
    pub credit: Credit,
}

impl Lanes {
    pub fn new(outbound: Vec<Option<Outbound>>, inbound: Vec<(ShardId, LaneReceiver<Batch>)>) -> Lanes {
        let inbound = inbound.into_iter().map(|(from, receiver)| Inbound::new(from, receiver)).collect();
        Lanes { outbound, inbound, next: 0, credit: Credit::default() }
    }

    /// The batch that this turn fills for another core.
    pub fn to(&mut self, core: ShardId) -> &mut Batch {
        match &mut self.outbound[core.0 as usize] {
            Some(outbound) => outbound.batch(),
            None => unreachable!("a core sends nothing to itself"),
        }
    }
}
