//! Listeners for signals.
//!
//! A signal handler may do next to nothing, so it counts the signal and rings a bell (an eventfd)
//! of each listener. Those eventfds are kept for good and used again, so that the handler can never
//! ring a descriptor that was closed meanwhile, or has become something else.
//!
//! A listener wants a number of signals: one, or two if the second means more than the first. The
//! handler is installed while a listener wants one more; the next signal does what it would have
//! done without, which is to kill the process. A signal that was ignored, as ctrl-c is for what a
//! shell starts in the background, stays so.
//!
//! # Others' handlers
//! The action for a signal belongs to the process, and any code may change it at any time. So the
//! action from before is restored only where the handler is installed, or was until the signals
//! used it up. A handler that was installed over it stays; if that calls the one it found, as most
//! do, both hear. One that was there before is not called while there is a listener: it may be one
//! that calls this.
//!
//! A child that was forked, and has not become another program, has the handler and the eventfds,
//! but no listener. There the signal does what it does by default.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::{io, mem, process, ptr};

pub(crate) use libc::{SIGHUP, SIGINT, SIGTERM};

use super::eventfd::EventFd;

/// How many listeners there may be at the same time.
const MAX_LISTENERS: usize = 64;

/// How many signals a listener may want.
const MAX_WANTED: usize = 2;

/// Signals have numbers below this.
const SIGNALS_END: usize = 65;

/// The bells of a listener, and the process that listens.
struct Bell {
    /// The process that has a listener here, or zero.
    listener: AtomicI32,
    /// What it listens for: a bit for each signal, the lowest for signal 1.
    signals: AtomicU64,
    /// How many signals it wants.
    wanted: AtomicU32,
    /// How many have come.
    heard: AtomicU32,
    /// An eventfd for each signal that is wanted, and the process that made it. Its forked children
    /// share the eventfd, and must not use it.
    eventfds: [OnceLock<(i32, EventFd)>; MAX_WANTED],
}

static BELLS: [Bell; MAX_LISTENERS] = [const { Bell::new() }; MAX_LISTENERS];

/// What the handler must know of a signal.
struct Installed {
    /// Whether the handler has been used up since it was installed: each listener has heard all
    /// that it wants.
    is_used_up: AtomicBool,
    /// The process that has installed the handler.
    by: AtomicI32,
}

static INSTALLED: [Installed; SIGNALS_END] =
    [const { Installed { is_used_up: AtomicBool::new(false), by: AtomicI32::new(0) } };
        SIGNALS_END];

/// What to restore when the last listener for a signal is gone: the action from before, if the
/// handler was installed.
static BEFORE: Mutex<[Before; SIGNALS_END]> =
    Mutex::new([const { Before { listeners: 0, action: None } }; SIGNALS_END]);

struct Before {
    listeners: usize,
    action: Option<libc::sigaction>,
}

fn before() -> MutexGuard<'static, [Before; SIGNALS_END]> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process.
fn this_process() -> i32 {
    // SAFETY: the call has no conditions, and may be made in a signal handler.
    unsafe { libc::getpid() }
}

/// What a signal has found at a listener.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// The listener wanted it, and wants one more.
    WantsMore,
    /// The listener wanted it, and no more.
    Last,
    /// The listener has heard all that it wants.
    Unwanted,
}

impl Bell {
    const fn new() -> Self {
        Self {
            listener: AtomicI32::new(0),
            signals: AtomicU64::new(0),
            wanted: AtomicU32::new(0),
            heard: AtomicU32::new(0),
            eventfds: [const { OnceLock::new() }; MAX_WANTED],
        }
    }

    fn listens_for(&self, signal: libc::c_int) -> bool {
        self.signals.load(Ordering::Relaxed) & bit(signal) != 0
    }

    /// A signal has come, of those that it listens for. Called by the handler.
    fn hear(&self) -> Heard {
        let nth = self.heard.fetch_add(1, Ordering::AcqRel);
        let wanted = self.wanted.load(Ordering::Relaxed);
        if nth >= wanted {
            return Heard::Unwanted;
        }
        if let Some((_, eventfd)) = self.eventfds[nth as usize].get() {
            eventfd.ring();
        }
        if nth + 1 < wanted { Heard::WantsMore } else { Heard::Last }
    }

    /// Whether a listener of this process wants one more of a signal.
    fn wants(&self, signal: libc::c_int, this: i32) -> bool {
        self.listener.load(Ordering::SeqCst) == this
            && self.listens_for(signal)
            && self.heard.load(Ordering::SeqCst) < self.wanted.load(Ordering::Relaxed)
    }

    /// Whether a listener of this process may use it: there is none, and no eventfd of it was made
    /// by a process that this one was forked from.
    fn is_free(&self, this: i32) -> bool {
        let is_ours =
            |made: &OnceLock<(i32, _)>| made.get().is_none_or(|(maker, _)| *maker == this);
        self.listener.load(Ordering::Relaxed) == 0 && self.eventfds.iter().all(is_ours)
    }
}

/// The bit of a signal in a set of signals.
fn bit(signal: libc::c_int) -> u64 {
    1 << (signal - 1)
}

/// Tells each listener of this process.
extern "C" fn handle(signal: libc::c_int) {
    // SAFETY: the call gives the address of this thread's `errno`, which the interrupted code may
    // be using.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *errno };
    let this = this_process();
    let (mut is_wanted, mut wants_more) = (false, false);
    let mut has_listener = INSTALLED[signal as usize].by.load(Ordering::Acquire) != this;
    for bell in BELLS.iter().filter(|bell| bell.listener.load(Ordering::Acquire) == this) {
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
    // SAFETY: as above.
    unsafe { *errno = kept };
}

/// Puts the default action in place of the handler. Returns whether the signal has the default
/// action now for want of a listener: it has not if another's handler has been installed over this
/// one, and calls it.
fn use_up(signal: libc::c_int) -> bool {
    let present = get_action(signal);
    if !is_handler(&present) {
        // By another thread, where a signal came at the same time.
        return is_left_over(signal, &present);
    }
    // SAFETY: `sigaction` is plain data; all zeroes is the default action (`SIG_DFL`).
    let default: libc::sigaction = unsafe { mem::zeroed() };
    INSTALLED[signal as usize].is_used_up.store(true, Ordering::SeqCst);
    if !replace_ours(signal, &default) {
        return false;
    }
    // One that has begun to listen meanwhile may have found the handler in place.
    let is_wanted = BELLS.iter().any(|bell| bell.wants(signal, this_process()));
    if is_wanted {
        replace_ours(signal, &handler());
    }
    !is_wanted
}

/// The action that calls the handler.
fn handler() -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    action
}

/// Listens until it is dropped.
pub(crate) struct SignalListener {
    bell: &'static Bell,
}

impl SignalListener {
    /// Listens from now on for each of some signals, until `wanted` of them have come.
    ///
    /// # Errors
    ///
    /// If descriptors have run out, or there are [`MAX_LISTENERS`] already.
    pub(crate) fn new(signals: &[libc::c_int], wanted: usize) -> io::Result<Self> {
        let mut before = before();
        let this = this_process();
        let bell = BELLS.iter().find(|bell| bell.is_free(this)).ok_or_else(|| {
            let fault = format!("cannot listen for a signal: {MAX_LISTENERS} listeners are there");
            io::Error::other(format!("{fault} already; share one, or drop those not awaited"))
        })?;
        for eventfd in &bell.eventfds[..wanted] {
            match eventfd.get() {
                Some((_, eventfd)) => eventfd.clear(),
                None => drop(eventfd.set((this, EventFd::new()?))),
            }
        }
        let set = signals.iter().map(|&signal| bit(signal)).fold(0, |set, bit| set | bit);
        bell.signals.store(set, Ordering::Relaxed);
        bell.wanted.store(wanted as u32, Ordering::Relaxed);
        bell.heard.store(0, Ordering::Relaxed);
        bell.listener.store(this, Ordering::SeqCst);
        for &signal in signals {
            let before = &mut before[signal as usize];
            if INSTALLED[signal as usize].by.swap(this, Ordering::AcqRel) != this {
                // Forked from another, it knows nothing of that one's listeners.
                *before = Before { listeners: 0, action: None };
            }
            before.listeners += 1;
            before.install(signal);
        }
        Ok(Self { bell })
    }

    /// What becomes readable when the signal has come for the `nth` time. It is never closed.
    pub(crate) fn bell(&self, nth: usize) -> RawFd {
        let (_, eventfd) = self.bell.eventfds[nth - 1].get().expect("there is one for each wanted");
        eventfd.as_raw_fd()
    }

    /// How many of the signals have come.
    pub(crate) fn heard(&self) -> usize {
        // Acquire: who sees the signal sees what was done before it was sent, by another thread.
        self.bell.heard.load(Ordering::Acquire) as usize
    }

    /// Whether it was made by this process, not by one that this one was forked from.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.bell.listener.load(Ordering::Relaxed) == this_process()
    }
}

impl Drop for SignalListener {
    fn drop(&mut self) {
        if !self.is_of_this_process() {
            return;
        }
        let mut before = before();
        self.bell.listener.store(0, Ordering::Release);
        for signal in (1..SIGNALS_END as libc::c_int).filter(|&one| self.bell.listens_for(one)) {
            let before = &mut before[signal as usize];
            before.listeners -= 1;
            if before.listeners == 0 {
                before.restore(signal);
            }
        }
    }
}

impl Before {
    /// Installs the handler, unless it is installed or the signal is ignored.
    fn install(&mut self, signal: libc::c_int) {
        let present = get_action(signal);
        if present.sa_sigaction == libc::SIG_IGN || is_handler(&present) {
            return;
        }
        if self.action.is_none() || !is_left_over(signal, &present) {
            // From before the first listener, or another's, installed since.
            self.action = Some(present);
        }
        INSTALLED[signal as usize].is_used_up.store(false, Ordering::SeqCst);
        set_action(signal, &handler());
    }

    /// Puts back the action from before, unless another one has been installed since.
    fn restore(&mut self, signal: libc::c_int) {
        if let Some(action) = self.action.take() {
            replace_ours(signal, &action);
        }
    }
}

/// Puts an action in place of the handler, or of what was left of it. Returns whether it did:
/// another's handler stays.
fn replace_ours(signal: libc::c_int, action: &libc::sigaction) -> bool {
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

fn is_handler(action: &libc::sigaction) -> bool {
    action.sa_sigaction == handle as extern "C" fn(libc::c_int) as usize
}

/// Whether an action is what the signals have left of the handler.
fn is_left_over(signal: libc::c_int, action: &libc::sigaction) -> bool {
    let is_used_up = &INSTALLED[signal as usize].is_used_up;
    action.sa_sigaction == libc::SIG_DFL && is_used_up.load(Ordering::Acquire)
}

fn get_action(signal: libc::c_int) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action = unsafe { mem::zeroed() };
    // SAFETY: the call writes one `sigaction`. It fails only for a signal that there is not. It may
    // be made in a signal handler.
    unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    action
}

/// Installs an action and gives the one that was there. The C library keeps what belongs to
/// returning from a handler (`SA_RESTORER`) right.
fn set_action(signal: libc::c_int, action: &libc::sigaction) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut replaced = unsafe { mem::zeroed() };
    // SAFETY: the call reads one `sigaction`, whose handler does only what a handler may or was
    // there before, and writes one. It fails only for a signal that there is not, or that cannot be
    // handled. It may be made in a signal handler.
    unsafe { libc::sigaction(signal, action, &raw mut replaced) };
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
