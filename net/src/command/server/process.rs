//! What the system says of this process.

use std::io;
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

/// The process's pages, in bytes, as `statm` counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Mapped.
    pub size: u64,
    /// Resident.
    pub resident: u64,
    /// Resident, and of files or shared memory.
    pub shared: u64,
    /// Mapped to be written by this process alone: heap, rings, stacks.
    pub data: u64,
}

impl Pages {
    /// Asks the system.
    ///
    /// # Errors
    /// Where `/proc` cannot be read.
    pub fn now() -> io::Result<Pages> {
        let statm = std::fs::read_to_string("/proc/self/statm")?;
        let numbers: Vec<u64> = statm.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [size, resident, shared, _text, _, data, ..] = numbers[..] else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let bytes = |pages: u64| pages * page_bytes();
        Ok(Pages { size: bytes(size), resident: bytes(resident), shared: bytes(shared), data: bytes(data) })
    }

    /// Resident, and of no file: what cannot be had again from a disk.
    pub fn anonymous(&self) -> u64 {
        self.resident.saturating_sub(self.shared)
    }
}

fn resident_bytes() -> Option<u64> {
    Some(Pages::now().ok()?.resident)
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
        let pages = Pages::now().expect("Linux has this file");
        assert!(pages.anonymous() > 0 && pages.anonymous() < pages.resident && pages.resident < pages.size);
        assert!(pages.data > 0 && pages.data < pages.size);
    }
}
