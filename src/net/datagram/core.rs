//! A datagram socket and the tasks that receive from it.
//!
//! One receive uses the kernel at a time: that of the future which has the
//! [lead](crate::net::lead). A datagram that a dropped future had received is found by the next:
//! were several receives in the kernel, it could come to lie behind one that waits.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::meta::{self, Datagram, RecvMeta};
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::net::lead::Lead;
use crate::op::{Arrived, DatagramSocket, Family, Op, RecvDatagram, RecvDatagramFds, SendDatagram};
use crate::runtime::context;
use crate::sys::address::{FromAddress, RawAddress};
use crate::sys::control::SentControl;
use crate::sys::datagram::Envelope;
use crate::sys::passed_fds::PassedFds;
use crate::task::coop;

/// A datagram socket and the tasks that receive from it.
pub(in crate::net) struct DatagramCore {
    socket: Rc<DatagramSocket>,
    lead: Lead,
}

impl DatagramCore {
    /// Takes a socket over into the runtime of this thread.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub(in crate::net) fn adopt(fd: OwnedFd, family: Family) -> Rc<Self> {
        Self::of(DatagramSocket::new(context::driver(), fd, family))
    }

    pub(in crate::net) fn of(socket: DatagramSocket) -> Rc<Self> {
        Rc::new(Self { socket: Rc::new(socket), lead: Lead::default() })
    }

    pub(in crate::net) fn socket(&self) -> &Rc<DatagramSocket> {
        &self.socket
    }

    /// Receives a datagram into the buffer, as much as fits, or looks at it.
    pub(in crate::net) fn recv<B: IoBufMut>(
        self: &Rc<Self>,
        mut buffer: B,
        peeks: bool,
    ) -> impl Future<Output = BufResult<Envelope, B>> + use<B> {
        let this = Rc::clone(self);
        async move {
            let _lead = this.lead.wait().await;
            let socket = &this.socket;
            if this.has_kept().await {
                if let Some(error) = socket.take_error_of("recv") {
                    return BufResult(Err(error), buffer);
                }
                let envelope = socket.copy_kept(&mut buffer, !peeks);
                return BufResult(Ok(envelope.expect("one is kept")), buffer);
            }
            Op::new(socket.driver(), RecvDatagram::new(socket, buffer, peeks)).await
        }
    }

    /// Receives a message into the buffer, as much as fits, and at most `max_fds` descriptors that
    /// come with it; others are closed.
    pub(in crate::net) fn recv_fds<B: IoBufMut>(
        self: &Rc<Self>,
        mut buffer: B,
        max_fds: usize,
    ) -> impl Future<Output = BufResult<(Envelope, PassedFds), B>> + use<B> {
        let this = Rc::clone(self);
        async move {
            let _lead = this.lead.wait().await;
            let socket = &this.socket;
            let has_kept = this.has_kept().await;
            if let Some(error) = socket.take_error_of("recvmsg") {
                return BufResult(Err(error), buffer);
            }
            if has_kept {
                let kept = socket.copy_kept_with_fds(&mut buffer, max_fds);
                return BufResult(Ok(kept.expect("one is kept")), buffer);
            }
            Op::new(socket.driver(), RecvDatagramFds::new(socket, buffer, max_fds)).await
        }
    }

    /// Waits until a receive with the lead may begin, and returns whether a dropped receive has
    /// left a message for it.
    async fn has_kept(&self) -> bool {
        poll_fn(|context| self.socket.poll_receivable(context)).await;
        let has_kept = self.socket.has_kept();
        if has_kept {
            poll_fn(|context| coop::poll_spend(context)).await;
        }
        has_kept
    }

    /// Receives a datagram on lease.
    pub(in crate::net) fn recv_lease(
        self: &Rc<Self>,
    ) -> impl Future<Output = io::Result<Arrived>> + use<> {
        let this = Rc::clone(self);
        async move {
            let _lead = this.lead.wait().await;
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
        context: &mut Context<'_>,
        memory: &mut [u8],
        peeks: bool,
    ) -> Poll<io::Result<Envelope>> {
        self.lead.poll(context, |context| self.socket.poll_receive(context, memory, peeks))
    }

    /// Receives on lease if no future waits.
    pub(in crate::net) fn poll_recv_lease(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Arrived>> {
        self.lead.poll(context, |context| self.socket.poll_receive_lease(context))
    }

    /// Waits until a receive may succeed.
    pub(in crate::net) fn poll_recv_ready(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.lead.poll(context, |context| {
            ready!(self.socket.poll_receivable(context));
            if self.socket.has_kept() {
                return Poll::Ready(Ok(()));
            }
            self.socket.poll_readable(context)
        })
    }

    /// Takes the descriptor out, once no orphan uses the socket, with what dropped receives had
    /// received.
    pub(in crate::net) async fn take_apart(self: Rc<Self>) -> io::Result<(OwnedFd, Vec<Arrived>)> {
        let lead = self.lead.wait().await;
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
    let whole = result.and_then(|envelope| {
        let meta = RecvMeta::<A>::of(meta::whole(envelope, doing)?)?;
        Ok((meta.len, meta.address))
    });
    BufResult(whole, buffer)
}

/// The outcome of a receive on lease.
pub(in crate::net) fn datagram<A: FromAddress>(
    arrived: io::Result<Arrived>,
) -> io::Result<Datagram<A>> {
    let Arrived { bytes, envelope } = arrived?;
    let meta = RecvMeta::of(meta::whole(envelope, "recvmsg")?)?;
    Ok(Datagram::new(bytes, meta))
}
