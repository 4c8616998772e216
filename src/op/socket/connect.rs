//! Connecting a socket of any family. Dropped in flight, the socket is closed.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use crate::driver::Driver;
use crate::op::descriptor::Descriptor;
use crate::op::operation::{Operation, Step};
use crate::sys::address::RawAddress;
use crate::sys::errno::ECANCELED;
use crate::sys::types::Timespec;
use crate::sys::{Completion, Submission, opcode, timespec};

/// Connects a socket and returns it.
pub(crate) struct Connect {
    driver: Rc<Driver>,
    socket: Descriptor,
    arguments: Box<Arguments>,
}

/// What the kernel reads, where it does not move.
struct Arguments {
    address: RawAddress,
    limit: Option<Timespec>,
}

impl Connect {
    /// With a limit, the kernel gives up when it has elapsed; the outcome is `TimedOut` then.
    pub(crate) fn new(
        driver: &Rc<Driver>,
        socket: Descriptor,
        address: impl Into<RawAddress>,
        limit: Option<Duration>,
    ) -> Self {
        if let Some(fd) = socket.fd_if_open() {
            driver.forget(fd.as_raw_fd());
        }
        let arguments = Arguments { address: address.into(), limit: limit.map(timespec) };
        Self { driver: Rc::clone(driver), socket, arguments: Box::new(arguments) }
    }
}

// SAFETY: the SQEs point to the address and the limit, which live in a box and are not changed. The
// kernel reads both at submission (`uring-sys-tests`, socket_address_read_at_submit and
// timespec_read_at_submit).
unsafe impl Operation for Connect {
    type Output = io::Result<Descriptor>;

    fn submission(&mut self) -> Submission {
        let (address, length) = (self.arguments.address.as_ptr(), self.arguments.address.length());
        self.socket.submission(|fd| opcode::Connect::new(fd, address, length).build())
    }

    fn linked_timeout(&self) -> Option<Submission> {
        let limit = self.arguments.limit.as_ref()?;
        Some(opcode::LinkTimeout::new(limit).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        // A runtime that ends cancels too.
        let is_limited = self.arguments.limit.is_some() && !self.driver.is_closing();
        Step::Done(if is_limited && completion.failed_with(ECANCELED) {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            completion.result().map(|_| self.socket)
        })
    }

    fn settle(self, _completion: Completion) {}
}
