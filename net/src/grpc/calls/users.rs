//! The users of calls: each call has its own, whose rights may change meanwhile.

use super::{CallId, Calls, Slot};
use crate::access::User;
use keytide_engine::subscription::ClientId;
use std::sync::Arc;

impl Calls {
    /// The user of a call; none where it is over.
    pub fn user(&mut self, id: CallId) -> Option<&Arc<User>> {
        self.call_of(id).map(|call| &call.user)
    }

    /// The user of each call, with the call's subscriber.
    pub fn users(&self) -> Vec<(CallId, Option<ClientId>, Arc<User>)> {
        let slots = self.slots.iter().enumerate();
        let of = |(index, slot): (usize, &Slot)| {
            let call = slot.call.as_ref()?;
            let id = CallId { index: index as u32, generation: slot.generation };
            Some((id, call.subscriber, call.user.clone()))
        };
        slots.filter_map(of).collect()
    }

    /// Sets the user of a call, whose rights were changed.
    pub fn set_user(&mut self, id: CallId, user: Arc<User>) {
        if let Some(call) = self.call_of(id) {
            call.user = user;
        }
    }
}
