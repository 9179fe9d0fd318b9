//! Every error text of the Redis protocol that is sent in more than one place, code first, worded like redis-server
//! 7.0. Clients match these bytes.

use super::args::Args;

macro_rules! texts {
    ($($(#[$meta:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$meta])* pub const $name: &str = $text;)*

        #[cfg(test)]
        const ALL: &[&str] = &[$($text),*];
    };
}

/// Redis's words for the commands on channels, in the error for a client in RESP2 that has subscriptions.
pub const CHANNEL_COMMANDS: &str = "(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE";

texts! {
    /// A script in a transaction that needs shards which the transaction does not have.
    SCRIPT_ELSEWHERE = "ERR the script uses keys of shards that the transaction does not have";
    /// A script that nobody knows.
    NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL.";
    /// The key holds another type.
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// An unknown option, or one without its value.
    SYNTAX = "ERR syntax error";
    /// An argument or a value is not a 64-bit integer.
    NOT_INTEGER = "ERR value is not an integer or out of range";
    /// An argument or a value is not a float.
    NOT_FLOAT = "ERR value is not a valid float";
    /// An integer is out of the command's range.
    OUT_OF_RANGE = "ERR value is out of range";
    /// A count is negative.
    NOT_POSITIVE = "ERR value is out of range, must be positive";
    /// The key does not exist but must.
    NO_SUCH_KEY = "ERR no such key";
    /// The server is short of memory, and the command may use more.
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
    /// The same for a script whose head has flags.
    SCRIPT_OUT_OF_MEMORY = "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'";
    /// An index is outside a list.
    INDEX_OUT_OF_RANGE = "ERR index out of range";
    /// XADD with an id that does not come behind all others.
    ENTRY_ID_NOT_GREATER = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
    /// XADD to a stream whose last id is the greatest one.
    ENTRY_IDS_USED_UP = "ERR The stream has exhausted the last possible ID, unable to add more items";
    /// XSETID before an entry.
    LAST_ID_TOO_SMALL = "ERR The ID specified in XSETID is smaller than the target stream top item";
    /// XSETID with a number of entries that is less than there are.
    ENTRIES_ADDED_TOO_FEW = "ERR The entries_added specified in XSETID is smaller than the target stream length";
    /// INCRBY would leave the 64 bits.
    OVERFLOW = "ERR increment or decrement would overflow";
    /// DECRBY of the one number that cannot be negated.
    DECREMENT_OVERFLOW = "ERR decrement would overflow";
    /// INCRBYFLOAT would leave the floats.
    NOT_FINITE = "ERR increment would produce NaN or Infinity";
    /// HINCRBY on a field that is not an integer.
    HASH_NOT_INTEGER = "ERR hash value is not an integer";
    /// HINCRBYFLOAT on a field that is not a float.
    HASH_NOT_FLOAT = "ERR hash value is not a float";
    /// HINCRBYFLOAT by a number that is not finite.
    VALUE_NOT_FINITE = "ERR value is NaN or Infinity";
    /// EXPIRE with NX and another condition.
    EXPIRE_NX = "ERR NX and XX, GT or LT options at the same time are not compatible";
    /// EXPIRE with GT and LT.
    EXPIRE_GT_LT = "ERR GT and LT options at the same time are not compatible";
    /// ZADD with INCR, ZINCRBY: infinity and its opposite.
    SCORE_NOT_A_NUMBER = "ERR resulting score is not a number (NaN)";
    /// APPEND, SETRANGE: the string would be too long.
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    /// SETRANGE before the beginning.
    OFFSET = "ERR offset is out of range";
    /// The number of a bit is none, or beyond the longest string.
    BIT_OFFSET = "ERR bit offset is not an integer or out of range";
    /// SETBIT to something else than 0 and 1.
    BIT = "ERR bit is not an integer or out of range";
    /// COPY to a database whose number does not fit into 32 bits.
    RANGE_OF_I32 = "ERR value is out of range, value must between -2147483648 and 2147483647";
    /// SELECT of a missing database.
    DB_INDEX = "ERR DB index is out of range";
    /// A number that is no `int`.
    NOT_INT = "ERR value is out of range, value must between -2147483648 and 2147483647";
    /// The target is the source.
    SAME_OBJECT = "ERR source and destination objects are the same";
    /// SCAN with a cursor that is not a number.
    INVALID_CURSOR = "ERR invalid cursor";
    /// `numkeys` is 0 or not a number.
    NUMKEYS = "ERR numkeys should be greater than 0";
    /// More keys announced than given.
    NUMKEYS_ARGUMENTS = "ERR Number of keys can't be greater than number of args";
    /// ZCOUNT and others: an end of a range of scores is no number.
    RANGE_NOT_FLOAT = "ERR min or max is not a float";
    /// ZLEXCOUNT and others: an end of a range of members is none.
    RANGE_NOT_MEMBERS = "ERR min or max not valid string range item";
    /// ZRANGE by rank with LIMIT.
    LIMIT_OF_RANKS = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
    /// ZRANGE by members with scores.
    SCORES_OF_LEX = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
    /// ZADD with NX and XX.
    ZADD_NX_XX = "ERR XX and NX options at the same time are not compatible";
    /// ZADD with two of GT, LT and NX.
    ZADD_GT_LT_NX = "ERR GT, LT, and/or NX options at the same time are not compatible";
    /// ZADD with INCR and several members.
    ZADD_INCR_PAIRS = "ERR INCR option supports a single increment-element pair";
    /// ZUNION and others: a factor of scores is no number.
    WEIGHT_NOT_FLOAT = "ERR weight value is not a float";
    /// LMPOP, BLMPOP, ZMPOP, BZMPOP with a COUNT below 1.
    COUNT_NOT_POSITIVE = "ERR count should be greater than 0";
    /// A timeout that is not a number.
    TIMEOUT_NOT_FLOAT = "ERR timeout is not a float or out of range";
    /// A timeout below 0.
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    /// A timeout that ends beyond 64 bits of milliseconds.
    TIMEOUT_OUT_OF_RANGE = "ERR timeout is out of range";
    /// CLIENT UNBLOCK has ended the command's wait.
    UNBLOCKED = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    /// LPOS RANK 0.
    RANK_ZERO = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list";
    /// LPOS with a negative COUNT.
    COUNT_NEGATIVE = "ERR COUNT can't be negative";
    /// LPOS with a negative MAXLEN.
    MAXLEN_NEGATIVE = "ERR MAXLEN can't be negative";
    /// SINTERCARD, ZINTERCARD with a LIMIT below 0.
    LIMIT_NEGATIVE = "ERR LIMIT can't be negative";
    /// SRANDMEMBER, ZRANDMEMBER, HRANDFIELD with a count that cannot be negated.
    RANDOM_COUNT = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    /// CLIENT SETNAME, HELLO SETNAME.
    CLIENT_NAME = "ERR Client names cannot contain spaces, newlines or special characters.";
    /// The connection has to log in first.
    NO_AUTH = "NOAUTH Authentication required.";
    /// HELLO before login, without AUTH.
    NO_AUTH_HELLO = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
    /// No such user, another password, or a user that is off.
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    /// The user may not use one of the command's keys.
    NO_PERMISSION_KEY = "NOPERM this user has no permissions to access one of the keys used as arguments";
    /// The user may not read all keys, and the command reads all streams.
    NO_PERMISSION_ALL_KEYS = "NOPERM this user has no permissions to read all keys, as this command does with these arguments";
    /// The user may not use one of the command's channels.
    NO_PERMISSION_CHANNEL = "NOPERM this user has no permissions to access one of the channels used as arguments";
    /// AUTH with a password alone if none is set.
    AUTH_NO_PASSWORD = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
    /// HELLO of a version other than 2 and 3.
    NO_PROTO = "NOPROTO unsupported protocol version";
    /// HELLO of something that is not a number.
    PROTOCOL_VERSION = "ERR Protocol version is not an integer or out of range";
    /// EXEC after a command that could not be queued.
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    /// MULTI inside MULTI.
    MULTI_NESTED = "ERR MULTI calls can not be nested";
    /// EXEC without MULTI.
    EXEC_WITHOUT_MULTI = "ERR EXEC without MULTI";
    /// WATCH after MULTI.
    WATCH_IN_MULTI = "ERR WATCH inside MULTI is not allowed";
    /// DISCARD without MULTI.
    DISCARD_WITHOUT_MULTI = "ERR DISCARD without MULTI";
    /// A command that cannot be queued.
    NOT_IN_MULTI = "ERR Command not allowed inside a transaction";
    /// MONITOR within a transaction.
    MONITOR_IN_EXEC = "ERR MONITOR isn't allowed for DENY BLOCKING client";
    /// A client that is told of all commands reads or writes a key.
    MONITOR_ONLY = "ERR Replica can't interact with the keyspace";
    /// The connection is refused.
    MAX_CLIENTS = "ERR max number of clients reached";
    /// CDC commands while recording is off.
    CDC_NOT_ENABLED = "ERR CDC not enabled";
}

/// The text of an engine error without a code of its own.
pub fn err(error: &impl std::fmt::Display) -> String {
    format!("ERR {error}")
}

/// The number of arguments is wrong. `command` in lower case, a subcommand as `config|get`.
pub fn wrong_arguments(command: &str) -> String {
    format!("ERR wrong number of arguments for '{command}' command")
}

/// EXEC is refused for this reason, an error's complete text: its transaction is discarded.
pub fn exec_abort(reason: &[u8]) -> Vec<u8> {
    let reason = reason.strip_prefix(b"ERR ").unwrap_or(reason);
    [b"EXECABORT Transaction discarded because of: ", reason].concat()
}

/// The user may not run the command. `command` in lower case, a subcommand as `config|get`.
pub fn no_permission_to_run(command: &str) -> String {
    format!("NOPERM this user has no permissions to run the '{command}' command")
}

/// The user may not run a command of the transaction any more, for this reason.
pub fn no_permission_at_exec(reason: &str) -> String {
    format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command \
         is no longer allowed for the following reason: {reason}"
    )
}

/// A command that waits is ended, because its user was changed; the text of the error for the command.
pub fn access_revoked(text: &str) -> String {
    format!("NOPERM access-revoked: {}", text.strip_prefix("NOPERM ").unwrap_or(text))
}

/// The error for a command over several sorted sets that names none.
pub fn no_input_key(command: &str) -> String {
    format!("ERR at least 1 input key is needed for '{command}' command")
}

/// The time to live is 0, negative or too large. `command` in lower case.
pub fn invalid_expire(command: &str) -> String {
    format!("ERR invalid expire time in '{command}' command")
}

/// HSETEX with an unknown option, as the client spelled it.
pub fn unknown_argument(word: &[u8]) -> String {
    format!("ERR unknown argument: {}", String::from_utf8_lossy(c_string(word, word.len())))
}

/// HELLO with an unknown option, as the client spelled it.
pub fn hello_option(option: &[u8]) -> Vec<u8> {
    [b"ERR Syntax error in HELLO option '", c_string(option, option.len()), b"'"].concat()
}

/// The most bytes of a name, and of all arguments together, that an error contains.
const SHOWN_BYTES: usize = 128;

/// No such command. Bytes, because a client's command name may be any bytes.
pub fn unknown_command(args: Args) -> Vec<u8> {
    let mut shown = Vec::new();
    for argument in args.rest(1).iter() {
        if shown.len() >= SHOWN_BYTES {
            break;
        }
        let room = SHOWN_BYTES - shown.len();
        shown.push(b'\'');
        shown.extend_from_slice(c_string(argument, room));
        shown.extend_from_slice(b"' ");
    }
    let name = args.try_get(0).unwrap_or_default();
    [b"ERR unknown command '", c_string(name, SHOWN_BYTES), b"', with args beginning with: ", &shown].concat()
}

/// The command has no such subcommand. `command` in lower case, `subcommand` as the client spelled it.
pub fn unknown_subcommand(command: &str, subcommand: &[u8]) -> Vec<u8> {
    let help = format!("'. Try {} HELP.", command.to_uppercase());
    [b"ERR unknown subcommand '", c_string(subcommand, SHOWN_BYTES), help.as_bytes()].concat()
}

/// The command has no such subcommand, or it takes other arguments: where Redis finds out in the subcommand itself.
pub fn wrong_subcommand(command: &str, subcommand: &[u8]) -> Vec<u8> {
    let help = format!("'. Try {} HELP.", command.to_uppercase());
    let text = b"ERR unknown subcommand or wrong number of arguments for '";
    [text, c_string(subcommand, SHOWN_BYTES), help.as_bytes()].concat()
}

/// These bytes as a C string prints them: up to the first zero byte, and at most `bytes_max`.
fn c_string(bytes: &[u8], bytes_max: usize) -> &[u8] {
    let end = bytes.iter().take(bytes_max).position(|&byte| byte == 0).unwrap_or(bytes.len().min(bytes_max));
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn every_text_begins_with_a_code_and_is_one_line() {
        for text in ALL {
            let code = text.split(' ').next().unwrap();
            assert!(code.bytes().all(|byte| byte.is_ascii_uppercase()), "{text}");
            assert!(!text.contains(['\r', '\n']) && text.trim() == *text, "{text}");
        }
    }

    #[test]
    fn an_unknown_command_is_shown_with_its_first_arguments() {
        let args: OwnedArgs = ["foo", "a b", "", "c\0d"].into_iter().collect();
        assert_eq!(
            String::from_utf8(unknown_command(args.as_args())).unwrap(),
            "ERR unknown command 'foo', with args beginning with: 'a b' '' 'c' "
        );
        let args: OwnedArgs = std::iter::once("foo".repeat(50)).chain((0..60).map(|_| "a b".to_string())).collect();
        let text = String::from_utf8(unknown_command(args.as_args())).unwrap();
        assert!(text.starts_with(&format!("ERR unknown command '{}fo', with", "foo".repeat(42))), "{text}");
        assert!(text.ends_with(&format!(": {}'a ' ", "'a b' ".repeat(21))), "{text}");
    }

    #[test]
    fn an_unknown_subcommand_points_to_the_help() {
        assert_eq!(unknown_subcommand("config", b"nope"), b"ERR unknown subcommand 'nope'. Try CONFIG HELP.");
    }
}
