//! Running commands on shards that are at hand: the one place where a command meets a shard, whether its client asked
//! for it here or on another core, alone, over several shards, or in a transaction.

use super::Core;
use super::lanes::Lanes;
use super::write_admission::{are_refused, is_memory_full, is_refused, is_refused_by_log_of};
use super::{monitor, slow};
use crate::access::User;
use crate::channels::{Channels, Kind, Step};
use crate::command::access::{check, note_denied};
use crate::command::table::TABLE;
use crate::command::{
    Command, DeferredState, Flag, HistoryContext, KeysContext, Progress, RespClient, Run, RunPart, SessionContext,
    WaitContext,
};
use crate::connection::Silence;
use crate::gather::Merge;
use crate::resp::{Args, CommandIndex, Reply, Transaction, Watches, error_text};
use crate::scripting::{Ended, Scripts};
use crate::server::Server;
use crate::tracking::Caller;
use crate::value::{PartWriter, ValueWriter};
use keytide_engine::history::History;
use keytide_engine::position::ShardId;
use keytide_engine::shard::Shard;
use keytide_engine::shards::Shards;
use keytide_engine::stream_name::Database;
use keytide_engine::waiters::WaiterId;
use std::cell::RefCell;
use std::ops::Range;
use std::time::Instant;

impl Core {
    /// Runs something on this core's shard, and then serves the commands that wait for a key which got its value by that.
    /// `None` while the shard is lent.
    #[inline]
    pub(super) fn on_shard<R>(&mut self, run: impl FnOnce(Runner<'_>, &mut Shard, &mut Lanes) -> R) -> Option<R> {
        let Core { server, id, now_ms, shard, lanes, channels, scripts, .. } = self;
        let shard = shard.as_deref_mut()?;
        let done = run(Runner::new(server, channels, scripts, *id, *now_ms), shard, lanes);
        if shard.waiters().has_ready() {
            self.serve_waiters();
        }
        Some(done)
    }
}

/// Runs commands for a core, on shards that its caller has at hand.
#[derive(Clone, Copy)]
pub(super) struct Runner<'a> {
    pub(super) server: &'a Server,
    /// The scripts of the core.
    pub(super) scripts: &'a RefCell<Scripts>,
    /// The channels that commands publish on.
    pub(super) channels: &'a Channels,
    /// The core that runs them, which counts them.
    pub(super) core: ShardId,
    /// The turn's time, Unix milliseconds.
    pub(super) now_ms: u64,
    /// The database that the client has selected.
    pub(super) database: Database,
    /// The client, where tracking has to do with its command.
    pub(super) caller: Option<Caller>,
}

impl<'a> Runner<'a> {
    /// Takes the core's fields one by one, because its caller has borrowed the core's shards.
    #[inline]
    pub fn new(
        server: &'a Server,
        channels: &'a Channels,
        scripts: &'a RefCell<Scripts>,
        core: ShardId,
        now_ms: u64,
    ) -> Runner<'a> {
        Runner { server, scripts, channels, core, now_ms, database: Database::FIRST, caller: None }
    }

    /// The same for a client that has selected another database.
    #[inline]
    pub fn in_database(self, database: Database) -> Runner<'a> {
        Runner { database, ..self }
    }

    /// The same for a client, where tracking has to do with its command.
    #[inline]
    pub fn for_caller(self, caller: Option<Caller>) -> Runner<'a> {
        Runner { caller, ..self }
    }

    /// Runs a command on one shard, for its reply or for a part of it.
    #[inline]
    pub fn run<W: ValueWriter>(
        self,
        shard: &mut Shard,
        (index, run): (CommandIndex, fn(&mut KeysContext<'_>, Args<'_>, &mut W)),
        args: Args<'_>,
        reply: &mut W,
    ) {
        shard.begin_command();
        if self.caller.is_some() {
            self.begin_for_caller(Shards::One(shard));
        }
        self.server.statistics(self.core).run(index, reply, |reply| {
            if !is_refused(shard, TABLE.get(index), args, reply) {
                let mut context = self.context(Shards::One(shard));
                run(&mut context, args, reply);
                let event = context.event;
                shard.end_changes(event);
            }
        });
        if let Some(caller) = self.caller {
            end_for_caller(caller, Shards::One(shard), TABLE.get(index), args);
        }
    }

    /// Lets the shards know who makes the changes that follow, if that one wants that known.
    #[cold]
    fn begin_for_caller(self, mut shards: Shards<'_>) {
        if let Some(caller) = self.caller.filter(|caller| caller.caching.is_author) {
            shards.each(|shard| shard.readers_mut().set_author(Some(caller.id)));
        }
        if self.caller.is_some_and(|caller| caller.caching.leaves_use) {
            shards.each(|shard| shard.leave_use(true));
        }
    }

    /// Runs a command that may wait for its keys, on the shards of these, as the waiter that it is already.
    pub fn run_waiting(
        self,
        mut shards: Shards<'_>,
        index: CommandIndex,
        (waiter, state): (Option<WaiterId>, &mut DeferredState),
        args: Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Progress {
        let command = TABLE.get(index);
        let Run::Waiting { run, .. } = command.run else { unreachable!("only such a command waits for keys") };
        shards.each(Shard::begin_command);
        if self.caller.is_some() {
            self.begin_for_caller(shards.reborrow());
        }
        let progress = self.server.statistics(self.core).run(index, reply, |reply| {
            if are_refused(&mut shards, std::iter::once(command), reply) {
                return Progress::Done;
            }
            let mut context = WaitContext { shards: shards.reborrow(), waiter, state: Some(state), event: None };
            let progress = run(&mut context, args, reply);
            let event = context.event;
            context.shards.each(|shard| shard.end_changes(event));
            progress
        });
        if let Some(caller) = self.caller {
            end_for_caller(caller, shards, command, args);
        }
        progress
    }

    /// Runs a command over all shards that it needs.
    /// A script runs with the rights of `user`.
    pub fn run_over(
        self,
        shards: Shards<'_>,
        user: Option<&User>,
        index: CommandIndex,
        args: Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Ended {
        let mut context = self.context(shards);
        context.shards.each(Shard::begin_command);
        let command = TABLE.get(index);
        if command.is(Flag::Denyoom) && is_memory_full(&mut context.shards) {
            self.server.statistics(self.core).run(index, reply, |reply| reply.error(error_text::OUT_OF_MEMORY));
            return Ended::Replied;
        }
        self.run_within(&mut context, (user, None), index, args, reply)
    }

    /// Lets a client watch keys, whose shards are at hand.
    pub fn watch(self, mut shards: Shards<'_>, client: RespClient<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
        let own = &mut client.resp.watches;
        let mut watches = own.take().unwrap_or_else(|| {
            Box::new(Watches::new(&self.server.accounts.transactions, &self.server.accounts.watchers))
        });
        shards.each(Shard::begin_command);
        let added = watches.add(args.rest(1).iter(), |key| {
            let shard = shards.of(key);
            // Values whose TTL is over are removed first.
            shard.make_room();
            shard.watch(key)
        });
        *own = Some(watches).filter(|watches| !watches.is_empty());
        match added {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error_text::err(&error)),
        }
    }

    /// Runs a transaction of a user, its commands for `client` too if that is still there. False where the reply is larger
    /// than its client may leave unread: then nothing is left of the reply, though all commands have run.
    pub fn run_transaction(
        self,
        shards: Shards<'_>,
        (user, mut client): (&User, Option<RespClient<'_>>),
        transaction: &Transaction,
        reply: &mut Reply<'_>,
    ) -> bool {
        let (start, bytes_max) = (reply.len(), self.server.reply_bytes_max());
        let mut context = self.context(shards);
        let mut is_within = true;
        // The records of all its commands form one chain.
        context.shards.each(Shard::begin_command);
        let commands = transaction.commands().map(|(index, _)| TABLE.get(index));
        if are_refused(&mut context.shards, commands, reply) {
            // EXEC itself is refused then, as Redis does it.
            let refusal = error_text::exec_abort(reply.error_at(start).unwrap_or_default());
            reply.truncate(start);
            reply.error(refusal);
            return true;
        }
        if transaction.has_met_change(&mut context.shards) {
            reply.null_array();
            return true;
        }
        reply.array(transaction.len());
        for (index, database, args) in transaction.queued() {
            context.database = database;
            let caller = client.as_ref().and_then(|client| client.resp.caller());
            // The log has room for one turn; a transaction may take several.
            context.shards.each(Shard::make_room);
            // HELLO among the commands changes the protocol of those behind it.
            let protocol = client.as_ref().map_or(reply.protocol(), |client| client.resp.version);
            let mut reply = reply.for_protocol(protocol);
            if !user.is_unlimited()
                && let Err(refused) = check(user, index, args)
            {
                if let Some(RespClient { session, resp }) = &client {
                    note_denied(self.server, (session, resp), &refused, (true, self.now_ms));
                }
                let text = refused.text_at_exec();
                self.server.statistics(self.core).reject(Some(index), text.as_bytes());
                reply.error(text);
                continue;
            }
            self.server.statistics(self.core).call(index);
            let own = client.as_mut().map(RespClient::reborrow);
            let (runner, begun) = (self.for_caller(caller), reply.len());
            let started = (!TABLE.is_short(index) || self.server.slow_log.times_all()).then(Instant::now);
            if runner.run_within(&mut context, (Some(user), own), index, args, &mut reply) == Ended::Elsewhere {
                reply.error(error_text::SCRIPT_ELSEWHERE);
            }
            if client.as_ref().is_some_and(|client| client.resp.silence == Silence::All) {
                reply.truncate(begun);
            }
            if let (Some(started), Some(client)) = (started, &client) {
                slow::note(self.server, client.session, (index, args), started.elapsed());
            }
            if let Some(client) = client.as_ref().filter(|_| self.channels.has_monitors()) {
                monitor::tell(self.channels, Some(client), client.resp.database, (index, args));
            }
            if reply.len() - start > bytes_max {
                is_within = false;
                reply.truncate(start);
            }
        }
        if let Some(client) = client {
            client.resp.end_command(|| false);
        }
        is_within
    }

    /// Runs one command where all shards that it needs are at hand; only a script may turn out to need others.
    pub(super) fn run_within(
        self,
        context: &mut KeysContext<'_>,
        (user, client): (Option<&User>, Option<RespClient<'_>>),
        index: CommandIndex,
        args: Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Ended {
        let command = TABLE.get(index);
        if let Run::Script(call) = command.run {
            // Its client has left, and its rights with it.
            let Some(user) = user else { return Ended::Replied };
            return self.run_script(context, user, (index, call), args, reply);
        }
        if self.caller.is_some() {
            self.begin_for_caller(context.shards.reborrow());
        }
        self.server.statistics(self.core).run(index, reply, |reply| {
            if !is_refused_by_log_of(&mut context.shards, command, reply) {
                context.event = None;
                run_one(context, client, command, args, reply);
                let event = context.event.take();
                context.shards.each(|shard| shard.end_changes(event));
            }
        });
        if let Some(caller) = self.caller {
            end_for_caller(caller, context.shards.reborrow(), command, args);
        }
        Ended::Replied
    }

    fn context<'s>(&'s self, shards: Shards<'s>) -> KeysContext<'s> {
        let &Runner { server, scripts, channels, now_ms, database, .. } = self;
        KeysContext { shards, channels, scripts, server, now_ms, database, event: None }
    }
}

/// Notes what a client has read that caches it, and that it makes no further changes.
#[cold]
fn end_for_caller(caller: Caller, mut shards: Shards<'_>, command: &Command, args: Args<'_>) {
    if caller.caching.is_author {
        shards.each(|shard| shard.readers_mut().set_author(None));
    }
    if caller.caching.leaves_use {
        shards.each(|shard| shard.leave_use(false));
    }
    if caller.caching.remembers && command.is(Flag::Readonly) && !command.is(Flag::PubSub) {
        for key in command.keys.of(args) {
            shards.of(key).add_reader(key, caller.id);
        }
    }
}

/// Runs one command where all shards that it needs are at hand.
fn run_one(
    context: &mut KeysContext<'_>,
    client: Option<RespClient<'_>>,
    command: &Command,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) {
    match command.run {
        Run::Keys { run, .. } | Run::AllShards(run) | Run::Publish(run) => run(context, args, reply),
        Run::Waiting { run, .. } => {
            // It never waits here.
            let shards = context.shards.reborrow();
            let mut waiting = WaitContext { shards, waiter: None, state: None, event: None };
            run(&mut waiting, args, reply);
            context.event = waiting.event;
        }
        // One shard's reply is whole: there is nothing to merge.
        Run::Shards { run, .. } | Run::EachShard { run, .. } if context.server.shards() == 1 => {
            run(context, args, reply)
        }
        // The command may name shards that were not lent to the transaction; `gather` leaves their parts out.
        Run::Shards { part, shards, merge, .. } => {
            gather(context, part, merge, shards(args, context.server), args, reply)
        }
        Run::EachShard { part, merge, .. } => gather(context, part, merge, 0..context.server.shards(), args, reply),
        Run::Select(select) => match select(args, context.server) {
            Ok(database) => {
                if let Some(RespClient { resp, .. }) = client {
                    resp.database = database;
                }
                reply.ok();
            }
            Err(text) => reply.error(text),
        },
        Run::Session(run) => {
            // The client has disconnected.
            let Some(RespClient { session, resp }) = client else { return };
            run(&mut SessionContext { session, resp, server: context.server, now_ms: context.now_ms }, args, reply);
        }
        Run::History(run) if !command.is(Flag::NoMulti) => {
            // It only looks at figures, and answers at once.
            let server = context.server;
            let mut history = History::new(server.sequencer.clone(), &server.histories).with_older(&server.older);
            let (state, now_ms) = (&mut DeferredState::default(), context.now_ms);
            run(&mut HistoryContext { history: &mut history, state, server, now_ms }, args, reply);
        }
        Run::EachCore { own: Some(run), .. } => {
            let Some(RespClient { session, resp }) = client else { return };
            run(&mut SessionContext { session, resp, server: context.server, now_ms: context.now_ms }, args, reply);
        }
        Run::Channels(Step { kind: Kind::Monitor, .. }) => reply.error(error_text::MONITOR_IN_EXEC),
        Run::Container(_)
        | Run::EachCore { .. }
        | Run::History(_)
        | Run::Subscription(_)
        | Run::Group { .. }
        | Run::Channels(Step { kind: Kind::Channel | Kind::Pattern | Kind::Shard, .. })
        | Run::Script(_)
        | Run::Transaction(_) => {
            reply.error(error_text::NOT_IN_MULTI);
        }
    }
}

/// Runs a command on each of these shards that is at hand, and makes one reply of the parts.
fn gather(
    context: &mut KeysContext<'_>,
    run: RunPart,
    merge: Merge,
    wanted: Range<u16>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) {
    let KeysContext { shards, channels, scripts, server, now_ms, database, .. } = context;
    let (channels, scripts, server, now_ms, database) = (*channels, *scripts, *server, *now_ms, *database);
    let mut parts = Vec::new();
    shards.each(|shard| {
        // Parts are merged in ascending order of shards, so they end before the first shard that is not at hand.
        if wanted.start as usize + parts.len() == usize::from(shard.id().0) && wanted.contains(&shard.id().0) {
            let mut part = Vec::new();
            let shards = Shards::One(shard);
            let mut context = KeysContext { shards, channels, scripts, server, now_ms, database, event: None };
            run(&mut context, args, &mut PartWriter::new(&mut part));
            parts.push(part);
        }
    });
    merge.write(&parts, &[], reply);
}
