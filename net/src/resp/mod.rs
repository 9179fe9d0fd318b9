//! The Redis protocol on bytes: requests in, replies out. Independent of commands and sockets.
//!
//! | module | what is in it |
//! |---|---|
//! | [`args`] | the arguments of one command, borrowed or owned |
//! | [`command_index`] | a command's place in the table of commands |
//! | [`parse`] | parses received bytes into arguments, resumable at any byte |
//! | [`protocol_error`] | the errors that end a connection |
//! | [`lookahead`] | the next commands of a connection, parsed before the first of them runs |
//! | [`inline`] | inline commands: words, quotes, escapes |
//! | [`push`] | the messages of subscriptions |
//! | [`channels`] | the messages of publish/subscribe |
//! | [`tracking`] | the messages of client-side caching |
//! | [`reply`] | replies encoded for RESP2 or RESP3 |
//! | [`error_text`] | every error text of the Redis protocol |
//! | [`transaction`] | the commands of a connection since MULTI |
//! | [`watches`] | the keys that a connection watches |
//! | `short` | the short lengths of nearly all commands |

pub mod args;
pub mod channels;
pub mod command_index;
pub mod error_text;
pub mod inline;
pub mod lookahead;
pub mod parse;
pub mod protocol_error;
pub mod push;
pub mod reply;
mod short;
pub mod tracking;
pub mod transaction;
pub mod watches;

pub use args::{Args, OwnedArgs, Span};
pub use command_index::CommandIndex;
pub use lookahead::{Lookahead, Next};
pub use parse::{Parsed, Parser, ParserLimits};
pub use protocol_error::ProtocolError;
pub use reply::{Protocol, Reply};
pub use short::first_argument;
pub use transaction::Transaction;
pub use watches::Watches;
