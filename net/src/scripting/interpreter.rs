//! The interpreter of one core, and a run of a script.

use super::convert::{Replied, to_lua, to_reply};
use super::lent::Lent;
use super::library;
use super::texts::{ScriptTexts, Sha};
use crate::limits::{SCRIPT_HOOK_INSTRUCTIONS, SCRIPTS_COMPILED_MAX};
use crate::resp::{Args, Protocol, Reply};
use keytide_engine::account::OverLimit;
use mlua::{Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, Value, VmState};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What has come of a command that a script has called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// It has replied.
    Replied,
    /// It was not run: its keys are on shards that are not at hand.
    Elsewhere,
}

/// Runs the commands of a script.
pub trait Caller {
    /// Runs a command, and appends its reply in this version of the protocol.
    fn call(&mut self, words: Args<'_>, protocol: Protocol, out: &mut Vec<u8>) -> Called;
}

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has replied.
    Replied,
    /// A command was for shards that are not at hand. Nothing was replied.
    Elsewhere,
}

/// Why there is no script to run.
#[derive(Debug)]
pub enum NoScript {
    /// Nobody knows it.
    Unknown,
    /// Its text is wrong: the error.
    Invalid(String),
    /// There is no place for another one.
    OverLimit(OverLimit),
}

/// A script that was compiled.
#[derive(Clone)]
pub struct Script {
    sha: Sha,
    /// Its place in the interpreter's table of functions: a handle of each would take one of few places.
    place: i64,
    /// How many lines it has.
    lines: usize,
    /// Whether its head says that it writes nothing.
    pub has_no_writes: bool,
    /// Whether it has such a head.
    pub has_flags: bool,
    /// Whether that says that it may run where memory is full.
    pub allows_oom: bool,
    /// Which keys its runs have used.
    pub reach: Rc<Cell<Reach>>,
}

/// The keys that a script has used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It has not run yet.
    Unknown,
    /// Those that it was given.
    Given,
    /// Others too.
    Others,
}

/// What all functions of an interpreter share.
#[derive(Default)]
pub(super) struct State {
    /// The version of the protocol in which commands reply to the script.
    pub resp3: Cell<bool>,
    /// When the run at hand is to end.
    deadline: Cell<Option<Instant>>,
    /// Whether its time is over.
    is_over: Cell<bool>,
    /// Who runs the commands of the run at hand.
    caller: Lent,
    /// Whether one of them was for shards that are not at hand.
    is_elsewhere: Cell<bool>,
    pub random: library::Random,
}

impl State {
    /// Whether the time of the run at hand is over. Then each further instruction raises the error: a loop around `pcall`
    /// would catch a single one.
    pub fn look_at_time(&self, lua: &Lua) -> mlua::Result<bool> {
        let is_over = self.deadline.get().is_some_and(|deadline| Instant::now() >= deadline);
        if is_over && !self.is_over.replace(true) {
            let end = |_: &Lua, _: &mlua::debug::Debug<'_>| Err(mlua::Error::runtime(OVER));
            lua.set_global_hook(HookTriggers::new().every_nth_instruction(1), end)?;
        }
        Ok(is_over)
    }

    /// Whether it was over when it was last looked at.
    pub fn is_over(&self) -> bool {
        self.is_over.get()
    }
}

struct Interpreter {
    lua: Lua,
    run: Function,
    /// What `redis.call` calls.
    call: Function,
    /// The scripts that are compiled.
    functions: Table,
    state: Rc<State>,
    /// The memory that it may use, in bytes.
    memory_max: usize,
}

/// The scripts of one core.
#[derive(Default)]
pub struct Scripts {
    /// Made with the first script.
    interpreter: Option<Interpreter>,
    compiled: HashMap<Sha, Script, foldhash::fast::RandomState>,
    generation: u64,
}

impl Scripts {
    /// A script by its name.
    ///
    /// # Errors
    /// If there is none.
    pub fn by_name(&mut self, texts: &ScriptTexts, memory_max: usize, name: &[u8]) -> Result<Script, NoScript> {
        let sha = Sha::parse(name).ok_or(NoScript::Unknown)?;
        self.forget_flushed(texts);
        if let Some(script) = self.compiled.get(&sha) {
            return Ok(script.clone());
        }
        let text = texts.get(sha).ok_or(NoScript::Unknown)?;
        self.compile(memory_max, sha, &text)
    }

    /// A script by its text, which is kept for all cores.
    ///
    /// # Errors
    /// If the text is wrong, or there is no place for it.
    pub fn by_text(
        &mut self,
        texts: &ScriptTexts,
        memory_max: usize,
        text: &[u8],
        is_loaded: bool,
    ) -> Result<Script, NoScript> {
        let sha = Sha::of(text);
        self.forget_flushed(texts);
        let known = self.compiled.get(&sha).cloned();
        if let Some(script) = known {
            if is_loaded {
                texts.put(sha, text, true).map_err(NoScript::OverLimit)?;
            }
            return Ok(script);
        }
        let script = self.compile(memory_max, sha, text)?;
        texts.put(sha, text, is_loaded).map_err(NoScript::OverLimit)?;
        Ok(script)
    }

    fn forget_flushed(&mut self, texts: &ScriptTexts) {
        let generation = texts.generation();
        if generation != self.generation {
            self.generation = generation;
            self.forget_compiled();
        }
    }

    /// Forgets what is compiled: it is compiled again when it runs.
    fn forget_compiled(&mut self) {
        self.compiled.clear();
        if let Some(interpreter) = &mut self.interpreter
            && let Ok(none) = interpreter.lua.create_table()
        {
            interpreter.functions = none;
        }
    }

    /// Compiles a script that is not compiled yet, so that its place is its own.
    fn compile(&mut self, memory_max: usize, sha: Sha, text: &[u8]) -> Result<Script, NoScript> {
        debug_assert!(!self.compiled.contains_key(&sha), "another script gets its place");
        if self.compiled.len() >= SCRIPTS_COMPILED_MAX {
            self.forget_compiled();
        }
        let place = self.compiled.len() as i64 + 1;
        let interpreter = self.interpreter(memory_max)?;
        let Head { code, has_flags, has_no_writes, allows_oom } = head(text)?;
        let chunk = interpreter.lua.load(&*code).set_name("@user_script").set_mode(mlua::chunk::ChunkMode::Text);
        let kept = chunk.into_function().and_then(|function| interpreter.functions.raw_set(place, function));
        kept.map_err(|error| {
            let text = match &error {
                mlua::Error::SyntaxError { message, .. } => message.clone(),
                other => other.to_string(),
            };
            NoScript::Invalid(format!("ERR Error compiling script (new function): {text}"))
        })?;
        let lines = 1 + text.trim_ascii_end().iter().filter(|byte| **byte == b'\n').count();
        let reach = Rc::new(Cell::new(Reach::Unknown));
        let script = Script { sha, place, lines, has_no_writes, has_flags, allows_oom, reach };
        self.compiled.insert(sha, script.clone());
        Ok(script)
    }

    fn interpreter(&mut self, memory_max: usize) -> Result<&Interpreter, NoScript> {
        if self.interpreter.is_none() {
            let made = Interpreter::new(memory_max);
            self.interpreter = Some(made.map_err(|error| NoScript::Invalid(format!("ERR {error}")))?);
        }
        self.interpreter.as_ref().ok_or(NoScript::Unknown)
    }

    /// The memory of the interpreter, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.interpreter.as_ref().map_or(0, |interpreter| interpreter.lua.used_memory())
    }

    /// Runs a script with these keys and arguments, for so long at the most.
    pub fn run<'a>(
        &self,
        script: &Script,
        (keys, args): (impl Iterator<Item = &'a [u8]>, impl Iterator<Item = &'a [u8]>),
        time_max: Option<Duration>,
        caller: &mut dyn Caller,
        reply: &mut Reply<'_>,
    ) -> Ended {
        let Some(interpreter) = &self.interpreter else { unreachable!("it has compiled the script") };
        let mark = reply.len();
        match interpreter.run(script, (keys, args), time_max, caller, reply) {
            Ok(ended) => ended,
            // Memory that the script itself was refused.
            Err(error) => {
                reply.truncate(mark);
                reply.error(format!("ERR {} script: {}, on @user_script.", first_line(&error.to_string()), script.sha));
                Ended::Replied
            }
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A text without the line that tells of its flags, and what that says.
struct Head {
    code: Vec<u8>,
    has_flags: bool,
    has_no_writes: bool,
    allows_oom: bool,
}

fn head(text: &[u8]) -> Result<Head, NoScript> {
    let invalid = |text: String| NoScript::Invalid(format!("ERR {text}"));
    if !text.starts_with(b"#!") {
        return Ok(Head { code: text.to_vec(), has_flags: false, has_no_writes: false, allows_oom: false });
    }
    let end = text.iter().position(|byte| *byte == b'\n').ok_or_else(|| invalid("Invalid script shebang".into()))?;
    let line = String::from_utf8_lossy(&text[2..end]).into_owned();
    let mut words = line.split_ascii_whitespace();
    let engine = words.next().unwrap_or_default();
    if engine != "lua" {
        return Err(invalid(format!("Unexpected engine in script shebang: #!{engine}")));
    }
    let (mut has_no_writes, mut allows_oom) = (false, false);
    for word in words {
        let Some(flags) = word.strip_prefix("flags=") else {
            return Err(invalid(format!("Unknown lua shebang option: {word}")));
        };
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "no-writes" => has_no_writes = true,
                "allow-oom" => allows_oom = true,
                "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
                _ => return Err(invalid(format!("Unexpected flag in script shebang: {flag}"))),
            }
        }
    }
    // Its end stays, so that lines have their numbers.
    Ok(Head { code: text[end..].to_vec(), has_flags: true, has_no_writes, allows_oom })
}

impl Interpreter {
    fn new(memory_max: usize) -> mlua::Result<Interpreter> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::DEBUG;
        // SAFETY: the library `debug` could break memory; only the prelude sees it, and uses `getinfo` alone.
        let lua = unsafe { Lua::unsafe_new_with(libraries, LuaOptions::new()) };
        lua.set_memory_limit(memory_max)?;
        let state = Rc::new(State::default());
        let native = library::natives(&lua, &state)?;
        let prelude = lua.load(include_str!("prelude.lua")).set_name("=prelude");
        let run: Function = prelude.call(native)?;
        let functions = lua.create_table()?;
        let call = call(&lua, &state)?;
        let interpreter = Interpreter { lua, run, call, functions, state, memory_max };
        interpreter.watch_time()?;
        Ok(interpreter)
    }

    fn run<'a>(
        &self,
        script: &Script,
        (keys, args): (impl Iterator<Item = &'a [u8]>, impl Iterator<Item = &'a [u8]>),
        time_max: Option<Duration>,
        caller: &mut dyn Caller,
        reply: &mut Reply<'_>,
    ) -> mlua::Result<Ended> {
        let Interpreter { lua, run, call, functions, state, .. } = self;
        state.resp3.set(false);
        state.deadline.set(time_max.map(|time| Instant::now() + time));
        let (keys, args) = (strings(lua, keys)?, strings(lua, args)?);
        let result = state.caller.during(caller, || {
            let function: Function = functions.raw_get(script.place)?;
            run.call::<(bool, Value, Option<i64>)>((function, keys, args, call, script.lines))
        });
        state.deadline.set(None);
        // Lua collects by itself only when as much again has been allocated, and not where memory ends.
        if lua.used_memory() > self.memory_max / 4 {
            lua.gc_collect()?;
        }
        if state.is_over.replace(false) {
            self.watch_time()?;
        }
        if state.is_elsewhere.replace(false) {
            return Ok(Ended::Elsewhere);
        }
        match result? {
            (true, value, _) => to_reply(&value, state.resp3.get(), reply)?,
            (false, value, line) => reply.error(self.error(script, &value, line)?),
        }
        Ok(Ended::Replied)
    }

    /// Has the interpreter look at the time now and then.
    fn watch_time(&self) -> mlua::Result<()> {
        let state = self.state.clone();
        let triggers = HookTriggers::new().every_nth_instruction(SCRIPT_HOOK_INSTRUCTIONS);
        self.lua.set_global_hook(triggers, move |lua, _| match state.look_at_time(lua)? {
            true => Err(mlua::Error::runtime(OVER)),
            false => Ok(VmState::Continue),
        })
    }

    /// The error of a script that has failed, as Redis words it.
    fn error(&self, script: &Script, value: &Value, line: Option<i64>) -> mlua::Result<Vec<u8>> {
        let (text, has_code) = match value {
            Value::String(text) => {
                (text.as_bytes().to_vec(), line.is_some() && !text.as_bytes().starts_with(b"user_script:"))
            }
            Value::Table(table) => match table.raw_get("err")? {
                Value::String(text) => (text.as_bytes().to_vec(), true),
                _ => (b"unknown error".to_vec(), false),
            },
            Value::Error(error) => (first_line(&cause(error)).as_bytes().to_vec(), false),
            _ => (b"unknown error".to_vec(), false),
        };
        let code: &[u8] = if has_code { b"" } else { b"ERR " };
        let line = line.filter(|line| *line > 0).unwrap_or(script.lines as i64);
        let place = format!(" script: {}, on @user_script:{line}.", script.sha);
        Ok([code, &text, place.as_bytes()].concat())
    }
}

/// The function with which scripts call commands: it returns whether that has succeeded, and the reply or the error.
fn call(lua: &Lua, state: &Rc<State>) -> mlua::Result<Function> {
    let state = state.clone();
    lua.create_function(move |lua, words: MultiValue| {
        // Once a command was for another place nothing more runs, whatever the script makes of the error.
        if state.is_elsewhere.get() {
            return Ok((false, Value::Nil));
        }
        if state.look_at_time(lua)? {
            return library::failed(lua, OVER);
        }
        let words = match library::words(&words) {
            Ok(words) => words,
            Err(text) => return library::failed(lua, text),
        };
        let protocol = if state.resp3.get() { Protocol::Resp3 } else { Protocol::Resp2 };
        let mut out = Vec::new();
        match state.caller.with(|caller| caller.call(words.as_args(), protocol, &mut out)) {
            Some(Called::Replied) => match to_lua(lua, &out)? {
                Replied::Value(value) => library::done(value),
                Replied::Error(text) => library::failed(lua, text),
            },
            Some(Called::Elsewhere) => {
                state.is_elsewhere.set(true);
                library::failed(lua, "ERR elsewhere")
            }
            None => library::failed(lua, "ERR no script runs"),
        }
    })
}

fn cause(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause: inner, .. } => cause(inner),
        mlua::Error::RuntimeError(text) => text.clone(),
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        other => other.to_string(),
    }
}

fn strings<'a>(lua: &Lua, words: impl Iterator<Item = &'a [u8]>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (place, word) in words.enumerate() {
        table.raw_set(place + 1, lua.create_string(word)?)?;
    }
    Ok(table)
}

/// The error of a script whose time is over.
const OVER: &str = "Script ended: it ran longer than script-time-limit-ms allows";
