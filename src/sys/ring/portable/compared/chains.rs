//! Linked SQEs.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::net::UdpSocket;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::sockets::{recv, tcp_pair};
use super::{compare, compare_with_slots, fd};
use crate::sys::poll::READABLE;
use crate::sys::types::{DestinationSlot, Fd, Fixed};
use crate::sys::{Submission, SubmissionFlags, opcode, timespec};

const FAR: Duration = Duration::from_secs(3600);

fn linked(sqe: Submission) -> Submission {
    sqe.flags(SubmissionFlags::IO_LINK)
}

fn hard(sqe: Submission) -> Submission {
    sqe.flags(SubmissionFlags::IO_HARDLINK)
}

fn nop() -> Submission {
    opcode::Nop::new().build()
}

#[test]
fn links_run_one_after_the_other() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let mut buffer = [0; 4];
        let poll = opcode::PollAdd::new(fd(&near), READABLE).build();
        let answer = opcode::Send::new(fd(&near), b"answer".as_ptr(), 6).build();
        let chain = [(1, linked(poll)), (2, linked(answer)), (3, recv(&near, &mut buffer))];
        bench.submit(chain);
        bench.assert_quiet();
        far.write_all(b"ask.").unwrap();
        bench.collect(3);
        assert_eq!(&buffer, b"ask.");
    });
}

#[test]
fn a_failure_severs_a_chain_but_for_a_hard_link() {
    compare(|bench| {
        let fails = || opcode::PollAdd::new(Fd(-1), READABLE).build();
        bench.run([(1, linked(fails())), (2, linked(nop())), (3, nop())]);
        bench.run([(4, hard(fails())), (5, nop())]);
        bench.run([(6, hard(fails())), (7, linked(fails())), (8, hard(nop())), (9, nop())]);
        bench.run([(10, linked(nop())), (11, linked(nop())), (12, nop())]);
    });
}

#[test]
fn a_failure_that_the_kernel_does_not_count_severs_no_chain() {
    compare(|bench| {
        let (pipe, _writer) = io::pipe().unwrap();
        let unconnected = UdpSocket::bind("127.0.0.1:0").unwrap();
        let fails: [Submission; 3] = [
            opcode::Fsync::new(fd(&pipe)).build(),
            opcode::Fallocate::new(fd(&pipe), 1).build(),
            opcode::Shutdown::new(fd(&unconnected), libc::SHUT_WR).build(),
        ];
        for fails in fails {
            let results = bench.run([(1, linked(fails)), (2, linked(nop())), (3, nop())]);
            let results: Vec<_> =
                results.iter().map(|completion| completion.raw_result()).collect();
            assert!(matches!(results[..], [..0, 0, 0]), "{results:?}");
        }
    });
}

#[test]
fn a_short_receive_severs_only_if_it_was_for_all() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let mut buffer = [0; 8];
        far.write_all(b"part").unwrap();
        bench.run([(1, linked(recv(&near, &mut buffer))), (2, nop())]);
        far.write_all(b"part").unwrap();
        drop(far);
        let all = opcode::Recv::new(fd(&near), buffer.as_mut_ptr(), 8).flags(libc::MSG_WAITALL);
        bench.run([(3, linked(all.build())), (4, nop())]);
    });
}

#[test]
fn a_chain_ends_with_its_batch() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let poll = opcode::PollAdd::new(fd(&near), READABLE).build();
        bench.submit([(1, linked(poll))]);
        bench.run([(2, nop())]);
        // The kernel gives a chain that its batch cuts off to a worker, and there is a moment at
        // which a cancel finds it neither there nor polling: only what it waits for ends it.
        far.write_all(b"x").unwrap();
        bench.collect(1);
    });
}

#[test]
fn a_cancel_finds_the_link_that_has_begun_and_no_other() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let poll = || opcode::PollAdd::new(fd(&near), READABLE).build();
        let cancel = |target| opcode::AsyncCancel::new(target).build();
        bench.submit([(1, linked(poll())), (2, linked(nop())), (3, nop())]);
        bench.run([(4, cancel(2))]);
        bench.submit([(5, cancel(1))]);
        bench.collect(4);
        bench.submit([(6, linked(poll())), (7, nop())]);
        far.write_all(b"x").unwrap();
        bench.collect(2);
    });
}

#[test]
fn a_linked_timeout_fires_or_is_called_off() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let mut buffer = [0; 8];
        let times = [Duration::from_millis(2), FAR].map(timespec);
        let [soon, late] = &times;
        let limit = |time| opcode::LinkTimeout::new(time).build();
        bench.run([(1, linked(recv(&near, &mut buffer))), (2, limit(soon))]);
        bench.submit([(3, linked(recv(&near, &mut buffer))), (4, limit(late))]);
        bench.assert_quiet();
        far.write_all(b"soon").unwrap();
        bench.collect(2);
        bench.run([(5, linked(nop())), (6, limit(late))]);
        // A cancel of the limited one calls it off, too.
        bench.submit([(7, linked(recv(&near, &mut buffer))), (8, limit(late))]);
        bench.submit([(9, opcode::AsyncCancel::new(7).build())]);
        bench.collect(3);
        // Links may follow the timeout.
        bench.run([(10, linked(nop())), (11, linked(limit(late))), (12, nop())]);
        let chain = [
            (13, linked(recv(&near, &mut buffer))),
            (14, linked(limit(soon))),
            (15, linked(nop())),
            (16, nop()),
        ];
        bench.run(chain);
    });
}

#[test]
fn a_bad_link_fails_its_whole_chain() {
    compare(|bench| {
        let mut bad = nop();
        // SAFETY: the first byte of an SQE is its opcode, and any value is one.
        unsafe { std::ptr::from_mut(&mut bad).cast::<u8>().write(u8::MAX) };
        bench.run([(1, linked(nop())), (2, linked(bad.clone())), (3, nop())]);
        bench.run([(4, bad)]);
    });
}

#[test]
fn a_chain_opens_into_a_slot_reads_and_closes() {
    compare_with_slots(|bench| {
        let path = CString::new(std::env::current_exe().unwrap().as_os_str().as_bytes()).unwrap();
        let mut bytes = [0; 4];
        let slot = DestinationSlot::try_from_slot_target(1).unwrap();
        let open = |path: &CString| {
            opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr()).file_index(Some(slot)).build()
        };
        let mut read = |length| opcode::Read::new(Fixed(1), bytes.as_mut_ptr(), length).build();
        let close = || opcode::Close::new(Fixed(1)).build();
        bench.run([(1, linked(open(&path))), (2, hard(read(4))), (3, close())]);
        let missing = CString::new("/nowhere").unwrap();
        bench.run([(4, linked(open(&missing))), (5, hard(read(4))), (6, close())]);
        assert_eq!(&bytes, b"\x7fELF");
    });
}

#[test]
fn a_short_read_severs_and_what_is_linked_hard_goes_on() {
    compare(|bench| {
        let file = File::open("/proc/self/comm").unwrap();
        let mut bytes = [0; 64];
        let mut read = || opcode::Read::new(fd(&file), bytes.as_mut_ptr(), 64).offset(0).build();
        bench.run([(1, linked(read())), (2, nop())]);
        bench.run([(3, hard(read())), (4, nop())]);
    });
}
