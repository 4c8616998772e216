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
use crate::sys::{Completion, Submission, opcode, socket};

impl SocketFd {
    /// Sets an option whose value is an integer.
    pub(crate) fn set_option(
        &self,
        level: i32,
        name: i32,
        value: i32,
        doing: &str,
    ) -> io::Result<()> {
        socket::set_option(self.fd()?, level, name, value).describe(doing)
    }

    /// Reads an option whose value is an integer.
    pub(crate) fn option(&self, level: i32, name: i32, doing: &str) -> io::Result<i32> {
        socket::option(self.fd()?, level, name).describe(doing)
    }

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

/// Sets an option of a new socket, whose value is an integer, and returns the socket. Dropped in
/// flight, the socket is closed.
pub(crate) async fn set_option(
    driver: &Rc<Driver>,
    socket: Descriptor,
    level: i32,
    name: i32,
    value: i32,
) -> io::Result<Descriptor> {
    match socket.fd_if_open() {
        Some(fd) => socket::set_option(fd, level, name, value).map(|()| socket),
        None => Op::new(driver, SetOption::new(socket, level, name, value)).await,
    }
}

/// Sets an option by an SQE.
pub(in crate::op) struct SetOption {
    socket: Descriptor,
    level: i32,
    name: i32,
    value: Box<i32>,
}

impl SetOption {
    pub(in crate::op) fn new(socket: Descriptor, level: i32, name: i32, value: i32) -> Self {
        Self { socket, level, name, value: Box::new(value) }
    }
}

// SAFETY: the SQE points to the value, which lives in a box and is not changed.
unsafe impl Operation for SetOption {
    type Output = io::Result<Descriptor>;

    fn submission(&mut self) -> Submission {
        let (level, name) = (self.level.unsigned_abs(), self.name.unsigned_abs());
        let (value, length) = (std::ptr::from_ref(&*self.value), size_of::<i32>() as u32);
        self.socket
            .submission(|fd| opcode::SetSockOpt::new(fd, level, name, value.cast(), length).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(|_| self.socket))
    }

    fn settle(self, _completion: Completion) {}
}
