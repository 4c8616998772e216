//! A descriptor that any thread can make readable, to end another thread's wait.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::errno::unless_interrupted;

/// An eventfd. A multishot poll reports every write, so that a counter that is polled so never
/// needs reading.
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` has just been opened, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the descriptor report readiness once more.
    pub(crate) fn ring(&self) {
        // The only failure is a counter about to overflow, which 2^64 - 2 rings away is not.
        let _ = add(self.0.as_fd(), 1);
    }
}

impl EventFd {
    /// Forgets that it was rung.
    pub(crate) fn clear(&self) {
        // It fails only if it was not rung.
        let _ = take(self.0.as_fd());
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A new counter for users, which does not block.
pub(crate) fn counter(initial: u32, is_semaphore: bool) -> io::Result<OwnedFd> {
    let kind = if is_semaphore { libc::EFD_SEMAPHORE } else { 0 };
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::eventfd(initial, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK | kind) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` has just been opened, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes the count, or one of a semaphore. `WouldBlock` if it is zero.
pub(crate) fn take(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut count = 0u64;
    let target = std::ptr::from_mut(&mut count).cast();
    // SAFETY: the call writes eight bytes, which `count` has.
    unless_interrupted(|| unsafe { libc::read(fd.as_raw_fd(), target, size_of::<u64>()) })
        .map_err(io::Error::from_raw_os_error)?;
    Ok(count)
}

/// Adds to the count. `WouldBlock` if there is no room for as much.
pub(crate) fn add(fd: BorrowedFd<'_>, count: u64) -> io::Result<()> {
    let source = std::ptr::from_ref(&count).cast();
    // SAFETY: the call reads eight bytes, which `count` has.
    unless_interrupted(|| unsafe { libc::write(fd.as_raw_fd(), source, size_of::<u64>()) })
        .map(drop)
        .map_err(io::Error::from_raw_os_error)
}
