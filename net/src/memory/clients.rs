//! Redis's `maxmemory-clients`: how much the buffers of all clients may take before the one that takes most is closed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The limit as it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientsLimit {
    /// There is none.
    #[default]
    None,
    /// Bytes.
    Bytes(u64),
    /// So many percent of `maxmemory`, 1 to 100; no limit while that has none.
    Percent(u8),
}

impl ClientsLimit {
    /// The limit in a text: `10%`, or what `bytes` reads. `None` if it is neither.
    pub fn parse(text: &str, bytes: impl FnOnce(&str) -> Option<u64>) -> Option<ClientsLimit> {
        if let Some(number) = text.strip_suffix('%') {
            return match number.parse() {
                Ok(0) => Some(ClientsLimit::None),
                Ok(percent @ 1..=100) => Some(ClientsLimit::Percent(percent)),
                _ => None,
            };
        }
        Some(match bytes(text)? {
            0 => ClientsLimit::None,
            bytes => ClientsLimit::Bytes(bytes),
        })
    }

    /// The same in bytes, where `maxmemory` is so much; 0 where there is no limit.
    pub fn bytes(self, maxmemory: u64) -> u64 {
        match self {
            ClientsLimit::None => 0,
            ClientsLimit::Bytes(bytes) => bytes,
            ClientsLimit::Percent(percent) => (u128::from(maxmemory) * u128::from(percent) / 100) as u64,
        }
    }
}

impl fmt::Display for ClientsLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientsLimit::None => write!(f, "0"),
            ClientsLimit::Bytes(bytes) => write!(f, "{bytes}"),
            ClientsLimit::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The limit as all cores see it.
#[derive(Debug, Default)]
pub struct SharedClientsLimit(AtomicU64);

/// The bit that says that the rest are percent. No number of bytes has it.
const PERCENT: u64 = 1 << 63;

impl SharedClientsLimit {
    /// The limit.
    pub fn get(&self) -> ClientsLimit {
        // Relaxed: a setting by itself.
        match self.0.load(Ordering::Relaxed) {
            0 => ClientsLimit::None,
            value if value & PERCENT != 0 => ClientsLimit::Percent(value as u8),
            bytes => ClientsLimit::Bytes(bytes),
        }
    }

    /// Changes the limit.
    pub fn set(&self, limit: ClientsLimit) {
        let value = match limit {
            ClientsLimit::None => 0,
            ClientsLimit::Bytes(bytes) => bytes.min(PERCENT - 1),
            ClientsLimit::Percent(percent) => PERCENT | u64::from(percent),
        };
        // Relaxed: as above.
        self.0.store(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_bytes_or_a_part_of_maxmemory() {
        let shared = SharedClientsLimit::default();
        let parse = |text: &str| ClientsLimit::parse(text, |text| text.parse().ok());
        for (text, bytes) in
            [("0", 0), ("0%", 0), ("4096", 4096), ("5%", 50), ("100%", 1_000), ("9223372036854775807", PERCENT - 1)]
        {
            let limit = parse(text).unwrap();
            shared.set(limit);
            assert_eq!((shared.get(), limit.bytes(1_000)), (limit, bytes), "{text}");
            assert_eq!(limit.to_string(), if bytes == 0 { "0" } else { text });
        }
        assert!(["101%", "-1%", "%", "x", ""].iter().all(|text| parse(text).is_none()));
    }
}
