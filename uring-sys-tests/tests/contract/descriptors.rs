//! Descriptors, of the process and direct ones: what a number means while operations use it.
//!
//! An operation holds its file, not its number. The driver reuses numbers and slots at once and
//! must know that nothing pending follows the new owner.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use io_uring::opcode;
use io_uring::types::{DestinationSlot, Fd, Fixed};
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::{Op, Slot};
use uring_sys_tests::raw::{checked, owned};
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    missing_descriptor_ebadf: [EmptyTables],
    close_through_ring_closes,
    direct_full_enfile: [EmptyTables],
    freed_slot_given_again: [EmptyTables],
    slot_reuse_isolated: [EmptyTables],
    linked_open_read_close_direct: [EmptyTables],
    direct_descriptor_installed: [FixedFdInstall],
];

const BAD: Result<u32, Errno> = Err(Errno(libc::EBADF));

/// A ring with a table of `slots` direct descriptors, all empty.
fn with_slots(slots: u32) -> Ring {
    let ring = Ring::plain(8);
    ring.register().register_files_sparse(slots).expect("register an empty table");
    ring
}

/// A descriptor or slot that is not there fails the one operation with `EBADF`, not the enter.
/// One stale number must not hold back the rest of a turn's submissions.
fn missing_descriptor_ebadf() {
    let mut ring = with_slots(1);
    let never_open = Buffer::zeroed(1);
    // SAFETY: the buffer is leaked.
    let recv = unsafe { Op::from_entry(opcode::Recv::new(Fd(-1), never_open.as_ptr(), 1).build()) };
    let empty_slot = Op::recv(Slot(0), Buffer::zeroed(1));
    let no_slot = Op::recv(Slot(1), Buffer::zeroed(1));
    ring.start([recv.tag(1), empty_slot.tag(2), no_slot.tag(3), Op::nop().tag(4)]);
    let outcomes = [1, 2, 3, 4].map(|tag| ring.next_for(tag).outcome());
    assert_eq!(outcomes, [BAD, BAD, BAD, Ok(0)]);
}

/// A close through the ring closes: the peer sees the end when the close completes.
/// The driver's asynchronous close promises no less than `close(2)`.
fn close_through_ring_closes() {
    let mut ring = Ring::plain(8);
    let (near, mut far) = socket::tcp_pair();
    assert_eq!(ring.run(Op::close(near.into())).outcome(), Ok(0));
    assert_eq!(far.read(&mut [0]).expect("the end of the stream"), 0);
}

/// With the table of direct descriptors full, a multishot accept ends with `ENFILE`, and the
/// connection that had no room is closed. So the driver counts slots and pauses before the last.
fn direct_full_enfile() {
    let mut ring = with_slots(2);
    let listener = socket::listener();
    let address = socket::address_of(&listener);
    ring.start([Op::accept_multi_direct(&listener).tag(1)]);
    let mut clients: Vec<_> = Vec::new();
    for slot in 0..2 {
        clients.push(TcpStream::connect(address).expect("connect"));
        let accepted = ring.next_any();
        assert_eq!((accepted.outcome(), accepted.more()), (Ok(slot), true));
    }
    let mut third = TcpStream::connect(address).expect("connect");
    let full = ring.next_any();
    assert_eq!((full.outcome(), full.more()), (Err(Errno(libc::ENFILE)), false));
    match third.read(&mut [0]) {
        Ok(0) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("the connection without room was not closed: {other:?}"),
    }
}

/// A slot that was emptied is given to the next accept, and only then.
/// The driver's count of free slots follows the kernel's; else the table would seem full for ever.
fn freed_slot_given_again() {
    let mut ring = with_slots(1);
    let listener = socket::listener();
    let address = socket::address_of(&listener);
    let _clients = [0; 3].map(|_| TcpStream::connect(address).expect("connect"));
    assert_eq!(ring.run(Op::accept_direct(&listener)).outcome(), Ok(0));
    let full = ring.run(Op::accept_direct(&listener)).outcome();
    assert_eq!(full, Err(Errno(libc::ENFILE)));
    assert_eq!(ring.run(Op::close_slot(Slot(0))).outcome(), Ok(0));
    assert_eq!(ring.run(Op::accept_direct(&listener)).outcome(), Ok(0));
}

/// Emptying a slot under an operation frees the slot; the operation keeps its file, and what comes
/// into the slot next is not mixed up with it. The driver reuses slots as soon as they are free.
fn slot_reuse_isolated() {
    let mut ring = with_slots(1);
    let (first, first_far) = socket::tcp_pair();
    let (second, second_far) = socket::tcp_pair();
    let install = |ring: &Ring, socket: &TcpStream| {
        ring.register().register_files_update(0, &[socket.as_raw_fd()]).expect("fill the slot");
    };
    install(&ring, &first);
    let (old, new) = (Buffer::zeroed(3), Buffer::zeroed(3));
    ring.start([Op::recv(Slot(0), old).tag(1)]);
    assert_eq!(ring.run(Op::close_slot(Slot(0)).tag(9)).outcome(), Ok(0));
    install(&ring, &second);
    ring.start([Op::recv(Slot(0), new).tag(2)]);
    socket::write_all(&second_far, b"new");
    assert_eq!(ring.next_for(2).outcome(), Ok(3));
    ring.assert_quiet("the old operation waits for the old file");
    socket::write_all(&first_far, b"old");
    assert_eq!(ring.next_for(1).outcome(), Ok(3));
    assert_eq!((old.bytes(), new.bytes()), (b"old".to_vec(), b"new".to_vec()));
}

/// A chain may open into a slot, use the slot and empty it: each SQE finds its file only when it
/// starts. The driver reads a small file so with one system call.
fn linked_open_read_close_direct() {
    let mut ring = with_slots(1);
    let slot = DestinationSlot::try_from_slot_target(0).expect("slot 0 exists");
    let open = opcode::OpenAt::new(Fd(libc::AT_FDCWD), c"/dev/zero".as_ptr())
        .file_index(Some(slot))
        .build();
    // SAFETY: the path is a constant.
    let open = unsafe { Op::from_entry(open) };
    let buffer = Buffer::filled(16, 0xff);
    ring.start([
        open.link().tag(1),
        Op::read(Slot(0), buffer).link().tag(2),
        Op::close_slot(Slot(0)).tag(3),
    ]);
    assert_eq!([1, 2, 3].map(|tag| ring.next_for(tag).outcome()), [Ok(0), Ok(16), Ok(0)]);
    assert_eq!(buffer.bytes(), [0; 16]);
    assert_eq!(ring.run(Op::read(Slot(0), buffer)).outcome(), BAD, "the slot is empty again");
}

/// A direct descriptor can be turned into one of the process, close-on-exec, and is still direct.
/// The driver hands a connection to other code so, without a second accept.
fn direct_descriptor_installed() {
    let mut ring = with_slots(1);
    let (read, write) = socket::pipe();
    ring.register().register_files_update(0, &[write.as_raw_fd()]).expect("fill the slot");
    drop(write);
    let install = opcode::FixedFdInstall::new(Fixed(0), 0).build();
    // SAFETY: the SQE names no memory.
    let installed = ring.run(unsafe { Op::from_entry(install) }).outcome();
    let installed = owned(installed.expect("a descriptor"));
    // SAFETY: the call takes no pointer.
    let flags = unsafe { libc::fcntl(installed.as_raw_fd(), libc::F_GETFD) };
    let flags = checked(flags.into()).expect("the descriptor's flags");
    assert_eq!(flags, libc::FD_CLOEXEC as u32);
    File::from(installed).write_all(b"by number ").expect("write by number");
    assert_eq!(ring.run(Op::write(Slot(0), Buffer::holding(b"by slot"))).outcome(), Ok(7));
    drop(ring);
    let mut got = [0; 17];
    File::from(read).read_exact(&mut got).expect("read both");
    assert_eq!(&got, b"by number by slot");
}
