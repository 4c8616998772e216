//! Accepting connections, with one entry for many where the kernel can, else with one for each; or into the
//! ring's table (`accept_direct`), as long as there are places.
//!
//! Either way the accept in flight belongs to the listener and not to whoever awaits a connection,
//! so a connection that arrives when nobody awaits one is simply the next to be taken. Only when
//! the listener is gone is a late connection closed.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::{io, mem};

use super::accept_direct::{Arrival, DirectAccepts};
use super::multishot::Multishot;
use super::{Descriptor, Op, Operation, Step};
use crate::driver::{Driver, Orphan};
use crate::sys::errno::ECANCELED;
use crate::sys::socket::SOCK_CLOEXEC;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// The connection of a successful accept.
fn connection(completion: Completion) -> io::Result<OwnedFd> {
    // SAFETY: the result of an accept is a new descriptor that belongs to nobody else.
    completion.result().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// A connection.
pub(crate) struct Accepted {
    pub(crate) descriptor: Descriptor,
    /// If the kernel has told it.
    pub(crate) peer: Option<SocketAddr>,
}

impl From<OwnedFd> for Accepted {
    fn from(fd: OwnedFd) -> Self {
        Self { descriptor: fd.into(), peer: None }
    }
}

/// A listening socket and the accept that is in flight on it.
pub(crate) struct Acceptor {
    driver: Rc<Driver>,
    /// Accepts in flight keep it open, and its number taken, to their end.
    listener: Rc<OwnedFd>,
    in_flight: InFlight,
    bound: u32,
    /// Whether connections are to stand in the ring's table.
    is_direct: bool,
    stopping: bool,
}

enum InFlight {
    None,
    Direct(DirectAccepts),
    Single(Op<Accept>),
    Multishot(Multishot),
}

impl Acceptor {
    /// At most `bound` connections, and those of one more batch of the kernel's, are taken from the
    /// backlog before someone awaits them. If it `is_direct`, they stand in the ring's table, as far as
    /// there are places.
    pub(crate) fn new(driver: Rc<Driver>, fd: OwnedFd, bound: u32, is_direct: bool) -> Self {
        let (listener, in_flight) = (Rc::new(fd), InFlight::None);
        Self { driver, listener, in_flight, bound, is_direct, stopping: false }
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.listener
    }

    /// The next connection. Errors are the kernel's; polling again goes on.
    pub(crate) fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        loop {
            match &mut self.in_flight {
                InFlight::None => self.in_flight = self.start(context)?,
                InFlight::Direct(accepts) => {
                    let arrival = ready!(accepts.poll_next(context));
                    if arrival.as_ref().is_ok_and(|arrival| arrival.has_more) {
                        accepts.start_all(self.bound, &self.driver, &self.listener, context);
                    }
                    if accepts.is_empty() {
                        self.in_flight = InFlight::None;
                    }
                    return Poll::Ready(arrival.map(|arrival| arrival.accepted));
                }
                InFlight::Single(accept) => {
                    let accepted = ready!(Pin::new(accept).poll(context));
                    self.in_flight = InFlight::None;
                    if self.is_direct && accepted.is_ok() {
                        self.driver.note_place_miss();
                    }
                    return Poll::Ready(accepted.map(Accepted::from));
                }
                InFlight::Multishot(stream) => match ready!(stream.poll_next(context)) {
                    // Stopped for having brought enough; now there is room again.
                    Some(last) if last.failed_with(ECANCELED) => {}
                    Some(completion) => {
                        return Poll::Ready(connection(completion).map(Accepted::from));
                    }
                    None => self.in_flight = InFlight::None,
                },
            }
        }
    }

    fn start(&self, context: &mut Context<'_>) -> io::Result<InFlight> {
        let mut accepts = DirectAccepts::default();
        if self.is_direct && accepts.start(&self.driver, &self.listener, context) {
            return Ok(InFlight::Direct(accepts));
        }
        let accept = Accept { listener: Rc::clone(&self.listener) };
        // Where the table was full, the next connection may find a place.
        if self.is_direct || !self.driver.capabilities().multishot_accept {
            return Ok(InFlight::Single(Op::new(&self.driver, accept)));
        }
        let fd = Fd(self.listener.as_raw_fd());
        let entry = opcode::AcceptMulti::new(fd).flags(SOCK_CLOEXEC).build();
        // SAFETY: the entry points to no memory.
        let stream = unsafe { Multishot::start(&self.driver, entry, self.bound, Box::new(accept)) };
        let closed = || io::Error::from_raw_os_error(ECANCELED);
        stream.map(InFlight::Multishot).ok_or_else(closed)
    }

    /// Ends the accept in flight and gives the connections that it has brought and still brings;
    /// `None` when the kernel has let go of the listening socket.
    pub(crate) fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Option<Accepted>> {
        if !mem::replace(&mut self.stopping, true) {
            match &self.in_flight {
                InFlight::None => {}
                InFlight::Direct(accepts) => accepts.cancel(),
                InFlight::Single(accept) => accept.cancel(),
                InFlight::Multishot(stream) => stream.cancel(),
            }
        }
        loop {
            let last = match &mut self.in_flight {
                InFlight::None => return Poll::Ready(None),
                InFlight::Direct(accepts) if accepts.is_empty() => {
                    self.in_flight = InFlight::None;
                    None
                }
                InFlight::Direct(accepts) => {
                    let last = ready!(accepts.poll_next(context));
                    last.ok().map(|Arrival { accepted, .. }| accepted)
                }
                InFlight::Single(accept) => {
                    let last = ready!(Pin::new(accept).poll(context)).ok();
                    self.in_flight = InFlight::None;
                    last.map(Accepted::from)
                }
                InFlight::Multishot(stream) => match ready!(stream.poll_next(context)) {
                    Some(completion) => connection(completion).ok().map(Accepted::from),
                    None => {
                        self.in_flight = InFlight::None;
                        None
                    }
                },
            };
            if last.is_some() {
                return Poll::Ready(last);
            }
        }
    }
}

/// One accept in flight, of one connection or of many.
struct Accept {
    listener: Rc<OwnedFd>,
}

// SAFETY: the entry points to no memory.
unsafe impl Operation for Accept {
    type Output = io::Result<OwnedFd>;

    fn entry(&mut self) -> Submission {
        let none = std::ptr::null_mut();
        let fd = Fd(self.listener.as_raw_fd());
        opcode::Accept::new(fd, none, none.cast()).flags(SOCK_CLOEXEC).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(connection(completion))
    }

    fn settle(self, completion: Completion) {
        drop(connection(completion));
    }
}

impl Orphan for Accept {
    fn settle(&mut self, completion: Completion) {
        drop(connection(completion));
    }
}
