//! The reply of COMMAND DOCS.

use crate::command::Command;
use crate::resp::Reply;

/// A map of commands by name.
pub fn encode(commands: &[&Command], reply: &mut Reply<'_>) {
    reply.map(commands.len());
    commands.iter().for_each(|command| encode_one(command, reply));
}

fn encode_one(command: &Command, reply: &mut Reply<'_>) {
    let subcommands = command.subcommands();
    let count = subcommands.clone().count();
    reply.text(command.name);
    reply.map(if count > 0 { 4 } else { 3 });
    reply.text("summary");
    reply.text(command.summary);
    reply.text("since");
    reply.text(env!("CARGO_PKG_VERSION"));
    reply.text("group");
    reply.text(command.group);
    if count > 0 {
        reply.text("subcommands");
        reply.map(count);
        subcommands.for_each(|subcommand| encode_one(subcommand, reply));
    }
}
