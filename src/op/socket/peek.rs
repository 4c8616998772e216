//! Looking at received bytes without taking them. Dropped in flight it takes no bytes; an error,
//! which the kernel would not report again, goes to the socket.

use std::rc::Rc;

use super::stream::StreamSocket;
use crate::buf::{BufResult, IoBufMut};
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::socket::MSG_PEEK;
use crate::sys::{Completion, Submission, opcode};

/// Copies available data, at least one byte, and leaves it unread; nothing at EOF.
pub(crate) struct Peek<B> {
    socket: Rc<StreamSocket>,
    buffer: B,
}

impl<B: IoBufMut> Peek<B> {
    pub(crate) fn new(socket: &Rc<StreamSocket>, buffer: B) -> Self {
        Self { socket: Rc::clone(socket), buffer }
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBufMut`), and
// nothing here touches it before the completion. The kernel does not write to it after that
// (`uring-sys-tests`, freed_buffer_never_written).
unsafe impl<B: IoBufMut> Operation for Peek<B> {
    type Output = BufResult<usize, B>;

    fn submission(&mut self) -> Submission {
        let length = sqe_length(self.buffer.bytes_total());
        let start = self.buffer.stable_mut_ptr();
        self.socket.submission(|fd| opcode::Recv::new(fd, start, length).flags(MSG_PEEK).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let result = self.socket.received(completion, "peek");
        if let Ok(count) = result {
            // SAFETY: the kernel has written `count` bytes to the start of the buffer.
            unsafe { self.buffer.set_init(count) };
        }
        Step::Done(BufResult(result, self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::read(&self.socket))
    }

    fn settle(self, completion: Completion) {
        self.socket.put_back_error(completion);
    }
}
