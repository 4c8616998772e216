//! Descriptors that a Unix socket carries arrive once, or are closed.
//!
//! The race: the peer passes descriptors, and the kernel has given them numbers in this process,
//! when the receive is dropped. They must go to the next receive, or be closed where none can
//! return them. And a peer may pass more than was asked for, or than this process can have.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::rc::Rc;

use annulus::net::{UnixListener, UnixStream};
use annulus::{Runtime, run, spawn};

use crate::common::child::isolated;
use crate::common::descriptors::{assert_back_to, counting, open};
use crate::common::poll::{times, until};
use crate::common::skip::{build_or_skip, skip};
use crate::passing::{Passing, drop_receives, flood, leave_three, pipe};
use crate::this_test;

#[test]
fn a_passed_descriptor_is_the_same_file_and_close_on_exec() {
    counting(|| {
        let before = open();
        let builders = [Runtime::builder(), Runtime::builder().direct_descriptors(8)];
        for runtime in builders.into_iter().filter_map(build_or_skip) {
            runtime.block_on(async {
                let name = format!("\0annulus-passing-{}", std::process::id());
                let listener = UnixListener::bind(&name).unwrap();
                let mut near = UnixStream::connect(&name).await.unwrap();
                let (mut far, _) = listener.accept().await.unwrap();
                let (mut reader, writer) = pipe();
                let sent = near.send_with_fds(
                    "two",
                    vec![writer, reader.as_fd().try_clone_to_owned().unwrap()],
                );
                let ((), (bytes, fds)) = sent.await.into_result().unwrap();
                assert_eq!((bytes, fds.len()), ("two", 2), "what was given is given back");
                drop(fds);

                let (received, bytes) = far.receive(5).await;
                assert_eq!(
                    (&bytes[..], received.count, received.is_truncated),
                    (&b"two"[..], 3, false)
                );
                let [writer, copy] = <[OwnedFd; 2]>::try_from(received.fds).unwrap();
                for fd in [&writer, &copy] {
                    // SAFETY: the call takes no pointers.
                    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
                    assert_eq!(flags, libc::FD_CLOEXEC);
                }
                File::from(writer).write_all(b"through the pipe").unwrap();
                let mut text = String::new();
                reader.read_to_string(&mut text).unwrap();
                assert_eq!(text, "through the pipe", "no other writing end is open");

                drop(near);
                let (received, bytes) = far.receive(5).await;
                assert!(bytes.is_empty() && received.count == 0 && received.fds.is_empty(), "EOF");
            });
            drop(runtime);
        }
        assert_back_to(before);
    });
}

/// Bytes without descriptors may come before them, but two sends with some are two reads.
#[test]
fn the_descriptors_of_two_sends_are_not_mixed() {
    counting(|| {
        run(async {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            let (_reader, fd) = pipe();
            near.write_all("plain ").await.0.unwrap();
            near.pass("first", &fd, 1).await;
            near.write_all("behind").await.0.unwrap();
            near.pass("second", &fd, 2).await;
            let (mut seen, mut counts) = (Vec::new(), Vec::new());
            while seen.len() < "plain firstbehindsecond".len() {
                let (received, bytes) = far.receive(5).await;
                seen.extend(bytes);
                counts.push((seen.len(), received.fds.len()));
            }
            assert_eq!(seen, b"plain firstbehindsecond");
            counts.retain(|(_, fds)| *fds > 0);
            assert_eq!(counts, [("plain first".len(), 1), (seen.len(), 2)]);

            // Of a long send, they come with the first part.
            near.pass("long", &fd, 1).await;
            let (received, bytes) =
                far.recv_with_fds(Vec::with_capacity(1), 1).await.into_result().unwrap();
            assert_eq!((&bytes[..], received.fds.len()), (&b"l"[..], 1));
            let (received, bytes) = far.receive(1).await;
            assert_eq!((&bytes[..], received.fds.len()), (&b"ong"[..], 0));
        })
        .unwrap();
    });
}

#[test]
fn what_a_peer_passes_beyond_the_room_is_closed() {
    counting(|| {
        run(async {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            let (_reader, fd) = pipe();
            flood(&mut near, &mut far, &fd).await;
        })
        .unwrap();
    });
}

#[test]
fn a_process_without_descriptors_receives_the_bytes_and_no_more_than_it_can_have() {
    // The child's own pipes are descriptors of this process, too.
    counting(|| {
        isolated(this_test!(), || {
            run(async {
                let (mut near, mut far) = UnixStream::pair().unwrap();
                let (_reader, fd) = pipe();
                near.pass("flood", &fd, 20).await;
                let before = open();
                // Numbers below the limit are free for three more.
                let next = fd.try_clone().unwrap().as_raw_fd() as libc::rlim_t;
                let limit = libc::rlimit { rlim_cur: next + 3, rlim_max: next + 3 };
                // SAFETY: the call reads one `rlimit`.
                assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
                let (received, bytes) = far.receive(20).await;
                assert_eq!(bytes, b"flood");
                assert!((1..=3).contains(&received.fds.len()), "{received:?}");
                assert!(received.is_truncated);
                drop(received);
                near.pass("more", &fd, 1).await;
                assert_eq!(far.receive(1).await.0.fds.len(), 1);
                assert_eq!(open(), before);
            })
            .unwrap();
        });
    });
}

#[test]
fn plain_reads_take_the_bytes_and_close_the_descriptors() {
    counting(|| {
        run(async {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            let (_reader, fd) = pipe();
            let before = open();
            near.pass("read", &fd, 3).await;
            let (count, _) = far.read(Vec::with_capacity(64)).await.into_result().unwrap();
            assert_eq!(count, 4);
            assert_back_to(before);
            // Some of these by a multishot receive.
            for _ in 0..50 {
                near.pass("recv", &fd, 3).await;
                assert_eq!(&*far.recv().await.unwrap(), b"recv");
            }
            assert_back_to(before);
            // It is ended, and what it has not received keeps its descriptors.
            let waiting = times(1, far.receive(2)).await;
            assert!(waiting.is_none());
            near.pass("fds", &fd, 2).await;
            let (received, bytes) = far.receive(2).await;
            assert_eq!((&bytes[..], received.fds.len()), (&b"fds"[..], 2));
        })
        .unwrap();
    });
}

#[test]
fn dropped_receives_leave_their_descriptors_to_the_next() {
    drop_receives::<UnixStream>(2000);
}

#[test]
fn orphaned_descriptors_are_closed_where_no_read_returns_them() {
    counting(|| {
        let before = open();
        run(async {
            let (_reader, fd) = pipe();
            for end in 0..4 {
                let (mut near, mut far) = UnixStream::pair().unwrap();
                let open_before = open();
                leave_three(&mut near, &mut far, &fd).await;
                match end {
                    0 => {
                        let (got, bytes) = far.receive(2).await;
                        assert_eq!(
                            (&bytes[..], got.fds.len(), got.is_truncated),
                            (&b"x"[..], 2, true)
                        );
                    }
                    1 => assert_eq!(far.read(Vec::with_capacity(9)).await.0.unwrap(), 1),
                    2 => assert_eq!(&*far.recv().await.unwrap(), b"x"),
                    _ => drop(far),
                }
                let left = if end == 3 { open_before - 1 } else { open_before };
                until(|| open() == left).await;
            }
        })
        .unwrap();
        assert_back_to(before);
    });
}

#[test]
fn a_long_message_passes_its_descriptors_once() {
    counting(|| {
        run(async {
            const LENGTH: usize = 1 << 20;
            let (near, far) = UnixStream::pair().unwrap();
            let (_reader, mut writer) = near.into_split();
            let (mut reader, _writer) = far.into_split();
            let (_end, fd) = pipe();
            let sends = spawn(async move {
                let fds = vec![Rc::new(fd)];
                writer.send_with_fds(vec![7; LENGTH], fds).await.0.unwrap();
            });
            let (mut bytes, mut fds, mut reads) = (0, 0, 0);
            while bytes < LENGTH {
                let buffer = Vec::with_capacity(1 << 16);
                let (got, _) = reader.recv_with_fds(buffer, 5).await.into_result().unwrap();
                (bytes, fds, reads) = (bytes + got.count, fds + got.fds.len(), reads + 1);
            }
            assert_eq!((bytes, fds), (LENGTH, 1));
            assert!(reads > 4, "it was sent in several parts");
            sends.await.unwrap();
        })
        .unwrap();
    });
}

#[test]
fn what_cannot_be_passed_is_refused_and_given_back() {
    counting(|| {
        run(async {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            let (_reader, fd) = pipe();
            let fd = Rc::new(fd);
            let sent = near.send_with_fds("", vec![Rc::clone(&fd)]).await;
            assert_eq!(sent.0.unwrap_err().kind(), ErrorKind::InvalidInput);
            let sent = near.send_with_fds("x", vec![Rc::clone(&fd); 254]).await;
            let (error, (bytes, fds)) = (sent.0.unwrap_err(), sent.1);
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("at most 253"), "{error}");
            assert_eq!((bytes, fds.len()), ("x", 254));
            near.send_with_fds("y", vec![fd; 253]).await.0.unwrap();
            assert_eq!(far.receive(253).await.1, b"y", "nothing of those was sent");
            drop(far);
            let sent = near.send_with_fds("z", Vec::<OwnedFd>::new()).await;
            assert_eq!(sent.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        })
        .unwrap();
    });
}

/// Python's `socket.send_fds` and `recv_fds` at the other end.
#[test]
fn descriptors_are_passed_to_and_from_another_implementation() {
    const PEER: &str = "\
import os, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect('\\0' + sys.argv[1])
data, fds, flags, _ = socket.recv_fds(peer, 64, 4)
assert data == b'write here' and len(fds) == 1 and flags == 0, (data, fds, flags)
os.write(fds[0], b'from python')
reader, writer = os.pipe()
os.write(writer, b'in a pipe')
socket.send_fds(peer, [b'read ', b'here'], [reader])
";
    counting(|| {
        // Its pipes are descriptors of this process.
        if Command::new("python3").arg("--version").output().is_err() {
            return skip("python3 is not installed");
        }
        run(async {
            let name = format!("annulus-python-{}", std::process::id());
            let listener = UnixListener::bind(format!("\0{name}")).unwrap();
            let mut peer = Command::new("python3").args(["-c", PEER, &name]).spawn().unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_eq!(stream.peer_cred().unwrap().pid(), Some(peer.id() as i32));
            let (mut reader, writer) = pipe();
            stream.send_with_fds("write here", vec![writer]).await.0.unwrap();
            let (received, bytes) = stream.receive(4).await;
            assert_eq!((&bytes[..], received.fds.len()), (&b"read here"[..], 1));
            assert!(peer.wait().unwrap().success());
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "from python");
            let mut other = File::from(received.fds.into_iter().next().unwrap());
            text.clear();
            other.read_to_string(&mut text).unwrap();
            assert_eq!(text, "in a pipe");
        })
        .unwrap();
    });
}
