//! What may be freed once an SQE is submitted, and what may not.
//!
//! Each SQE waits behind a gate, a linked poll, so that the kernel cannot start it before the
//! test has taken all access from the memory that holds its arguments. An argument that is read
//! or written after submission then shows as `EFAULT`. Buffers are not arguments: the kernel owns
//! those until the last completion.

use std::ffi::CString;
use std::io::Read;
use std::mem;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use io_uring::types::{Fd, Timespec};
use io_uring::{opcode, squeue};
use uring_sys_tests::completion::{Completion, Errno};
use uring_sys_tests::memory::{Buffer, Pages};
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::owned;
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    iovec_array_read_at_submit,
    sendmsg_header_read_at_submit,
    recvmsg_header_written_at_completion,
    socket_address_read_at_submit,
    path_read_at_submit,
    timespec_read_at_submit,
];

const GATE: u64 = 1;
const BEHIND: u64 = 2;

/// Submits `entry` so that it starts only after `arguments` can no longer be read or written, and
/// gives its completion.
fn run_without(arguments: Pages, entry: squeue::Entry) -> Completion {
    let gate = socket::event_counter();
    let mut ring = Ring::plain(8);
    // SAFETY: the buffers that the SQE names are leaked; its arguments are this test's subject,
    // and stay mapped until the completion has come.
    let entry = unsafe { Op::from_entry(entry) };
    ring.start([Op::poll(&gate, libc::POLLIN).tag(GATE).link(), entry.tag(BEHIND)]);
    arguments.forbid();
    socket::signal(&gate);
    assert_eq!(ring.next_for(GATE).outcome(), Ok(libc::POLLIN as u32));
    let completion = ring.next_for(BEHIND);
    drop(arguments);
    completion
}

/// Puts `value` at the start of fresh pages.
fn in_pages<T: Copy>(value: T) -> (Pages, *mut T) {
    let pages = Pages::new(size_of::<T>());
    let place = pages.as_ptr().cast::<T>();
    // SAFETY: the pages are large enough and aligned for anything.
    unsafe { place.write(value) };
    (pages, place)
}

fn iovec(buffer: Buffer) -> libc::iovec {
    libc::iovec { iov_base: buffer.as_ptr().cast(), iov_len: buffer.size() }
}

fn header(iovec: *mut libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: all zeroes is an empty header.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = iovec;
    header.msg_iovlen = count as _;
    header
}

/// The array of a vectored read or write is copied at submission.
/// The driver frees it right after the enter; a late read would follow a dangling pointer.
fn iovec_array_read_at_submit() {
    let (near, mut far) = socket::tcp_pair();
    let parts = [iovec(Buffer::holding(b"two ")), iovec(Buffer::holding(b"parts"))];
    let (pages, array) = in_pages(parts);
    let write = opcode::Writev::new(Fd(near.as_raw_fd()), array.cast(), 2).build();
    assert_eq!(run_without(pages, write).outcome(), Ok(9));
    let mut got = [0; 9];
    far.read_exact(&mut got).expect("receive both parts");
    assert_eq!(&got, b"two parts");

    socket::write_all(&far, b"abcdef");
    let (first, second) = (Buffer::zeroed(2), Buffer::zeroed(4));
    let (pages, array) = in_pages([iovec(first), iovec(second)]);
    let read = opcode::Readv::new(Fd(near.as_raw_fd()), array.cast(), 2).build();
    assert_eq!(run_without(pages, read).outcome(), Ok(6));
    assert_eq!((first.bytes(), second.bytes()), (b"ab".to_vec(), b"cdef".to_vec()));
}

/// The header of a `sendmsg` and the array that it names are copied at submission.
/// The driver keeps only the payload for a vectored send; a late read would follow freed memory.
fn sendmsg_header_read_at_submit() {
    let (near, mut far) = socket::tcp_pair();
    let message = Pages::new(size_of::<(libc::msghdr, libc::iovec)>());
    let place = message.as_ptr().cast::<(libc::msghdr, libc::iovec)>();
    // SAFETY: the pages are large enough and aligned for anything.
    let send = unsafe {
        (&raw mut (*place).1).write(iovec(Buffer::holding(b"message")));
        (&raw mut (*place).0).write(header(&raw mut (*place).1, 1));
        opcode::SendMsg::new(Fd(near.as_raw_fd()), &raw const (*place).0).build()
    };
    assert_eq!(run_without(message, send).outcome(), Ok(7));
    let mut got = [0; 7];
    far.read_exact(&mut got).expect("receive the message");
    assert_eq!(&got, b"message");
}

/// The header of a `recvmsg` is no mere argument: the kernel writes to it when it completes.
/// So the driver keeps it until the last completion; freeing it at submission corrupts the heap.
fn recvmsg_header_written_at_completion() {
    let (near, far) = socket::tcp_pair();
    socket::write_all(&far, b"message");
    let buffer = Buffer::zeroed(7);
    let parts = Box::leak(Box::new(iovec(buffer)));
    let (pages, header) = in_pages(header(parts, 1));
    let recv = opcode::RecvMsg::new(Fd(near.as_raw_fd()), header).build();
    assert_eq!(run_without(pages, recv).outcome(), Err(Errno(libc::EFAULT)));
}

/// The address of a connect is copied at submission.
/// The driver builds it on the stack of the submitting call; a late read would connect anywhere.
fn socket_address_read_at_submit() {
    let listener = socket::listener();
    let (pages, address) = in_pages(socket::socket_address(socket::address_of(&listener)));
    let client = socket::tcp_socket();
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    let connect = opcode::Connect::new(Fd(client.as_raw_fd()), address.cast(), length).build();
    assert_eq!(run_without(pages, connect).outcome(), Ok(0));
    let client = TcpStream::from(client);
    let (_, from) = listener.accept().expect("accept the connection");
    assert_eq!(client.local_addr().expect("the client's address"), from);
}

/// The path of an open is copied at submission.
/// The driver lets a path go when the open is dropped; a late read could open another file.
fn path_read_at_submit() {
    let path = CString::new("/dev/null").expect("a path");
    let mut bytes = [0_u8; 16];
    bytes[..path.as_bytes_with_nul().len()].copy_from_slice(path.as_bytes_with_nul());
    let (pages, place) = in_pages(bytes);
    let open = opcode::OpenAt::new(Fd(libc::AT_FDCWD), place.cast())
        .flags(libc::O_RDWR | libc::O_CLOEXEC)
        .build();
    let opened: OwnedFd = owned(run_without(pages, open).outcome().expect("open by a late path"));
    socket::write_all(&opened, b"swallowed");
}

/// A timeout's timespec is copied at submission.
/// The driver passes one from its stack; a late read would make deadlines of whatever lies there.
fn timespec_read_at_submit() {
    let (pages, after) = in_pages(Timespec::from(Duration::from_millis(1)));
    let timeout = opcode::Timeout::new(ptr::from_ref(
        // SAFETY: written just now, and the reference ends with this expression.
        unsafe { &*after },
    ));
    assert_eq!(run_without(pages, timeout.build()).outcome(), Err(Errno(libc::ETIME)));
}
