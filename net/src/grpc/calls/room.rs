//! Room for messages: of one call, and of all calls of a connection together. A call that was refused some is told once there
//! is room again, whatever it has waited for.

use super::{CallId, Calls, Slot};
use crate::limits::CALLS_OUT_BYTES_MAX;

impl Calls {
    /// Whether a call has room for messages of its subscription. Where it has none it is noted that it wants some.
    pub fn has_room(&mut self, id: CallId, out_max: usize) -> bool {
        let all_bytes = self.out_bytes;
        let Some(call) = self.call_of(id).filter(|call| call.status.is_none()) else { return false };
        let has_room = call.unsent_bytes() < out_max && all_bytes < CALLS_OUT_BYTES_MAX;
        call.wants_room |= !has_room;
        self.waits_for_others |= all_bytes >= CALLS_OUT_BYTES_MAX;
        has_room
    }

    /// Counts what waits to be sent.
    pub(super) fn count_out(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        if let Some(call) = &mut slot.call {
            let bytes = call.unsent_bytes();
            self.out_bytes = self.out_bytes + bytes - call.counted_out;
            call.counted_out = bytes;
        }
        self.note_common_room();
    }

    /// Lets calls go on that have waited because others had so much to send.
    pub(super) fn note_common_room(&mut self) {
        if self.waits_for_others && self.out_bytes < CALLS_OUT_BYTES_MAX / 2 {
            self.waits_for_others = false;
            self.note_output_room();
        }
    }

    /// Lets a subscription go on, or a reading, that has waited for room.
    pub(super) fn note_room(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let id = CallId { index, generation: slot.generation };
        let Some(call) = slot.call.as_deref_mut().filter(|call| call.wants_room && call.unsent_bytes() == 0) else {
            return;
        };
        call.wants_room = false;
        if call.is_reading {
            self.asked.reads.push(id);
        }
        self.asked.has_room.extend(call.subscriber);
    }

    /// Notes that there is room in the output of the connection again.
    pub fn note_output_room(&mut self) {
        let waiting = |(index, slot): (usize, &Slot)| {
            slot.call.as_ref().is_some_and(|call| call.wants_room).then_some(index as u32)
        };
        let waiting: Vec<u32> = self.slots.iter().enumerate().filter_map(waiting).collect();
        for index in waiting {
            self.note_room(index);
        }
    }
}
