//! A control group that limits the memory of a process, the kernel's objects included.

use std::path::{Path, PathBuf};
use std::{fs, io, process};

/// What the processes of a group hold, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// All that counts towards the limit.
    pub(crate) now: u64,
    /// The most that it was.
    pub(crate) peak: u64,
    /// The part of it that are objects of the kernel.
    pub(crate) kernel: u64,
    /// What sockets hold of data: of version 1 it counts apart.
    pub(crate) sockets: u64,
    /// How many processes the kernel has killed as the limit was reached.
    pub(crate) killed: u64,
}

/// A control group of the memory controller, version 1 or 2, removed at the end.
pub(crate) struct Group {
    path: PathBuf,
    is_v1: bool,
}

impl Group {
    /// Makes one. It needs root, or a delegated subtree.
    pub(crate) fn new(limit: u64) -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let (parent, is_v1) = parent_of(&own)
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "no memory controller"))?;
        let path = parent.join(format!("annulus-hostile-{}", process::id()));
        fs::create_dir(&path)?;
        let group = Self { path, is_v1 };
        let file = if is_v1 { "memory.limit_in_bytes" } else { "memory.max" };
        fs::write(group.path.join(file), limit.to_string())?;
        if is_v1 {
            // Version 1 counts what sockets hold only if it is limited, and then apart.
            let _ = fs::write(group.path.join("memory.kmem.tcp.limit_in_bytes"), limit.to_string());
        }
        Ok(group)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What counts towards the limit.
    pub(crate) fn form(&self) -> &'static str {
        if self.is_v1 {
            "a cgroup (version 1: the kernel's objects count; what sockets hold has the same limit \
             apart)"
        } else {
            "a cgroup (version 2: the kernel's objects and what sockets hold count)"
        }
    }

    /// What its processes hold.
    pub(crate) fn held(&self) -> io::Result<Held> {
        if self.is_v1 {
            Ok(Held {
                now: self.read("memory.usage_in_bytes")?,
                peak: self.read("memory.max_usage_in_bytes")?,
                kernel: self.read("memory.kmem.usage_in_bytes").unwrap_or(0),
                sockets: self.read("memory.kmem.tcp.usage_in_bytes").unwrap_or(0),
                killed: self.event("memory.oom_control", "oom_kill"),
            })
        } else {
            let now = self.read("memory.current")?;
            Ok(Held {
                now,
                peak: self.read("memory.peak").unwrap_or(now),
                kernel: self.event("memory.stat", "kernel"),
                sockets: self.event("memory.stat", "sock"),
                killed: self.event("memory.events", "oom_kill"),
            })
        }
    }

    fn read(&self, file: &str) -> io::Result<u64> {
        let text = fs::read_to_string(self.path.join(file))?;
        text.trim().parse().map_err(|_| io::Error::other(format!("{file}: {text}")))
    }

    /// The value of a line of a file; zero if there is none.
    fn event(&self, file: &str, key: &str) -> u64 {
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
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

/// Puts this process into a group.
pub(crate) fn join(path: &Path) -> io::Result<()> {
    fs::write(path.join("cgroup.procs"), "0")
}

/// Where a group can be made, from `/proc/self/cgroup`, and whether it is of version 1.
fn parent_of(own: &str) -> Option<(PathBuf, bool)> {
    let lines = own.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
    let mut unified = None;
    for parts in lines {
        let &[_, controllers, path] = &parts[..] else { continue };
        let path = path.trim_start_matches('/');
        if controllers.split(',').any(|one| one == "memory") {
            let root = Path::new("/sys/fs/cgroup/memory");
            // In a container the path may be that of the host.
            let own = root.join(path);
            return Some((if own.is_dir() { own } else { root.to_owned() }, true));
        }
        if controllers.is_empty() {
            let own = Path::new("/sys/fs/cgroup").join(path);
            let has_memory = fs::read_to_string(own.join("cgroup.subtree_control"))
                .is_ok_and(|controllers| controllers.split_whitespace().any(|one| one == "memory"));
            unified = has_memory.then_some((own, false));
        }
    }
    unified
}
