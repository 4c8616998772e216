//! Reads, writes and other operations on open files.
//!
//! What is in memory is read and written at once, with `RWF_NOWAIT`; what waits for a device or a
//! server is a worker's. So is what `RWF_NOWAIT` does not keep from waiting: direct I/O, and writes
//! that are to reach the device. Whatever is no file goes to [`streams`].

use super::call::{Attempt, Call, Kind, outcome};
use super::file_kind::{FileKind, file_kind, open_flags};
use super::inline::InlineBudget;
use super::streams;
use super::transfer::{CURRENT_POSITION, RWF_APPEND, Transfer, lacks_no_wait};
use crate::sys::errno::{EAGAIN, EINVAL, ESPIPE};

pub(super) fn read(call: &Call, inline: &InlineBudget) -> Attempt {
    let mut transfer = Transfer::of(call);
    let flags = match open_flags(call.fd) {
        Ok(flags) => flags,
        Err(errno) => return Attempt::failed(errno),
    };
    if flags & libc::O_DIRECT == 0 && inline.allows(transfer.length) {
        let mut result = transfer.read(libc::RWF_NOWAIT);
        if result == -ESPIPE && transfer.offset != CURRENT_POSITION {
            // What has no positions has only one.
            transfer.offset = CURRENT_POSITION;
            result = transfer.read(libc::RWF_NOWAIT);
        }
        if result >= 0 {
            inline.spend(result as usize);
            let is_short = result != 0 && (result as usize) < transfer.length;
            // A read at the file's own position has moved it, and so is not made again.
            if !is_short || transfer.offset == CURRENT_POSITION || ends_at(&transfer, result) {
                return Attempt::done(result);
            }
        } else if result != -EAGAIN && !lacks_no_wait(result) {
            return Attempt::done(result);
        }
    }
    match file_kind(call.fd) {
        Ok(FileKind::File) if transfer.is_vectored() => {
            let transfer = transfer.kept();
            Attempt::offload(Kind::File, move || transfer.read(0))
        }
        Ok(FileKind::File) => {
            Attempt::offload_call(Kind::File, call, |call| Transfer::of(call).read(0))
        }
        Ok(kind) => streams::read(transfer, kind, flags),
        Err(errno) => Attempt::failed(errno),
    }
}

/// Whether a file ends behind the bytes that were read, as far as is in memory.
fn ends_at(transfer: &Transfer, read: i32) -> bool {
    let mut byte = 0_u8;
    let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let offset = transfer.offset.saturating_add(read.into());
    // SAFETY: the call writes at most one byte.
    let next = unsafe { libc::preadv2(transfer.fd, &raw const part, 1, offset, libc::RWF_NOWAIT) };
    next == 0
}

pub(super) fn write(call: &Call, inline: &InlineBudget) -> Attempt {
    let mut transfer = Transfer::of(call);
    let flags = match open_flags(call.fd) {
        Ok(flags) => flags,
        Err(errno) => return Attempt::failed(errno),
    };
    match file_kind(call.fd) {
        Ok(FileKind::File) => {}
        Ok(kind) => {
            transfer.offset = CURRENT_POSITION;
            return streams::write(transfer, kind, flags);
        }
        Err(errno) => return Attempt::failed(errno),
    }
    // `O_SYNC` has the bit of `O_DSYNC`, too.
    let waits = flags & (libc::O_DIRECT | libc::O_DSYNC) != 0
        || transfer.flags & (libc::RWF_DSYNC | libc::RWF_SYNC) != 0;
    // What is written in part is written once more, as a whole, by a worker.
    let is_repeatable = flags & libc::O_APPEND == 0
        && transfer.flags & RWF_APPEND == 0
        && transfer.offset != CURRENT_POSITION;
    if !waits && is_repeatable && inline.allows(transfer.length) {
        let result = transfer.write(libc::RWF_NOWAIT);
        if result >= 0 {
            inline.spend(result as usize);
        }
        let is_short = result >= 0 && (result as usize) < transfer.length;
        if !is_short && result != -EAGAIN && !lacks_no_wait(result) {
            return Attempt::done(result);
        }
    }
    if transfer.is_vectored() {
        let transfer = transfer.kept();
        return Attempt::offload(Kind::File, move || transfer.write(0));
    }
    Attempt::offload_call(Kind::File, call, |call| Transfer::of(call).write(0))
}

pub(super) fn sync(call: &Call) -> Attempt {
    const DATA_ONLY: u32 = 1;
    if call.sqe.op_flags() & !DATA_ONLY != 0 {
        return Attempt::failed(EINVAL);
    }
    Attempt::offload_call(Kind::File, call, |call| {
        let is_of_data = call.sqe.op_flags() == DATA_ONLY;
        let sync = if is_of_data { libc::fdatasync } else { libc::fsync };
        // SAFETY: the call touches no memory.
        outcome(unsafe { sync(call.fd) } as isize)
    })
}

pub(super) fn allocate(call: &Call) -> Attempt {
    Attempt::offload_call(Kind::File, call, |call| {
        let (mode, length) = (call.sqe.length() as i32, call.sqe.address() as i64);
        // SAFETY: the call touches no memory.
        let result = unsafe { libc::fallocate(call.fd, mode, call.sqe.offset() as i64, length) };
        outcome(result as isize)
    })
}

pub(super) fn advise(call: &Call) -> Attempt {
    Attempt::offload_call(Kind::File, call, |call| {
        let (offset, length) = (call.sqe.offset() as i64, call.sqe.length().into());
        // It returns its errno.
        // SAFETY: the call touches no memory.
        -unsafe { libc::posix_fadvise(call.fd, offset, length, call.sqe.op_flags() as i32) }
    })
}

pub(super) fn set_length(call: &Call) -> Attempt {
    Attempt::offload_call(Kind::File, call, |call| {
        // SAFETY: the call touches no memory.
        outcome(unsafe { libc::ftruncate(call.fd, call.sqe.offset() as i64) } as isize)
    })
}
