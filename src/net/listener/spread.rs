//! The ways to spread connections over shards.

/// How the connections of one address are spread over the [shards](crate::shards) that listen on
/// it.
///
/// For [`ListenOptions::spread`](super::ListenOptions::spread). Every shard that binds the address
/// takes part, and the shards must agree. A connection stays where it was accepted, unless it is
/// [moved](crate::net::TcpStream::into_parts).
///
/// With port 0, the shards share the port that the first of them gets. Where a program binds port 0
/// several times, the first listener of a shard joins the first of the others, the second the
/// second, and so on, whatever they are for. If shard 0 alone binds port 0 for its administration
/// before all bind it for clients, the clients of the others arrive at what was the port of the
/// administration: a listener of one shard alone is [`Private`](Self::Private).
///
/// | way | choose it for |
/// |---|---|
/// | [`Hash`](Self::Hash) | many connections; the default for TCP |
/// | [`Cpu`](Self::Cpu) | many connections, and a network device with a queue for each CPU |
/// | [`LeastLoaded`](Self::LeastLoaded) | few and long connections; the default for Unix sockets |
/// | [`Private`](Self::Private) | a listener of one shard alone |
///
/// `docs/performance.md` has figures of how evenly each spreads.
///
/// # Example
///
/// ```
/// use annulus::Shards;
/// use annulus::net::{ListenOptions, Spread, TcpListener};
///
/// Shards::builder().count(2).run(async |_| {
///     let options = ListenOptions::new().spread(Spread::LeastLoaded);
///     let listener = TcpListener::bind_with("127.0.0.1:0", &options).await?;
///     println!("listens on {}", listener.local_addr()?);
///     std::io::Result::Ok(())
/// })?;
/// # Ok::<(), annulus::shards::ShardsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spread {
    /// The kernel chooses by a hash of the two addresses (`SO_REUSEPORT`).
    ///
    /// It costs nothing. It is even for many connections, and by chance for few: of ten
    /// connections, two shards may well get eight and two. What waits in the backlog of a shard
    /// that ends without [closing](crate::net::Server::close) its listener is reset.
    Hash,
    /// The kernel chooses the shard of the CPU that processes the connection's handshake
    /// (`SO_INCOMING_CPU`).
    ///
    /// So a packet, its softirq and its task stay on one CPU, where the queues of the network
    /// device are spread over the CPUs of the shards. A connection that arrives on a CPU without a
    /// shard is spread by the hash, and so are the connections of one CPU over several shards that
    /// are pinned to it. Only for TCP, and only for shards that are
    /// [pinned](crate::shards::Shard::cpu). Before Linux 6.2, and stable kernels with the same
    /// correction, the kernel uses the hash.
    Cpu,
    /// The shard with the fewest open connections of this address gets the next one; of several the
    /// one after the last that was chosen.
    ///
    /// All shards accept from one listening socket. A shard that accepts a connection places it on
    /// another, which takes a lock and wakes that one. A shard is passed over if it has as
    /// many connections as [its server](crate::net::ServerOptions::max_connections) serves. While
    /// [`max_pending`](super::ListenOptions::max_pending) connections wait to be accepted there,
    /// further ones wait in the backlog; after a tenth of a second the shard is passed over, until
    /// it accepts again.
    ///
    /// When a shard closes or drops its listener, or ends, the backlog stays with the others. The
    /// last to close its listener refuses connections meanwhile, and returns or serves the backlog.
    /// Connections that were placed on it and not accepted go to others if the listener is dropped;
    /// if it is closed, they are [returned](crate::net::TcpListener::close) or served.
    ///
    /// A connection is open until its stream, and the halves, reader or writer made of it, are
    /// dropped. The options of the first listener hold for all.
    LeastLoaded,
    /// The address is not shared: each shard has a port of its own for port 0, and no two shards
    /// can listen on the same address.
    ///
    /// For a listener that not all shards have, such as one for administration on the first.
    Private,
}
