//! Setting an option of a socket that stands in a place of the ring's table. Dropped in flight, the
//! socket is closed.

use std::io;

use super::{Descriptor, Operation, Step};
use crate::sys::{Completion, Submission, opcode};

/// Sets an option whose value is an integer, and gives the socket back.
pub(crate) struct SetOption {
    socket: Descriptor,
    level: i32,
    name: i32,
    value: Box<i32>,
}

impl SetOption {
    pub(crate) fn new(socket: Descriptor, level: i32, name: i32, value: i32) -> Self {
        Self { socket, level, name, value: Box::new(value) }
    }
}

// SAFETY: the entry points to the value, which stands in a box and is not changed.
unsafe impl Operation for SetOption {
    type Output = io::Result<Descriptor>;

    fn entry(&mut self) -> Submission {
        let (level, name) = (self.level.unsigned_abs(), self.name.unsigned_abs());
        let (value, length) = (std::ptr::from_ref(&*self.value), size_of::<i32>() as u32);
        self.socket
            .entry(|fd| opcode::SetSockOpt::new(fd, level, name, value.cast(), length).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(|_| self.socket))
    }

    fn settle(self, _completion: Completion) {}
}
