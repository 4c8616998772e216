//! What UDP sockets and Unix datagram sockets share.
//!
//! [`core`] is a socket and the tasks that receive from it. [`methods`] is what either kind offers
//! over it, and [`socket_methods`] what Unix sockets with connections and messages offer, too.
//! [`meta`] is what is known about a datagram beside its bytes, [`options`] what is told to the
//! kernel with one. [`recv_many`] and [`send_many`] are for several at once, and [`endpoint`] is
//! asyncio's view of a UDP socket.

pub(super) mod core;
mod endpoint;
pub(super) mod meta;
pub(super) mod methods;
mod options;
mod recv_many;
mod send_many;
pub(super) mod socket_methods;

pub use endpoint::{DatagramEndpoint, datagram_endpoint, open_datagram_endpoint};
pub use meta::{Datagram, Ecn, RecvMeta};
pub use options::SendOptions;
pub use recv_many::RecvMany;
pub use send_many::SendMany;
