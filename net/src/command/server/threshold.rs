//! The rows of CONFIG for the bounds of compact collections.

use crate::config::parse_bytes;
use crate::server::Server;
use keytide_engine::collection::Thresholds;
use keytide_engine::number::parse_i64;

/// A number of elements, or of bytes with or without a unit.
fn parse(value: &[u8]) -> Result<u32, String> {
    let bytes = std::str::from_utf8(value).ok().and_then(parse_bytes).and_then(|bytes| i64::try_from(bytes).ok());
    match parse_i64(value).or(bytes) {
        None => Err("argument couldn't be parsed into an integer".to_owned()),
        Some(number) => u32::try_from(number).map_err(|_| out_of_range(0, i64::from(u32::MAX))),
    }
}

fn out_of_range(least: i64, most: i64) -> String {
    format!("argument must be between {least} and {most} inclusive")
}

/// Checks a value of any of these rows but that of lists.
pub(super) fn check(_server: &Server, value: &[u8]) -> Result<(), String> {
    parse(value).map(|_| ())
}

/// Changes one of them.
pub(super) fn apply(server: &Server, value: &[u8], change: fn(&mut Thresholds, u32)) {
    if let Ok(number) = parse(value) {
        server.thresholds.change(|thresholds| change(thresholds, number));
    }
}

/// The size of a list: elements, or from -1 to -5 bytes.
fn parse_list(value: &[u8]) -> Result<i32, String> {
    let number = parse_i64(value).ok_or("argument couldn't be parsed into an integer")?;
    i32::try_from(number).map_err(|_| out_of_range(i64::from(i32::MIN), i64::from(i32::MAX)))
}

/// Checks the size of lists.
pub(super) fn check_list(_server: &Server, value: &[u8]) -> Result<(), String> {
    parse_list(value).map(|_| ())
}

/// Changes the size of lists.
pub(super) fn apply_list(server: &Server, value: &[u8]) {
    if let Ok(number) = parse_list(value) {
        server.thresholds.change(|thresholds| thresholds.list_size = number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_within_32_bits() {
        assert_eq!(parse(b"0"), Ok(0));
        assert_eq!(parse(b"1kb"), Ok(1024));
        assert_eq!(parse(b"4294967295"), Ok(u32::MAX));
        for wrong in [&b"-1"[..], b"4294967296"] {
            assert_eq!(parse(wrong), Err("argument must be between 0 and 4294967295 inclusive".into()));
        }
        assert_eq!(parse(b"x"), Err("argument couldn't be parsed into an integer".into()));
        assert_eq!(parse_list(b"-2"), Ok(-2));
        assert!(parse_list(b"2147483648").is_err_and(|text| text.contains("-2147483648 and 2147483647")));
        assert!(parse_list(b"1k").is_err());
    }
}
