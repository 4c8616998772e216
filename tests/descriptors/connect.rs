//! Connecting to the first of several addresses that answers.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use annulus::net::{ConnectOptions, TcpStream, lookup, open_connection};
use annulus::time::timeout;

use crate::common::conditions::until;
use crate::common::descriptors;
use crate::common::net::{full_listener, refusing};
use crate::common::patience::patient;
use crate::common::watchdog::run;

fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn an_address_that_refuses_gives_way_to_the_next_at_once() {
    let _alone = descriptors::alone();
    run(async {
        let (_listener, address) = listening();
        let before = Instant::now();
        let options = ConnectOptions::new().happy_eyeballs_delay(Some(Duration::from_secs(60)));
        let [(_first, first), (_second, second)] = [refusing(), refusing()];
        let addresses = vec![first, second, address];
        let stream = TcpStream::connect_with(addresses, &options).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(before.elapsed() < patient(Duration::from_secs(30)));
    });
}

#[test]
fn an_address_that_does_not_answer_gives_way_after_the_delay_and_its_socket_is_closed() {
    let _alone = descriptors::alone();
    run(async {
        let (silent, _filler) = full_listener();
        let (_listener, address) = listening();
        let options = ConnectOptions::new().happy_eyeballs_delay(Some(Duration::from_millis(30)));
        let before = (descriptors::open(), Instant::now());
        let addresses = vec![silent.local_addr().unwrap(), address];
        let stream = TcpStream::connect_with(addresses, &options).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(before.1.elapsed() >= Duration::from_millis(30));
        drop(stream);
        until(|| descriptors::open() <= before.0).await;
    });
}

#[test]
fn without_a_delay_the_next_address_is_tried_only_after_a_failure() {
    let _alone = descriptors::alone();
    run(async {
        let (silent, _filler) = full_listener();
        let (_listener, address) = listening();
        let options = ConnectOptions::new().happy_eyeballs_delay(None);
        let addresses = vec![silent.local_addr().unwrap(), address];
        let connecting = TcpStream::connect_with(addresses.clone(), &options);
        assert!(timeout(Duration::from_millis(600), connecting).await.is_err());
        let options = options.timeout(patient(Duration::from_millis(200)));
        let stream = TcpStream::connect_with(addresses, &options).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    });
}

#[test]
fn when_no_address_answers_the_error_names_all() {
    let _alone = descriptors::alone();
    run(async {
        let [(_first, first), (_second, second)] = [refusing(), refusing()];
        let error = open_connection(vec![first, second]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert!(text.contains(&first.to_string()) && text.contains(&second.to_string()), "{text}");
    });
}

#[test]
fn a_dropped_race_closes_all_its_sockets() {
    let _alone = descriptors::alone();
    run(async {
        let (first, _filler) = full_listener();
        let (second, _other_filler) = full_listener();
        let before = descriptors::open();
        let options = ConnectOptions::new().happy_eyeballs_delay(Some(Duration::from_millis(1)));
        let addresses = vec![first.local_addr().unwrap(), second.local_addr().unwrap()];
        let connecting = TcpStream::connect_with(addresses, &options);
        assert!(timeout(Duration::from_millis(50), connecting).await.is_err());
        until(|| descriptors::open() <= before).await;
    });
}

#[test]
fn a_local_address_is_connected_from() {
    let _alone = descriptors::alone();
    run(async {
        let (_listener, address) = listening();
        let local = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
        let options = ConnectOptions::new().local_addr(local);
        let stream = TcpStream::connect_with(address, &options).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), Ipv4Addr::new(127, 0, 0, 2));
        let other_family: SocketAddr = "[::1]:1".parse().unwrap();
        let error = TcpStream::connect_with(other_family, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(error.to_string().starts_with("connect from 127.0.0.2:0: "), "{error}");
    });
}

/// More look-ups at once than there are threads for them.
#[test]
fn many_names_are_looked_up_at_once() {
    let _alone = descriptors::alone();
    run(async {
        // The second is no name, but the C library reads it as an address, and only on a thread.
        for name in ["localhost:80", "127.1:80"] {
            let lookups = annulus::join::gather((0..200).map(|_| lookup(name))).await;
            assert!(lookups.into_iter().all(|found| !found.unwrap().is_empty()));
        }
    });
}
