//! Scripts.
//!
//! | module | what is in it |
//! |---|---|
//! | `eval` | EVAL, EVALSHA, and those that only read |
//! | `script` | SCRIPT |
//! | `function` | FUNCTION and FCALL, which are refused |

mod eval;
mod function;
mod script;

use super::Command;
pub use eval::{ScriptCall, keys_and_args, reply_no_script};

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &eval::EVAL,
    &eval::EVAL_RO,
    &eval::EVALSHA,
    &eval::EVALSHA_RO,
    &script::SCRIPT,
    &function::FCALL,
    &function::FCALL_RO,
    &function::FUNCTION,
];
