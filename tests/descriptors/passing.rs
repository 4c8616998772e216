//! Passing descriptors over a Unix socket of either kind: what the tests of both do.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pipe;
use std::time::Duration;

use annulus::net::{ReceivedFds, UnixSeqpacket, UnixStream};
use annulus::run;
use annulus::time::sleep;

use crate::common::descriptors::{assert_back_to, counting, open};
use crate::common::poll::{times, yield_times};
use crate::common::random::seeded;

/// A connection that passes descriptors.
pub(crate) trait Passing: Sized {
    fn pair() -> (Self, Self);

    /// Sends one message with descriptors.
    async fn send(&mut self, bytes: &'static str, fds: Vec<OwnedFd>);

    /// Receives up to 64 bytes, before the end of the connection, and their descriptors.
    async fn receive(&mut self, max_fds: usize) -> (ReceivedFds, Vec<u8>);

    /// Sends one message with copies of a descriptor.
    async fn pass(&mut self, bytes: &'static str, fd: &OwnedFd, count: usize) {
        self.send(bytes, (0..count).map(|_| fd.try_clone().unwrap()).collect()).await;
    }
}

impl Passing for UnixStream {
    fn pair() -> (Self, Self) {
        Self::pair().unwrap()
    }

    async fn send(&mut self, bytes: &'static str, fds: Vec<OwnedFd>) {
        self.send_with_fds(bytes, fds).await.0.unwrap();
    }

    async fn receive(&mut self, max_fds: usize) -> (ReceivedFds, Vec<u8>) {
        self.recv_with_fds(Vec::with_capacity(64), max_fds).await.into_result().unwrap()
    }
}

impl Passing for UnixSeqpacket {
    fn pair() -> (Self, Self) {
        Self::pair().unwrap()
    }

    async fn send(&mut self, bytes: &'static str, fds: Vec<OwnedFd>) {
        self.send_with_fds(bytes, fds).await.0.unwrap();
    }

    async fn receive(&mut self, max_fds: usize) -> (ReceivedFds, Vec<u8>) {
        let received = self.recv_with_fds(Vec::with_capacity(64), max_fds).await;
        let (received, bytes) = received.into_result().unwrap();
        (received.expect("a message"), bytes)
    }
}

/// A pair of sockets, used as a pipe: the end that reads tells whether the other is closed
/// everywhere.
pub(crate) fn pipe() -> (File, OwnedFd) {
    let (reader, writer) = Pipe::pair().unwrap();
    (OwnedFd::from(reader).into(), writer.into())
}

/// Passes as many descriptors as the kernel takes, to receives that ask for fewer, and to one that
/// takes them all.
pub(crate) async fn flood<S: Passing>(near: &mut S, far: &mut S, fd: &OwnedFd) {
    let before = open();
    for max in [2, 1, 0] {
        near.pass("flood", fd, 253).await;
        let (received, bytes) = far.receive(max).await;
        assert_eq!((&bytes[..], received.fds.len()), (&b"flood"[..], max));
        assert!(received.is_truncated);
        assert_back_to(before + max);
        drop(received);
        assert_back_to(before);
    }
    near.pass("all", fd, 253).await;
    let (received, _) = far.receive(usize::MAX).await;
    assert_eq!((received.fds.len(), received.is_truncated), (253, false));
}

/// Passes a descriptor in each round, before or after a receive is begun, which is dropped after
/// some polls. The next receive has what it leaves.
pub(crate) fn drop_receives<S: Passing>(rounds: usize) {
    counting(|| {
        let before = open();
        let mut random = seeded();
        run(async {
            let (mut near, mut far) = S::pair();
            let (_reader, fd) = pipe();
            let mut dropped = 0;
            for _ in 0..rounds {
                let sends_first = random.bool();
                if sends_first {
                    near.pass("x", &fd, 1).await;
                }
                let taken = times(random.usize(0..4), far.receive(1)).await;
                if !sends_first {
                    near.pass("x", &fd, 1).await;
                }
                let (received, bytes) = match taken {
                    Some(taken) => taken,
                    None => {
                        dropped += 1;
                        yield_times(random.usize(0..3)).await;
                        far.receive(1).await
                    }
                };
                assert_eq!((&bytes[..], received.fds.len()), (&b"x"[..], 1));
            }
            assert!(dropped > 0, "none was dropped");
        })
        .unwrap();
        assert_back_to(before);
    });
}

/// Drops a receive that has been completed: "x" and three descriptors are left to the next one.
///
/// The completion wins this race only if it comes before the cancel: the peer sends first.
pub(crate) async fn leave_three<S: Passing>(near: &mut S, far: &mut S, fd: &OwnedFd) {
    let before = open();
    for attempt in 1..1000 {
        let mut waiting = Box::pin(far.receive(3));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        near.pass("x", fd, 3).await;
        // Or in a turn before, on a ring that looks at descriptors after a cancel.
        if attempt % 2 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        drop(waiting);
        yield_times(5).await;
        if open() == before + 3 {
            return;
        }
        far.receive(3).await;
    }
    panic!("no dropped receive was completed");
}
