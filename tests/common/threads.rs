//! The threads of this process that the kernel has made for its own work.

use std::fs;

/// How many kernel workers (io-wq) there are for operations of this process.
pub(crate) fn kernel_workers() -> usize {
    let threads = fs::read_dir("/proc/self/task").expect("/proc is there");
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("iou-wrk")).count()
}
