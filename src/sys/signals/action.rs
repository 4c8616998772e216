//! The action that a process takes at a signal.

use std::{mem, process, ptr};

/// The action for a signal.
pub(in crate::sys) fn get_action(signal: libc::c_int) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action = unsafe { mem::zeroed() };
    // SAFETY: the call writes one `sigaction`. It fails only for a signal that there is not. It may
    // be made in a signal handler.
    unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    action
}

/// Installs an action and gives the one that was there. The C library keeps what belongs to
/// returning from a handler (`SA_RESTORER`) right.
pub(in crate::sys) fn set_action(signal: libc::c_int, action: &libc::sigaction) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut replaced = unsafe { mem::zeroed() };
    // SAFETY: the call reads one `sigaction`, whose handler does only what a handler may or was
    // there before, and writes one. It fails only for a signal that there is not, or that cannot be
    // handled. It may be made in a signal handler.
    unsafe { libc::sigaction(signal, action, &raw mut replaced) };
    replaced
}

/// An action that is no handler of a program: `SIG_DFL` or `SIG_IGN`.
pub(super) fn plain_action(disposition: libc::sighandler_t) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = disposition;
    action
}

/// Ends the process as ctrl-c does without a handler, so that its parent knows.
pub(crate) fn kill_self_with_sigint() -> ! {
    // SAFETY: neither call touches memory.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL);
        libc::raise(libc::SIGINT);
    }
    // Only if the signal is blocked.
    process::exit(128 + libc::SIGINT)
}
