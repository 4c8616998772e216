//! Control groups, where they can be made.

use std::path::{Path, PathBuf};
use std::{fs, io, process};

/// A group of one controller, version 1 or 2, removed at the end.
pub(crate) struct Group {
    path: PathBuf,
    is_v1: bool,
}

impl Group {
    /// Makes one. It needs root, or a subtree that is this user's.
    pub(crate) fn new(controller: &str, name: &str) -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let mut unified = None;
        let mut v1 = None;
        for line in own.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let path = path.trim_start_matches('/');
            if controllers.split(',').any(|one| one == controller) {
                let root = Path::new("/sys/fs/cgroup").join(controller);
                let own = root.join(path);
                v1 = Some(if own.is_dir() { own } else { root });
            } else if controllers.is_empty() {
                unified = Some(Path::new("/sys/fs/cgroup").join(path));
            }
        }
        let has_it = |path: &PathBuf| {
            fs::read_to_string(path.join("cgroup.subtree_control"))
                .is_ok_and(|all| all.split_whitespace().any(|one| one == controller))
        };
        let is_v1 = v1.is_some();
        let parent = v1.or_else(|| unified.filter(has_it)).ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, format!("no controller {controller}"))
        })?;
        let path = parent.join(format!("annulus-{name}-{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self { path, is_v1 })
    }

    /// Writes one of its files, by its name in version 1 and in version 2.
    pub(crate) fn set(&self, names: [&str; 2], values: [&str; 2]) -> io::Result<()> {
        let version = usize::from(!self.is_v1);
        fs::write(self.path.join(names[version]), values[version])
    }

    /// Reads a number from one of its files.
    pub(crate) fn read(&self, names: [&str; 2]) -> io::Result<u64> {
        let text = fs::read_to_string(self.path.join(names[usize::from(!self.is_v1)]))?;
        text.trim().parse().map_err(io::Error::other)
    }

    /// Puts a process into it.
    pub(crate) fn add(&self, id: u32) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), id.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A killed process takes a moment to leave.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
