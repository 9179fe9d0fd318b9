//! In which order commands run that had to wait for a turn: those of clients whose last commands were light go first, so
//! that a thousand clients with heavy ones do not delay the others.

use std::collections::VecDeque;

/// How much a client's last commands have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// Little: it goes first.
    Light = 0,
    /// The client has not run any yet.
    #[default]
    Unknown = 1,
    /// More than [`HEAVY_BYTES`](crate::limits::HEAVY_BYTES) or [`HEAVY_TIME`](crate::limits::HEAVY_TIME): it goes last.
    Heavy = 2,
}

impl Weight {
    /// All weights, in the order in which they go.
    pub const ALL: [Weight; 3] = [Weight::Light, Weight::Unknown, Weight::Heavy];
}

/// The weight of one client, as it changes. A client whose commands are under way elsewhere never becomes lighter: a later
/// command could overtake them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientWeight {
    now: Weight,
    next: Weight,
}

impl ClientWeight {
    /// The weight of the commands that run now.
    #[inline]
    pub fn now(self) -> Weight {
        self.now
    }

    /// Commands begin to run while none is under way: they weigh as much as those before them.
    #[inline]
    pub fn begin(&mut self) {
        (self.now, self.next) = (self.next, Weight::Light);
    }

    /// The client's commands have taken much.
    #[inline]
    pub fn note_heavy(&mut self) {
        (self.now, self.next) = (Weight::Heavy, Weight::Heavy);
    }
}

/// What waits, in one queue for each weight.
#[derive(Debug)]
pub struct ByWeight<T> {
    queues: [VecDeque<T>; 3],
}

impl<T> Default for ByWeight<T> {
    fn default() -> ByWeight<T> {
        ByWeight { queues: [VecDeque::new(), VecDeque::new(), VecDeque::new()] }
    }
}

impl<T> ByWeight<T> {
    /// The queue of a weight.
    #[inline]
    pub fn of(&mut self, weight: Weight) -> &mut VecDeque<T> {
        &mut self.queues[weight as usize]
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// The lightest weight of which anything waits.
    #[inline]
    pub fn lightest(&self) -> Option<Weight> {
        Weight::ALL.into_iter().find(|&weight| !self.queues[weight as usize].is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_weigh_as_much_as_those_before_them() {
        let mut weight = ClientWeight::default();
        weight.begin();
        assert_eq!(weight.now(), Weight::Unknown);
        weight.begin();
        assert_eq!(weight.now(), Weight::Light);
        weight.note_heavy();
        assert_eq!(weight.now(), Weight::Heavy, "at once: what follows goes behind");
        weight.begin();
        assert_eq!(weight.now(), Weight::Heavy);
        weight.begin();
        assert_eq!(weight.now(), Weight::Light);
    }

    #[test]
    fn the_lightest_is_found_first() {
        let mut waiting = ByWeight::default();
        assert!(waiting.is_empty() && waiting.lightest().is_none());
        for weight in [Weight::Heavy, Weight::Unknown, Weight::Light] {
            waiting.of(weight).push_back(weight);
            assert_eq!(waiting.lightest(), Some(weight));
        }
        assert_eq!(waiting.of(Weight::Light).pop_front(), Some(Weight::Light));
        assert_eq!(waiting.lightest(), Some(Weight::Unknown));
    }
}
