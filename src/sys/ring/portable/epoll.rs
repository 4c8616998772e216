//! The system calls of an epoll instance.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use crate::sys::errno::{EINVAL, ENOSYS, EPERM, last_errno};
use crate::sys::{millis, timespec};

/// How many events one wait takes at most. What is left comes with the next, as epoll takes turns
/// among what is ready. Each may fill a provided buffer before a task runs: there are as many of
/// those from the beginning, and more would be memory that stays, and leave the cache.
const MOST_EVENTS: usize = 64;

/// What the bell of the workers is registered as, and the timer of a ring whose loop sleeps in
/// another: no descriptors have these numbers.
pub(super) const WORKERS_BELL: u64 = u32::MAX as u64;
pub(super) const TIMER: u64 = WORKERS_BELL - 1;

pub(super) struct Epoll {
    fd: OwnedFd,
    events: Box<[libc::epoll_event]>,
    /// Whether the kernel waits with a precision of nanoseconds (5.11).
    is_precise: bool,
}

/// What became ready: the number that was registered, and the events.
#[derive(Clone, Copy)]
pub(super) struct Event {
    pub(super) data: u64,
    pub(super) events: u32,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; MOST_EVENTS].into();
        // SAFETY: the descriptor has just been made, and nothing else owns it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, events, is_precise: true })
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// # Errors
    ///
    /// `EEXIST` if the file is registered under this number already, `EPERM` if it cannot be
    /// polled, `EBADF` if there is none.
    pub(super) fn add(&self, fd: RawFd, events: u32, data: u64) -> Result<(), i32> {
        self.control(libc::EPOLL_CTL_ADD, fd, events, data)
    }

    /// # Errors
    ///
    /// `ENOENT` if the file is not registered under this number.
    pub(super) fn modify(&self, fd: RawFd, events: u32, data: u64) -> Result<(), i32> {
        self.control(libc::EPOLL_CTL_MOD, fd, events, data)
    }

    pub(super) fn remove(&self, fd: RawFd) {
        // It fails if another file has the number now: the one that was registered is closed then.
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
    }

    fn control(&self, action: i32, fd: RawFd, events: u32, data: u64) -> Result<(), i32> {
        let mut event = libc::epoll_event { events, u64: data };
        // SAFETY: the call reads one event.
        let result = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), action, fd, &mut event) };
        if result < 0 { Err(last_errno()) } else { Ok(()) }
    }

    /// Waits for events, no longer than `limit`. Returns how many there are.
    ///
    /// # Errors
    ///
    /// `EINTR`.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        if self.is_precise && limit.is_some_and(|limit| !limit.is_zero()) {
            match self.wait_precisely(limit) {
                // Before 5.11; a seccomp filter that does not know the call answers `EPERM`.
                Err(error) if matches!(error.raw_os_error(), Some(ENOSYS | EPERM | EINVAL)) => {
                    self.is_precise = false;
                }
                outcome => return outcome,
            }
        }
        // Rounded up: a wait that ends early would be repeated until the time has come.
        let limit = limit.map_or(-1, |limit| i32::try_from(millis(limit)).unwrap_or(i32::MAX));
        let (room, count) = (self.events.as_mut_ptr(), self.events.len() as i32);
        // SAFETY: the call writes at most as many events as there is room for.
        counted(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), room, count, limit) }.into())
    }

    fn wait_precisely(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        let limit = limit.map(timespec);
        let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
        let (room, count) = (self.events.as_mut_ptr(), self.events.len());
        let (fd, no_mask) = (self.fd.as_raw_fd(), ptr::null::<libc::sigset_t>());
        // SAFETY: the call writes at most as many events as there is room for, and reads the time.
        counted(unsafe {
            libc::syscall(libc::SYS_epoll_pwait2, fd, room, count, limit, no_mask, 0)
        })
    }

    /// One of the events of the last wait.
    pub(super) fn event(&self, nth: usize) -> Event {
        let libc::epoll_event { events, u64: data } = self.events[nth];
        Event { data, events }
    }
}

fn counted(result: i64) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
