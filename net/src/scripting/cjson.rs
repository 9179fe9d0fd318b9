//! `cjson`: JSON, as lua-cjson has it with its defaults.

use super::library::{Outcome, done, failed, format_g14, string, text};
use crate::limits::SCRIPT_OUTPUT_BYTES_MAX;
use mlua::{LightUserData, Lua, MultiValue, Table, Value};

/// How deep values may lie within each other.
const DEPTH_MAX: usize = 1000;
/// A table whose largest index is more than this, and more than [`SPARSE_RATIO`] times the number of its elements, is no
/// array.
const SPARSE_SAFE: f64 = 10.0;
const SPARSE_RATIO: f64 = 2.0;

/// What JSON's null is to scripts.
fn null() -> Value {
    Value::LightUserData(LightUserData(std::ptr::null_mut()))
}

/// The library.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    library.set("null", null())?;
    library.set(
        "encode",
        lua.create_function(|lua, values: MultiValue| -> Outcome {
            let mut out = Vec::new();
            match (values.len(), values.front()) {
                (1, Some(value)) => match encode(value, &mut out, 1) {
                    Ok(()) => string(lua, out),
                    Err(error) => failed(lua, error),
                },
                _ => failed(lua, "bad argument #1 to 'encode' (expected 1 argument)"),
            }
        })?,
    )?;
    library.set(
        "decode",
        lua.create_function(|lua, values: MultiValue| -> Outcome {
            let Some(json) = text(values.front()).filter(|_| values.len() == 1) else {
                return failed(lua, "bad argument #1 to 'decode' (string expected)");
            };
            let mut parser = Parser { lua, json: &json, at: 0 };
            let value = parser.value(0).and_then(|value| match parser.next_token() {
                None => Ok(value),
                Some(_) => Err(parser.unexpected("the end")),
            });
            match value {
                Ok(value) => done(value),
                Err(error) => failed(lua, error),
            }
        })?,
    )?;
    // What they would change has its default here.
    for (name, kept) in [
        ("encode_keep_buffer", Value::Boolean(true)),
        ("encode_max_depth", Value::Integer(DEPTH_MAX as i64)),
        ("decode_max_depth", Value::Integer(DEPTH_MAX as i64)),
        ("encode_sparse_array", Value::Boolean(false)),
        ("encode_invalid_numbers", Value::Boolean(false)),
        ("decode_invalid_numbers", Value::Boolean(true)),
        ("encode_number_precision", Value::Integer(14)),
    ] {
        library.set(name, lua.create_function(move |_, _: MultiValue| done(kept.clone()))?)?;
    }
    Ok(library)
}

fn encode(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    // A table may be in it many times.
    if out.len() > SCRIPT_OUTPUT_BYTES_MAX {
        return Err("Cannot serialise: the text is too long".into());
    }
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::LightUserData(pointer) if pointer.0.is_null() => out.extend_from_slice(b"null"),
        Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Integer(number) => out.extend_from_slice(format_g14(*number as f64).as_bytes()),
        Value::Number(number) if number.is_finite() => out.extend_from_slice(format_g14(*number).as_bytes()),
        Value::Number(_) => return Err("Cannot serialise number: must not be NaN or Inf".into()),
        Value::String(text) => encode_string(&text.as_bytes(), out),
        Value::Table(table) => return encode_table(table, out, depth),
        other => return Err(format!("Cannot serialise {}: type not supported", other.type_name())),
    }
    Ok(())
}

fn encode_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 | 0x7F => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn encode_table(table: &Table, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("Cannot serialise, excessive depth ({depth})"));
    }
    let pairs = || table.pairs::<Value, Value>();
    let (mut count, mut largest, mut is_array) = (0_u64, 0.0_f64, true);
    for pair in pairs() {
        let (key, _) = pair.map_err(|error| error.to_string())?;
        let index = match key {
            Value::Integer(index) => index as f64,
            Value::Number(index) => index,
            _ => 0.0,
        };
        is_array &= index >= 1.0 && index.fract() == 0.0;
        count += 1;
        largest = largest.max(index);
    }
    if is_array && count > 0 {
        if largest > SPARSE_SAFE && largest > count as f64 * SPARSE_RATIO {
            return Err("Cannot serialise table: excessively sparse array".into());
        }
        out.push(b'[');
        for place in 1..=largest as i64 {
            if place > 1 {
                out.push(b',');
            }
            let element: Value = table.raw_get(place).map_err(|error| error.to_string())?;
            encode(&element, out, depth + 1)?;
        }
        out.push(b']');
        return Ok(());
    }
    out.push(b'{');
    for (place, pair) in pairs().enumerate() {
        let (key, value) = pair.map_err(|error| error.to_string())?;
        if place > 0 {
            out.push(b',');
        }
        match &key {
            Value::String(text) => encode_string(&text.as_bytes(), out),
            Value::Integer(_) | Value::Number(_) => {
                encode_string(&text(Some(&key)).unwrap_or_default(), out);
            }
            _ => return Err("Cannot serialise table: table key must be a number or string".into()),
        }
        out.push(b':');
        encode(&value, out, depth + 1)?;
    }
    out.push(b'}');
    Ok(())
}

struct Parser<'a> {
    lua: &'a Lua,
    json: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    /// The next byte that is no white space.
    fn next_token(&mut self) -> Option<u8> {
        while self.json.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.json.get(self.at).copied()
    }

    fn unexpected(&mut self, wanted: &str) -> String {
        let found = match self.next_token() {
            None => "T_END",
            Some(b'{') => "T_OBJ_BEGIN",
            Some(b'}') => "T_OBJ_END",
            Some(b'[') => "T_ARR_BEGIN",
            Some(b']') => "T_ARR_END",
            Some(b':') => "T_COLON",
            Some(b',') => "T_COMMA",
            Some(b'"') => "T_STRING",
            Some(b'0'..=b'9' | b'-') => "T_NUMBER",
            Some(_) => "invalid token",
        };
        format!("Expected {wanted} but found {found} at character {}", self.at + 1)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth >= DEPTH_MAX {
            return Err(format!("Found too many nested data structures ({})", depth + 1));
        }
        match self.next_token() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => {
                let text = self.string()?;
                self.lua.create_string(text).map(Value::String).map_err(|error| error.to_string())
            }
            Some(_) => self.word(),
            None => Err(self.unexpected("value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let table = self.lua.create_table().map_err(|error| error.to_string())?;
        self.at += 1;
        if self.next_token() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        loop {
            if self.next_token() != Some(b'"') {
                return Err(self.unexpected("object key string"));
            }
            let key = self.string()?;
            if self.next_token() != Some(b':') {
                return Err(self.unexpected("colon"));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            let key = self.lua.create_string(key).map_err(|error| error.to_string())?;
            table.raw_set(key, value).map_err(|error| error.to_string())?;
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Table(table));
                }
                _ => return Err(self.unexpected("comma or object end")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let table = self.lua.create_table().map_err(|error| error.to_string())?;
        self.at += 1;
        if self.next_token() == Some(b']') {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        for place in 1.. {
            let value = self.value(depth + 1)?;
            table.raw_set(place, value).map_err(|error| error.to_string())?;
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.unexpected("comma or array end")),
            }
        }
        self.at += 1;
        Ok(Value::Table(table))
    }

    /// A string, at whose quote the parser is.
    fn string(&mut self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        self.at += 1;
        loop {
            let Some(&byte) = self.json.get(self.at) else {
                return Err(format!("Expected value but found unexpected end of string at character {}", self.at + 1));
            };
            self.at += 1;
            match byte {
                b'"' => return Ok(out),
                b'\\' => self.escape(&mut out)?,
                _ => out.push(byte),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let invalid = |at: usize| format!("Expected value but found invalid escape code at character {at}");
        let escaped = *self.json.get(self.at).ok_or_else(|| invalid(self.at))?;
        self.at += 1;
        out.push(match escaped {
            b'"' | b'\\' | b'/' => escaped,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let invalid =
                    |at: usize| format!("Expected value but found invalid unicode escape code at character {at}");
                let mut code = self.hex().ok_or_else(|| invalid(self.at))?;
                if (0xD800..0xDC00).contains(&code) && self.json[self.at..].starts_with(b"\\u") {
                    self.at += 2;
                    let low =
                        self.hex().filter(|low| (0xDC00..0xE000).contains(low)).ok_or_else(|| invalid(self.at))?;
                    code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                }
                let letter = char::from_u32(code).ok_or_else(|| invalid(self.at))?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(invalid(self.at)),
        });
        Ok(())
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = std::str::from_utf8(self.json.get(self.at..self.at + 4)?).ok()?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn word(&mut self) -> Result<Value, String> {
        let rest = &self.json[self.at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(byte)).count();
        let word = &rest[..length];
        let value = match word {
            b"null" => null(),
            b"true" => Value::Boolean(true),
            b"false" => Value::Boolean(false),
            b"" => return Err(self.unexpected("value")),
            _ => {
                let number = std::str::from_utf8(word).ok().and_then(|word| word.parse::<f64>().ok());
                match number {
                    Some(number) => Value::Number(number),
                    None => return Err(format!("Expected value but found invalid token at character {}", self.at + 1)),
                }
            }
        };
        self.at += length;
        Ok(value)
    }
}
