//! Polls.

use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};

use super::sockets::tcp_pair;
use super::{compare, descriptor, fd};
use crate::sys::poll::{READABLE, WRITABLE};
use crate::sys::{Submission, opcode};

fn counter() -> File {
    // SAFETY: the call takes no pointers.
    File::from(descriptor(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }))
}

fn pipe() -> (File, File) {
    let mut fds = [0; 2];
    // SAFETY: the call writes two numbers.
    assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    let [read, write] = fds.map(|fd| File::from(descriptor(fd)));
    (read, write)
}

fn poll(file: &impl AsRawFd, events: u32) -> Submission {
    opcode::PollAdd::new(fd(file), events).build()
}

fn multishot(file: &impl AsRawFd, events: u32) -> Submission {
    opcode::PollAdd::new(fd(file), events).multi(true).build()
}

#[test]
fn a_poll_reports_once_what_is_ready_or_becomes_so() {
    compare(|bench| {
        let mut counter = counter();
        bench.submit([(1, poll(&counter, READABLE))]);
        bench.assert_quiet();
        counter.write_all(&1_u64.to_ne_bytes()).unwrap();
        bench.collect(1);
        bench.run([(2, poll(&counter, READABLE))]);
        counter.read_exact(&mut [0; 8]).unwrap();
        bench.submit([(3, poll(&counter, READABLE)), (4, poll(&counter, WRITABLE))]);
        bench.collect(1);
        bench.assert_quiet();
        counter.write_all(&1_u64.to_ne_bytes()).unwrap();
        bench.collect(1);
    });
}

#[test]
fn a_multishot_poll_reports_each_write_to_a_counter_that_is_never_read() {
    compare(|bench| {
        let mut counter = counter();
        bench.submit([(1, multishot(&counter, READABLE))]);
        bench.assert_quiet();
        for _ in 0..3 {
            counter.write_all(&1_u64.to_ne_bytes()).unwrap();
            assert!(bench.collect(1)[0].more());
            bench.assert_quiet();
        }
        bench.submit([(2, opcode::AsyncCancel::new(1).build())]);
        bench.collect(2);
        counter.write_all(&1_u64.to_ne_bytes()).unwrap();
    });
}

#[test]
fn several_polls_of_a_descriptor_are_served_each_for_its_events() {
    compare(|bench| {
        let (read, mut write) = pipe();
        let polls = [(1, poll(&read, READABLE)), (2, poll(&read, READABLE))];
        bench.submit(polls);
        bench.submit([(3, multishot(&read, READABLE))]);
        bench.assert_quiet();
        write.write_all(b"x").unwrap();
        bench.collect(3);
        drop(write);
        bench.collect(1);
        bench.submit([(4, opcode::AsyncCancel::new(3).build())]);
        bench.collect(2);
    });
}

#[test]
fn polls_of_the_two_ends_of_a_pipe_report_its_end() {
    compare(|bench| {
        let (read, write) = pipe();
        bench.submit([(1, poll(&read, READABLE))]);
        drop(write);
        bench.collect(1);
        let (read, write) = pipe();
        bench.run([(2, poll(&write, WRITABLE))]);
        drop(read);
        bench.run([(3, poll(&write, WRITABLE))]);
    });
}

#[test]
fn polls_for_room_report_the_peers_end_and_room() {
    compare(|bench| {
        let (near, far) = tcp_pair();
        bench.run([(1, poll(&near, WRITABLE))]);
        near.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = (&near).write(&[7; 1 << 16]) {
            sent += count;
        }
        far.shutdown(Shutdown::Write).unwrap();
        bench.run([(2, poll(&near, WRITABLE))]);
        let mut received = vec![0; sent];
        (&far).read_exact(&mut received).unwrap();
        bench.submit([(3, poll(&near, WRITABLE))]);
        let room = bench.collect(1)[0].result().unwrap();
        assert!(room & WRITABLE != 0, "{room:#x}");
    });
}

#[test]
fn a_poll_of_a_socket_that_is_received_on_reports_what_is_there() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let mut buffer = [0; 4];
        bench.submit([(1, super::sockets::recv(&near, &mut buffer))]);
        far.write_all(b"more than four").unwrap();
        bench.collect(1);
        bench.run([(2, poll(&near, READABLE))]);
        let mut rest = [0; 10];
        (&near).read_exact(&mut rest).unwrap();
        bench.submit([(3, poll(&near, READABLE))]);
        bench.assert_quiet();
        far.write_all(b"x").unwrap();
        bench.collect(1);
    });
}

#[test]
fn files_are_always_ready_and_what_is_no_descriptor_fails() {
    compare(|bench| {
        let file = File::open("/proc/self/exe").unwrap();
        bench.run([(1, poll(&file, READABLE))]);
        bench.run([(2, poll(&-1, READABLE))]);
        let closed = counter();
        let number = closed.as_raw_fd();
        drop(OwnedFd::from(closed));
        // No other thread may have taken the number: it is far beyond theirs.
        // SAFETY: the call takes no pointers.
        assert!(number < 900 && unsafe { libc::fcntl(900, libc::F_GETFD) } < 0);
        bench.run([(3, poll(&900, READABLE))]);
    });
}
