//! Text as addresses.

use std::net::SocketAddr;

use super::address::{AddressSource, ToAddresses};

fn source(text: impl ToAddresses) -> AddressSource {
    text.source()
}

pub(crate) fn addresses(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // What the standard library takes is what it says.
    let parsed = text.parse::<SocketAddr>();
    match source(text) {
        AddressSource::Known(found) => {
            let [address] = found[..] else { panic!("{text:?}: {found:?}") };
            assert!(parsed.is_err() || parsed == Ok(address), "{text:?}: {address}");
            let AddressSource::Known(again) = source(address.to_string()) else {
                panic!("{text:?}: {address} is no address");
            };
            assert_eq!(again, [address]);
        }
        AddressSource::Name(host, port) => {
            assert!(parsed.is_err() && !host.is_empty(), "{text:?}: a name");
            let end = text.strip_prefix(host.as_str()).expect("the host comes first");
            assert_eq!(end[1..].parse(), Ok(port));
        }
        AddressSource::Invalid(of, _) => assert!(parsed.is_err() && of == text, "{text:?}"),
    }
}
