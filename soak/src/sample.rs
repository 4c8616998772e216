//! What the process holds at one moment.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use annulus::Metrics;

#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
    pub(crate) descriptors: usize,
    /// Threads of the process, the kernel's workers for its rings among them.
    pub(crate) threads: usize,
    pub(crate) tasks: usize,
    /// Of all runtimes.
    pub(crate) metrics: Metrics,
    pub(crate) operations: u64,
    pub(crate) bytes: u64,
    pub(crate) failures: u64,
}

impl Sample {
    /// The line of this sample, with the rate since the one before.
    pub(crate) fn line(&self, before: Option<&Self>) -> String {
        let since = before.map_or(self.at, |before| self.at - before.at);
        let done = self.operations - before.map_or(0, |before| before.operations);
        let rate = done as f64 / since.as_secs_f64().max(0.001);
        let Metrics { in_kernel, queued, timers, fallback_buffer_bytes, .. } = self.metrics;
        format!(
            "{:>5} s  rss {:>6.1} MiB  fds {:>4}  threads {:>3}  tasks {:>4}  in_kernel {in_kernel:>4}  \
             queued {queued:>3}  timers {timers:>4}  fallback {fallback_buffer_bytes:>7}  \
             operations {:>10} ({rate:.0}/s)  checked {:>7.2} GiB  failures {}",
            self.at.as_secs(),
            mib(self.resident),
            self.descriptors,
            self.threads,
            self.tasks,
            self.operations,
            self.bytes as f64 / f64::from(1 << 30),
            self.failures,
        )
    }
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = field.and_then(|field| field.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let number = number.ok_or_else(|| io::Error::other("/proc/self/status has no VmRSS"))?;
    Ok(number * 1024)
}

/// The descriptors of this process: what each number refers to.
pub(crate) struct Descriptors(BTreeMap<u32, String>);

impl Descriptors {
    pub(crate) fn now() -> io::Result<Self> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir("/proc/self/fd")? {
            let entry = entry?;
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            // The directory's own descriptor is closed by now, or another file's.
            if let (Some(number), Ok(file)) = (number, fs::read_link(entry.path())) {
                all.insert(number, file.to_string_lossy().into_owned());
            }
        }
        // It is among those that it lists.
        all.retain(|_, file| *file != format!("/proc/{}/fd", std::process::id()));
        Ok(Self(all))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Those that were not open before, or refer to other files, with what the kernel says of the
    /// sockets among them.
    pub(crate) fn beyond(&self, before: &Self) -> Vec<String> {
        let more = self.0.iter().filter(|(number, file)| before.0.get(number) != Some(file));
        more.map(|(number, file)| match socket(file) {
            Some(socket) => format!("{number}: {file}, {socket}"),
            None => format!("{number}: {file}"),
        })
        .collect()
    }
}

/// The line of a socket in the kernel's tables.
fn socket(file: &str) -> Option<String> {
    let inode = file.strip_prefix("socket:[")?.strip_suffix(']')?;
    ["tcp", "tcp6", "udp", "udp6", "unix"].into_iter().find_map(|table| {
        let lines = fs::read_to_string(format!("/proc/self/net/{table}")).ok()?;
        let line = lines.lines().find(|line| line.split_whitespace().any(|it| it == inode))?;
        Some(format!("{table} {}", line.split_whitespace().collect::<Vec<_>>().join(" ")))
    })
}

pub(crate) fn threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// The children of this process that have not been waited for, or run.
pub(crate) fn children() -> io::Result<Vec<String>> {
    let mut children = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        // A thread that has just ended has no such file.
        if let Ok(of_task) = fs::read_to_string(task?.path().join("children")) {
            children.extend(of_task.split_whitespace().map(str::to_owned));
        }
    }
    Ok(children)
}
