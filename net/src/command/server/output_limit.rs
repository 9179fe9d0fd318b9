//! Redis's `client-output-buffer-limit`: its class `normal` corresponds to `--client-output-bytes` and
//! `--output-stall-seconds`, its class `pubsub` to `--pubsub-output-bytes` and what belongs to it. The class of replicas is
//! accepted and has no effect: there are none. Subscribers to streams are limited by `--push-buffer-bytes`.

use crate::limits::OUTPUT_BYTES_MIN;
use crate::server::Server;
use crate::unread::SubscriberLimit;
use keytide_engine::number::parse_i64;

/// The classes in Redis's format.
pub fn show(server: &Server) -> String {
    let SubscriberLimit { hard_bytes, soft_bytes, soft_seconds } = server.pubsub_output.limit();
    let normal = show_normal(server.client_output_bytes(), server.output_stall_seconds());
    format!("{normal} slave 0 0 0 pubsub {hard_bytes} {soft_bytes} {soft_seconds}")
}

fn show_normal(bytes: u64, seconds: u64) -> String {
    // There 0 means no limit.
    let bytes = if bytes == u64::MAX { 0 } else { bytes };
    format!("normal {bytes} {bytes} {seconds}")
}

/// Whether the value is valid.
pub fn check(value: &[u8]) -> Result<(), String> {
    Limits::of(value).map(drop)
}

/// Sets the value.
pub fn apply(server: &Server, value: &[u8]) {
    let Ok(limits) = Limits::of(value) else { return };
    if let Some((bytes, seconds)) = limits.normal {
        server.set_client_output(bytes, seconds);
    }
    if let Some(limit) = limits.pubsub {
        server.pubsub_output.set(limit);
    }
}

/// The limits of the classes that are named and have an effect.
#[derive(Debug, Default, PartialEq, Eq)]
struct Limits {
    /// Bytes and seconds of the class `normal`. The smaller of its two limits applies: a client beyond it waits, and is closed
    /// if it reads nothing for that many seconds.
    normal: Option<(u64, u64)>,
    /// The class `pubsub`.
    pubsub: Option<SubscriberLimit>,
}

impl Limits {
    fn of(value: &[u8]) -> Result<Limits, String> {
        const NUMBERS: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
        let words: Vec<&[u8]> = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        if !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
        }
        let mut found = Limits::default();
        for class in words.chunks_exact(4) {
            let is = |name: &str| class[0].eq_ignore_ascii_case(name.as_bytes());
            if !["normal", "slave", "replica", "pubsub"].into_iter().any(is) {
                return Err("Invalid client class specified in buffer limit configuration.".to_owned());
            }
            let seconds = parse_i64(class[3]).and_then(|seconds| u64::try_from(seconds).ok());
            let (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) =
                (memory(class[1]), memory(class[2]), seconds)
            else {
                return Err(NUMBERS.to_owned());
            };
            if is("normal") {
                let bytes = [hard_bytes, soft_bytes].into_iter().filter(|bytes| *bytes > 0).min().unwrap_or(u64::MAX);
                if bytes < OUTPUT_BYTES_MIN {
                    return Err(format!("normal clients need at least {OUTPUT_BYTES_MIN} bytes"));
                }
                found.normal = Some((bytes, soft_seconds));
            } else if is("pubsub") {
                found.pubsub = Some(SubscriberLimit { hard_bytes, soft_bytes, soft_seconds });
            }
        }
        Ok(found)
    }
}

/// A number of bytes with Redis's units.
pub(super) fn memory(word: &[u8]) -> Option<u64> {
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
    fn the_classes_are_read_and_of_normal_clients_the_smaller_limit_holds() {
        let normal = |value: &[u8]| Limits::of(value).map(|limits| limits.normal);
        assert_eq!(normal(b"normal 0 0 0"), Ok(Some((u64::MAX, 0))));
        assert_eq!(normal(b"normal 256mb 64mb 60"), Ok(Some((64 << 20, 60))));
        assert_eq!(normal(b"NORMAL 0 1m 5"), Ok(Some((1_000_000, 5))));
        let limit = SubscriberLimit { hard_bytes: 32 << 20, soft_bytes: 8 << 20, soft_seconds: 60 };
        let wanted = Limits { normal: None, pubsub: Some(limit) };
        assert_eq!(Limits::of(b"pubsub 32mb 8mb 60 replica 256mb 64mb 60"), Ok(wanted));
        assert_eq!(normal(show_normal(1 << 28, 60).as_bytes()), Ok(Some((1 << 28, 60))), "what is shown can be set");
        assert_eq!(normal(show_normal(u64::MAX, 0).as_bytes()), Ok(Some((u64::MAX, 0))));
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
