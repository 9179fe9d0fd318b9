//! The unanswered commands of one connection, in order, by the batches in which they were sent.

use std::collections::VecDeque;

/// Commands that were sent together.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// Determines their times: the send time, or the index of the first one in a schedule.
    stamp: u64,
    answered: u32,
    count: u32,
}

/// Some of a batch's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The batch's stamp.
    pub stamp: u64,
    /// The number of commands in the batch before these.
    pub first: u32,
    /// The number of these.
    pub count: u32,
}

/// Commands in flight on one connection.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    batches: VecDeque<Batch>,
    commands: u32,
}

impl InFlight {
    /// The number of unanswered commands.
    #[inline]
    pub fn len(&self) -> u32 {
        self.commands
    }

    /// Adds `count` sent commands.
    #[inline]
    pub fn push(&mut self, stamp: u64, count: u32) {
        self.batches.push_back(Batch { stamp, answered: 0, count });
        self.commands += count;
    }

    /// Removes the oldest `count` commands; calls `on_part` for each part of a batch. Returns whether there were that
    /// many.
    #[inline]
    pub fn pop(&mut self, mut count: u32, mut on_part: impl FnMut(Part)) -> bool {
        if count > self.commands {
            return false;
        }
        self.commands -= count;
        while count > 0 {
            let Some(batch) = self.batches.front_mut() else { return false };
            let taken = count.min(batch.count - batch.answered);
            on_part(Part { stamp: batch.stamp, first: batch.answered, count: taken });
            batch.answered += taken;
            count -= taken;
            if batch.answered == batch.count {
                self.batches.pop_front();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_belong_to_the_oldest_commands() {
        let mut in_flight = InFlight::default();
        in_flight.push(100, 3);
        in_flight.push(200, 2);
        let mut parts = Vec::new();
        assert!(in_flight.pop(2, |part| parts.push((part.stamp, part.first, part.count))));
        assert!(in_flight.pop(2, |part| parts.push((part.stamp, part.first, part.count))));
        assert_eq!(parts, [(100, 0, 2), (100, 2, 1), (200, 0, 1)]);
        assert_eq!(in_flight.len(), 1);
        assert!(!in_flight.pop(2, |_| {}), "a reply that no command asked for");
        assert!(in_flight.pop(1, |part| assert_eq!(part, Part { stamp: 200, first: 1, count: 1 })));
        assert_eq!(in_flight.len(), 0);
    }
}
