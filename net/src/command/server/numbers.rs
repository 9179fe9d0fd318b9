//! The rows of CONFIG that are plain numbers. The texts are Redis's.

use crate::server::Server;
use keytide_engine::number::parse_i64;

/// Checks a number from 0 on.
pub(super) fn check_count(_server: &Server, value: &[u8]) -> Result<(), String> {
    match parse_i64(value) {
        Some(0..) => Ok(()),
        Some(_) => Err(format!("argument must be between 0 and {} inclusive", i64::MAX)),
        None => Err("argument couldn't be parsed into an integer".to_owned()),
    }
}

/// Checks a number from -1 on.
pub(super) fn check_from_minus_one(_server: &Server, value: &[u8]) -> Result<(), String> {
    match parse_i64(value) {
        Some(-1..) => Ok(()),
        Some(_) => Err(format!("argument must be between -1 and {} inclusive", i64::MAX)),
        None => Err("argument couldn't be parsed into an integer".to_owned()),
    }
}

/// A number that was checked.
pub(super) fn count(value: &[u8]) -> u64 {
    parse_i64(value).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}
