//! Writes to an outbox: what is copied to be sent at the end of the turn, and what is sent at once.
//!
//! A large write is sent at once, by an inline call, from the caller's memory, which the kernel
//! never has beyond the call; what is held goes before it in the same call. Where there is no room
//! the writer waits, and nothing is copied. It is staged like a small one if no inline call may be
//! made: because the turn has used its budget for them up, or there is no descriptor to make it
//! with.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::outbox::{Ending, Goal, Outbox, Stage, closed};
use crate::error::describe;
use crate::op::check_loop::check_loop;
use crate::sys::Completion;
use crate::sys::errno::{EAGAIN, EINTR};
use crate::sys::nonblocking::{send, send_message};
use crate::sys::segments::MAX_SEGMENTS;
use crate::task::coop;

/// From how many bytes on a write is sent at once.
const LARGE: usize = 8 * 1024;

impl Outbox {
    /// Writes as much of the parts, one after the other, as there is room for; at least one byte.
    pub(crate) fn poll_write(
        self: &Rc<Self>,
        context: &Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(coop::poll_spend(context));
        self.expect_writable()?;
        let length = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        if self.held() == 0 {
            // Of writes that were dropped before there was an outbox.
            ready!(self.socket.poll_writes_drained(context));
        }
        if length >= LARGE {
            if let Some(fd) = self.socket.inline_fd() {
                ready!(self.poll_goal(Goal::Unused, context));
                self.failure()?;
                if self.socket.driver().may_run_inline() {
                    return self.poll_send(context, fd, parts);
                }
            }
        }
        let mut room = self.limit.get().saturating_sub(self.held());
        if room == 0 {
            ready!(self.poll_goal(Goal::Room, context));
            self.failure()?;
            room = self.limit.get().saturating_sub(self.held());
        }
        let count = length.min(room);
        for part in parts {
            let taken = part.len().min(room);
            if taken > 0 {
                self.put(&part[..taken]);
            }
            room -= taken;
        }
        Poll::Ready(Ok(count))
    }

    /// Sends what is held, and then of the parts, by an inline call.
    fn poll_send(
        self: &Rc<Self>,
        context: &Context<'_>,
        fd: RawFd,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = if self.lacks_room.get() { Ok(0) } else { self.send_now(fd, parts) };
        match written {
            Ok(0) => {
                // The driver calls back when there is room, and this is polled again.
                self.wait_for_room();
                ready!(self.poll_goal(Goal::Unused, context));
                // The driver is closed.
                self.failure()?;
                Poll::Ready(Err(closed("send")))
            }
            Ok(count) => Poll::Ready(Ok(count)),
            Err(error) => {
                self.fail(error);
                self.failure()?;
                unreachable!("the outbox has failed")
            }
        }
    }

    /// Makes the call, and returns how many bytes of the parts it has sent.
    fn send_now(&self, fd: RawFd, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let (done, length) = loop {
            let (done, length) = self.call(fd, parts);
            self.socket.driver().note_inline_call(done.result().unwrap_or(0) as usize);
            if !done.failed_with(EINTR) {
                break (done, length);
            }
        };
        if done.failed_with(EAGAIN) {
            return Ok(0);
        }
        let count = self.socket.sent(done, "send")?;
        self.lacks_room.set(count < length);
        if self.held() == 0 {
            return Ok(count);
        }
        let beyond = self.note_sent_of_all(count);
        self.note_progress();
        Ok(beyond)
    }

    /// Returns the outcome, and how many bytes the call was to send.
    fn call(&self, fd: RawFd, parts: &[IoSlice<'_>]) -> (Completion, usize) {
        let (sending, staged) = (self.sending.borrow(), self.staged.borrow());
        let held = [&sending.bytes[self.sent.get()..], &staged.bytes[..]];
        if let ([part], [[], []]) = (parts, held) {
            // SAFETY: the bytes are those of the slice.
            return (unsafe { send(fd, part.as_ptr(), part.len()) }, part.len());
        }
        let mut message = self.socket.message();
        let all = held.into_iter().chain(parts.iter().map(|part| &**part));
        let all = all.filter(|part| !part.is_empty()).take(MAX_SEGMENTS);
        let length = message.set_segments(all.map(|part| (part.as_ptr(), part.len())));
        // SAFETY: the segments are slices, which are borrowed until the call has returned.
        let done = unsafe { send_message(fd, &message) };
        self.socket.keep_message(message);
        (done, length)
    }

    /// Returns the failure, if there is one. Otherwise does nothing: what is held is sent at the
    /// end of the turn.
    pub(crate) fn poll_flush(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(coop::poll_spend(context));
        Poll::Ready(self.expect_running())
    }

    /// Waits until the kernel has taken all that was written.
    pub(crate) fn poll_sent(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(coop::poll_spend(context));
        self.expect_running()?;
        ready!(self.poll_goal(Goal::Sent, context));
        Poll::Ready(self.failure())
    }

    /// Accepts no more, and shuts the writing direction down once all is sent.
    pub(crate) fn poll_shutdown(self: &Rc<Self>, context: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(coop::poll_spend(context));
        if self.ending.get() == Ending::ShutDown {
            return Poll::Ready(self.failure());
        }
        self.expect_running()?;
        self.ending.set(Ending::Asked);
        if self.stage.get() == Stage::Nothing && self.held() > 0 {
            // Nothing more will come that could be sent with it.
            self.send_held(true);
        }
        ready!(self.poll_goal(Goal::Sent, context));
        self.failure()?;
        ready!(self.socket.poll_writes_drained(context));
        self.ending.set(Ending::ShutDown);
        Poll::Ready(match self.socket.shutdown(Shutdown::Write) {
            // The connection is gone: nothing is left to be shut down.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            outcome => outcome,
        })
    }

    /// Checks that this is the runtime's loop, which submits what is staged, and that it has not
    /// ended.
    fn expect_running(&self) -> io::Result<()> {
        check_loop(self.socket.driver());
        self.failure()?;
        if self.socket.driver().is_closing() { Err(closed("send")) } else { Ok(()) }
    }

    fn expect_writable(&self) -> io::Result<()> {
        self.expect_running()?;
        if self.ending.get() == Ending::Open {
            return Ok(());
        }
        let text = "the writing direction has been shut down";
        Err(describe("send", io::Error::new(io::ErrorKind::BrokenPipe, text)))
    }
}
