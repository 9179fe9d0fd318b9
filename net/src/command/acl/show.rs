//! ACL GETUSER, LIST, USERS, WHOAMI: they tell of users.

use super::{ADMIN, acl};
use crate::access::Selector;
use crate::command::{Command, SessionContext};
use crate::resp::{Args, Reply};

pub static GETUSER: Command = acl("acl|getuser", 3, ADMIN, "Describes a user by its rules.", getuser);

fn getuser(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (users, _) = context.server.users.table();
    let Some(user) = users.get(args.get(2)) else { return reply.null() };
    reply.map(6);
    reply.text("flags");
    reply.set(user.flags().count());
    user.flags().for_each(|flag| reply.text(flag));
    reply.text("passwords");
    reply.array(user.passwords().len());
    user.passwords().iter().for_each(|hash| reply.text(&hash.to_string()));
    describe(user.root(), reply);
    reply.text("selectors");
    reply.array(user.selectors().len());
    for selector in user.selectors() {
        reply.map(3);
        describe(selector, reply);
    }
}

/// Three fields of a map.
fn describe(selector: &Selector, reply: &mut Reply<'_>) {
    reply.text("commands");
    reply.bulk(&selector.describe_commands());
    reply.text("keys");
    reply.bulk(&selector.describe_keys());
    reply.text("channels");
    reply.bulk(&selector.describe_channels());
}

pub static LIST: Command = acl("acl|list", 2, ADMIN, "Lists all users with their rules.", |context, _, reply| {
    let (users, _) = context.server.users.table();
    reply.array(users.iter().len());
    users.iter().for_each(|user| reply.bulk(&user.line()));
});

pub static USERS: Command = acl("acl|users", 2, ADMIN, "Lists the names of all users.", |context, _, reply| {
    let (users, _) = context.server.users.table();
    reply.array(users.iter().len());
    users.iter().for_each(|user| reply.bulk(user.name()));
});

pub static WHOAMI: Command =
    acl("acl|whoami", 2, &[], "Returns the name of the connection's user.", |context, _, reply| {
        reply.bulk(context.session.user().name());
    });
