//! How to listen.

use super::spread::Spread;
use crate::net::options::unbound::Unbound;
use crate::net::tcp::option_names::{DEFER_ACCEPT, FAST_OPEN, FREEBIND, TRANSPARENT};
use crate::net::tcp::{Initial, initial_option_methods, initial_options};

/// How to listen.
///
/// For [`TcpListener::bind_with`](crate::net::TcpListener::bind_with),
/// [`UnixListener::bind_addr`](crate::net::UnixListener::bind_addr),
/// [`UnixSeqpacketListener::bind_addr`](crate::net::UnixSeqpacketListener::bind_addr) and
/// [`ServerOptions::listen`](crate::net::ServerOptions::listen).
///
/// # Example
///
/// ```
/// use annulus::net::{ListenOptions, TcpListener};
///
/// annulus::run(async {
///     let options = ListenOptions::new().reuse_port(true).backlog(4096);
///     let first = TcpListener::bind_with("127.0.0.1:0", &options).await?;
///     // A second listener on the same port, for another thread.
///     TcpListener::bind_with(first.local_addr()?, &options).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ListenOptions {
    pub(in crate::net) backlog: u32,
    pub(in crate::net) max_pending: usize,
    pub(in crate::net) spread: Option<Spread>,
    pub(in crate::net) unlink: bool,
    pub(in crate::net) unbound: Unbound,
    pub(in crate::net) initial: Initial,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ListenOptions {
    /// The defaults, which each method describes.
    pub const fn new() -> Self {
        Self {
            backlog: 1024,
            max_pending: 64,
            spread: None,
            unlink: true,
            unbound: Unbound::new(true),
            initial: Initial::new(),
        }
    }

    /// Sets how many connections the kernel keeps until they are accepted.
    ///
    /// The kernel limits the number by `net.core.somaxconn`. 1024 by default.
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets how many accepted connections may wait until the program awaits them.
    ///
    /// At the limit the listener takes no more connections from the backlog, so that a flood of
    /// clients cannot use up the descriptors of a busy server. The kernel takes connections in
    /// batches, of which the last may be as large as the backlog: at most `max_pending + backlog`
    /// are held. 64 by default; at least one.
    pub const fn max_pending(mut self, connections: usize) -> Self {
        self.max_pending = connections;
        self
    }

    /// Sets `SO_REUSEADDR`: whether an address with connections in `TIME_WAIT` is free.
    ///
    /// On by default.
    #[doc(alias = "SO_REUSEADDR")]
    pub const fn reuse_addr(mut self, on: bool) -> Self {
        self.unbound.reuse_addr = on;
        self
    }

    /// Sets `SO_REUSEPORT`: whether the port is shared with listeners that set it, too.
    ///
    /// The kernel spreads connections over them. Off by default. [Shards](crate::shards) share a
    /// port among themselves without it; with it they share the port with other processes, too.
    #[doc(alias = "SO_REUSEPORT")]
    pub const fn reuse_port(mut self, on: bool) -> Self {
        self.unbound.reuse_port = on;
        self
    }

    /// Sets how connections are spread over the [shards](crate::shards) that listen on the address.
    ///
    /// By default TCP connections are spread by [`Spread::Hash`], and those of Unix sockets by
    /// [`Spread::LeastLoaded`]. Outside of shards it has no effect.
    ///
    /// A listener that only one shard has needs [`Spread::Private`], at least with port 0:
    /// otherwise a listener of another shard, for something else, may [join its port](Spread).
    ///
    /// # Example
    ///
    /// ```no_run
    /// use annulus::Shards;
    /// use annulus::net::{
    ///     ListenOptions, ServerOptions, Spread, StreamReader, StreamWriter, start_server_with,
    /// };
    ///
    /// async fn hello(_: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    ///     writer.write("hello\n").await
    /// }
    ///
    /// Shards::builder().run(async |_| {
    ///     let listen = ListenOptions::new().spread(Spread::LeastLoaded);
    ///     let options = ServerOptions::new().listen(listen);
    ///     start_server_with(hello, "127.0.0.1:7000", &options).await?.serve_forever().await;
    ///     std::io::Result::Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn spread(mut self, spread: Spread) -> Self {
        self.spread = Some(spread);
        self
    }

    /// Sets whether a Unix listener removes the file at its path when it is closed or dropped.
    ///
    /// On by default; see [`UnixListener`](crate::net::UnixListener#the-file) for when it stays
    /// all the same.
    pub const fn unlink(mut self, on: bool) -> Self {
        self.unlink = on;
        self
    }

    /// Sets `IPV6_V6ONLY`: whether an IPv6 listener refuses IPv4 connections.
    ///
    /// By default the system decides, by `net.ipv6.bindv6only`.
    #[doc(alias = "IPV6_V6ONLY")]
    pub const fn v6_only(mut self, on: bool) -> Self {
        self.unbound.v6_only = Some(on);
        self
    }

    /// Sets the size of the connections' send buffers in the kernel, in bytes.
    ///
    /// The connections inherit it. By default the kernel lets the buffer of a TCP connection grow,
    /// up to 4 MiB (`net.ipv4.tcp_wmem`), as far as its peer reads; the limit then bounds what a
    /// peer that stops to read leaves there. A small buffer also limits how fast a far peer can be
    /// sent to, to about this much in the time of one round trip. The kernel doubles the number.
    ///
    /// A TCP connection may hold more: the kernel looks at the limit when it begins a segment, and
    /// fills the segment all the same. That is up to half of the peer's window, at most 64 KiB.
    #[doc(alias = "SO_SNDBUF")]
    pub const fn send_buffer_size(mut self, bytes: usize) -> Self {
        self.unbound.send_buffer_size = Some(bytes);
        self
    }

    /// Sets the size of the connections' receive buffers in the kernel, in bytes.
    ///
    /// The connections inherit it. By default the kernel lets the buffer of a TCP connection grow
    /// (`net.ipv4.tcp_rmem`), as fast as the program reads. It bounds what a peer can send that the
    /// handler does not read. The kernel doubles the number.
    #[doc(alias = "SO_RCVBUF")]
    pub const fn recv_buffer_size(mut self, bytes: usize) -> Self {
        self.unbound.recv_buffer_size = Some(bytes);
        self
    }

    initial_option_methods!();

    initial_options! {
        /// Sets how long a connection may be left unaccepted until its peer sends something.
        ///
        /// The listener is not woken for connections on which nothing has arrived; after this time,
        /// in whole seconds and rounded to what the kernel's retries make of it, they are accepted
        /// all the same, if the peer still answers. For protocols in which the client speaks first.
        #[doc(alias = "TCP_DEFER_ACCEPT")]
        defer_accept(seconds: u32), DEFER_ACCEPT, seconds;

        /// Accepts data in the first packet of a connection (TCP Fast Open, RFC 7413).
        ///
        /// At most `queue` connections may be unconfirmed at the same time. The system must allow
        /// it: bit 2 of `net.ipv4.tcp_fastopen`, which is not set by default; without it, this has
        /// no effect. Such data may arrive twice: use it for requests that may be repeated.
        #[doc(alias = "TCP_FASTOPEN")]
        fast_open(queue: u32), FAST_OPEN, queue;

        /// Listens on an address that this machine does not have yet.
        #[doc(alias = "IP_FREEBIND")]
        freebind(on: bool), FREEBIND, on;

        /// Accepts connections to addresses of other machines, as a transparent proxy.
        ///
        /// Needs `CAP_NET_ADMIN` or `CAP_NET_RAW`.
        #[doc(alias = "IP_TRANSPARENT")]
        transparent(on: bool), TRANSPARENT, on;
    }
}
