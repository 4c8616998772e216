//! Waiting until an attempt is worth it: a poll SQE that belongs to the socket, as the forms that
//! are polled have no future that could own it. It takes nothing from the socket.

use std::io;
use std::task::{Context, Poll, ready};

use crate::error::Describe;
use crate::op::check_loop::check_loop;
use crate::op::multishot::Multishot;
use crate::op::socket::fd::SocketFd;
use crate::sys::errno::ECANCELED;
use crate::sys::opcode;

/// A poll for one direction, or the place for one.
pub(super) struct Readiness {
    events: u32,
    poll: Multishot,
}

impl Readiness {
    pub(super) fn of(events: u32) -> Self {
        Self { events, poll: Multishot::default() }
    }

    /// Waits until the socket is ready, or has an error. What it reports may be old: a datagram
    /// that was there may have been taken. For one task, the last that has polled.
    pub(super) fn poll(&self, socket: &SocketFd, context: &Context<'_>) -> Poll<io::Result<()>> {
        let driver = socket.driver();
        check_loop(driver);
        loop {
            if !self.poll.is_started() {
                let submission =
                    socket.submission(|fd| opcode::PollAdd::new(fd, self.events).build());
                // SAFETY: the SQE points to no memory.
                if !unsafe { self.poll.start(driver, submission, 2) } {
                    let closed = Err(io::Error::from_raw_os_error(ECANCELED));
                    return Poll::Ready(closed.describe("poll"));
                }
            }
            if let Some(report) = ready!(self.poll.poll_next(driver, context)) {
                return Poll::Ready(report.result().map(drop).describe("poll"));
            }
        }
    }

    /// Ends the wait.
    pub(super) fn stop(&self, socket: &SocketFd) {
        self.poll.release(socket.driver());
    }
}
