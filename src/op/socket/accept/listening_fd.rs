//! A listening socket, kept open by the accepts of one thread and known to others.

use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};

use crate::sys::socket;

/// A listening socket. Accepts in flight keep it open, and its number taken, to their end: they are
/// many and of one thread, so they count references without atomics. The inner count is for other
/// threads, which may duplicate the socket while it is open ([`share`](Self::share)).
#[derive(Clone)]
pub(crate) struct ListeningFd(Rc<Inner>);

struct Inner(Arc<SharedListener>);

/// A listening socket that other threads may duplicate, and whether any have.
pub struct SharedListener {
    fd: OwnedFd,
    holders: Holders,
}

/// Whether others have a listening socket, too. Listeners that have descriptors of one socket, and
/// know of each other, have this in common: none of them is one of the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders(Arc<AtomicU8>);

/// No other descriptor of the socket is known.
const OWN: u8 = 0;
/// Others may have the socket, and listen on it when this descriptor is closed.
const SHARED: u8 = 1;
/// It is about to refuse connections and to be closed.
const REFUSES: u8 = 2;

impl Holders {
    /// Ends the socket for others: from now on no thread duplicates it. Returns false if one has,
    /// or another may have the socket for another reason.
    pub(crate) fn end(&self) -> bool {
        let ended = self.0.compare_exchange(OWN, REFUSES, Ordering::AcqRel, Ordering::Acquire);
        ended != Err(SHARED)
    }
}

impl ListeningFd {
    pub(super) fn new(fd: OwnedFd, holders: Holders) -> Self {
        Self(Rc::new(Inner(Arc::new(SharedListener { fd, holders }))))
    }

    /// The socket for other threads, which do not keep it open.
    pub(crate) fn share(&self) -> Weak<SharedListener> {
        Arc::downgrade(&self.0.0)
    }

    /// Notes that others may have the socket, too, and listen when this is closed.
    pub(crate) fn note_shared(&self) {
        self.0.0.note_shared();
    }

    /// Whether others may have the socket, too.
    pub(super) fn is_shared(&self) -> bool {
        self.0.0.holders.0.load(Ordering::Acquire) == SHARED
    }

    /// Has the socket refuse connections, so that none is in the backlog that no accept would take.
    /// Those that are there, and those whose handshake has begun, are accepted as before. Returns
    /// whether it does: others may have the socket, and listen on.
    pub(super) fn refuse_connects(&self) -> bool {
        self.0.0.holders.end() && socket::refuse_connects(self).is_ok()
    }

    /// Takes the socket out, or duplicates it if an accept, or another thread at this moment, uses
    /// it.
    pub(super) fn into_fd(self) -> io::Result<OwnedFd> {
        let socket = match Rc::try_unwrap(self.0) {
            Ok(inner) => inner.0,
            Err(shared) => return shared.0.fd.try_clone(),
        };
        match Arc::try_unwrap(socket) {
            Ok(listener) => Ok(listener.fd),
            Err(shared) => shared.fd.try_clone(),
        }
    }
}

impl Deref for ListeningFd {
    type Target = OwnedFd;

    fn deref(&self) -> &OwnedFd {
        &self.0.0.fd
    }
}

impl SharedListener {
    /// Another descriptor of the socket, for another process; `None` if it refuses connections
    /// already, to be closed.
    pub(crate) fn duplicate(&self) -> Option<io::Result<OwnedFd>> {
        self.note_shared().then(|| self.fd.try_clone())
    }

    fn note_shared(&self) -> bool {
        let state = &self.holders.0;
        let noted = state.compare_exchange(OWN, SHARED, Ordering::AcqRel, Ordering::Acquire);
        noted != Err(REFUSES)
    }
}
