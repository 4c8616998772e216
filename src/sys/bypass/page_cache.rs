//! What of a file is in memory.

use std::os::fd::RawFd;

/// `cachestat(2)` has the same number on every architecture (6.5).
const CACHESTAT: libc::c_long = 451;
const PAGE: u64 = 4096;

/// `struct cachestat_range`.
#[repr(C)]
struct Range {
    offset: u64,
    length: u64,
}

/// `struct cachestat`.
#[derive(Default)]
#[repr(C)]
struct Pages {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Whether a stretch of a file is in memory, so that reading it waits for no disk. Also `false` if
/// it cannot be known.
pub(crate) fn is_cached(file: RawFd, offset: u64, length: u64) -> bool {
    let range = Range { offset, length };
    let mut pages = Pages::default();
    // SAFETY: the call reads the range and writes the counts.
    let result = unsafe { libc::syscall(CACHESTAT, file, &raw const range, &raw mut pages, 0) };
    let wanted = (offset + length).div_ceil(PAGE) - offset / PAGE;
    result == 0 && pages.cached >= wanted
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_was_just_read_is_cached_and_what_is_not_there_is_not() {
        let path = std::env::current_exe().unwrap();
        let size = std::fs::read(&path).unwrap().len() as u64;
        let file = File::open(path).unwrap();
        let fd = file.as_raw_fd();
        // Before 6.5 it is not known.
        let is_known = is_cached(fd, 0, 1);
        assert_eq!(is_cached(fd, 5000, size - 5000), is_known);
        assert!(!is_cached(fd, size.next_multiple_of(PAGE), PAGE));
        assert!(!is_cached(-1, 0, 1));
    }
}
