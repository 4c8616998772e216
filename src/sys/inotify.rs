//! inotify: its calls, and the form of its events.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub(crate) use libc::{
    IN_ACCESS, IN_ATTRIB, IN_CLOSE_NOWRITE, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF,
    IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_IGNORED, IN_ISDIR, IN_MASK_CREATE, IN_MODIFY, IN_MOVE_SELF,
    IN_MOVED_FROM, IN_MOVED_TO, IN_ONLYDIR, IN_OPEN, IN_Q_OVERFLOW, IN_UNMOUNT,
};

/// The size of `struct inotify_event` without its name.
const HEAD: usize = 16;

/// An event as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) watch: i32,
    pub(crate) mask: u32,
    /// What the two events of a rename have in common.
    pub(crate) cookie: u32,
    /// Empty for an event of the watched object itself.
    pub(crate) name: &'a [u8],
}

/// Takes the first of the events off what was read. `None` at the end.
pub(crate) fn split_first(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let word = |at: usize| {
        let word = head[at..at + 4].try_into().expect("four bytes");
        u32::from_ne_bytes(word)
    };
    let (name, rest) = rest.split_at_checked(word(12) as usize)?;
    // It is filled up with zero bytes.
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let record = Record { watch: word(0) as i32, mask: word(4), cookie: word(8), name };
    Some((record, rest))
}

/// A new instance, which does not block.
pub(crate) fn new() -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` has just been opened, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Watches a path. It may wait for a disk.
pub(crate) fn add(fd: BorrowedFd<'_>, path: &CStr, mask: u32) -> io::Result<i32> {
    // SAFETY: the path ends with a zero byte.
    let watch = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), mask) };
    if watch < 0 { Err(io::Error::last_os_error()) } else { Ok(watch) }
}

pub(crate) fn remove(fd: BorrowedFd<'_>, watch: i32) -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    let result = unsafe { libc::inotify_rm_watch(fd.as_raw_fd(), watch) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(watch: i32, name: &[u8], length: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [watch as u32, IN_CREATE, 7, length] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(name);
        bytes.resize(HEAD + length as usize, 0);
        bytes
    }

    #[test]
    fn events_are_split_where_their_lengths_say() {
        let longest = [b'n'; 255];
        let all = [record(1, b"name", 16), record(2, b"", 0), record(-1, &longest, 256)].concat();
        let (first, rest) = split_first(&all).unwrap();
        assert_eq!(first, Record { watch: 1, mask: IN_CREATE, cookie: 7, name: b"name" });
        let (second, rest) = split_first(rest).unwrap();
        assert_eq!((second.watch, second.name), (2, &b""[..]));
        let (third, rest) = split_first(rest).unwrap();
        assert_eq!((third.watch, third.name), (-1, &longest[..]));
        assert_eq!(split_first(rest), None);
        for end in 0..HEAD + 16 {
            assert_eq!(split_first(&all[..end]), None, "a part of {end} bytes");
        }
    }
}
