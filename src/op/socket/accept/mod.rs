//! Accepting connections: an [`acceptor`] uses multishot accept where the kernel has it. It uses
//! one SQE for each connection ([`single`]) where the kernel does not, for direct descriptors, and
//! where no more may be taken than there is room for.
//!
//! Either way the accept in flight belongs to the listener and not to a future, so a connection
//! that arrives while no task accepts is simply the next to be taken. Only when the listener is
//! gone is a late connection closed, unless there is an heir for it.

mod accepted;
mod acceptor;
mod listening_fd;
mod single;

pub(crate) use accepted::{Accepted, Heir};
pub(crate) use acceptor::Acceptor;
pub(crate) use listening_fd::{Holders, ListeningFd, SharedListener};
