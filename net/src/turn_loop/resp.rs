//! The Redis protocol on a connection: its bytes become commands, some parsed before the first of them runs, and each is
//! checked and sent to where it runs.

use super::{Core, databases};
use crate::command::connection::keeps_caching;
use crate::command::table::TABLE;
use crate::command::transaction::Step;
use crate::command::{Command, Flag, Run};
use crate::connection::{Connection, Output, ProtocolState, Replies, RespSession, RespState, Silence, Stall};
use crate::limits::{
    BEHIND_BYTES_MAX, HEAVY_BYTES, HEAVY_TIME, INPUT_CLAIM_BYTES, LARGE_COMMAND_BYTES, OUTPUT_LOOK_BYTES,
};
use crate::mesh::message::{Asker, ReplyForm, ReplyTo, Request};
use crate::net_ring::ConnectionId;
use crate::resp::{Args, CommandIndex, Lookahead, Next, OwnedArgs, ProtocolError, Reply, error_text};
use crate::session::{Closing, Session};
use crate::weight::Weight;
use keytide_engine::limits::COMMANDS_AHEAD;
use keytide_engine::position::ShardId;
use keytide_engine::slot::shard_of;
use keytide_engine::subscription::ClientId;
use std::borrow::Cow;

/// A connection without what its commands are parsed from, so that they can run while their bytes are borrowed.
pub(super) struct Client<'a> {
    pub id: ConnectionId,
    pub session: &'a mut Session,
    pub resp: &'a mut RespSession,
    pub replies: &'a mut Replies,
    pub output: &'a mut Output,
    pub stall: &'a mut Option<Stall>,
    weight: Weight,
    /// Its subscriber, where it has one.
    pub subscriber: Option<ClientId>,
    /// Its output that is queued or being sent, bytes.
    queued_bytes: usize,
    /// How many bytes of replies it had when they were counted last.
    counted_bytes: usize,
    /// Beyond so many bytes of replies they are counted anew.
    look_at_bytes: usize,
}

impl Client<'_> {
    /// Whether its next command may run.
    #[inline]
    fn may_go_on(&self) -> bool {
        self.stall.is_none() && self.session.closing == Closing::No
    }

    /// Where a reply that is made here is written.
    pub fn reply(&mut self) -> Reply<'_> {
        Reply::new(self.replies.here(self.output.ready()), self.resp.version)
    }

    /// For whom its commands run on other cores, where one of them makes the whole reply.
    #[inline]
    pub fn asker(&self) -> Asker {
        let (form, database) = (ReplyForm::Whole(self.resp.version), self.resp.database);
        Asker { form, client: self.session.client, database, caching: self.resp.caching(), weight: self.weight }
    }

    /// A command of it that runs later. `from` is the core that asks for it.
    pub fn request(&self, from: ShardId, command: CommandIndex, to: ReplyTo, args: Args<'_>) -> Request {
        let Asker { form, client, database, caching, .. } = self.asker();
        Request { from, command, form, client, database, caching, to, args: OwnedArgs::from(args) }
    }

    /// The bytes of its replies that are made.
    #[inline]
    fn held_bytes(&self) -> usize {
        self.output.ready_bytes() + self.replies.behind_bytes()
    }

    /// The bytes of its replies, with an estimate of those that are on their way.
    #[inline]
    fn reply_bytes(&self) -> usize {
        self.held_bytes() + self.replies.reserved_bytes()
    }
}

impl Core {
    /// Runs the whole commands at the beginning of `buffer`; answers how many bytes they were.
    pub(super) fn run_commands(&mut self, connection: &mut Connection, buffer: &[u8]) -> usize {
        if connection.session.users_version != self.server.users.version() {
            self.refresh_rights(&mut connection.session);
        }
        self.note_changes();
        let queued_bytes = connection.output.queued_or_sending_bytes();
        let Connection { id, session, protocol, replies, output, stall, weight, subscriber, .. } = connection;
        let ProtocolState::Resp(RespState { parser, session: resp }) = protocol else { return buffer.len() };
        let spent = self.budget.spent();
        let mut client = Client {
            id: *id,
            session,
            resp,
            replies,
            output,
            stall,
            weight: weight.now(),
            subscriber: *subscriber,
            queued_bytes,
            counted_bytes: 0,
            look_at_bytes: 0,
        };
        let held_bytes = client.held_bytes();
        client.counted_bytes = held_bytes;
        client.look_at_bytes = self.look_at_bytes(&client);
        let mut ahead = std::mem::take(&mut self.ahead);
        let mut at = 0;
        if parser.is_skipping() {
            at = self.skip(&mut client, parser, buffer);
        }
        while client.may_go_on() && !parser.is_skipping() {
            let authenticated = client.session.authenticated;
            parser.limits_mut().authenticated = authenticated;
            // What may be parsed after a login is known after it.
            let max = if authenticated { usize::MAX } else { 1 };
            let (reached, next) = ahead.find(parser, buffer, at, max);
            if reached - at >= INPUT_CLAIM_BYTES {
                // For what the commands make of it; where that is not left, those that would use it are refused.
                self.server.memory.claim((reached - at) as u64);
            }
            let shards = self.look_ahead(&ahead, buffer);
            let mut count = 0;
            while count < ahead.len()
                && client.session.authenticated == authenticated
                && self.run_command(&mut client, ahead.args(count, buffer), shards[count])
            {
                count += 1;
            }
            // What follows a login or its end is parsed anew, by what is then allowed.
            let is_another = client.session.authenticated != authenticated;
            at = if count < ahead.len() { ahead.start(count) } else { reached };
            if count < ahead.len() || is_another {
                parser.restart();
                if is_another { continue } else { break }
            }
            match next {
                Next::Unknown => {}
                Next::Incomplete => {
                    let is_large = parser.bytes_wanted() > LARGE_COMMAND_BYTES && client.may_go_on();
                    if is_large && self.refuse_begun(&mut client, parser, &buffer[at..]) {
                        at = buffer.len();
                    }
                    break;
                }
                Next::Inline { end } => {
                    if self.run_command(&mut client, parser.args(&buffer[at..]), None) {
                        at = end;
                    } else {
                        break;
                    }
                }
                Next::Error(error) if client.may_go_on() => self.end_for(&mut client, error),
                Next::Error(_) => break,
            }
        }
        self.ahead = ahead;
        let made = client.held_bytes().saturating_sub(held_bytes);
        if at + made > HEAVY_BYTES || self.budget.spent() - spent > HEAVY_TIME {
            weight.note_heavy();
        }
        self.budget.spend(client.held_bytes().saturating_sub(client.counted_bytes));
        if client.session.is_stranger() != client.session.stranger_since.is_some() {
            self.note_authentication(client.id, client.session);
        }
        if client.session.has_new_rights {
            self.renewed.push(client.id);
        }
        if client.session.stranger_since.is_some() {
            self.ends_for_bytes(client.session, client.held_bytes());
        }
        at
    }

    /// Ends a client whose input cannot be understood.
    #[cold]
    pub(super) fn end_for(&self, client: &mut Client<'_>, error: ProtocolError) {
        if !error.is_silent() {
            let text = error.wire_text();
            self.server.statistics(self.id).reject(None, text.as_ref());
            client.reply().error(text);
        }
        client.session.closing = Closing::AfterReplies;
    }

    /// Beyond how many bytes of replies a client's are to be counted.
    #[inline]
    fn look_at_bytes(&self, client: &Client<'_>) -> usize {
        let room = self.unread.output.level().saturating_sub(client.queued_bytes);
        room.min(client.reply_bytes() + OUTPUT_LOOK_BYTES.min(self.budget.bytes_left()))
    }

    /// Counts a client's output, and stalls it where that is too much.
    #[cold]
    fn count_replies(&mut self, client: &mut Client<'_>) {
        let held = client.held_bytes();
        self.budget.spend(held.saturating_sub(client.counted_bytes));
        client.counted_bytes = held;
        // What is held behind a reply that is still on its way cannot be sent before that one has come.
        let is_waiting = client.replies.waiting() > 0;
        let is_full = client.queued_bytes + client.reply_bytes() > self.unread.output.level()
            || is_waiting && client.replies.behind_bytes() > BEHIND_BYTES_MAX;
        if is_full && client.stall.is_none() {
            *client.stall = Some(if is_waiting { Stall::Replies } else { Stall::Output });
        }
        client.look_at_bytes = self.look_at_bytes(client);
    }

    /// Asks for the memory that commands will touch here, and answers the shard of each one's first argument where there
    /// are several shards. That argument of nearly all commands is a key; where it is none, little is lost.
    #[inline]
    fn look_ahead(&self, ahead: &Lookahead, buffer: &[u8]) -> [Option<ShardId>; COMMANDS_AHEAD] {
        let mut shards = [None; COMMANDS_AHEAD];
        if ahead.len() < 2 {
            return shards;
        }
        let total = self.server.shards();
        let key = |command: usize| ahead.args(command, buffer).try_get(1);
        if total > 1 {
            let commands = shards.iter_mut().enumerate().take(ahead.len());
            commands.for_each(|(n, shard)| *shard = key(n).map(|key| shard_of(key, total)));
        }
        if let Some(shard) = self.shard.as_deref() {
            let is_here = |command: &usize| total == 1 || shards[*command] == Some(self.id);
            shard.prefetch((0..ahead.len()).filter(is_here).filter_map(key));
        }
        shards
    }

    /// Runs one command if the client may go on. False where it does not, or has to wait: the command is then not
    /// consumed. `first_shard` is the shard of its first argument, where that is known already.
    #[inline]
    fn run_command(&mut self, client: &mut Client<'_>, args: Args<'_>, first_shard: Option<ShardId>) -> bool {
        if !client.may_go_on() {
            return false;
        }
        let is_done = match client.resp.silence {
            Silence::No => self.execute(client, args, first_shard),
            _ => self.execute_silently(client, args, first_shard),
        };
        if !is_done {
            return false;
        }
        if client.reply_bytes() > client.look_at_bytes {
            self.count_replies(client);
        }
        if self.budget.is_over() && client.stall.is_none() {
            *client.stall = Some(Stall::Turn);
        }
        true
    }

    /// Runs one command, or sends it to where it runs. False where it has to wait: it is then not consumed, and the
    /// client's stall says for what.
    pub(super) fn execute(&mut self, client: &mut Client<'_>, args: Args<'_>, first_shard: Option<ShardId>) -> bool {
        let index = match TABLE.resolve(args) {
            Ok(index) => index,
            Err(text) => {
                if !self.paces.is_limited() || !self.refuse_pace(client, None, args) {
                    self.reject(client, args, &text);
                }
                return true;
            }
        };
        let command = TABLE.get(index);
        if self.paces.is_limited() && self.refuse_pace(client, Some(command), args) {
            return true;
        }
        if !client.session.is_unlimited && self.refuse_access(client, (index, command), args) {
            return true;
        }
        if client.resp.is_only_subscriber(client.session) && !command.is(Flag::WhileSubscribed) {
            let text = TABLE.not_while_subscribed(command, client.session.subscriptions > 0);
            self.reject(client, args, text.as_bytes());
            return true;
        }
        let given = args;
        if client.session.channels.monitors > 0 && (command.is(Flag::Readonly) || command.is(Flag::Write)) {
            self.reject(client, args, error_text::MONITOR_ONLY.as_bytes());
            return true;
        }
        let (named, first_shard) = match client.resp.database {
            database if databases::may_name(command, database) => (databases::named(command, args, database), None),
            _ => (None, first_shard),
        };
        // Names before flags: hardly any is such a one, and the flags then need not be fetched.
        if command.keys.of(args).any(databases::may_be_refused)
            && let Some(text) = databases::refusal(command, args, client.resp.database)
        {
            self.reject(client, args, &text);
            return true;
        }
        let args = named.as_ref().map_or(args, |named| named.as_args());
        // Outside a transaction a command meets the limit of keys where it runs.
        let is_short = self.server.memory.is_short() || client.resp.transaction.is_some() && self.has_full_shard();
        if is_short && self.refuse_growth(client, command, args) {
            return true;
        }
        if self.server.pause.word() != 0 && self.waits_for_pause(client, command) {
            return false;
        }
        if client.resp.transaction.is_some() && !command.is(Flag::Immediate) {
            if command.is(Flag::NoMulti) {
                self.reject(client, args, error_text::NOT_IN_MULTI.as_bytes());
                return true;
            }
            match self.large_error(command, args) {
                Some(text) => self.reject(client, args, text.as_bytes()),
                None => self.queue(client, index, args),
            }
            return true;
        }
        if self.is_telling_much && (self.channels.has_monitors() || may_change_keys(command)) {
            *client.stall = Some(Stall::Turn);
            return false;
        }
        // Before it runs: CLIENT LIST shows itself.
        client.session.last_command = command.name;
        client.session.active_ms = self.steady_ms;
        if let Some(tracking) = &mut client.resp.tracking {
            tracking.begin_command();
        }
        let told = self.channels.has_monitors().then(|| self.tell_monitors_before(client, (index, given)));
        let is_short = TABLE.is_short(index) && !self.times_all;
        let waiting = client.replies.waiting();
        if !is_short {
            self.budget.begin_command();
        }
        let done = self.dispatch(client, (index, command), args, first_shard);
        let took = self.budget.note_command(is_short);
        if let Some(took) = took.filter(|_| done) {
            // What runs elsewhere, or later, is timed there; of parts that are put together, the one that runs here.
            let is_elsewhere = client.replies.waiting() > waiting && !client.replies.ends_with_parts();
            if !is_elsewhere || matches!(command.run, Run::Channels(_)) {
                self.note_own(client, (index, given), took);
            }
        }
        if let Some(told) = told {
            self.tell_monitors_after(client, (index, given), (told, done));
        }
        if done {
            self.figures.commands += 1;
            self.server.statistics(self.id).call(index);
            client.resp.end_command(|| keeps_caching(command));
        } else if self.paces.is_limited() {
            self.paces.uncount(client.session.user());
        }
        done
    }

    /// Answers an error to a command that is not run. A transaction that the command was meant for will not run either,
    /// and one that EXEC was to run is discarded, whatever is wrong with the EXEC.
    #[cold]
    pub(super) fn reject(&self, client: &mut Client<'_>, args: Args<'_>, text: &[u8]) {
        let command = TABLE.index_of(&args[0]);
        let is_exec = command.is_some_and(|index| matches!(TABLE.get(index).run, Run::Transaction(Step::Exec)));
        let text = if is_exec { Cow::from(error_text::exec_abort(text)) } else { Cow::from(text) };
        match &mut client.resp.transaction {
            _ if is_exec => {
                client.resp.end_transaction();
                client.resp.end_command(|| false);
            }
            Some(transaction) => transaction.fail(),
            None => client.resp.end_command(|| false),
        }
        self.server.statistics(self.id).reject(command, &text);
        client.reply().error(text);
    }
}

/// Whether a command may change keys, by itself or by those that it runs.
#[cold]
fn may_change_keys(command: &Command) -> bool {
    command.may_write() || matches!(command.run, Run::Transaction(Step::Exec) | Run::Script(_))
}
