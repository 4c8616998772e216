//! Sends that find no room: they wait for it in this thread's loop, whatever the peer has done, and
//! leave nothing behind when they are dropped.
//!
//! After its peer's end, with urgent data unread, or after its own end of reading, a connection is
//! "ready" to every poll of the kernel. A send that is left to wait in the kernel is then tried in
//! vain and blocks a kernel worker, a thread for each such connection; and a loop that polls and
//! tries takes a core.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream as Peer};
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use annulus::net::TcpStream;
use annulus::time::{sleep, timeout};
use annulus::{Runtime, metrics, spawn};

use crate::common::descriptors::{alone, open};
use crate::common::net::{accepted, connected, pair, reset};
use crate::common::patience::limit;
use crate::common::poll::{once, times, until, until_bell_is_polled};
use crate::common::skip::build_or_skip;
use crate::common::threads::kernel_workers;
use crate::common::watchdog::{block_on, run};

const BYTES: usize = 16 << 20;

/// What makes a connection "ready" although it has no room.
#[derive(Clone, Copy, Debug)]
enum Cause {
    PeersEnd,
    UrgentData,
    OwnEndOfReading,
}

const CAUSES: [Cause; 3] = [Cause::PeersEnd, Cause::UrgentData, Cause::OwnEndOfReading];

impl Cause {
    async fn befall(self, stream: &mut TcpStream, peer: &Peer) {
        match self {
            Self::PeersEnd => peer.shutdown(Shutdown::Write).unwrap(),
            Self::UrgentData => {
                socket2::SockRef::from(peer).send_out_of_band(b"!").unwrap();
            }
            Self::OwnEndOfReading => stream.shutdown(Shutdown::Read).await.unwrap(),
        }
    }
}

/// A way to send `BYTES` bytes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Some,
    All,
    SomeOfSeveral,
    AllOfSeveral,
    ZeroCopy,
    File,
}

const WAYS: [Way; 6] =
    [Way::Some, Way::All, Way::SomeOfSeveral, Way::AllOfSeveral, Way::ZeroCopy, Way::File];

/// Those by which no worker reads a file.
const WRITES: [Way; 5] =
    [Way::Some, Way::All, Way::SomeOfSeveral, Way::AllOfSeveral, Way::ZeroCopy];

impl Way {
    async fn send(self, stream: &mut TcpStream) -> std::io::Result<()> {
        let parts = |bytes: usize| vec![vec![7; bytes / 3], vec![7; bytes - bytes / 3]];
        let mut left = BYTES;
        match self {
            Self::Some => {
                while left > 0 {
                    left -= stream.write(vec![7; left]).await.0?;
                }
                Ok(())
            }
            Self::SomeOfSeveral => {
                while left > 0 {
                    left -= stream.write_vectored(parts(left)).await.0?;
                }
                Ok(())
            }
            Self::All => stream.write_all(vec![7; BYTES]).await.0,
            Self::AllOfSeveral => stream.write_all_vectored(parts(BYTES)).await.0,
            Self::ZeroCopy => stream.write_all_zero_copy(vec![7; BYTES]).await,
            Self::File => stream.send_file(&sevens(), ..).await.map(drop),
        }
    }
}

/// A file of `BYTES` sevens, in memory.
fn sevens() -> File {
    // SAFETY: the name is a C string, and the descriptor is new.
    let mut file = unsafe {
        let fd = libc::memfd_create(c"sevens".as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0);
        <File as std::os::fd::FromRawFd>::from_raw_fd(fd)
    };
    file.write_all(&vec![7; BYTES]).unwrap();
    file
}

fn read_all(mut peer: Peer) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    })
}

/// Reads what was sent. The connection is not closed before: with urgent data unread that resets
/// it.
async fn assert_received(mut peer: Peer) {
    let reader = thread::spawn(move || {
        let mut all = vec![0; BYTES];
        peer.read_exact(&mut all).unwrap();
        assert!(all == vec![7; BYTES]);
    });
    until(|| reader.is_finished()).await;
    reader.join().unwrap();
}

/// For each way to send, a connection whose sends find a full buffer. No kernel worker is left.
async fn full_connections(cause: Cause) -> Vec<(Way, TcpStream, Peer)> {
    until(|| kernel_workers() == 0).await;
    let mut connections = Vec::new();
    for way in WRITES {
        let (mut stream, peer) = connected();
        cause.befall(&mut stream, &peer).await;
        connections.push((way, stream, peer));
    }
    connections
}

/// Waits until `stalls` sends have waited for room, and asserts that none was given to a kernel
/// worker.
async fn assert_no_worker(stalls: u64, cause: Cause) {
    until(|| metrics().send_stalls >= stalls || kernel_workers() > 0).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(kernel_workers(), 0, "{cause:?}");
}

#[test]
fn a_full_send_to_a_half_closed_peer_costs_no_kernel_worker_and_goes_on_when_it_reads() {
    let _alone = alone();
    for cause in CAUSES {
        run(async {
            let sends = full_connections(cause).await.into_iter().map(|(way, mut stream, peer)| {
                (way, spawn(async move { (way.send(&mut stream).await, stream) }), peer)
            });
            let sends: Vec<_> = sends.collect();
            assert_no_worker(WRITES.len() as u64, cause).await;
            for (way, sending, peer) in sends {
                assert_received(peer).await;
                let (outcome, _stream) = sending.await.unwrap();
                outcome.unwrap_or_else(|error| panic!("{cause:?} {way:?}: {error}"));
            }
        });
    }
}

/// Not even for a part, as behind a send that was given up.
#[test]
fn a_send_that_finds_no_room_at_all_costs_no_kernel_worker() {
    let _alone = alone();
    for cause in CAUSES {
        run(async {
            let mut connections = full_connections(cause).await;
            for (_, stream, _) in &mut connections {
                // Bytes that are on their way to the peer make room once more.
                for _ in 0..5 {
                    drop_a_full_send(Way::All, stream).await;
                    sleep(Duration::from_millis(1)).await;
                }
            }
            let before = metrics().send_stalls;
            // Behind this SQE, sends are SQEs, too, and no inline calls.
            let (mut other, _far) = connected();
            assert!(times(1, other.read(vec![0])).await.is_none());
            let sends = connections.into_iter().map(|(way, mut stream, peer)| {
                (spawn(async move { way.send(&mut stream).await }), peer)
            });
            let sends: Vec<_> = sends.collect();
            assert_no_worker(before + WRITES.len() as u64, cause).await;
            for (sending, _peer) in sends {
                sending.cancel();
            }
        });
    }
}

#[test]
fn a_full_send_to_a_half_closed_peer_waits_without_work() {
    let _alone = alone();
    for way in WAYS {
        run(async {
            let (mut stream, mut peer) = connected();
            Cause::PeersEnd.befall(&mut stream, &peer).await;
            let mut sending = pin!(way.send(&mut stream));
            assert!(timeout(Duration::from_millis(50), sending.as_mut()).await.is_err());
            // The buffers are full; a turn of the clock is all that happens.
            let before = metrics();
            assert!(timeout(Duration::from_millis(200), sending.as_mut()).await.is_err());
            let after = metrics();
            assert!(after.enter_calls - before.enter_calls < 50, "{way:?}: {before:?} {after:?}");
            // Room for a little is not lost on it.
            peer.read_exact(&mut vec![0; 1 << 20]).unwrap();
            assert!(timeout(Duration::from_millis(20), sending.as_mut()).await.is_err());
        });
    }
}

/// `EAGAIN` is the library's own affair, on sockets in either mode, which stay in it.
#[test]
fn no_send_reports_that_it_would_block_and_none_changes_the_mode_of_the_socket() {
    let _alone = alone();
    for nonblocking in [false, true] {
        for way in WAYS {
            run(async {
                let (near, peer) = pair();
                near.set_nonblocking(nonblocking).unwrap();
                let copy = near.try_clone().unwrap();
                let mut stream = TcpStream::from_std(near);
                Cause::PeersEnd.befall(&mut stream, &peer).await;
                let reader = thread::spawn(move || {
                    let (mut peer, mut count, mut piece) = (peer, 0, vec![0; 100_000]);
                    while count < BYTES {
                        count += peer.read(&mut piece).unwrap();
                        thread::yield_now();
                    }
                    count
                });
                way.send(&mut stream).await.unwrap_or_else(|error| panic!("{way:?}: {error}"));
                until(|| reader.is_finished()).await;
                assert_eq!(reader.join().unwrap(), BYTES);
                // SAFETY: the call takes no pointers.
                let flags = unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_GETFL) };
                assert_eq!(flags & libc::O_NONBLOCK != 0, nonblocking, "{way:?}");
            });
        }
    }
}

#[test]
fn a_connection_that_breaks_ends_the_wait_for_room() {
    let _alone = alone();
    for cause in CAUSES {
        for way in WAYS {
            run(async {
                let (mut stream, peer) = connected();
                cause.befall(&mut stream, &peer).await;
                let mut sending = pin!(way.send(&mut stream));
                assert!(timeout(Duration::from_millis(10), sending.as_mut()).await.is_err());
                reset(peer);
                let outcome = timeout(limit(), sending).await.expect("it hears of the reset");
                let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                let error = outcome.expect_err("the peer is gone");
                assert!(kinds.contains(&error.kind()), "{cause:?} {way:?}: {error}");
            });
        }
    }
}

/// Fills the connection and drops the send that waits.
async fn drop_a_full_send(way: Way, stream: &mut TcpStream) {
    let before = metrics().send_stalls;
    let mut sending: Pin<Box<dyn Future<Output = _>>> = Box::pin(way.send(stream));
    until(|| {
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(sending.as_mut().poll(&mut context).is_pending(), "it does not fit");
        metrics().send_stalls > before
    })
    .await;
}

/// A peer that reads nothing cannot keep what was given up: neither the descriptor nor, for a
/// zero-copy send, until it takes the bytes.
#[test]
fn a_dropped_full_send_lets_its_connection_be_closed_at_once() {
    let _alone = alone();
    for cause in [None, Some(Cause::PeersEnd)] {
        for way in WAYS {
            run(async {
                let before = open();
                let (mut stream, peer) = connected();
                if let Some(cause) = cause {
                    cause.befall(&mut stream, &peer).await;
                }
                drop_a_full_send(way, &mut stream).await;
                drop(stream);
                until(|| open() == before + 1).await;
                drop(peer);
            });
        }
    }
}

#[test]
fn a_wait_for_room_that_is_given_up_leaves_the_kernel_although_the_peer_reads_nothing() {
    let _alone = alone();
    run(async {
        until_bell_is_polled().await;
        let before = metrics().in_kernel;
        let (mut stream, _peer) = connected();
        drop_a_full_send(Way::All, &mut stream).await;
        until(|| metrics().queued == 0 && metrics().in_kernel <= before).await;
    });
}

#[test]
fn what_follows_a_dropped_full_send_does_not_wait_for_the_peer() {
    let _alone = alone();
    for way in WAYS {
        run(async {
            let (mut stream, peer) = connected();
            drop_a_full_send(way, &mut stream).await;
            timeout(limit(), stream.shutdown(Shutdown::Write)).await.expect("it waits").unwrap();
            let received = read_all(peer);
            until(|| received.is_finished()).await;
            assert!(received.join().unwrap().iter().all(|&byte| byte == 7), "a prefix");
        });
    }
}

#[test]
fn a_direct_descriptor_waits_for_room_too() {
    let _alone = alone();
    let Some(runtime) = build_or_skip(Runtime::builder().direct_descriptors(16)) else { return };
    block_on(&runtime, async {
        for cause in [Cause::PeersEnd, Cause::UrgentData] {
            for way in WAYS {
                let (mut stream, peer) = accepted().await;
                cause.befall(&mut stream, &peer).await;
                let before = metrics().send_stalls;
                let sending = spawn(async move { (way.send(&mut stream).await, stream) });
                until(|| metrics().send_stalls > before).await;
                assert_received(peer).await;
                let (outcome, _stream) = sending.await.unwrap();
                outcome.unwrap();
            }
        }
    });
}

#[test]
fn a_runtime_ends_over_sends_that_wait_for_room() {
    let _alone = alone();
    for cause in [None, Some(Cause::PeersEnd)] {
        let runtime =
            Runtime::builder().on_incident(|incident| panic!("{incident}")).build().unwrap();
        let peers = block_on(&runtime, async {
            let mut peers = Vec::new();
            for way in WAYS {
                let (mut stream, peer) = connected();
                if let Some(cause) = cause {
                    cause.befall(&mut stream, &peer).await;
                }
                let before = metrics().send_stalls;
                // What a zero-copy send owes the peer's acknowledgement for is another matter.
                if !matches!(way, Way::ZeroCopy) {
                    spawn(async move { way.send(&mut stream).await });
                    until(|| metrics().send_stalls > before).await;
                }
                peers.push(peer);
            }
            peers
        });
        drop(runtime);
        drop(peers);
    }
}

/// The wait may be over before the first look.
#[test]
fn a_send_that_is_dropped_after_room_has_come_leaves_nothing() {
    let _alone = alone();
    for cause in [None, Some(Cause::PeersEnd)] {
        run(async {
            let (mut stream, peer) = connected();
            if let Some(cause) = cause {
                cause.befall(&mut stream, &peer).await;
            }
            let in_kernel = metrics().in_kernel;
            {
                let mut sending = pin!(Way::All.send(&mut stream));
                let before = metrics().send_stalls;
                while metrics().send_stalls == before {
                    assert!(once(sending.as_mut()).await.is_pending());
                    annulus::yield_now().await;
                }
                let reader = read_all(peer);
                sleep(Duration::from_millis(20)).await;
                // Not polled since, the send goes.
                drop(reader);
            }
            until(|| metrics().in_kernel <= in_kernel + 1).await;
            stream.write_all("more").await.0.unwrap();
        });
    }
}
