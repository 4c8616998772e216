//! The signal handler, and when its place is another action's.
//!
//! All that is called from [`handle`] is async-signal-safe: operations on atomics, and the system
//! calls `getpid`, `write`, `sigaction` and `raise`.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::action::{get_action, plain_action, set_action};
use super::bell::{Bell, Handling, bells, count_begun};
use super::number::SIGNALS_END;

/// What is known of a signal.
struct Installed {
    /// Whether the signal was ignored before the handler was installed.
    was_ignored: AtomicBool,
    /// The process that has installed the handler.
    by: AtomicI32,
}

static INSTALLED: [Installed; SIGNALS_END] =
    [const { Installed { was_ignored: AtomicBool::new(false), by: AtomicI32::new(0) } };
        SIGNALS_END];

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
    // As soon as a listener has heard the signal, its task may listen again: that listener must not
    // be told of it, too. Those that begin from now on are told only if no listener has heard it.
    let is_wanted = tell(signal, this, count_begun()) || tell(signal, this, count_begun());
    if !is_wanted {
        act_by_default(signal, this);
    }
    drop(handling);
    // SAFETY: as above.
    unsafe { *errno = kept };
}

/// Tells of a signal those listeners of this process that are among the first `count`. Returns
/// whether one of them wanted it.
fn tell(signal: libc::c_int, this: i32, count: u64) -> bool {
    let listeners = bells().filter(|bell| bell.is_used_by(this) && bell.is_among_first(count));
    let told = listeners.filter(|bell| bell.listens_for(signal)).map(Bell::hear);
    told.fold(false, |is_wanted, wants_it| is_wanted | wants_it)
}

/// Has a signal that no listener wants do what it does without the handler.
///
/// A process that was forked has no listener. In the one that has installed the handler there is
/// none where other code has put the handler back in its place, or where the last listener has left
/// meanwhile.
fn act_by_default(signal: libc::c_int, this: i32) {
    // Where it does nothing, the handler stays: a listener that is just beginning may have found it
    // in its place.
    if was_ignored(signal) || !ends_process(signal, this) {
        return;
    }
    // Another's handler that has replaced this one, and calls it, stays.
    let default = plain_action(libc::SIG_DFL);
    if replace_ours(signal, &default) || get_action(signal).sa_sigaction == libc::SIG_DFL {
        // What is raised here comes when the handler returns.
        // SAFETY: the call touches no memory, and may be made in a signal handler.
        unsafe { libc::raise(signal) };
    }
}

/// Whether a signal ends or stops a process by default. The kernel spares the first process of a
/// container.
fn ends_process(signal: libc::c_int, this: i32) -> bool {
    const FIRST: i32 = 1;
    let is_harmless =
        matches!(signal, libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH);
    this != FIRST && !is_harmless
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

/// Installs the handler, unless the signal is ignored and that is respected. Returns the action
/// that was in its place, unless the handler was, and an action from before is kept (`has_before`).
pub(super) fn install(
    signal: libc::c_int,
    respects_ignored: bool,
    has_before: bool,
) -> Option<libc::sigaction> {
    let present = get_action(signal);
    if is_handler(&present) {
        // Without an action from before, this process was forked, or other code had replaced the
        // handler, and has put it back when there was no listener any more.
        let disposition = if was_ignored(signal) { libc::SIG_IGN } else { libc::SIG_DFL };
        return (!has_before).then(|| plain_action(disposition));
    }
    let is_ignored = present.sa_sigaction == libc::SIG_IGN;
    if is_ignored && respects_ignored {
        return None;
    }
    INSTALLED[signal as usize].was_ignored.store(is_ignored, Ordering::SeqCst);
    set_action(signal, &handler(&present));
    Some(present)
}

/// Puts an action in place of the handler. Returns whether it did: another's handler stays.
pub(super) fn replace_ours(signal: libc::c_int, action: &libc::sigaction) -> bool {
    if !is_handler(&get_action(signal)) {
        return false;
    }
    let replaced = set_action(signal, action);
    if is_handler(&replaced) {
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
