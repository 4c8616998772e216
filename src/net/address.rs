//! What can be connected to or listened on.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};

use std::sync::LazyLock;
use std::time::Duration;

use crate::blocking::ThreadPool;
use crate::error::Describe;
use crate::sys::address::interface_index;
use crate::task::coop;

/// How many look-ups run at the same time in a process. They have threads of their own, as a
/// [`to_thread`](crate::blocking::to_thread) that blocks for long must not hold up every connect.
const LOOK_UPS: usize = 16;
/// How long one of the threads waits for the next look-up.
const IDLE: Duration = Duration::from_secs(10);

static THREADS: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new(LOOK_UPS, IDLE));

/// Socket addresses, or a name that stands for some.
///
/// Implemented for socket addresses, pairs of an IP address or a name and a port, slices and vectors of socket
/// addresses, and text: `"127.0.0.1:80"`, `"[::1]:80"`, `"[fe80::1%eth0]:80"` or `"name:80"`. A name is
/// looked up on a thread, so that the loop goes on meanwhile; up to 16 look-ups run at the same time.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no address",
    note = "give text such as \"127.0.0.1:80\" or \"localhost:80\", a pair such as \
            (\"localhost\", 80), a `SocketAddr`, or several of those"
)]
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
    Name(String, u16),
    /// A text that is none, and why.
    Wrong(String, &'static str),
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
    &str: |text| of_text(text),
    String: |text| text.as_str().target(),
    &String: |text| text.as_str().target(),
}

fn host_and_port(host: &str, port: u16) -> Target {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match ip_address(literal, port) {
        Some(address) => address.into(),
        None => Target::Name(host.to_owned(), port),
    }
}

/// An address without a name, whose scope may be one.
fn ip_address(text: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip, port).into());
    }
    let (ip, scope) = text.split_once('%')?;
    let ip = ip.parse().ok()?;
    let scope = scope.parse().ok().or_else(|| interface_index(scope))?;
    Some(SocketAddrV6::new(ip, port, 0, scope).into())
}

fn of_text(text: &str) -> Target {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.into();
    }
    let wrong = |why| Target::Wrong(text.to_owned(), why);
    if text.parse::<Ipv6Addr>().is_ok() {
        return wrong("a port is missing: an IPv6 address with one is written like [::1]:80");
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) else {
        return wrong("a port is missing, as in localhost:80");
    };
    match port.parse() {
        _ if host.is_empty() => wrong("a host is missing, as in localhost:80"),
        Ok(port) => host_and_port(host, port),
        Err(_) => wrong("what is behind the colon is no port, which is a number up to 65535"),
    }
}

/// The addresses that something stands for, in the order in which the system prefers them.
///
/// # Errors
///
/// `NotFound` if a name is not known or has no addresses, `TimedOut` if no name server answers, and
/// `InvalidInput` for text that is not of the form `name:port`; each says what was to be looked up.
/// [`WouldBlock`](io::ErrorKind::WouldBlock) if no thread can be started.
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
    // It may be ready at once, and must not be so for ever.
    poll_fn(|context| coop::poll_spend(context)).await;
    let (found, name) = match addresses.target() {
        Target::Known(addresses) => (Ok(addresses), "an empty list".to_owned()),
        Target::Wrong(text, why) => (Err(io::Error::new(io::ErrorKind::InvalidInput, why)), text),
        Target::Name(host, port) => {
            let name = format!("{host}:{port}");
            (on_a_thread(host, port).await, name)
        }
    };
    let none = || io::Error::new(io::ErrorKind::NotFound, "no addresses");
    let found = found.and_then(|found| (!found.is_empty()).then_some(found).ok_or_else(none));
    found.describe(format_args!("look up {name}"))
}

/// Looks a name up on a thread.
async fn on_a_thread(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let look_up = move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
    match THREADS.spawn(look_up).await {
        Ok(found) => found.map_err(with_kind),
        Err(error) => Err(error.into()),
    }
}

/// Gives an error of a look-up its kind: the standard library keeps nothing of why but its text.
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

    fn known(target: &Target) -> Vec<String> {
        match target {
            Target::Known(addresses) => addresses.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn literal_addresses_need_no_look_up_in_any_form() {
        assert_eq!(known(&of_text("127.0.0.1:80")), ["127.0.0.1:80"]);
        assert_eq!(known(&of_text("[::1]:80")), ["[::1]:80"]);
        assert_eq!(known(&host_and_port("::1", 80)), ["[::1]:80"]);
        assert_eq!(known(&host_and_port("[::1]", 80)), ["[::1]:80"]);
        assert_eq!(known(&host_and_port("127.0.0.1", 80)), ["127.0.0.1:80"]);
    }

    #[test]
    fn scopes_are_understood_by_number_and_by_name() {
        let lo = interface_index("lo").expect("every machine has it");
        let expected = [format!("[fe80::1%{lo}]:80")];
        assert_eq!(known(&of_text("[fe80::1%lo]:80")), expected);
        assert_eq!(known(&host_and_port("fe80::1%lo", 80)), expected);
        assert_eq!(known(&host_and_port("[fe80::1%lo]", 80)), expected);
        assert_eq!(known(&of_text("[fe80::1%7]:80")), ["[fe80::1%7]:80"]);
        assert_eq!(known(&host_and_port("fe80::1%7", 80)), ["[fe80::1%7]:80"]);
    }

    #[test]
    fn text_that_is_no_address_says_what_is_missing() {
        for (text, why) in [
            ("127.0.0.1", "a port is missing"),
            ("localhost", "a port is missing"),
            ("::1", "[::1]:80"),
            ("[::1]", "a port is missing"),
            (":80", "a host is missing"),
            ("localhost:99999", "no port"),
            ("localhost:http", "no port"),
            ("", "a port is missing"),
        ] {
            match of_text(text) {
                Target::Wrong(of, said) => assert!(of == text && said.contains(why), "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
