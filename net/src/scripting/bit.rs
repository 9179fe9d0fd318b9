//! `bit`: operations on 32-bit numbers, as LuaBitOp has them.

use super::library::{Outcome, done, failed, number, string};
use mlua::{Lua, MultiValue, Table, Value};

/// A number as 32 bits: of what does not fit, the low ones.
fn bits(lua: &Lua, values: &MultiValue, place: usize) -> Result<i32, Outcome> {
    match number(values.get(place)) {
        Some(number) if number.is_finite() => Ok(number.round_ties_even().rem_euclid(4_294_967_296.0) as u32 as i32),
        Some(_) => Ok(0),
        None => Err(failed(lua, format!("bad argument #{} (number expected)", place + 1))),
    }
}

fn result(value: i32) -> Outcome {
    done(Value::Number(f64::from(value)))
}

type Unary = (&'static str, fn(i32) -> i32);
type Folded = (&'static str, fn(i32, i32) -> i32);
type Shifted = (&'static str, fn(i32, u32) -> i32);

/// The library.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    let unary: [Unary; 3] = [("tobit", |a| a), ("bnot", |a| !a), ("bswap", i32::swap_bytes)];
    for (name, of) in unary {
        library.set(
            name,
            lua.create_function(move |lua, values: MultiValue| match bits(lua, &values, 0) {
                Ok(a) => result(of(a)),
                Err(error) => error,
            })?,
        )?;
    }
    let folded: [Folded; 3] = [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
    for (name, of) in folded {
        library.set(
            name,
            lua.create_function(move |lua, values: MultiValue| {
                let mut all = match bits(lua, &values, 0) {
                    Ok(first) => first,
                    Err(error) => return error,
                };
                for place in 1..values.len() {
                    match bits(lua, &values, place) {
                        Ok(next) => all = of(all, next),
                        Err(error) => return error,
                    }
                }
                result(all)
            })?,
        )?;
    }
    let shifted: [Shifted; 5] = [
        ("lshift", |a, n| a.wrapping_shl(n)),
        ("rshift", |a, n| (a as u32).wrapping_shr(n) as i32),
        ("arshift", |a, n| a.wrapping_shr(n)),
        ("rol", |a, n| a.rotate_left(n & 31)),
        ("ror", |a, n| a.rotate_right(n & 31)),
    ];
    for (name, of) in shifted {
        library.set(
            name,
            lua.create_function(move |lua, values: MultiValue| match (bits(lua, &values, 0), bits(lua, &values, 1)) {
                (Ok(a), Ok(n)) => result(of(a, n as u32 & 31)),
                (Err(error), _) | (_, Err(error)) => error,
            })?,
        )?;
    }
    library.set(
        "tohex",
        lua.create_function(|lua, values: MultiValue| {
            let a = match bits(lua, &values, 0) {
                Ok(a) => a,
                Err(error) => return error,
            };
            let wanted = number(values.get(1)).unwrap_or(8.0) as i32;
            let digits = wanted.unsigned_abs().min(8) as usize;
            let all = if wanted < 0 { format!("{a:08X}") } else { format!("{a:08x}") };
            string(lua, &all[8 - digits..])
        })?,
    )?;
    Ok(library)
}
