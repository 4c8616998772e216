//! Chains: which SQEs are linked, and what severs them.
//!
//! It is as in the kernel (`uring-sys-tests`, `links`, `file_links` and `failed_links`): a chain
//! ends with the batch that it is taken in; most failures, and a transfer that is short, sever it;
//! a hard link does not. Being stricter would hide from tests on this ring what relies on more. But
//! an SQE that names no open descriptor is known here only by its failure, and severs only if the
//! other failures of its operation do.

use std::slice;

use super::call::Call;
use crate::sys::errno::ECANCELED;
use crate::sys::{Sqe, SubmissionFlags, failure_severs, opcode};

/// Whether the next SQE of the batch waits for this one.
pub(super) fn is_linked(sqe: &Sqe) -> bool {
    sqe.has(SubmissionFlags::IO_LINK) || sqe.has(SubmissionFlags::IO_HARDLINK)
}

/// Whether the result of an SQE severs the chain behind it. `whole` is what it was to move.
pub(super) fn severs(sqe: &Sqe, whole: u32, result: i32) -> bool {
    if sqe.has(SubmissionFlags::IO_HARDLINK) {
        return false;
    }
    if result < 0 {
        return result == -ECANCELED || failure_severs(sqe.opcode());
    }
    (result as u32) < whole
}

/// How many bytes an operation moves if it is not short; zero where a short one is a success.
pub(super) fn whole(call: &Call) -> u32 {
    let sqe = &call.sqe;
    match sqe.opcode() {
        opcode::Read::CODE
        | opcode::Write::CODE
        | opcode::ReadFixed::CODE
        | opcode::WriteFixed::CODE
        | opcode::Splice::CODE
        | opcode::Tee::CODE => sqe.length(),
        opcode::Readv::CODE | opcode::Writev::CODE if sqe.length() > 0 => {
            // SAFETY: the operation keeps the array until the submission, which this is part of.
            let segments = unsafe { slice::from_raw_parts(call.memory(), sqe.length() as usize) };
            let length = |segment: &libc::iovec| segment.iov_len as u32;
            segments.iter().map(length).fold(0, u32::saturating_add)
        }
        opcode::Recv::CODE | opcode::Send::CODE | opcode::SendZc::CODE => {
            let is_for_all = sqe.op_flags() & libc::MSG_WAITALL as u32 != 0;
            if is_for_all { sqe.length() } else { 0 }
        }
        _ => 0,
    }
}
