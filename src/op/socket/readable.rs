//! Receiving into memory that the caller lends for one call: an inline receive, and the wait before
//! it.
//!
//! The kernel never has the caller's memory: the wait is a poll, which takes no bytes. So it loses
//! nothing when it is dropped.

use std::io;
use std::rc::Rc;

use super::stream::StreamSocket;
use crate::buf::CallerMemory;
use crate::error::describe;
use crate::op::operation::{Operation, Step};
use crate::sys::nonblocking::receive;
use crate::sys::poll::READABLE;
use crate::sys::{Completion, Submission, opcode};
use crate::task::coop;

/// Waits until there is something to receive.
pub(crate) struct Readable {
    socket: Rc<StreamSocket>,
}

impl Readable {
    pub(crate) fn new(socket: &Rc<StreamSocket>) -> Self {
        Self { socket: Rc::clone(socket) }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for Readable {
    type Output = io::Result<()>;

    fn submission(&mut self) -> Submission {
        self.socket.submission(|fd| opcode::PollAdd::new(fd, READABLE).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(match completion.result() {
            Ok(_) => {
                self.socket.has_more.set(true);
                Ok(())
            }
            Err(error) => Err(describe("poll", error)),
        })
    }

    fn settle(self, _completion: Completion) {}
}

impl StreamSocket {
    /// Whether the next bytes are best received straight into the caller's memory: they are many,
    /// and nothing comes before them.
    pub(crate) fn receives_into_caller(&self) -> bool {
        self.is_in_cache()
            && !self.has_unread()
            && !self.receives_multishot()
            && self.inline_fd().is_some()
    }

    /// Whether it is known that there is something to receive.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more.get()
    }

    /// Receives available bytes by an inline call, and returns how many: none at EOF. `None` if
    /// there is nothing, or if no inline call may be made now.
    pub(crate) fn receive_into(&self, memory: &mut CallerMemory<'_>) -> Option<io::Result<usize>> {
        let driver = self.driver();
        let fd = self.inline_fd().filter(|_| driver.may_run_inline() && coop::try_spend())?;
        let length = memory.len();
        // SAFETY: the memory has that many bytes, and is borrowed.
        let done = self.note_inline_recv(fd, unsafe { receive(fd, memory.start(), length) })?;
        driver.note_inline_call(done.result().unwrap_or(0) as usize);
        Some(self.received(done, "recv").inspect(|&count| {
            self.learn(count, length);
            // SAFETY: the call has written this count of bytes.
            unsafe { memory.set_filled(count) };
        }))
    }
}
