//! Options of a socket: by system calls, which never wait, or by an SQE for a direct descriptor,
//! which then need not be installed.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::fd::SocketFd;
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::descriptor::Descriptor;
use crate::op::future::Op;
use crate::op::operation::{Operation, Step};
use crate::sys::option::{self, OptionValue};
use crate::sys::{Completion, Submission, opcode, socket};

impl SocketFd {
    /// Sets how long a close waits for unsent bytes; `None`: it does not wait, and the kernel sends
    /// them afterwards.
    pub(crate) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        let fd = self.fd()?;
        socket::set_linger(fd, linger).describe("set linger")?;
        self.set_lingers(socket::lingers(fd));
        Ok(())
    }

    /// How long a close waits for unsent bytes.
    pub(crate) fn linger(&self) -> io::Result<Option<Duration>> {
        socket::linger(self.fd()?).describe("get linger")
    }
}

/// Sets an option of a new socket, and returns the socket. Dropped in
/// flight, the socket is closed.
pub(crate) async fn set_option(
    driver: &Rc<Driver>,
    socket: Descriptor,
    level: i32,
    name: i32,
    value: OptionValue,
) -> io::Result<Descriptor> {
    match socket.fd_if_open() {
        Some(fd) => option::set(fd, level, name, &value).map(|()| socket),
        None => Op::new(driver, SetOption::new(socket, level, name, value)).await,
    }
}

/// Sets an option by an SQE.
pub(in crate::op) struct SetOption {
    socket: Descriptor,
    level: i32,
    name: i32,
    value: Box<OptionValue>,
}

impl SetOption {
    pub(in crate::op) fn new(
        socket: Descriptor,
        level: i32,
        name: i32,
        value: OptionValue,
    ) -> Self {
        Self { socket, level, name, value: Box::new(value) }
    }
}

// SAFETY: the SQE points to the value, which lives in a box and is not changed.
unsafe impl Operation for SetOption {
    type Output = io::Result<Descriptor>;

    fn submission(&mut self) -> Submission {
        let (level, name) = (self.level.unsigned_abs(), self.name.unsigned_abs());
        let (value, length) = (self.value.as_ptr(), self.value.length());
        self.socket
            .submission(|fd| opcode::SetSockOpt::new(fd, level, name, value.cast(), length).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(|_| self.socket))
    }

    fn settle(self, _completion: Completion) {}
}
