//! Keyspace notifications: each core publishes those of its own shard, whoever has changed it, so that those of one key come in
//! order.

use super::Core;
use crate::channels::Kind;
use crate::keyspace_events::{events_of, publish};

impl Core {
    /// Has the shard note what happens to its keys, if anybody may want to know: for notifications, or for those who cache them; and
    /// looks whether commands are to be timed. To be called before commands run.
    #[inline]
    pub(super) fn note_changes(&mut self) {
        self.times_all = self.server.slow_log.times_all();
        let readers = self.wanted_of_readers();
        if let Some(shard) = &mut self.shard {
            shard.note_changes(self.server.keyspace_events.get().publishes(), readers);
        }
    }

    /// Publishes what has happened to the shard's keys.
    #[inline]
    pub(super) fn publish_changes(&mut self) {
        if self.shard.as_ref().is_some_and(|shard| shard.has_changes()) {
            self.publish_noted();
        }
    }

    #[cold]
    fn publish_noted(&mut self) {
        let enabled = self.server.keyspace_events.get();
        let Some(shard) = &mut self.shard else { return };
        let (channels, mut channel) = (&self.channels, Vec::new());
        let is_heard = enabled.publishes() && channels.has_subscribers();
        shard.take_changes(|command| {
            if is_heard {
                events_of(command, |class, event, key| {
                    if enabled.has(class) {
                        publish(enabled, (event, key), &mut channel, |channel, message| {
                            channels.publish(Kind::Channel, channel, message);
                        });
                    }
                });
            }
        });
    }
}
