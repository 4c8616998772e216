//! Which operations sever the chain behind them when they fail.

use super::opcode;

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
