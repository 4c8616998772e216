//! One try of an SQE, which never waits.

use super::call::{Attempt, Call};
use crate::sys::errno::EINVAL;
use crate::sys::opcode;

/// Tries a call. What the ring itself carries out (timeouts, cancels, the file table) does not come
/// here.
pub(super) fn attempt(call: &Call) -> Attempt {
    match call.sqe.opcode() {
        opcode::Nop::CODE => Attempt::done(0),
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
