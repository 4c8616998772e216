//! Descriptors that come with messages arrive once, with their message, or are closed; and so are
//! those of connections.
//!
//! The race: the peer passes descriptors, and the kernel has given them numbers in this process,
//! when the receive is dropped. They must go to the next receive, or be closed where none can
//! return them.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use annulus::net::{UnixSeqpacket, UnixSeqpacketListener};
use annulus::{Runtime, run};
use futures_util::StreamExt;

use crate::common::descriptors::{assert_back_to, counting, open};
use crate::common::poll::{times, until};
use crate::common::random::seeded;
use crate::common::skip::build_or_skip;
use crate::passing::{Passing, drop_receives, flood, leave_three, pipe};

#[test]
fn descriptors_come_with_their_message_and_no_other() {
    counting(|| {
        let before = open();
        let builders = [Runtime::builder(), Runtime::builder().direct_descriptors(8)];
        for runtime in builders.into_iter().filter_map(build_or_skip) {
            runtime.block_on(async {
                let name = format!("\0annulus-messages-{}", std::process::id());
                let listener = UnixSeqpacketListener::bind(&name).unwrap();
                let near = UnixSeqpacket::connect(&name).await.unwrap();
                let (mut far, _) = listener.accept().await.unwrap();
                let (mut reader, writer) = pipe();
                let copy = reader.as_fd().try_clone_to_owned().unwrap();
                near.send("none").await.0.unwrap();
                let sent = near.send_with_fds("two", vec![writer, copy]).await;
                let (count, (bytes, fds)) = sent.into_result().unwrap();
                assert_eq!((count, bytes, fds.len()), (3, "two", 2), "given back");
                near.send_with_fds("", fds).await.0.unwrap();
                near.send("").await.0.unwrap();

                let (received, bytes) = far.receive(5).await;
                assert_eq!((&bytes[..], received.fds.len()), (&b"none"[..], 0));
                let (received, bytes) = far.receive(5).await;
                assert_eq!((&bytes[..], received.fds.len()), (&b"two"[..], 2));
                assert!(!received.is_truncated);
                let (empty, bytes) = far.receive(5).await;
                assert_eq!((empty.count, bytes.len(), empty.fds.len()), (0, 0, 2));
                drop(empty);
                assert_eq!(far.receive(5).await.0.count, 0);
                let [writer, copy] = <[OwnedFd; 2]>::try_from(received.fds).unwrap();
                File::from(writer).write_all(b"through the pipe").unwrap();
                let mut text = String::new();
                reader.read_to_string(&mut text).unwrap();
                assert_eq!(text, "through the pipe", "no other writing end is open");

                drop((near, copy));
                assert!(far.recv_with_fds(Vec::with_capacity(64), 5).await.0.unwrap().is_none());
            });
            drop(runtime);
        }
        assert_back_to(before);
    });
}

#[test]
fn what_a_peer_passes_beyond_the_room_or_with_a_cut_message_is_closed() {
    counting(|| {
        run(async {
            let (mut near, mut far) = UnixSeqpacket::pair().unwrap();
            let (_reader, fd) = pipe();
            let before = open();
            flood(&mut near, &mut far, &fd).await;
            near.pass("cut", &fd, 3).await;
            let result = far.recv_with_fds(Vec::with_capacity(2), 3).await.0;
            assert_eq!(annulus::raw_os_error(&result.unwrap_err()), Some(libc::EMSGSIZE));
            until(|| open() == before).await;
            let sent = near.send_with_fds("x", vec![fd.as_fd().try_clone_to_owned().unwrap()]);
            sent.await.0.unwrap();
            let fd = Rc::new(fd);
            let sent = near.send_with_fds("y", vec![fd; 254]).await;
            assert_eq!(sent.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        })
        .unwrap();
    });
}

#[test]
fn dropped_receives_leave_descriptors_to_the_next() {
    drop_receives::<UnixSeqpacket>(1000);
}

#[test]
fn orphaned_descriptors_are_closed_where_no_receive_returns_them() {
    counting(|| {
        let before = open();
        run(async {
            let (_reader, fd) = pipe();
            for end in 0..6 {
                let (mut near, mut far) = UnixSeqpacket::pair().unwrap();
                let open_before = open();
                leave_three(&mut near, &mut far, &fd).await;
                // A message behind it has none of them.
                near.send("y").await.0.unwrap();
                match end {
                    0 => {
                        let (got, bytes) = far.receive(2).await;
                        assert_eq!(
                            (&bytes[..], got.fds.len(), got.is_truncated),
                            (&b"x"[..], 2, true)
                        );
                    }
                    1 => assert_eq!(far.recv(vec![0; 9]).await.0.unwrap(), Some(1)),
                    2 => assert_eq!(&*far.recv_msg().await.unwrap().unwrap(), b"x"),
                    3 => assert_eq!(&*far.recv_many().next().await.unwrap().unwrap(), b"x"),
                    4 => until(|| far.try_recv(&mut [0; 9]).is_ok_and(|it| it == Some(1))).await,
                    _ => {
                        drop(far);
                        until(|| open() == open_before - 1).await;
                        continue;
                    }
                }
                let (got, bytes) = far.receive(2).await;
                assert_eq!((&bytes[..], got.fds.len()), (&b"y"[..], 0));
                until(|| open() == open_before).await;
            }
        })
        .unwrap();
        assert_back_to(before);
    });
}

#[test]
fn dropped_accepts_connects_and_connections_leak_no_descriptor() {
    counting(|| {
        let before = open();
        let mut random = seeded();
        run(async {
            let name = format!("\0annulus-dropped-messages-{}", std::process::id());
            let listener = UnixSeqpacketListener::bind(&name).unwrap();
            for _ in 0..500 {
                let client = times(random.usize(0..4), UnixSeqpacket::connect(&name)).await;
                let server = times(random.usize(0..4), listener.accept()).await;
                if let Some(server) = server {
                    let (server, _) = server.unwrap();
                    // Its multishot receive is in flight when it is dropped.
                    let _ = times(random.usize(0..3), server.recv_msg()).await;
                }
                drop(client);
            }
            drop(listener.close().await);
        })
        .unwrap();
        assert_back_to(before);
    });
}
