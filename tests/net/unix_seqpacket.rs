//! Unix sockets with connections and messages: whole messages, their order, the end, the listener.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{Error, ErrorKind};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::pin::pin;
use std::process::{self, Command};
use std::rc::Rc;

use annulus::buf::BufResult;
use annulus::net::{UnixDatagram, UnixSeqpacket, UnixSeqpacketListener, UnixStream};
use annulus::{Runtime, raw_os_error, spawn, yield_now};
use futures_util::{StreamExt, poll};

use crate::common::bounded::bounded;
use crate::common::pattern::pattern;
use crate::common::poll::{times, yield_times};
use crate::common::random::seeded;
use crate::common::seccomp::{Calls, REGISTER_BUFFER_RING, refusing};
use crate::common::skip::{needs_kernel_ring, skip};
use crate::common::watchdog::run;

/// The forms of receiving that take a message.
const FORMS: u8 = 6;

fn cut((count, buffer): (Option<usize>, Vec<u8>)) -> Option<Vec<u8>> {
    count.map(|count| buffer[..count].to_vec())
}

/// Receives one message by a form, or gives up after some polls. The inner `None` is the end.
async fn receive(socket: &UnixSeqpacket, form: u8, polls: usize) -> Option<Option<Vec<u8>>> {
    match form {
        0 => times(polls, socket.recv(vec![0; 100])).await.map(|done| cut(done.unwrap())),
        1 => times(polls, socket.recv_msg_into(vec![0; 100])).await.map(|done| cut(done.unwrap())),
        2 => {
            let message = times(polls, socket.recv_msg()).await?.unwrap();
            Some(message.map(|message| message.to_vec()))
        }
        3 => {
            let mut stream = pin!(socket.recv_many());
            let message = times(polls, stream.next()).await?;
            Some(message.map(|message| message.unwrap().to_vec()))
        }
        4 => {
            let mut memory = [0; 100];
            let polled = times(polls, poll_fn(|context| socket.poll_recv(context, &mut memory)));
            let count = polled.await?.unwrap();
            Some(count.map(|count| memory[..count].to_vec()))
        }
        _ => {
            let done = times(polls, socket.recv_with_fds(vec![0; 100], 2)).await?;
            let (received, buffer) = done.unwrap();
            Some(received.map(|received| buffer[..received.count].to_vec()))
        }
    }
}

async fn whole(socket: &UnixSeqpacket, form: u8) -> Option<Vec<u8>> {
    receive(socket, form, usize::MAX).await.unwrap()
}

fn is_cut(error: &Error) -> bool {
    raw_os_error(error) == Some(libc::EMSGSIZE)
}

#[test]
fn each_send_is_one_message_and_an_empty_one_is_not_the_end() {
    run(async {
        for form in 0..FORMS {
            let (near, far) = UnixSeqpacket::pair().unwrap();
            let sent = [&b"one"[..], b"", b"three", b"", b""];
            for message in sent {
                assert_eq!(far.send(message).await.0.unwrap(), message.len());
            }
            for message in sent {
                assert_eq!(whole(&near, form).await.as_deref(), Some(message), "form {form}");
            }
            assert!(receive(&near, form, 3).await.is_none(), "form {form}: nothing was sent");
            // The last message before the end is the hardest to tell from it.
            far.send("").await.0.unwrap();
            far.close().await;
            assert_eq!(whole(&near, form).await, Some(vec![]), "form {form}");
            for _ in 0..3 {
                assert_eq!(whole(&near, form).await, None, "form {form}");
            }
            assert_eq!(near.peek(vec![0; 9]).await.0.unwrap(), None);
            yield_now().await;
            assert_eq!(near.try_recv(&mut [0; 9]).unwrap(), None);
        }
    });
}

#[test]
fn forms_of_receiving_may_alternate_up_to_the_end() {
    run(async {
        let (near, far) = UnixSeqpacket::pair().unwrap();
        for number in 0..60_u8 {
            far.send(vec![number; usize::from(number % 3)]).await.0.unwrap();
        }
        drop(far);
        for number in 0..60_u8 {
            let message = whole(&near, number % FORMS).await;
            assert_eq!(message, Some(vec![number; usize::from(number % 3)]));
        }
        assert_eq!(near.recv_many().count().await, 0);
        assert_eq!(whole(&near, 0).await, None);
    });
}

/// Where messages are not marked, a poll tells the end.
#[test]
fn an_empty_message_is_not_the_end_on_a_kernel_without_marks() {
    run(async {
        for form in 0..FORMS {
            let (near, far) = UnixSeqpacket::pair().unwrap();
            let (off, length) = (0_i32, size_of::<i32>() as libc::socklen_t);
            let (fd, value) = (near.as_raw_fd(), (&raw const off).cast());
            // SAFETY: the call reads one integer.
            let done = unsafe {
                libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMP, value, length)
            };
            assert_eq!(done, 0);
            far.send("").await.0.unwrap();
            assert_eq!(whole(&near, form).await, Some(vec![]), "form {form}");
            far.send("x").await.0.unwrap();
            drop(far);
            assert_eq!(whole(&near, form).await, Some(b"x".to_vec()), "form {form}");
            assert_eq!(whole(&near, form).await, None, "form {form}");
        }
    });
}

#[test]
fn a_message_that_is_longer_than_the_buffer_is_reported() {
    run(async {
        let (near, far) = UnixSeqpacket::pair().unwrap();
        let sent = pattern(1, 1000);
        for _ in 0..6 {
            far.send(sent.clone()).await.0.unwrap();
        }
        far.send("behind").await.0.unwrap();
        let BufResult(result, buffer) = near.recv(vec![0; 100].into_boxed_slice()).await;
        let error = result.unwrap_err();
        assert!(is_cut(&error) && error.to_string().contains("1000 bytes"), "{error}");
        assert_eq!(buffer[..], sent[..100]);
        let (length, buffer) = near.recv_msg_into(vec![0; 100]).await.unwrap();
        assert_eq!((length, &buffer[..]), (Some(1000), &sent[..100]));
        let (count, buffer) = near.peek(vec![0; 10]).await.unwrap();
        assert_eq!((count, &buffer[..]), (Some(10), &sent[..10]));
        let mut memory = [0; 100];
        yield_now().await;
        assert!(is_cut(&near.try_recv(&mut memory).unwrap_err()));
        let polled = poll_fn(|context| near.poll_recv(context, &mut memory)).await;
        assert!(is_cut(&polled.unwrap_err()));
        assert!(is_cut(&near.recv_with_fds(vec![0; 100], 1).await.0.unwrap_err()));
        assert_eq!(*near.recv_msg().await.unwrap().unwrap(), sent[..], "a lease has room for it");
        assert_eq!(whole(&near, 0).await, Some(b"behind".to_vec()));
    });
}

#[test]
fn a_message_longer_than_a_leased_buffer_is_reported_and_fits_an_owned_one() {
    run(async {
        let (near, far) = UnixSeqpacket::pair().unwrap();
        let long = pattern(1, 100_000);
        far.send(long.clone()).await.0.unwrap();
        let (count, buffer) = near.recv(vec![0; 200_000]).await.unwrap();
        assert_eq!(buffer[..count.unwrap()], long[..]);
        far.send(long).await.0.unwrap();
        assert!(is_cut(&near.recv_msg().await.unwrap_err()));
        let error = far.send(vec![0; 100 << 20]).await.0.unwrap_err();
        assert!(is_cut(&error), "longer than the send buffer: {error}");
    });
}

/// The receive that was dropped had a short buffer, and the next has a long one.
#[test]
fn a_message_that_a_dropped_receive_has_cut_is_reported_by_the_next() {
    run(async {
        for form in 0..FORMS {
            let (near, far) = UnixSeqpacket::pair().unwrap();
            let mut attempts = 0;
            // Until the dropped receive has the message: the cancel may come first.
            loop {
                attempts += 1;
                assert!(attempts < 1000, "no dropped receive was completed");
                let mut short = Box::pin(near.recv(vec![0; 4]));
                assert!(poll!(&mut short).is_pending());
                far.send("0123456789").await.0.unwrap();
                if attempts % 2 == 0 {
                    yield_times(3).await;
                }
                drop(short);
                match near.peek(vec![0; 100]).await.unwrap().0 {
                    Some(4) => break,
                    whole => assert_eq!(whole, Some(10)),
                }
                assert_eq!(whole(&near, 0).await.unwrap(), b"0123456789");
            }
            let mut memory = [0; 100];
            yield_now().await;
            let result = match form {
                0 => near.recv(vec![0; 100]).await.0.map(drop),
                1 => near.recv_msg_into(vec![0; 100]).await.0.map(drop),
                2 => near.recv_msg().await.map(drop),
                3 => near.recv_many().next().await.unwrap().map(drop),
                4 => near.try_recv(&mut memory).map(drop),
                _ => near.recv_with_fds(vec![0; 100], 1).await.0.map(drop),
            };
            assert!(is_cut(&result.unwrap_err()), "form {form}");
        }
    });
}

/// Sends numbered messages while receives of all forms, and sends, are dropped at random moments.
/// Each message must arrive once, in order, up to the end.
async fn every_message_arrives_once() {
    const MESSAGES: u32 = 1000;
    let mut random = seeded();
    let (near, far) = UnixSeqpacket::pair().unwrap();
    let dropped = Rc::new(Cell::new(0));
    let sender = spawn({
        let dropped = Rc::clone(&dropped);
        let mut random = fastrand::Rng::with_seed(random.u64(..));
        async move {
            for number in 0..MESSAGES {
                if random.u8(..4) == 0 {
                    // A dropped send is done or not; if so, before the next.
                    let mut extra = number.to_ne_bytes().to_vec();
                    extra.push(0);
                    let sent = times(random.usize(1..3), far.send(extra)).await;
                    dropped.set(dropped.get() + u32::from(sent.is_none()));
                }
                far.send(number.to_ne_bytes().to_vec()).await.0.unwrap();
                yield_times(random.usize(..4)).await;
            }
        }
    });
    let mut next = 0_u32;
    loop {
        if random.u8(..8) == 0 {
            // Looks at it, which takes nothing.
            let _ = times(random.usize(1..4), near.peek(vec![0; 10])).await;
        }
        let Some(message) = receive(&near, random.u8(..FORMS), random.usize(1..5)).await else {
            yield_times(random.usize(..2)).await;
            continue;
        };
        let Some(bytes) = message else { break };
        let number = u32::from_ne_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(number, next, "{} bytes", bytes.len());
        next += u32::from(bytes.len() == 4);
    }
    assert_eq!(next, MESSAGES);
    sender.await.unwrap();
}

#[test]
fn no_message_is_lost_doubled_or_overtaken_by_dropped_receives_and_sends() {
    run(every_message_arrives_once());
}

#[test]
fn no_message_is_lost_by_dropped_receives_where_the_loop_enters_between_polls() {
    bounded(|| {
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        runtime.block_on(every_message_arrives_once());
    });
}

#[test]
fn no_message_is_lost_by_dropped_receives_without_provided_buffers() {
    if needs_kernel_ring("it lets io_uring_register fail") {
        return;
    }
    let calls =
        Calls { number: libc::SYS_io_uring_register, second_argument: Some(REGISTER_BUFFER_RING) };
    refusing(calls, libc::EINVAL, || run(every_message_arrives_once()));
}

/// The first task has spent its inline calls, so its last send is submitted, and dropped. The
/// second may make such calls, before the loop has submitted anything.
#[test]
fn a_message_does_not_overtake_a_dropped_send_that_is_still_to_be_submitted() {
    run(async {
        let (near, far) = UnixSeqpacket::pair().unwrap();
        let far = Rc::new(far);
        let first = spawn({
            let far = Rc::clone(&far);
            async move {
                while far.try_send(b"fill").is_ok() {}
                assert!(poll!(pin!(far.send("first"))).is_pending());
            }
        });
        let second = spawn({
            let far = Rc::clone(&far);
            async move { far.send("second").await.0.unwrap() }
        });
        first.await.unwrap();
        second.await.unwrap();
        // The dropped send keeps the socket open until it has ended.
        drop(far);
        let mut messages = Vec::new();
        while let Some(message) = near.recv_msg().await.unwrap() {
            messages.push(message.to_vec());
        }
        messages.retain(|message| message != b"fill");
        assert!(messages == [b"second"] || messages == [&b"first"[..], b"second"], "{messages:?}");
    });
}

/// The kernel reports the reset before what had arrived.
#[test]
fn a_reset_connection_returns_what_had_arrived_and_then_the_error() {
    run(async {
        for form in 0..FORMS {
            let (near, far) = UnixSeqpacket::pair().unwrap();
            near.send("unread").await.0.unwrap();
            far.send("first").await.0.unwrap();
            far.send("").await.0.unwrap();
            far.close().await;
            if form % 2 == 0 {
                // Or the send learns of it.
                let error = near.send("late").await.0.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            }
            let error = match form {
                3 => {
                    let messages: Vec<_> = near.recv_many().collect().await;
                    let [first, second, end] = <[_; 3]>::try_from(messages).unwrap();
                    assert_eq!((&*first.unwrap(), &*second.unwrap()), (&b"first"[..], &b""[..]));
                    end.unwrap_err()
                }
                _ => {
                    assert_eq!(whole(&near, form).await, Some(b"first".to_vec()), "form {form}");
                    assert_eq!(whole(&near, form).await, Some(vec![]), "form {form}");
                    near.recv(vec![0; 10]).await.0.unwrap_err()
                }
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "form {form}");
            yield_now().await;
            let error = near.try_recv(&mut [0; 9]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "form {form}");
            let error = near.send("later").await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn either_direction_ends_by_itself() {
    run(async {
        let (near, far) = UnixSeqpacket::pair().unwrap();
        let waiting = spawn(async move {
            let end = far.recv_msg().await.unwrap();
            assert!(end.is_none());
            far.send("still").await.0.unwrap();
            far
        });
        yield_times(3).await;
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(whole(&near, 0).await, Some(b"still".to_vec()));
        assert_eq!(near.send("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let far = waiting.await.unwrap();
        near.shutdown(Shutdown::Read).unwrap();
        assert_eq!(whole(&near, 1).await, None);
        assert_eq!(far.send("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// The peer receives nothing, or has ended its own direction, which a poll for room reports at
/// once, each time.
#[test]
fn a_send_waits_for_room_and_the_loop_sleeps() {
    run(async {
        for half_closed in [false, true] {
            let (near, far) = UnixSeqpacket::pair().unwrap();
            if half_closed {
                near.shutdown(Shutdown::Write).unwrap();
            }
            // So small that it is full before the attempts of a task are spent.
            far.set_send_buffer_size(4096).unwrap();
            let mut sent = 0_u32;
            while far.try_send(&sent.to_ne_bytes()).is_ok() {
                sent += 1;
            }
            let sender = spawn(async move { far.send(sent.to_ne_bytes().to_vec()).await.0 });
            yield_times(3).await;
            let before = annulus::metrics().enter_calls;
            annulus::time::sleep(std::time::Duration::from_millis(20)).await;
            assert!(annulus::metrics().enter_calls - before < 20, "the loop sleeps meanwhile");
            assert!(!sender.is_finished());
            for number in 0..=sent {
                assert_eq!(whole(&near, 2).await.unwrap(), number.to_ne_bytes());
            }
            sender.await.unwrap().unwrap();
        }
    });
}

#[test]
fn connections_are_accepted_at_a_name_with_addresses_and_credentials() {
    run(async {
        let name = format!("\0annulus-seqpacket-{}", process::id());
        let mut listener = UnixSeqpacketListener::bind(&name).unwrap();
        let address = listener.local_addr().unwrap();
        let near = UnixSeqpacket::connect(&name).await.unwrap();
        let (far, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed() && near.local_addr().unwrap().is_unnamed());
        assert_eq!(near.peer_addr().unwrap().as_abstract_name(), address.as_abstract_name());
        for end in [&near, &far] {
            assert_eq!(end.peer_cred().unwrap().pid(), Some(process::id() as i32));
        }
        // What is sent before the accept is received behind it.
        let early = UnixSeqpacket::connect_addr(&address).await.unwrap();
        early.send("").await.0.unwrap();
        early.send("early").await.0.unwrap();
        drop(early);
        let (late, _) = listener.incoming().next().await.unwrap().unwrap();
        assert_eq!(whole(&late, 0).await, Some(vec![]));
        assert_eq!(whole(&late, 2).await, Some(b"early".to_vec()));
        assert_eq!(whole(&late, 0).await, None);
        // Sockets of other types do not mix with it, but may have the same abstract name.
        assert!(UnixStream::connect(&name).await.is_err());
        drop(UnixDatagram::bind(&name).unwrap());
        let error = UnixSeqpacketListener::bind(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        listener.close().await;
        let error = UnixSeqpacket::connect(&name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&name[1..]), "{error}");
    });
}

#[test]
fn dropped_accepts_lose_no_connection() {
    run(async {
        let name = format!("\0annulus-seqpacket-accepts-{}", process::id());
        let listener = UnixSeqpacketListener::bind(&name).unwrap();
        let mut random = seeded();
        let clients = spawn(async move {
            for number in 0..200_u32 {
                let client = UnixSeqpacket::connect(&name).await.unwrap();
                client.send(number.to_ne_bytes().to_vec()).await.0.unwrap();
            }
        });
        let (mut next, mut dropped) = (0_u32, 0);
        while next < 200 {
            let Some(accepted) = times(random.usize(1..4), listener.accept()).await else {
                dropped += 1;
                yield_now().await;
                continue;
            };
            let message = whole(&accepted.unwrap().0, 0).await.unwrap();
            assert_eq!(message, next.to_ne_bytes());
            next += 1;
        }
        assert!(dropped > 0);
        clients.await.unwrap();
    });
}

#[test]
fn a_connection_leaves_the_runtime_with_what_it_had_received_and_comes_back() {
    run(async {
        let (near, far) = UnixSeqpacket::pair().unwrap();
        assert!(times(2, near.recv_msg()).await.is_none());
        for message in ["one", "", "three"] {
            far.send(message).await.0.unwrap();
        }
        // The multishot receive may have some of them.
        yield_times(3).await;
        let (fd, mut messages): (OwnedFd, Vec<_>) = near.into_fd().await.unwrap();
        let near = UnixSeqpacket::from(fd);
        drop(far);
        while let Some(message) = near.recv_msg().await.unwrap() {
            messages.push(message);
        }
        let messages: Vec<_> = messages.iter().map(|message| &message[..]).collect();
        assert_eq!(messages, [&b"one"[..], b"", b"three"]);

        let name = format!("\0annulus-seqpacket-moved-{}", process::id());
        let listener = UnixSeqpacketListener::bind(&name).unwrap();
        let first = UnixSeqpacket::connect(&name).await.unwrap();
        let (fd, accepted) = listener.into_fd().await.unwrap();
        let listener = UnixSeqpacketListener::from(fd);
        let far = match accepted.into_iter().next() {
            Some((far, _)) => far,
            None => listener.accept().await.unwrap().0,
        };
        first.send("through").await.0.unwrap();
        assert_eq!(whole(&far, 0).await, Some(b"through".to_vec()));
    });
}

#[test]
fn tasks_that_receive_are_served_in_order_and_all_learn_of_the_end() {
    run(async {
        let (near, far) = UnixSeqpacket::pair().unwrap();
        let near = Rc::new(near);
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let near = Rc::clone(&near);
                spawn(async move { whole(&near, 0).await })
            })
            .collect();
        yield_times(2).await;
        for number in 0..3_u8 {
            far.send(vec![number]).await.0.unwrap();
        }
        far.close().await;
        let expected = [Some(vec![0]), Some(vec![1]), Some(vec![2]), None, None];
        for (task, expected) in tasks.into_iter().zip(expected) {
            assert_eq!(task.await.unwrap(), expected);
        }
    });
}

/// Python's sockets at the other end, which also set `MSG_EOR`.
#[test]
fn messages_are_exchanged_with_another_implementation() {
    const PEER: &str = "\
import socket, sys
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
peer.connect('\\0' + sys.argv[1])
peer.sendmsg([b'in ', b'parts'], [], socket.MSG_EOR)
peer.send(b'')
data, _, flags, _ = peer.recvmsg(4)
assert data == b'0123' and flags == socket.MSG_TRUNC, (data, flags)
assert peer.recv(100) == b'next'
peer.send(b'last')
";
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("python3 is not installed");
    }
    run(async {
        let name = format!("annulus-seqpacket-python-{}", process::id());
        let listener = UnixSeqpacketListener::bind(format!("\0{name}")).unwrap();
        let mut peer = Command::new("python3").args(["-c", PEER, &name]).spawn().unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        assert_eq!(socket.peer_cred().unwrap().pid(), Some(peer.id() as i32));
        assert_eq!(whole(&socket, 2).await, Some(b"in parts".to_vec()));
        assert_eq!(whole(&socket, 2).await, Some(vec![]));
        socket.send("0123456789").await.0.unwrap();
        socket.send("next").await.0.unwrap();
        assert_eq!(whole(&socket, 0).await, Some(b"last".to_vec()));
        assert_eq!(whole(&socket, 0).await, None);
        assert!(peer.wait().unwrap().success());
    });
}
