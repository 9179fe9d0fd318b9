//! Calls and consumer groups: what a group answers, and what it gives to the calls that read it.

use super::{CallId, Calls, Slot, Surroundings};
use crate::groups::ask::{GroupAnswer, GroupAsk};
use crate::grpc::status::Status;
use keytide_engine::history::History;
use keytide_engine::interest::Interest;
use keytide_engine::position::ShardId;
use std::sync::Arc;

impl Calls {
    /// Tells a call an answer of a consumer group, or what it gets of the group that it reads. The group hears when the call
    /// has room for more, which it has while less than `out_max` bytes of it wait to be sent.
    pub fn group(
        &mut self,
        id: CallId,
        (number, answer): (u32, GroupAnswer),
        history: &mut History,
        out_max: usize,
        around: &Surroundings<'_>,
    ) {
        let Some(call) = self.call_of(id) else { return };
        let is_given = matches!(answer, GroupAnswer::Given(_));
        if let (GroupAnswer::Reads(Ok(reading)), Some((_, interest))) = (&answer, &mut call.reads_group) {
            *interest = Some(reading.interest.clone());
        }
        self.tell(id.index, around, |handler, context| handler.group(context, number, answer, history));
        if !is_given {
            return;
        }
        let has_room = self.has_room(id, out_max);
        let Some(call) = self.call_of(id) else { return };
        match call.reads_group.as_ref().map(|(core, _)| *core) {
            Some(core) if has_room => self.asked.groups.push((id, core, 0, GroupAsk::Room)),
            _ => call.owes_room = true,
        }
    }

    /// The calls that read a group, with the cores that keep them; their connection is over.
    pub fn take_group_reads(&mut self) -> Vec<(CallId, ShardId)> {
        let asked = std::mem::take(&mut self.asked.groups).into_iter();
        let left = asked.filter(|(.., ask)| matches!(ask, GroupAsk::Leave)).map(|(id, core, ..)| (id, core));
        let mut all: Vec<(CallId, ShardId)> = left.collect();
        let reading = |(index, slot): (usize, &mut Slot)| {
            let (core, _) = slot.call.as_mut()?.reads_group.take()?;
            Some((CallId { index: index as u32, generation: slot.generation }, core))
        };
        all.extend(self.slots.iter_mut().enumerate().filter_map(reading));
        all
    }

    /// Ends all calls that read a group.
    pub fn end_group_reads(&mut self, status: &Status) {
        let reads = |slot: &Slot| slot.call.as_ref().is_some_and(|call| call.reads_group.is_some());
        let reading: Vec<usize> = (0..self.slots.len()).filter(|index| reads(&self.slots[*index])).collect();
        for index in reading {
            let id = CallId { index: index as u32, generation: self.slots[index].generation };
            self.end(id, status.clone());
        }
    }

    /// Which events a call reads of a group.
    pub fn group_interest(&mut self, id: CallId) -> Option<Arc<Interest>> {
        self.call_of(id)?.reads_group.as_ref()?.1.clone()
    }
}
