//! The writer whose values contain their due time, so that a subscriber on the same clock knows each write's latency.

use super::filter::CHANNEL;
use super::options::{Kind, STAMP_BYTES, SubscribeOptions};
use crate::commands::push_command;
use crate::keys::{DIGITS, KeySequence, KeySpace, write_digits};
use crate::options::Distribution;
use crate::schedule::Schedule;

/// The schedule of these writes and the values written.
#[derive(Debug)]
pub struct StampedWrites {
    schedule: Schedule,
    count: u64,
    issued: u64,
    keys: KeySequence,
    kind: Kind,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl StampedWrites {
    /// The writes for these options; `seconds` includes the warm-up.
    pub fn new(options: &SubscribeOptions, seed: u64) -> Result<StampedWrites, crate::error::BenchError> {
        let schedule = Schedule::new(options.rate, 0, 1);
        let seconds = options.warmup_seconds + options.seconds();
        let count = options.requests.unwrap_or_else(|| schedule.count_before((seconds * 1e9) as u64));
        let space = KeySpace::new(b"key:", options.keys, None)?;
        Ok(StampedWrites {
            schedule,
            count,
            issued: 0,
            keys: space.draw(Distribution::Uniform, 0.0, seed, Some(count)),
            kind: options.kind,
            key: [&b"key:"[..], &[b'0'; DIGITS]].concat(),
            value: vec![b'v'; options.value_bytes],
        })
    }

    /// The total number of writes.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether all were issued.
    pub fn is_over(&self) -> bool {
        self.issued == self.count
    }

    /// The due time of the next one, in nanoseconds since the start.
    pub fn next_ns(&self) -> u64 {
        self.schedule.due_ns(self.issued)
    }

    /// The number of writes after `from_ns`.
    pub fn count_from(&self, from_ns: u64) -> u64 {
        self.count - self.schedule.count_before(from_ns).min(self.count)
    }

    /// Appends the commands that are due by `now_ns` to `out`; returns their number.
    pub fn push_due(&mut self, now_ns: u64, out: &mut Vec<u8>) -> u64 {
        let due = self.schedule.due_count(now_ns).min(self.count) - self.issued;
        for _ in 0..due {
            let mut digits = self.schedule.due_ns(self.issued);
            for place in self.value[..STAMP_BYTES].iter_mut().rev() {
                *place = b'0' + (digits % 10) as u8;
                digits /= 10;
            }
            self.issued += 1;
            match self.kind {
                Kind::Pubsub => push_command(out, &[b"PUBLISH", CHANNEL, &self.value]),
                Kind::Keytide | Kind::Keyspace => {
                    let mut number = [0; DIGITS];
                    write_digits(&mut number, self.keys.next_number());
                    let start = self.key.len() - DIGITS;
                    self.key[start..].copy_from_slice(&number);
                    push_command(out, &[b"SET", &self.key, &self.value]);
                }
            }
        }
        due
    }
}

/// The due time of the write of this value, in nanoseconds since the start; `None` if it is another writer's.
#[inline]
pub fn due_ns(value: &[u8]) -> Option<u64> {
    let digit = |sum: u64, byte: &u8| byte.is_ascii_digit().then(|| sum.wrapping_mul(10) + u64::from(byte - b'0'));
    value.get(..STAMP_BYTES)?.iter().try_fold(0, digit)
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::parsed;
    use super::*;

    #[test]
    fn a_value_says_when_its_write_was_due_and_not_when_it_was_sent() {
        for (kind, command) in [("keytide", "SET"), ("pubsub", "PUBLISH")] {
            let options = parsed(&format!("--kind {kind} --writer stamps --rate 1000 --requests 5")).unwrap();
            let (mut stamps, mut out) = (StampedWrites::new(&options, 1).unwrap(), Vec::new());
            assert_eq!(stamps.push_due(2_500_000, &mut out), 3);
            assert_eq!((stamps.next_ns(), stamps.is_over()), (3_000_000, false));
            let text = String::from_utf8(out.clone()).unwrap();
            let due: Vec<_> = text.split("$64\r\n").skip(1).map(|rest| due_ns(rest.as_bytes())).collect();
            assert_eq!(due, [Some(0), Some(1_000_000), Some(2_000_000)]);
            assert_eq!(text.matches(command).count(), 3);
            assert_eq!(stamps.push_due(u64::MAX >> 8, &mut out), 2);
            assert!(stamps.is_over());
            assert_eq!((stamps.count_from(0), stamps.count_from(1_000_001)), (5, 3));
        }
    }

    #[test]
    fn another_value_says_nothing() {
        assert_eq!(due_ns(&[b'v'; 64]), None);
        assert_eq!(due_ns(b"17"), None);
    }
}
