//! All commands by name.

use super::{
    Command, Flag, Keys, Run, acl, bitmap, cdc, connection, generic, geo, hash, hyperloglog, list, pubsub,
    redis_stream, scripting, server, set, sorted, string, transaction,
};
use crate::resp::{Args, CommandIndex, error_text};
use std::sync::LazyLock;

/// The families' lists.
const FAMILIES: &[&[&Command]] = &[
    connection::COMMANDS,
    server::COMMANDS,
    acl::COMMANDS,
    string::COMMANDS,
    bitmap::COMMANDS,
    hyperloglog::COMMANDS,
    generic::COMMANDS,
    hash::COMMANDS,
    list::COMMANDS,
    set::COMMANDS,
    sorted::COMMANDS,
    redis_stream::COMMANDS,
    geo::COMMANDS,
    transaction::COMMANDS,
    pubsub::COMMANDS,
    scripting::COMMANDS,
    cdc::COMMANDS,
];

/// The table of all commands.
pub static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// All commands and subcommands, by name, case-insensitively.
pub struct Table {
    /// The commands, followed by the subcommands of all containers.
    all: Vec<&'static Command>,
    /// For each of `all`, whether its duration is bounded by the bytes of its arguments and its reply.
    short: Vec<bool>,
    /// The number of commands in `all`.
    commands: usize,
    /// A hash table with open addressing.
    places: Box<[TableSlot]>,
}

/// Four times as many places as names, so that a look-up is nearly always one probe.
const SLOTS: usize = 1024;

/// The longest name that two words have as a whole.
const PACKED_BYTES: usize = 16;

/// A name of at most [`PACKED_BYTES`] as two words, which overlap if it is shorter: no loop is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Packed {
    first: u64,
    last: u64,
    length: usize,
}

impl Packed {
    /// For a longer name, its first and last eight bytes.
    #[inline]
    fn of(name: &[u8]) -> Packed {
        let eight = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        let (first, last) = if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            (eight(first), eight(last))
        } else if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            (four(first), four(last))
        } else {
            let byte = |index: usize| name.get(index).map_or(0, |byte| u64::from(*byte));
            (byte(0) << 16 | byte(1) << 8, byte(2))
        };
        Packed { first, last, length: name.len() }
    }

    /// The first place to probe for a name, case-insensitively.
    #[inline]
    fn place(self) -> usize {
        // Setting bit 5 makes a letter lower case; its other effects only make two names share a place.
        let small = |word: u64| word | 0x2020_2020_2020_2020;
        let words = small(self.first) ^ small(self.last).rotate_left(29) ^ self.length as u64;
        (words.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize % SLOTS
    }
}

/// A place of the hash table.
#[derive(Clone, Copy, Default)]
struct TableSlot {
    /// The name in lower case.
    name: Packed,
    /// Bit 5 in each byte of the name that is a letter: OR-ing it makes that letter lower case.
    letters: Packed,
    /// The command's index + 1; 0 if the place is empty.
    index: u16,
}

impl TableSlot {
    fn new(name: &str, index: usize) -> TableSlot {
        assert!(name == name.to_ascii_lowercase(), "{name}: a look-up knows names in lower case");
        let letters: Vec<u8> = name.bytes().map(|byte| if byte.is_ascii_alphabetic() { 0x20 } else { 0 }).collect();
        TableSlot { name: Packed::of(name.as_bytes()), letters: Packed::of(&letters), index: index as u16 + 1 }
    }

    #[inline]
    fn is(&self, asked: Packed) -> bool {
        let small = Packed { first: asked.first | self.letters.first, last: asked.last | self.letters.last, ..asked };
        small == self.name
    }
}

impl Table {
    fn new() -> Table {
        let mut all: Vec<&'static Command> = FAMILIES.iter().flat_map(|family| family.iter().copied()).collect();
        let commands = all.len();
        let subcommands = |command: &&'static Command| match command.run {
            Run::Container(subcommands) => subcommands,
            _ => &[],
        };
        let more: Vec<&'static Command> = all.iter().flat_map(subcommands).copied().collect();
        all.extend(more);
        let mut places = vec![TableSlot::default(); SLOTS].into_boxed_slice();
        for (index, command) in all[..commands].iter().enumerate() {
            let new = TableSlot::new(command.name, index);
            let mut place = new.name.place();
            while places[place].index != 0 {
                place = (place + 1) % SLOTS;
            }
            places[place] = new;
        }
        // What compares two strings takes longer.
        let is_short =
            |command: &&Command| command.is(Flag::Fast) || command.group == "string" && command.keys != Keys::TWO;
        let short = all.iter().map(|command| is_short(command) && matches!(command.run, Run::Keys { .. })).collect();
        Table { all, short, commands, places }
    }

    /// The command of an index.
    #[inline]
    pub fn get(&self, index: CommandIndex) -> &'static Command {
        self.all[index.place()]
    }

    /// Whether a command's duration is bounded by the bytes of its arguments and its reply, so that the clock need not
    /// be read after each run.
    #[inline]
    pub fn is_short(&self, index: CommandIndex) -> bool {
        self.short[index.place()]
    }

    /// The commands, without subcommands.
    pub fn commands(&self) -> &[&'static Command] {
        &self.all[..self.commands]
    }

    /// Whether a command has a name, in any case: of a long one a look-up has not seen the middle.
    #[cold]
    fn is_name(&self, index: usize, text: &[u8]) -> bool {
        self.all[index].name.as_bytes().eq_ignore_ascii_case(text)
    }

    #[inline]
    fn find(&self, text: &[u8]) -> Option<usize> {
        let asked = Packed::of(text);
        let mut place = asked.place();
        loop {
            let found = &self.places[place];
            let index = usize::from(found.index).checked_sub(1)?;
            if found.is(asked) && (text.len() <= PACKED_BYTES || self.is_name(index, text)) {
                return Some(index);
            }
            place = (place + 1) % SLOTS;
        }
    }

    /// The command that a client calls, a subcommand if it has any, or the text of the error.
    #[inline]
    pub fn resolve(&self, args: Args<'_>) -> Result<CommandIndex, Vec<u8>> {
        let Some(index) = self.find(&args[0]) else { return Err(error_text::unknown_command(args)) };
        let command = self.all[index];
        if let Run::Container(_) = command.run {
            return self.resolve_subcommand(command, args);
        }
        if !command.accepts(args.len()) {
            return Err(error_text::wrong_arguments(command.name).into());
        }
        Ok(CommandIndex::at(index))
    }

    /// The command that these first arguments of one begin, its subcommand where it has some; none where there is none, or
    /// more of them would tell.
    pub fn begun(&self, args: Args<'_>) -> Option<CommandIndex> {
        let index = self.find(args.try_get(0)?)?;
        match self.all[index].run {
            Run::Container(_) => self.position(self.all[index].name, args.try_get(1)?),
            _ => Some(CommandIndex::at(index)),
        }
    }

    /// All commands and subcommands, by index.
    pub fn all(&self) -> &[&'static Command] {
        &self.all
    }

    /// The number of commands and subcommands.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The name of the command at a place, as INFO shows it.
    pub fn name_at(&self, place: usize) -> &'static str {
        self.all[place].name.trim_end_matches('|')
    }

    /// The command with a name, whatever its arguments.
    pub fn index_of(&self, name: &[u8]) -> Option<CommandIndex> {
        self.find(name).map(CommandIndex::at)
    }

    /// A command by the name that `COMMAND INFO` shows.
    pub fn by_name(&self, name: &[u8]) -> Option<&'static Command> {
        self.find(name).map(|index| self.all[index])
    }

    /// A command or, as `client|list`, a subcommand.
    pub fn by_full_name(&self, name: &[u8]) -> Option<&'static Command> {
        let Some(bar) = name.iter().position(|&byte| byte == b'|') else { return self.by_name(name) };
        let mut subcommands = self.by_name(&name[..bar])?.subcommands();
        subcommands.find(|command| command.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The error for a command that a RESP2 connection with subscriptions may not send: Redis's text with the commands
    /// that are allowed here, those on subscriptions first.
    pub fn not_while_subscribed(&self, command: &Command, has_streams: bool) -> String {
        let allowed = |is_wanted: fn(&Run) -> bool| {
            let all = self
                .commands()
                .iter()
                .filter(move |command| command.is(Flag::WhileSubscribed) && is_wanted(&command.run));
            all.map(|command| command.name.to_uppercase())
        };
        let streams = allowed(|run| matches!(run, Run::Subscription(_))).filter(|_| has_streams);
        let others = allowed(|run| matches!(run, Run::Session(_)));
        let channels = std::iter::once(error_text::CHANNEL_COMMANDS.to_owned());
        let names: Vec<String> = streams.chain(channels).chain(others).collect();
        let (name, names) = (command.name.trim_end_matches('|'), names.join(" / "));
        format!("ERR Can't execute '{name}': only {names} are allowed in this context")
    }

    fn resolve_subcommand(&self, container: &Command, args: Args<'_>) -> Result<CommandIndex, Vec<u8>> {
        let Some(word) = args.try_get(1) else {
            // Without a word, a container means its subcommand with an empty name if there is one, as for COMMAND.
            return match self.position(container.name, b"") {
                Some(index) => Ok(index),
                None => Err(error_text::wrong_arguments(container.name).into()),
            };
        };
        match self.position(container.name, word) {
            None => Err(error_text::unknown_subcommand(container.name, word)),
            Some(index) if self.get(index).accepts(args.len()) => Ok(index),
            Some(index) => Err(error_text::wrong_arguments(self.get(index).name).into()),
        }
    }

    fn position(&self, container: &str, word: &[u8]) -> Option<CommandIndex> {
        let is_it = |command: &&Command| {
            let (outer, inner) = command.name.split_once('|').unwrap_or((command.name, ""));
            outer == container && inner.as_bytes().eq_ignore_ascii_case(word)
        };
        let index = self.all[self.commands..].iter().position(is_it)?;
        Some(CommandIndex::at(self.commands + index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn resolve(words: &[&str]) -> Result<&'static str, String> {
        let args: OwnedArgs = words.iter().collect();
        let found = TABLE.resolve(args.as_args());
        found.map(|index| TABLE.get(index).name).map_err(|text| String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        for command in TABLE.commands() {
            assert_eq!(TABLE.by_name(command.name.to_uppercase().as_bytes()).map(|c| c.name), Some(command.name));
        }
    }

    #[test]
    fn a_name_that_differs_in_any_bit_but_case_is_another() {
        for name in ["get", "mget", "cdc.read", "hincrbyfloat", "georadiusbymember_ro"] {
            for (at, bit) in (0..name.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let mut other = name.as_bytes().to_vec();
                other[at] ^= 1 << bit;
                let is_case = bit == 5 && name.as_bytes()[at].is_ascii_alphabetic();
                let found = TABLE.by_name(&other).map(|command| command.name);
                assert_eq!(found == Some(name), is_case, "{}", other.escape_ascii());
            }
        }
        assert!(TABLE.by_name(b"gettttttttttttttttttttttttget").is_none());
    }

    #[test]
    fn no_two_commands_share_a_name() {
        let mut names: Vec<_> = TABLE.all.iter().map(|command| command.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn the_error_for_a_resp2_subscriber_lists_the_allowed_commands() {
        let get = TABLE.by_name(b"get").unwrap();
        let text = "ERR Can't execute 'get': only CDC.SUBSCRIBE / CDC.UNSUBSCRIBE / CDC.CREDIT / (P|S)SUBSCRIBE / \
                    (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
        assert_eq!(TABLE.not_while_subscribed(get, true), text);
    }

    #[test]
    fn a_wrong_number_of_arguments_is_named() {
        assert_eq!(resolve(&["get"]), Err("ERR wrong number of arguments for 'get' command".into()));
        assert_eq!(resolve(&["GET", "k"]), Ok("get"));
        assert_eq!(
            resolve(&["client", "setname"]),
            Err("ERR wrong number of arguments for 'client|setname' command".into())
        );
        assert_eq!(resolve(&["Client", "ID"]), Ok("client|id"));
    }
}
