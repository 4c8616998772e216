//! A datagram socket and the tasks that receive from it.
//!
//! One receive uses the kernel at a time: that of the future which has the *lead*. The others wait
//! for the lead in order. It is passed on when its future has a datagram and when it is dropped, so
//! a datagram that a dropped future had received is found by the next: were several receives in the
//! kernel, it could come to lie behind one that waits.
//!
//! A task that polls without a future may lose interest without notice. So it never keeps the lead:
//! it polls the socket only while no future has it, and is woken each time when one passes it on.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::meta::{Datagram, RecvMeta};
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::op::{Arrived, DatagramSocket, Family, Op, RecvDatagram, SendDatagram};
use crate::runtime::context;
use crate::sync::{Lock, LockGuard};
use crate::sys::address::{FromAddress, RawAddress};
use crate::sys::control::SentControl;
use crate::sys::datagram::Envelope;
use crate::task::{LocalWaker, coop};

/// A datagram socket and the tasks that receive from it.
pub(in crate::net) struct DatagramCore {
    socket: Rc<DatagramSocket>,
    lead: Lock<()>,
    /// The last task that polled without a future.
    poller: Cell<Option<LocalWaker>>,
}

/// The right to receive. Dropped, it is passed on.
struct Lead<'a> {
    /// `None` once it has been passed on.
    guard: Option<LockGuard<'a, ()>>,
    poller: &'a Cell<Option<LocalWaker>>,
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

impl DatagramCore {
    /// Takes a socket over into the runtime of this thread.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub(in crate::net) fn adopt(fd: OwnedFd, family: Family) -> Rc<Self> {
        let socket = Rc::new(DatagramSocket::new(context::driver(), fd, family));
        Rc::new(Self { socket, lead: Lock::new(()), poller: Cell::new(None) })
    }

    pub(in crate::net) fn socket(&self) -> &Rc<DatagramSocket> {
        &self.socket
    }

    async fn lead(&self) -> Lead<'_> {
        let guard = match self.lead.try_lock() {
            Some(guard) => guard,
            None => self.lead.lock().await,
        };
        Lead { guard: Some(guard), poller: &self.poller }
    }

    /// Receives a datagram into the buffer, as much as fits, or looks at it.
    pub(in crate::net) fn recv<B: IoBufMut>(
        self: &Rc<Self>,
        mut buffer: B,
        peeks: bool,
    ) -> impl Future<Output = BufResult<Envelope, B>> + use<B> {
        let this = Rc::clone(self);
        async move {
            let _lead = this.lead().await;
            let socket = &this.socket;
            poll_fn(|context| socket.poll_receivable(context)).await;
            if socket.has_kept() {
                poll_fn(|context| coop::poll_spend(context)).await;
                if let Some(error) = socket.take_error_of("recv") {
                    return BufResult(Err(error), buffer);
                }
                let envelope = socket.copy_kept(&mut buffer, !peeks);
                return BufResult(Ok(envelope.expect("one is kept")), buffer);
            }
            Op::new(socket.driver(), RecvDatagram::new(socket, buffer, peeks)).await
        }
    }

    /// Receives a datagram on lease.
    pub(in crate::net) fn recv_lease(
        self: &Rc<Self>,
    ) -> impl Future<Output = io::Result<Arrived>> + use<> {
        let this = Rc::clone(self);
        async move {
            let _lead = this.lead().await;
            poll_fn(|context| this.socket.poll_receive_lease(context)).await
        }
    }

    /// Sends a datagram, to an address or to the peer.
    pub(in crate::net) fn send<B: IoBuf>(
        &self,
        buffer: B,
        address: Option<&RawAddress>,
        control: &SentControl,
    ) -> Op<SendDatagram<B>> {
        let send = SendDatagram::new(&self.socket, buffer, address, control);
        Op::new(self.socket.driver(), send)
    }

    /// Receives at once, or fails with `WouldBlock`.
    pub(in crate::net) fn try_recv(&self, memory: &mut [u8], peeks: bool) -> io::Result<Envelope> {
        let Some(_lead) = self.lead.try_lock() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.socket.try_receive(memory, peeks)
    }

    /// Receives if no future waits. Of the tasks that poll only the last is woken.
    pub(in crate::net) fn poll_recv(
        &self,
        context: &Context<'_>,
        memory: &mut [u8],
        peeks: bool,
    ) -> Poll<io::Result<Envelope>> {
        self.poll_leading(context, || self.socket.poll_receive(context, memory, peeks))
    }

    /// Receives on lease if no future waits.
    pub(in crate::net) fn poll_recv_lease(
        &self,
        context: &Context<'_>,
    ) -> Poll<io::Result<Arrived>> {
        self.poll_leading(context, || self.socket.poll_receive_lease(context))
    }

    /// Waits until a receive may succeed.
    pub(in crate::net) fn poll_recv_ready(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll_leading(context, || {
            ready!(self.socket.poll_receivable(context));
            if self.socket.has_kept() {
                return Poll::Ready(Ok(()));
            }
            self.socket.poll_readable(context)
        })
    }

    fn poll_leading<T>(&self, context: &Context<'_>, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        let lead = self.lead.try_lock();
        if lead.is_some() {
            let polled = poll();
            if polled.is_ready() {
                return polled;
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

    /// Takes the descriptor out, once no orphan uses the socket, with what dropped receives had
    /// received.
    pub(in crate::net) async fn take_apart(self: Rc<Self>) -> io::Result<(OwnedFd, Vec<Arrived>)> {
        let lead = self.lead().await;
        poll_fn(|context| self.socket.poll_receivable(context)).await;
        poll_fn(|context| self.socket.poll_writes_drained(context)).await;
        drop(lead);
        let socket = match Rc::try_unwrap(self) {
            Ok(this) => this.socket,
            // A forgotten future holds it.
            Err(this) => Rc::clone(&this.socket),
        };
        let (fd, kept) = socket.into_parts()?;
        Ok((fd, kept.into()))
    }
}

/// The outcome of a receive whose datagram must be whole: its length and its sender.
pub(in crate::net) fn whole<A: FromAddress, B: IoBufMut>(
    received: BufResult<Envelope, B>,
    doing: &str,
) -> BufResult<(usize, A), B> {
    let BufResult(result, buffer) = received;
    let room = buffer.bytes_total();
    let whole = result.and_then(|envelope| {
        let meta = RecvMeta::<A>::of(envelope)?;
        let length = meta.len;
        meta.check(doing, room).map(|meta| (length, meta.address))
    });
    BufResult(whole, buffer)
}

/// The outcome of a receive on lease.
pub(in crate::net) fn datagram<A: FromAddress>(
    arrived: io::Result<Arrived>,
) -> io::Result<Datagram<A>> {
    let Arrived { bytes, envelope } = arrived?;
    let meta = RecvMeta::of(envelope)?.check("recvmsg", bytes.len())?;
    Ok(Datagram::new(bytes, meta))
}
