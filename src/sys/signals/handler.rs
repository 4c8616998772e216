//! The signal handler, and when its place is another action's.
//!
//! All that is called from [`handle`] is async-signal-safe: operations on atomics, and the system
//! calls `getpid`, `write`, `sigaction` and `raise`.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::action::{get_action, plain_action, set_action};
use super::bell::{Handling, Heard, bells};
use super::number::SIGNALS_END;

/// What the handler must know of a signal.
struct Installed {
    /// Whether the handler has been used up since it was installed: each listener has heard all
    /// that it wants.
    is_used_up: AtomicBool,
    /// Whether the signal was ignored before, and so is when the handler is used up.
    was_ignored: AtomicBool,
    /// The process that has installed the handler.
    by: AtomicI32,
}

static INSTALLED: [Installed; SIGNALS_END] = [const {
    Installed {
        is_used_up: AtomicBool::new(false),
        was_ignored: AtomicBool::new(false),
        by: AtomicI32::new(0),
    }
}; SIGNALS_END];

/// This process.
pub(super) fn this_process() -> i32 {
    // SAFETY: the call has no conditions, and may be made in a signal handler.
    unsafe { libc::getpid() }
}

/// Tells each listener of this process.
extern "C" fn handle(signal: libc::c_int) {
    // SAFETY: the call gives the address of this thread's `errno`, which the interrupted code may
    // be using.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *errno };
    let this = this_process();
    let handling = Handling::begin(this);
    let (mut is_wanted, mut wants_more) = (false, false);
    let mut has_listener = INSTALLED[signal as usize].by.load(Ordering::Acquire) != this;
    for bell in bells().filter(|bell| bell.is_used_by(this)) {
        if bell.listens_for(signal) {
            let heard = bell.hear();
            has_listener = true;
            is_wanted |= heard != Heard::Unwanted;
            wants_more |= heard == Heard::WantsMore;
        }
    }
    // Without a listener in the process that installed the handler, the last one is just leaving,
    // and restores the action from before.
    if has_listener && !wants_more {
        let is_default = use_up(signal);
        if is_default && !is_wanted {
            // What is raised here comes when the handler returns.
            // SAFETY: the call touches no memory, and may be made in a signal handler.
            unsafe { libc::raise(signal) };
        }
    }
    drop(handling);
    // SAFETY: as above.
    unsafe { *errno = kept };
}

/// Puts the default action in place of the handler, or ignores the signal if it was ignored before.
/// Returns whether the signal has that action now for want of a listener: it has not if another's
/// handler has been installed over this one, and calls it.
fn use_up(signal: libc::c_int) -> bool {
    let present = get_action(signal);
    if !is_handler(&present) {
        // By another thread, where a signal came at the same time.
        return is_left_over(signal, &present);
    }
    INSTALLED[signal as usize].is_used_up.store(true, Ordering::SeqCst);
    if !replace_ours(signal, &plain_action(left_over(signal))) {
        return false;
    }
    // One that has begun to listen meanwhile may have found the handler in place.
    let is_wanted = bells().any(|bell| bell.wants(signal, this_process()));
    if is_wanted {
        replace_ours(signal, &handler(&present));
    }
    !is_wanted
}

/// The action that calls the handler, in place of another one. Children that the kernel reaps by
/// itself are still reaped so: those of a process that ignores SIGCHLD.
fn handler(before: &libc::sigaction) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(libc::c_int) as usize;
    let is_ignored = before.sa_sigaction == libc::SIG_IGN;
    let kept = if is_ignored { libc::SA_NOCLDWAIT } else { before.sa_flags & libc::SA_NOCLDWAIT };
    // A system call that the handler interrupts is made again, where the kernel can do that. A
    // thread with small stacks, such as one of Go's, has another one for handlers.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK | kept;
    action
}

/// This process has a listener for a signal. Returns whether the one that has installed the handler
/// is another, which this one was forked from.
pub(super) fn take_over(signal: libc::c_int) -> bool {
    let this = this_process();
    INSTALLED[signal as usize].by.swap(this, Ordering::AcqRel) != this
}

/// Installs the handler, unless it is installed, or the signal is ignored and that is respected.
/// Returns the action that was in its place, unless that was what the handler had left while an
/// action from before is kept (`has_before`).
pub(super) fn install(
    signal: libc::c_int,
    respects_ignored: bool,
    has_before: bool,
) -> Option<libc::sigaction> {
    let present = get_action(signal);
    let is_ignored = present.sa_sigaction == libc::SIG_IGN;
    if is_handler(&present) || (is_ignored && respects_ignored) {
        return None;
    }
    let is_others = !has_before || !is_left_over(signal, &present);
    let installed = &INSTALLED[signal as usize];
    if is_others {
        installed.was_ignored.store(is_ignored, Ordering::SeqCst);
    }
    installed.is_used_up.store(false, Ordering::SeqCst);
    set_action(signal, &handler(&present));
    is_others.then_some(present)
}

/// Puts an action in place of the handler, or of what was left of it. Returns whether it did:
/// another's handler stays.
pub(super) fn replace_ours(signal: libc::c_int, action: &libc::sigaction) -> bool {
    let is_ours = |present: &_| is_handler(present) || is_left_over(signal, present);
    if !is_ours(&get_action(signal)) {
        return false;
    }
    let replaced = set_action(signal, action);
    if is_ours(&replaced) {
        return true;
    }
    // It was installed in between.
    set_action(signal, &replaced);
    false
}

/// Whether the signal was ignored before the handler was installed.
pub(super) fn was_ignored(signal: libc::c_int) -> bool {
    INSTALLED[signal as usize].was_ignored.load(Ordering::Acquire)
}

fn is_handler(action: &libc::sigaction) -> bool {
    action.sa_sigaction == handle as extern "C" fn(libc::c_int) as usize
}

/// What the signals leave of the handler.
fn left_over(signal: libc::c_int) -> libc::sighandler_t {
    if was_ignored(signal) { libc::SIG_IGN } else { libc::SIG_DFL }
}

/// Whether an action is what the signals have left of the handler.
fn is_left_over(signal: libc::c_int, action: &libc::sigaction) -> bool {
    let is_used_up = &INSTALLED[signal as usize].is_used_up;
    action.sa_sigaction == left_over(signal) && is_used_up.load(Ordering::Acquire)
}
