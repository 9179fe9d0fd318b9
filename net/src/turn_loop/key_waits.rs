//! Commands that may wait for a value of a key, such as BLPOP: where they run, where they wait, and when they are served.
//!
//! | keys | the command runs | and waits |
//! |---|---|---|
//! | of one shard | on the core of that shard | there |
//! | of several shards | on its client's core, over all of these shards, which are held | there; each shard knows it as a waiter of its keys |
//!
//! A key that gets a list or a sorted set, or a Redis stream's entry, becomes ready if commands wait for it ([`Waiters`](keytide_engine::waiters::Waiters)).
//! Once the command or the transaction that made the value has ended, its core serves the key's waiters for that type, the
//! oldest first, as long as the value has elements. A waiter of this shard alone runs again at once. A waiter of several shards is notified
//! ([`Message::KeyReady`]), and the key's other waiters come after it: it runs again over all of its shards. While they are
//! held nothing else runs on them. So the command finds whether any of its keys has an element, takes one, and leaves the
//! waiters of all of its keys in one step: no element is lost, none is taken twice.
//!
//! One core answers a command, the one on which it waits; so an element, the end of its time, CLIENT UNBLOCK and the end of
//! its connection exclude each other there. What is left of an ended wait at other shards ([`Message::EndKeyWait`] is on its
//! way) may notify the core once more, which then knows no such command.

use super::Core;
use super::deferred::Deferred;
use super::dispatch::Place;
use super::hold::{HoldRequest, HoldWork, RespWork};
use super::resp::Client;
use super::runner::Runner;
use super::waits::CommandId;
use crate::command::table::TABLE;
use crate::command::{Command, DeferredState, Keys, Progress, Run, WaitFor};
use crate::limits::{WAITING_COMMAND_BYTES, WAITING_KEY_BYTES};
use crate::mesh::message::{Message, Request};
use crate::resp::{Args, CommandIndex, Reply, error_text};
use crate::tracking::Caller;
use keytide_engine::account::Share;
use keytide_engine::position::ShardId;
use keytide_engine::shards::Shards;
use keytide_engine::slot::shard_of;
use keytide_engine::waiters::{Awaited, WaiterId};

impl Core {
    /// Runs a client's command that may wait, or sends it to the core of its keys. False where the client has to wait first.
    pub(super) fn run_or_wait(
        &mut self,
        client: &mut Client<'_>,
        (index, command): (CommandIndex, &Command),
        args: Args<'_>,
        first_shard: Option<ShardId>,
    ) -> bool {
        if !self.has_all_replies(client) {
            return false;
        }
        if self.refuse_large(client, command, args) {
            return true;
        }
        match self.place(command, args, first_shard) {
            Place::There(shard) => {
                let to = self.wait_for_reply(client);
                self.lanes.to(shard).run(index, client.asker(), to, args.iter());
                self.figures.forwarded += 1;
            }
            Place::Several => match self.key_wait_share(command, args) {
                Ok(share) => {
                    let to = self.wait_for_reply(client);
                    let request = client.request(self.id, index, to, args);
                    let id = self.deferred.admit(&request);
                    self.hold_for(id, Deferred::of_keys(request, DeferredState::default(), share));
                }
                Err(text) => client.reply().error(text),
            },
            Place::Here => {
                let caller = client.resp.caller();
                let Some((progress, state)) = self.try_here(index, (caller, args), &mut client.reply()) else {
                    return self.wait_for_shard(client);
                };
                if let Progress::Wait(wait) = progress {
                    match self.key_wait_share(command, args) {
                        Ok(share) => {
                            let to = self.wait_for_reply(client);
                            let request = client.request(self.id, index, to, args);
                            self.wait_here(Deferred::of_keys(request, state, share), wait);
                        }
                        Err(text) => client.reply().error(text),
                    }
                }
            }
        }
        true
    }

    /// Runs a command of another core's client that may wait, and whose keys are all on this core's shard.
    pub(super) fn run_asked_or_wait(&mut self, request: Request) {
        let mut out = Vec::new();
        let args = request.args.as_args();
        let caller = request.caching.of(request.from, request.to.connection);
        let tried = self.try_here(request.command, (caller, args), &mut request.form.reply(&mut out));
        if let Some((Progress::Wait(wait), state)) = tried {
            match self.key_wait_share(TABLE.get(request.command), args) {
                Ok(share) => return self.wait_here(Deferred::of_keys(request, state, share), wait),
                Err(text) => request.form.error(&mut out, &text),
            }
        }
        self.deliver(request.from, request.to, request.form, &out);
    }

    /// Runs a command on this core's shard for the first time. `None` while the shard is lent.
    fn try_here(
        &mut self,
        index: CommandIndex,
        (caller, args): (Option<Caller>, Args<'_>),
        reply: &mut Reply<'_>,
    ) -> Option<(Progress, DeferredState)> {
        let mut state = DeferredState { steady_ms: self.steady_ms, ..DeferredState::default() };
        let progress = self.on_shard(|runner, shard, _| {
            runner.for_caller(caller).run_waiting(Shards::One(shard), index, (None, &mut state), args, reply)
        })?;
        Some((progress, state))
    }

    /// The memory of a command that waits, or the error if it may not wait for so many keys, or no more may wait.
    fn key_wait_share(&self, command: &Command, args: Args<'_>) -> Result<Share, String> {
        let keys = waited_keys(command).0.places(args).count();
        let max = self.server.config.waiting_keys_per_client;
        if keys > max {
            return Err(format!(
                "ERR the command waits for {keys} keys, the limit is {max} (--waiting-keys-per-client)"
            ));
        }
        // The arguments, and each key twice more among the waiters of its shard.
        let bytes = WAITING_COMMAND_BYTES + keys * WAITING_KEY_BYTES + 3 * args.bytes_total();
        let mut share = self.server.accounts.waits.share();
        share.take_own(bytes as u64).map_err(|error| error_text::err(&error))?;
        Ok(share)
    }

    /// Lets a command wait whose keys are all on this core's shard.
    fn wait_here(&mut self, deferred: Deferred, wait: WaitFor) {
        let id = self.deferred.admit(&deferred.request);
        if let Some(shard) = &mut self.shard {
            let Request { command, ref args, .. } = deferred.request;
            let (keys, awaited) = waited_keys(TABLE.get(command));
            shard.waiters_mut().add(waiter(self.id, id), awaited, keys.of(args.as_args()));
        }
        self.deferred.wait(id, deferred, wait);
        self.publish_waits();
    }

    /// Serves waiters if a key of this core's shard is ready, and the shard is here.
    #[inline]
    pub(super) fn serve_ready(&mut self) {
        if self.has_ready_keys() {
            self.serve_waiters();
        }
    }

    /// Whether waiters of this core's shard are to be served.
    #[inline]
    pub(super) fn has_ready_keys(&self) -> bool {
        self.shard.as_deref().is_some_and(|shard| shard.waiters().has_ready())
    }

    /// Serves the waiters of all keys that are ready. A command that is served may make other keys ready.
    #[cold]
    pub(super) fn serve_waiters(&mut self) {
        while let Some(key) = self.shard.as_deref_mut().and_then(|shard| shard.waiters_mut().take_ready()) {
            while self.serve_first(&key) {}
            self.serve_readers(&key);
        }
        self.publish_waits();
    }

    /// Serves the oldest waiter of a key for the type of value that it holds. Returns whether the next waiter may be served.
    fn serve_first(&mut self, key: &[u8]) -> bool {
        let Some(shard) = self.shard.as_deref_mut() else { return false };
        if shard.waiters().is_empty() {
            return false;
        }
        let Some(awaited) = shard.awaited(key) else { return false };
        let Some(waiter) = shard.waiters().first(key, awaited) else { return false };
        self.serve(waiter)
    }

    /// Serves every waiter of a key for a Redis stream, the oldest first: none takes anything away from the others, but for
    /// those of one consumer group. They are told too that the stream is gone.
    fn serve_readers(&mut self, key: &[u8]) {
        let Some(shard) = self.shard.as_deref_mut() else { return };
        for waiter in shard.waiters().all(key, Awaited::RedisStream) {
            self.serve(waiter);
        }
    }

    /// Runs a waiting command. Returns whether it has left, so that the next one may be served.
    fn serve(&mut self, waiter: WaiterId) -> bool {
        let id = CommandId(waiter.number);
        if waiter.core != self.id {
            self.lanes.to(waiter.core).push(Message::KeyReady(waiter.number));
            return false;
        }
        let Some(shard) = self.shard.as_deref_mut() else { return false };
        let Some(deferred) = self.deferred.get(id).filter(|deferred| deferred.is_waiting() && !deferred.has_ended())
        else {
            // Its time is over, and it is answered after the commit.
            shard.waiters_mut().remove(waiter);
            return true;
        };
        if self.is_of_several_shards(&deferred.request) {
            self.retry_over_shards(id);
            return false;
        }
        let (Some(mut deferred), Some(shard)) = (self.deferred.take(id), self.shard.as_deref_mut()) else {
            return false;
        };
        deferred.state.steady_ms = self.steady_ms;
        let Deferred { request, state, .. } = &mut deferred;
        let mut out = Vec::new();
        let runner = Runner::new(&self.server, &self.channels, &self.scripts, self.id, self.now_ms);
        let runner = runner.for_caller(request.caching.of(request.from, request.to.connection));
        let (args, reply) = (request.args.as_args(), &mut request.form.reply(&mut out));
        let progress = runner.run_waiting(Shards::One(shard), request.command, (Some(waiter), state), args, reply);
        if let Progress::Wait(wait) = progress {
            self.deferred.wait(id, deferred, wait);
            return false;
        }
        shard.waiters_mut().remove(waiter);
        self.deferred.forget(&deferred);
        let Request { from, to, form, .. } = deferred.request;
        self.deliver(from, to, form, &out);
        true
    }

    fn is_of_several_shards(&self, request: &Request) -> bool {
        matches!(self.place(TABLE.get(request.command), request.args.as_args(), None), Place::Several)
    }

    /// Has a command that waits for keys of several shards run again over them, as one of its keys has got a value. Does
    /// nothing if it has ended, or is about to run.
    pub(super) fn retry_over_shards(&mut self, id: CommandId) {
        if self.deferred.get(id).is_some_and(|deferred| !deferred.is_held && !deferred.has_ended())
            && let Some(deferred) = self.deferred.take(id)
        {
            self.hold_for(id, deferred);
        }
    }

    /// Queues a hold of all shards of a command's keys, in which the command runs.
    fn hold_for(&mut self, id: CommandId, mut deferred: Deferred) {
        deferred.is_held = true;
        let Request { to, form, command, ref args, .. } = deferred.request;
        let needed = self.shards_of_keys(TABLE.get(command).keys, args.as_args());
        let work = HoldWork::Resp(RespWork::Waiting(id), to, form);
        self.lending.queue.push_back(HoldRequest { work, needed });
        self.deferred.put(id, deferred);
    }

    /// Runs a command that waits for keys of several shards, which are held. Returns whether it has replied, to `out`.
    pub(super) fn run_held(&mut self, id: CommandId, mut shards: Shards<'_>, out: &mut Vec<u8>) -> bool {
        let Some(mut deferred) = self.deferred.take(id) else { return false };
        deferred.is_held = false;
        deferred.state.steady_ms = self.steady_ms;
        if deferred.has_ended() {
            self.deferred.put_ready(id, deferred);
            return false;
        }
        let waiter = waiter(self.id, id);
        let Deferred { request, state, .. } = &mut deferred;
        let runner = Runner::new(&self.server, &self.channels, &self.scripts, self.id, self.now_ms);
        let runner = runner.for_caller(request.caching.of(request.from, request.to.connection));
        let (args, reply) = (request.args.as_args(), &mut request.form.reply(out));
        let progress = runner.run_waiting(shards.reborrow(), request.command, (Some(waiter), state), args, reply);
        if let Progress::Wait(wait) = progress {
            let ((keys, awaited), total) = (waited_keys(TABLE.get(request.command)), self.server.shards());
            shards.each(|shard| {
                let own = shard.id();
                shard.waiters_mut().add(waiter, awaited, keys.of(args).filter(|key| shard_of(key, total) == own));
            });
            self.deferred.wait(id, deferred, wait);
        } else {
            shards.each(|shard| shard.waiters_mut().remove(waiter));
            self.deferred.forget(&deferred);
        }
        self.publish_waits();
        !matches!(progress, Progress::Wait(_))
    }

    /// Ends the wait of a command that was answered without a value, at all shards of the keys that it waited for.
    pub(super) fn end_key_wait(&mut self, id: CommandId, waits_for: Keys, args: Args<'_>) {
        for shard in self.shards_of_keys(waits_for, args) {
            if shard == self.id {
                self.remove_waiter(waiter(self.id, id));
            } else {
                self.lanes.to(shard).push(Message::EndKeyWait(id.0));
            }
        }
    }

    /// Removes a waiter from this core's shard, now or when the shard comes back. The waiters behind it are served in
    /// [`Core::serve_ready`].
    pub(super) fn remove_waiter(&mut self, waiter: WaiterId) {
        match &mut self.shard {
            Some(shard) => shard.waiters_mut().remove(waiter),
            None => self.lending.ended_waits.push(waiter),
        }
    }

    /// The shards of some keys of a command, in ascending order.
    pub(super) fn shards_of_keys(&self, keys: Keys, args: Args<'_>) -> Vec<ShardId> {
        keys.shards(args, self.server.shards())
    }
}

/// The keys that a command waits for, and the type of value.
fn waited_keys(command: &Command) -> (Keys, Awaited) {
    match command.run {
        Run::Waiting { waits_for, awaited, .. } => (waits_for, awaited),
        _ => (Keys::None, Awaited::List),
    }
}

/// A command of a core among the waiters of its keys.
fn waiter(core: ShardId, CommandId(number): CommandId) -> WaiterId {
    WaiterId { core, number }
}
