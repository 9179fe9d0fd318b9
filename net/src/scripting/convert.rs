//! Between replies of the Redis protocol and values of Lua, as Redis converts them.

use crate::limits::SCRIPT_OUTPUT_BYTES_MAX;
use crate::resp::{Protocol, Reply};
use keytide_engine::number::{parse_f64, parse_i64};
use mlua::{Lua, Table, Value};

/// How deep tables may lie within each other in a reply.
const DEPTH_MAX: usize = 100;

/// What a command has replied.
pub enum Replied {
    /// A value.
    Value(Value),
    /// An error, its code first.
    Error(Vec<u8>),
}

/// Reads a whole reply.
pub fn to_lua(lua: &Lua, bytes: &[u8]) -> mlua::Result<Replied> {
    if bytes.first() == Some(&b'-') {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n").unwrap_or(bytes.len());
        return Ok(Replied::Error(bytes[1..end].to_vec()));
    }
    let mut rest = bytes;
    Ok(Replied::Value(value(lua, &mut rest)?))
}

/// A line without its end.
fn line<'b>(rest: &mut &'b [u8]) -> &'b [u8] {
    let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap_or(rest.len());
    let (line, after) = rest.split_at(end);
    *rest = after.get(2..).unwrap_or_default();
    line
}

fn field(lua: &Lua, name: &str, value: impl mlua::IntoLua) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(Value::Table(table))
}

fn value(lua: &Lua, rest: &mut &[u8]) -> mlua::Result<Value> {
    let head = line(rest);
    let (Some(&kind), text) = (head.first(), head.get(1..).unwrap_or_default()) else { return Ok(Value::Nil) };
    let number = parse_i64(text).unwrap_or(0);
    Ok(match kind {
        b':' => Value::Number(number as f64),
        b'$' | b'=' if number < 0 => Value::Boolean(false),
        b'$' => Value::String(lua.create_string(bulk(rest, number))?),
        b'=' => {
            let text = bulk(rest, number);
            let (format, text) = text.split_at_checked(4).unwrap_or((b"txt:", text));
            let verbatim = lua.create_table()?;
            verbatim.raw_set("format", lua.create_string(&format[..3])?)?;
            verbatim.raw_set("string", lua.create_string(text)?)?;
            field(lua, "verbatim_string", verbatim)?
        }
        b'+' => field(lua, "ok", lua.create_string(text)?)?,
        b'-' => field(lua, "err", lua.create_string(text)?)?,
        b'_' => Value::Nil,
        b'#' => Value::Boolean(text == b"t"),
        b',' => field(lua, "double", parse_f64(text).unwrap_or(f64::NAN))?,
        b'(' => field(lua, "big_number", lua.create_string(text)?)?,
        b'*' | b'>' if number < 0 => Value::Boolean(false),
        b'*' | b'>' => {
            let table = lua.create_table_with_capacity(number as usize, 0)?;
            for place in 1..=number {
                table.raw_set(place, value(lua, rest)?)?;
            }
            Value::Table(table)
        }
        b'%' => {
            let map = lua.create_table_with_capacity(0, number as usize)?;
            for _ in 0..number {
                let key = value(lua, rest)?;
                map.raw_set(key, value(lua, rest)?)?;
            }
            field(lua, "map", map)?
        }
        b'~' => {
            let set = lua.create_table_with_capacity(0, number as usize)?;
            for _ in 0..number {
                set.raw_set(value(lua, rest)?, true)?;
            }
            field(lua, "set", set)?
        }
        _ => Value::Nil,
    })
}

fn bulk<'b>(rest: &mut &'b [u8], length: i64) -> &'b [u8] {
    let (bytes, after) = rest.split_at(usize::try_from(length).unwrap_or(0).min(rest.len()));
    *rest = after.get(2..).unwrap_or_default();
    bytes
}

/// Writes what a script returns. `resp3` says that the script has asked for that version's values.
pub fn to_reply(value: &Value, resp3: bool, reply: &mut Reply<'_>) -> mlua::Result<()> {
    write(value, resp3 && reply.protocol() == Protocol::Resp3, reply, 0)
}

fn write(value: &Value, resp3: bool, reply: &mut Reply<'_>, depth: usize) -> mlua::Result<()> {
    // A table may be in it many times.
    if reply.len() > SCRIPT_OUTPUT_BYTES_MAX {
        return Err(mlua::Error::runtime("the reply of the script is too large"));
    }
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(number) => reply.integer(*number),
        Value::Number(number) => reply.integer(*number as i64),
        Value::Boolean(value) if resp3 => reply.boolean(*value),
        Value::Boolean(true) => reply.integer(1),
        Value::Table(_) if depth == DEPTH_MAX => reply.error("ERR reached lua stack limit"),
        Value::Table(table) => return write_table(table, resp3, reply, depth),
        _ => reply.null(),
    }
    Ok(())
}

fn write_table(table: &Table, resp3: bool, reply: &mut Reply<'_>, depth: usize) -> mlua::Result<()> {
    if let Value::String(text) = table.raw_get("err")? {
        reply.error(&*text.as_bytes());
        return Ok(());
    }
    if let Value::String(text) = table.raw_get("ok")? {
        reply.simple(&text.to_string_lossy());
        return Ok(());
    }
    match table.raw_get("double")? {
        Value::Number(number) => {
            reply.double(number);
            return Ok(());
        }
        Value::Integer(number) => {
            reply.double(number as f64);
            return Ok(());
        }
        _ => {}
    }
    if let Value::Table(map) = table.raw_get("map")? {
        reply.map(map.pairs::<Value, Value>().count());
        return map.pairs::<Value, Value>().try_for_each(|pair| {
            let (key, value) = pair?;
            write(&key, resp3, reply, depth + 1)?;
            write(&value, resp3, reply, depth + 1)
        });
    }
    if let Value::Table(set) = table.raw_get("set")? {
        reply.set(set.pairs::<Value, Value>().count());
        return set.pairs::<Value, Value>().try_for_each(|pair| write(&pair?.0, resp3, reply, depth + 1));
    }
    if let Value::String(number) = table.raw_get("big_number")? {
        match reply.protocol() {
            Protocol::Resp2 => reply.bulk(&number.as_bytes()),
            Protocol::Resp3 => reply.big_number(&number.as_bytes()),
        }
        return Ok(());
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let Value::String(text) = verbatim.raw_get("string")?
    {
        let format = match verbatim.raw_get("format")? {
            Value::String(format) => format.to_string_lossy(),
            _ => String::new(),
        };
        let format = if format.len() == 3 { &format } else { "txt" };
        reply.verbatim(format, &text.to_string_lossy());
        return Ok(());
    }
    // Up to the first hole, as Redis does it. Elements are taken one by one: each at hand takes one of few places.
    let mut count = 0;
    while table.raw_get::<Value>(count + 1)? != Value::Nil {
        count += 1;
    }
    reply.array(count);
    (1..=count).try_for_each(|place| write(&table.raw_get(place)?, resp3, reply, depth + 1))
}
