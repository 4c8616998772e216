//! How to serve.

use crate::io::checked_limit;
use crate::net::listener::ListenOptions;

/// How to serve; see [`start_server_with`](crate::net::start_server_with).
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
    pub(in crate::net) reader_limit: Option<usize>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerOptions {
    /// The defaults, which each method describes.
    pub const fn new() -> Self {
        Self { listen: ListenOptions::new(), max_connections: None, reader_limit: None }
    }

    /// Sets how to listen.
    pub const fn listen(mut self, options: ListenOptions) -> Self {
        self.listen = options;
        self
    }

    /// Sets how many connections are served at the same time, at least one.
    ///
    /// No limit by default. Beyond it accepting waits, and connections stay in the kernel's
    /// backlog, where they take no descriptor of this process: no client is turned away. (Several
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

    /// Sets how many bytes a line or record may have, without its separator.
    ///
    /// 64 KiB by default. See [`StreamReader::set_limit`](crate::io::StreamReader::set_limit).
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    #[track_caller]
    pub const fn reader_limit(mut self, bytes: usize) -> Self {
        self.reader_limit = Some(checked_limit(bytes));
        self
    }
}
