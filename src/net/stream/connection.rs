//! The traits of stream sockets: what is generic over TCP and Unix sockets asks no more of them.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::driver::Driver;
use crate::op::{Descriptor, StreamSocket};
use crate::runtime::context;
use crate::sys::address::FromAddress;
use crate::sys::socket::lingers;

/// A connected stream socket: [`TcpStream`](crate::net::TcpStream) or
/// [`UnixStream`](crate::net::UnixStream).
///
/// Halves, buffered streams and servers are generic over it. Only this crate implements it.
pub trait Connection: sealed::Stream + fmt::Debug {
    /// The address of such a socket.
    type Addr: sealed::Address + Clone + fmt::Debug;
}

pub(in crate::net) mod sealed {
    use super::{FromAddress, Rc, SocketAddr, StreamSocket};

    pub trait Stream: Sized + 'static {
        /// The stream of a connected socket.
        fn from_socket(socket: Rc<StreamSocket>) -> Self;

        fn into_socket(self) -> Rc<StreamSocket>;

        fn socket(&self) -> &Rc<StreamSocket>;
    }

    pub trait Address: FromAddress + 'static {
        /// The address that stands for an unknown one, of the same family as `like` if there is
        /// one.
        fn unspecified(like: Option<Self>) -> Self;

        /// The address as an IP address, if it is one: for incidents.
        fn ip(&self) -> Option<SocketAddr>;

        /// The address for messages.
        fn to_text(&self) -> String;
    }
}

/// A connected socket of this thread's runtime.
pub(in crate::net) fn new_socket(
    driver: Rc<Driver>,
    descriptor: impl Into<Descriptor>,
    lingers: bool,
) -> Rc<StreamSocket> {
    let socket = StreamSocket::new(driver, descriptor);
    socket.set_lingers(lingers);
    Rc::new(socket)
}

/// Takes a connected socket over into this thread's runtime.
///
/// # Panics
///
/// If there is no runtime on this thread.
pub(in crate::net) fn adopt(fd: OwnedFd) -> Rc<StreamSocket> {
    let lingers = lingers(&fd);
    new_socket(context::driver(), fd, lingers)
}
