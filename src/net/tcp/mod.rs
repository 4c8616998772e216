//! TCP.
//!
//! - `listener` takes connections, `stream` is one; `split` makes two halves of a stream for
//!   two tasks.
//! - `transfer` is how bytes go either way, for streams and halves alike.
//! - `options` are the socket options.

mod connect;
mod listener;
mod options;
mod split;
mod stream;
mod transfer;

pub use listener::{Incoming, ListenOptions, TcpListener};
pub use options::Keepalive;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::{Detached, TcpStream};
