//! Operations on sockets.
//!
//! - [`fd`] is a socket of any kind: what it is reached by (`op::descriptor`), its addresses, its
//!   drain, its end ([`shutdown`], [`close`]), its options ([`options`]).
//! - [`stream`] is a socket with a stream of bytes: what orphaned reads have left
//!   (`op::orphaned_bytes`) and what its messages are like ([`recv_strategy`]). Datagrams have no
//!   use for it. How many bytes it has transferred: [`transferred`], [`progress`]. [`parts`] is
//!   such a socket between two runtimes, and [`open_count`] counts those of a listener.
//! - Making one: [`open`], [`connect`], [`accept`].
//! - Receiving from a stream: [`recv_owned`] into the caller's buffer, [`peek`], and
//!   [`recv_lease`], for which [`next_recv`] decides between [`recv_multishot`], a
//!   [`recv_buffer`] and provided buffers.
//!   [`readable`] waits until an inline receive into the caller's memory finds something.
//! - Sending on a stream: [`send`] of a [`payload`], [`send_zero_copy`], and the wait for room
//!   ([`send_room`]). An [`outbox`] holds what is written to be sent at the end of the turn, and
//!   [`outbox_write`] decides what of a write goes there.
//! - Datagrams: [`datagram`].
//! - Descriptors with the bytes, on Unix sockets: [`recv_fds`], and [`send_fds`] is such a payload.
//! - Either at once or not at all: [`attempt`].

mod accept;
mod attempt;
mod close;
mod connect;
mod datagram;
mod fd;
mod next_recv;
mod open;
mod open_count;
mod options;
mod outbox;
mod outbox_write;
mod parts;
mod payload;
mod peek;
mod progress;
mod readable;
mod recv_buffer;
mod recv_fds;
mod recv_lease;
mod recv_multishot;
mod recv_owned;
mod recv_strategy;
mod send;
mod send_fds;
mod send_room;
mod send_zero_copy;
mod shutdown;
mod stream;
mod transferred;

pub(crate) use accept::{Accepted, Acceptor, Heir, Holders, ListeningFd, SharedListener};
pub(in crate::op) use close::close_on_a_worker;
pub(crate) use connect::Connect;
pub(crate) use datagram::{
    Arrived, DatagramSocket, Family, RecvDatagram, RecvDatagramFds, SendDatagram, SendDatagramFds,
};
pub(in crate::op) use fd::SocketFd;
#[cfg(test)]
pub(in crate::op) use open::OpenSocket;
pub(crate) use open::open_socket;
pub(crate) use open_count::{OpenCount, OpenGuard};
#[cfg(test)]
pub(in crate::op) use options::SetOption;
pub(crate) use options::set_option;
pub(crate) use outbox::Outbox;
pub(crate) use parts::SocketParts;
pub(crate) use payload::{One, Several};
pub(crate) use peek::Peek;
pub(crate) use readable::Readable;
pub(in crate::op) use recv_buffer::RecvBuffer;
pub(crate) use recv_fds::RecvFds;
pub(crate) use recv_lease::RecvLease;
pub(crate) use recv_owned::Recv;
pub(crate) use send::SendBytes;
pub(crate) use send_fds::WithFds;
pub(in crate::op) use send_room::SendRoom;
pub(crate) use send_zero_copy::{SendZeroCopy, Unsent};
pub(crate) use stream::StreamSocket;
