//! Scripts in Lua 5.1: the interpreter of one core, and what scripts see of this server. Knows no command: a script's
//! `redis.call` is answered by whoever runs it.
//!
//! | module | what is in it |
//! |---|---|
//! | [`texts`] | the texts of all scripts, for all cores |
//! | [`interpreter`] | the interpreter of one core, and a run of a script |
//! | [`lent`] | who runs the commands of the run at hand |
//! | [`convert`] | between replies and values of Lua |
//! | [`library`] | the functions of the object `redis` |
//! | [`cjson`], [`cmsgpack`], [`bit`], [`structs`] | the libraries that Redis gives its scripts |
//!
//! `prelude.lua` is the part that is written in Lua: what scripts may not write, and where errors come from.

mod bit;
mod cjson;
mod cmsgpack;
mod convert;
mod interpreter;
mod lent;
mod library;
mod structs;
pub mod texts;

pub use interpreter::{Called, Caller, Ended, NoScript, Reach, Script, Scripts};
pub use texts::{ScriptTexts, Sha};
