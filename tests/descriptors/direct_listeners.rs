//! Listeners whose connections have direct descriptors: bursts, the end of a listener, and how many
//! connections are accepted ahead.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Peer};
use std::thread;
use std::time::Duration;

use annulus::net::{ListenOptions, TcpListener, TcpStream};
use annulus::{metrics, spawn, yield_now};

use crate::common::poll::{times, until};
use crate::direct_descriptors::{listener, with_file_slots};

/// They come in batches, of which each is a connection of its own.
#[test]
fn a_burst_of_connections_is_served() {
    with_file_slots(100, async || {
        let (listener, address) = listener().await;
        let mut peers: Vec<_> = (0..64).map(|_| Peer::connect(address).unwrap()).collect();
        let mut served = Vec::new();
        for _ in 0..64 {
            let (mut stream, from) = listener.accept().await.unwrap();
            served.push(from);
            spawn(async move {
                let lease = stream.recv().await.unwrap();
                stream.write_all(lease).await.0.unwrap();
            });
        }
        served.sort();
        served.dedup();
        assert_eq!(served.len(), 64);
        let asking = thread::spawn(move || {
            for (n, peer) in peers.iter_mut().enumerate() {
                peer.write_all(&[n as u8]).unwrap();
                let mut back = [0];
                peer.read_exact(&mut back).unwrap();
                assert_eq!(back[0], n as u8);
            }
        });
        until(|| asking.is_finished()).await;
        asking.join().unwrap();
    });
}

#[test]
fn a_listener_that_goes_gives_or_closes_what_it_has_accepted() {
    with_file_slots(40, async || {
        for gives in [true, false] {
            let (listener, address) = listener().await;
            assert!(times(2, listener.accept()).await.is_none());
            let mut peers: Vec<_> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
            thread::sleep(Duration::from_millis(20));
            let before = metrics().direct_descriptors;
            drop(listener.accept().await.unwrap());
            // More wait behind the first, so several accepts are in flight; unless the others'
            // handshakes were still not over.
            let several = metrics().direct_descriptors > before + 2;
            for _ in 0..20 {
                yield_now().await;
            }
            let rest = if gives { listener.close().await } else { drop_later(listener).await };
            assert!(Peer::connect(address).is_err());
            let mut ends = 0;
            for (mut stream, _) in rest {
                stream.write_all("here").await.0.unwrap();
                ends += 1;
            }
            assert!(!gives || !several || ends == 2);
            // The one that was dropped ends at once; the others say something, or end.
            let reading = thread::spawn(move || {
                for peer in &mut peers {
                    let mut all = Vec::new();
                    let _ = peer.read_to_end(&mut all);
                    assert!(all.is_empty() || gives && all == b"here");
                }
            });
            until(|| reading.is_finished()).await;
            reading.join().unwrap();
        }
    });
}

#[test]
fn no_more_connections_are_accepted_ahead_than_configured() {
    with_file_slots(40, async || {
        let options = ListenOptions::new().max_pending(2);
        let listener = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(times(2, listener.accept()).await.is_none());
        let peers: Vec<_> = (0..30).map(|_| Peer::connect(address).unwrap()).collect();
        let mut accepted = Vec::new();
        for taken in 1..=30 {
            accepted.push(listener.accept().await.unwrap());
            yield_now().await;
            assert!(metrics().direct_descriptors <= taken + 2);
        }
        drop(peers);
    });
}

async fn drop_later(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    drop(listener);
    for _ in 0..10 {
        yield_now().await;
    }
    Vec::new()
}
