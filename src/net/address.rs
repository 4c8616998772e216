//! What can be connected to or listened on.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};

use crate::error::{Describe, describe};
use crate::join::to_thread;
use crate::task::budget;

/// Socket addresses, or a name that stands for some.
///
/// Implemented for socket addresses, pairs of an IP address or a name and a port, slices and vectors of socket
/// addresses, and text: `"127.0.0.1:80"`, `"[::1]:80"` or `"name:80"`. A name is looked up on one of the
/// threads of [`to_thread`], so that the loop goes on meanwhile.
pub trait ToAddresses: sealed::Sealed {}

mod sealed {
    use super::{SocketAddr, Target};

    pub trait Sealed {
        fn target(self) -> Target;
    }

    impl From<SocketAddr> for Target {
        fn from(address: SocketAddr) -> Self {
            Self::Known(vec![address])
        }
    }
}

/// Addresses, known or yet to be looked up.
#[doc(hidden)]
#[derive(Debug)]
pub enum Target {
    Known(Vec<SocketAddr>),
    Name(String),
}

macro_rules! addresses {
    ($($type:ty: |$value:ident| $target:expr),+ $(,)?) => {$(
        impl ToAddresses for $type {}

        impl sealed::Sealed for $type {
            fn target(self) -> Target {
                let $value = self;
                $target
            }
        }
    )+};
}

addresses! {
    SocketAddr: |address| address.into(),
    SocketAddrV4: |address| SocketAddr::from(address).into(),
    SocketAddrV6: |address| SocketAddr::from(address).into(),
    (IpAddr, u16): |pair| SocketAddr::from(pair).into(),
    (Ipv4Addr, u16): |pair| SocketAddr::from(pair).into(),
    (Ipv6Addr, u16): |pair| SocketAddr::from(pair).into(),
    (&str, u16): |pair| host_and_port(pair.0, pair.1),
    (String, u16): |pair| host_and_port(&pair.0, pair.1),
    &[SocketAddr]: |addresses| Target::Known(addresses.to_vec()),
    Vec<SocketAddr>: |addresses| Target::Known(addresses),
    &Vec<SocketAddr>: |addresses| Target::Known(addresses.clone()),
    &str: |text| text.parse().map_or_else(|_| Target::Name(text.to_owned()), SocketAddr::into),
    String: |text| text.as_str().target(),
    &String: |text| text.as_str().target(),
}

fn host_and_port(host: &str, port: u16) -> Target {
    match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::from((ip, port)).into(),
        Err(_) => Target::Name(format!("{host}:{port}")),
    }
}

/// The addresses that something stands for, in the order in which the system prefers them.
///
/// # Errors
///
/// If a name cannot be looked up, has no addresses, or is not of the form `name:port`.
///
/// # Cancel safety
///
/// Dropped, a look-up runs on in its thread and its result is discarded.
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
    let (found, named) = match addresses.target() {
        Target::Known(addresses) => {
            poll_fn(|context| budget::poll_spend(context)).await;
            (addresses, None)
        }
        Target::Name(name) => {
            let found = on_a_thread(name.clone()).await;
            (found.describe(format_args!("look up {name}"))?, Some(name))
        }
    };
    if found.is_empty() {
        let name = named.as_deref().unwrap_or("an empty list");
        let none = io::Error::new(io::ErrorKind::NotFound, "no addresses");
        return Err(describe(format_args!("look up {name}"), none));
    }
    Ok(found)
}

/// Looks a name up on one of the threads for what blocks.
async fn on_a_thread(name: String) -> io::Result<Vec<SocketAddr>> {
    let found = to_thread(move || name.to_socket_addrs().map(Iterator::collect)).await;
    found?
}
