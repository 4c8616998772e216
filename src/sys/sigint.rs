//! Listeners for ctrl-c (SIGINT).
//!
//! A signal handler may do next to nothing, so it rings the bell (an eventfd) of each listener.
//! Those eventfds are kept for good and used again, so that the handler can never ring a descriptor
//! that was closed meanwhile, or has become something else.
//!
//! The handler is installed while there is a listener, and for one signal: the next one does what
//! it would have done without, which is to kill the process. Where ctrl-c was ignored, as it is for
//! what a shell starts in the background, it stays so.
//!
//! # Others' handlers
//! The action for a signal belongs to the process, and any code may change it at any time. So the
//! action from before is restored only where the handler is installed, or was until the signal used
//! it up. A handler that was installed over it stays; if that calls the one it found, as most do,
//! both hear. One that was there before is not called while there is a listener: it may be one that
//! calls this.
//!
//! A child that was forked, and has not become another program, has the handler and the eventfds,
//! but no listener. There the signal does what it does by default.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::{io, mem, process, ptr};

use super::eventfd::EventFd;

/// How many listeners there may be at the same time.
const MAX_LISTENERS: usize = 64;

/// A bell, and the process whose listener it rings for.
struct Bell {
    /// The process that has a listener here, or zero.
    listener: AtomicI32,
    /// The eventfd, and the process that made it. Its forked children share the eventfd, and must
    /// not use it.
    eventfd: OnceLock<(i32, EventFd)>,
}

static BELLS: [Bell; MAX_LISTENERS] =
    [const { Bell { listener: AtomicI32::new(0), eventfd: OnceLock::new() } }; MAX_LISTENERS];

/// Whether the handler has been used up by a signal since it was installed.
static IS_USED_UP: AtomicBool = AtomicBool::new(false);

/// The process that has installed the handler.
static INSTALLED_BY: AtomicI32 = AtomicI32::new(0);

/// What to restore when the last listener is gone: the action from before, if the handler was
/// installed.
static BEFORE: Mutex<Before> = Mutex::new(Before { listeners: 0, action: None });

struct Before {
    listeners: usize,
    action: Option<libc::sigaction>,
}

fn before() -> MutexGuard<'static, Before> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process.
fn this_process() -> i32 {
    // SAFETY: the call has no conditions, and may be made in a signal handler.
    unsafe { libc::getpid() }
}

/// Rings the bell of each listener of this process.
extern "C" fn handle(signal: libc::c_int) {
    // SAFETY: the call gives the address of this thread's `errno`, which the interrupted code may
    // be using.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *errno };
    IS_USED_UP.store(true, Ordering::Release);
    let this = this_process();
    for bell in BELLS.iter().filter(|bell| bell.listener.load(Ordering::Acquire) == this) {
        if let Some((_, eventfd)) = bell.eventfd.get() {
            eventfd.ring();
        }
    }
    if INSTALLED_BY.load(Ordering::Acquire) != this {
        // The handler is gone, as it is for one signal. What is raised here comes when it returns.
        // SAFETY: the call touches no memory, and may be made in a signal handler.
        unsafe { libc::raise(signal) };
    }
    // SAFETY: as above.
    unsafe { *errno = kept };
}

/// Listens until it is dropped.
pub(crate) struct SigintListener {
    bell: &'static Bell,
}

impl SigintListener {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// If descriptors have run out, or there are [`MAX_LISTENERS`] already.
    pub(crate) fn new() -> io::Result<Self> {
        let mut before = before();
        let this = this_process();
        // A bell whose eventfd the parent process has made is not free.
        let is_free = |bell: &&Bell| match bell.eventfd.get() {
            Some((maker, _)) => *maker == this && bell.listener.load(Ordering::Relaxed) == 0,
            None => true,
        };
        let bell = BELLS.iter().find(is_free).ok_or_else(|| {
            io::Error::other(format!("at most {MAX_LISTENERS} concurrent ctrl_c() listeners"))
        })?;
        match bell.eventfd.get() {
            Some((_, eventfd)) => eventfd.clear(),
            None => drop(bell.eventfd.set((this, EventFd::new()?))),
        }
        bell.listener.store(this, Ordering::Release);
        if INSTALLED_BY.swap(this, Ordering::AcqRel) != this {
            // Forked from another, it knows nothing of that one's listeners.
            *before = Before { listeners: 0, action: None };
        }
        before.listeners += 1;
        before.install();
        Ok(Self { bell })
    }

    /// What becomes readable when the signal comes. It is never closed.
    pub(crate) fn bell(&self) -> RawFd {
        let (_, eventfd) = self.bell.eventfd.get().expect("a listener's bell has an eventfd");
        eventfd.as_raw_fd()
    }
}

impl Drop for SigintListener {
    fn drop(&mut self) {
        let this = this_process();
        if self.bell.listener.load(Ordering::Relaxed) != this {
            // It was made by the process that this one was forked from.
            return;
        }
        let mut before = before();
        self.bell.listener.store(0, Ordering::Release);
        before.listeners -= 1;
        if before.listeners == 0 {
            before.restore();
        }
    }
}

impl Before {
    /// Installs the handler for one signal, unless it is installed or the signal is ignored.
    fn install(&mut self) {
        let present = get_action();
        if present.sa_sigaction == libc::SIG_IGN || is_handler(&present) {
            return;
        }
        if self.action.is_none() || !is_left_over(&present) {
            // From before the first listener, or another's, installed since.
            self.action = Some(present);
        }
        // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = handle as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
        IS_USED_UP.store(false, Ordering::Release);
        set_action(&action);
    }

    /// Puts back the action from before, unless another one has been installed since.
    fn restore(&mut self) {
        let Some(action) = self.action.take() else { return };
        let is_ours = |present: &_| is_handler(present) || is_left_over(present);
        if is_ours(&get_action()) {
            let replaced = set_action(&action);
            if !is_ours(&replaced) {
                // It was installed in between.
                set_action(&replaced);
            }
        }
    }
}

fn is_handler(action: &libc::sigaction) -> bool {
    action.sa_sigaction == handle as extern "C" fn(libc::c_int) as usize
}

/// Whether an action is what a signal has left of the handler.
fn is_left_over(action: &libc::sigaction) -> bool {
    action.sa_sigaction == libc::SIG_DFL && IS_USED_UP.load(Ordering::Acquire)
}

fn get_action() -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action = unsafe { mem::zeroed() };
    // SAFETY: the call writes one `sigaction`. It fails only for a signal that there is not.
    unsafe { libc::sigaction(libc::SIGINT, ptr::null(), &raw mut action) };
    action
}

/// Installs an action and gives the one that was there. The C library keeps what belongs to
/// returning from a handler (`SA_RESTORER`) right.
fn set_action(action: &libc::sigaction) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut replaced = unsafe { mem::zeroed() };
    // SAFETY: the call reads one `sigaction`, whose handler does only what a handler may or was
    // there before, and writes one. It fails only for a signal that there is not.
    unsafe { libc::sigaction(libc::SIGINT, action, &raw mut replaced) };
    replaced
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
