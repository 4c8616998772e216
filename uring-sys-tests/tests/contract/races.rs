//! Races between an operation's success and its cancel: both ends are legal, nothing is lost.
//!
//! Each test runs the race many times against another thread and does not care who wins. It cares
//! that the loser leaves no trace: a byte, a connection or a completion is in one place exactly.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::thread;

use uring_sys_tests::completion::{Completion, Errno};
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::owned;
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    recv_cancel_bytes_intact,
    recv_cancel_bytes_intact_deferred: [DeferTaskrun],
    accept_cancel_fd_balance,
    accept_cancel_fd_balance_deferred: [DeferTaskrun],
    multishot_accept_cancel_fd_balance,
];

const TARGET: u64 = 1;
const CANCEL: u64 = 2;
const ROUNDS: usize = 200;

/// Cancels the target and takes both completions: the target's last and the cancel's.
fn cancel(ring: &mut Ring) -> Completion {
    ring.start([Op::cancel(TARGET).tag(CANCEL)]);
    let answer = ring.next_for(CANCEL).outcome();
    let legal = [Ok(0), Err(Errno(libc::ENOENT)), Err(Errno(libc::EALREADY))];
    assert!(legal.contains(&answer), "a cancel answered {answer:?}");
    ring.next_for(TARGET)
}

/// Runs `compete` on another thread while this one runs `here`, started together.
fn race<T>(compete: impl FnOnce() + Send, here: impl FnOnce() -> T) -> T {
    let start = std::sync::Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            compete();
        });
        start.wait();
        here()
    })
}

/// A receive that is cancelled while bytes arrive has them all, or the socket still has them all.
/// Dropping a read loses no data only because of it: there is no third place to look.
fn recv_cancel_bytes_intact() {
    recv_races(Ring::plain(8));
}

/// The same on a ring with deferred work, where the receive itself runs late.
/// It is the driver's own kind of ring.
fn recv_cancel_bytes_intact_deferred() {
    recv_races(Ring::deferred(8));
}

fn recv_races(mut ring: Ring) {
    let (near, far) = socket::tcp_pair();
    for round in 0..ROUNDS {
        let sent = (round as u64).to_ne_bytes();
        let buffer = Buffer::zeroed(sent.len());
        ring.start([Op::recv(&near, buffer).tag(TARGET)]);
        let last = race(|| socket::write_all(&far, &sent), || cancel(&mut ring));
        let mut got = match last.outcome() {
            Ok(count) => buffer.prefix(count as usize).bytes(),
            Err(Errno(libc::ECANCELED)) => {
                assert_eq!(buffer.bytes(), [0; 8], "a cancelled receive writes nothing");
                Vec::new()
            }
            Err(other) => panic!("a cancelled receive ended with {other:?}"),
        };
        got.extend(socket::drain(&near, sent.len() - got.len()));
        assert_eq!(got, sent, "round {round}");
    }
    ring.assert_quiet("one completion each");
}

/// A one-shot accept that is cancelled while a client connects yields it, or leaves it queued.
/// The driver parks a late connection in the listener; a lost one would hang its client.
fn accept_cancel_fd_balance() {
    accept_races(Ring::plain(8));
}

/// The same on a ring with deferred work, where the accept itself runs late.
/// It is the driver's own kind of ring.
fn accept_cancel_fd_balance_deferred() {
    accept_races(Ring::deferred(8));
}

fn accept_races(mut ring: Ring) {
    let listener = socket::listener();
    for _ in 0..ROUNDS {
        ring.start([Op::accept(&listener).tag(TARGET)]);
        let (client, yielded) = race_with_client(&listener, || cancel(&mut ring));
        let connection = match yielded.outcome() {
            Ok(fd) => TcpStream::from(owned(fd)),
            Err(Errno(libc::ECANCELED)) => listener.accept().expect("the queued connection").0,
            Err(other) => panic!("a cancelled accept ended with {other:?}"),
        };
        assert_eq!(connection.peer_addr().ok(), client.local_addr().ok());
        assert_nothing_queued(&listener);
    }
}

/// A multishot accept that is cancelled while a client connects yields it before it ends, or
/// leaves it queued. The driver takes what comes until the more-flag is gone, so none is lost.
fn multishot_accept_cancel_fd_balance() {
    let mut ring = Ring::plain(8);
    let listener = socket::listener();
    for _ in 0..ROUNDS {
        ring.start([Op::accept_multi(&listener).tag(TARGET)]);
        let (client, first) = race_with_client(&listener, || cancel(&mut ring));
        let last = if first.more() { ring.next_for(TARGET) } else { first };
        assert!(!last.more(), "the multishot has ended: {last:?}");
        let mut yielded = [first, last].into_iter().find_map(|c| c.outcome().ok()).map(owned);
        let connection = match yielded.take() {
            Some(fd) => TcpStream::from(fd),
            None => listener.accept().expect("the queued connection").0,
        };
        assert_eq!(connection.peer_addr().ok(), client.local_addr().ok());
        assert_nothing_queued(&listener);
    }
}

/// Connects a client while `here` runs, and gives both what came of it and the client.
fn race_with_client(
    listener: &TcpListener,
    here: impl FnOnce() -> Completion,
) -> (TcpStream, Completion) {
    let address = socket::address_of(listener);
    let mut client = None;
    let completion = race(|| client = Some(TcpStream::connect(address)), here);
    let client = client.expect("the client ran").expect("connect");
    // A reset leaves no port in TIME_WAIT: thousands of rounds would use up the ports.
    socket::reset_on_close(&client);
    (client, completion)
}

fn assert_nothing_queued(listener: &TcpListener) {
    listener.set_nonblocking(true).expect("make the listener non-blocking");
    let queued = listener.accept().map_err(|e| e.kind());
    assert_eq!(queued.err(), Some(ErrorKind::WouldBlock), "the connection was in one place");
    listener.set_nonblocking(false).expect("make the listener blocking");
}
