//! Operations on sockets with datagrams, of any family.
//!
//! - [`socket`] is such a socket: what dropped receives have left, the error that one has met, and
//!   the headers that are used again ([`headers`]).
//! - [`recv`] receives into the caller's buffer. [`recv_lease`] receives on lease: by
//!   [`recv_multishot`], where one SQE delivers all datagrams, or else by a poll and an inline
//!   call.
//! - [`send`] sends one datagram.
//! - [`recv_fds`] and [`send_fds`] do so with descriptors, on Unix sockets.
//! - [`connection`] is what only sockets have whose messages end.
//! - [`attempt`] sends and receives at once or not at all, and [`readiness`] waits for the next
//!   attempt.
//!
//! One receive uses the kernel at a time: the owner of the socket sees to that. So what a dropped
//! receive has left is always found by the next, which looks there before it waits.

mod attempt;
mod connection;
mod headers;
mod readiness;
mod recv;
mod recv_fds;
mod recv_lease;
mod recv_multishot;
mod send;
mod send_fds;
mod socket;

pub(crate) use recv::RecvDatagram;
pub(crate) use recv_fds::RecvDatagramFds;
pub(crate) use send::SendDatagram;
pub(crate) use send_fds::SendDatagramFds;
pub(crate) use socket::{Arrived, DatagramSocket, Family};
