//! From addresses to names.

use std::io;
use std::net::IpAddr;

use super::lookup::{LookupOptions, within};
use super::sources::Sources;
use super::threads::look_up;
use crate::error::Describe;
use crate::sys::names::name_of;

/// Looks up the name of an address.
///
/// `/etc/hosts` comes first, as for [`lookup`](fn@super::lookup); then the C library is asked, on
/// one of the same threads. An address of IPv4 that is mapped into IPv6 is looked up as one of
/// IPv4. The name proves nothing, as the owner of the address chooses it: look the name up, and see
/// whether the address is among its own.
///
/// # Errors
///
/// `NotFound` if the address has no name, and `TimedOut` if no name server answers, or the look-up
/// takes a minute. [`WouldBlock`](io::ErrorKind::WouldBlock) if no thread can be started.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, a look-up that has begun continues in its thread, and its result is discarded.
///
/// # Example
///
/// ```no_run
/// use std::net::Ipv4Addr;
///
/// annulus::run(async {
///     let name = annulus::net::reverse_lookup(Ipv4Addr::LOCALHOST).await?;
///     assert_eq!(name, "localhost");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "gethostbyaddr")]
#[doc(alias = "asyncio.loop.getnameinfo")]
pub async fn reverse_lookup(address: impl Into<IpAddr>) -> io::Result<String> {
    let address = address.into().to_canonical();
    let name = async {
        match Sources::system().name(address).await {
            Some(name) => Ok(name),
            None => look_up(move || name_of(address)).await,
        }
    };
    let timeout = LookupOptions::new().limit();
    within(timeout, name).await.describe(format_args!("look up the name of {address}"))
}
