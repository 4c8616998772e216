//! Children of this process: signals to them and their status.
//!
//! A child has a pidfd, which names it for good, where its number may be another process's once it
//! has been waited for. Only where there is no descriptor left for one, or pidfds are forbidden, is
//! the number used; it belongs to the child until its status has been taken.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fork::Generation;

/// What a wait is for: the end, and not that a child was stopped.
pub(crate) const ENDED: i32 = libc::WEXITED;

/// Leaves the status to another wait.
pub(crate) const LEAVE_STATUS: i32 = libc::WNOWAIT;

/// Names a child whose status was not taken.
#[derive(Debug)]
pub(crate) struct ChildId {
    number: u32,
    pidfd: Option<OwnedFd>,
    parent: Generation,
}

/// The forms in which the kernel is told of a child.
pub(crate) struct WaitTarget {
    pub(crate) kind: libc::idtype_t,
    pub(crate) id: libc::id_t,
}

impl ChildId {
    /// Names the child with this number, which has not been waited for. An error of the pidfd is
    /// none of the child: it runs already.
    pub(crate) fn new(number: u32) -> Self {
        // SAFETY: the call touches no memory.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) };
        // SAFETY: the descriptor has just been opened, and nothing else owns it.
        let pidfd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) });
        Self { number, pidfd, parent: Generation::of_this_process() }
    }

    /// Names a child that has been waited for. Its number may be another process's.
    pub(crate) fn ended(number: u32) -> Self {
        Self { number, pidfd: None, parent: Generation::of_this_process() }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Whether it is a child of this process, and not of one that this one was forked from.
    pub(crate) fn is_ours(&self) -> bool {
        self.parent.is_present()
    }

    pub(crate) fn wait_target(&self) -> WaitTarget {
        match &self.pidfd {
            Some(pidfd) => WaitTarget { kind: libc::P_PIDFD, id: pidfd.as_raw_fd() as libc::id_t },
            None => WaitTarget { kind: libc::P_PID, id: self.number },
        }
    }

    /// Sends a signal. To a child that has ended it does nothing.
    ///
    /// # Errors
    ///
    /// `EPERM`, if the child has become another user's, and `EINVAL` for what is no signal.
    pub(crate) fn send_signal(&self, signal: i32) -> io::Result<()> {
        let result = match &self.pidfd {
            // SAFETY: the call reads no memory: the third argument is no `siginfo`.
            Some(pidfd) => unsafe {
                libc::syscall(
                    libc::SYS_pidfd_send_signal,
                    pidfd.as_raw_fd(),
                    signal,
                    std::ptr::null::<libc::siginfo_t>(),
                    0,
                )
            },
            // SAFETY: the call touches no memory.
            None => unsafe { libc::kill(self.number as libc::pid_t, signal).into() },
        };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // Other code has waited for it.
        if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) }
    }

    /// Takes the status of the child, if it has ended. It can be taken once.
    ///
    /// # Errors
    ///
    /// `ECHILD` if it has been taken already.
    pub(crate) fn try_take_status(&self) -> io::Result<Option<ExitStatus>> {
        let WaitTarget { kind, id } = self.wait_target();
        // All zeroes say that no child has ended.
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let options = ENDED | libc::WNOHANG;
        // SAFETY: the call writes one `siginfo_t`. It does not wait.
        while unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) } < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EINTR) {
                return Err(error);
            }
        }
        // SAFETY: zeroes are valid, and the call has succeeded.
        let info = unsafe { info.assume_init() };
        // SAFETY: the fields of a `siginfo_t` of SIGCHLD, or zeroes.
        let (number, status) = unsafe { (info.si_pid(), info.si_status()) };
        Ok((number != 0).then(|| status_of(info.si_code, status)))
    }
}

/// The status in the form of wait(2).
fn status_of(code: i32, status: i32) -> ExitStatus {
    const DUMPED: i32 = 0x80;
    ExitStatus::from_raw(match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | DUMPED,
        _ => status,
    })
}

/// Children whose status no runtime is left to wait for.
static LEFT: Mutex<Vec<ChildId>> = Mutex::new(Vec::new());

fn left() -> MutexGuard<'static, Vec<ChildId>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves a child to whichever runtime of this process next starts one.
pub(crate) fn leave(child: ChildId) {
    left().push(child);
}

/// The children that were left and have not ended. The status of the others is taken.
pub(crate) fn take_left() -> Vec<ChildId> {
    let mut left = std::mem::take(&mut *left());
    left.retain(|child| child.is_ours() && matches!(child.try_take_status(), Ok(None)));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_that_of_wait() {
        assert_eq!(status_of(libc::CLD_EXITED, 3).code(), Some(3));
        assert_eq!(status_of(libc::CLD_EXITED, 255).code(), Some(255));
        let killed = status_of(libc::CLD_KILLED, libc::SIGKILL);
        assert_eq!((killed.signal(), killed.core_dumped()), (Some(libc::SIGKILL), false));
        let dumped = status_of(libc::CLD_DUMPED, libc::SIGQUIT);
        assert_eq!((dumped.signal(), dumped.core_dumped()), (Some(libc::SIGQUIT), true));
    }
}
