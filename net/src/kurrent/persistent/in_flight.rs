//! The ids of events that a reader has got and not acknowledged. A client acknowledges ids, a group positions.

use keytide_engine::position::Position;
use std::collections::BTreeMap;

/// About the memory of one, in bytes.
const BYTES: usize = 128;

/// The events in flight to one reader. An event that was delivered to another one since is kept as long as there is room: its
/// acknowledgement still counts.
#[derive(Default)]
pub struct InFlight {
    /// By id and position, with the number of the delivery and its time: several events may have one id.
    by_id: BTreeMap<([u8; 16], Position), (u64, u64)>,
    /// By that number.
    by_delivery: BTreeMap<u64, ([u8; 16], Position)>,
    next: u64,
    max: usize,
}

impl InFlight {
    /// For a reader to which `window` events may be in flight.
    pub fn new(window: usize) -> InFlight {
        InFlight { max: window.saturating_mul(2), ..InFlight::default() }
    }

    /// Adds an event that was delivered at this time, Unix milliseconds. Beyond the most that are kept the one that was delivered first is forgotten.
    pub fn add(&mut self, id: [u8; 16], position: Position, now_ms: u64) {
        let number = self.next;
        self.next += 1;
        if let Some((before, _)) = self.by_id.insert((id, position), (number, now_ms)) {
            self.by_delivery.remove(&before);
        }
        self.by_delivery.insert(number, (id, position));
        if self.by_delivery.len() > self.max
            && let Some((_, oldest)) = self.by_delivery.pop_first()
        {
            self.by_id.remove(&oldest);
        }
    }

    /// Takes the first event with an id: its position, and when it was delivered, Unix milliseconds.
    pub fn take(&mut self, id: [u8; 16]) -> Option<(Position, u64)> {
        let (&key, &(number, at_ms)) =
            self.by_id.range((id, Position(0))..).next().filter(|((other, _), _)| *other == id)?;
        self.by_id.remove(&key);
        self.by_delivery.remove(&number);
        Some((key.1, at_ms))
    }

    /// About its memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.by_id.len() * BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_by_id_in_order_and_the_oldest_are_forgotten() {
        let (one, two) = ([1; 16], [2; 16]);
        let mut in_flight = InFlight::new(2);
        for (id, position) in [(one, 9), (one, 5), (two, 7), (one, 5)] {
            in_flight.add(id, Position(position), position * 10);
        }
        assert_eq!(in_flight.memory_bytes(), 3 * BYTES);
        assert_eq!(
            [in_flight.take(one), in_flight.take(one), in_flight.take(one)],
            [Some(5), Some(9), None].map(|p| p.map(|p| (Position(p), p * 10)))
        );
        assert_eq!((in_flight.take([0; 16]), in_flight.take([3; 16])), (None, None));
        (10..20).for_each(|position| in_flight.add(two, Position(position), 1));
        assert_eq!(in_flight.memory_bytes(), 4 * BYTES);
        assert_eq!(in_flight.take(two), Some((Position(16), 1)));
    }
}
