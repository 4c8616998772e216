//! Connecting a socket. Dropped in flight, the socket is closed.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::{Descriptor, Operation, Step};
use crate::driver::Driver;
use crate::sys::address::RawAddress;
use crate::sys::errno::ECANCELED;
use crate::sys::types::Timespec;
use crate::sys::{Completion, Submission, opcode, timespec};

/// Connects a socket and gives it back.
pub(crate) struct Connect {
    driver: Rc<Driver>,
    socket: Descriptor,
    target: Box<Target>,
}

/// What the kernel reads, where it does not move.
struct Target {
    address: RawAddress,
    limit: Option<Timespec>,
}

impl Connect {
    /// With a limit, the kernel gives up after it by itself; the outcome is `TimedOut` then.
    pub(crate) fn new(
        driver: &Rc<Driver>,
        socket: Descriptor,
        address: SocketAddr,
        limit: Option<Duration>,
    ) -> Self {
        let address = RawAddress::from(address);
        let target = Box::new(Target { address, limit: limit.map(timespec) });
        Self { driver: Rc::clone(driver), socket, target }
    }
}

// SAFETY: the entries point to the target's address and limit, which stand in a box and are not
// changed.
unsafe impl Operation for Connect {
    type Output = io::Result<Descriptor>;

    fn entry(&mut self) -> Submission {
        let address = &self.target.address;
        self.socket.entry(|fd| opcode::Connect::new(fd, address.as_ptr(), address.length()).build())
    }

    fn linked_timeout(&self) -> Option<Submission> {
        let limit = self.target.limit.as_ref()?;
        Some(opcode::LinkTimeout::new(limit).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        // A runtime that ends cancels too.
        let limited = self.target.limit.is_some() && !self.driver.is_closing();
        Step::Done(if limited && completion.failed_with(ECANCELED) {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            completion.result().map(|_| self.socket)
        })
    }

    fn settle(self, _completion: Completion) {}
}
