//! System calls on sockets that never wait.

use std::os::fd::RawFd;
use std::ptr;

use super::buffers::Selected;
use super::call::Call;
use super::file_kind::open_flags;
use crate::sys::errno::{EAGAIN, EALREADY, EFAULT, EINPROGRESS, last_errno, unless_interrupted};

/// The size of `struct io_uring_recvmsg_out`, four integers: what a multishot receive puts before
/// the sender's address, the control messages and the datagram.
const RECVMSG_OUT: usize = 16;

/// The outcome of a system call: a count, or an errno.
pub(super) type Outcome = Result<u32, i32>;

fn outcome(call: impl FnMut() -> isize) -> Outcome {
    unless_interrupted(call).map(|count| count as u32)
}

/// Receives into the [`target`].
pub(super) fn recv(call: &Call, start: *mut u8, length: usize) -> Outcome {
    let flags = call.sqe.op_flags() as i32 | libc::MSG_DONTWAIT;
    // SAFETY: the operation keeps its memory until the completion, and a provided buffer in the
    // ring belongs to the ring.
    outcome(|| unsafe { libc::recv(call.fd, start.cast(), length, flags) })
}

/// Where a receive may write: the memory that the SQE names, behind what it has received, or a
/// provided buffer.
pub(super) fn target(call: &Call, moved: u32, buffer: Option<Selected>) -> (*mut u8, usize) {
    let length = call.sqe.length() as usize;
    match buffer {
        // Without a length it is the buffer's.
        Some(buffer) if length == 0 => (buffer.start, buffer.size),
        Some(buffer) => (buffer.start, buffer.size.min(length)),
        None => (call.memory::<u8>().wrapping_add(moved as usize), length - moved as usize),
    }
}

/// Receives a message into the memory that the SQE's header names.
pub(super) fn recvmsg(call: &Call) -> Outcome {
    let flags = call.sqe.op_flags() as i32 | libc::MSG_DONTWAIT;
    // SAFETY: the operation keeps the header, and all that it points to, until the completion.
    outcome(|| unsafe { libc::recvmsg(call.fd, call.memory(), flags) })
}

/// A datagram in a provided buffer, behind what is told of it.
pub(super) struct Datagram {
    /// The bytes of the buffer that were used.
    pub(super) used: u32,
    /// Whether it has no bytes of its own.
    pub(super) is_empty: bool,
}

/// Receives a datagram into a provided buffer, in the form of a multishot recvmsg.
pub(super) fn recvmsg_into(call: &Call, buffer: Selected) -> Result<Datagram, i32> {
    // SAFETY: the operation keeps the header until the completion, and does not change it.
    let rooms = unsafe { &*call.memory::<libc::msghdr>() };
    #[allow(clippy::unnecessary_cast, reason = "an integer of 32 bits in some C libraries")]
    let (name_room, control_room) = (rooms.msg_namelen as usize, rooms.msg_controllen as usize);
    let before = RECVMSG_OUT + name_room + control_room;
    let room = buffer.size.checked_sub(before).ok_or(EFAULT)?;
    let start = buffer.start;
    let mut segment = libc::iovec { iov_base: start.wrapping_add(before).cast(), iov_len: room };
    // SAFETY: `msghdr` is plain data, for which all zeroes is the empty message.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if name_room > 0 {
        header.msg_name = start.wrapping_add(RECVMSG_OUT).cast();
        header.msg_namelen = name_room as _;
    }
    if control_room > 0 {
        header.msg_control = start.wrapping_add(RECVMSG_OUT + name_room).cast();
        header.msg_controllen = control_room as _;
    }
    header.msg_iov = &raw mut segment;
    header.msg_iovlen = 1;
    let flags = call.sqe.op_flags() as i32 | libc::MSG_DONTWAIT;
    // SAFETY: all that the header points to is within the provided buffer, which belongs to the
    // ring.
    let length = outcome(|| unsafe { libc::recvmsg(call.fd, &mut header, flags) })?;
    let out = [header.msg_namelen, header.msg_controllen as u32, length, header.msg_flags as u32];
    // SAFETY: the buffer begins with room for them, which need not be aligned.
    unsafe { ptr::write_unaligned(start.cast::<[u32; 4]>(), out) };
    let used = (before + room.min(length as usize)) as u32;
    Ok(Datagram { used, is_empty: length == 0 })
}

/// Sends the memory that the SQE names, from where it has come to. It never raises `SIGPIPE`, as
/// the kernel's ring does not (`uring-sys-tests`, write_sigpipe_vs_send).
pub(super) fn send(call: &Call, moved: u32) -> Outcome {
    let flags = call.sqe.op_flags() as i32 | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let start = call.memory::<u8>().wrapping_add(moved as usize);
    let length = call.sqe.length() as usize - moved as usize;
    let to: *const libc::sockaddr = call.second_memory();
    // Its length is in the low half of the field.
    let to_length = if to.is_null() { 0 } else { call.sqe.address_length() };
    // SAFETY: the operation keeps its memory until the completion.
    outcome(|| unsafe { libc::sendto(call.fd, start.cast(), length, flags, to, to_length.into()) })
}

/// Sends the message that the SQE names.
pub(super) fn sendmsg(call: &Call) -> Outcome {
    let flags = call.sqe.op_flags() as i32 | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the operation keeps what is sent until the completion, and the header until the
    // submission; later the ring has a copy.
    outcome(|| unsafe { libc::sendmsg(call.fd, call.memory(), flags) })
}

/// Accepts a connection from a listener that does not block.
pub(super) fn accept(call: &Call) -> Outcome {
    let (address, length) = (call.memory(), call.second_memory());
    let flags = call.sqe.op_flags() as i32;
    // SAFETY: the operation keeps the memory, if there is any, until the completion.
    outcome(|| unsafe { libc::accept4(call.fd, address, length, flags) } as isize)
}

/// What a connect that does not block has come to.
pub(super) enum Connecting {
    Over(Outcome),
    /// It is reported when the socket is writable.
    UnderWay,
    /// The backlog of a Unix listener is full, of which nothing reports the end.
    BacklogIsFull,
}

/// Connects a socket that does not block, or tells what became of that.
pub(super) fn connect(call: &Call) -> Connecting {
    let length = call.sqe.offset() as libc::socklen_t;
    // SAFETY: the operation keeps the address until the submission; later the ring has a copy.
    match outcome(|| unsafe { libc::connect(call.fd, call.memory(), length) } as isize) {
        Err(EINPROGRESS | EALREADY) => Connecting::UnderWay,
        Err(EAGAIN) => Connecting::BacklogIsFull,
        outcome => Connecting::Over(outcome),
    }
}

/// Makes a descriptor not block. Returns whether it did.
///
/// # Errors
///
/// Those of fcntl(2): then a call on the descriptor may wait.
pub(super) fn set_nonblocking(fd: RawFd) -> Result<bool, i32> {
    let flags = open_flags(fd)?;
    if flags & libc::O_NONBLOCK != 0 {
        return Ok(false);
    }
    // SAFETY: the call takes no pointers.
    let result = unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) };
    if result < 0 { Err(last_errno()) } else { Ok(true) }
}

/// Makes a descriptor block again.
pub(super) fn set_blocking(fd: RawFd) {
    if let Ok(flags) = open_flags(fd) {
        // SAFETY: the call takes no pointers.
        unsafe { libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) };
    }
}
