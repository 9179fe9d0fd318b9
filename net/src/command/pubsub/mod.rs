//! Publish/subscribe.
//!
//! | module | what is in it |
//! |---|---|
//! | `subscribe` | SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE, and the commands that end these |
//! | `publish` | PUBLISH, SPUBLISH |
//! | `inspect` | PUBSUB |

mod inspect;
mod publish;
mod subscribe;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &publish::PUBLISH,
    &publish::SPUBLISH,
    &subscribe::SUBSCRIBE,
    &subscribe::UNSUBSCRIBE,
    &subscribe::PSUBSCRIBE,
    &subscribe::PUNSUBSCRIBE,
    &subscribe::SSUBSCRIBE,
    &subscribe::SUNSUBSCRIBE,
    &inspect::PUBSUB,
];
