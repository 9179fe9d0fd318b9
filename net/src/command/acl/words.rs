//! ACL CAT: the categories, and the commands of one. ACL GENPASS: a password that nobody can guess.

use super::acl;
use crate::access::Category;
use crate::command::connection::is_of_browsers;
use crate::command::table::TABLE;
use crate::command::{Command, SessionContext};
use crate::limits::GENPASS_BITS_MAX;
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;
use rustix::rand::{GetRandomFlags, getrandom};

pub static CAT: Command = acl("acl|cat", -2, &[], "Lists the categories, or the commands of one.", cat);

fn cat(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match (args.try_get(2), args.len()) {
        (None, _) => {
            reply.array(Category::ALL.len());
            Category::ALL.iter().for_each(|(_, name)| reply.text(name));
        }
        (Some(name), 3) => match Category::by_name(name) {
            Some(category) => {
                let catalogue = context.server.users.catalogue();
                // Not those that rules may name and the server does not have, nor the lines of a browser.
                let is_listed =
                    |command: &usize| TABLE.all().get(*command).is_some_and(|command| !is_of_browsers(command));
                let commands = catalogue.in_category(category).filter(is_listed);
                reply.array(commands.clone().count());
                commands.for_each(|command| reply.text(catalogue.name(command)));
            }
            None => reply.error([b"ERR Unknown category '", &name[..name.len().min(128)], b"'"].concat()),
        },
        _ => reply.error(error_text::wrong_subcommand("acl", args.get(1))),
    }
}

pub static GENPASS: Command = acl("acl|genpass", -2, &[], "Returns a random password, of so many bits.", genpass);

fn genpass(_context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let bits = match (args.try_get(2), args.len()) {
        (None, _) => Some(256),
        (Some(bits), 3) => parse_i64(bits),
        _ => return reply.error(error_text::wrong_subcommand("acl", args.get(1))),
    };
    let Some(bits) = bits else { return reply.error(error_text::NOT_INTEGER) };
    let Some(bits) = usize::try_from(bits).ok().filter(|bits| (1..=GENPASS_BITS_MAX).contains(bits)) else {
        return reply.error(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to \
             {GENPASS_BITS_MAX}"
        ));
    };
    let mut random = [0; GENPASS_BITS_MAX / 8];
    let wanted = &mut random[..bits.div_ceil(8)];
    // The kernel gives up to 256 bytes whole, and waits only before it has any randomness.
    let mut filled = 0;
    while filled < wanted.len() {
        match getrandom(&mut wanted[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return reply.error(format!("ERR the system has no random numbers: {error}")),
        }
    }
    let mut digits: String = wanted.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(bits.div_ceil(4));
    reply.text(&digits);
}
