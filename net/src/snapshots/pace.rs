//! The share of a core's time that goes to a snapshot, and the size of its slices.

use crate::limits::{
    SNAPSHOT_PART, SNAPSHOT_SLICE_BYTES, SNAPSHOT_SLICE_BYTES_MAX, SNAPSHOT_SLICE_BYTES_MIN, SNAPSHOT_SLICE_NS,
};

/// The pace of one shard's snapshots.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The size of the next slice in bytes.
    bytes: usize,
    /// The time that a busy core owes to the snapshot, in nanoseconds.
    credit_ns: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { bytes: SNAPSHOT_SLICE_BYTES, credit_ns: 0 }
    }
}

impl Pace {
    /// The size of the next slice in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes the time of a turn's other work. Returns whether a slice is due although the core is busy.
    pub fn note_work(&mut self, took_ns: u64) -> bool {
        self.credit_ns = (self.credit_ns + took_ns / SNAPSHOT_PART).min(2 * SNAPSHOT_SLICE_NS);
        self.credit_ns >= SNAPSHOT_SLICE_NS
    }

    /// Notes the size and the time of a slice.
    pub fn note_slice(&mut self, bytes: usize, took_ns: u64) {
        self.credit_ns = self.credit_ns.saturating_sub(took_ns);
        if bytes == 0 {
            return;
        }
        let wanted = bytes as u128 * u128::from(SNAPSHOT_SLICE_NS) / u128::from(took_ns.max(1));
        // At most a factor of two per slice, since one slice may have been cheap or interrupted by chance.
        let steps = (self.bytes / 2) as u128..=(self.bytes * 2) as u128;
        let wanted = wanted.clamp(*steps.start(), *steps.end()) as usize;
        self.bytes = wanted.clamp(SNAPSHOT_SLICE_BYTES_MIN, SNAPSHOT_SLICE_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_slices_follows_their_time_within_bounds() {
        let mut pace = Pace::default();
        (0..20).for_each(|_| pace.note_slice(pace.bytes(), 10 * SNAPSHOT_SLICE_NS));
        assert_eq!(pace.bytes(), SNAPSHOT_SLICE_BYTES_MIN);
        (0..20).for_each(|_| pace.note_slice(pace.bytes(), pace.bytes() as u64 * SNAPSHOT_SLICE_NS / 20_000));
        assert!((19_000..=21_000).contains(&pace.bytes()), "{}", pace.bytes());
        (0..20).for_each(|_| pace.note_slice(pace.bytes(), 0));
        assert_eq!(pace.bytes(), SNAPSHOT_SLICE_BYTES_MAX);
        pace.note_slice(0, 1);
        assert_eq!(pace.bytes(), SNAPSHOT_SLICE_BYTES_MAX);
    }

    #[test]
    fn a_busy_core_spends_a_part_of_its_time() {
        let (mut pace, mut slices) = (Pace::default(), 0);
        for _ in 0..1_000 {
            if pace.note_work(SNAPSHOT_SLICE_NS / 10) {
                pace.note_slice(1_000, SNAPSHOT_SLICE_NS);
                slices += 1;
            }
        }
        assert!((24..=25).contains(&slices), "{slices}");
        // The credit is limited to two slices.
        pace.note_work(u64::MAX / 2);
        pace.note_slice(1_000, 2 * SNAPSHOT_SLICE_NS);
        assert!(!pace.note_work(0));
    }
}
