//! What the kernel's ring need not care for: descriptors by number, and turns without a look.

use std::fs::File;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::sockets::{recv, tcp_pair};
use super::{PATIENCE, descriptor, fd, portable};
use crate::sys::eventfd::EventFd;
use crate::sys::poll::READABLE;
use crate::sys::types::Fixed;
use crate::sys::{SubmissionFlags, Wait, opcode, timespec};

fn counter() -> File {
    // SAFETY: the call takes no pointers.
    File::from(descriptor(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }))
}

/// Makes `file` have the number too, which is far above those that other threads get.
fn under(number: i32, file: &impl AsRawFd) -> File {
    // SAFETY: the call takes no pointers.
    File::from(descriptor(unsafe { libc::dup3(file.as_raw_fd(), number, libc::O_CLOEXEC) }))
}

fn ring(mut counter: &File) {
    counter.write_all(&1_u64.to_ne_bytes()).unwrap();
}

/// A poll waits for a descriptor, which the user closes and whose number becomes another file's:
/// the poll is not of that, and a poll of that is.
#[test]
fn a_number_that_is_used_again_under_a_poll_does_not_mix_up_its_files() {
    for (number, first_goes_on, second_goes_on) in
        [(1020, false, true), (1021, true, false), (1023, false, false), (1024, true, true)]
    {
        let mut bench = portable();
        let (old, new) = (counter(), counter());
        let poll = |multishot| {
            opcode::PollAdd::new(crate::sys::types::Fd(number), READABLE).multi(multishot).build()
        };
        let first = under(number, &old);
        bench.submit([(1, poll(first_goes_on))]);
        drop(first);
        let _second = under(number, &new);
        bench.submit([(2, poll(second_goes_on))]);
        // The old file lives on by another number, and is reported to neither.
        ring(&old);
        bench.assert_quiet();
        ring(&new);
        assert_eq!(bench.collect(1)[0].user_data, 2);
        bench.submit([(3, opcode::AsyncCancel::new(1).build())]);
        let ended = bench.collect(2);
        bench.submit([(4, opcode::AsyncCancel::new(2).build())]);
        bench.collect(if second_goes_on { 2 } else { 1 });
        assert!(ended[0].failed_with(libc::ECANCELED), "{ended:?}");
        assert_eq!(ended[1].result().unwrap(), 0);
    }
}

/// A socket leaves the ring, and its number becomes that of another.
#[test]
fn a_socket_that_has_left_is_not_taken_for_the_one_that_has_its_number() {
    let mut bench = portable();
    let ((old, mut old_far), (new, mut new_far)) = (tcp_pair(), tcp_pair());
    let mut buffer = [0; 8];
    let number = 1022;
    let first = under(number, &old);
    bench.submit([(1, recv(&first, &mut buffer))]);
    old_far.write_all(b"old").unwrap();
    bench.collect(1);
    bench.ring.forget(number);
    drop(first);
    let second = under(number, &new);
    bench.submit([(2, recv(&second, &mut buffer))]);
    old_far.write_all(b"not this").unwrap();
    bench.assert_quiet();
    new_far.write_all(b"new").unwrap();
    assert_eq!(bench.collect(1)[0].result().unwrap(), 3);
    assert_eq!(&buffer[..3], b"new");
}

/// A thread waits in a splice. Were it interrupted it would make the call again, by the number.
#[test]
fn a_file_slot_that_a_thread_uses_stays_open_when_the_ring_is_gone() {
    let mut bench = portable();
    let (reader, mut writer) = io::pipe().unwrap();
    let (_end, target) = io::pipe().unwrap();
    let number = 1019;
    let slot = under(number, &reader);
    bench.portable().files.put(0, slot.into()).unwrap();
    bench.submit([(1, opcode::Splice::new(Fixed(0), -1, fd(&target), -1, 8).build())]);
    drop(bench);
    // SAFETY: the call takes no pointers.
    assert!(unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0, "it is closed");
    // The splice ends.
    writer.write_all(b"x").unwrap();
    // SAFETY: it is open, and nothing else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
}

/// A forked child has a copy of a socket, which so does not leave the epoll instance by its close:
/// it would report for ever.
#[test]
fn a_socket_that_has_left_reports_nothing_though_a_copy_of_it_is_open() {
    let mut bench = portable();
    let (near, mut far) = tcp_pair();
    let copy = near.try_clone().unwrap();
    let mut buffer = [0; 8];
    bench.submit([(1, recv(&near, &mut buffer))]);
    far.write_all(b"x").unwrap();
    bench.collect(1);
    let watched = bench.ring.signal_by(EventFd::new().unwrap().as_fd()).unwrap().unwrap();
    bench.ring.enter(Wait::No);
    bench.ring.forget(near.as_raw_fd());
    drop(near);
    far.write_all(b"late").unwrap();
    assert!(!is_readable(&watched));
    drop(copy);
}

/// A multishot accept has had its share and is to go on with the next enter, but is cancelled
/// first. What is named like it afterwards is a link.
#[test]
fn a_link_that_is_named_like_a_cancelled_multishot_request_waits_for_its_turn() {
    let mut bench = portable();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    let (near, mut far) = tcp_pair();
    let mut buffer = [0; 8];
    bench.submit([
        (1, opcode::AcceptMulti::new(fd(&listener)).build()),
        (2, opcode::AsyncCancel::new(1).build()),
        (3, recv(&near, &mut buffer).flags(SubmissionFlags::IO_LINK)),
        (4, opcode::Nop::new().build()),
    ]);
    let accepted = bench.collect(34);
    let _accepted: Vec<_> = accepted[..32].iter().map(|one| descriptor(one.raw_result())).collect();
    assert!(accepted[32].failed_with(libc::ECANCELED), "{accepted:?}");
    bench.assert_quiet();
    far.write_all(b"x").unwrap();
    bench.collect(2);
    drop(clients);
}

/// The epoll instance is shared with a forked child, whose end must not end the parent's waits.
#[test]
fn a_forked_child_that_closes_its_copy_of_the_file_table_takes_nothing_from_the_parent() {
    let mut bench = portable();
    let (near, mut far) = tcp_pair();
    let mut buffer = [0; 8];
    bench.portable().files.put(0, near.into()).unwrap();
    let (start, length) = (buffer.as_mut_ptr(), buffer.len() as u32);
    let recv = || opcode::Recv::new(Fixed(0), start, length).build();
    bench.submit([(1, recv())]);
    far.write_all(b"x").unwrap();
    bench.collect(1);
    // SAFETY: the child only makes system calls, frees memory and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        bench.ring.release_file_table();
        // SAFETY: the call takes no pointers.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the call writes the status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    bench.submit([(2, recv())]);
    far.write_all(b"later").unwrap();
    assert_eq!(bench.collect(1)[0].result().unwrap(), 5);
}

/// As of a process that closes all descriptors that it does not know.
#[test]
fn an_enter_whose_epoll_instance_is_gone_fails_with_its_error_and_not_as_if_interrupted() {
    let mut bench = portable();
    let counter = counter();
    bench.submit([(1, opcode::PollAdd::new(fd(&counter), READABLE).build())]);
    let number = bench.portable().epoll.fd().as_raw_fd();
    // SAFETY: the call takes no pointers.
    assert_eq!(unsafe { libc::dup3(counter.as_raw_fd(), number, libc::O_CLOEXEC) }, number);
    for wait in [Wait::No, Wait::AtMost(Duration::from_secs(3600)), Wait::Forever] {
        let error = bench.ring.enter(wait).outcome.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}

/// While tasks keep the loop busy, no system call tells of readiness: an enter is due now and then.
#[test]
fn a_busy_loop_learns_of_readiness_within_a_few_turns_and_an_idle_ring_needs_no_enter() {
    let mut bench = portable();
    assert!((0..100).all(|_| !bench.ring.has_deferred()), "nothing is in flight");
    let counter = counter();
    bench.submit([(1, opcode::PollAdd::new(fd(&counter), READABLE).build())]);
    let turns = (0..100).position(|_| bench.ring.has_deferred()).unwrap();
    assert!((1..10).contains(&turns), "an enter is due after {turns} turns");
    ring(&counter);
    bench.ring.enter(Wait::No);
    assert!(bench.ring.has_completions() && bench.ring.has_deferred());
}

fn is_readable(file: &impl AsRawFd) -> bool {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the call reads and writes one `pollfd`.
    (unsafe { libc::poll(&mut poll, 1, 0) }) == 1
}

#[track_caller]
fn until_readable(file: &impl AsRawFd) {
    let end = Instant::now() + PATIENCE;
    while !is_readable(file) {
        assert!(Instant::now() < end, "it is never readable");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Another event loop waits for the ring: for its counter, readiness, timeouts and workers.
#[test]
fn an_outer_event_loop_is_woken_by_all_that_ends_a_wait() {
    let mut bench = portable();
    let rung = EventFd::new().unwrap();
    let watched = bench.ring.signal_by(rung.as_fd()).unwrap().unwrap();
    assert!(!is_readable(&watched));
    rung.ring();
    assert!(is_readable(&watched));
    rung.clear();
    assert!(!is_readable(&watched));
    let (near, mut far) = tcp_pair();
    let mut buffer = [0; 8];
    bench.submit([(1, recv(&near, &mut buffer))]);
    assert!(!is_readable(&watched) && !bench.ring.has_deferred());
    far.write_all(b"x").unwrap();
    assert!(is_readable(&watched) && bench.ring.has_deferred());
    bench.collect(1);
    assert!(!is_readable(&watched) && !bench.ring.has_deferred());
    let soon = timespec(Duration::from_millis(2));
    bench.submit([(2, opcode::Timeout::new(&soon).build())]);
    until_readable(&watched);
    bench.collect(1);
    assert!(!is_readable(&watched));
    // An open that creates goes to a worker.
    let file = File::create(std::env::temp_dir().join("annulus-portable-outer")).unwrap();
    bench.submit([(3, opcode::Fsync::new(fd(&file)).build())]);
    until_readable(&watched);
    bench.collect(1);
    assert!(!is_readable(&watched));
}

/// A wait ends with its time, and not before; a signal is another matter.
#[test]
fn a_wait_lasts_as_long_as_it_is_told_to() {
    let mut bench = portable();
    let counter = counter();
    bench.submit([(1, opcode::PollAdd::new(fd(&counter), READABLE).build())]);
    for limit in [Duration::from_micros(300), Duration::from_millis(3)] {
        let start = Instant::now();
        let outcome = bench.ring.enter(Wait::AtMost(limit)).outcome;
        assert_eq!(outcome.unwrap_err().raw_os_error(), Some(libc::ETIME));
        assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
    }
}
