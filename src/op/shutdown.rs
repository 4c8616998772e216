//! Ending a connection's directions, and breaking it.
//!
//! Both are system calls, which never wait. A direct descriptor needs a descriptor of the process for them;
//! if the process has no more, entries do the same. Those are carried out in a moment, and what they come
//! to is not heard of.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use super::Socket;
use crate::driver::Orphan;
use crate::error::Describe;
use crate::sys::address::RawAddress;
use crate::sys::bypass::Bypass;
use crate::sys::errno::{ECANCELED, ENOTCONN};
use crate::sys::{Completion, Submission, opcode, socket};

impl Socket {
    /// Ends one direction or both.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.fd_for(Bypass::Shutdown) {
            Ok(fd) => socket::shutdown(fd, how).describe("shutdown"),
            Err(error) if self.driver().is_closing() => Err(error),
            Err(_) => {
                let how = socket::how(how);
                let entry = self.entry(|fd| opcode::Shutdown::new(fd, how).build());
                // SAFETY: the entry points to no memory.
                unsafe { self.driver().submit_detached(entry, Box::new(Unheard)) };
                Ok(())
            }
        }
    }

    /// [`shutdown`](Self::shutdown) for one who can tell nobody of an error: it fails only if the connection
    /// is gone, and then the peer knows, or if the runtime has ended.
    pub(crate) fn end(&self, how: Shutdown) {
        expect_ended(&self.shutdown(how));
    }

    /// Ends both directions in order: what was sent reaches the peer, and the end behind it.
    pub(crate) fn end_both(&self) {
        self.note_over();
        self.end(Shutdown::Both);
    }

    /// Breaks the connection at once, also while others hold the socket and operations are in flight:
    /// the peer finds it reset. A shutdown would be heard as an end.
    pub(crate) fn abort(&self) {
        self.note_over();
        let Ok(fd) = self.fd_for(Bypass::Shutdown) else { return self.abort_by_entry() };
        if socket::disconnect(fd).is_err() {
            // Linux 6.4 to 6.6 refuse while a kernel worker waits on the socket. Then the close sends
            // the reset, and readers come to their end now. An error means that the connection is gone.
            let _ = socket::set_linger(fd, Some(Duration::ZERO));
            self.end(Shutdown::Read);
        }
    }

    fn abort_by_entry(&self) {
        // The address of no family: to connect to it is to disconnect.
        let nobody = Box::new(RawAddress::empty());
        let (address, length) = (nobody.as_ptr(), nobody.length());
        let entry: Submission = self.entry(|fd| opcode::Connect::new(fd, address, length).build());
        // SAFETY: the entry points to the address, which stands in a box that the orphan keeps.
        unsafe { self.driver().submit_detached(entry, Box::new(Aborting { _nobody: nobody })) };
    }
}

/// Checks what a shutdown that nobody hears of has come to.
pub(super) fn expect_ended(outcome: &io::Result<()>) {
    let is_expected =
        |error: &io::Error| matches!(crate::error::raw_os_error(error), Some(ENOTCONN | ECANCELED));
    debug_assert!(outcome.as_ref().err().is_none_or(is_expected), "{outcome:?}");
}

/// An entry whose outcome means nothing to anyone.
struct Unheard;

impl Orphan for Unheard {
    fn settle(&mut self, _completion: Completion) {}
}

/// What the kernel reads while it breaks a connection.
struct Aborting {
    _nobody: Box<RawAddress>,
}

impl Orphan for Aborting {
    fn settle(&mut self, _completion: Completion) {}
}
