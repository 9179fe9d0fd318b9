//! The system's figures about this process.

use std::io;
use std::time::Duration;

/// Memory and processor time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// The resident memory in bytes; 0 if unknown.
    pub resident_bytes: u64,
    /// The peak of the resident memory in bytes.
    pub resident_bytes_peak: u64,
    /// Time in kernel mode.
    pub system: Duration,
    /// Time in user mode.
    pub user: Duration,
}

impl Usage {
    /// Reads the figures.
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

/// The process's memory by kind, in bytes, from `statm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Mapped.
    pub size: u64,
    /// Resident.
    pub resident: u64,
    /// Resident, and backed by files or shared memory.
    pub shared: u64,
    /// Mapped privately and writable: heap, rings, stacks.
    pub data: u64,
}

impl ProcessMemory {
    /// Reads the figures.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn now() -> io::Result<ProcessMemory> {
        let statm = std::fs::read_to_string("/proc/self/statm")?;
        let numbers: Vec<u64> = statm.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [size, resident, shared, _text, _, data, ..] = numbers[..] else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let bytes = |pages: u64| pages * page_bytes();
        Ok(ProcessMemory { size: bytes(size), resident: bytes(resident), shared: bytes(shared), data: bytes(data) })
    }

    /// Resident, and not backed by a file: it cannot be reloaded from a disk.
    pub fn anonymous(&self) -> u64 {
        self.resident.saturating_sub(self.shared)
    }
}

fn resident_bytes() -> Option<u64> {
    Some(ProcessMemory::now().ok()?.resident)
}

fn page_bytes() -> u64 {
    // SAFETY: it takes no pointer.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}

/// The machine's memory in bytes; 0 if unknown.
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
        let memory = ProcessMemory::now().expect("Linux has this file");
        assert!(memory.anonymous() > 0 && memory.anonymous() < memory.resident && memory.resident < memory.size);
        assert!(memory.data > 0 && memory.data < memory.size);
    }
}
