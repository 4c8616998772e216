//! Provided buffers.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;

use super::sockets::tcp_pair;
use super::{Bench, compare, fd, portable};
use crate::sys::{BufferRing, Completion, Pages, Submission, SubmissionFlags, opcode};

/// A group of buffers, and what provides them.
pub(super) struct Group {
    ring: Box<BufferRing>,
    memory: Pages,
    group: u16,
    size: usize,
}

impl Group {
    pub(super) fn empty(bench: &mut Bench, group: u16, size: usize) -> Self {
        let ring = Box::new(BufferRing::new(8).unwrap());
        // SAFETY: the ring lives until it is released.
        unsafe { bench.ring.register_buffers(&ring, group) }.unwrap();
        Self { ring, memory: Pages::reserve(8 * size).unwrap(), group, size }
    }

    pub(super) fn full(bench: &mut Bench, group: u16, count: u16, size: usize) -> Self {
        let mut this = Self::empty(bench, group, size);
        (0..count).for_each(|number| this.provide(number));
        this
    }

    fn start(&self, number: u16) -> NonNull<u8> {
        // SAFETY: there is memory for eight.
        unsafe { self.memory.start().add(usize::from(number) * self.size) }
    }

    fn provide(&mut self, number: u16) {
        // SAFETY: the memory is this group's, and each buffer is put in once.
        unsafe { self.ring.put(number, self.start(number), self.size) };
        self.ring.publish();
    }

    /// What a completion has put into its buffer, which is provided again.
    pub(super) fn take(&mut self, completion: Completion) -> Vec<u8> {
        let number = completion.buffer().expect("a buffer was selected");
        let length = completion.result().unwrap() as usize;
        // SAFETY: the ring has written this number of bytes, and touches them no more.
        let bytes = unsafe { std::slice::from_raw_parts(self.start(number).as_ptr(), length) };
        let bytes = bytes.to_vec();
        self.provide(number);
        bytes
    }

    pub(super) fn release(self, bench: &mut Bench) {
        bench.ring.release_buffers(self.group);
    }
}

fn recv(socket: &impl std::os::fd::AsRawFd, group: u16) -> Submission {
    let recv = opcode::Recv::new(fd(socket), std::ptr::null_mut(), 0).buf_group(group);
    recv.build().flags(SubmissionFlags::BUFFER_SELECT)
}

#[test]
fn a_receive_selects_a_buffer_when_bytes_have_come() {
    compare(|bench| {
        let mut group = Group::full(bench, 0, 2, 16);
        let [(first, mut first_far), (second, mut second_far)] = [tcp_pair(), tcp_pair()];
        // More receives may wait than there are buffers, and the one that is served first has the
        // first buffer.
        let (third, third_far) = tcp_pair();
        bench.submit([(1, recv(&first, 0)), (2, recv(&second, 0)), (3, recv(&third, 0))]);
        bench.assert_quiet();
        second_far.write_all(b"second").unwrap();
        let served = bench.collect(1)[0];
        assert_eq!(group.take(served), b"second");
        first_far.write_all(b"first").unwrap();
        let served = bench.collect(1)[0];
        assert_eq!(group.take(served), b"first");
        // The end takes none.
        drop(third_far);
        assert_eq!(bench.collect(1)[0].buffer(), None);
        group.release(bench);
    });
}

#[test]
fn a_multishot_receive_ends_without_buffers_and_loses_nothing() {
    compare(|bench| {
        let mut group = Group::full(bench, 0, 2, 4);
        let (near, mut far) = tcp_pair();
        let multishot = || opcode::RecvMulti::new(fd(&near), 0).build();
        bench.submit([(1, multishot())]);
        far.write_all(b"sendtakehold").unwrap();
        let completions = bench.collect(3);
        assert!(completions[2].failed_with(libc::ENOBUFS) && !completions[2].more());
        assert_eq!(group.take(completions[0]), b"send");
        assert_eq!(group.take(completions[1]), b"take");
        bench.submit([(2, multishot())]);
        let rest = bench.collect(1)[0];
        assert_eq!(group.take(rest), b"hold");
        drop(far);
        bench.collect(1);
        group.release(bench);
    });
}

#[test]
fn receives_without_a_buffer_or_a_group_fail_at_once() {
    compare(|bench| {
        let group = Group::empty(bench, 0, 16);
        let (near, _far) = tcp_pair();
        bench.run([(1, recv(&near, 0))]);
        bench.run([(2, recv(&near, 1))]);
        bench.run([(3, opcode::RecvMulti::new(fd(&near), 0).build())]);
        group.release(bench);
    });
}

#[test]
fn two_groups_stay_apart() {
    compare(|bench| {
        let mut small = Group::full(bench, 0, 2, 4);
        let mut large = Group::full(bench, 1, 2, 64);
        let (near, mut far) = tcp_pair();
        for (user_data, group) in [(1, 0), (2, 1), (3, 0)] {
            bench.submit([(user_data, recv(&near, group))]);
            far.write_all(b"1234").unwrap();
            let served = bench.collect(1)[0];
            let group = if group == 0 { &mut small } else { &mut large };
            assert_eq!(group.take(served), b"1234");
        }
        small.release(bench);
        large.release(bench);
    });
}

/// One that never runs dry would hold the others up.
#[test]
fn a_multishot_receive_that_never_runs_dry_lets_others_be_served() {
    let mut bench = portable();
    let (near, mut far) = UnixStream::pair().unwrap();
    let (other, mut other_far) = UnixStream::pair().unwrap();
    let mut ring = Box::new(BufferRing::new(256).unwrap());
    let memory = Pages::reserve(256).unwrap();
    for number in 0..256 {
        // SAFETY: each buffer has its byte of the memory.
        unsafe { ring.put(number, memory.start().add(number.into()), 1) };
    }
    ring.publish();
    // SAFETY: the ring lives until the end, after the last completion.
    unsafe { bench.ring.register_buffers(&ring, 0) }.unwrap();
    far.write_all(&[7; 100]).unwrap();
    other_far.write_all(b"x").unwrap();
    let [flood, few] = [&near, &other].map(|socket| opcode::RecvMulti::new(fd(socket), 0).build());
    bench.submit([(1, flood), (2, few)]);
    let mut order = Vec::new();
    loop {
        bench.ring.reap(|completion| order.push(completion.user_data));
        if order.len() >= 101 {
            break;
        }
        bench.ring.enter(crate::sys::Wait::Forever);
    }
    let other_is_served = order.iter().position(|&user_data| user_data == 2).unwrap();
    assert!(other_is_served <= 32, "after {other_is_served} of the other socket");
    drop((far, other_far));
    bench.collect(2);
}
