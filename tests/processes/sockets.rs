//! Sockets and their process: the signal of a broken pipe, descriptors across `exec`, and an end
//! that waits for no peer.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener as PeerListener;
use std::os::fd::RawFd;
use std::thread;
use std::time::{Duration, Instant};

use annulus::net::{TcpListener, TcpStream};
use annulus::{Runtime, metrics};

use crate::common::child::{command, role};
use crate::common::net::{connected, reset};
use crate::common::patience::limit;
use crate::common::skip::needs_kernel_ring;
use crate::common::watchdog::run;
use crate::this_test;

/// In a child, because test harnesses may ignore the signal, as the standard library does.
#[test]
fn a_write_to_a_closed_peer_is_an_error_and_no_signal() {
    if role().is_none() {
        let output = command(this_test!(), "child").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    // SAFETY: the default action is no function of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    run(async {
        for how in 0..3 {
            let (mut stream, peer) = connected();
            reset(peer);
            // The kernel tells the first of the reset; to the others it only says that the pipe is
            // broken.
            for _ in 0..3 {
                let error = match how {
                    0 => stream.write("x").await.0.unwrap_err(),
                    1 => stream.write_all("x").await.0.unwrap_err(),
                    _ => stream.write_vectored(vec!["x", "y"]).await.0.unwrap_err(),
                };
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            }
        }
    });
}

#[test]
fn every_descriptor_is_closed_on_exec() {
    if role().is_none() {
        let output = command(this_test!(), "child").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let before = descriptors();
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connected = TcpStream::connect(address).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        // The bell and the ring's own descriptor are there once the loop has slept.
        annulus::time::sleep(Duration::from_millis(1)).await;
        let new: Vec<_> = descriptors().into_iter().filter(|fd| !before.contains(fd)).collect();
        assert!(new.len() >= 5, "a ring, a bell, a listener and two streams, but {new:?}");
        for fd in new {
            // SAFETY: the call takes no pointers.
            let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
            assert_eq!(flags, libc::FD_CLOEXEC, "descriptor {fd}");
        }
        drop((connected, accepted));
    });
}

/// The open descriptors, less the one that lists them.
fn descriptors() -> Vec<RawFd> {
    let listed = fs::read_dir("/proc/self/fd").unwrap();
    let listed: Vec<RawFd> =
        listed.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    // SAFETY: the call takes no pointers.
    listed.into_iter().filter(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0).collect()
}

/// The kernel would not let the process end before the peer has taken the bytes.
#[test]
fn a_process_with_a_submission_thread_copies_and_ends_although_its_peer_reads_nothing() {
    if needs_kernel_ring("only the kernel has a submission thread") {
        return;
    }
    if let Some(address) = role() {
        let builder = Runtime::builder().teardown_timeout(Duration::from_millis(200));
        let runtime = builder.sqpoll(Duration::from_millis(10)).build().unwrap();
        return runtime.block_on(async {
            let mut stream = TcpStream::connect(&*address).await.unwrap();
            stream.write_all_zero_copy(vec![0; 1 << 20]).await.unwrap();
            assert_eq!(metrics().zero_copy_sends, 0);
        });
    }
    let listener = PeerListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut child = command(this_test!(), &address).spawn().unwrap();
    let _peer = listener.accept().unwrap();
    let deadline = Instant::now() + limit();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{status}");
}
