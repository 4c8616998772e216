//! How to connect.

use std::net::SocketAddr;
use std::time::Duration;

use crate::io::checked_limit;
use crate::net::tcp::option_names::FAST_OPEN_CONNECT;
use crate::net::tcp::{Initial, initial_option_methods, initial_options};

/// How to connect; see [`TcpStream::connect_with`](super::TcpStream::connect_with).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::net::{ConnectOptions, TcpListener, TcpStream};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let options = ConnectOptions::new().timeout(Duration::from_secs(2)).nodelay(true);
///     TcpStream::connect_with(listener.local_addr()?, &options).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ConnectOptions {
    pub(in crate::net) timeout: Option<Duration>,
    pub(in crate::net) happy_eyeballs_delay: Option<Duration>,
    pub(in crate::net) local_addr: Option<SocketAddr>,
    pub(in crate::net) initial: Initial,
    pub(in crate::net) reader_limit: Option<usize>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ConnectOptions {
    /// The defaults, which each method describes.
    pub const fn new() -> Self {
        Self {
            timeout: None,
            happy_eyeballs_delay: Some(Duration::from_millis(250)),
            local_addr: None,
            initial: Initial::new(),
            reader_limit: None,
        }
    }

    /// Sets how long each address has to answer.
    ///
    /// The kernel keeps the timeout, even while the loop is busy. By default only the system's own
    /// applies, which is minutes.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long an address has to answer before the next is tried, too (RFC 8305).
    ///
    /// A quarter of a second by default. With `None` the next address is tried only when the one
    /// before has failed.
    pub const fn happy_eyeballs_delay(mut self, delay: Option<Duration>) -> Self {
        self.happy_eyeballs_delay = delay;
        self
    }

    /// Sets the address to connect from.
    ///
    /// A port of zero is chosen by the system when it connects: one that is in use for a
    /// connection to elsewhere is possible. Addresses of the other family are not tried then.
    #[doc(alias = "bind")]
    pub const fn local_addr(mut self, address: SocketAddr) -> Self {
        self.local_addr = Some(address);
        self
    }

    /// Sets how many bytes a line or record may have, without its separator.
    ///
    /// For [`open_connection_with`](crate::net::open_connection_with) only. 64 KiB by default. See
    /// [`StreamReader::set_limit`](crate::io::StreamReader::set_limit).
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    #[track_caller]
    pub const fn reader_limit(mut self, bytes: usize) -> Self {
        self.reader_limit = Some(checked_limit(bytes));
        self
    }

    initial_option_methods!();

    initial_options! {
        /// Sends the first bytes with the first packet (TCP Fast Open, RFC 7413; Linux 4.11).
        ///
        /// If an earlier connection to the same machine has been given a cookie, the connect
        /// returns at once, and it is the first write that connects. That write, or a later read,
        /// then has the error of a connect; the address is not tried in a race with others; and
        /// before the first write no read may be awaited, as the peer knows nothing of the
        /// connection. For protocols in which the client speaks first, with requests that may be
        /// repeated: their bytes may arrive twice.
        #[doc(alias = "TCP_FASTOPEN_CONNECT")]
        fast_open(on: bool), FAST_OPEN_CONNECT, on;
    }
}
