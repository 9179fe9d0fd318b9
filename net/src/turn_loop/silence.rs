//! CLIENT REPLY: commands whose replies are left out run like others, and what they have written, or what comes for them, is dropped.
//! Messages are no replies: what tells of subscriptions, or of keys that a client caches, leaves all the same.

use super::Core;
use super::resp::Client;
use crate::command::Run;
use crate::command::table::TABLE;
use crate::connection::Silence;
use crate::resp::Args;
use keytide_engine::position::ShardId;

impl Core {
    /// Runs a command of a client that does not want its reply, unless it is the one that ends this.
    #[cold]
    pub(super) fn execute_silently(&mut self, client: &mut Client<'_>, args: Args<'_>, first: Option<ShardId>) -> bool {
        let waiting = client.replies.waiting();
        let from = client.reply().len();
        if client.resp.silence == Silence::Next {
            client.resp.silence = Silence::Present;
        }
        let was_for_one = client.resp.silence == Silence::Present;
        let is_done = self.execute(client, args, first);
        if !is_done {
            // It is tried again.
            if was_for_one {
                client.resp.silence = Silence::Next;
            }
            return false;
        }
        let is_of_messages = TABLE
            .begun(args)
            .is_some_and(|index| matches!(TABLE.get(index).run, Run::Channels(_) | Run::Subscription(_)));
        if client.resp.silence != Silence::No && !is_of_messages {
            if client.replies.waiting() > waiting {
                client.replies.drop_last();
            } else {
                client.reply().truncate(from);
            }
        }
        if client.resp.silence == Silence::Present {
            client.resp.silence = Silence::No;
        }
        true
    }
}
