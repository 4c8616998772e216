//! Unix sockets: the streams, listeners and servers of TCP, with addresses that are paths or
//! abstract names; datagrams; and connections with messages (`seqpacket`). What only they have: the
//! peer's credentials (`ucred`), and descriptors that are passed to another process (`fd_passing`).

mod datagram;
mod fd_passing;
mod listener;
mod seqpacket;
mod server;
mod stream;
mod ucred;

use std::net;
use std::os::unix::net::SocketAddr;

use super::listener::methods;
use super::stream::{define, sealed};

pub use datagram::UnixDatagram;
pub use fd_passing::ReceivedFds;
pub use listener::UnixListener;
pub use seqpacket::{RecvMessages, UnixSeqpacket, UnixSeqpacketListener};
pub use server::{start_unix_server, start_unix_server_with};
pub use stream::{UnixStream, open_unix_connection};
pub use ucred::UCred;

define::stream!(UnixStream, SocketAddr, std::os::unix::net::UnixStream);
methods::listener!(UnixListener, UnixStream, SocketAddr, std::os::unix::net::UnixListener);

impl sealed::Address for SocketAddr {
    fn unspecified(_like: Option<Self>) -> Self {
        Self::from_pathname("").expect("no name is a valid one")
    }

    fn ip(&self) -> Option<net::SocketAddr> {
        None
    }

    fn to_text(&self) -> String {
        stream::text_of(self)
    }
}
