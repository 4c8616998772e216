//! Chains: which SQEs are linked, and what severs them.
//!
//! The rings that interpret SQEs do as the kernel does (`uring-sys-tests`, `links`, `file_links`
//! and `failed_links`): a chain ends with the batch that it is taken in; most failures, and a
//! transfer that is short, sever it; a hard link does not. Being stricter would hide from tests on
//! those rings what relies on more. But an SQE that names no open descriptor is known there only by
//! its failure, and severs only if the other failures of its operation do.

use std::{ptr, slice};

use super::errno::ECANCELED;
use super::{Sqe, SubmissionFlags, opcode};

/// Whether the next SQE of the batch waits for this one.
pub(crate) fn is_linked(sqe: &Sqe) -> bool {
    sqe.has(SubmissionFlags::IO_LINK) || sqe.has(SubmissionFlags::IO_HARDLINK)
}

/// Whether the result of an SQE that was to move `whole` bytes ([`whole`]) severs the chain behind
/// it.
pub(crate) fn severs(sqe: &Sqe, whole: u32, result: i32) -> bool {
    if sqe.has(SubmissionFlags::IO_HARDLINK) {
        return false;
    }
    if result < 0 {
        return result == -ECANCELED || failure_severs(sqe.opcode());
    }
    (result as u32) < whole
}

/// Whether the kernel cancels what is linked behind an operation that fails. It does not where it
/// reports the failure as a result like any other (`uring-sys-tests`, failed_sync_keeps_chain,
/// failed_changes_keep_chain, failed_shutdown_keeps_chain; the others: other_failures_sever).
///
/// One that is cancelled or cannot begin, as its descriptor is not open, severs in any case.
pub(crate) fn failure_severs(opcode: u8) -> bool {
    !matches!(
        opcode,
        opcode::Fsync::CODE
            | opcode::Fallocate::CODE
            | opcode::Ftruncate::CODE
            | opcode::Statx::CODE
            | opcode::UnlinkAt::CODE
            | opcode::RenameAt::CODE
            | opcode::LinkAt::CODE
            | opcode::SymlinkAt::CODE
            | opcode::MkDirAt::CODE
            | opcode::Shutdown::CODE
    )
}

/// How many bytes an SQE moves if it is not short; zero where a short result is a success.
///
/// # Safety
///
/// The array that a vectored transfer points to is valid, as it is until the submission.
pub(crate) unsafe fn whole(sqe: &Sqe) -> u32 {
    match sqe.opcode() {
        opcode::Read::CODE
        | opcode::Write::CODE
        | opcode::ReadFixed::CODE
        | opcode::WriteFixed::CODE
        | opcode::Splice::CODE
        | opcode::Tee::CODE => sqe.length(),
        opcode::Readv::CODE | opcode::Writev::CODE if sqe.length() > 0 => {
            let array = ptr::with_exposed_provenance(sqe.address() as usize);
            // SAFETY: the caller has the array valid.
            let segments = unsafe { slice::from_raw_parts(array, sqe.length() as usize) };
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
