//! The Redis protocol on bytes: requests in, replies out. Knows no command and no socket.
//!
//! | module | what is in it |
//! |---|---|
//! | [`args`] | the arguments of one command, borrowed or owned |
//! | [`parse`] | from received bytes to arguments, resumable at any byte |
//! | [`protocol_error`] | what ends a connection |
//! | [`ahead`] | the next commands of a connection, found before the first of them runs |
//! | [`inline`] | commands typed by hand: words, quotes, escapes |
//! | [`reply`] | replies encoded for RESP2 or RESP3 |
//! | [`error_text`] | every error text of the Redis protocol |
//! | `short` | the short lengths of nearly all commands |
//! | [`split`] | walking over encoded values |

pub mod ahead;
pub mod args;
pub mod error_text;
pub mod inline;
pub mod parse;
pub mod protocol_error;
pub mod reply;
mod short;
pub mod split;

pub use ahead::{Ahead, Next};
pub use args::{Args, OwnedArgs, Span};
pub use parse::{Parsed, Parser, ParserLimits};
pub use protocol_error::ProtocolError;
pub use reply::{Protocol, Reply};
pub use short::first_argument;
