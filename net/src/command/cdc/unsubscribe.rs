//! CDC.UNSUBSCRIBE: ends a subscription. The message about that is sent before the reply.

use super::refusal::answer;
use super::words::number;
use crate::access::Category;
use crate::command::{Access, Command, Flag, Keys, Progress, Run, SubscriptionContext};
use crate::resp::{Args, Reply};

pub static UNSUBSCRIBE: Command = Command {
    name: "cdc.unsubscribe",
    arity: 2,
    flags: &[Flag::NoMulti, Flag::WhileSubscribed],
    keys: Keys::None,
    // A user who may subscribe may also unsubscribe: CDC.SUBSCRIBE is in @read too.
    access: Access::NONE.in_categories(&[Category::Read]),
    summary: "Ends a subscription of the connection.",
    group: "cdc",
    run: Run::Subscription(run),
};

fn run(context: &mut SubscriptionContext<'_, '_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    answer(context.server, reply, |reply| {
        context.hub.unsubscribe(context.client, number(args.get(1))?, context.outlet)?;
        reply.ok();
        Ok(Progress::Done)
    })
}
