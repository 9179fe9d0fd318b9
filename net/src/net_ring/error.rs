//! The kernel's refusals when a net ring is created, and remedies for an operator.

use std::io;

/// The step that failed.
#[derive(Debug, thiserror::Error)]
pub enum NetRingError {
    /// `io_uring_setup` refused.
    #[error("io_uring_setup for the net ring: {cause}")]
    Setup {
        /// Why, as far as is known.
        cause: Refusal,
    },
    /// The memory for the receive buffers could not be mapped.
    #[error("mapping {bytes} bytes of receive buffers: {source}")]
    BufferMemory {
        /// The requested size.
        bytes: usize,
        /// The error of `mmap`.
        source: io::Error,
    },
    /// The ring of receive buffers could not be registered.
    #[error("registering the ring of receive buffers: {cause}")]
    BufferRing {
        /// Why, as far as is known.
        cause: Refusal,
    },
    /// The eventfd for wake-ups by other cores could not be created.
    #[error("making the eventfd of the net ring: {source}")]
    Event {
        /// The error of `eventfd`.
        source: io::Error,
    },
    /// An option is outside its bounds.
    #[error("net ring option {name} = {value}: {bounds}")]
    Option {
        /// The field of `NetRingOptions`.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The allowed values.
        bounds: &'static str,
    },
}

/// Why the kernel refused an io_uring call.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// ENOSYS: the kernel has no io_uring.
    #[error("this kernel has no io_uring (ENOSYS)")]
    Missing,
    /// EPERM, and the sysctl forbids it.
    #[error("io_uring is switched off by the sysctl kernel.io_uring_disabled = {sysctl} (EPERM)")]
    Disabled {
        /// 1: only for a privileged group, 2: for everybody.
        sysctl: u32,
    },
    /// EPERM or EACCES though the sysctl allows it: usually the seccomp profile of a container.
    #[error("a security policy, usually a container's seccomp profile, forbids io_uring ({source})")]
    Forbidden {
        /// The error of the call.
        source: io::Error,
    },
    /// ENOMEM: usually the limit of lockable memory.
    #[error("not enough lockable memory, RLIMIT_MEMLOCK is {limit_bytes} bytes (ENOMEM)")]
    LockedMemory {
        /// The soft limit in bytes.
        limit_bytes: u64,
    },
    /// EINVAL: the kernel does not know a flag that the net ring needs.
    #[error("this kernel's io_uring is older than the net ring needs (EINVAL)")]
    TooOld,
    /// EMFILE or ENFILE.
    #[error("no file descriptors left ({source})")]
    Descriptors {
        /// The error of the call.
        source: io::Error,
    },
    /// Anything else.
    #[error("{source}")]
    Other {
        /// The error of the call.
        source: io::Error,
    },
}

impl NetRingError {
    /// A remedy for an operator, as one sentence.
    pub fn remedy(&self) -> &'static str {
        match self {
            NetRingError::Setup { cause } | NetRingError::BufferRing { cause } => cause.remedy(),
            NetRingError::BufferMemory { .. } => {
                "Give the process more memory, or use fewer or smaller receive buffers."
            }
            NetRingError::Event { .. } => "Raise the limit of open files (ulimit -n, or LimitNOFILE= of the unit).",
            NetRingError::Option { .. } => "Choose a value within the bounds.",
        }
    }
}

impl Refusal {
    /// A remedy for an operator, as one sentence.
    pub fn remedy(&self) -> &'static str {
        match self {
            Refusal::Missing | Refusal::TooOld => "Use Linux 6.1 or newer, built with CONFIG_IO_URING.",
            Refusal::Disabled { .. } => {
                "Run sysctl -w kernel.io_uring_disabled=0, or, if it is 1, run as a member of the group in kernel.io_uring_group."
            }
            Refusal::Forbidden { .. } => {
                "Allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile (docker: --security-opt seccomp=...)."
            }
            Refusal::LockedMemory { .. } => {
                "Raise the limit of lockable memory to 512 KiB for each shard (ulimit -l, LimitMEMLOCK= of the unit, docker: --ulimit memlock=...), or give fewer --shards."
            }
            Refusal::Descriptors { .. } => "Raise the limit of open files (ulimit -n, or LimitNOFILE= of the unit).",
            Refusal::Other { .. } => "Check the kernel's log; the net ring needs Linux 6.1 or newer.",
        }
    }

    /// Classifies an error of `io_uring_setup` or `io_uring_register`.
    pub(super) fn of(source: io::Error) -> Refusal {
        match source.raw_os_error() {
            Some(libc::ENOSYS) => Refusal::Missing,
            Some(libc::EPERM | libc::EACCES) => match disabled_by_sysctl() {
                Some(sysctl) => Refusal::Disabled { sysctl },
                None => Refusal::Forbidden { source },
            },
            Some(libc::ENOMEM) => Refusal::LockedMemory { limit_bytes: locked_memory_bytes() },
            Some(libc::EINVAL) => Refusal::TooOld,
            Some(libc::EMFILE | libc::ENFILE) => Refusal::Descriptors { source },
            _ => Refusal::Other { source },
        }
    }
}

fn disabled_by_sysctl() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok().filter(|&value| value != 0)
}

fn locked_memory_bytes() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live `rlimit`, which the call fills.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_what_to_do() {
        for (errno, words) in [
            (libc::ENOSYS, "Linux 6.1"),
            (libc::ENOMEM, "ulimit -l"),
            (libc::EINVAL, "Linux 6.1"),
            (libc::EMFILE, "ulimit -n"),
            (libc::EIO, "kernel's log"),
        ] {
            let error = NetRingError::Setup { cause: Refusal::of(io::Error::from_raw_os_error(errno)) };
            assert!(error.remedy().contains(words), "{error}: {}", error.remedy());
        }
        let refused = Refusal::of(io::Error::from_raw_os_error(libc::EPERM));
        assert!(matches!(refused, Refusal::Disabled { .. } | Refusal::Forbidden { .. }));
    }
}
