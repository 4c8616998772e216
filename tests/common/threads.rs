//! The threads that the kernel has made for the work of the calling thread's rings.

use std::fs;

/// How many kernel workers (io-wq) there are for operations of this thread.
pub(crate) fn kernel_workers() -> usize {
    // SAFETY: the call takes no pointers.
    let name = format!("iou-wrk-{}", unsafe { libc::gettid() });
    let threads = fs::read_dir("/proc/self/task").expect("/proc is there");
    // A thread may end while it is looked at.
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}
