//! The functions of the object `redis`, but for those that call commands; and the numbers that `math.random` gives.

use super::interpreter::State;
use super::{Sha, bit, cjson, cmsgpack, structs};
use crate::limits::SCRIPT_PATTERN_BYTES_MAX;
use crate::resp::OwnedArgs;
use keytide_engine::number::score_text;
use mlua::{Lua, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// The result of a function: whether it has succeeded, and its value or the text of its error. Errors of Rust would not be
/// strings to a script.
pub(super) type Outcome = mlua::Result<(bool, Value)>;

/// A success.
pub(super) fn done(value: impl Into<Value>) -> Outcome {
    Ok((true, value.into()))
}

/// An error.
pub(super) fn failed(lua: &Lua, text: impl AsRef<[u8]>) -> Outcome {
    Ok((false, Value::String(lua.create_string(text)?)))
}

/// A string.
pub(super) fn string(lua: &Lua, bytes: impl AsRef<[u8]>) -> Outcome {
    done(Value::String(lua.create_string(bytes)?))
}

/// The bytes of a value that Lua takes for a string.
pub(super) fn text(value: Option<&Value>) -> Option<Vec<u8>> {
    match value? {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(format_g14(*number as f64).into_bytes()),
        Value::Number(number) => Some(format_g14(*number).into_bytes()),
        _ => None,
    }
}

/// The number that a value is.
pub(super) fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        Value::String(text) => std::str::from_utf8(&text.as_bytes()).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// A number as `%.14g` prints it: as Lua and cjson do.
pub(super) fn format_g14(number: f64) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{number:.13e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if !(-4..14).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(digits), exponent.abs());
    }
    trimmed(&format!("{number:.*}", (13 - exponent).max(0) as usize))
}

/// The arguments of `redis.call` as a command.
pub(super) fn words(values: &MultiValue) -> Result<OwnedArgs, &'static str> {
    if values.is_empty() {
        return Err("ERR Please specify at least one argument for this redis lib call");
    }
    let mut words = OwnedArgs::new();
    for value in values {
        match value {
            Value::String(text) => words.push(&text.as_bytes()),
            Value::Integer(number) => words.push(&score_text(*number as f64)),
            Value::Number(number) => words.push(&score_text(*number)),
            _ => return Err("ERR Lua redis lib command arguments must be strings or integers"),
        }
    }
    Ok(words)
}

/// The random numbers of scripts.
pub(super) struct Random(Cell<u64>);

impl Default for Random {
    /// Other ones with each start.
    fn default() -> Random {
        Random(Cell::new(fastrand::u64(..1 << 48)))
    }
}

impl Random {
    /// A number from 0 to below 1, by the generator of `lrand48`, as Redis has it.
    fn next(&self) -> f64 {
        const MULTIPLIER: u64 = 0x5_DEEC_E66D;
        let next = self.0.get().wrapping_mul(MULTIPLIER).wrapping_add(0xB) & ((1 << 48) - 1);
        self.0.set(next);
        // Its high 31 bits.
        const MOST: u64 = i32::MAX as u64;
        ((next >> 17) % MOST) as f64 / MOST as f64
    }

    fn seed(&self, seed: i64) {
        self.0.set(u64::from(seed as u32) << 16 | 0x330E);
    }
}

/// Everything that the prelude takes from this server.
pub(super) fn natives(lua: &Lua, state: &Rc<State>) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    native.set("redis", redis(lua)?)?;
    native.set("bit", bit::library(lua)?)?;
    native.set("cjson", cjson::library(lua)?)?;
    native.set("cmsgpack", cmsgpack::library(lua)?)?;
    native.set("struct", structs::library(lua)?)?;
    let of_run = state.clone();
    native.set("look_at_time", lua.create_function(move |lua, ()| of_run.look_at_time(lua))?)?;
    let of_run = state.clone();
    native.set("is_over", lua.create_function(move |_, ()| Ok(of_run.is_over()))?)?;
    native.set("pattern_max", SCRIPT_PATTERN_BYTES_MAX)?;
    let of_run = state.clone();
    native.set(
        "setresp",
        lua.create_function(move |_, version: i64| {
            of_run.resp3.set(version == 3);
            Ok(())
        })?,
    )?;
    let of_run = state.clone();
    native.set(
        "random",
        lua.create_function(move |lua, bounds: MultiValue| {
            let drawn = of_run.random.next();
            let bound = |place: usize| number(bounds.get(place)).map(f64::floor);
            match (bounds.len(), bound(0), bound(1)) {
                (0, ..) => done(Value::Number(drawn)),
                (1, Some(most), _) if most >= 1.0 => done(Value::Number((drawn * most).floor() + 1.0)),
                (1, Some(_), _) => failed(lua, "bad argument #1 to 'random' (interval is empty)"),
                (2, Some(least), Some(most)) if least <= most => {
                    done(Value::Number((drawn * (most - least + 1.0)).floor() + least))
                }
                (2, Some(_), Some(_)) => failed(lua, "bad argument #2 to 'random' (interval is empty)"),
                _ => failed(lua, "wrong number of arguments"),
            }
        })?,
    )?;
    let of_run = state.clone();
    native.set(
        "randomseed",
        lua.create_function(move |lua, seed: Value| match number(Some(&seed)) {
            Some(seed) => {
                of_run.random.seed(seed as i64);
                done(Value::Nil)
            }
            None => failed(lua, "bad argument #1 to 'randomseed' (number expected)"),
        })?,
    )?;
    Ok(native)
}

fn redis(lua: &Lua) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    redis.set(
        "sha1hex",
        lua.create_function(|lua, words: MultiValue| match (words.len(), text(words.front())) {
            (1, Some(text)) => string(lua, Sha::of(&text).to_string()),
            _ => failed(lua, "wrong number of arguments"),
        })?,
    )?;
    redis.set("error_reply", lua.create_function(|lua, words: MultiValue| reply(lua, "err", &words))?)?;
    redis.set("status_reply", lua.create_function(|lua, words: MultiValue| reply(lua, "ok", &words))?)?;
    redis.set(
        "log",
        lua.create_function(|lua, words: MultiValue| {
            let (Some(level), true) = (number(words.front()), words.len() >= 2) else {
                return failed(lua, "redis.log() requires two arguments or more.");
            };
            let texts: Vec<Vec<u8>> = words.iter().skip(1).filter_map(|value| text(Some(value))).collect();
            let text = texts.join(&b' ').escape_ascii().to_string();
            match level as i64 {
                0 => tracing::trace!(text, "script"),
                1 => tracing::debug!(text, "script"),
                2 => tracing::info!(text, "script"),
                3 => tracing::warn!(text, "script"),
                _ => return failed(lua, "Invalid debug level."),
            }
            done(Value::Nil)
        })?,
    )?;
    // There are no replicas: what is replicated how has no effect.
    redis.set("replicate_commands", lua.create_function(|_, _: MultiValue| done(Value::Boolean(true)))?)?;
    redis.set("set_repl", lua.create_function(|_, _: MultiValue| done(Value::Nil))?)?;
    redis.set("breakpoint", lua.create_function(|_, _: MultiValue| done(Value::Boolean(false)))?)?;
    redis.set("debug", lua.create_function(|_, _: MultiValue| done(Value::Nil))?)?;
    for (name, value) in [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REPL_NONE", 0),
        ("REPL_SLAVE", 1),
        ("REPL_REPLICA", 1),
        ("REPL_AOF", 2),
        ("REPL_ALL", 3),
    ] {
        redis.set(name, value)?;
    }
    let (version, number) = crate::limits::REDIS_VERSION;
    redis.set("REDIS_VERSION", version)?;
    redis.set("REDIS_VERSION_NUM", number)?;
    Ok(redis)
}

fn reply(lua: &Lua, field: &str, words: &MultiValue) -> Outcome {
    let (1, Some(Value::String(text))) = (words.len(), words.front()) else {
        return failed(lua, "wrong number or type of arguments");
    };
    let bytes = text.as_bytes();
    let text = match (field, bytes.strip_prefix(b"-")) {
        ("err", Some(coded)) => coded.to_vec(),
        ("err", None) => [b"ERR ", &*bytes].concat(),
        _ => bytes.to_vec(),
    };
    let table = lua.create_table()?;
    table.raw_set(field, lua.create_string(text)?)?;
    done(Value::Table(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_by_lua() {
        for (number, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e14, "1e+14"),
            (12345678901234.0, "12345678901234"),
            (1e-5, "1e-05"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e100, "1e+100"),
            (123456.789, "123456.789"),
        ] {
            assert_eq!(format_g14(number), text, "{number}");
        }
    }
}
