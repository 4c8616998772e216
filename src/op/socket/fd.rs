//! A socket of any kind and family: what all its operations share.
//!
//! Operations hold the socket while they are in flight, so its descriptor is closed, and its number
//! used again, only after the last one has completed.

use std::cell::{Cell, OnceCell};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::close::Closing;
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::check_loop::check_loop;
use crate::op::descriptor::Descriptor;
use crate::op::drain::{DrainGates, Drains};
use crate::sys::address::{Address, FromAddress};
use crate::sys::bypass::Bypass;
use crate::sys::types::Fd;
use crate::sys::{Submission, socket};

/// A socket. Dropped, it is closed. (`pub` in a private module, as `StreamSocket` derefs to it.)
pub struct SocketFd {
    driver: Rc<Driver>,
    /// `None` only while it is dropped.
    descriptor: Option<Descriptor>,
    lingers: Cell<bool>,
    /// Whether this end has closed or aborted the connection.
    is_over: Cell<bool>,
    /// The peer's address, once the kernel has told it.
    peer: OnceCell<Address>,
    /// Whether a poll for room to send also reports the peer's end, and so completes at once.
    pub(super) polls_report_more: Cell<bool>,
    /// Whether a send waits for room, and whether one has since that was last asked.
    pub(super) is_full: Cell<bool>,
    pub(super) was_full: Cell<bool>,
    gates: DrainGates,
}

impl SocketFd {
    pub(crate) fn new(driver: Rc<Driver>, descriptor: impl Into<Descriptor>) -> Self {
        let descriptor = descriptor.into();
        if let Some(fd) = descriptor.fd_if_open() {
            driver.adopt(fd.as_raw_fd());
        }
        Self {
            driver,
            descriptor: Some(descriptor),
            lingers: Cell::new(false),
            is_over: Cell::new(false),
            peer: OnceCell::new(),
            polls_report_more: Cell::new(false),
            is_full: Cell::new(false),
            was_full: Cell::new(false),
            gates: DrainGates::default(),
        }
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        self.descriptor.as_ref().expect("the descriptor is there until the socket is dropped")
    }

    /// The descriptor of the process, for system calls; see [`Descriptor::fd`].
    pub(crate) fn fd(&self) -> io::Result<&OwnedFd> {
        self.fd_for(Bypass::Query)
    }

    /// The descriptor of the process, for system calls of a kind.
    ///
    /// # Errors
    ///
    /// As for [`Descriptor::fd`], and where the ring does not allow such calls.
    pub(in crate::op) fn fd_for(&self, bypass: Bypass) -> io::Result<&OwnedFd> {
        if !self.driver.allows(bypass) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.descriptor().fd()
    }

    /// Makes an SQE that uses the socket.
    pub(in crate::op) fn submission(&self, build: impl FnOnce(Fd) -> Submission) -> Submission {
        self.descriptor().submission(build)
    }

    /// The descriptor for inline calls. A direct descriptor is installed, as it will be used again;
    /// `None` if it cannot be.
    pub(in crate::op) fn inline_fd(&self) -> Option<RawFd> {
        self.fd_for(Bypass::Inline).ok().map(AsRawFd::as_raw_fd)
    }

    /// Remembers that this end has closed or aborted the connection.
    pub(super) fn note_over(&self) {
        self.set_over(true);
    }

    pub(super) fn set_over(&self, is_over: bool) {
        self.is_over.set(is_over);
    }

    /// Whether this end has closed or aborted the connection, so that readers see EOF.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// This end's address, in the form of its family: `std::net::SocketAddr` or that of Unix
    /// sockets.
    pub(crate) fn local_addr<A: FromAddress>(&self) -> io::Result<A> {
        A::try_from(socket::local_address(self.fd()?).describe("getsockname")?)
    }

    /// The peer's address, even when the peer is gone.
    pub(crate) fn peer_addr<A: FromAddress>(&self) -> io::Result<A> {
        if let Some(peer) = self.peer.get() {
            return A::try_from(peer.clone());
        }
        let peer = socket::peer_address(self.fd()?).describe("getpeername")?;
        self.set_peer_addr(peer.clone());
        A::try_from(peer)
    }

    /// Whether the peer's address is known, and that of a Unix socket.
    pub(super) fn has_unix_peer(&self) -> bool {
        matches!(self.peer.get(), Some(Address::Unix(_)))
    }

    /// Remembers the peer's address, which an accept has received.
    pub(crate) fn set_peer_addr(&self, peer: Address) {
        let _ = self.peer.set(peer);
    }

    /// This end's address and the peer's, as far as they are known without installing a direct
    /// descriptor.
    pub(crate) fn known_addresses<A: FromAddress>(&self) -> (Option<A>, Option<A>) {
        let Some(fd) = self.descriptor().fd_if_open() else { return (None, None) };
        let of = |address: io::Result<Address>| address.and_then(A::try_from).ok();
        (of(socket::local_address(fd)), of(socket::peer_address(fd)))
    }

    /// The peer's address, if it is known.
    pub(super) fn peer_if_known(&self) -> Option<&Address> {
        self.peer.get()
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.get()
    }

    /// Sets whether a close may take time, because it waits for unsent bytes.
    pub(crate) fn set_lingers(&self, lingers: bool) {
        self.lingers.set(lingers);
    }

    /// Whether no orphaned read is in the kernel.
    pub(super) fn are_reads_drained(&self) -> bool {
        self.gates.reads.is_drained()
    }

    /// Whether no orphaned write is in the kernel.
    pub(super) fn are_writes_drained(&self) -> bool {
        self.gates.writes.is_drained()
    }

    /// Waits until no orphaned read is in the kernel.
    pub(crate) fn poll_reads_drained(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        self.gates.reads.poll_drained(context)
    }

    /// Waits until no orphaned write is in the kernel.
    pub(crate) fn poll_writes_drained(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        self.gates.writes.poll_drained(context)
    }

    /// Takes out what closes the socket: it is not closed before that is dropped.
    pub(super) fn take_closing(&mut self) -> Option<Closing> {
        let descriptor = self.descriptor.take()?;
        Some(Closing::new(&self.driver, descriptor, self.lingers.get()))
    }

    /// Takes the descriptor of the process out.
    pub(super) fn take_fd(&mut self) -> io::Result<OwnedFd> {
        let fd = self.descriptor.take().expect("the descriptor is there").into_fd()?;
        self.driver.forget(fd.as_raw_fd());
        Ok(fd)
    }
}

impl Drains for SocketFd {
    fn gates(&self) -> &DrainGates {
        &self.gates
    }
}

impl Drop for SocketFd {
    fn drop(&mut self) {
        drop(self.take_closing());
    }
}
