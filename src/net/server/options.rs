//! How to serve.

use std::time::Duration;

use crate::io::checked_limit;
use crate::net::listener::ListenOptions;
use crate::net::stream::BufferLimits;

/// How to serve.
///
/// For [`start_server_with`](crate::net::start_server_with); see also [the limits that a server
/// needs](crate::net#limits).
///
/// All limits are those of one server. In [shards](crate::shards) each shard has its own server, so
/// a limit for the whole process is to be divided by their number:
/// `max_connections(total.div_ceil(shard.count()))`. The shards do not fill evenly, except with
/// [`Spread::LeastLoaded`](crate::net::Spread::LeastLoaded): one may be full while others have
/// room. A limit per peer cannot be divided if it is smaller than the number of shards, and a peer
/// may have it on each.
///
/// # Connections that leave
///
/// A handler may give its connection away: to another thread by
/// [`into_parts`](crate::net::TcpStream::into_parts), or to the standard library by
/// [`into_std`](crate::net::TcpStream::into_std). From then on the times and rates are not watched,
/// and when the handler returns, the connection counts neither for
/// [`max_connections`](Self::max_connections) nor for its peer. Let the handler wait for the end of
/// the connection where it should count. Of [`listen`](Self::listen), what the kernel watches goes
/// along: keepalive, the sizes of its buffers, and `TCP_USER_TIMEOUT` of
/// [`send_timeout`](Self::send_timeout).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::net::{
///     Keepalive, ListenOptions, ServerOptions, StreamReader, StreamWriter, start_server_with,
/// };
///
/// annulus::run(async {
///     let keepalive = Keepalive::new().idle(Duration::from_secs(60));
///     let options = ServerOptions::new()
///         .listen(ListenOptions::new().keepalive(keepalive))
///         .max_connections(10_000);
///     let handler = async |_: StreamReader, mut writer: StreamWriter| writer.write("hello").await;
///     let server = start_server_with(handler, "127.0.0.1:0", &options).await?;
///     assert_eq!(server.active_connections(), 0);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerOptions {
    pub(in crate::net) listen: ListenOptions,
    pub(in crate::net) max_connections: Option<usize>,
    pub(super) when_full: WhenFull,
    pub(super) max_connections_per_peer: Option<usize>,
    pub(super) progress: ProgressLimits,
    pub(super) buffers: BufferLimits,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerOptions {
    /// The defaults, which each method describes.
    pub const fn new() -> Self {
        Self {
            listen: ListenOptions::new(),
            max_connections: None,
            when_full: WhenFull::Wait,
            max_connections_per_peer: None,
            progress: ProgressLimits { idle: None, send: None, min_rate: None },
            buffers: BufferLimits { reader: None, writer: None },
        }
    }

    /// Sets how to listen.
    pub fn listen(mut self, options: ListenOptions) -> Self {
        self.listen = options;
        self
    }

    /// Sets how many connections are served at the same time, at least one.
    ///
    /// It is a limit of one server: in [shards](crate::shards), of each shard's.
    ///
    /// No limit by default. Beyond it accepting waits, unless [`when_full`](Self::when_full) says
    /// otherwise, and connections stay in the kernel's backlog, where they take no descriptor of
    /// this process: no client is turned away. (Several
    /// addresses share the limit: up to 16 connections of each may have been accepted and wait to
    /// be served. A server that is closed accepts all that have arrived, and serves them within the
    /// limit.)
    ///
    /// It is also what bounds the memory that peers can make a server hold, together with what one
    /// connection may: mostly a few KiB, and for one whose peer sends and never reads what its
    /// handler lets it be, that is the reader's limit, the writer's (64 KiB each), and what one
    /// receive takes (up to [`Builder::large_buffers`](crate::Builder::large_buffers)' size).
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = Some(connections);
        self
    }

    /// Sets what becomes of connections beyond [`max_connections`](Self::max_connections).
    ///
    /// They wait by default.
    pub const fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    /// Sets how many connections of one peer are served at the same time, at least one.
    ///
    /// It is a limit of one server. In [shards](crate::shards) each counts its own: a peer may have
    /// as many connections on each shard, and since they are not spread exactly evenly, may be
    /// refused on one before it has as many on the others.
    ///
    /// No limit by default. A connection beyond it is accepted and reset at once, which
    /// [`Metrics::refused_peer_connections`](crate::Metrics::refused_peer_connections) counts; its
    /// handler does not begin.
    ///
    /// A peer is an IP address. IPv6 addresses of one network of 64 bits are one peer, except
    /// link-local ones; an IPv4 address is the same if it came over IPv6. Peers without an address
    /// are not limited: those of Unix sockets, and one whose address the system does not tell. The
    /// loopback address is limited like any other, so behind a proxy on this machine, or any other
    /// that all clients come through, this is not the right limit.
    pub const fn max_connections_per_peer(mut self, connections: usize) -> Self {
        self.max_connections_per_peer = Some(connections);
        self
    }

    /// Ends connections on which nothing is received or sent for this time.
    ///
    /// It may take up to a quarter longer.
    ///
    /// No limit by default. The peer receives EOF. Reads and writes of the handler fail with
    /// `TimedOut`, which counts as the peer being gone
    /// ([`HandlerOutcome`](crate::net::HandlerOutcome)): a handler that returns the error is not
    /// reported. One that waits for something else learns of it at its next read or write; it is
    /// not cancelled. [`Metrics::idle_timeouts`](crate::Metrics::idle_timeouts) counts these
    /// connections.
    ///
    /// What the handler does meanwhile makes no difference, so the time must be longer than the
    /// longest in which it neither reads nor writes. A peer that sends one byte now and then is not
    /// idle: how long a request may take to arrive is for the protocol to say, by a
    /// [`timeout`](crate::time::timeout) around the read of a whole one.
    ///
    /// # Panics
    ///
    /// If `timeout` is zero.
    #[doc(alias = "keepalive_timeout")]
    #[track_caller]
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "`idle_timeout` of zero: every connection would be idle");
        self.progress.idle = Some(timeout);
        self
    }

    /// Resets connections whose peer takes nothing of what is sent for this time.
    ///
    /// It may take up to a quarter longer.
    ///
    /// No limit by default: a peer that does not read can keep a connection for ever. Anything that
    /// the peer takes begins the time anew; [`min_send_rate`](Self::min_send_rate) demands more.
    /// Reads and writes of the handler fail as by [`idle_timeout`](Self::idle_timeout).
    /// [`Metrics::send_timeouts`](crate::Metrics::send_timeouts) counts these connections.
    ///
    /// It also holds for what is still being sent when the handler has returned. What the kernel
    /// then holds alone it gives up a second after twice the time, by `TCP_USER_TIMEOUT`, which is
    /// set for the listening sockets and inherited.
    ///
    /// # Panics
    ///
    /// If `timeout` is zero.
    #[doc(alias = "TCP_USER_TIMEOUT")]
    #[doc(alias = "write_timeout")]
    #[track_caller]
    pub const fn send_timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "`send_timeout` of zero: every peer would be too slow");
        self.progress.send = Some(timeout);
        self
    }

    /// Resets connections whose peer takes what is sent more slowly than this, in bytes a second.
    ///
    /// No limit by default. It is judged over [`send_timeout`](Self::send_timeout), or ten seconds
    /// without one. A peer to which little is sent is never too slow: it must take as many bytes as
    /// the rate makes only if the kernel's buffer was full all that time, so that more could have
    /// been sent; otherwise it must take what the buffer held when the time began. Connections are
    /// reset and counted as by `send_timeout`.
    pub const fn min_send_rate(mut self, bytes_per_second: u32) -> Self {
        self.progress.min_rate = Some(bytes_per_second);
        self
    }

    /// Sets how many bytes a line or record may have, without its separator.
    ///
    /// 64 KiB by default. See [`StreamReader::set_limit`](crate::io::StreamReader::set_limit).
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    #[track_caller]
    pub const fn reader_limit(mut self, bytes: usize) -> Self {
        self.buffers.reader = Some(checked_limit(bytes));
        self
    }

    /// Sets how many bytes a handler's writer queues until it waits.
    ///
    /// 64 KiB by default. See [`StreamWriter::with_limit`](crate::io::StreamWriter::with_limit).
    /// This much, and what one write has more, is what a connection holds in this process whose
    /// peer does not read; what the kernel holds besides is limited by
    /// [`ListenOptions::send_buffer_size`].
    pub const fn writer_limit(mut self, bytes: usize) -> Self {
        self.buffers.writer = Some(bytes);
        self
    }
}

/// When connections are ended for want of progress.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgressLimits {
    /// How long nothing may be received or sent.
    pub(super) idle: Option<Duration>,
    /// How long the peer may take nothing of what is sent.
    pub(super) send: Option<Duration>,
    /// How many bytes a second the peer must take of what is sent.
    pub(super) min_rate: Option<u32>,
}

/// What becomes of connections beyond the limit of a server.
///
/// For [`ServerOptions::when_full`], and the limit of [`ServerOptions::max_connections`].
///
/// # Example
///
/// ```
/// use annulus::net::{ServerOptions, WhenFull};
///
/// let options = ServerOptions::new().max_connections(10_000).when_full(WhenFull::Reset);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// They wait in the kernel's backlog until there is room.
    ///
    /// Right where connections are short, so that the wait is, too.
    #[default]
    Wait,
    /// They are reset at once.
    ///
    /// Right where clients have another server to turn to, as behind a load balancer.
    /// [`Metrics::refused_connections`](crate::Metrics::refused_connections) counts them.
    Reset,
}
