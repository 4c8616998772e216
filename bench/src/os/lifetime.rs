//! How long a process may live.

use std::io;
use std::os::unix::process::CommandExt;
use std::os::unix::process::parent_id;
use std::process::{self, Command};
use std::time::Duration;

use super::check;

/// Has the kernel kill this process when `parent` ends, or after `limit` at the latest. Both
/// outlive an `exec`.
pub(crate) fn bound(parent: u32, limit: Duration) -> io::Result<()> {
    // SAFETY: the calls take no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    let seconds = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX);
    // SAFETY: as above.
    unsafe { libc::alarm(seconds) };
    if parent_id() == parent {
        Ok(())
    } else {
        Err(io::Error::other("the parent has ended already"))
    }
}

/// Has what a command starts end with this process, and after `limit` at the latest.
pub(crate) fn tie(command: &mut Command, limit: Duration) {
    let parent = process::id();
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated unless the
    // parent has ended already, when the child ends too.
    unsafe { command.pre_exec(move || bound(parent, limit)) };
}
