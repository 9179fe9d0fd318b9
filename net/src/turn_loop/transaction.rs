//! MULTI, EXEC and DISCARD: commands are kept until EXEC, which runs them here or over the shards that they need, with those of
//! the keys that WATCH has named.

use super::Core;
use super::hold::RespWork;
use super::resp::Client;
use crate::command::table::TABLE;
use crate::command::transaction::Step;
use crate::command::{Keys, RespClient, Run};
use crate::resp::{Args, CommandIndex, OwnedArgs, Reply, Transaction, error_text};
use keytide_engine::position::ShardId;
use keytide_engine::shards::Shards;
use keytide_engine::slot::shard_of;

impl Core {
    /// Keeps a command for EXEC.
    pub(super) fn queue(&mut self, client: &mut Client<'_>, index: CommandIndex, args: Args<'_>) {
        let Some(transaction) = &mut client.resp.transaction else { return };
        match transaction.queue(index, client.resp.database, args) {
            Ok(()) => {
                // What is queued next is of the database that will be selected then.
                if let Run::Select(select) = TABLE.get(index).run
                    && let Ok(database) = select(args, &self.server)
                {
                    client.resp.database = database;
                }
                client.reply().simple("QUEUED");
            }
            Err(error) => client.reply().error(error_text::err(&error)),
        }
    }

    /// MULTI, EXEC, DISCARD or WATCH.
    pub(super) fn step_transaction(&mut self, client: &mut Client<'_>, step: Step, args: Args<'_>) -> bool {
        let open = client.resp.transaction.is_some();
        match step {
            Step::Multi if open => {
                client.reply().error(error_text::MULTI_NESTED);
            }
            Step::Multi => {
                let transaction = Transaction::new(&self.server.accounts.transactions, client.resp.database);
                client.resp.transaction = Some(Box::new(transaction));
                client.reply().ok();
            }
            Step::Discard if open => {
                client.resp.end_transaction();
                client.reply().ok();
            }
            Step::Discard => client.reply().error(error_text::DISCARD_WITHOUT_MULTI),
            Step::Exec if open => return self.exec(client),
            Step::Exec => client.reply().error(error_text::EXEC_WITHOUT_MULTI),
            Step::Watch if open => client.reply().error(error_text::WATCH_IN_MULTI),
            Step::Watch => return self.watch_keys(client, args),
        }
        true
    }

    /// Begins to watch keys, on their shards. False where the connection has to wait first.
    fn watch_keys(&mut self, client: &mut Client<'_>, args: Args<'_>) -> bool {
        let needed = self.shards_of_keys(Keys::ALL, args);
        if needed != [self.id] {
            if !self.has_all_replies(client) {
                return false;
            }
            self.hold(client, RespWork::Watch(OwnedArgs::from(args)), needed);
            return true;
        }
        let mut reply = Reply::new(client.replies.here(client.output.ready()), client.resp.version);
        let own = RespClient { session: client.session, resp: client.resp };
        let done = self.on_shard(|runner, shard, _| runner.watch(Shards::One(shard), own, args, &mut reply));
        done.is_some() || self.wait_for_shard(client)
    }

    fn exec(&mut self, client: &mut Client<'_>) -> bool {
        let Some(mut transaction) = client.resp.transaction.take() else { return true };
        transaction.watch(client.resp.watches.take());
        client.resp.database = transaction.begun_in();
        if transaction.has_failed() {
            client.reply().error(error_text::EXEC_ABORT);
            return true;
        }
        let needed = self.shards_of(&transaction);
        if needed.iter().any(|shard| *shard != self.id) {
            if !self.has_all_replies(client) {
                client.resp.transaction = Some(transaction);
                return false;
            }
            let user = client.session.user().clone();
            self.hold(client, RespWork::Transaction(*transaction, user), needed);
            return true;
        }
        if self.shard.is_none() {
            client.resp.transaction = Some(transaction);
            return self.wait_for_shard(client);
        }
        let (protocol, user) = (client.resp.version, client.session.user().clone());
        let mut reply = Reply::new(client.replies.here(client.output.ready()), protocol);
        let own = RespClient { session: client.session, resp: client.resp };
        let is_within = self.on_shard(|runner, shard, _| {
            runner.run_transaction(Shards::One(shard), (&user, Some(own)), &transaction, &mut reply)
        });
        if is_within == Some(false) {
            self.close_for_reply(client.session);
        }
        true
    }

    /// The shards that a transaction's commands work on, and those of the keys that it watches, in ascending order.
    fn shards_of(&self, transaction: &Transaction) -> Vec<ShardId> {
        let total = self.server.shards();
        let mut shards = Vec::new();
        for (index, args) in transaction.commands() {
            let command = TABLE.get(index);
            match command.run {
                // A script may use keys that it is not given.
                Run::EachShard { .. } | Run::AllShards(_) | Run::Script(_) => shards.extend((0..total).map(ShardId)),
                Run::Shards { shards: named, .. } => shards.extend(named(args, &self.server).map(ShardId)),
                Run::Keys { .. } | Run::Waiting { .. } => shards.extend(command.keys.shards(args, total)),
                Run::Container(_)
                | Run::Session(_)
                | Run::Select(_)
                | Run::EachCore { .. }
                | Run::History(_)
                | Run::Subscription(_)
                | Run::Group { .. }
                | Run::Publish(_)
                | Run::Channels(_)
                | Run::Transaction(_) => {}
            }
            shards.sort_unstable();
            shards.dedup();
        }
        shards.extend(transaction.watched_keys().map(|key| shard_of(key, total)));
        shards.sort_unstable();
        shards.dedup();
        shards
    }
}
