//! The memory limit of this process: the machine's memory, or less if its control group or `ulimit -v` allows less.

use crate::process::total_memory_bytes;
use rustix::process::{Resource, getrlimit};
use std::fmt;
use std::path::{Path, PathBuf};

/// The limits on the memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// The limit of resident memory, in bytes.
    pub resident_bytes: u64,
    /// Where that limit comes from.
    pub source: Source,
    /// The limit of the address space, `ulimit -v` (RLIMIT_AS), in bytes; none where there is none.
    pub address_space_bytes: Option<u64>,
}

/// The origin of the limit of resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The memory of the machine.
    Machine,
    /// The control group of the process, or one above it.
    ControlGroup,
}

impl MemoryLimit {
    /// Reads the limits from the system.
    pub fn read() -> MemoryLimit {
        MemoryLimit::below(Path::new("/"), total_memory_bytes())
    }

    /// The limits of a machine with `machine_bytes`, whose system files are below `root`.
    fn below(root: &Path, machine_bytes: u64) -> MemoryLimit {
        let group = control_group_bytes(root).filter(|bytes| *bytes < machine_bytes);
        MemoryLimit {
            resident_bytes: group.unwrap_or(machine_bytes),
            source: if group.is_some() { Source::ControlGroup } else { Source::Machine },
            address_space_bytes: getrlimit(Resource::As).current,
        }
    }

    /// The lowest of the limits, in bytes.
    pub fn bytes(&self) -> u64 {
        self.address_space_bytes.map_or(self.resident_bytes, |bytes| bytes.min(self.resident_bytes))
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            _ if self.bytes() < self.resident_bytes => "ulimit -v",
            Source::Machine => "the machine's memory",
            Source::ControlGroup => "the control group's memory",
        };
        write!(f, "{} MiB ({source})", self.bytes() >> 20)
    }
}

/// The lowest limit of the process's control group and of those above it; none where none is set. In some containers the
/// group's path is not below the mount; its limit is then at the mount's root.
fn control_group_bytes(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        // `hierarchy:controllers:path`; version 2 has hierarchy 0 and names no controllers.
        let mut fields = line.splitn(3, ':');
        let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let mount = root.join("sys/fs/cgroup");
        if hierarchy == "0" && controllers.is_empty() {
            least(&mount, path, "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            least(&mount.join("memory"), path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

/// The lowest number in the files of this name, from the group's directory up to the mount. The value `max` is skipped.
fn least(mount: &Path, group: &str, name: &str) -> Option<u64> {
    let directory: PathBuf = mount.join(group.trim_start_matches('/'));
    let directories = directory.ancestors().take_while(|directory| directory.starts_with(mount));
    directories.filter_map(|directory| std::fs::read_to_string(directory.join(name)).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: u64 = 8 << 30;

    /// The limit on a system with these files.
    fn limit(name: &str, files: &[(&str, &str)]) -> (u64, Source) {
        let root = std::env::temp_dir().join(format!("keytide-cgroup-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("it lies below the root")).expect("a temporary directory");
            std::fs::write(path, text).expect("a temporary file");
        }
        let limit = MemoryLimit::below(&root, MACHINE);
        // Without files there is no directory.
        let _ = std::fs::remove_dir_all(&root);
        (limit.resident_bytes, limit.source)
    }

    #[test]
    fn the_least_limit_of_a_group_and_of_those_above_it_counts() {
        let group = ("proc/self/cgroup", "0::/a/b\n");
        let at = |path, text| (path, text);
        assert_eq!(limit("none", &[]), (MACHINE, Source::Machine));
        let own = at("sys/fs/cgroup/a/b/memory.max", "1048576\n");
        assert_eq!(limit("own", &[group, own]), (1 << 20, Source::ControlGroup));
        let (own, above) = (at("sys/fs/cgroup/a/b/memory.max", "max\n"), at("sys/fs/cgroup/a/memory.max", "4096\n"));
        assert_eq!(limit("above", &[group, own, above]), (4096, Source::ControlGroup));
        // In a container whose group has another path outside.
        let mount = at("sys/fs/cgroup/memory.max", "8192\n");
        assert_eq!(limit("mount", &[group, mount]), (8192, Source::ControlGroup));
        let elsewhere = at("sys/fs/cgroup/other/memory.max", "1\n");
        assert_eq!(limit("other", &[group, elsewhere]), (MACHINE, Source::Machine));
    }

    #[test]
    fn version_1_has_a_hierarchy_for_memory_and_a_number_for_no_limit() {
        let group = ("proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/a\n0::/\n");
        let own = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1048576\n");
        assert_eq!(limit("v1", &[group, own]), (1 << 20, Source::ControlGroup));
        let none = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit("v1-none", &[group, none]), (MACHINE, Source::Machine));
    }

    #[test]
    fn the_least_of_the_limits_is_shown_with_what_sets_it() {
        let mut limit = MemoryLimit { resident_bytes: 1 << 30, source: Source::Machine, address_space_bytes: None };
        assert_eq!(limit.to_string(), "1024 MiB (the machine's memory)");
        limit.address_space_bytes = Some(512 << 20);
        assert_eq!((limit.bytes(), limit.to_string()), (512 << 20, "512 MiB (ulimit -v)".into()));
        limit = MemoryLimit { source: Source::ControlGroup, address_space_bytes: Some(2 << 30), ..limit };
        assert_eq!(limit.to_string(), "1024 MiB (the control group's memory)");
        assert!(MemoryLimit::read().bytes() > 0);
    }
}
