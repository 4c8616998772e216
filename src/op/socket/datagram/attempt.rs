//! Sending and receiving datagrams at once or not at all, with the caller's memory.
//!
//! An attempt fails with `WouldBlock` where the socket has no room or no datagram, and also where a
//! future would wait for another reason: dropped receives come first, and inline calls may be spent
//! for this turn or task. So attempts in a loop end, and other tasks are polled.

use std::io;
use std::os::fd::RawFd;
use std::task::{Context, Poll, Waker, ready};

use super::socket::{Arrived, DatagramSocket, Family};
use crate::error::Describe;
use crate::op::operation::sqe_length;
use crate::sys::address::RawAddress;
use crate::sys::bypass::datagram::{receive_datagram, send_datagram};
use crate::sys::control::SentControl;
use crate::sys::datagram::{Envelope, RecvHeader};
use crate::sys::errno::EAGAIN;
use crate::sys::socket::{MSG_PEEK, MSG_TRUNC};
use crate::sys::{Completion, Drained};
use crate::task::coop;

impl DatagramSocket {
    /// Sends one datagram, to an address or to the peer.
    pub(crate) fn try_send(
        &self,
        bytes: &[u8],
        address: Option<&RawAddress>,
        control: &SentControl,
    ) -> io::Result<usize> {
        if !self.are_writes_drained() {
            // It would overtake a dropped send that is still to be submitted.
            return Err(would_block());
        }
        if let Some(error) = self.take_error_of("sendmsg") {
            return Err(error);
        }
        let fd = self.fd_for_attempt()?;
        let mut header = self.headers.take_send();
        header.set(address, control, self.family() == Family::V4);
        let message = header.prepare((bytes.as_ptr(), sqe_length(bytes.len()) as usize));
        // SAFETY: the bytes are those of a slice.
        let done = unsafe { send_datagram(fd, message) };
        self.headers.keep_send(header);
        self.attempted(done, "sendmsg")
    }

    /// Receives one datagram into the memory, as much as fits; `peeks` if it stays in the socket.
    pub(crate) fn try_receive(&self, memory: &mut [u8], peeks: bool) -> io::Result<Envelope> {
        if !self.are_reads_drained() {
            return Err(would_block());
        }
        self.keep_what_multishot_has();
        if let Some(error) = self.take_error_of("recvmsg") {
            return Err(error);
        }
        if self.has_kept() {
            if !coop::try_spend() {
                return Err(would_block());
            }
            return Ok(self.copy_kept_to(memory, !peeks));
        }
        if self.multishot.is_started() {
            // It would receive what comes after.
            return Err(would_block());
        }
        let fd = self.fd_for_attempt()?;
        let mut header = self.headers.take_recv();
        let room = (memory.as_mut_ptr(), memory.len());
        let flags = MSG_TRUNC | if peeks { MSG_PEEK } else { 0 };
        // SAFETY: the memory is borrowed, and has as many bytes.
        let done = unsafe { self.receive_inline(fd, &mut header, room, flags) };
        let received = self.attempted(done, "recvmsg").map(|length| header.envelope(length));
        self.headers.keep_recv(header);
        received
    }

    /// Receives one datagram as [`try_receive`](Self::try_receive) does, and waits for it.
    pub(crate) fn poll_receive(
        &self,
        context: &Context<'_>,
        memory: &mut [u8],
        peeks: bool,
    ) -> Poll<io::Result<Envelope>> {
        ready!(self.poll_receivable(context));
        self.poll_attempt(
            context,
            || self.try_receive(memory, peeks),
            |context| self.poll_readable(context),
        )
    }

    /// Sends one datagram as [`try_send`](Self::try_send) does, and waits for room.
    pub(crate) fn poll_send(
        &self,
        context: &Context<'_>,
        bytes: &[u8],
        address: Option<&RawAddress>,
        control: &SentControl,
    ) -> Poll<io::Result<usize>> {
        self.poll_attempt(
            context,
            || self.try_send(bytes, address, control),
            |context| self.poll_writable(context),
        )
    }

    /// Waits until a receive may succeed.
    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        self.readable.poll(self, context)
    }

    /// Waits until a send may succeed.
    pub(crate) fn poll_writable(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        self.writable.poll(self, context)
    }

    /// Attempts again and again, and waits for readiness in between.
    pub(super) fn poll_attempt<T>(
        &self,
        context: &Context<'_>,
        mut attempt: impl FnMut() -> io::Result<T>,
        wait: impl Fn(&Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<T>> {
        loop {
            if !self.driver().may_run_inline() && !self.driver().is_closing() {
                // The turn's inline calls are spent: the next turn has more.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            // Spent here, where the task can be made to yield, for the attempt that follows.
            ready!(coop::poll_spend(context));
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(wait(context))?;
                }
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    /// Receives by an inline call; by another if that has met the reset of the connection.
    ///
    /// # Safety
    ///
    /// The memory is valid for writes of as many bytes.
    pub(super) unsafe fn receive_inline(
        &self,
        fd: i32,
        header: &mut RecvHeader,
        memory: (*mut u8, usize),
        flags: i32,
    ) -> Completion {
        // SAFETY: passed on by the caller.
        let receive = |header: &mut _| unsafe { receive_datagram(fd, header, memory, flags) };
        let done = receive(header);
        let done = if self.note_reset(done) { receive(header) } else { done };
        self.note_inline_recv(fd, done);
        done
    }

    /// The descriptor, if an inline call may be made now.
    pub(super) fn fd_for_attempt(&self) -> io::Result<i32> {
        let may = self.driver().may_run_inline();
        let fd = self.inline_fd().filter(|_| may && coop::try_spend());
        fd.ok_or_else(would_block)
    }

    /// Tells the ring of an inline receive, made just now on a descriptor, that has found nothing.
    pub(super) fn note_inline_recv(&self, fd: RawFd, done: Completion) {
        if done.failed_with(EAGAIN) {
            self.driver().note_drained(fd, Drained::Blocked);
        }
    }

    pub(super) fn attempted(&self, done: Completion, doing: &str) -> io::Result<usize> {
        if done.failed_with(EAGAIN) {
            return Err(would_block());
        }
        self.note_reset(done);
        let count = done.result().map(|count| count as usize);
        self.driver().note_inline_call(*count.as_ref().unwrap_or(&0));
        count.describe(doing)
    }

    fn copy_kept_to(&self, memory: &mut [u8], takes: bool) -> Envelope {
        let arrived = if takes { self.take_kept() } else { self.peek_kept() };
        let Arrived { bytes, mut envelope } = arrived.expect("the caller has looked");
        envelope.received = bytes.len().min(memory.len());
        memory[..envelope.received].copy_from_slice(&bytes[..envelope.received]);
        envelope
    }

    /// Keeps what the multishot receive has received. It continues.
    fn keep_what_multishot_has(&self) {
        // No future waits for it: the owner of the socket sees to that.
        let context = Context::from_waker(Waker::noop());
        while self.multishot.is_started() {
            match self.multishot.poll_next(self.driver(), &context) {
                Poll::Ready(Some(completion)) => self.keep_multishot(completion),
                Poll::Ready(None) => {}
                Poll::Pending => return,
            }
        }
    }
}

/// Without a text, which would take an allocation for each attempt in vain.
fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}
