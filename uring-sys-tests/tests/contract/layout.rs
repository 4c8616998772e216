//! Where the kernel reads each field of an SQE.
//!
//! The driver's rings interpret SQEs by a typed view of their 64 bytes, which rests on this: the
//! SQEs here are written byte by byte at the offsets of that view, and the kernel does what they
//! say.

use std::fs::File;
use std::io::{Read, Write};
use std::mem;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Fixed};
use uring_sys_tests::buffer_ring::BufferRing;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    sqe_layout: [MultishotRecv],
    builders_follow_the_layout,
];

const OPCODE: usize = 0;
const FLAGS: usize = 1;
const IOPRIO: usize = 2;
const FD: usize = 4;
const OFFSET: usize = 8;
const ADDRESS: usize = 16;
const LENGTH: usize = 24;
const OP_FLAGS: usize = 28;
const USER_DATA: usize = 32;
const BUFFER_GROUP: usize = 40;
const FILE_INDEX: usize = 44;

/// The bytes of an SQE.
struct Raw([u8; 64]);

impl Raw {
    fn new(opcode: u8, fd: RawFd) -> Raw {
        Raw([0; 64]).put(OPCODE, &[opcode]).put(FD, &fd.to_ne_bytes())
    }

    fn put(mut self, offset: usize, field: &[u8]) -> Raw {
        self.0[offset..offset + field.len()].copy_from_slice(field);
        self
    }

    fn buffer(self, buffer: &Buffer) -> Raw {
        let (address, length) = (buffer.as_ptr() as u64, buffer.size() as u32);
        self.put(ADDRESS, &address.to_ne_bytes()).put(LENGTH, &length.to_ne_bytes())
    }

    /// What these bytes say, with a tag.
    fn op(self, tag: u64) -> Op {
        let bytes = self.put(USER_DATA, &tag.to_ne_bytes()).0;
        // SAFETY: an SQE is 64 bytes of plain integers.
        let entry: Entry = unsafe { mem::transmute(bytes) };
        // SAFETY: the buffers in here are leaked.
        unsafe { Op::from_entry(entry) }
    }
}

/// The driver's view of SQEs has each field at the offset where the kernel reads it.
/// At another offset a ring that interprets SQEs would take, say, a length for an address.
fn sqe_layout() {
    let mut ring = Ring::plain(8);
    // The opcode, the descriptor, the position, the address, the length and the user data.
    let mut file = File::open("/proc/self/exe").expect("this program can be read");
    let mut expected = [0; 16];
    file.read_exact(&mut expected).expect("a program is longer");
    let target = Buffer::zeroed(8);
    let read = Raw::new(opcode::Read::CODE, file.as_raw_fd()).buffer(&target);
    let tag = 0x0123_4567_89ab_cdef;
    ring.push(&read.put(OFFSET, &8_u64.to_ne_bytes()).op(tag));
    ring.submit();
    assert_eq!(ring.next_for(tag).outcome(), Ok(8));
    assert_eq!(target.bytes(), expected[8..]);

    // The flags of the operation: a peek leaves the bytes.
    let (near, mut far) = socket::tcp_pair();
    far.write_all(b"once").expect("a fresh connection takes four bytes");
    for flags in [libc::MSG_PEEK, 0] {
        let target = Buffer::zeroed(8);
        let recv = Raw::new(opcode::Recv::CODE, near.as_raw_fd()).buffer(&target);
        ring.push(&recv.put(OP_FLAGS, &flags.to_ne_bytes()).op(1));
        ring.submit();
        assert_eq!(ring.next_for(1).outcome(), Ok(4));
        assert_eq!(target.bytes()[..4], *b"once");
    }

    // The flags of the SQE and the buffer group; a multishot by its priority.
    let group = 0x1234;
    let buffers = BufferRing::full(&ring, group, 2, 16);
    far.write_all(b"more").expect("a connection takes four bytes");
    let recv = Raw::new(opcode::Recv::CODE, near.as_raw_fd());
    const MULTISHOT: u16 = 1 << 1;
    let recv = recv
        .put(FLAGS, &[Flags::BUFFER_SELECT.bits()])
        .put(BUFFER_GROUP, &group.to_ne_bytes())
        .put(IOPRIO, &MULTISHOT.to_ne_bytes());
    ring.push(&recv.op(2));
    ring.submit();
    let completion = ring.next_for(2);
    assert!(completion.more(), "it goes on");
    let id = completion.buffer_id().expect("a buffer was selected");
    assert_eq!(buffers.bytes(id, 4), b"more");

    // The file slot that takes a new socket, counted from one, and the SQE that names it.
    ring.register().register_files_sparse(4).expect("a table of four fits any limit");
    let listener = socket::listener();
    let _peer = TcpStream::connect(socket::address_of(&listener)).expect("a listener is there");
    let accept = Raw::new(opcode::Accept::CODE, listener.as_raw_fd());
    ring.push(&accept.put(FILE_INDEX, &3_u32.to_ne_bytes()).op(3));
    ring.submit();
    assert_eq!(ring.next_for(3).outcome(), Ok(0));
    let poll = Raw::new(opcode::PollAdd::CODE, 2).put(FLAGS, &[Flags::FIXED_FILE.bits()]);
    ring.push(&poll.put(OP_FLAGS, &u32::from(libc::POLLOUT as u16).to_ne_bytes()).op(4));
    ring.submit();
    assert_eq!(ring.next_for(4).outcome(), Ok(libc::POLLOUT as u32));
}

/// The builders of the `io-uring` crate put each field where the kernel reads it.
/// The driver's view is laid over what they build.
fn builders_follow_the_layout() {
    let bytes = |entry: Entry| -> [u8; 64] {
        // SAFETY: an SQE is 64 bytes of plain integers.
        unsafe { mem::transmute(entry) }
    };
    let field = |bytes: &[u8; 64], offset: usize, size: usize| {
        bytes[offset..offset + size]
            .iter()
            .rev()
            .fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte))
    };
    let memory = 0x1234_5678_9abc_u64 as *mut u8;
    let read = bytes(opcode::Read::new(Fd(5), memory, 99).offset(1 << 40).build().user_data(77));
    assert_eq!(field(&read, OPCODE, 1), opcode::Read::CODE.into());
    assert_eq!((field(&read, FD, 4), field(&read, OFFSET, 8)), (5, 1 << 40));
    assert_eq!((field(&read, ADDRESS, 8), field(&read, LENGTH, 4)), (memory as u64, 99));
    assert_eq!(field(&read, USER_DATA, 8), 77);
    let select = opcode::RecvMulti::new(Fixed(5), 0xfedc).flags(0x40).build();
    let select = bytes(select);
    let flags = Flags::FIXED_FILE.bits() | Flags::BUFFER_SELECT.bits();
    assert_eq!((field(&select, FLAGS, 1), field(&select, IOPRIO, 2)), (flags.into(), 1 << 1));
    assert_eq!((field(&select, BUFFER_GROUP, 2), field(&select, OP_FLAGS, 4)), (0xfedc, 0x40));
    let slot = DestinationSlot::try_from_slot_target(41).expect("a table may have that many");
    let socket = bytes(opcode::Socket::new(1, 2, 3).file_index(Some(slot)).build());
    assert_eq!(field(&socket, FILE_INDEX, 4), 42);
    let cancel = bytes(opcode::AsyncCancel2::new(CancelBuilder::user_data(123)).build());
    assert_eq!(field(&cancel, ADDRESS, 8), 123);
}
