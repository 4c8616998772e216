//! Readiness, edge-triggered.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::check;

/// Tells which of many descriptors have become readable or writable.
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// What has become possible with a descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more: reading ends with zero bytes, or an error.
    pub(crate) ended: bool,
}

impl Epoll {
    /// Takes at most `batch` events at a time.
    pub(crate) fn new(batch: usize) -> io::Result<Self> {
        // SAFETY: the call takes no pointer.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor is new and has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; batch] })
    }

    /// Watches a descriptor in both directions until it is closed. Each event is told once: the
    /// descriptor must be read, or written, until it would block.
    pub(crate) fn add(&self, fd: &impl AsFd, token: u64) -> io::Result<()> {
        let flags = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: flags as u32, u64: token };
        let fd = fd.as_fd().as_raw_fd();
        let operation = libc::EPOLL_CTL_ADD;
        // SAFETY: the event is valid for reads during the call, both descriptors are open.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits for events, for ever if there is no limit. An interrupted wait has none.
    pub(crate) fn wait(
        &mut self,
        limit: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = Event> + use<'_>> {
        // Rounded up, so that a wait is never cut short and repeated.
        let milliseconds = limit.map_or(-1, |limit| limit.as_micros().div_ceil(1000) as i32);
        let (events, room) = (self.events.as_mut_ptr(), self.events.len() as i32);
        // SAFETY: `events` is valid for writes of `room` entries.
        let waited = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events, room, milliseconds) };
        let count = match check(waited) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other? as usize,
        };
        const ENDED: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
        const INWARD: u32 = libc::EPOLLIN as u32 | ENDED;
        Ok(self.events[..count].iter().map(|event| Event {
            token: event.u64,
            readable: event.events & INWARD != 0,
            writable: event.events & libc::EPOLLOUT as u32 != 0,
            ended: event.events & ENDED != 0,
        }))
    }
}
