//! Promise 3: accepts that are dropped lose no connection, and they, as connects do, leak no
//! descriptor.
//!
//! The race: a connection arrives, and the kernel has made a descriptor for it, when the accept
//! that waits for it is dropped. The descriptor must go to the next accept, or be closed if the
//! listener goes.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Peer};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::net::{ListenOptions, TcpListener, TcpStream};
use annulus::time::timeout;
use annulus::{Builder, Runtime, spawn};

use crate::common::descriptors::{assert_back_to, counting, open};
use crate::common::net::full_listener;
use crate::common::poll::{once, times, until, yield_times};
use crate::common::random::seeded;
use crate::common::skip::build_or_skip;

#[test]
fn ten_thousand_dropped_accepts_serve_every_client() {
    serves_every_client(Runtime::builder());
}

#[test]
fn ten_thousand_dropped_accepts_with_direct_descriptors_serve_every_client() {
    serves_every_client(Runtime::builder().direct_descriptors(1000));
}

/// Some connections have direct descriptors, and others do not.
#[test]
fn ten_thousand_dropped_accepts_with_few_direct_descriptors_serve_every_client() {
    serves_every_client(Runtime::builder().direct_descriptors(2));
}

fn serves_every_client(builder: Builder) {
    const DROPS: usize = 10_000;
    const CLIENTS: usize = 2;
    const CONNECTIONS: usize = 500;
    counting(|| {
        let before = open();
        let mut random = seeded();
        let Some(runtime) = build_or_skip(builder.max_polls_per_turn(4)) else { return };
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| thread::spawn(move || (0..CONNECTIONS).for_each(|_| call(address))))
                .collect();
            let served = Rc::new(Cell::new(0));
            let mut dropped = 0;
            while served.get() < CLIENTS * CONNECTIONS || dropped < DROPS {
                let accepted = if random.u8(0..8) == 0 {
                    let limit = Duration::from_micros(random.u64(0..100));
                    timeout(limit, listener.accept()).await.ok()
                } else {
                    times(random.usize(1..4), listener.accept()).await
                };
                match accepted {
                    None => dropped += 1,
                    Some(connection) => {
                        let (stream, served) = (connection.unwrap().0, Rc::clone(&served));
                        spawn(async move {
                            echo_a_byte(stream).await;
                            served.set(served.get() + 1);
                        });
                    }
                }
            }
            for client in clients {
                client.join().unwrap();
            }
        });
        drop(runtime);
        assert_back_to(before);
    });
}

/// Connects, and has a byte echoed.
fn call(address: SocketAddr) {
    let mut stream = Peer::connect(address).unwrap();
    let byte = [fastrand::u8(..)];
    stream.write_all(&byte).unwrap();
    let mut echoed = [0];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, byte);
}

async fn echo_a_byte(mut stream: TcpStream) {
    let BufResult(result, byte) = stream.read_exact(Box::new([0; 1])).await;
    result.unwrap();
    stream.write_all(byte).await.0.unwrap();
}

#[test]
fn connections_that_arrived_for_a_dropped_accept_are_the_next_ones_in_order() {
    counting(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut accept = Box::pin(listener.accept());
            assert!(once(accept.as_mut()).await.is_pending());
            yield_times(1).await;
            let before = open();
            let peers: Vec<_> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
            // Each has a descriptor at either end: they have been accepted.
            until(|| open() == before + 6).await;
            drop(accept);
            for peer in peers {
                let (_, from) = listener.accept().await.unwrap();
                assert_eq!(from, peer.local_addr().unwrap());
            }
        });
    });
}

#[test]
fn a_listener_dropped_with_accepted_connections_closes_them() {
    counting(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let before = open();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            assert!(times(2, listener.accept()).await.is_none());
            let mut peers: Vec<_> = (0..20).map(|_| Peer::connect(address).unwrap()).collect();
            until(|| open() == before + 1 + 40).await;
            drop(listener);
            until(|| open() == before + 20).await;
            for peer in &mut peers {
                assert_eq!(peer.read(&mut [0]).unwrap(), 0, "closed, and not left waiting");
            }
            let refused = Peer::connect(address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        });
    });
}

#[test]
fn a_closed_listener_returns_the_connections_that_were_not_accepted() {
    counting(|| {
        let before = open();
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            assert!(times(2, listener.accept()).await.is_none());
            let listening = open();
            let mut peers: Vec<_> = (0..20).map(|_| Peer::connect(address).unwrap()).collect();
            until(|| open() == listening + 40).await;
            let rest = listener.close().await;
            let refused = Peer::connect(address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            // They are all here, in order, and work.
            assert_eq!(rest.len(), peers.len());
            for (peer, (stream, from)) in peers.iter_mut().zip(rest) {
                assert_eq!(from, peer.local_addr().unwrap());
                let echoed = spawn(echo_a_byte(stream));
                peer.write_all(b"x").unwrap();
                echoed.await.unwrap();
                peer.read_exact(&mut [0]).unwrap();
            }
        });
        assert_back_to(before);
    });
}

#[test]
fn a_flood_of_unaccepted_connections_takes_few_descriptors() {
    const CLIENTS: usize = 200;
    const AHEAD: usize = 8;
    counting(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let options = ListenOptions::new().max_pending(AHEAD);
            let listener = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
            let address = listener.local_addr().unwrap();
            assert!(times(2, listener.accept()).await.is_none());
            let before = open();
            let mut peers = Vec::new();
            for _ in 0..CLIENTS {
                peers.push(Peer::connect(address).unwrap());
                yield_times(1).await;
            }
            let taken = open() - before - CLIENTS;
            // The cancel that stops the accept may come a connection or two late.
            assert!((AHEAD..=AHEAD + 4).contains(&taken), "{taken} were taken ahead");
            // The others wait in the backlog, and are there for the next accept.
            for peer in &peers {
                let (_, from) = listener.accept().await.unwrap();
                assert_eq!(from, peer.local_addr().unwrap());
            }
        });
    });
}

/// The kernel takes all of the backlog in one batch, so the backlog bounds what is held as well.
/// (Other rings take a part of it.)
#[test]
fn a_flood_on_a_busy_loop_takes_no_more_descriptors_than_configured() {
    const AHEAD: usize = 8;
    const BACKLOG: usize = 64;
    counting(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let backlog = BACKLOG as u32;
            let options = ListenOptions::new().max_pending(AHEAD).backlog(backlog);
            let listener = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
            let address = listener.local_addr().unwrap();
            assert!(times(2, listener.accept()).await.is_none());
            let before = open();
            let mut peers = Vec::new();
            let mut room = BACKLOG;
            for _ in 0..2 {
                // All come while the loop is kept from turning.
                peers.extend((0..room).map(|_| Peer::connect(address).unwrap()));
                yield_times(100).await;
                let taken = open() - before - peers.len();
                assert!(taken <= AHEAD + BACKLOG, "{taken} were taken ahead");
                room = taken.min(BACKLOG);
            }
            for peer in &peers {
                let (_, from) = listener.accept().await.unwrap();
                assert_eq!(from, peer.local_addr().unwrap());
            }
        });
    });
}

#[test]
fn a_closed_listeners_port_can_be_bound_at_once() {
    counting(|| {
        annulus::run(async {
            // Without this option the kernel is strict: any other user of the port refuses it.
            let options = ListenOptions::new().reuse_addr(false);
            let first = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
            let address = first.local_addr().unwrap();
            first.close().await;
            for round in 0..100 {
                let listener = TcpListener::bind_with(address, &options).await;
                let listener = listener.unwrap_or_else(|error| panic!("{round}: {error}"));
                // In flight in some rounds, submitted in some.
                times(round % 3, listener.accept()).await;
                listener.close().await;
            }
        })
        .unwrap();
    });
}

#[test]
fn a_dropped_connect_closes_its_socket() {
    counting(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let (full, _filled) = full_listener();
            let (listener, before) = (TcpListener::from_std(full), open());
            let address = listener.local_addr().unwrap();
            for polls in 1..4 {
                assert!(times(polls, TcpStream::connect(address)).await.is_none());
                assert_eq!(open(), before + 1, "it is in flight, and keeps its descriptor");
                until(|| open() == before).await;
            }
        });
    });
}
