//! TCP. What is public of it is re-exported by [`net`](crate::net).
//!
//! `listener` takes connections, `stream` is one; `split` makes two halves of a stream for two tasks;
//! `transfer` is how bytes go either way, for streams and halves alike. `connect` opens connections;
//! `buffered` puts `io`'s readers and writers on them; `pass_on` passes on between two connections,
//! `send_file` sends a file; `server` runs a handler for each connection; `options` are the sockets'.

mod buffered;
mod connect;
mod listener;
mod options;
mod pass_on;
mod send_file;
mod server;
mod split;
mod stream;
mod transfer;
mod trouble;

pub use buffered::{StreamReader, StreamWriter, open_connection, open_connection_with};
pub use connect::ConnectOptions;
pub use listener::{Incoming, ListenOptions, TcpListener};
pub use options::Keepalive;
pub use pass_on::copy_bidirectional;
pub use server::{
    HandlerFailure, HandlerOutcome, Server, ServerOptions, Shutdown, start_server, start_server_on,
    start_server_with,
};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::{Detached, TcpStream};
