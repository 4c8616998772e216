//! Several tasks that accept from one listening socket.
//!
//! The accept in flight wakes one task: the one that has the [lead](crate::net::lead). A connection
//! whose wake a dropped future has taken is found by the next that has it.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Weak;
use std::task::{Context, Poll};

use super::from_accepted::FromAccepted;
use super::socket::{ListenSocket, local_addr};
use crate::net::lead::Lead;
use crate::op::{ListeningFd, SharedListener};

/// A listening socket and the tasks that accept from it.
pub(in crate::net) struct AcceptQueue<S> {
    /// Beside the socket, which is borrowed while it is polled.
    listening: ListeningFd,
    /// Borrowed only by the holder of the lead, and only while it polls.
    socket: RefCell<ListenSocket<S>>,
    lead: Lead,
}

impl<S: FromAccepted> AcceptQueue<S> {
    pub(in crate::net) fn new(socket: ListenSocket<S>) -> Self {
        Self {
            listening: socket.listening().clone(),
            socket: RefCell::new(socket),
            lead: Lead::default(),
        }
    }

    /// The socket, whose waiters are gone.
    pub(in crate::net) fn into_inner(self) -> ListenSocket<S> {
        self.socket.into_inner()
    }

    /// Accepts when all futures that wait already have been served.
    pub(in crate::net) async fn accept(&self) -> io::Result<(S, S::Addr)> {
        let _lead = self.lead.wait().await;
        poll_fn(|context| self.socket.borrow_mut().poll_accept(context)).await
    }

    /// Accepts if no future waits. Of the tasks that poll only the last is woken.
    pub(in crate::net) fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(S, S::Addr)>> {
        self.lead.poll(context, |context| self.socket.borrow_mut().poll_accept(context))
    }

    /// The listening socket, for calls that do not pass it on.
    pub(in crate::net) fn fd(&self) -> &OwnedFd {
        &self.listening
    }

    /// The listening socket, to be passed on: others may listen on it when this is closed.
    pub(in crate::net) fn shared_fd(&self) -> &OwnedFd {
        self.listening.note_shared();
        &self.listening
    }

    /// The listening socket for other threads, which do not keep it open.
    pub(in crate::net) fn share(&self) -> Weak<SharedListener> {
        self.listening.share()
    }

    pub(in crate::net) fn local_addr(&self) -> io::Result<S::Addr> {
        local_addr::<S>(&self.listening)
    }
}

impl<S: FromAccepted> fmt::Debug for AcceptQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptQueue")
            .field("fd", &self.fd().as_raw_fd())
            .field("local", &self.local_addr().ok())
            .finish_non_exhaustive()
    }
}
