//! What a method of a service is to the calls of a connection: how it is found, and how it is told what happens.

use super::credentials::check_pace;
use super::denied::Caller;
use super::message::append;
use super::status::Status;
use crate::access::User;
use crate::groups::ask::{GroupAnswer, GroupAsk};
use crate::server::Server;
use crate::streams::{Job, Outcome};
use bytes::Bytes;
use keytide_engine::history::History;
use keytide_engine::position::ShardId;
use keytide_engine::stream_acl::Who;
use keytide_engine::subscription::{Push, Subscribe};
use std::net::SocketAddr;
use std::sync::Arc;

/// A method of a service.
pub struct Method {
    /// The path of its requests: `/<service>/<method>`.
    pub path: &'static str,
    /// What clients are told that it can do.
    pub features: &'static [&'static str],
    /// Whether it may be called without any rights.
    pub is_open: bool,
    /// What handles a call of it.
    pub begin: fn() -> Box<dyn Handler>,
}

/// What handles one call. Each of its methods may send messages, ask for something, and end the call: by
/// [`CallContext::finish`], or with an error.
pub trait Handler {
    /// A message has come.
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status>;

    /// The client has sent all of its messages. Most methods take one.
    fn end(&mut self, context: &mut CallContext<'_>) -> Result<(), Status> {
        if context.has_message { Ok(()) } else { Err(Status::invalid("the request has no message")) }
    }

    /// What has come of a job, by its number in this call.
    fn outcome(&mut self, _context: &mut CallContext<'_>, _number: u32, _outcome: Outcome) -> Result<(), Status> {
        Ok(())
    }

    /// Reads the history, as it has asked for. Called after a commit, where the client has room for more messages. Reads a
    /// bounded part, and asks again for the next.
    fn read(&mut self, _context: &mut CallContext<'_>, _history: &mut History) -> Result<(), Status> {
        Ok(())
    }

    /// The answer to what it has asked of a consumer group, by its number in this call, or what it gets of the group that it
    /// reads.
    fn group(
        &mut self,
        _context: &mut CallContext<'_>,
        _number: u32,
        _answer: GroupAnswer,
        _history: &mut History,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// The bytes that it keeps of messages that have come.
    fn held_bytes(&self) -> usize {
        0
    }

    /// The bytes of messages that it cannot send yet, and not for want of room. A subscription, or a group that it reads, waits
    /// for these as for those that wait to leave.
    fn waiting_bytes(&self) -> usize {
        0
    }

    /// A message of its subscription.
    fn push(&mut self, _outbox: &mut Outbox<'_>, _push: Push<'_>) -> Result<(), Status> {
        Ok(())
    }
}

/// A message of an event that several calls get alike, so that it is encoded once.
#[derive(Default)]
pub struct Encoded {
    /// What it depends on besides the event.
    form: Option<u8>,
    bytes: Vec<u8>,
}

impl Encoded {
    /// Another event follows.
    pub fn clear(&mut self) {
        self.form = None;
    }
}

/// Where a call sends messages.
pub struct Outbox<'a> {
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) reads: bool,
    pub(super) encoded: Option<&'a mut Encoded>,
}

impl Outbox<'_> {
    /// Sends a message that depends on nothing but the event, the subscriptions that get it together, and `form`.
    #[inline]
    pub fn send_alike(&mut self, form: u8, encode: impl FnOnce(&mut Vec<u8>)) {
        let Some(Encoded { form: known, bytes }) = self.encoded.as_deref_mut() else { return append(self.out, encode) };
        if *known != Some(form) {
            bytes.clear();
            append(bytes, encode);
            *known = Some(form);
        }
        self.out.extend_from_slice(bytes);
    }

    /// Has its handler read the history, as [`CallContext::read_history`] does.
    pub fn read_history(&mut self) {
        self.reads = true;
    }

    /// Sends a message that `encode` writes.
    #[inline]
    pub fn send(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        append(self.out, encode);
    }
}

/// What a call may do while it is told something.
pub struct CallContext<'a> {
    /// The server.
    pub server: &'a Server,
    /// Who calls.
    pub user: &'a Arc<User>,
    /// Its client.
    pub caller: Caller,
    /// The address that the client has connected to.
    pub local: Option<SocketAddr>,
    /// The client's address.
    pub peer: Option<SocketAddr>,
    /// What the client calls its connection.
    pub connection_name: &'a str,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
    /// Whether any message has come.
    pub has_message: bool,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) wants: &'a mut Wants,
}

/// What a call wants of its core.
#[derive(Default)]
pub(super) struct Wants {
    pub jobs: Vec<(u32, Job)>,
    pub read: bool,
    pub read_later: bool,
    pub groups: Vec<(ShardId, u32, GroupAsk)>,
    pub subscribe: Option<Box<Subscribe>>,
    pub status: Option<Status>,
}

impl CallContext<'_> {
    /// Sends a message that `encode` writes.
    pub fn send(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        append(self.out, encode);
    }

    /// Sends a message that was written before, with what precedes it: see [`append`].
    pub fn send_framed(&mut self, message: &[u8]) {
        self.out.extend_from_slice(message);
    }

    /// The user as the metadata of streams names it, and what counts where that says nothing.
    pub fn who(&self) -> Who {
        Who {
            name: String::from_utf8_lossy(self.user.name()).into_owned(),
            groups: self.user.about().groups.clone(),
            defaults: self.server.default_acls.get(),
        }
    }

    /// Has the shard of its stream do a job, before the turn is committed. What comes of it is told with this number.
    pub fn run(&mut self, number: u32, job: Job) {
        // Who may do everything is not asked for what the metadata of streams permits.
        let job = if self.user.is_unlimited() { job } else { Job::As(Arc::new(self.who()), Box::new(job)) };
        self.wants.jobs.push((number, job));
    }

    /// Reads the history, once all that was acknowledged before is in it.
    pub fn read_history(&mut self) {
        self.wants.read = true;
    }

    /// Asks something of a consumer group on the core that keeps it. The answer is told with this number.
    pub fn ask_group(&mut self, core: ShardId, number: u32, ask: GroupAsk) {
        self.wants.groups.push((core, number, ask));
    }

    /// Makes the call's subscription.
    pub fn subscribe(&mut self, subscribe: Subscribe) {
        self.wants.subscribe = Some(Box::new(subscribe));
    }

    /// The same, a moment later: what it needs is being made.
    pub fn read_history_later(&mut self) {
        self.wants.read_later = true;
    }

    /// Counts one more of what the user may do in a second, in a call that does several.
    ///
    /// # Errors
    /// There were as many already.
    pub fn check_pace(&self) -> Result<(), Status> {
        check_pace(self.server, self.user)
    }

    /// Ends the call, behind what it has sent.
    pub fn finish(&mut self) {
        self.wants.status = Some(Status::OK);
    }
}
