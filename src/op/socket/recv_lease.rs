//! Receiving once into a runtime-owned buffer, in one of the ways of `next_recv`.
//!
//! Dropped in flight, what was received goes to the socket's unread bytes, in order, and the buffer
//! is returned.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::{io, mem, ptr};

use super::next_recv::{NextRecv, RecvSubmission};
use super::recv_buffer::RecvBuffer;
use super::stream::StreamSocket;
use crate::buf::Lease;
use crate::driver::Driver;
use crate::error::describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::errno::ENOBUFS;
use crate::sys::poll::READABLE;
use crate::sys::{BUFFER_GROUP, Completion, Submission, SubmissionFlags, opcode};

/// Receives available data: nothing at EOF.
pub(crate) struct RecvLease {
    socket: Rc<StreamSocket>,
    /// What an inline call has received into, or the SQE in flight receives into.
    buffer: Option<RecvBuffer>,
    /// Whether the SQE in flight polls for readiness, and receives nothing.
    is_poll: bool,
    /// Whether the kernel has found no provided buffer.
    ran_out: bool,
}

impl RecvLease {
    pub(crate) fn new(socket: &Rc<StreamSocket>) -> Self {
        Self { socket: Rc::clone(socket), buffer: None, is_poll: false, ran_out: false }
    }
}

// SAFETY: the SQE points to no memory, since the kernel selects one of the buffers that the driver
// has provided, which nothing touches until it is returned (`uring-sys-tests`,
// buffer_id_exclusive_until_returned); or it points to the memory of `buffer`, which does not move.
unsafe impl Operation for RecvLease {
    type Output = io::Result<Lease>;

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        ready!(self.socket.poll_readable(context));
        match self.socket.next_recv() {
            NextRecv::Unread => {
                let error = self.socket.take_unread_error();
                let unread = || Ok(self.socket.take_all_unread().into());
                Poll::Ready(Some(error.map_or_else(unread, Err)))
            }
            NextRecv::Multishot => self.socket.poll_multishot(context),
            NextRecv::Inline | NextRecv::Submit => Poll::Ready(None),
        }
    }

    fn submission(&mut self) -> Submission {
        let socket = &self.socket;
        let submission = socket.recv_submission(self.ran_out);
        self.is_poll = submission == RecvSubmission::Poll;
        match submission {
            RecvSubmission::Poll => {
                socket.submission(|fd| opcode::PollAdd::new(fd, READABLE).build())
            }
            RecvSubmission::Provided => {
                let select = |fd| opcode::Recv::new(fd, ptr::null_mut(), 0).buf_group(BUFFER_GROUP);
                socket.submission(|fd| select(fd).build().flags(SubmissionFlags::BUFFER_SELECT))
            }
            RecvSubmission::LargeBuffer => {
                let (start, length) = self.buffer.insert(RecvBuffer::new(socket)).memory();
                let length = sqe_length(length);
                socket.submission(|fd| opcode::Recv::new(fd, start, length).build())
            }
        }
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        self.socket.has_more.get()
    }

    fn try_inline(&mut self) -> Option<Completion> {
        let mut buffer = RecvBuffer::new(&self.socket);
        let done = buffer.receive(&self.socket);
        self.buffer = Some(buffer).filter(|_| done.is_some());
        done
    }

    fn interrupted(&mut self, completion: Completion) {
        self.buffer = None;
        // The kernel may have selected a buffer all the same.
        drop(self.socket.claim_lease(completion));
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        // Claimed even if the receive failed: the kernel may have selected a buffer all the same.
        let lease = self.socket.claim_lease(completion);
        if let Some(buffer) = self.buffer.take() {
            self.socket.has_more.set(completion.has_more());
            return Step::Done(buffer.lend(&self.socket, completion));
        }
        if mem::take(&mut self.is_poll) {
            return match completion.result() {
                Ok(_) => {
                    self.socket.has_more.set(true);
                    Step::Again(self)
                }
                Err(error) => Step::Done(Err(describe("poll", error))),
            };
        }
        self.socket.has_more.set(completion.has_more());
        if completion.failed_with(ENOBUFS) {
            self.socket.driver().buffers().grow_provided();
            self.ran_out = true;
            return Step::Again(self);
        }
        Step::Done(self.socket.received(completion, "recv").map(|count| {
            self.socket.learn(count, self.socket.driver().buffers().provided_size());
            lease
        }))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::read(&self.socket))
    }

    fn settle(self, completion: Completion) {
        match self.buffer {
            _ if self.is_poll => {}
            None => self.socket.put_back_provided(completion),
            Some(buffer) => {
                let lease = buffer.lend(&self.socket, completion).unwrap_or_default();
                self.socket.put_back(&lease, completion);
            }
        }
    }
}
