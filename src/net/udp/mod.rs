//! UDP: a socket, how to make one, and its options.

mod bind;
mod options;
mod socket;

pub use bind::UdpOptions;
pub use socket::UdpSocket;
