//! Reads and writes of what is no file: pipes, terminals, other devices, sockets, eventfds.
//!
//! They may wait for a peer for ever, so a worker is the last resort: first comes a call that does
//! not wait, then the wait for the descriptor to be ready. Where the kernel has no such calls (of
//! terminals; of pipes before 6.5), and the descriptor blocks, what is ready is read by a worker,
//! as another process may take the bytes first. A cancel interrupts that.
//!
//! No write raises SIGPIPE.

use std::os::fd::RawFd;

use super::call::{Attempt, Kind, outcome};
use super::file_kind::FileKind;
use super::transfer::{Transfer, lacks_no_wait};
use crate::sys::bypass::pipe::{self, Call as How};
use crate::sys::errno::EAGAIN;
use crate::sys::poll::{READABLE, WRITABLE};

/// A direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

pub(super) fn read(transfer: Transfer, kind: FileKind, open_flags: i32) -> Attempt {
    attempt(transfer, kind, open_flags, Direction::Read)
}

pub(super) fn write(transfer: Transfer, kind: FileKind, open_flags: i32) -> Attempt {
    attempt(transfer, kind, open_flags, Direction::Write)
}

fn attempt(transfer: Transfer, kind: FileKind, open_flags: i32, direction: Direction) -> Attempt {
    let is_nonblocking = open_flags & libc::O_NONBLOCK != 0;
    let how = match kind {
        FileKind::Socket => How::Socket,
        _ if is_nonblocking => How::NonBlocking,
        _ => How::NoWait,
    };
    let result = direction.call(&transfer, how);
    let lacks_no_wait = how == How::NoWait && lacks_no_wait(result);
    if result != -EAGAIN && !lacks_no_wait {
        return Attempt::done(result);
    }
    if transfer.flags & libc::RWF_NOWAIT != 0 {
        return Attempt::failed(EAGAIN);
    }
    if lacks_no_wait && is_ready(transfer.fd, direction.events()) {
        let transfer = transfer.kept();
        return Attempt::offload(Kind::Other, move || direction.wait(&transfer));
    }
    Attempt::WaitFor { fd: transfer.fd, events: direction.events() }
}

/// Whether a descriptor is ready: poll(2) that does not wait.
pub(super) fn is_ready(fd: RawFd, events: u32) -> bool {
    poll(fd, events, 0) > 0
}

fn poll(fd: RawFd, events: u32, timeout: i32) -> i32 {
    let mut poll = libc::pollfd { fd, events: events as i16, revents: 0 };
    // SAFETY: the call reads and writes one `pollfd`.
    outcome(unsafe { libc::poll(&raw mut poll, 1, timeout) } as isize)
}

impl Direction {
    fn events(self) -> u32 {
        match self {
            Self::Read => READABLE,
            Self::Write => WRITABLE,
        }
    }

    /// A call that does not wait.
    fn call(self, transfer: &Transfer, how: How) -> i32 {
        let (list, count) = transfer.list();
        // SAFETY: the memory is kept for the call.
        let done = unsafe {
            match self {
                Self::Read => pipe::read_parts_now(transfer.fd, how, list, count),
                Self::Write => pipe::write_parts_now(transfer.fd, how, list, count),
            }
        };
        done.raw_result()
    }

    /// The call on a worker, which waits.
    fn wait(self, transfer: &Transfer) -> i32 {
        loop {
            let result = match self {
                Self::Read => transfer.read(0),
                Self::Write => transfer.write(0),
            };
            if result != -EAGAIN {
                return result;
            }
            // The descriptor was made non-blocking meanwhile.
            let ready = poll(transfer.fd, self.events(), -1);
            if ready < 0 {
                return ready;
            }
        }
    }
}
