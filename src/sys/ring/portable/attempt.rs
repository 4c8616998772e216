//! One try of an SQE, which never waits.

use super::call::{Attempt, Call};
use super::inline::InlineBudget;
use super::{descriptors, files, paths, processes};
use crate::sys::errno::EINVAL;
use crate::sys::opcode;

/// Tries a call. What the ring itself carries out (timeouts, cancels, the file table) does not come
/// here.
pub(super) fn attempt(call: &Call, inline: &InlineBudget) -> Attempt {
    match call.sqe.opcode() {
        opcode::Nop::CODE => Attempt::done(0),
        opcode::Read::CODE | opcode::ReadFixed::CODE | opcode::Readv::CODE => {
            files::read(call, inline)
        }
        opcode::Write::CODE | opcode::WriteFixed::CODE | opcode::Writev::CODE => {
            files::write(call, inline)
        }
        opcode::Fsync::CODE => files::sync(call),
        opcode::Fallocate::CODE => files::allocate(call),
        opcode::Fadvise::CODE => files::advise(call),
        opcode::Ftruncate::CODE => files::set_length(call),
        opcode::OpenAt::CODE => paths::open(call),
        opcode::OpenAt2::CODE => paths::open_within(call),
        opcode::Statx::CODE => paths::stat(call),
        opcode::UnlinkAt::CODE => paths::unlink(call),
        opcode::RenameAt::CODE => paths::rename(call),
        opcode::LinkAt::CODE => paths::link(call),
        opcode::SymlinkAt::CODE => paths::symlink(call),
        opcode::MkDirAt::CODE => paths::create_directory(call),
        opcode::Close::CODE => descriptors::close(call),
        opcode::Shutdown::CODE => descriptors::shut_down(call),
        opcode::Socket::CODE => descriptors::socket(call),
        opcode::SetSockOpt::CODE => descriptors::set_option(call),
        opcode::Splice::CODE => descriptors::splice(call),
        opcode::WaitId::CODE => processes::wait(call),
        // What the kernel answers to an opcode that it does not know.
        _ => Attempt::failed(EINVAL),
    }
}

/// Whether the result of an opcode is a new descriptor, which the SQE may want in a file slot.
pub(super) fn makes_descriptor(code: u8) -> bool {
    [
        opcode::OpenAt::CODE,
        opcode::OpenAt2::CODE,
        opcode::Accept::CODE,
        opcode::Socket::CODE,
        opcode::FixedFdInstall::CODE,
    ]
    .contains(&code)
}

/// Whether there is such an operation.
pub(super) fn is_known(code: u8) -> bool {
    KNOWN.contains(&code)
}

const KNOWN: &[u8] = &[
    opcode::Nop::CODE,
    opcode::Recv::CODE,
    opcode::RecvMsg::CODE,
    opcode::Send::CODE,
    opcode::SendZc::CODE,
    opcode::SendMsg::CODE,
    opcode::Accept::CODE,
    opcode::Connect::CODE,
    opcode::Shutdown::CODE,
    opcode::Socket::CODE,
    opcode::SetSockOpt::CODE,
    opcode::PollAdd::CODE,
    opcode::Timeout::CODE,
    opcode::LinkTimeout::CODE,
    opcode::AsyncCancel::CODE,
    opcode::Close::CODE,
    opcode::FixedFdInstall::CODE,
    opcode::OpenAt::CODE,
    opcode::OpenAt2::CODE,
    opcode::Read::CODE,
    opcode::Write::CODE,
    opcode::ReadFixed::CODE,
    opcode::WriteFixed::CODE,
    opcode::Readv::CODE,
    opcode::Writev::CODE,
    opcode::Fsync::CODE,
    opcode::Fallocate::CODE,
    opcode::Fadvise::CODE,
    opcode::Ftruncate::CODE,
    opcode::Statx::CODE,
    opcode::UnlinkAt::CODE,
    opcode::RenameAt::CODE,
    opcode::LinkAt::CODE,
    opcode::SymlinkAt::CODE,
    opcode::MkDirAt::CODE,
    opcode::Splice::CODE,
    opcode::WaitId::CODE,
];
