//! A stream socket without a runtime: its descriptor, and what must go with it to another runtime.
//!
//! That is what the kernel does not tell again: unread bytes, the error or EOF behind them, why the
//! connection has broken, and the peer's address. How the socket is received from best is learnt
//! anew.

use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::stream::{SocketState, StreamSocket};
use crate::driver::Driver;
use crate::op::orphaned_bytes::OrphanedBytes;
use crate::sys::address::Address;
use crate::sys::socket::set_linger;

/// A stream socket without a runtime. It is `Send`.
#[derive(Debug)]
pub(crate) struct SocketParts {
    fd: Detached,
    unread: Vec<u8>,
    /// Behind the unread bytes.
    error: Option<io::Error>,
    /// Whether EOF comes behind the unread bytes.
    has_eof: bool,
    state: SocketState,
    peer: Option<Address>,
}

impl SocketParts {
    pub(super) fn new(
        fd: OwnedFd,
        lingers: bool,
        unread: OrphanedBytes,
        state: SocketState,
        peer: Option<Address>,
    ) -> Self {
        let (unread, error, has_eof) = unread.into_parts();
        Self { fd: Detached { fd: Some(fd), lingers }, unread, error, has_eof, state, peer }
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        self.fd.fd.as_ref().expect("the descriptor is there until the parts are taken")
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// The peer's address, if it is known.
    pub(crate) fn peer(&self) -> Option<&Address> {
        self.peer.as_ref()
    }

    /// The descriptor, and what has been received: bytes, and the error behind them or the reason
    /// why the connection has broken.
    pub(crate) fn into_std(mut self) -> (OwnedFd, Vec<u8>, Option<io::Error>) {
        let fatal = self.state.fatal;
        let reason = (fatal != 0).then(|| StreamSocket::broken("recv", fatal));
        let (unread, error) = (mem::take(&mut self.unread), self.error.take());
        (self.fd.take(), unread, error.or(reason))
    }
}

impl StreamSocket {
    /// Takes the socket apart. No orphan uses it.
    pub(crate) fn into_parts(self: Rc<Self>) -> io::Result<SocketParts> {
        let (unread, state) = (self.take_orphaned_bytes(), self.state());
        let (lingers, peer) = (self.lingers(), self.peer_if_known().cloned());
        Ok(SocketParts::new(self.into_fd()?, lingers, unread, state, peer))
    }

    /// Puts a socket together again, in the runtime of `driver`.
    pub(crate) fn from_parts(driver: Rc<Driver>, mut parts: SocketParts) -> Self {
        let lingers = parts.fd.lingers;
        let socket = Self::new(driver, parts.fd.take());
        socket.set_lingers(lingers);
        if let Some(peer) = parts.peer.take() {
            socket.set_peer_addr(peer);
        }
        let unread = OrphanedBytes::from_parts(parts.unread, parts.error, parts.has_eof);
        socket.restore(parts.state, unread);
        socket
    }
}

/// The descriptor. Dropped, it is closed without making the dropping thread wait: the kernel sends
/// unsent bytes afterwards.
#[derive(Debug)]
struct Detached {
    fd: Option<OwnedFd>,
    lingers: bool,
}

impl Detached {
    fn take(&mut self) -> OwnedFd {
        self.fd.take().expect("the descriptor is taken once")
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take().filter(|_| self.lingers) {
            let _ = set_linger(&fd, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::op::tests::bench::Bench;

    /// Few errors are neither the kernel's nor fatal to a connection: they would need a device that
    /// fails.
    #[test]
    fn what_a_reader_knows_comes_before_orphaned_bytes_and_moves_with_the_socket() {
        let bench = Bench::new();
        let (near, _far) = UnixStream::pair().unwrap();
        let socket = StreamSocket::new(Rc::clone(&bench.driver), OwnedFd::from(near));
        let peer = Address::Unix(b"/the/peer".as_slice().into());
        socket.set_peer_addr(peer.clone());
        socket.put_front(b"second", Err(io::Error::other("behind the bytes")));
        socket.put_front(b"first, ", Ok(true));

        let parts = Rc::new(socket).into_parts().unwrap();
        assert_eq!(parts.unread(), b"first, second");
        let socket = StreamSocket::from_parts(Rc::clone(&bench.driver), parts);
        assert!(socket.take_unread_error().is_none(), "bytes come before it");
        assert_eq!(socket.take_all_unread(), b"first, second");
        assert_eq!(socket.take_unread_error().unwrap().to_string(), "behind the bytes");
        assert_eq!(socket.peer_if_known(), Some(&peer));
    }
}
