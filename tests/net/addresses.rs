//! Names, literals and families: what a machine lacks is left out, and what is wrong is named.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use annulus::blocking::to_thread;
use annulus::net::{
    ConnectOptions, LookupOptions, TcpListener, TcpStream, lookup, lookup_with, open_connection,
    reverse_lookup, start_server,
};

use crate::common::seccomp::without_ipv6;
use crate::common::skip::lacks_ipv6;
use crate::common::watchdog::run;

#[test]
fn a_server_and_a_listener_start_on_a_machine_without_ipv6() {
    without_ipv6(|| {
        run(async {
            for order in [["[::1]:0", "127.0.0.1:0"], ["127.0.0.1:0", "[::1]:0"]] {
                let addresses: Vec<SocketAddr> = order.map(|text| text.parse().unwrap()).into();
                let server = start_server(async |_, _| (), &addresses).await.unwrap();
                assert_eq!(server.local_addrs().len(), 1);
                open_connection(server.local_addrs()[0]).await.unwrap();
                let listener = TcpListener::bind(&addresses).await.unwrap();
                let port = listener.local_addr().unwrap().port();
                let both = vec![
                    SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
                    SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                ];
                TcpStream::connect(both).await.unwrap();
            }
            let error = start_server(async |_, _| (), "[::1]:0").await.unwrap_err();
            assert_eq!(annulus::raw_os_error(&error), Some(libc::EAFNOSUPPORT), "{error}");
        });
    });
}

#[test]
fn a_server_listens_on_all_addresses_of_both_families_with_one_port() {
    if lacks_ipv6() {
        return;
    }
    run(async {
        for v4_first in [true, false] {
            // The port may be taken by another between the look and the use.
            let mut server = None;
            for _ in 0..20 {
                let free = std::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
                let port = free.local_addr().unwrap().port();
                drop(free);
                let mut addresses: Vec<SocketAddr> = vec![
                    (Ipv4Addr::UNSPECIFIED, port).into(),
                    (Ipv6Addr::UNSPECIFIED, port).into(),
                ];
                if !v4_first {
                    addresses.reverse();
                }
                server = start_server(async |_, _| (), addresses).await.ok();
                if server.is_some() {
                    break;
                }
            }
            let server = server.expect("both are listened on");
            assert_eq!(server.local_addrs().len(), 2);
            let port = server.local_addrs()[0].port();
            open_connection((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            open_connection((Ipv6Addr::LOCALHOST, port)).await.unwrap();
        }
    });
}

#[test]
fn what_is_wrong_with_an_address_is_named_by_its_kind_and_in_words() {
    run(async {
        for (text, kind, part) in [
            ("127.0.0.1", ErrorKind::InvalidInput, "look up 127.0.0.1: a port is missing"),
            (
                "localhost:99999",
                ErrorKind::InvalidInput,
                "localhost:99999: the port after the colon",
            ),
            ("::1", ErrorKind::InvalidInput, "[::1]:80"),
        ] {
            let error = TcpStream::connect(text).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(part), "{error}");
        }
        let unknown = lookup("name.invalid:80").await.unwrap_err();
        // Where no name server can be reached, no name is known.
        assert!(matches!(unknown.kind(), ErrorKind::NotFound | ErrorKind::TimedOut), "{unknown:?}");
        assert!(unknown.to_string().contains("look up name.invalid:80"), "{unknown}");
        let none = lookup(Vec::new()).await.unwrap_err();
        assert_eq!(none.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn an_address_has_a_name_also_mapped_into_ipv6_or_an_error_says_which_has_none() {
    run(async {
        let near = reverse_lookup(Ipv4Addr::LOCALHOST).await.unwrap();
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        assert_eq!(reverse_lookup(mapped).await.unwrap(), near);
        let error = reverse_lookup(Ipv4Addr::new(192, 0, 2, 1)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::TimedOut), "{error:?}");
        assert!(error.to_string().starts_with("look up the name of 192.0.2.1: "), "{error}");
    });
}

#[test]
fn a_look_up_that_takes_longer_than_its_timeout_fails() {
    run(async {
        let options = LookupOptions::new().timeout(Some(Duration::ZERO));
        let error = lookup_with("name.invalid:80", &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().starts_with("look up name.invalid:80: "), "{error}");
        // A literal takes no time.
        lookup_with("127.0.0.1:80", &options).await.unwrap();
    });
}

#[test]
fn a_look_up_does_not_wait_for_closures_that_block() {
    run(async {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        let busy: Vec<_> = (0..64)
            .map(|_| {
                let wait = std::sync::Arc::clone(&wait);
                to_thread(move || wait.lock().unwrap().recv().is_err())
            })
            .collect();
        // All threads of `to_thread` are taken until the channel closes.
        // It is no name, but the C library reads it as an address, and only on a thread.
        assert_eq!(lookup("127.1:80").await.unwrap(), [(Ipv4Addr::LOCALHOST, 80).into()]);
        drop(release);
        for closure in busy {
            assert!(closure.await.unwrap());
        }
    });
}

/// The system may choose the port that is connected to as the connection's own. Here it is told to.
/// No other test has an address like this one: the port is free between its uses.
#[test]
fn a_client_is_never_connected_to_itself() {
    run(async {
        let free = std::net::TcpListener::bind("127.0.0.77:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let options = ConnectOptions::new().local_addr(address);
        let error = TcpStream::connect_with(address, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains("to itself"), "{error}");
        // The port is free again, for the server that is to have it.
        let listener = TcpListener::bind(address).await.unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        listener.accept().await.unwrap();
    });
}
