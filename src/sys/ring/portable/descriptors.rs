//! Opening, closing and setting up descriptors, and moving bytes between them.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use super::call::{Attempt, Call, Kind, outcome};
use super::file_kind::{FileKind, file_kind};
use crate::sys::SubmissionFlags;
use crate::sys::errno::{EINTR, EOPNOTSUPP};

/// `SOCKET_URING_OP_SETSOCKOPT`.
const SET_SOCKET_OPTION: u32 = 3;

/// `SPLICE_F_FD_IN_FIXED`, which is the ring's.
const FROM_FILE_SLOT: u32 = 1 << 31;

/// A close of a descriptor of the process.
pub(super) fn close(call: &Call) -> Attempt {
    let on_a_worker = |kind| Attempt::offload_call(kind, call, |call| close_now(call.fd));
    let is_async = call.sqe.has(SubmissionFlags::ASYNC);
    match closed_by(call.fd) {
        Err(errno) => Attempt::failed(errno),
        Ok(Some(kind)) => on_a_worker(kind),
        Ok(None) if is_async => on_a_worker(Kind::Other),
        Ok(None) => Attempt::done(close_now(call.fd)),
    }
}

/// A close of a file that was in a slot, and that nothing uses. If its job is dropped before it has
/// begun, the file is closed by that.
pub(super) fn close_file(file: OwnedFd) -> Attempt {
    match closed_by(file.as_raw_fd()) {
        Ok(Some(kind)) => {
            let mut file = Some(file);
            Attempt::offload(kind, move || {
                drop(file.take());
                0
            })
        }
        _ => {
            drop(file);
            Attempt::done(0)
        }
    }
}

/// Which worker closes a descriptor, if that may take time: of a file, whose server may have to be
/// told; of a socket that lingers; of a terminal, which sends what it has.
fn closed_by(fd: RawFd) -> Result<Option<Kind>, i32> {
    Ok(match file_kind(fd)? {
        FileKind::File => Some(Kind::File),
        FileKind::Device => Some(Kind::Other),
        FileKind::Socket | FileKind::Pipe => lingers(fd).then_some(Kind::Other),
    })
}

fn close_now(fd: RawFd) -> i32 {
    // SAFETY: the operation that has pushed the SQE owns the descriptor, and gives it up.
    match outcome(unsafe { libc::close(fd) } as isize) {
        // The kernel has released the number: it must not be closed again.
        result if result == -EINTR => 0,
        result => result,
    }
}

/// Whether the close of a socket waits for what its peer has not taken.
fn lingers(fd: RawFd) -> bool {
    let mut linger = libc::linger { l_onoff: 0, l_linger: 0 };
    let mut length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the call writes at most `length` bytes, which `linger` has.
    let result = unsafe {
        let target = (&raw mut linger).cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, target, &raw mut length)
    };
    result == 0 && linger.l_onoff != 0 && linger.l_linger > 0
}

pub(super) fn shut_down(call: &Call) -> Attempt {
    // SAFETY: the call takes no pointers.
    Attempt::done(outcome(unsafe { libc::shutdown(call.fd, call.sqe.length() as i32) } as isize))
}

pub(super) fn socket(call: &Call) -> Attempt {
    let (kind, protocol) = (call.sqe.offset() as i32, call.sqe.length() as i32);
    // SAFETY: the call takes no pointers.
    Attempt::done(outcome(unsafe { libc::socket(call.fd, kind, protocol) } as isize))
}

/// A command to a socket. Only that which sets an option is known.
pub(super) fn set_option(call: &Call) -> Attempt {
    if call.sqe.offset() as u32 != SET_SOCKET_OPTION {
        return Attempt::failed(EOPNOTSUPP);
    }
    let (level, name) = (call.sqe.address() as i32, (call.sqe.address() >> 32) as i32);
    let (value, length) = call.sqe.option_value();
    let value = ptr::with_exposed_provenance::<libc::c_void>(value as usize);
    // SAFETY: the SQE points to as many bytes.
    Attempt::done(
        outcome(unsafe { libc::setsockopt(call.fd, level, name, value, length) } as isize),
    )
}

/// A splice. It may wait for a pipe, a device and a peer.
pub(super) fn splice(call: &Call) -> Attempt {
    Attempt::offload_call(Kind::Other, call, |call| {
        let (from, to, length) = (call.source, call.fd, call.sqe.length() as usize);
        let flags = call.sqe.op_flags() & !FROM_FILE_SLOT;
        let mut offset_in = call.sqe.address() as i64;
        let mut offset_out = call.sqe.offset() as i64;
        let pointer =
            |offset: &mut i64| if *offset == -1 { ptr::null_mut() } else { &raw mut *offset };
        let (from_at, to_at) = (pointer(&mut offset_in), pointer(&mut offset_out));
        // SAFETY: the call reads and writes the offsets.
        outcome(unsafe { libc::splice(from, from_at, to, to_at, length, flags) })
    })
}
