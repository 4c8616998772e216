//! Short transfers: an SQE that asks for less than the operation does.
//!
//! The kernel sees a smaller length, or a list of segments that ends early, in a copy that is kept
//! until the last completion. Never where the kernel would not transfer less:
//!
//! - datagrams, which would be cut;
//! - `MSG_WAITALL`;
//! - writes of up to `PIPE_BUF` bytes to a pipe, which are atomic;
//! - files that are neither sockets, pipes nor regular files, such as an eventfd;
//! - direct I/O, other than by whole pages;
//! - a read or write that another SQE is linked to, which a short one severs: the kernel would not
//!   know that it was short.

use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::{mem, ptr};

use crate::sys::{Sqe, SqeFile, SubmissionFlags, opcode};

/// How much direct I/O transfers at least, at all alignments.
const PAGE: u64 = 4096;

/// `IORING_RECVSEND_POLL_FIRST` and the like do not matter; a multishot receive has no length.
const RECV_MULTISHOT: u16 = 1 << 1;

/// What is kept until the last completion of an SQE.
pub(super) enum Kept {
    /// The list of segments of a vectored transfer.
    Segments(#[expect(dead_code, reason = "the kernel reads it")] Box<[libc::iovec]>),
    /// The header of a message, which the kernel writes to, and its segments.
    Message(Box<Message>),
}

pub(super) struct Message {
    header: libc::msghdr,
    #[expect(dead_code, reason = "the kernel reads it")]
    segments: Box<[libc::iovec]>,
    /// That of the operation.
    original: *mut libc::msghdr,
}

impl Kept {
    /// The SQE has completed: what the kernel has written to a copy goes to the operation's header.
    ///
    /// # Safety
    ///
    /// The completion has not been reported, so that the SQE's memory is valid.
    pub(super) unsafe fn write_back(&self) {
        if let Self::Message(message) = self {
            let header = &message.header;
            // SAFETY: the operation keeps its header until the completion is reported, and nothing
            // else accesses it until then.
            unsafe {
                (*message.original).msg_namelen = header.msg_namelen;
                (*message.original).msg_controllen = header.msg_controllen;
                (*message.original).msg_flags = header.msg_flags;
            }
        }
    }
}

/// How a transfer may be shortened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// The SQE has its length.
    Plain,
    /// The SQE has a list of segments, and their number.
    Segments,
    /// The SQE has a message header.
    Message,
}

/// The transfer of an SQE, if it may be short.
pub(super) struct Transfer {
    memory: Memory,
    /// How many bytes it asks for.
    length: u64,
    /// What a shorter one is a multiple of.
    unit: u64,
}

impl Transfer {
    /// What may be shortened of an SQE.
    ///
    /// # Safety
    ///
    /// What the SQE points to is valid.
    pub(super) unsafe fn of(sqe: &Sqe) -> Option<Self> {
        let is_linked = sqe.has(SubmissionFlags::IO_LINK);
        let is_selected = sqe.has(SubmissionFlags::BUFFER_SELECT);
        let (memory, is_file) = match sqe.opcode() {
            opcode::Recv::CODE if sqe.ioprio() & RECV_MULTISHOT == 0 && !is_selected => {
                (Memory::Plain, false)
            }
            opcode::RecvMsg::CODE if sqe.ioprio() & RECV_MULTISHOT == 0 && !is_selected => {
                (Memory::Message, false)
            }
            opcode::Send::CODE | opcode::SendZc::CODE => (Memory::Plain, false),
            opcode::SendMsg::CODE => (Memory::Message, false),
            opcode::Read::CODE | opcode::ReadFixed::CODE if !is_linked && !is_selected => {
                (Memory::Plain, true)
            }
            opcode::Write::CODE | opcode::WriteFixed::CODE | opcode::Splice::CODE if !is_linked => {
                (Memory::Plain, true)
            }
            opcode::Readv::CODE | opcode::Writev::CODE if !is_linked => (Memory::Segments, true),
            _ => return None,
        };
        // SAFETY: the caller's promise.
        let length = unsafe { length(sqe, memory) };
        let unit = if is_file {
            file_unit(sqe, length)?
        } else {
            let waits_for_all = sqe.op_flags() & libc::MSG_WAITALL as u32 != 0;
            (!waits_for_all && is_byte_stream(sqe)).then_some(1)?
        };
        (length > unit).then_some(Self { memory, length, unit })
    }

    /// How many lengths there are to choose from.
    pub(super) fn choices(&self) -> u64 {
        (self.length - 1) / self.unit
    }

    /// Has the SQE transfer at most `choice` units, which is at least one and at most as many as
    /// there are choices. Returns what is to be kept, and how many bytes it asked for and asks for.
    ///
    /// # Safety
    ///
    /// What the SQE points to is valid, until its last completion.
    pub(super) unsafe fn shorten(&self, sqe: &mut Sqe, choice: u64) -> (Option<Kept>, u64, u64) {
        let length = choice * self.unit;
        // SAFETY: the caller's promise.
        let kept = unsafe {
            match self.memory {
                Memory::Plain => {
                    sqe.set_length(length as u32);
                    None
                }
                Memory::Segments => {
                    let list = ptr::with_exposed_provenance(sqe.address() as usize);
                    let segments = first_bytes(list, sqe.length() as usize, length);
                    sqe.set_address(segments.as_ptr().expose_provenance() as u64);
                    sqe.set_length(segments.len() as u32);
                    Some(Kept::Segments(segments))
                }
                Memory::Message => {
                    let original: *mut libc::msghdr =
                        ptr::with_exposed_provenance_mut(sqe.address() as usize);
                    let mut header = *original;
                    let mut segments = first_bytes(header.msg_iov, header.msg_iovlen, length);
                    header.msg_iov = segments.as_mut_ptr();
                    header.msg_iovlen = segments.len();
                    let mut message = Box::new(Message { header, segments, original });
                    let header = ptr::from_mut(&mut message.header);
                    sqe.set_address(header.expose_provenance() as u64);
                    Some(Kept::Message(message))
                }
            }
        };
        (kept, self.length, length)
    }
}

/// How many bytes an SQE asks for.
///
/// # Safety
///
/// What the SQE points to is valid.
unsafe fn length(sqe: &Sqe, memory: Memory) -> u64 {
    let sum = |list: *const libc::iovec, count: usize| -> u64 {
        // SAFETY: the list has `count` segments.
        (0..count).map(|at| unsafe { (*list.add(at)).iov_len as u64 }).sum()
    };
    match memory {
        Memory::Plain => sqe.length().into(),
        Memory::Segments => {
            sum(ptr::with_exposed_provenance(sqe.address() as usize), sqe.length() as usize)
        }
        Memory::Message => {
            let header: *const libc::msghdr = ptr::with_exposed_provenance(sqe.address() as usize);
            // SAFETY: the caller's promise.
            unsafe { sum((*header).msg_iov, (*header).msg_iovlen) }
        }
    }
}

/// The segments that hold the first bytes of those in a list.
///
/// # Safety
///
/// `list` has `count` segments, with at least `bytes` bytes in all.
unsafe fn first_bytes(
    list: *const libc::iovec,
    count: usize,
    mut bytes: u64,
) -> Box<[libc::iovec]> {
    let mut segments = Vec::new();
    for at in 0..count {
        // SAFETY: the caller's promise.
        let mut segment = unsafe { *list.add(at) };
        segment.iov_len = segment.iov_len.min(bytes as usize);
        bytes -= segment.iov_len as u64;
        segments.push(segment);
        if bytes == 0 {
            break;
        }
    }
    segments.into()
}

/// Whether an SQE is about a stream of bytes. A file slot is of a stream socket.
fn is_byte_stream(sqe: &Sqe) -> bool {
    let SqeFile::Fd(fd) = sqe.file() else { return true };
    let mut kind: libc::c_int = 0;
    let mut size = mem::size_of_val(&kind) as libc::socklen_t;
    let value = ptr::from_mut(&mut kind).cast();
    // SAFETY: the option is an integer.
    let outcome =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_TYPE, value, &mut size) };
    outcome == 0 && kind == libc::SOCK_STREAM
}

/// What a shorter transfer of a file is a multiple of, if it may be shorter.
fn file_unit(sqe: &Sqe, length: u64) -> Option<u64> {
    // It may be open for direct I/O if the length fits.
    let careful = if length % 512 == 0 { PAGE } else { 1 };
    let SqeFile::Fd(fd) = sqe.file() else { return Some(careful) };
    match kind_of(fd)? {
        libc::S_IFREG => Some(if is_direct(fd) { PAGE } else { 1 }),
        libc::S_IFIFO => {
            let is_atomic = matches!(sqe.opcode(), opcode::Write::CODE | opcode::Writev::CODE)
                && length <= libc::PIPE_BUF as u64;
            (!is_atomic).then_some(1)
        }
        libc::S_IFSOCK => is_byte_stream(sqe).then_some(1),
        _ => None,
    }
}

/// The kind of a file, as in its mode.
fn kind_of(fd: RawFd) -> Option<libc::mode_t> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: there is room for the status, which a success has written.
    unsafe {
        let outcome = libc::fstat(fd, status.as_mut_ptr());
        (outcome == 0).then(|| status.assume_init().st_mode & libc::S_IFMT)
    }
}

fn is_direct(fd: RawFd) -> bool {
    // SAFETY: the call touches no memory.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_DIRECT != 0
}
