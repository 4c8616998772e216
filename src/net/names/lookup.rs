//! From names to addresses.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::sources::Sources;
use super::threads::look_up;
use crate::error::Describe;
use crate::net::address::{AddressSource, ToAddresses};
use crate::task::coop;
use crate::time;

/// How to look up a name; see [`lookup_with`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::net::{LookupOptions, lookup_with};
///
/// annulus::run(async {
///     let options = LookupOptions::new().timeout(Some(Duration::from_secs(2)));
///     let addresses = lookup_with("localhost:80", &options).await.unwrap();
///     assert!(addresses.iter().all(|address| address.ip().is_loopback()));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LookupOptions {
    timeout: Option<Duration>,
}

impl Default for LookupOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl LookupOptions {
    /// The defaults, which each method describes.
    pub const fn new() -> Self {
        Self { timeout: Some(Duration::from_secs(60)) }
    }

    /// Sets how long a look-up may take, a wait for a thread included.
    ///
    /// A minute by default. `None` leaves the end to the C library, which waits for name servers as
    /// long as `/etc/resolv.conf` says.
    pub const fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) const fn limit(&self) -> Option<Duration> {
        self.timeout
    }
}

/// Looks up addresses.
///
/// They are in the order in which they should be tried (RFC 6724), each once. Known addresses keep
/// their own order.
///
/// # Which names take a thread
///
/// Literal addresses need no look-up, and names that are in `/etc/hosts` need no thread: the ring
/// reads the file, each time, so a change is seen at once. Other names take one of 16 threads,
/// which a process has for look-ups alone, and the C library does the rest. It is also asked:
///
/// - where `/etc/nsswitch.conf` is missing, does not have `files` first for `hosts`, or has an
///   action behind it;
/// - if `/etc/hosts` has more than 64 KiB;
/// - for a name with several addresses there, if it has more than 32 or `/etc/gai.conf` configures
///   another order.
///
/// The C library waits for name servers as long as `/etc/resolv.conf` says, and nothing can
/// interrupt it: a look-up that is dropped or takes too long keeps its thread until then. While
/// name servers do not answer, all threads may be taken. Further look-ups then wait for one, within
/// their [timeout](LookupOptions::timeout), and those that are given up meanwhile never begin.
///
/// # Errors
///
/// `NotFound` if a name is not known or has no addresses, `TimedOut` if no name server answers, or
/// the look-up takes a minute, and `InvalidInput` for text that is not of the form `name:port`;
/// each error names what was looked up. [`WouldBlock`](io::ErrorKind::WouldBlock) if no thread can
/// be started.
///
/// # Panics
///
/// If there is no runtime on this thread, for a name.
///
/// # Cancel safety
///
/// Dropped, a look-up that has begun continues in its thread, and its result is discarded.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let addresses = annulus::net::lookup("127.0.0.1:80").await.unwrap();
///     assert_eq!(addresses, ["127.0.0.1:80".parse().unwrap()]);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "lookup_host")]
#[doc(alias = "asyncio.loop.getaddrinfo")]
pub async fn lookup(addresses: impl ToAddresses) -> io::Result<Vec<SocketAddr>> {
    lookup_with(addresses, &LookupOptions::new()).await
}

/// Looks up addresses as [`lookup`] does, with options.
///
/// # Errors
///
/// As for [`lookup`], with the timeout of the options.
///
/// # Panics
///
/// If there is no runtime on this thread, for a name.
///
/// # Cancel safety
///
/// As for [`lookup`].
pub async fn lookup_with(
    addresses: impl ToAddresses,
    options: &LookupOptions,
) -> io::Result<Vec<SocketAddr>> {
    // Known addresses are ready at once, every time: other tasks must be polled, too.
    poll_fn(|context| coop::poll_spend(context)).await;
    let (found, name) = match addresses.source() {
        AddressSource::Known(addresses) => (Ok(addresses), "an empty list".to_owned()),
        AddressSource::Invalid(text, why) => {
            (Err(io::Error::new(io::ErrorKind::InvalidInput, why)), text)
        }
        AddressSource::Name(host, port) => {
            let name = format!("{host}:{port}");
            // On the heap: the futures of connect and listen, most of which need it not, hold it.
            (Box::pin(within(options.timeout, of_name(host, port))).await, name)
        }
    };
    let none = || io::Error::new(io::ErrorKind::NotFound, "no addresses");
    let found = found.and_then(|found| (!found.is_empty()).then_some(found).ok_or_else(none));
    found.describe(format_args!("look up {name}"))
}

/// Fails with `TimedOut` after a time.
pub(super) async fn within<T>(
    limit: Option<Duration>,
    look_up: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let Some(limit) = limit else { return look_up.await };
    match time::timeout(limit, look_up).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let why = format!("no answer in {limit:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
    }
}

async fn of_name(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Some(found) = Sources::system().addresses(&host, port).await {
        return Ok(found);
    }
    // The C library returns them in order.
    look_up(move || {
        let found = (host.as_str(), port).to_socket_addrs().map_err(with_kind)?;
        let mut once = Vec::new();
        for address in found {
            if !once.contains(&address) {
                once.push(address);
            }
        }
        Ok(once)
    })
    .await
}

/// Gives an error of a look-up its kind. The standard library keeps only a text of the reason.
fn with_kind(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() {
        return error;
    }
    let kind = match error.kind() {
        // EAI_AGAIN: no name server has answered.
        _ if error.to_string().contains("Temporary failure") => io::ErrorKind::TimedOut,
        io::ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::NotFound,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_that_takes_too_long_fails_with_the_time() {
        crate::runtime::run(async {
            let limit = Some(Duration::from_millis(1));
            let never = std::future::pending::<io::Result<()>>();
            let error = within(limit, never).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(error.to_string(), "no answer in 1ms");
            within(None, async { Ok(()) }).await.unwrap();
        })
        .unwrap();
    }
}
