//! Accepts, connects and passed descriptors: none is lost, and none is left open.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener as StdListener, TcpStream as Peer};
use std::os::fd::OwnedFd;
use std::time::Duration;

use annulus::net::{TcpListener, TcpStream, UnixStream};
use annulus::spawn;
use futures_util::StreamExt;

use crate::common::poll::{times, yield_times};
use crate::{polls, with_each_seed};

#[test]
fn dropped_accepts_lose_no_connection() {
    const CLIENTS: u8 = 12;
    with_each_seed(async |random| {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut peers = Vec::new();
        let mut served = BTreeSet::new();
        while served.len() < CLIENTS.into() {
            if peers.len() < CLIENTS.into() && random.bool() {
                let mut peer = Peer::connect(address).unwrap();
                peer.write_all(&[peers.len() as u8]).unwrap();
                peers.push(peer);
            }
            let polls =
                if peers.len() < CLIENTS.into() { random.usize(1..6) } else { polls(random) };
            let accepted = if random.bool() {
                let accepted = times(polls, listener.accept()).await;
                accepted.map(|accepted| accepted.unwrap().0)
            } else {
                let mut incoming = listener.incoming();
                let accepted = times(polls, incoming.next()).await;
                accepted.map(|accepted| accepted.unwrap().unwrap().0)
            };
            let Some(mut stream) = accepted else { continue };
            let name = stream.read_exact(vec![0; 1]).await.into_result().unwrap().1[0];
            assert!(served.insert(name), "client {name} is served twice");
        }
        // Nothing is left for another accept.
        assert!(times(3, listener.accept()).await.is_none());
    });
}

/// What is in the kernel's backlog when the listening socket is closed, the kernel resets.
#[test]
fn a_listener_that_is_closed_returns_every_connection_that_had_arrived() {
    with_each_seed(async |random| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut peers = Vec::new();
        let mut accepted = Vec::new();
        for _ in 0..random.usize(1..4) {
            for _ in 0..random.usize(0..6) {
                peers.push(Peer::connect(address).unwrap());
            }
            let polls = random.usize(0..3);
            accepted
                .extend(times(polls, listener.accept()).await.map(|accepted| accepted.unwrap().1));
        }
        accepted.extend(listener.close().await.into_iter().map(|(_, from)| from));
        let mut arrived: Vec<_> = peers.iter().map(|peer| peer.local_addr().unwrap()).collect();
        arrived.sort_unstable();
        accepted.sort_unstable();
        assert_eq!(accepted, arrived, "each of them, once");
    });
}

#[test]
fn a_listener_that_goes_closes_what_it_has_accepted() {
    with_each_seed(async |random| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _ = times(random.usize(1..4), listener.accept()).await;
        let mut peers: Vec<_> = (0..4).map(|_| Peer::connect(address).unwrap()).collect();
        for _ in 0..random.usize(0..6) {
            let _ = times(random.usize(1..4), listener.accept()).await;
        }
        drop(listener);
        yield_times(random.usize(0..5)).await;
        for peer in &mut peers {
            peer.set_nonblocking(true).unwrap();
            // Closed in order or reset, and not left waiting.
            while let Err(error) = peer.read(&mut [0]) {
                if error.kind() != std::io::ErrorKind::WouldBlock {
                    break;
                }
                annulus::time::sleep(Duration::from_micros(50)).await;
            }
        }
    });
}

/// The number of the one may be the other's, and the accept of the one not even be submitted.
#[test]
fn a_listener_that_follows_a_dropped_one_has_its_own_connections() {
    with_each_seed(async |random| {
        for _ in 0..4 {
            let dropped = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let _ = times(random.usize(1..4), dropped.accept()).await;
            drop(dropped);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let peers: Vec<_> = (0..2).map(|_| Peer::connect(address).unwrap()).collect();
            for peer in &peers {
                let (_, from) = listener.accept().await.unwrap();
                assert_eq!(from, peer.local_addr().unwrap());
            }
        }
    });
}

#[test]
fn dropped_connects_leave_no_descriptor() {
    with_each_seed(async |random| {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..8 {
            let polls = polls(random);
            let connected = if random.bool() {
                times(polls, TcpStream::connect(address)).await
            } else {
                let limit = Duration::from_secs(60);
                times(polls, TcpStream::connect_timeout(address, limit)).await
            };
            let Some(stream) = connected else { continue };
            let mut stream = stream.unwrap();
            let from = stream.local_addr().unwrap();
            // Those of dropped connects come before.
            let mut peer = loop {
                let (peer, its) = listener.accept().unwrap();
                if its == from {
                    break peer;
                }
            };
            stream.write_all("x").await.0.unwrap();
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            assert_eq!(byte, *b"x");
        }
    });
}

#[test]
fn passed_descriptors_arrive_once_or_are_closed() {
    const MESSAGES: u8 = 10;
    with_each_seed(async |random| {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let (mut near, mut far) = (UnixStream::from_std(near), UnixStream::from_std(far));
        let (kept, passed) = std::os::unix::net::UnixStream::pair().unwrap();
        let passed = OwnedFd::from(passed);
        let sender = spawn(async move {
            for number in 0..MESSAGES {
                let fds = vec![passed.try_clone().unwrap()];
                near.send_with_fds(vec![number], fds).await.0.unwrap();
            }
        });
        let (mut count, mut fds) = (0, 0);
        while count < MESSAGES.into() {
            let receive = far.recv_with_fds(Vec::with_capacity(1), 1);
            let Some(received) = times(polls(random), receive).await else { continue };
            let (received, bytes) = received.into_result().unwrap();
            assert_eq!(bytes, [count as u8]);
            (count, fds) = (count + 1, fds + received.fds.len());
        }
        assert_eq!(fds, usize::from(MESSAGES), "each message has carried one");
        sender.await.unwrap();
        drop(kept);
    });
}
