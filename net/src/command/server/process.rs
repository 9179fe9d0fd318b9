//! What the system says of this process.

use std::time::Duration;

/// Memory and processor time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident now, bytes; 0 where the system does not say.
    pub resident_bytes: u64,
    /// The most that ever was resident, bytes.
    pub resident_bytes_peak: u64,
    /// Time in the kernel.
    pub system: Duration,
    /// Time outside it.
    pub user: Duration,
}

impl Usage {
    /// Asks the system.
    pub fn now() -> Usage {
        // SAFETY: all zeroes are a value of this plain structure.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a structure of the type that the call fills.
        if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
            return Usage::default();
        }
        let duration = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
        };
        Usage {
            resident_bytes: resident_bytes().unwrap_or(0),
            // Linux counts it in KiB.
            resident_bytes_peak: usage.ru_maxrss.unsigned_abs() << 10,
            system: duration(usage.ru_stime),
            user: duration(usage.ru_utime),
        }
    }
}

/// The second number of `statm` is the resident pages.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_bytes())
}

fn page_bytes() -> u64 {
    // SAFETY: it takes no pointer.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}

/// The machine's memory, bytes; 0 where the system does not say.
pub fn total_memory_bytes() -> u64 {
    // SAFETY: it takes no pointer.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    u64::try_from(pages).unwrap_or(0) * page_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_has_taken_time() {
        let usage = Usage::now();
        assert!(usage.resident_bytes > 0 && usage.resident_bytes_peak > 0);
        assert!(usage.resident_bytes < total_memory_bytes());
    }
}
