//! The datagrams of a socket as a stream.

use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::Stream;

use super::core::{DatagramCore, datagram};
use super::meta::Datagram;
use crate::sys::address::FromAddress;

/// The datagrams of a socket, as a stream.
///
/// Made by [`UdpSocket::recv_many`](crate::net::UdpSocket::recv_many) and
/// [`UnixDatagram::recv_many`](crate::net::UnixDatagram::recv_many).
#[must_use = "streams do nothing unless polled"]
pub struct RecvMany<'a, A = SocketAddr> {
    core: &'a Rc<DatagramCore>,
    address: PhantomData<fn() -> A>,
}

impl<'a, A: FromAddress> RecvMany<'a, A> {
    pub(in crate::net) fn new(core: &'a Rc<DatagramCore>) -> Self {
        Self { core, address: PhantomData }
    }

    /// Receives the next datagram.
    ///
    /// # Errors
    ///
    /// As for [`UdpSocket::recv_msg`](crate::net::UdpSocket::recv_msg). An error does not end the
    /// stream.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing.
    pub async fn recv(&mut self) -> io::Result<Datagram<A>> {
        datagram(self.core.recv_lease().await)
    }
}

impl<A: FromAddress> Stream for RecvMany<'_, A> {
    type Item = io::Result<Datagram<A>>;

    /// Never ends.
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.core.poll_recv_lease(context).map(|arrived| Some(datagram(arrived)))
    }
}

impl<A> std::fmt::Debug for RecvMany<'_, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvMany").finish_non_exhaustive()
    }
}
