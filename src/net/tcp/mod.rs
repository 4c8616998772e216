//! TCP: what [`net`](crate::net) has, and the options of its sockets.
//!
//! | to                                            | use                                     |
//! |-----------------------------------------------|-----------------------------------------|
//! | serve, with a handler for each connection     | [`start_server`], [`Server`]            |
//! | connect, and read lines or records            | [`open_connection`]                     |
//! | accept connections one by one                 | [`TcpListener`]                         |
//! | connect, with buffers of your own or leases   | [`TcpStream`]                           |
//! | read in one task and write in another         | [`TcpStream::into_split`]               |
//! | pass on between two connections               | [`copy_bidirectional`]                  |
//! | send a file                                   | [`TcpStream::send_file`]                |
//! | listen, connect or serve otherwise            | [`ListenOptions`], [`ConnectOptions`], [`ServerOptions`] |
//! | find dead peers                               | [`TcpStream::set_keepalive`], [`Keepalive`] |
//!
//! [`net`](crate::net) says what becomes of operations that are dropped.

// `listener` takes connections, `stream` is one; `split` makes two halves of a stream for two tasks;
// `transfer` is how bytes go either way, for streams and halves alike. `connect` opens connections;
// `buffered` puts `io`'s readers and writers on them; `pass_on` passes on between two connections,
// `send_file` sends a file; `server` runs a handler for each connection; `options` are the sockets'.

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
    HandlerFailure, HandlerOutcome, Server, ServerOptions, Shutdown, start_server,
    start_server_with,
};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::{Detached, TcpStream};
