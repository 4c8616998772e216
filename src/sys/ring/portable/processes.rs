//! Waiting for processes: by a pidfd, which the poller watches, or else by a worker.

use std::mem::MaybeUninit;
use std::ptr;

use super::call::{Attempt, Call, Kind, outcome};
use super::streams::is_ready;
use crate::sys::poll::READABLE;

/// A waitid(2).
#[derive(Clone, Copy)]
struct Wait {
    kind: libc::idtype_t,
    id: libc::id_t,
    options: i32,
    /// Where the kernel writes what it has found, if anywhere.
    target: usize,
}

pub(super) fn wait(call: &Call) -> Attempt {
    let sqe = &call.sqe;
    let wait = Wait {
        kind: sqe.length(),
        id: call.fd as libc::id_t,
        options: sqe.wait_options(),
        target: call.second_memory::<libc::siginfo_t>().expose_provenance(),
    };
    let found = wait.call(wait.options | libc::WNOHANG);
    let is_asked_once = wait.options & libc::WNOHANG != 0;
    match found {
        Ok(true) => return Attempt::done(0),
        Ok(false) if is_asked_once => return Attempt::done(0),
        Ok(false) => {}
        Err(errno) => return Attempt::failed(errno),
    }
    // A pidfd reports the end of the process and nothing else.
    let is_for_end = wait.options & (libc::WSTOPPED | libc::WCONTINUED) == 0;
    if wait.kind == libc::P_PIDFD && is_for_end && !is_ready(call.fd, READABLE) {
        return Attempt::WaitFor { fd: call.fd, events: READABLE };
    }
    Attempt::offload(Kind::Other, move || match wait.call(wait.options) {
        Ok(_) => 0,
        Err(errno) => -errno,
    })
}

impl Wait {
    /// Whether a process was found; the errno if there is none to wait for.
    fn call(&self, options: i32) -> Result<bool, i32> {
        // All zeroes say that no process was found.
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the call writes one `siginfo_t`.
        let result = outcome(
            unsafe { libc::waitid(self.kind, self.id, info.as_mut_ptr(), options) } as isize,
        );
        if result < 0 {
            return Err(-result);
        }
        // SAFETY: zeroes are valid, and the call has succeeded; the field is that of a `SIGCHLD`.
        let is_found = unsafe { info.assume_init_ref().si_pid() } != 0;
        let target = ptr::with_exposed_provenance_mut::<libc::siginfo_t>(self.target);
        if is_found && !target.is_null() {
            // SAFETY: the SQE points to room for one, which is kept for the call.
            unsafe { target.write(info.assume_init()) };
        }
        Ok(is_found)
    }
}
