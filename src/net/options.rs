//! The options that every stream socket has. A stream, its halves, and its reader and writer share
//! them.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::op::StreamSocket;
use crate::sys::socket;

/// The options of a socket.
pub(super) struct Options(Rc<StreamSocket>);

impl Options {
    pub(super) fn of(socket: &Rc<StreamSocket>) -> Self {
        Self(Rc::clone(socket))
    }

    pub(super) fn socket(&self) -> &StreamSocket {
        &self.0
    }

    pub(super) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.0.set_linger(linger)
    }

    pub(super) fn linger(&self) -> io::Result<Option<Duration>> {
        self.0.linger()
    }

    pub(super) fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.set_size(socket::SO_RCVBUF, bytes, "set receive buffer size")
    }

    pub(super) fn recv_buffer_size(&self) -> io::Result<usize> {
        self.size(socket::SO_RCVBUF, "get receive buffer size")
    }

    pub(super) fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.set_size(socket::SO_SNDBUF, bytes, "set send buffer size")
    }

    pub(super) fn send_buffer_size(&self) -> io::Result<usize> {
        self.size(socket::SO_SNDBUF, "get send buffer size")
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let errno = self.get(socket::SOL_SOCKET, socket::SO_ERROR, "get error")?;
        Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
    }

    fn set_size(&self, name: i32, bytes: usize, doing: &str) -> io::Result<()> {
        self.set(socket::SOL_SOCKET, name, i32::try_from(bytes).unwrap_or(i32::MAX), doing)
    }

    fn size(&self, name: i32, doing: &str) -> io::Result<usize> {
        Ok(self.get(socket::SOL_SOCKET, name, doing)?.unsigned_abs() as usize)
    }

    pub(super) fn set(&self, level: i32, name: i32, value: i32, doing: &str) -> io::Result<()> {
        self.0.set_option(level, name, value, doing)
    }

    pub(super) fn get(&self, level: i32, name: i32, doing: &str) -> io::Result<i32> {
        self.0.option(level, name, doing)
    }
}

/// Methods of what shares the options of a socket. The type has a method `options`.
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

        /// Sets the size of the socket's receive buffer in bytes.
        ///
        /// The kernel doubles the number.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "SO_RCVBUF")]
        pub fn set_recv_buffer_size(&self, bytes: usize) -> std::io::Result<()> {
            self.options()?.set_recv_buffer_size(bytes)
        }

        /// Returns the size of the socket's receive buffer in bytes.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn recv_buffer_size(&self) -> std::io::Result<usize> {
            self.options()?.recv_buffer_size()
        }

        /// Sets the size of the socket's send buffer in bytes.
        ///
        /// The kernel doubles the number.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "SO_SNDBUF")]
        pub fn set_send_buffer_size(&self, bytes: usize) -> std::io::Result<()> {
            self.options()?.set_send_buffer_size(bytes)
        }

        /// Returns the size of the socket's send buffer in bytes.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn send_buffer_size(&self) -> std::io::Result<usize> {
            self.options()?.send_buffer_size()
        }

        /// Takes the error that is pending on the socket, if there is one.
        ///
        /// # Errors
        ///
        /// If the option cannot be read.
        #[doc(alias = "SO_ERROR")]
        pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
            self.options()?.take_error()
        }
    };
}

pub(super) use option_methods;
