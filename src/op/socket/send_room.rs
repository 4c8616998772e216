//! Waiting until a socket has room to send.
//!
//! Sends never wait in the kernel: their SQEs have `MSG_DONTWAIT`, and one that finds no room says
//! so (`EAGAIN`), or sends the part that fits. Left to wait, a send is tried again whenever the
//! kernel's poll of the socket reports anything, and that poll always includes the peer's end
//! (`POLLRDHUP`) and urgent data (`POLLPRI`). After either it is ready at once, each time: the send
//! would be tried 128 times in vain and then handed to a kernel worker, a thread that blocks until
//! the peer reads. So each peer that ends its direction and reads nothing would cost a thread.
//!
//! The wait is a poll of its own, whose result tells room from the rest. It is a one-shot poll,
//! which is enough for most connections. Once one has reported the peer's end without room, it
//! would do so again at once, so on that socket the wait is a multishot poll from then on:
//! edge-triggered, it reports the end once and then only room.

use std::task::{Context, Poll, ready};

use super::fd::SocketFd;
use crate::driver::Key;
use crate::sys::errno::ECANCELED;
use crate::sys::poll::{BROKEN, WRITABLE};
use crate::sys::{Completion, Submission, opcode};

/// How many reports of a multishot poll may wait to be looked at. More are not to be expected.
const MAX_REPORTS: u32 = 8;

/// A wait for room. Its owner ends it with [`stop`](Self::stop).
///
/// It is not a `Multishot`, whose interior mutability would make every operation larger.
pub(in crate::op) struct SendRoom {
    /// The poll, while there is one.
    key: Option<Key>,
}

impl SendRoom {
    pub(in crate::op) fn awaited(socket: &SocketFd) -> Self {
        note_full(socket);
        Self { key: None }
    }

    /// Waits until there is room, or the connection is broken, so that the next send reports how.
    /// If the wait itself fails, so does the completion. Then it is over.
    pub(in crate::op) fn poll(
        &mut self,
        socket: &SocketFd,
        context: &Context<'_>,
    ) -> Poll<Completion> {
        let driver = socket.driver();
        loop {
            let Some(key) = self.key.or_else(|| start(socket)) else {
                return Poll::Ready(Completion::failed(ECANCELED));
            };
            self.key = Some(key);
            let report = ready!(driver.poll_next(key, context.waker()));
            // A poll that was cancelled because too many reports had piled up goes on like one that
            // ended.
            let Some(report) = report.filter(|report| !report.failed_with(ECANCELED)) else {
                // The poll has ended without room: the next one, which may be of the other kind,
                // goes on.
                self.key = None;
                continue;
            };
            if !tells_room(socket, report) {
                continue;
            }
            self.stop(socket);
            return Poll::Ready(report);
        }
    }

    /// Ends the wait, whatever it has come to.
    pub(in crate::op) fn stop(&mut self, socket: &SocketFd) {
        socket.is_full.set(false);
        if let Some(key) = self.key.take() {
            socket.driver().orphan_empty(key);
        }
    }
}

/// `None` if the driver is closed.
fn start(socket: &SocketFd) -> Option<Key> {
    // SAFETY: the SQE points to no memory.
    unsafe { socket.driver().submit_multishot(room_poll(socket), MAX_REPORTS) }
}

/// A wait for room begins.
pub(super) fn note_full(socket: &SocketFd) {
    socket.driver().counters().send_stalls.increment();
    socket.is_full.set(true);
    socket.was_full.set(true);
}

/// The poll that waits for room. It points to no memory.
pub(super) fn room_poll(socket: &SocketFd) -> Submission {
    let is_multishot = socket.polls_report_more.get();
    socket.submission(|fd| opcode::PollAdd::new(fd, WRITABLE).multi(is_multishot).build())
}

/// Whether a report of the poll tells that there is room, or that the connection is broken, or that
/// the wait has failed; if not, it told the peer's end.
pub(super) fn tells_room(socket: &SocketFd, report: Completion) -> bool {
    let is_other = report.result().is_ok_and(|events| events & (WRITABLE | BROKEN) == 0);
    if is_other {
        socket.polls_report_more.set(true);
    }
    !is_other
}
