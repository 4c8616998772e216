//! Operations on paths. All are a worker's: any may wait for a device or a server.

use std::ffi::{CStr, CString};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::slice;

use super::call::{Attempt, Call, Kind, outcome};
use super::workers::MAY_WAIT;
use crate::sys::errno::{EINVAL, ENOSYS};

/// `openat2(2)` has the same number on every architecture (5.6).
const OPENAT2: libc::c_long = 437;

/// The size of `struct open_how` as it is since openat2 is there.
const OPEN_HOW_SIZE: usize = 24;

/// The path that an SQE names.
fn path(call: &Call) -> CString {
    // SAFETY: the SQE points to a path, which ends with a zero byte.
    unsafe { CStr::from_ptr(call.memory()) }.to_owned()
}

/// The second path that an SQE names.
fn second_path(call: &Call) -> CString {
    // SAFETY: as for `path`.
    unsafe { CStr::from_ptr(call.second_memory()) }.to_owned()
}

pub(super) fn open(call: &Call) -> Attempt {
    let (directory, path) = (call.fd, path(call));
    let (flags, mode) = (call.sqe.op_flags() as i32, call.sqe.length());
    let mut may_wait = !never_waits(flags);
    Attempt::offload(Kind::File, move || {
        if mem::take(&mut may_wait) && waits(directory, &path, flags) {
            return MAY_WAIT;
        }
        // SAFETY: the path ends with a zero byte.
        outcome(unsafe { libc::openat(directory, path.as_ptr(), flags, mode) } as isize)
    })
}

pub(super) fn open_within(call: &Call) -> Attempt {
    let (directory, path, size) = (call.fd, path(call), call.sqe.length() as usize);
    if !(OPEN_HOW_SIZE..=4096).contains(&size) {
        return Attempt::failed(EINVAL);
    }
    // Its first three words are flags, mode and what the path may pass.
    // SAFETY: the SQE points to a `struct open_how` of this size.
    let how: Box<[u8]> = unsafe { slice::from_raw_parts(call.second_memory::<u8>(), size) }.into();
    let word = |at: usize| {
        let bytes = how[8 * at..8 * at + 8].try_into().expect("it has three words");
        u64::from_ne_bytes(bytes)
    };
    let (flags, mode, resolve) = (word(0) as i32, word(1) as u32, word(2));
    let is_plain = resolve == 0 && size == OPEN_HOW_SIZE;
    let mut may_wait = !never_waits(flags);
    Attempt::offload(Kind::File, move || {
        if mem::take(&mut may_wait) && waits_within(directory, &path, flags, resolve) {
            return MAY_WAIT;
        }
        let opened = open_by(directory, &path, &how);
        if opened != -ENOSYS || !is_plain {
            return opened;
        }
        // SAFETY: the path ends with a zero byte.
        outcome(unsafe { libc::openat(directory, path.as_ptr(), flags, mode) } as isize)
    })
}

/// openat2(2), with the bytes of a `struct open_how`.
fn open_by(directory: i32, path: &CStr, how: &[u8]) -> i32 {
    let (path, start, size) = (path.as_ptr(), how.as_ptr(), how.len());
    // SAFETY: the path ends with a zero byte, and the call reads at most `size` bytes of `how`.
    outcome(unsafe { libc::syscall(OPENAT2, directory, path, start, size) } as isize)
}

/// Whether an open with these flags never waits for a peer.
fn never_waits(flags: i32) -> bool {
    const CREATES: i32 = libc::O_CREAT | libc::O_EXCL;
    flags & (libc::O_NONBLOCK | libc::O_PATH | libc::O_DIRECTORY) != 0 || flags & CREATES == CREATES
}

/// Whether an open waits for a peer. What takes its place before the open keeps a thread for files
/// waiting, and nothing else.
fn waits(directory: i32, path: &CStr, flags: i32) -> bool {
    let nofollow = if flags & libc::O_NOFOLLOW != 0 { libc::AT_SYMLINK_NOFOLLOW } else { 0 };
    is_waited_for(directory, path, libc::AT_NO_AUTOMOUNT | nofollow)
}

/// The same of a path that is resolved as openat2(2) is told, so that nothing else is looked up.
fn waits_within(directory: i32, path: &CStr, flags: i32, resolve: u64) -> bool {
    let flags = libc::O_PATH | libc::O_CLOEXEC | flags & libc::O_NOFOLLOW;
    let how = [flags as u64, 0, resolve].map(u64::to_ne_bytes);
    let fd = open_by(directory, path, how.as_flattened());
    if fd < 0 {
        return false;
    }
    // SAFETY: the call has just made the descriptor, and nothing else owns it.
    let place = unsafe { OwnedFd::from_raw_fd(fd) };
    is_waited_for(place.as_raw_fd(), c"", libc::AT_EMPTY_PATH)
}

/// Whether a path is that of a FIFO, whose open waits for the other end, or of a terminal, whose
/// open may wait for its line.
fn is_waited_for(directory: i32, path: &CStr, flags: i32) -> bool {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the path ends with a zero byte, and the call writes one `stat`.
    let found = unsafe { libc::fstatat(directory, path.as_ptr(), stat.as_mut_ptr(), flags) };
    // SAFETY: the call has succeeded, and so written it.
    let mode = || unsafe { stat.assume_init_ref() }.st_mode;
    found == 0 && [libc::S_IFIFO, libc::S_IFCHR].contains(&(mode() & libc::S_IFMT))
}

pub(super) fn stat(call: &Call) -> Attempt {
    let (directory, path) = (call.fd, path(call));
    let (flags, mask) = (call.sqe.op_flags() as i32, call.sqe.length());
    let target = call.second_memory::<libc::statx>().expose_provenance();
    Attempt::offload(Kind::File, move || {
        let target = std::ptr::with_exposed_provenance_mut::<libc::statx>(target);
        // SAFETY: the path ends with a zero byte; the call writes one `statx`, which is kept for
        // the call.
        outcome(unsafe {
            libc::syscall(libc::SYS_statx, directory, path.as_ptr(), flags, mask, target)
        } as isize)
    })
}

pub(super) fn unlink(call: &Call) -> Attempt {
    let (directory, path, flags) = (call.fd, path(call), call.sqe.op_flags() as i32);
    Attempt::offload(Kind::File, move || {
        // SAFETY: the path ends with a zero byte.
        outcome(unsafe { libc::unlinkat(directory, path.as_ptr(), flags) } as isize)
    })
}

pub(super) fn rename(call: &Call) -> Attempt {
    let (from, to) = (path(call), second_path(call));
    let (old, new, flags) = (call.fd, call.sqe.length() as i32, call.sqe.op_flags());
    Attempt::offload(Kind::File, move || {
        let (from, to) = (from.as_ptr(), to.as_ptr());
        // SAFETY: the paths end with a zero byte.
        outcome(unsafe {
            if flags == 0 {
                libc::renameat(old, from, new, to) as isize
            } else {
                libc::syscall(libc::SYS_renameat2, old, from, new, to, flags) as isize
            }
        })
    })
}

pub(super) fn link(call: &Call) -> Attempt {
    let (from, to) = (path(call), second_path(call));
    let (old, new, flags) = (call.fd, call.sqe.length() as i32, call.sqe.op_flags() as i32);
    Attempt::offload(Kind::File, move || {
        // SAFETY: the paths end with a zero byte.
        outcome(unsafe { libc::linkat(old, from.as_ptr(), new, to.as_ptr(), flags) } as isize)
    })
}

pub(super) fn symlink(call: &Call) -> Attempt {
    let (directory, target, link) = (call.fd, path(call), second_path(call));
    Attempt::offload(Kind::File, move || {
        // SAFETY: the paths end with a zero byte.
        outcome(unsafe { libc::symlinkat(target.as_ptr(), directory, link.as_ptr()) } as isize)
    })
}

pub(super) fn create_directory(call: &Call) -> Attempt {
    let (directory, path, mode) = (call.fd, path(call), call.sqe.length());
    Attempt::offload(Kind::File, move || {
        // SAFETY: the path ends with a zero byte.
        outcome(unsafe { libc::mkdirat(directory, path.as_ptr(), mode) } as isize)
    })
}
