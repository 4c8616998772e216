//! The options that every stream socket has. A stream, its halves, and its reader and writer share
//! them; listeners and sockets that are neither have most.
//!
//! [`option`] is what an option is. [`ip`] has those of sockets with IP addresses, of any kind, and
//! [`unbound`] those that are set before a socket is bound.

pub(super) mod ip;
pub(super) mod option;
pub(super) mod unbound;

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use self::option::{Bytes, SocketOption};
use crate::error::Describe;
use crate::op::StreamSocket;
use crate::sys::socket;

pub(super) const RECV_BUFFER_SIZE: SocketOption<Bytes> =
    SocketOption::new(socket::SOL_SOCKET, socket::SO_RCVBUF, "receive buffer size");
pub(super) const SEND_BUFFER_SIZE: SocketOption<Bytes> =
    SocketOption::new(socket::SOL_SOCKET, socket::SO_SNDBUF, "send buffer size");

/// The options of a connected socket.
pub(super) struct Options(Rc<StreamSocket>);

impl Options {
    pub(super) fn of(socket: &Rc<StreamSocket>) -> Self {
        Self(Rc::clone(socket))
    }

    /// The descriptor. A direct one is installed.
    pub(super) fn fd(&self) -> io::Result<&OwnedFd> {
        self.0.fd()
    }

    pub(super) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.0.set_linger(linger)
    }

    pub(super) fn linger(&self) -> io::Result<Option<Duration>> {
        self.0.linger()
    }
}

/// The options of a socket that is not connected, listens, or has datagrams.
pub(super) struct FdOptions<'a>(pub(super) &'a OwnedFd);

impl FdOptions<'_> {
    #[expect(clippy::unnecessary_wraps, reason = "its like may have to install the descriptor")]
    pub(super) fn fd(&self) -> io::Result<&OwnedFd> {
        Ok(self.0)
    }

    pub(super) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        socket::set_linger(self.0, linger).describe("set linger")
    }

    pub(super) fn linger(&self) -> io::Result<Option<Duration>> {
        socket::linger(self.0).describe("get linger")
    }
}

/// Takes the error that is pending on a socket.
pub(super) fn take_error(fd: &OwnedFd) -> io::Result<Option<io::Error>> {
    let errno = socket::option(fd, socket::SOL_SOCKET, socket::SO_ERROR).describe("get error")?;
    Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
}

/// Methods of what has connections, or is one, and shares the options of a socket. The type has a
/// method `options`.
macro_rules! option_methods {
    () => {
        /// Sets `SO_LINGER`: what closing does with unsent bytes.
        ///
        /// `None`, the default, sends them after the close; zero discards them and resets the
        /// connection; a duration, rounded up to whole seconds, makes the close wait for at most so
        /// long. A kernel worker does the waiting, not this thread; but if the option is set by
        /// other means, through the descriptor, this thread waits. A runtime that ends waits for no
        /// lingering close: the kernel sends the rest afterwards.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "SO_LINGER")]
        #[doc(alias = "set_zero_linger")]
        pub fn set_linger(&self, linger: Option<std::time::Duration>) -> std::io::Result<()> {
            self.options()?.set_linger(linger)
        }

        /// What closing does with unsent bytes; see [`set_linger`](Self::set_linger).
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn linger(&self) -> std::io::Result<Option<std::time::Duration>> {
            self.options()?.linger()
        }

        $crate::net::options::buffer_size_methods!();
        $crate::net::options::take_error_method!();
    };
}

/// Methods of every socket: the sizes of its buffers. The type has a method `options`. What is
/// passed, a comment, is added to the documentation of the receive buffer.
macro_rules! buffer_size_methods {
    ($(#[doc = $more:literal])*) => {
        $crate::net::options::option::option_methods_of! {
            /// Sets the size of the socket's receive buffer in bytes.
            ///
            /// The kernel doubles the number.
            $(#[doc = $more])*
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "SO_RCVBUF")]
            set_recv_buffer_size(bytes: usize), recv_buffer_size -> usize,
                $crate::net::options::RECV_BUFFER_SIZE;

            /// Sets the size of the socket's send buffer in bytes.
            ///
            /// The kernel doubles the number.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "SO_SNDBUF")]
            set_send_buffer_size(bytes: usize), send_buffer_size -> usize,
                $crate::net::options::SEND_BUFFER_SIZE;
        }
    };
}

/// The method of a socket that keeps no error. The type has a method `options`.
macro_rules! take_error_method {
    () => {
        /// Takes the error that is pending on the socket, if there is one.
        ///
        /// # Errors
        ///
        /// If the option cannot be read.
        #[doc(alias = "SO_ERROR")]
        pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
            $crate::net::options::take_error(self.options()?.fd()?)
        }
    };
}

pub(super) use {buffer_size_methods, option_methods, take_error_method};
