//! Shutting a connection's directions down, and aborting it.
//!
//! Both are inline system calls, which never wait. They need a descriptor of the process; if a
//! direct descriptor cannot be installed, SQEs do the same. Those complete in a moment, and their
//! outcome is not reported.

use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use super::fd::SocketFd;
use crate::driver::{FileSlot, Orphan, SlotKeeper};
use crate::error::Describe;
use crate::sys::address::RawAddress;
use crate::sys::bypass::Bypass;
use crate::sys::errno::EINVAL;
use crate::sys::{Completion, Submission, opcode, socket};

impl SocketFd {
    /// Shuts one direction down, or both.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.fd_for(Bypass::Shutdown) {
            Ok(fd) => socket::shutdown(fd, how).describe("shutdown"),
            Err(error) if self.driver().is_closing() => Err(error),
            Err(_) => {
                let how = socket::how(how);
                let submission = self.submission(|fd| opcode::Shutdown::new(fd, how).build());
                let orphan = Box::new(Unreported { _slot: self.keep_slot() });
                // SAFETY: the SQE points to no memory.
                unsafe { self.driver().submit_detached(submission, orphan) };
                Ok(())
            }
        }
    }

    /// [`shutdown`](Self::shutdown) for a caller who cannot report an error. It fails if the
    /// connection is gone, and then the peer knows, if the runtime has ended, or if a security
    /// module refuses: then the peer learns it from the close.
    pub(crate) fn end(&self, how: Shutdown) {
        let _ = self.shutdown(how);
    }

    /// Ends both directions in order: the peer receives what was sent, and EOF behind it.
    pub(crate) fn end_both(&self) {
        self.note_over();
        self.end(Shutdown::Both);
    }

    /// Breaks the connection at once, even while operations are in flight and others hold the
    /// socket: the peer finds it reset. After a shutdown it would see EOF, as it does on a Unix
    /// socket, which has no reset.
    pub(crate) fn abort(&self) {
        self.note_over();
        self.reset();
    }

    /// [`abort`](Self::abort) without its notice to readers that this end wanted it.
    pub(super) fn reset(&self) {
        match self.fd_for(Bypass::Shutdown).map(socket::disconnect) {
            Ok(Ok(())) => {}
            // A Unix socket cannot be disconnected.
            Ok(Err(error)) if error.raw_os_error() == Some(EINVAL) => self.end(Shutdown::Both),
            Err(_) if self.has_unix_peer() => self.end(Shutdown::Both),
            Ok(Err(_)) => {
                // Linux 6.4 to 6.6 refuse while a kernel worker waits on the socket. Then the close
                // sends the reset, and readers see EOF now. An error means that the connection is
                // gone.
                let _ = self.set_linger(Some(Duration::ZERO));
                self.end(Shutdown::Read);
            }
            Err(_) => self.abort_by_submission(),
        }
    }

    fn abort_by_submission(&self) {
        // The address of no family: to connect to it is to disconnect.
        let no_peer = Box::new(RawAddress::empty());
        let (address, length) = (no_peer.as_ptr(), no_peer.length());
        let submission: Submission =
            self.submission(|fd| opcode::Connect::new(fd, address, length).build());
        let orphan = Box::new(Aborting { _no_peer: no_peer, _slot: self.keep_slot() });
        // SAFETY: the SQE points to the address, which lives in a box that the orphan keeps.
        unsafe { self.driver().submit_detached(submission, orphan) };
    }

    /// Keeps the file slot for an SQE, which would find another connection in it, were the socket
    /// dropped meanwhile.
    fn keep_slot(&self) -> Option<Rc<SlotKeeper>> {
        self.descriptor().slot().map(FileSlot::keep)
    }
}

/// An operation whose outcome is not reported.
struct Unreported {
    _slot: Option<Rc<SlotKeeper>>,
}

impl Orphan for Unreported {
    fn settle(&mut self, _completion: Completion) {}
}

/// What the kernel reads while it breaks a connection.
struct Aborting {
    _no_peer: Box<RawAddress>,
    _slot: Option<Rc<SlotKeeper>>,
}

impl Orphan for Aborting {
    fn settle(&mut self, _completion: Completion) {}
}
