//! CDC.GROUP and its subcommands that change a group.

use super::refusal::{CdcError, answer};
use super::streams::streams_of_pattern;
use super::words::{Words, cursor, is, positions, positive};
use super::{group_list, group_read};
use crate::command::help::help;
use crate::command::{Access, Command, Flag, GroupContext, Keys, Progress, Run};
use crate::groups::Groups;
use crate::resp::{Args, Reply, error_text};
use keytide_engine::group::{GROUP_PENDING_MAX, Group, GroupOptions};

static HELP: Command = help("cdc.group|help", "cdc");

pub static GROUP: Command = Command {
    name: "cdc.group",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "A container for commands on consumer groups.",
    group: "cdc",
    run: Run::Container(&[
        &CREATE,
        &group_read::READ,
        &DESTROY,
        &SETID,
        &group_list::INFO,
        &group_list::LIST,
        &DELCONSUMER,
        &group_list::PARKED,
        &REPLAY,
        &HELP,
    ]),
};

/// A command on the group named by its arguments at `names`.
pub(super) const fn group_command(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    names: (usize, usize),
    summary: &'static str,
    run: fn(&mut GroupContext<'_>, Args<'_>, &mut Reply<'_>) -> Progress,
) -> Command {
    let access = match names.0 {
        1 => Access::streams(|args| streams_of_pattern(args, 1)),
        2 => Access::streams(|args| streams_of_pattern(args, 2)),
        _ => panic!("a group's pattern is the first or the second argument"),
    };
    Command {
        name,
        arity,
        flags,
        keys: Keys::None,
        access,
        summary,
        group: "cdc",
        run: Run::Group { run, names, creates: false },
    }
}

/// The group that the arguments name, or the error if it does not exist.
pub(super) fn find<'g>(groups: &'g mut Groups, key: &[u8], name: &[u8]) -> Result<&'g mut Group, CdcError> {
    groups.table.get_mut(key, name).map_err(|error| CdcError::of_group(name, error))
}

const WRITE: &[Flag] = &[Flag::Write, Flag::NoMulti];

static CREATE: Command = Command {
    run: Run::Group { run: create, names: (2, 3), creates: true },
    ..group_command("cdc.group|create", -5, WRITE, (2, 3), "Creates a consumer group.", create)
};

fn create(context: &mut GroupContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    answer(context.server, reply, |reply| {
        let (key, group) = (args.get(2), args.get(3));
        let (start, options) = (cursor(args.get(4))?, options(args)?);
        let owner = context.creator.map(|usage| &usage.groups);
        let created = context.groups.table.create_for(owner, (key, group), start, options, context.history);
        created.map_err(|error| CdcError::of_group(group, error))?;
        reply.ok();
        Ok(Progress::Done)
    })
}

fn options(args: Args<'_>) -> Result<GroupOptions, CdcError> {
    let mut options = GroupOptions::default();
    let mut words = Words::new(args, 5);
    while let Some(word) = words.next() {
        let out_of_range = || CdcError::from(error_text::OUT_OF_RANGE);
        if is(word, "IDLE") {
            options.idle_ms = words.number()?;
        } else if is(word, "MAXDELIVER") {
            options.max_deliveries = u32::try_from(words.number()?).map_err(|_| out_of_range())?;
        } else if is(word, "MAXPENDING") {
            let max = positive(words.number()?)?;
            if max > GROUP_PENDING_MAX as u64 {
                return Err(out_of_range());
            }
            options.max_pending = max as usize;
        } else {
            return Err(CdcError::syntax());
        }
    }
    Ok(options)
}

static DESTROY: Command =
    group_command("cdc.group|destroy", 4, WRITE, (2, 3), "Removes a consumer group.", |context, args, reply| {
        answer(context.server, reply, |reply| {
            context.groups.note_change(args.get(2), args.get(3));
            let destroyed = context.groups.table.destroy(args.get(2), args.get(3));
            reply.integer(i64::from(destroyed));
            Ok(Progress::Done)
        })
    });

static SETID: Command = group_command(
    "cdc.group|setid",
    5,
    WRITE,
    (2, 3),
    "Moves a consumer group to another position.",
    |context, args, reply| {
        answer(context.server, reply, |reply| {
            let group = args.get(3);
            let start = cursor(args.get(4))?;
            let set = find(context.groups, args.get(2), group)?.set_cursor(start, context.history);
            set.map_err(|error| CdcError::of_group(group, error))?;
            context.groups.note_change(args.get(2), args.get(3));
            reply.ok();
            Ok(Progress::Done)
        })
    },
);

static DELCONSUMER: Command = group_command(
    "cdc.group|delconsumer",
    5,
    WRITE,
    (2, 3),
    "Removes a consumer; its entries are delivered to the next reader.",
    |context, args, reply| {
        answer(context.server, reply, |reply| {
            let held = find(context.groups, args.get(2), args.get(3))?.remove_consumer(args.get(4));
            context.groups.note_change(args.get(2), args.get(3));
            reply.integer(held.unwrap_or(0) as i64);
            Ok(Progress::Done)
        })
    },
);

static REPLAY: Command = group_command(
    "cdc.group|replay",
    -4,
    WRITE,
    (2, 3),
    "Makes parked entries deliverable again.",
    |context, args, reply| {
        answer(context.server, reply, |reply| {
            let listed = positions(args.rest(4))?;
            let listed = if listed.is_empty() { None } else { Some(&listed[..]) };
            let replayed = find(context.groups, args.get(2), args.get(3))?.replay(listed);
            context.groups.note_change(args.get(2), args.get(3));
            reply.integer(replayed as i64);
            Ok(Progress::Done)
        })
    },
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn parse(line: &str) -> Result<GroupOptions, String> {
        let args: OwnedArgs = format!("CDC.GROUP CREATE * g 0 {line}").split_whitespace().collect();
        options(args.as_args()).map_err(|error| error.text())
    }

    #[test]
    fn options_of_a_group_have_their_defaults_and_bounds() {
        assert_eq!(parse(""), Ok(GroupOptions { idle_ms: 30_000, max_deliveries: 0, max_pending: 65_536 }));
        let all = GroupOptions { idle_ms: 5, max_deliveries: 3, max_pending: 7 };
        assert_eq!(parse("maxpending 7 IDLE 5 MAXDELIVER 3"), Ok(all));
        assert_eq!(parse("MAXPENDING 0").unwrap_err(), "ERR value is out of range, must be positive");
        assert_eq!(parse("MAXPENDING 1048577").unwrap_err(), "ERR value is out of range");
        assert_eq!(parse("MAXDELIVER 4294967296").unwrap_err(), "ERR value is out of range");
        assert_eq!(parse("IDLE").unwrap_err(), "ERR syntax error");
        assert_eq!(parse("MKSTREAM").unwrap_err(), "ERR syntax error");
    }
}
