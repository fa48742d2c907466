//! The memory that a container, or a service with a limit, leaves to the server, and the defaults that follow from it.
//!
//! Owns where Linux says it: control groups, version 2 and 1. Knows nothing of what the memory is for.

use std::fs;
use std::path::{Path, PathBuf};

use super::load::Draft;
use super::rules::MIN_MEMORY_BUDGET;

/// Lowers the defaults that `limit`, in bytes, cannot hold. What somebody wrote stays as it is. The rest is for the index, the
/// connections, and the page cache that most reads are served from.
pub(super) fn fit_memory(draft: &mut Draft, limit: Option<u64>) {
    let Some(limit) = limit else {
        return;
    };
    if draft.is_default("memory_budget") {
        let budget = &mut draft.config.memory_budget;
        *budget = (*budget).min((limit / 4).max(MIN_MEMORY_BUDGET));
    }
    if draft.is_default("memory_tier") {
        let tier = &mut draft.config.memory_tier;
        *tier = (*tier).min(limit / 16);
    }
}

/// Most memory in bytes that this process may have by its control groups; `None` where nothing limits it, or nothing says so.
/// `root` is `/` but in tests.
pub(super) fn memory_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups.lines().filter_map(|line| smallest(root, line)).min()
}

/// `line` is `ID:CONTROLLERS:PATH`, see cgroups(7); version 2 has no controllers there. A group has what all that it is in leave
/// to it. In a container the path may be the host's, and only its beginning, the mount itself, be there.
fn smallest(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (mount, name) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    let mount = root.join(mount);
    let group: PathBuf = mount.join(path.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|ancestor| ancestor.starts_with(&mount));
    groups
        .filter_map(|group| {
            // Version 2 writes "max" where there is no limit, version 1 a number that no memory has.
            fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok()
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::keys::Key;
    use crate::config::problem::Source;

    const MIB: u64 = 1 << 20;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_smallest_limit_of_all_groups_counts() {
        let container = [("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "536870912\n")];
        let service = [
            ("proc/self/cgroup", "0::/system.slice/larder.service\n"),
            ("sys/fs/cgroup/system.slice/larder.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "268435456\n"),
        ];
        let version_1 = [
            ("proc/self/cgroup", "4:cpu,cpuacct:/docker/1f\n3:memory:/docker/1f\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n"),
        ];
        let without = [("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")];
        for (files, limit) in [
            (&container[..], Some(512 * MIB)),
            (&service, Some(256 * MIB)),
            (&version_1, Some(128 * MIB)),
            (&without, None),
            (&[], None),
        ] {
            assert_eq!(memory_limit(machine(files).path()), limit, "{files:?}");
        }
    }

    #[test]
    fn defaults_fit_and_what_was_written_stays() {
        let fitted = |limit| {
            let mut draft = Draft::default();
            fit_memory(&mut draft, limit);
            (draft.config.memory_budget, draft.config.memory_tier)
        };
        let usual = (Config::default().memory_budget, Config::default().memory_tier);
        assert_eq!(fitted(None), usual);
        assert_eq!(fitted(Some(8192 * MIB)), usual);
        assert_eq!(fitted(Some(512 * MIB)), (128 * MIB, 32 * MIB));
        assert_eq!(fitted(Some(32 * MIB)), (MIN_MEMORY_BUDGET, 2 * MIB));
        let mut draft = Draft::default();
        draft.set(Key::named("memory_budget").unwrap(), "256MiB", Source::Default);
        fit_memory(&mut draft, Some(512 * MIB));
        assert_eq!((draft.config.memory_budget, draft.config.memory_tier), (256 * MIB, 32 * MIB));
    }
}
