//! Keeping SIGPIPE from a call that has no flag for it.

use std::mem::{self, MaybeUninit};
use std::ptr;

/// While it lives, this thread gets no SIGPIPE. A splice to a broken connection and a write to a
/// pipe without a reader raise it, and have no flag against it (writes have one since 6.18).
/// Programs in Rust ignore that signal, unless they have undone it: then it is blocked here, and
/// taken away if it has been raised.
pub(super) struct NoSigpipe {
    /// What was blocked before, if anything was to be done.
    before: Option<libc::sigset_t>,
}

impl NoSigpipe {
    pub(super) fn new() -> Self {
        if is_ignored(libc::SIGPIPE) {
            return Self { before: None };
        }
        let mut before = MaybeUninit::uninit();
        // SAFETY: the call reads one set and writes another.
        let result =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &sigpipe(), before.as_mut_ptr()) };
        // SAFETY: the call has written it, if it has succeeded.
        Self { before: (result == 0).then(|| unsafe { before.assume_init() }) }
    }
}

impl Drop for NoSigpipe {
    fn drop(&mut self) {
        let Some(before) = self.before else { return };
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the calls read sets and a time.
        unsafe {
            if libc::sigismember(&before, libc::SIGPIPE) == 0 {
                libc::sigtimedwait(&sigpipe(), ptr::null_mut(), &at_once);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        }
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: all zeroes is a valid action, into which the call writes the present one.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        libc::sigaction(signal, ptr::null(), &mut action);
        action.sa_sigaction == libc::SIG_IGN
    }
}

fn sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}
