//! What an accept results in.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::op::descriptor::Descriptor;
use crate::sys::Completion;
use crate::sys::address::Address;

/// A connection.
pub(crate) struct Accepted {
    pub(crate) descriptor: Descriptor,
    /// If the kernel has told it.
    pub(crate) peer: Option<Address>,
}

impl From<OwnedFd> for Accepted {
    fn from(fd: OwnedFd) -> Self {
        Self { descriptor: fd.into(), peer: None }
    }
}

/// Takes the connections that come when their acceptor is gone. Without one they are closed.
pub(crate) type Heir = Rc<dyn Fn(Accepted)>;

/// The connection of a successful accept. Dropped, it is closed.
pub(super) fn accepted_fd(completion: Completion) -> io::Result<OwnedFd> {
    // SAFETY: an accept makes a descriptor, and each of its completions is used once.
    unsafe { completion.into_fd() }
}
