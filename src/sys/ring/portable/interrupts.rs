//! Ending the waits of workers.
//!
//! The kernel interrupts its own workers. Here a signal does: one that the process does not use,
//! sent to the thread alone, with a handler that does nothing, so that the call which waits fails
//! with `EINTR`. A worker blocks all other signals: it neither runs the program's handlers nor
//! raises SIGPIPE.
//!
//! A signal that comes just before the call is lost, so the loop repeats it until the job has
//! ended.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::{mem, process, ptr};

use crate::sys::signals::{get_action, set_action};

/// The jobs that may be interrupted, by the names of their requests.
#[derive(Default)]
pub(super) struct Interrupts(Mutex<HashMap<usize, Running>>);

#[derive(Default)]
struct Running {
    /// The kernel's number of the thread that runs it, if one does.
    thread: Option<libc::pid_t>,
    is_cancelled: bool,
}

impl Interrupts {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Running>> {
        self.0.lock().expect("no code that may panic runs under this lock")
    }

    /// A job is to be run.
    pub(super) fn expect(&self, token: usize) {
        self.lock().insert(token, Running::default());
    }

    /// A job is over, or will not be run. No signal is sent for it any more.
    pub(super) fn forget(&self, token: usize) {
        self.lock().remove(&token);
    }

    /// This thread is going to run a job. Returns whether it was cancelled already.
    pub(super) fn begin(&self, token: usize) -> bool {
        let mut jobs = self.lock();
        let Some(running) = jobs.get_mut(&token) else { return false };
        // SAFETY: the call takes no arguments.
        running.thread = Some(unsafe { libc::syscall(libc::SYS_gettid) } as libc::pid_t);
        running.is_cancelled
    }

    pub(super) fn is_cancelled(&self, token: usize) -> bool {
        self.lock().get(&token).is_some_and(|running| running.is_cancelled)
    }

    /// Cancels a job. Returns whether it has not ended.
    pub(super) fn interrupt(&self, token: usize) -> bool {
        let mut jobs = self.lock();
        let Some(running) = jobs.get_mut(&token) else { return false };
        running.is_cancelled = true;
        running.thread.iter().for_each(|&thread| interrupt(thread));
        true
    }

    /// Interrupts all jobs that were cancelled and have not ended, and returns how many they are.
    pub(super) fn repeat(&self) -> usize {
        let jobs = self.lock();
        let cancelled = jobs.values().filter(|running| running.is_cancelled);
        // The lock keeps a job's thread alive, as it ends its job under it.
        cancelled.inspect(|running| running.thread.iter().for_each(|&one| interrupt(one))).count()
    }
}

/// Has a thread of this process return from its system call.
fn interrupt(thread: libc::pid_t) {
    let Some(signal) = signal().filter(|&signal| is_ours(signal)) else { return };
    // SAFETY: the call touches no memory. The thread lives, and the signal's handler does nothing.
    unsafe { libc::syscall(libc::SYS_tgkill, process::id(), thread, signal) };
}

/// The signal that interrupts: the last real-time signal for which the program had no action when
/// the first worker was started. `None` if it has one for all.
fn signal() -> Option<libc::c_int> {
    static SIGNAL: OnceLock<Option<libc::c_int>> = OnceLock::new();
    *SIGNAL.get_or_init(|| (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(|&one| claim(one)))
}

fn claim(signal: libc::c_int) -> bool {
    let is_free = get_action(signal).sa_sigaction == libc::SIG_DFL;
    if is_free {
        // SAFETY: `sigaction` is plain data, for which all zeroes is valid. Without `SA_RESTART`,
        // calls are interrupted.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = handler();
        set_action(signal, &action);
    }
    is_free
}

/// Whether the signal still interrupts, and does nothing else: the program may have found a use for
/// it since.
fn is_ours(signal: libc::c_int) -> bool {
    get_action(signal).sa_sigaction == handler()
}

fn handler() -> libc::sighandler_t {
    extern "C" fn do_nothing(_signal: libc::c_int) {}
    do_nothing as extern "C" fn(libc::c_int) as libc::sighandler_t
}

/// Blocks the signals of a worker. Not those that the kernel raises for a fault of this thread: it
/// ends the process if they are blocked.
pub(super) fn prepare_thread() {
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSYS];
    let mut blocked = MaybeUninit::uninit();
    // SAFETY: the first call initialises the set, the others change and read it.
    unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        for one in faults.into_iter().chain([libc::SIGTRAP]).chain(signal()) {
            libc::sigdelset(blocked.as_mut_ptr(), one);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), ptr::null_mut());
    }
}
