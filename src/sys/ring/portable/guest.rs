//! A ring whose loop sleeps in another event loop.
//!
//! Between two turns nothing waits in the ring's epoll instance, so that is watched in its place:
//! it is readable when something in it is ready. A timer in it reports the ring's next timeout, and
//! the bell of the workers what they finish.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::epoll::{Epoll, TIMER};
use super::polls::poll_now;
use super::timeouts::time_after;
use super::waiting::nanos;
use super::{Outer, PortableRing};
use crate::sys::poll::READABLE;

impl PortableRing {
    /// What an outer event loop waits for: it is readable when `counter` is, or an enter is due.
    pub(in crate::sys::ring) fn watched_beside(
        &mut self,
        counter: BorrowedFd<'_>,
    ) -> io::Result<OwnedFd> {
        let timer = new_timer()?;
        let edges = READABLE | libc::EPOLLET as u32;
        self.epoll.add(timer.as_raw_fd(), edges, TIMER).map_err(io::Error::from_raw_os_error)?;
        let watched = Epoll::new()?;
        for fd in [counter, self.epoll.fd().as_fd()] {
            watched.add(fd.as_raw_fd(), READABLE, 0).map_err(io::Error::from_raw_os_error)?;
        }
        self.outer = Some(Outer { timer, time: None });
        Ok(watched.into_fd())
    }

    /// Whether the epoll instance has something to report.
    pub(super) fn is_readable(&self) -> bool {
        poll_now(self.epoll.fd().as_raw_fd(), READABLE).is_ok_and(|ready| ready != 0)
    }

    /// An enter ends: what comes before the next one is to be reported.
    pub(super) fn prepare_outer_sleep(&mut self) {
        let Some(outer) = &mut self.outer else { return };
        let bound = self.workers.prepare_sleep().map(|bound| time_after(nanos(bound)));
        let time = [bound, self.timeouts.next()].into_iter().flatten().min();
        if outer.time != time {
            outer.time = time;
            set_timer(&outer.timer, time);
        }
    }

    /// An enter begins.
    pub(super) fn end_outer_sleep(&mut self) {
        if self.outer.is_some() {
            self.workers.end_sleep();
        }
    }
}

fn new_timer() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor has just been made, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a timer, or disarms it.
fn set_timer(timer: &OwnedFd, time: Option<u64>) {
    let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Zero would disarm it.
    let time = time.map_or(none, |time| libc::timespec {
        tv_sec: (time.max(1) / 1_000_000_000) as _,
        tv_nsec: (time.max(1) % 1_000_000_000) as _,
    });
    let value = libc::itimerspec { it_interval: none, it_value: time };
    let (fd, flags) = (timer.as_raw_fd(), libc::TFD_TIMER_ABSTIME);
    // It fails only for an invalid time.
    // SAFETY: the call reads one `itimerspec`.
    unsafe { libc::timerfd_settime(fd, flags, &value, ptr::null_mut()) };
}
