//! What a read or write transfers: the fields of its SQE in the form of preadv2(2) and pwritev2(2).

use std::os::fd::RawFd;
use std::{ptr, slice};

use super::call::{Call, outcome};
use crate::sys::errno::{ENOSYS, EOPNOTSUPP, EPERM};
use crate::sys::opcode;

/// The position of a file itself, as an offset.
pub(super) const CURRENT_POSITION: i64 = -1;

/// `RWF_APPEND` (4.16), which the crate has not for every C library.
pub(super) const RWF_APPEND: i32 = 0x10;

/// A part of a transfer's memory.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Part(libc::iovec);

// SAFETY: an address and a length, which a worker passes to the kernel; what is there is kept for
// the call (`workers`, "Whose memory it is").
unsafe impl Send for Part {}

/// Where the bytes are.
enum Parts {
    One(Part),
    /// The array that the SQE points to, for the attempt only: see `call::Work`.
    Array {
        start: usize,
        count: usize,
    },
    /// A copy of it, for a worker.
    Copied(Box<[Part]>),
}

/// A read or write.
pub(super) struct Transfer {
    pub(super) fd: RawFd,
    /// Where in the file, or [`CURRENT_POSITION`].
    pub(super) offset: i64,
    /// `RWF_*`.
    pub(super) flags: i32,
    parts: Parts,
    /// How many bytes there are.
    pub(super) length: usize,
}

impl Transfer {
    /// What the SQE of an attempt asks for.
    pub(super) fn of(call: &Call) -> Self {
        let sqe = &call.sqe;
        let length = sqe.length() as usize;
        let is_vectored = [opcode::Readv::CODE, opcode::Writev::CODE].contains(&sqe.opcode());
        let parts = if is_vectored {
            Parts::Array { start: sqe.address() as usize, count: length }
        } else {
            Parts::One(Part(libc::iovec { iov_base: call.memory(), iov_len: length }))
        };
        let (offset, flags) = (sqe.offset() as i64, sqe.op_flags() as i32);
        let mut transfer = Self { fd: call.fd, offset, flags, parts, length };
        if is_vectored {
            let lengths = transfer.parts().iter().map(|part| part.0.iov_len);
            transfer.length = lengths.fold(0, usize::saturating_add);
        }
        transfer
    }

    /// Whether there is an array of its parts.
    pub(super) fn is_vectored(&self) -> bool {
        !matches!(self.parts, Parts::One(_))
    }

    /// The same for a worker.
    pub(super) fn kept(mut self) -> Self {
        if let Parts::Array { .. } = self.parts {
            self.parts = Parts::Copied(self.parts().into());
        }
        self
    }

    fn parts(&self) -> &[Part] {
        match &self.parts {
            Parts::One(part) => slice::from_ref(part),
            &Parts::Array { count: 0, .. } => &[],
            // SAFETY: the SQE points to an array of this length, which is there for the attempt,
            // and no one changes it. A `Part` is an `iovec`.
            &Parts::Array { start, count } => unsafe {
                slice::from_raw_parts(ptr::with_exposed_provenance(start), count)
            },
            Parts::Copied(parts) => parts,
        }
    }

    /// The parts in the kernel's form.
    pub(super) fn list(&self) -> (*const libc::iovec, usize) {
        let parts = self.parts();
        // A `Part` is an `iovec`.
        (parts.as_ptr().cast(), parts.len())
    }

    /// preadv2(2) with further flags.
    pub(super) fn read(&self, flags: i32) -> i32 {
        let ((list, count), flags) = (self.list(), self.flags | flags);
        // SAFETY: the memory is kept for the call.
        let read = outcome(unsafe {
            libc::preadv2(self.fd, list, count as libc::c_int, self.offset, flags)
        });
        if flags != 0 || ![-ENOSYS, -EOPNOTSUPP].contains(&read) {
            return read;
        }
        // A sandbox or kernel without that call.
        // SAFETY: as above.
        outcome(unsafe {
            match self.offset {
                CURRENT_POSITION => libc::readv(self.fd, list, count as libc::c_int),
                offset => libc::preadv(self.fd, list, count as libc::c_int, offset),
            }
        })
    }

    /// pwritev2(2) with further flags.
    pub(super) fn write(&self, flags: i32) -> i32 {
        let ((list, count), flags) = (self.list(), self.flags | flags);
        // SAFETY: the memory is kept for the call.
        let written = outcome(unsafe {
            libc::pwritev2(self.fd, list, count as libc::c_int, self.offset, flags)
        });
        if flags != 0 || ![-ENOSYS, -EOPNOTSUPP].contains(&written) {
            return written;
        }
        // SAFETY: as above.
        outcome(unsafe {
            match self.offset {
                CURRENT_POSITION => libc::writev(self.fd, list, count as libc::c_int),
                offset => libc::pwritev(self.fd, list, count as libc::c_int, offset),
            }
        })
    }
}

/// Whether the kernel, a sandbox or the file has no calls that do not wait.
pub(super) fn lacks_no_wait(result: i32) -> bool {
    [-EOPNOTSUPP, -ENOSYS, -EPERM].contains(&result)
}
