//! Redis's `client-output-buffer-limit`: its class `normal` corresponds to `--client-output-bytes` and
//! `--output-stall-seconds`. The other classes are accepted and have no effect: there are no replicas, and subscribers
//! are limited by `--push-buffer-bytes`.

use crate::limits::OUTPUT_BYTES_MIN;
use crate::server::Server;
use keytide_engine::number::parse_i64;

/// The classes in Redis's format.
pub fn show(bytes: u64, seconds: u64) -> String {
    // There 0 means no limit.
    let bytes = if bytes == u64::MAX { 0 } else { bytes };
    format!("normal {bytes} {bytes} {seconds} slave 0 0 0 pubsub 0 0 0")
}

/// Whether the value is valid.
pub fn check(value: &[u8]) -> Result<(), String> {
    normal(value).map(drop)
}

/// Sets the value.
pub fn apply(server: &Server, value: &[u8]) {
    if let Ok(Some((bytes, seconds))) = normal(value) {
        server.set_client_output(bytes, seconds);
    }
}

/// The bytes and seconds of the class `normal`, if it is named. The smaller of its two limits applies: a client beyond
/// it waits, and is closed if it reads nothing for that many seconds.
fn normal(value: &[u8]) -> Result<Option<(u64, u64)>, String> {
    const NUMBERS: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    let words: Vec<&[u8]> = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    let mut found = None;
    for class in words.chunks_exact(4) {
        let is_normal = class[0].eq_ignore_ascii_case(b"normal");
        if !is_normal
            && !["slave", "replica", "pubsub"].iter().any(|name| class[0].eq_ignore_ascii_case(name.as_bytes()))
        {
            return Err("Invalid client class specified in buffer limit configuration.".to_owned());
        }
        let (hard, soft) = (memory(class[1]), memory(class[2]));
        let seconds = parse_i64(class[3]).and_then(|seconds| u64::try_from(seconds).ok());
        let (Some(hard), Some(soft), Some(seconds)) = (hard, soft, seconds) else { return Err(NUMBERS.to_owned()) };
        let bytes = [hard, soft].into_iter().filter(|bytes| *bytes > 0).min().unwrap_or(u64::MAX);
        if is_normal && bytes < OUTPUT_BYTES_MIN {
            return Err(format!("normal clients need at least {OUTPUT_BYTES_MIN} bytes"));
        }
        if is_normal {
            found = Some((bytes, seconds));
        }
    }
    Ok(found)
}

/// A number of bytes with Redis's units.
fn memory(word: &[u8]) -> Option<u64> {
    let lower = word.to_ascii_lowercase();
    let digits = lower.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unit: u64 = match &lower[digits..] {
        b"" | b"b" => 1,
        b"k" => 1_000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    std::str::from_utf8(&lower[..digits]).ok()?.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_normal_clients_is_read_and_the_smaller_limit_holds() {
        assert_eq!(normal(b"normal 0 0 0"), Ok(Some((u64::MAX, 0))));
        assert_eq!(normal(b"normal 256mb 64mb 60"), Ok(Some((64 << 20, 60))));
        assert_eq!(normal(b"NORMAL 0 1m 5"), Ok(Some((1_000_000, 5))));
        assert_eq!(normal(b"pubsub 32mb 8mb 60 replica 256mb 64mb 60"), Ok(None));
        assert_eq!(normal(show(1 << 28, 60).as_bytes()), Ok(Some((1 << 28, 60))), "what is shown can be set");
        assert_eq!(normal(show(u64::MAX, 0).as_bytes()), Ok(Some((u64::MAX, 0))));
    }

    #[test]
    fn refusals_have_the_texts_of_redis() {
        for (value, text) in [
            ("normal 0 0", "Wrong number of arguments in buffer limit configuration."),
            ("master 0 0 0", "Invalid client class specified in buffer limit configuration."),
            ("normal x 0 0", "Error in hard, soft or soft_seconds setting in buffer limit configuration."),
            ("normal 0 0 -1", "Error in hard, soft or soft_seconds setting in buffer limit configuration."),
            (
                "normal 0 99999999999999999999 1",
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            ),
        ] {
            assert_eq!(check(value.as_bytes()), Err(text.to_owned()), "{value}");
        }
        assert_eq!(check(b"normal 1kb 0 0"), Err("normal clients need at least 65536 bytes".to_owned()));
    }
}
