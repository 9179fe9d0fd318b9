//! Room for messages: of one call, and of all calls of a connection together. A call that was refused some is told once there
//! is room again, whatever it has waited for.

use super::{CallId, Calls};
use crate::groups::ask::GroupAsk;
use crate::limits::CALLS_OUT_BYTES_MAX;

impl Calls {
    /// Whether a call has room for messages of its subscription, or of the group that it reads. Where it has none it is noted that
    /// it wants some.
    pub fn has_room(&mut self, id: CallId, out_max: usize) -> bool {
        let Some(call) = self.call_of(id) else { return false };
        let waiting_bytes = call.handler.waiting_bytes();
        self.may_send(id, out_max, waiting_bytes)
    }

    /// Whether a call has room for what it reads of the history.
    pub(super) fn may_read(&mut self, id: CallId, out_max: usize) -> bool {
        self.may_send(id, out_max, 0)
    }

    fn may_send(&mut self, id: CallId, out_max: usize, waiting_bytes: usize) -> bool {
        let all_bytes = self.out_bytes;
        let Some(call) = self.call_of(id).filter(|call| call.status.is_none()) else { return false };
        let has_room = call.unsent_bytes() + waiting_bytes < out_max && all_bytes < CALLS_OUT_BYTES_MAX;
        let wants_more = !has_room && !call.wants_room;
        call.wants_room |= !has_room;
        if wants_more {
            self.note_wanting(id.index);
        }
        self.waits_for_others |= all_bytes >= CALLS_OUT_BYTES_MAX;
        has_room
    }

    /// Lists a call that wants room. Those that have got some since, or have ended, are taken out once they are many.
    fn note_wanting(&mut self, index: u32) {
        if self.wanting.len() > 2 * self.slots.len() {
            let slots = &self.slots;
            self.wanting.retain(|index| slots[*index as usize].call.as_ref().is_some_and(|call| call.wants_room));
            self.wanting.sort_unstable();
            self.wanting.dedup();
        }
        self.wanting.push(index);
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
        if call.is_reading {
            self.asked.reads.push(id);
        }
        // Behind what waits more comes once that has left.
        if call.handler.waiting_bytes() > 0 {
            return;
        }
        call.wants_room = false;
        self.asked.has_room.extend(call.subscriber);
        if let Some((core, _)) = call.reads_group.as_ref().filter(|_| std::mem::take(&mut call.owes_room)) {
            self.asked.groups.push((id, *core, 0, GroupAsk::Room));
        }
    }

    /// Notes that there is room in the output of the connection again.
    pub fn note_output_room(&mut self) {
        for index in std::mem::take(&mut self.wanting) {
            self.note_room(index);
            // What it has sent before has to leave first.
            if self.call(index).is_some_and(|call| call.wants_room) {
                self.wanting.push(index);
            }
        }
    }
}
