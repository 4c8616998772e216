//! Descriptors that a message on a Unix socket carries.
//!
//! A received descriptor has a number in this process before the completion is seen. One that the
//! driver overlooks is open for ever; one that it closes twice was another's.

use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use io_uring::opcode;
use io_uring::types::Fd;
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::ring::Ring;

use crate::case::cases;

cases![
    passed_descriptors_are_what_the_control_message_lists @ in_own_process,
    failed_receives_pass_no_descriptors,
    plain_receives_close_passed_descriptors @ in_own_process,
];

const HEADER: usize = size_of::<libc::cmsghdr>();

/// A message of one buffer, with `control` bytes for control messages. Nothing is ever freed.
fn message(buffer: Buffer, control: usize) -> &'static mut libc::msghdr {
    let part = libc::iovec { iov_base: buffer.as_ptr().cast(), iov_len: buffer.size() };
    let control: &'static mut [u64] = Box::leak(vec![0; control.div_ceil(8)].into_boxed_slice());
    // SAFETY: all zeroes are an empty message.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_iov = Box::leak(Box::new(part));
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of_val(control);
    Box::leak(Box::new(header))
}

/// Passes `fds` from `socket` with one byte, by the ring.
fn pass(ring: &mut Ring, socket: &UnixStream, fds: &[RawFd]) {
    let header = message(Buffer::holding(b"x"), HEADER + size_of_val(fds));
    header.msg_controllen = HEADER + size_of_val(fds);
    let control = header.msg_control.cast::<u8>();
    let rights = libc::cmsghdr {
        cmsg_len: HEADER + size_of_val(fds),
        cmsg_level: libc::SOL_SOCKET,
        cmsg_type: libc::SCM_RIGHTS,
    };
    // SAFETY: the control memory has room for the header and the descriptors.
    let send = unsafe {
        control.cast::<libc::cmsghdr>().write(rights);
        control.add(HEADER).copy_from(fds.as_ptr().cast(), size_of_val(fds));
        Op::from_entry(opcode::SendMsg::new(Fd(socket.as_raw_fd()), header).build())
    };
    assert_eq!(ring.run(send).outcome(), Ok(1));
}

/// Starts a receive of a byte and of as many descriptors as `room` says.
fn receive(socket: &UnixStream, room: usize) -> (Op, &'static libc::msghdr) {
    let header: *mut _ = message(Buffer::zeroed(1), HEADER + 4 * room);
    // SAFETY: the header is leaked; after the completion only this test reads it.
    unsafe {
        (*header).msg_controllen = HEADER + 4 * room;
        let flags = libc::MSG_CMSG_CLOEXEC as u32;
        let receive = opcode::RecvMsg::new(Fd(socket.as_raw_fd()), header).flags(flags).build();
        (Op::from_entry(receive), &*header)
    }
}

/// The descriptors that a completed receive lists.
fn listed(header: &libc::msghdr) -> Vec<OwnedFd> {
    if header.msg_controllen < HEADER {
        return Vec::new();
    }
    // SAFETY: the kernel has written a header and what it says is behind it.
    unsafe {
        let control = header.msg_control.cast::<libc::cmsghdr>().read();
        assert_eq!((control.cmsg_level, control.cmsg_type), (libc::SOL_SOCKET, libc::SCM_RIGHTS));
        let data = header.msg_control.cast::<u8>().add(HEADER).cast::<RawFd>();
        let count = (control.cmsg_len - HEADER) / size_of::<RawFd>();
        (0..count).map(|at| OwnedFd::from_raw_fd(data.add(at).read_unaligned())).collect()
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc is there").count()
}

/// A receive makes as many descriptors as its control memory has room for, lists exactly these, and
/// sets close-on-exec if asked to; the others are closed, and a flag says that there were some.
/// What the driver takes from the list is all that there is: nothing is left open.
fn passed_descriptors_are_what_the_control_message_lists() {
    let mut ring = Ring::plain(8);
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    for (passed, room) in [(1, 1), (2, 1), (253, 2), (3, 5), (1, 0)] {
        let before = open_descriptors();
        pass(&mut ring, &far, &vec![near.as_raw_fd(); passed]);
        let (receive, header) = receive(&near, room);
        assert_eq!(ring.run(receive).outcome(), Ok(1));
        let fds = listed(header);
        assert_eq!(fds.len(), passed.min(room));
        assert_eq!(open_descriptors(), before + fds.len());
        assert_eq!(header.msg_flags & libc::MSG_CTRUNC != 0, passed > room);
        for fd in &fds {
            // SAFETY: the call takes no pointers.
            let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
            assert_eq!(flags, libc::FD_CLOEXEC);
        }
    }
}

/// A receive that fails, or is cancelled, has made no descriptors.
/// The driver looks for some only where a receive has succeeded.
fn failed_receives_pass_no_descriptors() {
    let mut ring = Ring::plain(8);
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let (waits, header) = receive(&near, 2);
    ring.start([waits.tag(1)]);
    ring.start([Op::cancel(1).tag(2)]);
    assert_eq!(ring.next_for(1).outcome(), Err(Errno(libc::ECANCELED)));
    assert_eq!(header.msg_controllen, HEADER + 8, "the kernel has not written to the header");
    pass(&mut ring, &far, &[near.as_raw_fd()]);
    let (receive, header) = receive(&near, 2);
    assert_eq!(ring.run(receive).outcome(), Ok(1));
    assert_eq!(listed(header).len(), 1);
}

/// A receive without control messages takes the bytes, and the kernel closes the descriptors.
/// A stream whose program does not ask for descriptors is not filled with them by its peer.
fn plain_receives_close_passed_descriptors() {
    let mut ring = Ring::plain(8);
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let before = open_descriptors();
    pass(&mut ring, &far, &[near.as_raw_fd(); 7]);
    assert_eq!(ring.run(Op::recv(&near, Buffer::zeroed(8))).outcome(), Ok(1));
    assert_eq!(open_descriptors(), before);
}
