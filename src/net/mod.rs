//! TCP, UDP and Unix sockets: servers, listeners, connections, and the addresses they take.
//!
//! Start with [`start_server`] and [`open_connection`], which have buffered readers and writers as
//! asyncio has. [`TcpListener`] and [`TcpStream`] are the layer below: each operation takes and
//! returns a buffer, or lends one ([`TcpStream::recv`]). [`UnixListener`] and [`UnixStream`] are
//! the same for Unix sockets: what is said of TCP holds for them, too.
//!
//! ```no_run
//! use annulus::net::{StreamReader, StreamWriter, start_server};
//!
//! async fn shout(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
//!     loop {
//!         let line = reader.read_line().await?;
//!         if line.is_empty() {
//!             return Ok(());
//!         }
//!         writer.write(line.to_ascii_uppercase()).await?;
//!     }
//! }
//!
//! #[annulus::main]
//! async fn main() -> std::io::Result<()> {
//!     start_server(shout, "localhost:7000").await?.serve_forever().await;
//!     Ok(())
//! }
//! ```
//!
//! # Which to use
//!
//! | to                                            | use                                     |
//! |-----------------------------------------------|-----------------------------------------|
//! | serve, with a handler for each connection     | [`start_server`], [`Server`]            |
//! | connect, and read lines or records            | [`open_connection`]                     |
//! | accept connections one by one                 | [`TcpListener`]                         |
//! | connect, with owned buffers or leases         | [`TcpStream`]                           |
//! | read in one task and write in another         | [`TcpStream::into_split`]               |
//! | copy between two connections                  | [`copy_bidirectional`]                  |
//! | serve on several cores                        | [shards](crate::shards), [`Spread`]     |
//! | use a crate for the traits of Tokio or futures | [`Polled`]                         |
//! | move a connection to another thread           | [`TcpStream::into_parts`]               |
//! | send a file                                   | [`TcpStream::send_file`]                |
//! | listen, connect or serve otherwise            | [`ListenOptions`], [`ConnectOptions`]   |
//! | set options before connect or listen          | [`TcpSocket`]                           |
//! | limit a server                                | [`ServerOptions`]                       |
//! | end a server in order, at SIGTERM             | [`Server::serve_until`]                 |
//! | detect dead peers                             | [`TcpStream::set_keepalive`], [`Keepalive`] |
//! | look up a name or an address                  | [`lookup`], [`reverse_lookup`]          |
//! | send and receive datagrams                    | [`UdpSocket`], [`datagram_endpoint`]    |
//! | serve on this machine only                    | [`start_unix_server`], [`UnixListener`] |
//! | exchange datagrams on this machine            | [`UnixDatagram`]                        |
//! | the same over connections, with an end        | [`UnixSeqpacket`], [`UnixSeqpacketListener`] |
//! | connect on this machine                       | [`open_unix_connection`], [`UnixStream`] |
//! | know which user a local peer is               | [`UnixStream::peer_cred`]               |
//! | pass files and sockets to another process     | [`UnixStream::send_with_fds`]           |
//!
//! # Limits
//!
//! A server has no limits by default except those on the memory of each connection (the reader's
//! and writer's, 64 KiB each). One that strangers can reach needs the others, too:
//!
//! | against                                        | limit                                       |
//! |------------------------------------------------|---------------------------------------------|
//! | too many connections                           | [`ServerOptions::max_connections`]          |
//! | too many of one peer                           | [`ServerOptions::max_connections_per_peer`] |
//! | peers that connect and do nothing              | [`ServerOptions::idle_timeout`]             |
//! | peers that request and do not read             | [`ServerOptions::send_timeout`]             |
//! | peers that read a little now and then          | [`ServerOptions::min_send_rate`]            |
//! | what a peer that does not read leaves here     | [`ServerOptions::writer_limit`]             |
//! | and what it leaves in the kernel               | [`ListenOptions::send_buffer_size`]         |
//! | requests that arrive byte by byte              | [`timeout`] around the read of a whole one  |
//! | peers that vanish                              | [`ListenOptions::keepalive`]                |
//! | received bytes that handlers keep              | [`Builder::max_fallback_bytes`]             |
//!
//! ```
//! use std::time::Duration;
//! use annulus::net::{Keepalive, ListenOptions, ServerOptions};
//!
//! let listen = ListenOptions::new()
//!     .keepalive(Keepalive::new().idle(Duration::from_secs(60)))
//!     .send_buffer_size(64 * 1024)
//!     .recv_buffer_size(64 * 1024);
//! let options = ServerOptions::new()
//!     .listen(listen)
//!     .max_connections(10_000)
//!     .max_connections_per_peer(100)
//!     .idle_timeout(Duration::from_secs(60))
//!     .send_timeout(Duration::from_secs(30))
//!     .min_send_rate(1024)
//!     .writer_limit(16 * 1024);
//! ```
//!
//! Times are those of a server that answers soon. Buffers of 64 KiB in the kernel are enough for
//! peers near by; leave the sizes to the kernel where far ones download much and memory is there.
//!
//! [`timeout`]: crate::time::timeout
//! [`Builder::max_fallback_bytes`]: crate::Builder::max_fallback_bytes
//!
//! Each server has limits of its own. In a program with several threads, each of which has a server
//! on the same port, divide the totals by their number: the kernel spreads the connections of one
//! peer over all of them. Let the total of `max_connections` stay below the process's limit of open
//! files (`ulimit -n`), with room for what else it opens: a server without descriptors cannot
//! accept, and those that are connected decide when it can again.
//!
//! # Cancellation
//!
//! Every future here can be dropped at any moment, by a [`timeout`](crate::time::timeout) or a lost
//! `select!`, and the drop never blocks. What becomes of the operation:
//!
//! - a dropped **read** leaves what the kernel had already delivered to the next read of the
//!   stream, in order; an error, too;
//! - a dropped **receive** of a datagram or message leaves it to the next receive, with its sender;
//! - a dropped **accept** leaves a connection that had arrived to the next accept;
//! - a dropped **connect** closes its socket;
//! - a dropped **write** may have sent a part of its bytes, and the caller cannot learn how many.
//!   The next write waits for its end, so that bytes do not mix; but a protocol that must know how
//!   much was sent should not drop writes. To bound a write in time, spawn it, or close the stream.

mod address;
mod datagram;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lead;
mod listener;
mod names;
mod options;
mod polled;
mod server;
mod stream;
mod tcp;
mod udp;
mod unix;

pub use crate::sys::tcp_info::TcpInfo;
pub use address::ToAddresses;
pub use datagram::{
    Datagram, DatagramEndpoint, Ecn, RecvMany, RecvMeta, SendMany, SendOptions, datagram_endpoint,
    open_datagram_endpoint,
};
pub(crate) use listener::SharedListener;
pub use listener::{Incoming, ListenOptions, Listener, Listening, Spread};
#[cfg(any(test, fuzzing))]
pub(crate) use names::fuzz as fuzz_names;
pub use names::{LookupOptions, lookup, lookup_with, reverse_lookup};
pub use polled::{Polled, ReadSide, Side, WriteSide};
pub use server::{
    HandlerFailure, HandlerOutcome, Server, ServerOptions, ShutdownOptions, ShutdownReport,
    WhenFull, start_server_on, start_stream_server_on,
};
pub use stream::{
    Connection, IntoStd, OwnedReadHalf, OwnedWriteHalf, ReuniteError, StreamParts, StreamReader,
    StreamWriter, TcpParts, UnixParts, copy_bidirectional,
};
pub use tcp::{
    ConnectOptions, Keepalive, TcpListener, TcpSocket, TcpStream, open_connection,
    open_connection_with, start_server, start_server_with,
};
pub use udp::{UdpOptions, UdpSocket};
pub use unix::{
    ReceivedFds, RecvMessages, UCred, UnixDatagram, UnixListener, UnixSeqpacket,
    UnixSeqpacketListener, UnixStream, open_unix_connection, start_unix_server,
    start_unix_server_with,
};
