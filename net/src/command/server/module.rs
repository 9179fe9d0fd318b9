//! MODULE LIST: clients call it, and there are no modules.

use crate::command::help::help;
use crate::command::{Access, Command, Flag, Keys, Run};

static HELP: Command = help("module|help", "server");

pub static MODULE: Command = Command {
    name: "module",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Commands on modules.",
    group: "server",
    run: Run::Container(&[&LIST, &HELP]),
};

static LIST: Command = Command {
    name: "module|list",
    arity: 2,
    flags: &[Flag::Admin],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Lists the modules: none.",
    group: "server",
    run: Run::Session(|_, _, reply| reply.array(0)),
};
