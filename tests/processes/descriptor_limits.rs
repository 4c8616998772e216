//! Listeners in a process without descriptors left: they pause, and go on when one is closed.

use std::io::Write;
use std::net::TcpStream as Peer;
use std::time::{Duration, Instant};

use annulus::net::{StreamReader, StreamWriter, TcpListener, start_server};
use annulus::time::timeout;
use annulus::{Incident, metrics, spawn};

use crate::common::child::isolated;
use crate::common::descriptors::open;
use crate::common::incidents::Incidents;
use crate::common::poll::until;
use crate::common::watchdog::{block_on, run};
use crate::this_test;

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    let line = reader.read_line().await?;
    writer.write(line).await
}

/// Limits the descriptors of this process to this number more than it has.
fn leave(descriptors: usize) {
    let value = (open() + descriptors) as u64;
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the call reads one `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

/// Pauses grow to half a second.
#[test]
fn a_pause_for_want_of_descriptors_ends_when_the_runtime_closes_one() {
    isolated(this_test!(), || {
        let heard = Incidents::default();
        block_on(&heard.runtime(), async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let _clients: Vec<_> = (0..8).map(|_| Peer::connect(address).unwrap()).collect();
            leave(2);
            let mut served = Vec::new();
            // Long enough for a pause of 320 ms to be followed by one of 500.
            while metrics().accept_stalls < 9 {
                let accepted = timeout(Duration::from_millis(20), listener.accept()).await;
                served.extend(accepted.map(|accepted| accepted.unwrap().0));
            }
            let mut took = Duration::MAX;
            for _ in 0..3 {
                let before = metrics().accept_stalls;
                let accept = timeout(Duration::from_millis(1), listener.accept()).await;
                assert!(accept.is_err(), "no descriptor is left");
                let (closing, began) = (served.pop(), Instant::now());
                // When the accept waits.
                drop(spawn(async move { drop(closing) }));
                served.push(listener.accept().await.unwrap().0);
                took = took.min(began.elapsed());
                // A success makes the next pause a short one.
                while metrics().accept_stalls < before + 9 {
                    let accept = timeout(Duration::from_millis(20), listener.accept()).await;
                    assert!(accept.is_err(), "no descriptor is left");
                }
            }
            assert!(took < Duration::from_millis(250), "{took:?}");
        });
        let told = heard.take();
        let is_delay = |incident: &Incident| matches!(incident, Incident::AcceptDelayed { .. });
        assert!(!told.is_empty() && told.iter().all(is_delay), "{told:?}");
        assert!(told[0].to_string().contains("ulimit -n"), "{}", told[0]);
    });
}

/// Descriptors are the process's, and a listener learns only of those that its own runtime closes:
/// the pause ends by itself, after half a second at the latest.
#[test]
fn a_listener_without_descriptors_accepts_when_another_runtime_has_closed_some() {
    isolated(this_test!(), || {
        let (close, closes) = std::sync::mpsc::channel::<()>();
        let (opened, opens) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            run(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let _peers: Vec<_> = (0..8).map(|_| Peer::connect(address).unwrap()).collect();
                let mut served = Vec::new();
                while served.len() < 8 {
                    served.push(listener.accept().await.unwrap().0);
                }
                opened.send(()).unwrap();
                closes.recv().unwrap();
            });
        });
        opens.recv().unwrap();
        let heard = Incidents::default();
        block_on(&heard.runtime(), async {
            let server = start_server(echo, "127.0.0.1:0").await.unwrap();
            let address = server.local_addrs()[0];
            let peers: Vec<_> = (0..4).map(|_| Peer::connect(address).unwrap()).collect();
            leave(0);
            until(|| metrics().accept_stalls >= 9).await;
            let (began, stalls) = (Instant::now(), metrics().accept_stalls);
            close.send(()).unwrap();
            until(|| server.active_connections() == 4).await;
            // As often as it tries in that time, and no more: where the other thread closes one
            // after the other, a success makes the next pause a short one of 5 ms.
            let most = 2 + began.elapsed().as_millis() / 5;
            assert!(u128::from(metrics().accept_stalls - stalls) <= most, "it tries all the time");
            drop(peers);
        });
        other.join().unwrap();
        assert!(heard.count() > 0);
    });
}

#[test]
fn a_server_that_has_run_out_of_descriptors_closes_and_serves_those_in_the_backlog() {
    const CLIENTS: usize = 20;
    isolated(this_test!(), || {
        run(async {
            let server = start_server(echo, "127.0.0.1:0").await.unwrap();
            let address = server.local_addrs()[0];
            let mut peers: Vec<_> = (0..CLIENTS).map(|_| Peer::connect(address).unwrap()).collect();
            leave(3);
            for peer in &mut peers {
                peer.write_all(b"hello\n").unwrap();
            }
            until(|| metrics().accept_stalls > 0 || server.active_connections() == 0).await;
            server.close();
            server.wait_closed().await;
            for peer in &mut peers {
                let mut echoed = String::new();
                std::io::Read::read_to_string(peer, &mut echoed).unwrap();
                assert_eq!(echoed, "hello\n");
            }
        });
    });
}
