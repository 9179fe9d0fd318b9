//! HELP of every command with subcommands, generated from the table.

use super::table::TABLE;
use super::{Access, Command, Keys, Run, SessionContext};
use crate::resp::{Args, Reply};

/// The HELP subcommand of a container; `name` as in `client|help`.
pub const fn help(name: &'static str, group: &'static str) -> Command {
    Command {
        name,
        arity: 2,
        flags: &[],
        keys: Keys::None,
        access: Access::NONE,
        summary: "Lists the subcommands.",
        group,
        run: Run::Session(list),
    }
}

fn list(_context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let Some(Command { name, run: Run::Container(subcommands), .. }) = TABLE.by_name(args.get(0)) else {
        unreachable!("only containers have this subcommand");
    };
    let lines = subcommands.iter().filter_map(|command| Some((command.subcommand()?, command.summary)));
    write(reply, name, lines);
}

/// Writes the reply of HELP: a command, its subcommands, each with its summary.
pub fn write<'a>(reply: &mut Reply<'_>, command: &str, lines: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
    reply.array(1 + 2 * lines.clone().count());
    reply.simple(&format!("{} and one of:", command.to_uppercase()));
    for (word, summary) in lines {
        reply.simple(&word.to_uppercase());
        reply.simple(&format!("    {summary}"));
    }
}
