//! Parses values: numbers of bytes, spans of time, cores, addresses, log levels.

use super::{ConfigError, Origin, Spin};
use crate::limits::{GRPC_PORT_DEFAULT, SHARDS_MAX, SPIN_US_DEFAULT};
use keytide_engine::limits::{RING_BYTES_DEFAULT, RING_BYTES_MIN};
use std::net::{IpAddr, ToSocketAddrs};

/// The error for an invalid value, with what is expected.
pub(super) fn refused(flag: &'static str, value: &str, reason: impl Into<String>) -> ConfigError {
    let (flag, value) = (flag.to_owned(), value.to_owned());
    ConfigError::Value { flag, value, reason: reason.into(), origin: Origin::default() }
}

/// The address to listen on: for a name, its first IPv4 address, else its first one.
pub(super) fn address(text: &str) -> Result<IpAddr, ConfigError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let refused = |reason: String| refused("bind", text, format!("{reason}; give an address of this machine"));
    let found: Vec<IpAddr> =
        (text, 0).to_socket_addrs().map_err(|error| refused(error.to_string()))?.map(|address| address.ip()).collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| refused("the name has no address".to_owned()))
}

/// A log level, or directives that each name a target and its level.
pub(super) fn log_level(text: &str) -> Result<String, ConfigError> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    let is_directive = |part: &str| match part.rsplit_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(part),
    };
    if text.split(',').all(|part| is_directive(part.trim())) {
        return Ok(text.to_owned());
    }
    let reason = "error, warn, info, debug, trace or off is expected, or a filter as keytide_net=debug";
    Err(refused("log-level", text, reason))
}

/// A number from `min` to `max`, or the default.
pub(super) fn count_from(
    flag: &'static str,
    given: Option<u64>,
    (min, max, default): (u64, u64, u64),
) -> Result<u64, ConfigError> {
    match given {
        None => Ok(default),
        Some(count) if (min..=max).contains(&count) => Ok(count),
        Some(count) => Err(refused(flag, &count.to_string(), format!("from {min} to {max}"))),
    }
}

/// The number of shards and the core of each: by default as many shards as cores. More shards than cores share the
/// cores in turn.
pub(super) fn placement(shards: Option<u16>, list: Option<&str>) -> Result<(u16, Vec<usize>), ConfigError> {
    let available: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    let cores = match list {
        None => available.clone(),
        Some(list) => parse_cores(list).ok_or_else(|| refused("cores", list, "a list such as 0,2,4-7 is expected"))?,
    };
    if let Some(missing) = cores.iter().find(|core| !available.contains(core)) {
        let usable: Vec<String> = available.iter().map(usize::to_string).collect();
        let reason = format!(
            "this process may not run on core {missing}, only on {}; name some of these, or allow it more (taskset, \
             CPUAffinity=, the container's cpuset)",
            usable.join(",")
        );
        return Err(refused("cores", list.unwrap_or(""), reason));
    }
    let shards = shards.unwrap_or(cores.len().min(SHARDS_MAX.into()) as u16);
    if !(1..=SHARDS_MAX).contains(&shards) {
        return Err(refused("shards", &shards.to_string(), format!("a number from 1 to {SHARDS_MAX} is expected")));
    }
    Ok((shards, cores.into_iter().cycle().take(shards.into()).collect()))
}

fn parse_cores(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last < first || last > 4095 {
            return None;
        }
        cores.extend((first..=last).filter(|core| !cores.contains(core)).collect::<Vec<_>>());
    }
    Some(cores)
}

/// The size of a ring: a power of two, or 0.
pub(super) fn ring_bytes(text: Option<&str>) -> Result<u64, ConfigError> {
    let Some(text) = text else { return Ok(RING_BYTES_DEFAULT) };
    let flag = "ring-bytes";
    let bytes = parse_bytes(text).ok_or_else(|| refused(flag, text, "a number of bytes is expected, as 64m"))?;
    if bytes == 0 {
        return Ok(0);
    }
    if !(RING_BYTES_MIN..=RING_BYTES_MAX).contains(&bytes) {
        return Err(refused(flag, text, format!("0, or from {RING_BYTES_MIN} to {RING_BYTES_MAX} bytes")));
    }
    Ok(bytes.next_power_of_two())
}

/// A number of bytes, at least `min`, or the default.
pub(super) fn bytes_from(
    flag: &'static str,
    text: Option<&str>,
    (min, default): (u64, u64),
) -> Result<u64, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    match parse_bytes(text) {
        Some(bytes) if bytes >= min => Ok(bytes),
        Some(_) => Err(refused(flag, text, format!("at least {min} bytes"))),
        None => Err(refused(flag, text, "a number of bytes is expected, as 128k")),
    }
}

/// A larger ring would not allow larger changes: a record's length has 32 bits.
const RING_BYTES_MAX: u64 = 8 << 30;

/// A number of bytes, with Redis's units: there k, m and g are powers of 1,000 and kb, mb and gb powers of 1,024, but
/// here both are powers of 1,024, since these are sizes of memory.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// When an idle core sleeps: at once if shards share cores, because spinning takes time from the others on the core.
pub(super) fn spin(text: Option<&str>, shares_cores: bool) -> Result<Spin, ConfigError> {
    match text {
        None if shares_cores => Ok(Spin::Micros(0)),
        None => Ok(Spin::Micros(SPIN_US_DEFAULT)),
        Some("forever") if shares_cores => {
            Err(refused("spin-us", "forever", "each shard needs a core of its own for that: give fewer --shards"))
        }
        Some("forever") => Ok(Spin::Forever),
        Some(text) => match text.parse() {
            Ok(micros) => Ok(Spin::Micros(micros)),
            Err(_) => Err(refused("spin-us", text, "a number of microseconds or `forever` is expected")),
        },
    }
}

/// A span of time in milliseconds: a number with its unit, days, hours, minutes or seconds.
pub(super) fn span_ms(flag: &'static str, text: &str) -> Result<u64, ConfigError> {
    parse_span_ms(text).ok_or_else(|| refused(flag, text, "a span of time is expected, as 7d, 12h, 30m or 90s"))
}

/// A span of time in milliseconds: see above.
pub fn parse_span_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "d" | "D" => 86_400,
        "h" | "H" => 3_600,
        "m" | "M" => 60,
        "s" | "S" => 1,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(seconds * 1000).filter(|ms| *ms > 0)
}

/// A time limit in milliseconds, or the default; `None`, for 0, is unlimited.
pub(super) fn patience_ms(flag: &'static str, text: Option<&str>, default: u64) -> Result<Option<u64>, ConfigError> {
    match text.map(str::trim) {
        None => Ok(Some(default)),
        Some("0") => Ok(None),
        Some(text) => span_ms(flag, text).map(Some),
    }
}

/// The port of gRPC: none for 0; 0, which is any free port, for `any`.
pub(super) fn grpc_port(given: Option<&str>) -> Result<Option<u16>, ConfigError> {
    match given {
        None => Ok(Some(GRPC_PORT_DEFAULT)),
        Some("any") => Ok(Some(0)),
        Some(text) => match text.parse() {
            Ok(port) => Ok(Some(port).filter(|port| *port != 0)),
            Err(_) => Err(refused("grpc-port", text, "a port, 0 for none, or any for any free port")),
        },
    }
}

/// The file may have a number or a text there.
pub(super) fn text_or_number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(u16),
        Text(String),
    }
    Ok(Some(match serde::Deserialize::deserialize(from)? {
        Given::Number(number) => u16::to_string(&number),
        Given::Text(text) => text,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_listed_singly_and_in_ranges() {
        assert_eq!(parse_cores("0,2,4-6"), Some(vec![0, 2, 4, 5, 6]));
        assert_eq!(parse_cores("6-4"), None);
    }

    #[test]
    fn a_span_of_time_has_a_unit() {
        for (text, seconds) in [("7d", 604_800), ("12h", 43_200), ("30m", 1_800), ("90s", 90)] {
            assert_eq!(span_ms("retain-age", text).expect(text), seconds * 1000);
        }
        for text in ["", "d", "7", "7y", "-1d", "0s", "7µ", "99999999999999999999d", "999999999999999999d"] {
            let refused = span_ms("retain-age", text).expect_err(text).to_string();
            assert!(refused.contains("as 7d, 12h"), "{refused}");
        }
    }
}
