//! What can be connected to or listened on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::sys::address::interface_index;

/// Socket addresses, or a name that is looked up.
///
/// Implemented for socket addresses, pairs of an IP address or a name and a port, slices and
/// vectors of socket addresses, and text: `"127.0.0.1:80"`, `"[::1]:80"`, `"[fe80::1%eth0]:80"` or
/// `"name:80"`. Names are looked up as by [`lookup`](super::lookup).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no address",
    note = "give text such as \"127.0.0.1:80\" or \"localhost:80\", a pair such as \
            (\"localhost\", 80), a `SocketAddr`, or several of those"
)]
pub trait ToAddresses: sealed::Sealed {}

mod sealed {
    use super::{AddressSource, SocketAddr};

    pub trait Sealed {
        fn source(self) -> AddressSource;
    }

    impl From<SocketAddr> for AddressSource {
        fn from(address: SocketAddr) -> Self {
            Self::Known(vec![address])
        }
    }
}

/// Addresses that are known, or are yet to be looked up.
#[doc(hidden)]
#[derive(Debug)]
pub enum AddressSource {
    Known(Vec<SocketAddr>),
    Name(String, u16),
    /// A text that is no address, and why.
    Invalid(String, &'static str),
}

macro_rules! addresses {
    ($($type:ty: |$value:ident| $source:expr),+ $(,)?) => {$(
        impl ToAddresses for $type {}

        impl sealed::Sealed for $type {
            fn source(self) -> AddressSource {
                let $value = self;
                $source
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
    &[SocketAddr]: |addresses| AddressSource::Known(addresses.to_vec()),
    Vec<SocketAddr>: |addresses| AddressSource::Known(addresses),
    &Vec<SocketAddr>: |addresses| AddressSource::Known(addresses.clone()),
    &str: |text| of_text(text),
    String: |text| text.as_str().source(),
    &String: |text| text.as_str().source(),
}

fn host_and_port(host: &str, port: u16) -> AddressSource {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match ip_address(literal, port) {
        Some(address) => address.into(),
        None => AddressSource::Name(host.to_owned(), port),
    }
}

/// Parses an IP address, whose scope may be the name of an interface.
fn ip_address(text: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip, port).into());
    }
    let (ip, scope) = text.split_once('%')?;
    let ip = ip.parse().ok()?;
    let scope = scope.parse().ok().or_else(|| interface_index(scope))?;
    Some(SocketAddrV6::new(ip, port, 0, scope).into())
}

fn of_text(text: &str) -> AddressSource {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.into();
    }
    let invalid = |why| AddressSource::Invalid(text.to_owned(), why);
    if text.parse::<Ipv6Addr>().is_ok() {
        return invalid("a port is missing: an IPv6 address with one is written like [::1]:80");
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) else {
        return invalid("a port is missing, as in localhost:80");
    };
    match port.parse() {
        _ if host.is_empty() => invalid("a host is missing, as in localhost:80"),
        _ if host.starts_with('[') && !host.ends_with(']') => {
            invalid("a bracket is missing: an IPv6 address is written like [::1]:80")
        }
        Ok(port) => host_and_port(host, port),
        Err(_) => invalid("the port after the colon is not a number up to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(source: &AddressSource) -> Vec<String> {
        match source {
            AddressSource::Known(addresses) => addresses.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn literal_addresses_of_every_form_need_no_look_up() {
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
            ("[::1", "a bracket is missing"),
            ("[::1:80", "a bracket is missing"),
            (":80", "a host is missing"),
            ("localhost:99999", "not a number up to 65535"),
            ("localhost:http", "not a number up to 65535"),
            ("", "a port is missing"),
        ] {
            match of_text(text) {
                AddressSource::Invalid(of, said) => {
                    assert!(of == text && said.contains(why), "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
