//! Unix sockets with connections and messages (`SOCK_SEQPACKET`).
//!
//! [`socket`] is a connection, [`received`] what its receives meet, [`recv_many`] its messages as a
//! stream, [`fd_passing`] what it passes beside them, and [`listener`] accepts connections. A
//! connection is a datagram socket with an end: it has the same core
//! ([`DatagramCore`](crate::net::datagram::core::DatagramCore)).

mod fd_passing;
mod listener;
mod received;
mod recv_many;
mod socket;

pub use listener::UnixSeqpacketListener;
pub use recv_many::RecvMessages;
pub use socket::UnixSeqpacket;
