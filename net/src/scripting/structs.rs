//! `struct`: values in binary formats, as Redis's library of that name has them.

use super::library::{Outcome, done, failed, number, string, text};
use mlua::{Lua, MultiValue, Table, Value};

/// The library.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    library.set(
        "pack",
        lua.create_function(|lua, values: MultiValue| match pack(&values) {
            Ok(packed) => string(lua, packed),
            Err(error) => failed(lua, error),
        })?,
    )?;
    library.set(
        "unpack",
        lua.create_function(|lua, values: MultiValue| -> Outcome {
            match unpack(lua, &values)? {
                Ok(table) => done(Value::Table(table)),
                Err(error) => failed(lua, error),
            }
        })?,
    )?;
    library.set(
        "size",
        lua.create_function(|lua, values: MultiValue| match size(&values) {
            Ok(size) => done(Value::Number(size as f64)),
            Err(error) => failed(lua, error),
        })?,
    )?;
    Ok(library)
}

/// One item of a format.
enum Item {
    /// An integer of so many bytes, signed or not.
    Integer(usize, bool),
    Float,
    Double,
    /// Characters: so many, or, with 0, the whole string.
    Text(usize),
    /// A string that ends with a zero byte.
    Terminated,
    Padding,
}

struct Format<'f> {
    rest: &'f [u8],
    is_big: bool,
    alignment: usize,
}

impl Format<'_> {
    fn new(text: &[u8]) -> Format<'_> {
        Format { rest: text, is_big: false, alignment: 1 }
    }

    fn count(&mut self) -> Option<usize> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (count, rest) = self.rest.split_at(digits);
        self.rest = rest;
        std::str::from_utf8(count).ok()?.parse().ok()
    }

    /// The next item.
    fn next(&mut self) -> Result<Option<Item>, String> {
        loop {
            let Some((&letter, rest)) = self.rest.split_first() else { return Ok(None) };
            self.rest = rest;
            let item = match letter {
                b' ' => continue,
                b'>' => {
                    self.is_big = true;
                    continue;
                }
                b'<' | b'=' => {
                    self.is_big = false;
                    continue;
                }
                b'!' => {
                    self.alignment = self.count().unwrap_or(8);
                    if !self.alignment.is_power_of_two() {
                        return Err("alignment is not a power of 2".into());
                    }
                    continue;
                }
                b'b' | b'B' => Item::Integer(1, letter == b'b'),
                b'h' | b'H' => Item::Integer(2, letter == b'h'),
                b'l' | b'L' | b'T' => Item::Integer(8, letter == b'l'),
                b'i' | b'I' => match self.count().unwrap_or(4) {
                    size @ 1..=16 => Item::Integer(size, letter == b'i'),
                    size => return Err(format!("integral size {size} is larger than limit of 32")),
                },
                b'f' => Item::Float,
                b'd' | b'n' => Item::Double,
                b's' => Item::Terminated,
                b'c' => Item::Text(self.count().unwrap_or(1)),
                b'x' => Item::Padding,
                other => return Err(format!("invalid format option '{}'", char::from(other))),
            };
            return Ok(Some(item));
        }
    }

    /// The bytes that an item of this size is moved by.
    fn padding(&self, at: usize, size: usize) -> usize {
        let to = size.min(self.alignment);
        if to > 1 && size.is_power_of_two() { at.next_multiple_of(to) - at } else { 0 }
    }
}

fn format_of(values: &MultiValue) -> Result<Vec<u8>, String> {
    text(values.front()).ok_or_else(|| "bad argument #1 (string expected)".to_owned())
}

fn in_order(is_big: bool, mut bytes: Vec<u8>) -> Vec<u8> {
    if is_big {
        bytes.reverse();
    }
    bytes
}

fn pack(values: &MultiValue) -> Result<Vec<u8>, String> {
    let text_of_format = format_of(values)?;
    let mut format = Format::new(&text_of_format);
    let (mut out, mut place) = (Vec::new(), 1);
    while let Some(item) = format.next()? {
        let wrong = |kind: &str| format!("bad argument #{} to 'pack' ({kind} expected)", place + 1);
        let size = match item {
            Item::Integer(size, _) => size,
            Item::Float => 4,
            Item::Double => 8,
            Item::Text(_) | Item::Terminated | Item::Padding => 1,
        };
        out.resize(out.len() + format.padding(out.len(), size), 0);
        match item {
            Item::Padding => {
                out.push(0);
                continue;
            }
            Item::Integer(size, _) => {
                let value = number(values.get(place)).ok_or_else(|| wrong("number"))?;
                let value = if value < 0.0 { value as i128 } else { value as u128 as i128 };
                out.extend(in_order(format.is_big, value.to_le_bytes()[..size].to_vec()));
            }
            Item::Float => {
                let value = number(values.get(place)).ok_or_else(|| wrong("number"))? as f32;
                out.extend(in_order(format.is_big, value.to_le_bytes().to_vec()));
            }
            Item::Double => {
                let value = number(values.get(place)).ok_or_else(|| wrong("number"))?;
                out.extend(in_order(format.is_big, value.to_le_bytes().to_vec()));
            }
            Item::Text(size) => {
                let value = text(values.get(place)).ok_or_else(|| wrong("string"))?;
                let size = if size == 0 { value.len() } else { size };
                out.extend_from_slice(value.get(..size).ok_or_else(|| "string too short".to_owned())?);
            }
            Item::Terminated => {
                out.extend(text(values.get(place)).ok_or_else(|| wrong("string"))?);
                out.push(0);
            }
        }
        place += 1;
    }
    Ok(out)
}

fn unpack(lua: &Lua, values: &MultiValue) -> mlua::Result<Result<Table, String>> {
    let (text_of_format, data) = match (format_of(values), text(values.get(1))) {
        (Ok(format), Some(data)) => (format, data),
        (Err(error), _) => return Ok(Err(error)),
        (_, None) => return Ok(Err("bad argument #2 to 'unpack' (string expected)".into())),
    };
    let mut at = match number(values.get(2)).unwrap_or(1.0) {
        start if start >= 1.0 => start as usize - 1,
        _ => return Ok(Err("offset must be 1 or greater".into())),
    };
    let mut format = Format::new(&text_of_format);
    let found = lua.create_table()?;
    let mut count = 0;
    loop {
        let item = match format.next() {
            Ok(Some(item)) => item,
            Ok(None) => break,
            Err(error) => return Ok(Err(error)),
        };
        let size = match item {
            Item::Integer(size, _) => size,
            Item::Float => 4,
            Item::Double => 8,
            Item::Padding => 1,
            Item::Text(0) => match number(Some(&found.raw_get(count)?)) {
                Some(size) if size >= 0.0 => {
                    found.raw_set(count, Value::Nil)?;
                    count -= 1;
                    size as usize
                }
                _ => return Ok(Err("format 'c0' needs a previous size".into())),
            },
            Item::Text(size) => size,
            Item::Terminated => match data.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) {
                Some(end) => end + 1,
                None => return Ok(Err("unfinished string in data".into())),
            },
        };
        at += format.padding(at, size);
        let Some(bytes) = at.checked_add(size).and_then(|end| data.get(at..end)) else {
            return Ok(Err("data string too short".into()));
        };
        at += size;
        let ordered = || in_order(format.is_big, bytes.to_vec());
        let value = match item {
            Item::Padding => continue,
            Item::Integer(size, is_signed) => {
                let bytes = ordered();
                let filling = if is_signed && bytes[size - 1] >= 0x80 { 0xFF } else { 0 };
                let mut all = [filling; 16];
                all[..size].copy_from_slice(&bytes);
                let value = i128::from_le_bytes(all);
                Value::Number(if is_signed { value as f64 } else { value as u128 as f64 })
            }
            Item::Float => Value::Number(f64::from(f32::from_le_bytes(ordered().try_into().unwrap_or_default()))),
            Item::Double => Value::Number(f64::from_le_bytes(ordered().try_into().unwrap_or_default())),
            Item::Text(_) => Value::String(lua.create_string(bytes)?),
            Item::Terminated => Value::String(lua.create_string(&bytes[..size - 1])?),
        };
        count += 1;
        found.raw_set(count, value)?;
    }
    count += 1;
    found.raw_set(count, (at + 1) as f64)?;
    found.raw_set("n", count)?;
    Ok(Ok(found))
}

fn size(values: &MultiValue) -> Result<usize, String> {
    let text_of_format = format_of(values)?;
    let mut format = Format::new(&text_of_format);
    let mut at = 0;
    while let Some(item) = format.next()? {
        let size = match item {
            Item::Integer(size, _) => size,
            Item::Float => 4,
            Item::Double => 8,
            Item::Padding => 1,
            Item::Terminated => return Err("variable-size format in call to 'size'".into()),
            Item::Text(0) => return Err("variable-length format in call to 'size'".into()),
            Item::Text(size) => size,
        };
        at += format.padding(at, size) + size;
    }
    Ok(at)
}
