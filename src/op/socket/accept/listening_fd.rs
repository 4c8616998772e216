//! A listening socket, kept open by the accepts of one thread and known to others.

use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, Weak};

/// A listening socket. Accepts in flight keep it open, and its number taken, to their end: they are
/// many and of one thread, so they count references without atomics. The inner count is for other
/// threads, which may duplicate the socket while it is open ([`share`](Self::share)).
#[derive(Clone)]
pub(super) struct ListeningFd(Rc<Inner>);

struct Inner(Arc<OwnedFd>);

impl ListeningFd {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(Rc::new(Inner(Arc::new(fd))))
    }

    /// The socket for other threads, which do not keep it open.
    pub(super) fn share(&self) -> Weak<OwnedFd> {
        Arc::downgrade(&self.0.0)
    }

    /// Takes the socket out, or duplicates it if an accept, or another thread at this moment, uses
    /// it.
    pub(super) fn into_fd(self) -> io::Result<OwnedFd> {
        let socket = match Rc::try_unwrap(self.0) {
            Ok(inner) => inner.0,
            Err(shared) => return shared.0.try_clone(),
        };
        Arc::try_unwrap(socket).or_else(|shared| shared.try_clone())
    }
}

impl Deref for ListeningFd {
    type Target = OwnedFd;

    fn deref(&self) -> &OwnedFd {
        &self.0.0
    }
}
