//! Reading by polls: a lease that is used up piece by piece, or the caller's memory.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::buf::{CallerMemory, Lease};
use crate::op::{Op, Readable, RecvLease, StreamSocket};
use crate::task::coop;

/// How much memory of the caller is worth an inline call. Less is filled from a lease, which is
/// received at once, however large.
const WORTH_A_CALL: usize = 4 * 1024;

/// What has been received and not been read, and what is in flight.
#[derive(Default)]
pub(super) struct Reading {
    /// Never empty.
    lease: Option<Lease>,
    receiving: Receiving,
}

#[derive(Default)]
enum Receiving {
    #[default]
    Nothing,
    Lease(Op<RecvLease>),
    /// The wait for something to receive into the caller's memory.
    Readable(Op<Readable>),
}

impl Reading {
    /// The bytes that have been received and not been read.
    pub(super) fn unread(&self) -> &[u8] {
        self.lease.as_deref().unwrap_or_default()
    }

    /// Waits until there is something unread. It is none at EOF.
    pub(super) fn poll_fill(
        &mut self,
        socket: &Rc<StreamSocket>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.lease.is_some() {
            ready!(coop::poll_spend(context));
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_readable(context))?;
        if let Receiving::Nothing = self.receiving {
            self.receiving = Receiving::Lease(Op::new(socket.driver(), RecvLease::new(socket)));
        }
        let Receiving::Lease(op) = &mut self.receiving else { unreachable!("it receives a lease") };
        let received = ready!(Pin::new(op).poll(context));
        self.receiving = Receiving::Nothing;
        self.lease = Some(received?).filter(|lease| !lease.is_empty());
        Poll::Ready(Ok(()))
    }

    /// Waits for a wait for readiness to end, if there is one.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Receiving::Readable(op) = &mut self.receiving else { return Poll::Ready(Ok(())) };
        let outcome = ready!(Pin::new(op).poll(context));
        self.receiving = Receiving::Nothing;
        Poll::Ready(outcome)
    }

    /// Marks bytes as read.
    pub(super) fn consume(&mut self, count: usize) {
        match &mut self.lease {
            Some(lease) if count < lease.len() => lease.advance(count),
            lease => {
                let unread = lease.as_deref().map_or(0, <[u8]>::len);
                assert!(count <= unread, "cannot consume {count} of {unread} unread bytes");
                *lease = None;
            }
        }
    }

    /// Reads into the caller's memory, and returns how many bytes: none at EOF.
    pub(super) fn poll_read(
        &mut self,
        socket: &Rc<StreamSocket>,
        context: &mut Context<'_>,
        memory: &mut CallerMemory<'_>,
    ) -> Poll<io::Result<usize>> {
        if memory.len() == 0 {
            ready!(coop::poll_spend(context));
            return Poll::Ready(Ok(0));
        }
        let mut may_receive = memory.len() >= WORTH_A_CALL && self.lease.is_none();
        while may_receive && !matches!(self.receiving, Receiving::Lease(_)) {
            ready!(self.poll_readable(context))?;
            ready!(socket.poll_reads_drained(context));
            may_receive = socket.receives_into_caller();
            if !may_receive {
                break;
            }
            if socket.has_more() {
                if let Some(received) = socket.receive_into(memory) {
                    return Poll::Ready(received);
                }
            }
            let wait = Op::new(socket.driver(), Readable::new(socket));
            self.receiving = Receiving::Readable(wait);
        }
        ready!(self.poll_fill(socket, context))?;
        let count = memory.fill_from(self.unread());
        self.consume(count);
        Poll::Ready(Ok(count))
    }

    /// Puts what has not been read back into the socket, where the next read finds it.
    pub(super) fn put_back(self, socket: &StreamSocket) {
        // What a receive in flight still produces comes behind it.
        if let Some(lease) = &self.lease {
            socket.put_front(lease, Ok(true));
        }
    }
}
