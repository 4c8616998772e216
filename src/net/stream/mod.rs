//! What all stream sockets share.
//!
//! `connection` is the trait that tells them apart. `ops` moves bytes either way; `methods` offers
//! that as methods of streams and halves, and `io` as the traits of [`io`](crate::io). `define`
//! makes a type a stream. `halves` are a stream for two tasks, `buffered` puts readers and writers
//! on it, `into_std` takes it out of the runtime, and `parts` moves it to another.
//! `copy_bidirectional` passes bytes on between two connections, and `send_file` sends a file.

mod buffered;
mod connection;
mod copy_bidirectional;
pub(super) mod define;
mod halves;
mod into_std;
pub(super) mod io;
pub(super) mod methods;
pub(super) mod ops;
mod parts;
pub(super) mod send_file;

pub(super) use buffered::{BufferLimits, buffer, unbuffer};
pub use buffered::{StreamReader, StreamWriter};
pub use connection::Connection;
pub(super) use connection::{adopt, new_socket, sealed};
pub use copy_bidirectional::copy_bidirectional;
pub(super) use halves::split;
pub use halves::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use into_std::IntoStd;
pub(super) use into_std::take_apart;
pub use parts::{StreamParts, TcpParts, UnixParts};
pub(super) use parts::{from_parts, into_parts};
