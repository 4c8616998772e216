//! Looking at received bytes without taking them. Dropped in flight it takes no bytes; an error,
//! which the kernel would not report again, goes to the socket.

use std::rc::Rc;

use super::ending::Leaving;
use super::recv::keep_error;
use super::{Operation, Socket, Step, entry_length};
use crate::buf::{BufResult, IoBufMut};
use crate::sys::socket::MSG_PEEK;
use crate::sys::{Completion, Submission, opcode};

/// Copies what is there, at least one byte, and leaves it unread; nothing at the end.
pub(crate) struct Peek<B> {
    socket: Rc<Socket>,
    buffer: B,
}

impl<B: IoBufMut> Peek<B> {
    pub(crate) fn new(socket: &Rc<Socket>, buffer: B) -> Self {
        Self { socket: Rc::clone(socket), buffer }
    }
}

// SAFETY: as for `Recv`.
unsafe impl<B: IoBufMut> Operation for Peek<B> {
    type Output = BufResult<usize, B>;

    fn entry(&mut self) -> Submission {
        let length = entry_length(self.buffer.bytes_total());
        let target = self.buffer.stable_mut_ptr();
        self.socket.entry(|fd| opcode::Recv::new(fd, target, length).flags(MSG_PEEK).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let result = self.socket.received(completion, "peek");
        if let Ok(count) = result {
            // SAFETY: the kernel has written so many bytes.
            unsafe { self.buffer.set_init(count) };
        }
        Step::Done(BufResult(result, self.buffer))
    }

    fn leaving(&self) -> Option<Leaving> {
        Some(Leaving::reading(&self.socket))
    }

    fn settle(self, completion: Completion) {
        keep_error(&self.socket, completion);
    }
}
