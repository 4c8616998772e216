//! What the ring remembers of readiness, where receives are made without it, too.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::datagrams::send_with_descriptor;
use super::sockets::{recv, tcp_pair};
use super::{Bench, fd, portable};
use crate::sys::poll::READABLE;
use crate::sys::{Drained, Submission, opcode};

/// Receives without the ring. Returns how many bytes, and what the ring is to be told of that.
fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> (usize, Option<Drained>) {
    let (start, length) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the call writes at most as many bytes as there is room for.
    let count = unsafe { libc::recv(socket.as_raw_fd(), start, length, libc::MSG_DONTWAIT) };
    match usize::try_from(count) {
        Ok(count) => (count, (count < length).then_some(Drained::Short)),
        Err(_) => (0, Some(Drained::Blocked)),
    }
}

fn note(bench: &mut Bench, socket: &impl AsRawFd, drained: Option<Drained>) {
    if let Some(how) = drained {
        bench.ring.note_drained(socket.as_raw_fd(), how);
    }
}

fn poll(socket: &impl AsRawFd) -> Submission {
    opcode::PollAdd::new(fd(socket), READABLE).build()
}

/// A socket that is registered, as a receive on it has waited.
fn registered<S: AsRawFd + Write>(bench: &mut Bench, near: &S, far: &mut S) {
    bench.ring.adopt(near.as_raw_fd());
    let mut buffer = [0; 8];
    bench.submit([(1, recv(near, &mut buffer))]);
    far.write_all(b"first").unwrap();
    bench.collect(1);
}

#[test]
fn what_comes_between_a_receive_and_the_word_of_it_is_reported() {
    let mut bench = portable();
    let (near, mut far) = tcp_pair();
    registered(&mut bench, &near, &mut far);
    for _ in 0..3 {
        far.write_all(b"more").unwrap();
        bench.run([(2, poll(&near))]);
        let (_, drained) = receive(&near, &mut [0; 64]);
        assert_eq!(drained, Some(Drained::Short));
        far.write_all(b"at once").unwrap();
        note(&mut bench, &near, drained);
        bench.run([(3, poll(&near))]);
        while receive(&near, &mut [0; 64]).1 != Some(Drained::Blocked) {}
        note(&mut bench, &near, Some(Drained::Blocked));
        bench.submit([(4, poll(&near))]);
        bench.assert_quiet();
        far.write_all(b"late").unwrap();
        bench.collect(1);
        note(&mut bench, &near, receive(&near, &mut [0; 64]).1);
    }
}

/// The end was reported together with the bytes before it, and is not reported again.
#[test]
fn a_short_receive_without_the_ring_leaves_an_end_that_was_reported_before() {
    let mut bench = portable();
    let (near, mut far) = tcp_pair();
    registered(&mut bench, &near, &mut far);
    far.write_all(b"last").unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    // Until the end is there, and reported.
    bench.run([(2, opcode::PollAdd::new(fd(&near), libc::POLLRDHUP as u32).build())]);
    let (count, drained) = receive(&near, &mut [0; 64]);
    assert_eq!((count, drained), (4, Some(Drained::Short)));
    note(&mut bench, &near, drained);
    let mut buffer = [0; 8];
    bench.run([(3, poll(&near)), (4, recv(&near, &mut buffer))]);
    assert_eq!(bench.seen.last().unwrap()[1], (4, 0, 0), "EOF");
}

/// A short receive there does not mean that nothing is left.
#[test]
fn a_short_receive_of_a_unix_socket_without_the_ring_leaves_what_another_writer_has_sent() {
    let mut bench = portable();
    let (near, mut far) = UnixStream::pair().unwrap();
    registered(&mut bench, &near, &mut far);
    let passed = std::fs::File::open("/dev/null").unwrap();
    send_with_descriptor(&far, b"with", &passed);
    far.write_all(b"without").unwrap();
    // To wait for another socket collects what epoll has to report of this one, too.
    let (other, mut other_far) = UnixStream::pair().unwrap();
    other_far.write_all(b"other").unwrap();
    bench.run([(2, poll(&other))]);
    let (count, drained) = receive(&near, &mut [0; 64]);
    assert_eq!((count, drained), (4, Some(Drained::Short)));
    note(&mut bench, &near, drained);
    bench.run([(3, poll(&near))]);
}

/// The number of a socket that has left is another's, of which nothing is remembered.
#[test]
fn what_was_remembered_of_a_socket_is_not_believed_of_the_one_that_has_its_number() {
    let mut bench = portable();
    let ((old, mut old_far), (new, mut new_far)) = (tcp_pair(), tcp_pair());
    registered(&mut bench, &old, &mut old_far);
    let number = old.as_raw_fd();
    note(&mut bench, &old, Some(Drained::Blocked));
    new_far.write_all(b"before").unwrap();
    bench.ring.forget(number);
    // SAFETY: the call takes no pointers. It closes the old socket.
    assert_eq!(unsafe { libc::dup3(new.as_raw_fd(), number, libc::O_CLOEXEC) }, number);
    bench.ring.adopt(number);
    bench.run([(2, poll(&old))]);
    note(&mut bench, &old, receive(&old, &mut [0; 64]).1);
    bench.submit([(3, poll(&old))]);
    bench.assert_quiet();
    new_far.write_all(b"behind").unwrap();
    bench.collect(1);
}

/// Random numbers of a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

/// Whatever is sent, polled and received, by the ring or without it, in whatever order: while there
/// are bytes a poll completes, and while there are none it does not.
#[track_caller]
fn lose_no_readiness<S: AsRawFd + Write>(seed: u64, (near, mut far): (S, S)) {
    let (mut bench, mut dice) = (portable(), Dice(seed));
    bench.ring.adopt(near.as_raw_fd());
    let (mut there, mut is_polled, mut buffer) = (0, false, vec![0; 4096]);
    for _ in 0..300 {
        match dice.below(4) {
            0 => {
                let count = 1 + dice.below(2000);
                far.write_all(&vec![7; count]).unwrap();
                there += count;
            }
            1 if !is_polled => {
                bench.submit([(1, poll(&near))]);
                is_polled = true;
            }
            2 => {
                let room = 1 + dice.below(buffer.len());
                let (count, drained) = receive(&near, &mut buffer[..room]);
                there -= count;
                if dice.below(4) == 0 {
                    far.write_all(b"between").unwrap();
                    there += 7;
                }
                note(&mut bench, &near, drained);
            }
            _ if !is_polled && there > 0 => {
                let room = 1 + dice.below(buffer.len());
                let received = bench.run([(2, recv(&near, &mut buffer[..room]))])[0];
                there -= received.result().unwrap() as usize;
            }
            _ => {}
        }
        if is_polled && there > 0 {
            // It may have been reported and received since.
            bench.collect(1);
            is_polled = false;
        } else if is_polled && dice.below(8) == 0 {
            bench.assert_quiet();
        }
    }
}

#[test]
fn no_readiness_is_lost_by_receives_with_the_ring_and_without_it() {
    for seed in 0..20 {
        lose_no_readiness::<TcpStream>(seed, tcp_pair());
        lose_no_readiness::<UnixStream>(seed, UnixStream::pair().unwrap());
    }
}
