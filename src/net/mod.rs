//! TCP: listeners, streams, and the addresses they take.
//!
//! # Cancellation
//!
//! Every future here can be dropped at any moment, by a [`timeout`](crate::time::timeout) or a lost
//! `select!`, and the drop never blocks. What was under way then loses nothing:
//!
//! - a dropped **read** gives what the kernel had already delivered to the next read of the stream,
//!   in order; an error too;
//! - a dropped **accept** leaves a connection that had arrived to the next accept;
//! - a dropped **connect** closes its socket;
//! - a dropped **write** may have sent a part of its bytes, and nobody learns how many. The next
//!   write waits for its end, so that bytes do not mix; but a protocol that must know where it
//!   stands should not drop writes. To bound a write in time, spawn it, or close the stream.

mod address;
pub mod tcp;

pub use address::{ToAddresses, lookup};
pub use tcp::{
    ConnectOptions, Detached, HandlerOutcome, Incoming, ListenOptions, OwnedReadHalf,
    OwnedWriteHalf, ReuniteError, Server, ServerOptions, Shutdown, StreamReader, StreamWriter,
    TcpListener, TcpStream, copy_bidirectional, open_connection, open_connection_with,
    start_server, start_server_with,
};
