//! Services about the server itself.
//!
//! | module | what is in it |
//! |---|---|
//! | `features` | ServerFeatures: which methods there are |
//! | `gossip` | Gossip: the members of the cluster, of which there is one |
//! | `monitoring` | Monitoring: the figures |
//! | `operations` | Operations: what a server that keeps no old versions has to do |

mod features;
mod gossip;
mod monitoring;
mod operations;

use crate::grpc::Method;
pub use gossip::instance_id;
pub use monitoring::figures;

/// The methods.
pub static METHODS: &[&Method] = &[
    &features::METHOD,
    &gossip::METHOD,
    &monitoring::METHOD,
    &operations::START_SCAVENGE,
    &operations::STOP_SCAVENGE,
    &operations::MERGE_INDEXES,
    &operations::RESTART_PERSISTENT_SUBSCRIPTIONS,
];
