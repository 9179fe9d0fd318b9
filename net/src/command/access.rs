//! What a user needs to run a command: the command itself, what it does with each key, the streams that it reads; and the
//! catalogue of commands for rules.

use super::absent::ABSENT;
use super::connection::client_info;
use super::keys::{KeyUse, Keys};
use super::table::TABLE;
use super::{Command, Flag, Run, SessionContext};
use crate::access::{
    Catalogue, CatalogueEntry, Categories, Category, Context, Denial, DeniedRequest, Need, Object, Reason, User,
};
use crate::connection::RespSession;
use crate::resp::{Args, CommandIndex, error_text};
use crate::server::Server;
use crate::session::Session;
use keytide_engine::stream_name::Database;
use std::borrow::Cow;
use std::sync::LazyLock;

/// What a user needs to run a command, beside the permission for the command.
#[derive(Clone, Copy)]
pub struct Access {
    /// What it does with its first key, its second, and so on; the last one is for all that follow too.
    pub uses: &'static [KeyUse],
    /// What it does with its keys where that depends on its arguments.
    use_of: Option<fn(Args<'_>) -> KeyUse>,
    /// The streams that it reads, where these are not its keys.
    streams: Option<fn(Args<'_>) -> StreamsRead>,
    /// The channels that it uses.
    channels: ChannelArgs,
    /// Categories that follow neither from its flags nor from its family.
    categories: Categories,
}

/// The arguments of a command that are channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelArgs {
    /// None.
    None,
    /// The first.
    First,
    /// All of them.
    All,
    /// All of them, and they are patterns.
    Patterns,
}

/// Streams that a command reads, changes the groups of, or subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamsRead {
    /// The one of the key that this argument is.
    Of(usize),
    /// Any: the user has to be allowed to read all keys.
    All,
    /// None with these arguments.
    Nothing,
}

impl Access {
    /// What a command with these arguments does with its `n`-th key.
    #[inline]
    pub fn use_at(&self, n: usize, args: Args<'_>) -> Option<KeyUse> {
        self.use_of.map(|use_of| use_of(args)).or(self.uses.get(n).or(self.uses.last()).copied())
    }

    /// Nothing.
    pub const NONE: Access = Access::keys(&[]);
    /// [`KeyUse::LOOK`] at each key.
    pub const LOOK: Access = Access::keys(&[KeyUse::LOOK]);
    /// [`KeyUse::READ`] of each key.
    pub const READ: Access = Access::keys(&[KeyUse::READ]);
    /// [`KeyUse::INSERT`] of each key.
    pub const INSERT: Access = Access::keys(&[KeyUse::INSERT]);
    /// [`KeyUse::UPDATE`] of each key.
    pub const UPDATE: Access = Access::keys(&[KeyUse::UPDATE]);
    /// [`KeyUse::DELETE`] of each key.
    pub const DELETE: Access = Access::keys(&[KeyUse::DELETE]);
    /// [`KeyUse::READ_UPDATE`] of each key.
    pub const READ_UPDATE: Access = Access::keys(&[KeyUse::READ_UPDATE]);
    /// [`KeyUse::READ_DELETE`] of each key.
    pub const READ_DELETE: Access = Access::keys(&[KeyUse::READ_DELETE]);
    /// [`KeyUse::OVERWRITE`] of each key.
    pub const OVERWRITE: Access = Access::keys(&[KeyUse::OVERWRITE]);
    /// [`KeyUse::CREATE`] of each key.
    pub const CREATE: Access = Access::keys(&[KeyUse::CREATE]);
    /// [`KeyUse::REMOVE`] of each key.
    pub const REMOVE: Access = Access::keys(&[KeyUse::REMOVE]);
    /// Reading all streams.
    pub const ALL_STREAMS: Access = Access::streams(|_| StreamsRead::All);

    /// These uses of its keys.
    pub const fn keys(uses: &'static [KeyUse]) -> Access {
        let channels = ChannelArgs::None;
        Access { uses, use_of: None, streams: None, channels, categories: Categories::of(&[]) }
    }

    /// The use of these channels.
    pub const fn channels(channels: ChannelArgs) -> Access {
        Access { channels, ..Access::keys(&[]) }
    }

    /// A use of its keys that depends on its arguments; `shown` is the one that COMMAND shows.
    pub const fn keys_by(shown: &'static [KeyUse], use_of: fn(Args<'_>) -> KeyUse) -> Access {
        Access { use_of: Some(use_of), ..Access::keys(shown) }
    }

    /// Reading these streams.
    pub const fn streams(streams: fn(Args<'_>) -> StreamsRead) -> Access {
        Access { streams: Some(streams), ..Access::keys(&[]) }
    }

    /// The same, and reading these streams.
    pub const fn and_streams(self, streams: fn(Args<'_>) -> StreamsRead) -> Access {
        Access { streams: Some(streams), ..self }
    }

    /// The same, with these categories beside those that follow from the command's flags and family.
    pub const fn in_categories(self, categories: &[Category]) -> Access {
        Access { categories: Categories::of(categories), ..self }
    }
}

impl Command {
    /// Its categories.
    pub fn categories(&self) -> Categories {
        let by_flag = [
            (Flag::Write, &[Category::Write][..]),
            (Flag::Readonly, &[Category::Read]),
            (Flag::Admin, &[Category::Admin, Category::Dangerous]),
            (Flag::Blocking, &[Category::Blocking]),
            (Flag::PubSub, &[Category::PubSub]),
        ];
        let mut categories = self.access.categories;
        for (_, implied) in by_flag.iter().filter(|(flag, _)| self.is(*flag)) {
            categories = implied.iter().fold(categories, |categories, category| categories.with(*category));
        }
        categories = categories.with(if self.is(Flag::Fast) { Category::Fast } else { Category::Slow });
        let by_family = match self.group {
            // Its subcommands are in those of the family.
            _ if matches!(self.run, Run::Container(_)) && self.group != "cdc" => None,
            "generic" => Some(Category::Keyspace),
            "string" => Some(Category::String),
            "hash" => Some(Category::Hash),
            "list" => Some(Category::List),
            "set" => Some(Category::Set),
            "sorted-set" => Some(Category::SortedSet),
            "stream" => Some(Category::Stream),
            "bitmap" => Some(Category::Bitmap),
            "hyperloglog" => Some(Category::HyperLogLog),
            "geo" => Some(Category::Geo),
            "connection" => Some(Category::Connection),
            "transactions" => Some(Category::Transaction),
            "scripting" => Some(Category::Scripting),
            "cdc" => Some(Category::Cdc),
            _ => None,
        };
        by_family.map_or(categories, |category| categories.with(category))
    }

    /// The key that is all it uses, if its keys say so; then what it does with that.
    #[inline]
    fn only_object<'a>(&self, args: Args<'a>) -> Option<(&'a [u8], Need)> {
        let (Keys::At { first: 1, last: 1, .. }, Access { uses, use_of, streams: None, .. }) = (self.keys, self.access)
        else {
            return None;
        };
        let of = use_of.map_or_else(|| uses.first().copied(), |use_of| Some(use_of(args)))?;
        Some((Database::key_of(args.get(1)), of.need))
    }

    /// What it uses with these arguments, in the order of [`Denial::place`].
    fn objects<'a>(&'a self, args: Args<'a>) -> impl Iterator<Item = Object<'a>> {
        let Access { streams, channels, .. } = self.access;
        let keys = self.keys.places(args).enumerate().map(move |(n, place)| {
            // A key without a known use would be one that anybody may do anything with.
            let need = self.access.use_at(n, args).map_or(Need::BOTH, |of| of.need);
            Object::Key(Database::key_of(args.get(place)), need)
        });
        let streams = streams.and_then(move |streams| match streams(args) {
            StreamsRead::Of(place) => Some(Object::Key(args.get(place), Need::READ)),
            StreamsRead::All => Some(Object::AllKeys(Need::READ)),
            StreamsRead::Nothing => None,
        });
        let (first, end) = match channels {
            ChannelArgs::None => (0, 0),
            ChannelArgs::First => (1, args.len().min(2)),
            ChannelArgs::All | ChannelArgs::Patterns => (1, args.len()),
        };
        let channels = (first..end).map(move |place| match channels {
            ChannelArgs::Patterns => Object::ChannelPattern(args.get(place)),
            ChannelArgs::None | ChannelArgs::First | ChannelArgs::All => Object::Channel(args.get(place)),
        });
        keys.chain(streams).chain(channels)
    }
}

/// Why a user may not run a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// Why.
    pub reason: Reason,
    /// What ACL LOG shows: the command's name, the key, or the channel.
    pub object: &'a [u8],
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Command(&'static str),
    Key,
    AllKeys,
    Channel,
}

/// Whether a user may run a command with these arguments, of which there are as many as the command takes. Commands that
/// may be sent before a login are for everybody.
///
/// # Errors
/// Why not.
#[inline]
pub fn check<'a>(user: &User, index: CommandIndex, args: Args<'a>) -> Result<(), Refused<'a>> {
    let command = TABLE.get(index);
    if let Some((key, need)) = command.only_object(args)
        && user.permits(index.place(), key, need)
    {
        return Ok(());
    }
    let word = || args.try_get(if command.subcommand().is_some() { 2 } else { 1 });
    user.check(index.place(), word, || command.objects(args)).or_else(|denial| refused(denial, command, args))
}

#[cold]
fn refused<'a>(denial: Denial, command: &'static Command, args: Args<'a>) -> Result<(), Refused<'a>> {
    if command.is(Flag::NoAuth) {
        return Ok(());
    }
    let name = command.name.trim_end_matches('|');
    let object = || command.objects(args).nth(denial.place);
    let (object, what) = match (denial.reason, object()) {
        (Reason::Key, Some(Object::Key(key, _))) => (key, What::Key),
        (Reason::Channel, Some(Object::Channel(channel) | Object::ChannelPattern(channel))) => (channel, What::Channel),
        (Reason::Key | Reason::Channel, _) => (keytide_engine::stream_name::ALL, What::AllKeys),
        (Reason::Command | Reason::Auth | Reason::TlsCertificate, _) => (name.as_bytes(), What::Command(name)),
    };
    Err(Refused { reason: denial.reason, object, what })
}

impl Refused<'_> {
    /// The error for it.
    pub fn text(&self) -> Cow<'static, str> {
        match self.what {
            What::Command(name) => error_text::no_permission_to_run(name).into(),
            What::Key => error_text::NO_PERMISSION_KEY.into(),
            What::AllKeys => error_text::NO_PERMISSION_ALL_KEYS.into(),
            What::Channel => error_text::NO_PERMISSION_CHANNEL.into(),
        }
    }

    /// The error for it where EXEC finds it.
    pub fn text_at_exec(&self) -> String {
        error_text::no_permission_at_exec(match self.what {
            What::Command(_) => "no permission to execute the command or subcommand",
            What::Key => "no permission to touch the specified keys",
            What::AllKeys => "no permission to read all keys",
            What::Channel => "no permission to access one of the channels used as argument to the command",
        })
    }

    /// The error for it where the command has begun to wait, and the user was changed since.
    pub fn text_of_revoked(&self) -> String {
        error_text::access_revoked(&self.text())
    }

    /// What ACL DRYRUN says of it.
    pub fn dry_text(&self) -> Vec<u8> {
        let object = self.object;
        match self.what {
            What::Command(name) => format!("This user has no permissions to run the '{name}' command").into_bytes(),
            What::Key => [b"This user has no permissions to access the '", object, b"' key"].concat(),
            What::AllKeys => b"This user has no permissions to read all keys".to_vec(),
            What::Channel => [b"This user has no permissions to access the '", object, b"' channel"].concat(),
        }
    }
}

/// Notes, for ACL LOG, that a command of a client is refused. `is_queued` says whether it is part of a transaction; the
/// time is in Unix milliseconds.
#[cold]
pub fn note_denied(
    server: &Server,
    (session, resp): (&Session, &RespSession),
    refused: &Refused<'_>,
    (is_queued, now_ms): (bool, u64),
) {
    let denied = DeniedRequest {
        reason: refused.reason,
        context: if is_queued { Context::Multi } else { Context::TopLevel },
        object: refused.object,
        user: session.user().name(),
        client: session.client,
        now_ms,
    };
    server.users.denials.note(&denied, client_info(session, resp));
}

/// The same, for a login as this user that `command` tried.
#[cold]
pub fn note_failed_login(context: &SessionContext<'_>, command: &[u8], user: &[u8]) {
    let SessionContext { session, resp, server, now_ms } = context;
    let denied = DeniedRequest {
        reason: Reason::Auth,
        context: if resp.transaction.is_some() { Context::Multi } else { Context::TopLevel },
        object: command,
        user,
        client: session.client,
        now_ms: *now_ms,
    };
    server.users.denials.note(&denied, client_info(session, resp));
}

/// The same, for a client, of whatever protocol, whose certificate names a user that there is not, or that is off. The time is in Unix
/// milliseconds.
#[cold]
pub fn note_unknown_certificate(
    server: &Server,
    (session, resp): (&Session, Option<&RespSession>),
    name: &[u8],
    now_ms: u64,
) {
    let (reason, context) = (Reason::TlsCertificate, Context::TopLevel);
    let denied = DeniedRequest { reason, context, object: b"tls-cert", user: name, client: session.client, now_ms };
    server.users.denials.note(&denied, resp.map_or_else(String::new, |resp| client_info(session, resp)));
}

/// The commands as rules name them: those of the table, by their places there, and behind them those that only Redis has.
pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let entry = |command: &&'static Command| {
        // A container without a word has its container's categories: nobody finds it twice.
        let categories = if command.name.ends_with('|') { Categories::of(&[]) } else { command.categories() };
        CatalogueEntry { name: command.name, categories }
    };
    let absent = ABSENT.iter().flat_map(|(categories, names)| {
        let categories = Categories::of(categories);
        names.split_ascii_whitespace().map(move |name| CatalogueEntry { name, categories })
    });
    let is_absent = |entry: &CatalogueEntry| TABLE.by_full_name(entry.name.as_bytes()).is_none();
    Catalogue::new(TABLE.all().iter().map(entry).chain(absent.filter(is_absent)).collect())
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn names(categories: Categories) -> Vec<&'static str> {
        categories.names().collect()
    }

    fn by_name(name: &str) -> &'static Command {
        TABLE.by_full_name(name.as_bytes()).expect("there is such a command")
    }

    #[test]
    fn categories_follow_from_flags_family_and_what_is_said() {
        assert_eq!(names(by_name("get").categories()), ["read", "string", "fast"]);
        assert_eq!(names(by_name("keys").categories()), ["keyspace", "read", "slow", "dangerous"]);
        assert_eq!(names(by_name("client").categories()), ["slow"]);
        assert_eq!(names(by_name("client|kill").categories()), ["admin", "slow", "dangerous", "connection"]);
        assert_eq!(names(by_name("cdc.read").categories()), ["read", "slow", "blocking", "cdc"]);
        let changes = |command: &&&Command| command.name.starts_with("cdc");
        for command in TABLE.all().iter().filter(changes) {
            assert!(command.categories().has(Category::Cdc), "{}", command.name);
        }
    }

    #[test]
    fn each_key_of_a_command_has_a_use() {
        for command in TABLE.all() {
            let has_keys = command.keys != Keys::None;
            assert_eq!(has_keys, !command.access.uses.is_empty(), "{}", command.name);
        }
    }

    #[test]
    fn what_is_needed_of_a_key_depends_on_the_arguments_of_set() {
        let needs = |line: &str| -> Vec<Need> {
            let args: OwnedArgs = line.split(' ').collect();
            let command = by_name(line.split(' ').next().expect("a word"));
            let need = |object| match object {
                Object::Key(_, need) => need,
                other => panic!("{other:?}"),
            };
            command.objects(args.as_args()).map(need).collect()
        };
        assert_eq!(needs("set k v"), [Need::WRITE]);
        assert_eq!(needs("set k v EX 5 GET"), [Need::BOTH]);
        assert_eq!(needs("rename a b"), [Need::BOTH, Need::WRITE]);
        assert_eq!(needs("mset a 1 b 2"), [Need::WRITE, Need::WRITE]);
        assert_eq!(needs("sintercard 2 a b"), [Need::READ, Need::READ]);
    }
}
