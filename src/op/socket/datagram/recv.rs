//! Receiving a datagram into an owned buffer, or looking at it.
//!
//! Dropped in flight, a datagram that was received is kept with its sender for the next receive,
//! and so is an error, which the kernel would not report again.

use std::rc::Rc;
use std::slice;

use super::socket::{Arrived, DatagramSocket};
use crate::buf::{BufResult, IoBufMut, Lease};
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::bypass::datagram::receive_datagram;
use crate::sys::datagram::{Envelope, RecvHeader};
use crate::sys::errno::EAGAIN;
use crate::sys::socket::{MSG_PEEK, MSG_TRUNC};
use crate::sys::{Completion, Submission, opcode};

/// Receives one datagram. Nothing dropped receives have left comes before it.
pub(crate) struct RecvDatagram<B> {
    socket: Rc<DatagramSocket>,
    buffer: B,
    /// While a step is in the kernel.
    header: Option<Box<RecvHeader>>,
    peeks: bool,
}

impl<B: IoBufMut> RecvDatagram<B> {
    /// `peeks` if the datagram stays in the socket.
    pub(crate) fn new(socket: &Rc<DatagramSocket>, buffer: B, peeks: bool) -> Self {
        Self { socket: Rc::clone(socket), buffer, header: None, peeks }
    }

    fn memory(&mut self) -> (*mut u8, usize) {
        let length = sqe_length(self.buffer.bytes_total()) as usize;
        (self.buffer.stable_mut_ptr(), length)
    }

    /// The kernel tells the datagram's whole length, so that a cut one is known.
    fn flags(&self) -> i32 {
        MSG_TRUNC | if self.peeks { MSG_PEEK } else { 0 }
    }

    fn doing(&self) -> &'static str {
        if self.peeks { "peek" } else { "recv" }
    }

    /// What a completed step has received.
    fn received(&mut self, completion: Completion) -> Option<Envelope> {
        let header = self.header.take()?;
        let length = completion.result().ok().map(|length| length as usize);
        let envelope = length.map(|length| header.envelope(length));
        self.socket.headers.keep_recv(header);
        envelope
    }
}

// SAFETY: the SQE points to the header, which lives in a box, and that to the buffer's memory,
// which does not move with it (`IoBufMut`). Nothing here touches either before the completion, and
// the kernel does not write to them after that (`uring-sys-tests`, freed_buffer_never_written and
// recvmsg_header_written_at_completion).
unsafe impl<B: IoBufMut> Operation for RecvDatagram<B> {
    type Output = BufResult<Envelope, B>;

    fn submission(&mut self) -> Submission {
        let (start, length) = self.memory();
        let flags = self.flags() as u32;
        let header = self.header.insert(self.socket.headers.take_recv());
        let message = header.prepare(start, length);
        self.socket.submission(|fd| opcode::RecvMsg::new(fd, message).flags(flags).build())
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        self.socket.has_error() || self.socket.inline().is_due()
    }

    fn try_inline(&mut self) -> Option<Completion> {
        if let Some(errno) = self.socket.take_kept_error() {
            return Some(Completion::failed(errno));
        }
        let (fd, memory, flags) = (self.socket.inline_fd()?, self.memory(), self.flags());
        let mut header = self.socket.headers.take_recv();
        // SAFETY: the memory is the buffer's, which has as many bytes.
        let done = unsafe { receive_datagram(fd, &mut header, memory, flags) };
        self.socket.note_inline_recv(fd, done);
        self.header = Some(header);
        let found = !done.failed_with(EAGAIN);
        self.socket.inline().note(found);
        found.then_some(done)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let doing = self.doing();
        let received = self.received(completion);
        if self.socket.note_reset(completion) {
            return Step::Again(self);
        }
        let result = completion.result().describe(doing).map(|_| {
            let envelope = received.expect("a step has a header");
            // SAFETY: the kernel has written as many bytes to the start of the buffer.
            unsafe { self.buffer.set_init(envelope.received) };
            envelope
        });
        Step::Done(BufResult(result, self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::read(&self.socket))
    }

    /// The buffer is not told of the bytes: that is foreign code, and a datagram must not be lost
    /// by its panic.
    fn settle(mut self, completion: Completion) {
        self.socket.keep_recv_error(completion);
        let Some(envelope) = self.received(completion) else { return };
        if !self.peeks && !self.socket.is_end(&envelope) {
            let (start, _) = self.memory();
            // SAFETY: the kernel has written as many bytes there.
            let bytes = unsafe { slice::from_raw_parts(start, envelope.received) };
            self.socket.keep(Arrived { bytes: Lease::from(bytes.to_vec()), envelope });
        }
    }
}
