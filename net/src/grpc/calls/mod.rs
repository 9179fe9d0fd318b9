//! The calls of one connection: requests become messages for the handlers of their methods, and what these send becomes
//! frames. Knows no method.
//!
//! ```text
//!   bytes ─► HTTP/2 ─► messages ─► handler ─► out ─► HTTP/2 ─► bytes
//!                                     └─► wants: jobs, reads, a subscription
//! ```
//!
//! What a handler sends is kept until the end of the turn, so everything that a turn has for a call leaves in as few
//! frames as it fits into, and nothing leaves before the commit.

mod group_reads;
mod room;
mod surroundings;
mod timers;
mod users;

pub use surroundings::Surroundings;
pub use timers::Life;

use crate::access::Reason;
use crate::groups::ask::GroupAsk;
use crate::grpc::asked::{Asked, CallId};
use crate::grpc::call::{Call, MayEnd, head, head_and};
use crate::grpc::credentials::{check_pace, user_of};
use crate::grpc::deadline;
use crate::grpc::denied::note_denied;
use crate::grpc::handler::{CallContext, Encoded, Handler, Method, Outbox, Wants};
use crate::grpc::message::{Messages, Taken};
use crate::grpc::status::{Code, Status};
use crate::http2::{Body, Http2, Polled, Request};
use crate::limits::{
    CALL_JOBS_MAX, CALL_OUT_BYTES, GRPC_DATA_BYTES, GRPC_MESSAGE_BYTES_MAX, GRPC_OPEN_MESSAGE_BYTES_MAX,
    GRPC_UNZIPPED_BYTES,
};
use crate::streams::Outcome;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use keytide_engine::history::History;
use keytide_engine::subscription::{ClientId, Push};

/// The calls of one connection.
pub struct Calls {
    http2: Http2,
    slots: Vec<Slot>,
    free: Vec<u32>,
    find: fn(&str) -> Option<&'static Method>,
    /// Calls with something to send, each once or more often.
    dirty: Vec<u32>,
    asked: Asked,
    /// How many calls there are.
    open: usize,
    /// Whether a call waits because all of them together have too much to send.
    waits_for_others: bool,
    /// Whether the user of any call was known.
    pub has_known: bool,
    /// The bytes of messages that wait to be sent, of all calls.
    out_bytes: usize,
    /// The bytes of messages that are not whole, or that handlers keep, of all calls.
    held_bytes: usize,
    /// How many calls wait for the rest of their requests.
    partial: usize,
    /// No call's deadline is earlier, steady milliseconds; `u64::MAX` where none has one.
    next_deadline_ms: u64,
    /// When the client was asked for a sign of life that has not come, steady milliseconds.
    asked_ms: Option<u64>,
    /// The bytes of messages that were compressed, of this step.
    unzipped: usize,
    /// Calls that want room, each once or more often.
    wanting: Vec<u32>,
    /// Whether the client was told to begin no more calls.
    is_ending: bool,
}

struct Slot {
    generation: u32,
    call: Option<Box<Call>>,
}

impl Calls {
    /// The calls of a connection that begins, of the methods that `find` finds by their paths.
    pub fn new(find: fn(&str) -> Option<&'static Method>) -> Calls {
        Calls {
            http2: Http2::new(),
            slots: Vec::new(),
            free: Vec::new(),
            find,
            dirty: Vec::new(),
            asked: Asked::default(),
            open: 0,
            waits_for_others: false,
            has_known: false,
            out_bytes: 0,
            held_bytes: 0,
            partial: 0,
            next_deadline_ms: u64::MAX,
            asked_ms: None,
            unzipped: 0,
            wanting: Vec::new(),
            is_ending: false,
        }
    }

    /// Takes what its calls want.
    pub fn take_asked(&mut self) -> Asked {
        std::mem::take(&mut self.asked)
    }

    /// Whether its calls want anything.
    pub fn has_asked(&self) -> bool {
        let Asked { jobs, reads, later, groups, goes_on, subscriptions, ended, has_room } = &self.asked;
        let wants_now = !(jobs.is_empty() && reads.is_empty() && groups.is_empty() && subscriptions.is_empty());
        wants_now || *goes_on || !(later.is_empty() && ended.is_empty() && has_room.is_empty())
    }

    /// How many calls there are.
    pub fn open(&self) -> usize {
        self.open
    }

    /// The memory of messages that are not whole, or that handlers keep, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether a client waits for an answer and has to send more before it can have one.
    pub fn wait_for_rest(&self) -> bool {
        self.partial > 0
    }

    /// Takes received bytes. Frames are appended to `frames`, which may grow to `frames_max` bytes.
    pub fn receive(
        &mut self,
        received: &[u8],
        frames: &mut Vec<u8>,
        frames_max: usize,
        around: &Surroundings<'_>,
    ) -> Polled {
        // Whatever comes is a sign of life.
        self.asked_ms = None;
        self.unzipped = 0;
        let polled = self.poll(received, frames, frames_max, around);
        self.run_woken(around);
        polled
    }

    /// Whether any call has something to send.
    pub fn has_to_send(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Makes frames of everything that calls have sent. To be called at the end of a turn.
    pub fn flush(&mut self, frames: &mut Vec<u8>, frames_max: usize, around: &Surroundings<'_>) -> Polled {
        self.unzipped = 0;
        loop {
            let mut dirty = std::mem::take(&mut self.dirty);
            let waiting = self.out_bytes;
            for index in dirty.drain(..) {
                self.send(index);
            }
            // What was given to the library, with the heads of frames: so that it is not moved again and again while it grows.
            let given = waiting.saturating_sub(self.out_bytes);
            frames.reserve((given + given / 512).min(frames_max.saturating_sub(frames.len())));
            let polled = self.poll(&[], frames, frames_max, around);
            self.run_woken(around);
            if self.dirty.is_empty() || polled.is_full || polled.is_over {
                return polled;
            }
        }
    }

    fn poll(&mut self, received: &[u8], frames: &mut Vec<u8>, frames_max: usize, around: &Surroundings<'_>) -> Polled {
        let mut requests = Vec::new();
        let polled = self.http2.poll(received, frames, frames_max, |request| requests.push(request));
        for request in requests {
            self.begin(request, around);
        }
        polled
    }

    /// Begins a call, or refuses it.
    fn begin(&mut self, request: Request, around: &Surroundings<'_>) {
        let Request { path, method, headers, mut stream } = request;
        let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        let is_grpc = text("content-type").is_some_and(|kind| kind.starts_with(b"application/grpc"));
        if method != http::Method::POST || !is_grpc {
            let mut head = HeaderMap::new();
            head.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            return stream.send_error(if is_grpc { 405 } else { 415 }, head);
        }
        let deadline = deadline::of(text("grpc-timeout"), around.steady_ms);
        let begun = (self.find)(&path)
            .ok_or_else(|| Status::new(Code::Unimplemented, "Service is unimplemented."))
            .and_then(|method| {
                let user = match user_of(around, path.as_bytes(), text("authorization")) {
                    Err(_) if method.is_open => around.server.users.table().0.default_user().clone(),
                    user => {
                        self.has_known |= user.is_ok();
                        user?
                    }
                };
                check_pace(around.server, &user)?;
                let bytes_max = if method.is_open { GRPC_OPEN_MESSAGE_BYTES_MAX } else { GRPC_MESSAGE_BYTES_MAX };
                Ok((method, user, Messages::new(text("grpc-encoding"), bytes_max)?, deadline?))
            });
        let (method, user, messages, deadline_ms) = match begun {
            Ok(begun) => begun,
            Err(status) => return stream.send_head(head_and(&status), true),
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, call: None });
            self.slots.len() as u32 - 1
        });
        stream.set_waker(self.http2.waker(index));
        let mut call = Call { deadline_ms, ..Call::new((stream, messages), (method.begin)(), user) };
        call.connection_name = headers.get("connection-name").and_then(|name| name.to_str().ok()).unwrap_or("").into();
        self.next_deadline_ms = self.next_deadline_ms.min(deadline_ms.unwrap_or(u64::MAX));
        self.slots[index as usize].call = Some(Box::new(call));
        self.open += 1;
        self.http2.wake(index);
    }

    /// Looks at the calls for which something has come.
    fn run_woken(&mut self, around: &Surroundings<'_>) {
        let mut woken = self.http2.take_woken();
        woken.sort_unstable();
        woken.dedup();
        for index in woken {
            self.run_one(index, around);
        }
    }

    fn run_one(&mut self, index: u32, around: &Surroundings<'_>) {
        self.run_messages(index, around);
        self.count_held(index);
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        if let Some(call) = &mut slot.call {
            let is_partial = call.is_partial();
            self.partial = self.partial + usize::from(is_partial) - usize::from(call.counted_partial);
            call.counted_partial = is_partial;
        }
    }

    /// Counts what a call holds of messages that are not whole, that its handler keeps, and that shards have to work on.
    fn count_held(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        if let Some(call) = &mut slot.call {
            let jobs = call.job_bytes.iter().map(|(_, bytes)| bytes).sum::<usize>();
            let held = call.messages.held_bytes() + call.handler.held_bytes() + jobs;
            self.held_bytes = self.held_bytes + held - call.counted_held;
            call.counted_held = held;
        }
    }

    fn run_messages(&mut self, index: u32, around: &Surroundings<'_>) {
        let Some(call) = self.call(index) else { return };
        if call.stream.is_reset() {
            return self.remove(index);
        }
        while self.call(index).is_some_and(|call| call.is_receiving && call.jobs < CALL_JOBS_MAX) {
            let unzip_max = GRPC_UNZIPPED_BYTES.saturating_sub(self.unzipped).min(around.unzip_left.get());
            let Some(call) = self.call(index) else { return };
            let taken = call.messages.take(unzip_max);
            let unzipped = call.messages.take_unzipped();
            self.unzipped += unzipped;
            around.unzip_left.set(around.unzip_left.get().saturating_sub(unzipped));
            let Some(call) = self.call(index) else { return };
            match taken {
                Err(status) => {
                    call.refuse(status);
                    self.dirty.push(index);
                    break;
                }
                Ok(Taken::Later) => {
                    // The others have their turn first.
                    self.http2.wake(index);
                    self.asked.goes_on = true;
                    break;
                }
                Ok(Taken::Message(message)) => {
                    call.has_message = true;
                    self.tell(index, around, |handler, context| handler.message(context, message));
                }
                Ok(Taken::Nothing) => match call.stream.read() {
                    Body::Data(bytes) => call.messages.add(bytes),
                    Body::Wait => break,
                    Body::Reset => return self.remove(index),
                    Body::End => {
                        (call.is_receiving, call.has_all) = (false, true);
                        if call.messages.is_cut() {
                            call.refuse(Status::new(Code::Internal, "the request ends within a message"));
                            self.dirty.push(index);
                        } else {
                            self.tell(index, around, |handler, context| handler.end(context));
                        }
                    }
                },
            }
        }
        // What could not be sent may have room now.
        if self.call(index).is_some_and(|call| call.has_to_send()) {
            self.dirty.push(index);
        }
    }

    /// Tells a handler something, and takes what it wants.
    fn tell(
        &mut self,
        index: u32,
        around: &Surroundings<'_>,
        told: impl FnOnce(&mut dyn Handler, &mut CallContext<'_>) -> Result<(), Status>,
    ) {
        let slot = &mut self.slots[index as usize];
        let id = CallId { index, generation: slot.generation };
        let Some(call) = slot.call.as_deref_mut().filter(|call| call.status.is_none()) else { return };
        let mut wants = Wants::default();
        let mut context = CallContext {
            server: around.server,
            user: &call.user,
            caller: around.caller(),
            local: around.local,
            peer: around.peer,
            connection_name: &call.connection_name,
            now_ms: around.now_ms,
            has_message: call.has_message,
            out: &mut call.out,
            wants: &mut wants,
        };
        let result = told(&mut *call.handler, &mut context);
        call.jobs += wants.jobs.len();
        call.job_bytes.extend(wants.jobs.iter().map(|(number, job)| (*number, job.memory_bytes())));
        self.asked.jobs.extend(wants.jobs.into_iter().map(|(number, job)| (id, number, job)));
        for (core, number, ask) in wants.groups {
            if matches!(ask, GroupAsk::Read(..)) {
                call.reads_group = Some((core, None));
            }
            self.asked.groups.push((id, core, number, ask));
        }
        if (wants.read || wants.read_later) && !call.is_reading {
            call.is_reading = true;
            if wants.read { &mut self.asked.reads } else { &mut self.asked.later }.push(id);
        }
        self.asked.subscriptions.extend(wants.subscribe.map(|subscribe| (id, subscribe)));
        match (result, wants.status) {
            (Err(status), _) => call.refuse(status),
            (Ok(()), Some(status)) => call.refuse(status),
            (Ok(()), None) => {}
        }
        if call.has_to_send() {
            self.dirty.push(index);
        }
        self.count_out(index);
    }

    /// Sends what a call has to send, as far as the client takes it.
    fn send(&mut self, index: u32) {
        let Some(call) = self.call(index) else { return };
        if !call.has_head {
            let head = match &call.status {
                // Nothing precedes it: the client sees an error before any message.
                Some(status) if call.unsent_bytes() == 0 && status.code != Code::Ok => {
                    let head = head_and(status);
                    call.stream.send_head(head, true);
                    return self.remove(index);
                }
                _ => head(),
            };
            call.stream.send_head(head, false);
            call.has_head = true;
        }
        while call.unsent_bytes() > 0 {
            if call.sending.is_empty() {
                call.out_last = call.out.len();
                call.sending = Bytes::from(std::mem::take(&mut call.out));
            }
            let room = call.stream.room(call.sending.len().min(GRPC_DATA_BYTES));
            if room == 0 {
                break;
            }
            let data = call.sending.split_to(room);
            call.stream.send_data(data);
        }
        if call.unsent_bytes() == 0 && call.status.is_some() {
            match (call.may_end(), call.status.take()) {
                (MayEnd::Later, status) => call.status = status,
                (MayEnd::Reset, _) => return self.remove(index),
                (MayEnd::Now, status) => {
                    call.stream.send_trailers(status.unwrap_or(Status::OK).trailers());
                    return self.remove(index);
                }
            }
        }
        self.count_out(index);
        self.note_room(index);
    }

    /// Removes a call.
    fn remove(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let Some(call) = slot.call.take() else { return };
        if let Some((core, _)) = call.reads_group {
            let id = CallId { index, generation: slot.generation };
            self.asked.groups.push((id, core, 0, GroupAsk::Leave));
        }
        slot.generation = slot.generation.wrapping_add(1);
        self.asked.ended.extend(call.subscriber);
        self.out_bytes -= call.counted_out;
        self.held_bytes -= call.counted_held;
        self.note_common_room();
        self.partial -= usize::from(call.counted_partial);
        self.free.push(index);
        self.open -= 1;
    }

    fn call(&mut self, index: u32) -> Option<&mut Call> {
        self.slots.get_mut(index as usize)?.call.as_deref_mut()
    }

    fn call_of(&mut self, id: CallId) -> Option<&mut Call> {
        let slot = self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)?;
        slot.call.as_deref_mut()
    }

    /// Tells a call what has come of a job.
    pub fn outcome(&mut self, id: CallId, number: u32, outcome: Outcome, around: &Surroundings<'_>) {
        let Some(call) = self.call_of(id) else { return };
        call.jobs -= 1;
        if let Some(place) = call.job_bytes.iter().position(|job| job.0 == number) {
            call.job_bytes.swap_remove(place);
        }
        if call.jobs + 1 == CALL_JOBS_MAX {
            self.http2.wake(id.index);
        }
        if let (Some(stream), Some(user)) = (outcome.denied(), self.user(id)) {
            note_denied(&around.server.users.denials, around.caller(), user.name(), (Reason::Key, stream));
        }
        self.tell(id.index, around, |handler, context| handler.outcome(context, number, outcome));
        self.count_held(id.index);
    }

    /// Lets a call read the history, if it has room for what it finds. Whether it wants to read on is among what it
    /// [asks](Calls::take_asked).
    pub fn read(&mut self, id: CallId, history: &mut History, out_max: usize, around: &Surroundings<'_>) {
        if self.call_of(id).is_none_or(|call| !call.is_reading) || !self.may_read(id, out_max) {
            return;
        }
        let Some(call) = self.call_of(id) else { return };
        call.is_reading = false;
        self.tell(id.index, around, |handler, context| handler.read(context, history));
    }

    /// Notes the subscriber of a call.
    pub fn set_subscriber(&mut self, id: CallId, subscriber: ClientId) {
        if let Some(call) = self.call_of(id) {
            call.subscriber = Some(subscriber);
        }
    }

    /// Ends a call with a status.
    pub fn end(&mut self, id: CallId, status: Status) {
        if let Some(call) = self.call_of(id) {
            call.refuse(status);
            self.dirty.push(id.index);
        }
    }

    /// Tells a call a message of its subscription. One that others get too is encoded into `encoded`, or was already.
    pub fn push(&mut self, id: CallId, push: Push<'_>, now_ms: u64, encoded: Option<&mut Encoded>) {
        let Some(call) = self.call_of(id).filter(|call| call.status.is_none()) else { return };
        let was_clean = !call.has_to_send();
        if call.out.capacity() == 0 {
            // So that it is not moved again and again while it grows.
            call.out.reserve(call.out_last.min(CALL_OUT_BYTES));
        }
        let mut outbox = Outbox { now_ms, out: &mut call.out, reads: false, encoded };
        if let Err(status) = call.handler.push(&mut outbox, push) {
            call.refuse(status);
        } else if outbox.reads && !call.is_reading {
            call.is_reading = true;
            self.asked.reads.push(id);
        }
        let Some(call) = self.call_of(id) else { return };
        if was_clean && call.has_to_send() {
            self.dirty.push(id.index);
        }
        self.count_out(id.index);
    }

    /// Takes the subscribers of all calls, whose connection is over.
    pub fn take_subscribers(&mut self) -> Vec<ClientId> {
        let calls = self.slots.iter_mut().filter_map(|slot| slot.call.as_mut()?.subscriber.take());
        calls.chain(std::mem::take(&mut self.asked.ended)).collect()
    }
}
