//! What comes from other cores, and this core's own part of what every core was asked.

use super::output::list;
use super::room::is_refused;
use super::{Core, Request};
use crate::command::table::CommandIndex;
use crate::command::table::TABLE;
use crate::command::{CoreContext, KeysContext, Run};
use crate::mesh::message::ReplyTo;
use crate::mesh::message::{Arena, Message};
use crate::resp::{Args, OwnedArgs, Protocol, Reply};
use keytide_engine::limits::COMMANDS_AHEAD;
use keytide_engine::position::ShardId;
use keytide_engine::shards::Shards;

/// A command from another core, its arguments borrowed from the batch.
struct Asked<'a> {
    from: ShardId,
    command: CommandIndex,
    protocol: Protocol,
    client: u64,
    to: ReplyTo,
    args: Args<'a>,
}

impl Core {
    /// Handles all that the lanes have brought. Tells whether there was anything.
    pub(super) fn take_messages(&mut self) -> bool {
        let mut work = false;
        for request in std::mem::take(&mut self.own_requests) {
            self.run_request(&request);
            work = true;
        }
        for lane in 0..self.inbound.len() {
            // What is there now: a turn ends even if another core never stops sending.
            for _ in 0..self.inbound[lane].1.len() {
                let (from, receiver) = &mut self.inbound[lane];
                let from = *from;
                let Some(mut batch) = receiver.pop() else { break };
                let mut messages = batch.take_messages();
                let mut rest = messages.drain(..);
                while !rest.as_slice().is_empty() {
                    self.prefetch_asked(rest.as_slice(), batch.arena());
                    for message in rest.by_ref().take(COMMANDS_AHEAD) {
                        self.take_message(from, message, batch.arena());
                    }
                }
                drop(rest);
                let batch = batch.recycle(messages);
                if let Some(outbound) = &mut self.outbound[from.0 as usize] {
                    outbound.keep(batch);
                }
                work = true;
            }
        }
        work
    }

    /// Asks for the memory that the next commands of a batch will touch, as is done for a connection's.
    fn prefetch_asked(&self, messages: &[Message], arena: Arena<'_>) {
        let key = |message: &Message| match message {
            Message::Run { args, .. } => arena.args(args).try_get(1),
            Message::Reply { .. }
            | Message::Lend
            | Message::Lent(_)
            | Message::Return(_)
            | Message::Gone(_)
            | Message::Ask(_)
            | Message::Fanned(_) => None,
        };
        if let Some(shard) = self.shard.as_deref() {
            shard.prefetch(messages.iter().take(COMMANDS_AHEAD).filter_map(key));
        }
    }

    fn take_message(&mut self, from: ShardId, message: Message, arena: Arena<'_>) {
        match message {
            Message::Run { command, protocol, client, to, args } => {
                self.run_asked(Asked { from, command, protocol, client, to, args: arena.args(&args) });
            }
            Message::Reply { to, bytes } => {
                if let Some(connection) = self.connections.get(to.connection) {
                    connection.replies.deliver(to.number, to.part, arena.bytes(&bytes));
                    list(&mut self.listed, connection);
                }
            }
            Message::Lend => self.lend_queue.push_back(from),
            Message::Lent(shard) => self.take_lent(shard.0),
            Message::Return(shard) => self.take_back(shard.0),
            Message::Gone(connection) => self.end_waits(from, connection),
            Message::Ask(ask) => self.fanout.ask(from, ask),
            Message::Fanned(batch) => self.take_fanned(from, batch),
        }
    }

    /// Runs a command that was kept.
    pub(super) fn run_request(&mut self, request: &Request) {
        let &Request { from, command, protocol, client, to, ref args } = request;
        self.run_asked(Asked { from, command, protocol, client, to, args: args.as_args() });
    }

    fn run_asked(&mut self, asked: Asked<'_>) {
        let Asked { from, command: index, protocol, client, to, args } = asked;
        match TABLE.get(index).run {
            Run::Keys { run, .. } | Run::Shards { run, .. } | Run::EachShard { run, .. } => {
                let Some(shard) = self.shard.as_deref_mut() else {
                    let args = OwnedArgs::from(args);
                    let request = Request { from, command: index, protocol, client, to, args };
                    self.requests_for_shard.push_back(request);
                    return;
                };
                shard.begin_command();
                let Some(outbound) = &mut self.outbound[from.0 as usize] else { return };
                outbound.batch().reply(to, |out| {
                    let mut reply = Reply::new(out, protocol);
                    if !is_refused(shard, TABLE.get(index), &mut reply) {
                        let shards = Shards::One(shard);
                        let mut context = KeysContext { shards, server: &self.server, now_ms: self.now_ms };
                        run(&mut context, args, &mut reply);
                    }
                });
            }
            Run::EachCore { run, .. } => {
                let mut out = Vec::new();
                let mut context = CoreContext {
                    connections: &mut self.connections,
                    client,
                    groups: &mut self.groups,
                    history: &self.history,
                    server: &self.server,
                    now_ms: self.now_ms,
                    steady_ms: self.steady_ms,
                };
                run(&mut context, args, &mut Reply::new(&mut out, protocol));
                // It may have ended some of them.
                self.connections.iter().for_each(|connection| {
                    if connection.is_finished() {
                        list(&mut self.listed, connection);
                    }
                });
                self.deliver(from, to, &out);
            }
            Run::Group { .. } => self.defer(from, index, protocol, to, OwnedArgs::from(args)),
            Run::Container(_)
            | Run::Session(_)
            | Run::AllShards(_)
            | Run::History(_)
            | Run::Subscription(_)
            | Run::Transaction(_) => {
                unreachable!("it never leaves its client's core")
            }
        }
    }
}
