//! CDC.CREDIT: lets a subscription with a WINDOW send this many more events.

use super::refusal::answer;
use super::words::{number, positive};
use crate::access::Category;
use crate::command::{Access, Command, Flag, Keys, Progress, Run, SubscriptionContext};
use crate::resp::{Args, Reply};

pub static CREDIT: Command = Command {
    name: "cdc.credit",
    arity: 3,
    flags: &[Flag::Fast, Flag::NoMulti, Flag::WhileSubscribed],
    keys: Keys::None,
    // A user who may subscribe may also acknowledge: CDC.SUBSCRIBE is in @read too.
    access: Access::NONE.in_categories(&[Category::Read]),
    summary: "Acknowledges events of a subscription with a window.",
    group: "cdc",
    run: Run::Subscription(run),
};

fn run(context: &mut SubscriptionContext<'_, '_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    answer(context.server, reply, |reply| {
        let (id, count) = (number(args.get(1))?, positive(number(args.get(2))?)?);
        context.hub.credit(context.client, id, count)?;
        reply.ok();
        Ok(Progress::Done)
    })
}
