//! Scripts: on which shards they run, and how the commands that they call run.
//!
//! A script may use keys that it was not given, of any shard. So a script that has not run yet on this core runs over all
//! shards, which are held. One that has only used keys that it was given runs on the shards of these from then on. Where it
//! meets another shard all the same it begins anew over all shards, unless it has written already: then that command is an
//! error, and its next run is over all shards.

use super::hold::RespWork;
use super::resp::Client;
use super::runner::Runner;
use super::write_admission::is_memory_full;
use super::{Core, databases, monitor};
use crate::access::User;
use crate::command::access::check;
use crate::command::redis_stream::asks_to_wait;
use crate::command::scripting::{ScriptCall, keys_and_args, reply_no_script};
use crate::command::table::TABLE;
use crate::command::{Command, Flag, KeysContext, Run};
use crate::resp::{Args, CommandIndex, OwnedArgs, Protocol, Reply, error_text};
use crate::scripting::{Called, Caller, Ended, NoScript, Reach, Script};
use crate::session::Session;
use keytide_engine::position::ShardId;
use keytide_engine::shard::Shard;
use keytide_engine::shards::Shards;
use keytide_engine::slot::{Slot, shard_of};
use keytide_engine::stream_name::Database;
use keytide_engine::waiters::Awaited;

impl Core {
    /// Runs a script for a client, here or over several shards. False where it has to wait first.
    pub(super) fn run_script(
        &mut self,
        client: &mut Client<'_>,
        (index, call): (CommandIndex, ScriptCall),
        args: Args<'_>,
    ) -> bool {
        if !self.has_all_replies(client) {
            return false;
        }
        let Some(needed) = self.shards_of_script(client, index, call, args) else { return true };
        if *needed != [self.id] {
            self.hold(client, RespWork::Command(index, client.resp.database, OwnedArgs::from(args)), needed);
            return true;
        }
        let (protocol, user) = (client.resp.version, client.session.user().clone());
        let mut reply = Reply::new(client.replies.here(client.output.ready()), protocol);
        let (database, caller) = (client.resp.database, client.resp.caller());
        let ended = self.on_shard(|runner, shard, _| {
            runner.in_database(database).for_caller(caller).run_over(
                Shards::One(shard),
                Some(&user),
                index,
                args,
                &mut reply,
            )
        });
        match ended {
            None => self.wait_for_shard(client),
            Some(Ended::Replied) => true,
            Some(Ended::Elsewhere) => {
                let all = (0..self.server.shards()).map(ShardId).collect();
                self.hold(client, RespWork::Command(index, client.resp.database, OwnedArgs::from(args)), all);
                true
            }
        }
    }

    /// The shards on which a script runs, in ascending order; none where its client has its error already.
    fn shards_of_script(
        &mut self,
        client: &mut Client<'_>,
        index: CommandIndex,
        call: ScriptCall,
        args: Args<'_>,
    ) -> Option<Vec<ShardId>> {
        let total = self.server.shards();
        if total == 1 {
            return Some(vec![self.id]);
        }
        let script = Runner::new(&self.server, &self.channels, &self.scripts, self.id, self.now_ms).script(call, args);
        let script = match script {
            Ok(script) => script,
            Err(error) => {
                let from = client.reply().len();
                reply_no_script(&mut client.reply(), error);
                self.server.statistics(self.id).note_reply(index, &client.reply(), from);
                return None;
            }
        };
        if script.reach.get() != Reach::Given {
            return Some((0..total).map(ShardId).collect());
        }
        let keys = TABLE.get(index).keys;
        let mut shards: Vec<ShardId> = keys.of(args).map(|key| shard_of(key, total)).collect();
        shards.sort_unstable();
        shards.dedup();
        Some(if shards.is_empty() { vec![self.id] } else { shards })
    }
}

impl Runner<'_> {
    /// The script of a call, compiled.
    fn script(self, call: ScriptCall, args: Args<'_>) -> Result<Script, NoScript> {
        let (texts, memory_max) = (&self.server.scripts, self.server.config.scripts.memory_bytes);
        let mut scripts = self.scripts.borrow_mut();
        match call.by_name {
            true => scripts.by_name(texts, memory_max, args.get(1)),
            false => scripts.by_text(texts, memory_max, args.get(1), false),
        }
    }

    /// Runs a script on the shards at hand.
    pub(super) fn run_script(
        self,
        context: &mut KeysContext<'_>,
        user: &User,
        (index, call): (CommandIndex, ScriptCall),
        args: Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Ended {
        let mut ended = Ended::Replied;
        self.server.statistics(self.core).run(index, reply, |reply| {
            let (keys, own) = match keys_and_args(args) {
                Ok(both) => both,
                Err(text) => return reply.error(text),
            };
            let script = match self.script(call, args) {
                Ok(script) => script,
                Err(error) => return reply_no_script(reply, error),
            };
            let total = self.server.shards();
            let is_memory_full = !script.has_no_writes && is_memory_full(&mut context.shards);
            if is_memory_full && script.has_flags && !script.allows_oom {
                return reply.error(error_text::SCRIPT_OUT_OF_MEMORY);
            }
            let mut caller = ScriptCaller {
                runner: self,
                user,
                given: keys.iter().map(|key| shard_of(key, total)).collect(),
                slots: keys.iter().map(Slot::of).collect(),
                reads_only: call.reads_only || script.has_no_writes,
                has_written: false,
                is_memory_full: is_memory_full && !script.allows_oom,
                has_used_others: false,
                database: context.database,
                context,
            };
            let time = self.server.config.scripts.time;
            // A script names keys of its database.
            let keys = keys.iter().map(Database::key_of);
            let mark = self.channels.published_mark();
            ended = self.scripts.borrow().run(&script, (keys, own.iter()), time, &mut caller, reply);
            if ended == Ended::Elsewhere {
                self.channels.unpublish(mark);
            }
            let has_used_others = caller.has_used_others || ended == Ended::Elsewhere;
            if has_used_others {
                script.reach.set(Reach::Others);
            } else if script.reach.get() == Reach::Unknown {
                script.reach.set(Reach::Given);
            }
        });
        ended
    }
}

/// Runs the commands of one run of a script.
struct ScriptCaller<'a, 'c> {
    runner: Runner<'a>,
    user: &'a User,
    context: &'a mut KeysContext<'c>,
    /// The shards of the keys that it was given.
    given: Vec<ShardId>,
    /// Their slots.
    slots: Vec<Slot>,
    reads_only: bool,
    has_written: bool,
    /// Whether there was no memory for what uses more of it when the script began.
    is_memory_full: bool,
    /// Whether it has used keys of other slots, which may be on other shards.
    has_used_others: bool,
    /// The database that it has selected; its client's at first.
    database: Database,
}

/// The shards that a command needs.
enum Needed {
    All,
    These(Vec<ShardId>),
}

impl ScriptCaller<'_, '_> {
    fn refusal(&self, index: CommandIndex, command: &Command, args: Args<'_>) -> Option<String> {
        let may_run = match command.run {
            Run::Keys { .. } | Run::Waiting { .. } | Run::Shards { .. } | Run::EachShard { .. } => true,
            Run::AllShards(_) | Run::Publish(_) | Run::Select(_) => true,
            Run::Session(_) => command.is(Flag::Fast) && !command.is(Flag::NoAuth),
            _ => false,
        };
        // Those that wait for a Redis stream need not: without the option they only read it.
        let may_not_wait = matches!(command.run, Run::Waiting { awaited: Awaited::RedisStream, .. });
        if !may_run || command.is(Flag::NoScript) || command.is(Flag::Blocking) && !may_not_wait {
            return Some("ERR This Redis command is not allowed from script".to_owned());
        }
        if may_not_wait && asks_to_wait(args) {
            return Some(format!("ERR {} command is not allowed with BLOCK option from scripts", command.name));
        }
        if !self.user.is_unlimited()
            && let Err(refused) = check(self.user, index, args)
        {
            return Some(refused.text().into_owned());
        }
        if self.reads_only && (command.is(Flag::Write) || matches!(command.run, Run::Publish(_))) {
            return Some("ERR Write commands are not allowed from read-only scripts.".to_owned());
        }
        // As in Redis: a script that has written goes on.
        let is_short = self.runner.server.memory.is_short() || self.is_memory_full && !self.has_written;
        if command.is(Flag::Denyoom) && is_short {
            return Some(error_text::OUT_OF_MEMORY.to_owned());
        }
        let text = databases::refusal(command, args, self.database)?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    fn needed(&self, command: &Command, args: Args<'_>) -> Needed {
        let total = self.runner.server.shards();
        match command.run {
            Run::AllShards(_) | Run::EachShard { .. } => Needed::All,
            Run::Shards { shards, .. } => Needed::These(shards(args, self.runner.server).map(ShardId).collect()),
            _ => Needed::These(command.keys.shards(args, total)),
        }
    }
}

impl Caller for ScriptCaller<'_, '_> {
    fn call(&mut self, args: Args<'_>, protocol: Protocol, out: &mut Vec<u8>) -> Called {
        let mut reply = Reply::new(out, protocol);
        let index = match TABLE.resolve(args) {
            Ok(index) => index,
            Err(text) => {
                let is_known = TABLE.index_of(args.get(0)).is_some();
                reply.error(match is_known {
                    true if text.starts_with(b"ERR wrong number") => {
                        &b"ERR Wrong number of args calling Redis command from script"[..]
                    }
                    true => &text,
                    false => b"ERR Unknown Redis command called from script",
                });
                return Called::Replied;
            }
        };
        let command = TABLE.get(index);
        if let Some(text) = self.refusal(index, command, args) {
            reply.error(text);
            return Called::Replied;
        }
        if let Run::Select(select) = command.run {
            match select(args, self.runner.server) {
                Ok(database) => {
                    self.database = database;
                    reply.ok();
                }
                Err(text) => reply.error(text),
            }
            return Called::Replied;
        }
        let may_name = databases::may_name(command, self.database);
        let named = may_name.then(|| databases::named(command, args, self.database)).flatten();
        let args = named.as_ref().map_or(args, |named| named.as_args());
        let total = self.runner.server.shards();
        let needed = match self.needed(command, args) {
            Needed::All => (0..total).map(ShardId).collect(),
            Needed::These(shards) => shards,
        };
        self.has_used_others |= needed.iter().any(|shard| !self.given.contains(shard))
            || total > 1 && command.keys.of(args).any(|key| !self.slots.contains(&Slot::of(key)));
        if !needed.iter().all(|shard| self.context.shards.has(*shard)) {
            if !self.has_written {
                return Called::Elsewhere;
            }
            reply.error(
                "ERR Script has written, and then uses a key of another shard that is not among its KEYS. Run it again",
            );
            return Called::Replied;
        }
        self.has_written |= command.is(Flag::Write);
        // The log has room for one turn; a script may take several.
        self.context.shards.each(Shard::make_room);
        self.runner.server.statistics(self.runner.core).call(index);
        let callers = std::mem::replace(&mut self.context.database, self.database);
        self.runner.run_in_script(self.context, index, args, &mut reply);
        if self.runner.channels.has_monitors() {
            monitor::tell(self.runner.channels, None, self.database, (index, args));
        }
        self.context.database = callers;
        Called::Replied
    }
}

impl Runner<'_> {
    /// Runs one command of a script.
    fn run_in_script(self, context: &mut KeysContext<'_>, index: CommandIndex, args: Args<'_>, reply: &mut Reply<'_>) {
        let Run::Session(run) = TABLE.get(index).run else {
            self.run_within(context, (None, None), index, args, reply);
            return;
        };
        // PING and the like: of a session that nobody has.
        let (users, version) = self.server.users.table();
        let mut session = Session::new(0, (&users, version), (None, None), 0);
        let mut resp = crate::connection::RespSession { version: reply.protocol(), ..Default::default() };
        let mut context = crate::command::SessionContext {
            session: &mut session,
            resp: &mut resp,
            server: self.server,
            now_ms: self.now_ms,
        };
        run(&mut context, args, reply);
    }
}
