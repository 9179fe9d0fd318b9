//! `cmsgpack`: MessagePack, as Redis's library of that name has it.

use super::library::{Outcome, done, failed, number, string, text};
use crate::limits::SCRIPT_OUTPUT_BYTES_MAX;
use mlua::{Lua, MultiValue, Table, Value};

/// How deep values may lie within each other: what is deeper is packed as nil.
const DEPTH_MAX: usize = 16;

/// The library.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    library.set(
        "pack",
        lua.create_function(|lua, values: MultiValue| -> Outcome {
            if values.is_empty() {
                return failed(lua, "bad argument #0 to 'pack' (MessagePack pack needs input.)");
            }
            let mut out = Vec::new();
            for value in &values {
                pack(value, &mut out, 0)?;
            }
            string(lua, out)
        })?,
    )?;
    library
        .set("unpack", lua.create_function(|lua, values: MultiValue| unpack_some(lua, &values, usize::MAX, None))?)?;
    library.set(
        "unpack_one",
        lua.create_function(|lua, values: MultiValue| {
            let offset = number(values.get(1)).unwrap_or(0.0) as usize;
            unpack_some(lua, &values, 1, Some(offset))
        })?,
    )?;
    library.set(
        "unpack_limit",
        lua.create_function(|lua, values: MultiValue| {
            let limit = number(values.get(1)).unwrap_or(0.0) as usize;
            let offset = number(values.get(2)).unwrap_or(0.0) as usize;
            unpack_some(lua, &values, limit, Some(offset))
        })?,
    )?;
    library.set("_NAME", "cmsgpack")?;
    Ok(library)
}

fn pack(value: &Value, out: &mut Vec<u8>, depth: usize) -> mlua::Result<()> {
    match value {
        Value::Boolean(value) => out.push(if *value { 0xC3 } else { 0xC2 }),
        Value::Integer(number) => pack_integer(*number, out),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => pack_integer(*number as i64, out),
        Value::Number(number) => {
            let short = *number as f32;
            if f64::from(short) == *number {
                out.push(0xCA);
                out.extend_from_slice(&short.to_be_bytes());
            } else {
                out.push(0xCB);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        Value::String(text) => {
            let bytes = text.as_bytes();
            match bytes.len() {
                length @ 0..32 => out.push(0xA0 | length as u8),
                length @ 32..256 => out.extend_from_slice(&[0xD9, length as u8]),
                length @ 256..65_536 => {
                    out.push(0xDA);
                    out.extend_from_slice(&(length as u16).to_be_bytes());
                }
                length => {
                    out.push(0xDB);
                    out.extend_from_slice(&(length as u32).to_be_bytes());
                }
            }
            out.extend_from_slice(&bytes);
        }
        Value::Table(table) if depth < DEPTH_MAX => return pack_table(table, out, depth),
        _ => out.push(0xC0),
    }
    Ok(())
}

fn pack_integer(number: i64, out: &mut Vec<u8>) {
    match number {
        0..128 => out.push(number as u8),
        128..256 => out.extend_from_slice(&[0xCC, number as u8]),
        256..65_536 => {
            out.push(0xCD);
            out.extend_from_slice(&(number as u16).to_be_bytes());
        }
        65_536..4_294_967_296 => {
            out.push(0xCE);
            out.extend_from_slice(&(number as u32).to_be_bytes());
        }
        4_294_967_296.. => {
            out.push(0xCF);
            out.extend_from_slice(&number.to_be_bytes());
        }
        -32..0 => out.push(number as i8 as u8),
        -128..-32 => out.extend_from_slice(&[0xD0, number as i8 as u8]),
        -32_768..-128 => {
            out.push(0xD1);
            out.extend_from_slice(&(number as i16).to_be_bytes());
        }
        -2_147_483_648..-32_768 => {
            out.push(0xD2);
            out.extend_from_slice(&(number as i32).to_be_bytes());
        }
        ..-2_147_483_648 => {
            out.push(0xD3);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

fn pack_table(table: &Table, out: &mut Vec<u8>, depth: usize) -> mlua::Result<()> {
    // A table may be in it many times.
    if out.len() > SCRIPT_OUTPUT_BYTES_MAX {
        return Err(mlua::Error::runtime("the packed value is too large"));
    }
    let count = table.pairs::<Value, Value>().count();
    let is_index = |key: &Value| match key {
        Value::Integer(index) => *index >= 1 && *index <= count as i64,
        Value::Number(index) => *index >= 1.0 && index.fract() == 0.0 && *index <= count as f64,
        _ => false,
    };
    let is_array = table.pairs::<Value, Value>().all(|pair| pair.is_ok_and(|(key, _)| is_index(&key)));
    let head = |out: &mut Vec<u8>, fixed: u8, short: u8, long: u8| match count {
        0..16 => out.push(fixed | count as u8),
        16..65_536 => {
            out.push(short);
            out.extend_from_slice(&(count as u16).to_be_bytes());
        }
        _ => {
            out.push(long);
            out.extend_from_slice(&(count as u32).to_be_bytes());
        }
    };
    if is_array {
        head(out, 0x90, 0xDC, 0xDD);
        return (1..=count).try_for_each(|place| pack(&table.raw_get(place)?, out, depth + 1));
    }
    head(out, 0x80, 0xDE, 0xDF);
    table.pairs::<Value, Value>().try_for_each(|pair| {
        let (key, value) = pair?;
        pack(&key, out, depth + 1)?;
        pack(&value, out, depth + 1)
    })
}

/// Unpacks so many values from `offset` on. With an offset, the place of the next value comes first, -1 at the end.
fn unpack_some(lua: &Lua, values: &MultiValue, limit: usize, offset: Option<usize>) -> Outcome {
    let Some(bytes) = text(values.front()) else {
        return failed(lua, "bad argument #1 to 'unpack' (string expected)");
    };
    let start = offset.unwrap_or(0);
    if start > bytes.len() {
        return failed(lua, format!("Start offset {start} greater than input length {}.", bytes.len()));
    }
    let mut unpacker = Unpacker { lua, bytes: &bytes, at: start };
    let found = lua.create_table()?;
    let mut count = usize::from(offset.is_some());
    for _ in 0..limit {
        if unpacker.at == bytes.len() {
            break;
        }
        match unpacker.value(0) {
            Some(value) => {
                count += 1;
                found.raw_set(count, value?)?;
            }
            None => return failed(lua, "Missing bytes in input."),
        }
    }
    if offset.is_some() {
        let next = if unpacker.at == bytes.len() { -1.0 } else { unpacker.at as f64 };
        found.raw_set(1, next)?;
    }
    found.raw_set("n", count)?;
    done(Value::Table(found))
}

struct Unpacker<'a> {
    lua: &'a Lua,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Unpacker<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn unsigned(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    /// The next value; `None` where bytes are missing, or it lies too deep.
    fn value(&mut self, depth: usize) -> Option<mlua::Result<Value>> {
        /// Input may be of anybody.
        const INPUT_DEPTH_MAX: usize = 128;
        if depth > INPUT_DEPTH_MAX {
            return None;
        }
        let head = self.take(1)?[0];
        let number = |value: f64| Some(Ok(Value::Number(value)));
        match head {
            0x00..=0x7F => number(f64::from(head)),
            0xE0..=0xFF => number(f64::from(head as i8)),
            0x80..=0x8F => self.map(u64::from(head & 15), depth),
            0x90..=0x9F => self.array(u64::from(head & 15), depth),
            0xA0..=0xBF => self.text(u64::from(head & 31)),
            0xC0 => Some(Ok(Value::Nil)),
            0xC2 => Some(Ok(Value::Boolean(false))),
            0xC3 => Some(Ok(Value::Boolean(true))),
            0xCA => number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xCB => number(f64::from_bits(self.unsigned(8)?)),
            0xCC => number(self.unsigned(1)? as f64),
            0xCD => number(self.unsigned(2)? as f64),
            0xCE => number(self.unsigned(4)? as f64),
            0xCF => number(self.unsigned(8)? as f64),
            0xD0 => number(f64::from(self.unsigned(1)? as i8)),
            0xD1 => number(f64::from(self.unsigned(2)? as i16)),
            0xD2 => number(f64::from(self.unsigned(4)? as i32)),
            0xD3 => number(self.unsigned(8)? as i64 as f64),
            0xC4 | 0xD9 => {
                let length = self.unsigned(1)?;
                self.text(length)
            }
            0xC5 | 0xDA => {
                let length = self.unsigned(2)?;
                self.text(length)
            }
            0xC6 | 0xDB => {
                let length = self.unsigned(4)?;
                self.text(length)
            }
            0xDC => {
                let count = self.unsigned(2)?;
                self.array(count, depth)
            }
            0xDD => {
                let count = self.unsigned(4)?;
                self.array(count, depth)
            }
            0xDE => {
                let count = self.unsigned(2)?;
                self.map(count, depth)
            }
            0xDF => {
                let count = self.unsigned(4)?;
                self.map(count, depth)
            }
            0xC1 | 0xC7..=0xC9 | 0xD4..=0xD8 => None,
        }
    }

    fn text(&mut self, length: u64) -> Option<mlua::Result<Value>> {
        let bytes = self.take(usize::try_from(length).ok()?)?;
        Some(self.lua.create_string(bytes).map(Value::String))
    }

    fn array(&mut self, count: u64, depth: usize) -> Option<mlua::Result<Value>> {
        let table = self.lua.create_table();
        let Ok(table) = table else { return Some(table.map(Value::Table)) };
        for place in 1..=count {
            let value = self.value(depth + 1)?;
            if let Err(error) = value.and_then(|value| table.raw_set(place, value)) {
                return Some(Err(error));
            }
        }
        Some(Ok(Value::Table(table)))
    }

    fn map(&mut self, count: u64, depth: usize) -> Option<mlua::Result<Value>> {
        let table = self.lua.create_table();
        let Ok(table) = table else { return Some(table.map(Value::Table)) };
        for _ in 0..count {
            let (key, value) = (self.value(depth + 1)?, self.value(depth + 1)?);
            let set = key.and_then(|key| {
                value.and_then(|value| match key {
                    // No key of a table.
                    Value::Nil => Ok(()),
                    Value::Number(number) if number.is_nan() => Ok(()),
                    key => table.raw_set(key, value),
                })
            });
            if let Err(error) = set {
                return Some(Err(error));
            }
        }
        Some(Ok(Value::Table(table)))
    }
}
