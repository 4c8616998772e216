//! Addresses, listeners, connections and servers.
//!
//! Connections over the loopback interface, against the standard library's sockets and against
//! themselves. Tests that count descriptors are in `descriptors`, those that need a process of
//! their own in `processes`.

#[path = "../common/mod.rs"]
mod common;

mod accept_failures;
mod accepts;
mod addresses;
mod attempts;
mod broken_off;
mod dropped_writes;
mod hashed_stream;
mod inline_calls;
mod leases;
mod moved;
mod multishot_recv;
mod polled;
#[cfg(all(feature = "futures-io", feature = "tokio-io"))]
mod polled_traits;
mod reader_limits;
mod resets;
mod server;
mod server_limits;
mod shutdown;
mod tcp;
mod tcp_options;
mod tcp_socket;
mod transfers;
mod udp;
mod udp_drops;
mod unix;
mod unix_datagram;
mod unix_file;
mod unix_seqpacket;
mod zero_copy;
