//! Several tasks that accept from one listening socket.
//!
//! The accept in flight wakes one task. That is the first of the futures that wait, which has the
//! *lead*; the others wait for the lead in order. It is passed on when its future has got a
//! connection and when it is dropped, so a connection whose wake a dropped future has taken is
//! found by the next.
//!
//! A task that polls without a future may lose interest and nothing tells. So it never keeps the
//! lead: it polls the socket only while no future has the lead, and is woken each time when one
//! passes it on.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Weak;
use std::task::{Context, Poll};

use super::socket::{ListenSocket, local_addr};
use crate::net::stream::Connection;
use crate::op::{ListeningFd, SharedListener};
use crate::sync::{Lock, LockGuard};
use crate::task::LocalWaker;

/// A listening socket and the tasks that accept from it.
pub(in crate::net) struct AcceptQueue<S> {
    /// Beside the socket, which is borrowed while it is polled.
    listening: ListeningFd,
    /// Borrowed only by the holder of the lead, and only while it polls.
    socket: RefCell<ListenSocket<S>>,
    lead: Lock<()>,
    /// The last task that polled without a future.
    poller: Cell<Option<LocalWaker>>,
}

/// The right to poll the socket. Dropped, it is passed on.
struct Lead<'a> {
    /// `None` once it has been passed on.
    guard: Option<LockGuard<'a, ()>>,
    poller: &'a Cell<Option<LocalWaker>>,
}

impl<S: Connection> AcceptQueue<S> {
    pub(in crate::net) fn new(socket: ListenSocket<S>) -> Self {
        Self {
            listening: socket.listening().clone(),
            socket: RefCell::new(socket),
            lead: Lock::new(()),
            poller: Cell::new(None),
        }
    }

    /// The socket, whose waiters are gone.
    pub(in crate::net) fn into_inner(self) -> ListenSocket<S> {
        self.socket.into_inner()
    }

    /// Accepts when all futures that wait already have been served.
    pub(in crate::net) async fn accept(&self) -> io::Result<(S, S::Addr)> {
        let guard = match self.lead.try_lock() {
            Some(guard) => guard,
            None => self.lead.lock().await,
        };
        let _lead = Lead { guard: Some(guard), poller: &self.poller };
        poll_fn(|context| self.socket.borrow_mut().poll_accept(context)).await
    }

    /// Accepts if no future waits. Of the tasks that poll only the last is woken.
    pub(in crate::net) fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(S, S::Addr)>> {
        let lead = self.lead.try_lock();
        if lead.is_some() {
            let accepted = self.socket.borrow_mut().poll_accept(context);
            if accepted.is_ready() {
                return accepted;
            }
        }
        // Before the lead is passed on, so that no end of it is missed.
        self.set_poller(context);
        drop(lead);
        Poll::Pending
    }

    fn set_poller(&self, context: &Context<'_>) {
        let present = self.poller.take().filter(|waker| waker.will_wake(context.waker()));
        let waker = present.unwrap_or_else(|| LocalWaker::new(context.waker()));
        drop(self.poller.replace(Some(waker)));
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

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        // First, since the task that is then woken may poll at once.
        drop(self.guard.take());
        if let Some(poller) = self.poller.take() {
            poller.wake();
        }
    }
}

impl<S: Connection> fmt::Debug for AcceptQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptQueue")
            .field("fd", &self.fd().as_raw_fd())
            .field("local", &self.local_addr().ok())
            .finish_non_exhaustive()
    }
}
