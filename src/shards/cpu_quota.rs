//! How many CPUs' time the control groups of this process grant it.
//!
//! A group has a quota: so much time of CPUs in each period. It holds for the groups in it, too, so
//! the least of this group's and its ancestors' is what counts. Where the groups are is in
//! `/proc/self/cgroup` (the path in each hierarchy) and `/proc/self/mountinfo` (where a hierarchy
//! is mounted, and which of its directories is there). Version 2 has one hierarchy with `cpu.max`;
//! version 1 has one with the controller `cpu`, and two files.

use std::fs;
use std::path::{Path, PathBuf};

/// The quota of this process in CPUs, rounded up; `None` if there is none.
pub(super) fn cpu_quota() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    quota(&groups, &mounts, |path| fs::read_to_string(path).ok())
}

/// The least quota that the files say, of all groups in all hierarchies.
pub(super) fn quota(
    groups: &str,
    mounts: &str,
    read: impl Fn(&Path) -> Option<String>,
) -> Option<usize> {
    let mounts = mounts.lines().filter_map(Mount::parse);
    let quotas = mounts.filter_map(|mount| {
        let path = groups.lines().find_map(|line| mount.version.path(line))?;
        let inside = mount.directory_of(path);
        // From the group's directory up to the mount point.
        let directories = inside.ancestors().take_while(|at| at.starts_with(&mount.point));
        directories.filter_map(|directory| mount.version.quota(directory, &read)).min()
    });
    quotas.min()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// The path of the group in a line of `/proc/self/cgroup`, if the line is this hierarchy's.
    fn path(self, line: &str) -> Option<&str> {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_its = match self {
            Self::One => has_cpu(controllers),
            Self::Two => number == "0" && controllers.is_empty(),
        };
        is_its.then_some(path)
    }

    /// The quota of the group in a directory.
    fn quota(self, directory: &Path, read: impl Fn(&Path) -> Option<String>) -> Option<usize> {
        let read = |file| read(&directory.join(file));
        match self {
            Self::One => {
                rounded_up(read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim())
            }
            Self::Two => {
                let text = read("cpu.max")?;
                let (quota, period) = text.trim().split_once(' ')?;
                rounded_up(quota, period)
            }
        }
    }
}

/// Without a quota the kernel says `max` (version 2) or -1 (version 1): neither is a number here.
fn rounded_up(quota: &str, period: &str) -> Option<usize> {
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    let cpus = (period > 0).then(|| quota.div_ceil(period).max(1))?;
    usize::try_from(cpus).ok()
}

fn has_cpu(controllers: &str) -> bool {
    controllers.split(',').any(|controller| controller == "cpu")
}

/// A hierarchy of control groups that is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// Which directory of the hierarchy is at the mount point: in a container, often its own.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Parses a line of `/proc/self/mountinfo`. `None` if it is not a hierarchy that can have
    /// quotas.
    fn parse(line: &str) -> Option<Self> {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let mut fields = kind.split(' ');
        let version = match fields.next()? {
            "cgroup2" => Version::Two,
            "cgroup" if has_cpu(fields.nth(1)?) => Version::One,
            _ => return None,
        };
        Some(Self { version, root, point })
    }

    /// The directory of a group. A group that lies outside of what is mounted, as in a container
    /// that sees its host's paths, counts as the mounted directory.
    fn directory_of(&self, path: &str) -> PathBuf {
        let inside = Path::new(path).strip_prefix(&self.root).unwrap_or(Path::new(""));
        let leads_out = inside.components().any(|part| part.as_os_str() == "..");
        self.point.join(if leads_out { Path::new("") } else { inside })
    }
}

/// The kernel writes a space, a tab, a line's end and a backslash as `\` and three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let known = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    known.iter().fold(text.to_owned(), |text, (code, meant)| text.replace(code, meant)).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The quota where these files are.
    fn with_files(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<usize> {
        let files: HashMap<&Path, &str> =
            files.iter().map(|&(path, text)| (Path::new(path), text)).collect();
        quota(groups, mounts, |path| files.get(path).map(|&text| text.to_owned()))
    }

    const VERSION_TWO: &str =
        "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn version_two_is_the_least_of_a_group_and_its_ancestors() {
        let groups = "0::/system.slice/kv.service\n";
        let service = "/sys/fs/cgroup/system.slice/kv.service/cpu.max";
        let slice = "/sys/fs/cgroup/system.slice/cpu.max";
        let with = |files: &[_]| with_files(groups, VERSION_TWO, files);
        assert_eq!(with(&[(service, "400000 100000\n"), (slice, "max 100000\n")]), Some(4));
        assert_eq!(with(&[(service, "400000 100000\n"), (slice, "200000 100000\n")]), Some(2));
        assert_eq!(with(&[(service, "max 100000\n"), (slice, "300000 100000\n")]), Some(3));
        assert_eq!(with(&[(service, "max 100000\n")]), None);
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn a_part_of_a_cpu_counts_as_one_more() {
        let with =
            |quota: &str| with_files("0::/\n", VERSION_TWO, &[("/sys/fs/cgroup/cpu.max", quota)]);
        assert_eq!(with("150000 100000\n"), Some(2));
        assert_eq!(with("1000 100000\n"), Some(1));
        assert_eq!(with("200000 100000\n"), Some(2));
    }

    #[test]
    fn a_container_that_sees_the_paths_of_its_host_has_the_quota_of_its_own_directory() {
        let mounts = "900 899 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let files = [("/sys/fs/cgroup/cpu.max", "200000 100000\n")];
        for groups in ["0::/docker/abc\n", "0::/elsewhere\n", "0::/docker/abc/../../x\n"] {
            assert_eq!(with_files(groups, mounts, &files), Some(2), "{groups}");
        }
        let inner = [("/sys/fs/cgroup/inner/cpu.max", "100000 100000\n"), files[0]];
        assert_eq!(with_files("0::/docker/abc/inner\n", mounts, &inner), Some(1));
    }

    #[test]
    fn version_one_has_its_own_hierarchy_and_two_files() {
        let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let groups = "3:cpuset:/other\n1:cpu,cpuacct:/a/b\n0::/\n";
        let quota = "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us";
        let period = "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us";
        let outer = "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us";
        let with = |files: &[_]| with_files(groups, mounts, files);
        assert_eq!(with(&[(quota, "250000\n"), (period, "100000\n")]), Some(3));
        assert_eq!(with(&[(quota, "-1\n"), (period, "100000\n")]), None);
        let ancestor = (outer, "50000\n");
        let its = "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us";
        let files = [(quota, "250000\n"), (period, "100000\n"), ancestor, (its, "50000\n")];
        assert_eq!(with(&files), Some(1));
    }

    #[test]
    fn a_mount_point_with_a_space_is_found() {
        let mounts = "31 23 0:28 / /mnt/control\\040groups rw - cgroup2 cgroup2 rw\n";
        let files = [("/mnt/control groups/cpu.max", "300000 100000\n")];
        assert_eq!(with_files("0::/\n", mounts, &files), Some(3));
    }

    #[test]
    fn what_cannot_be_understood_is_no_quota() {
        let with =
            |quota: &str| with_files("0::/\n", VERSION_TWO, &[("/sys/fs/cgroup/cpu.max", quota)]);
        for text in ["", "1", "1 0", "a b", "-1 100000", "100000", "1 2 3"] {
            assert_eq!(with(text), None, "{text}");
        }
        assert_eq!(with_files("nonsense", "nonsense - ", &[]), None);
    }
}
