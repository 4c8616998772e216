//! Being told of ctrl-c (SIGINT).
//!
//! A signal handler may do next to nothing, so it rings the eventfd of each that listens. Those eventfds
//! are kept for good and used again, so that the handler can never ring a descriptor that was closed
//! meanwhile, or has become something else.
//!
//! The handler is there while somebody listens, and for one signal: the next one does what it would
//! have done without, which is to kill the process. Where ctrl-c was ignored, as it is for what a shell
//! starts in the background, it stays so.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::{io, mem, ptr};

use super::eventfd::EventFd;

/// How many may listen at the same time.
const MOST: usize = 64;

/// A place for one that listens.
struct Place {
    is_taken: AtomicBool,
    bell: OnceLock<EventFd>,
}

static PLACES: [Place; MOST] =
    [const { Place { is_taken: AtomicBool::new(false), bell: OnceLock::new() } }; MOST];

/// What to do when the last that listens is gone: what was done before, if the handler was installed.
static BEFORE: Mutex<Before> = Mutex::new(Before { listeners: 0, action: None });

struct Before {
    listeners: usize,
    action: Option<libc::sigaction>,
}

fn before() -> MutexGuard<'static, Before> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rings the eventfd of each that listens.
extern "C" fn handle(_signal: libc::c_int) {
    // SAFETY: the call gives this thread's place for errors, which the interrupted code may be using.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *errno };
    for place in PLACES.iter().filter(|place| place.is_taken.load(Ordering::Acquire)) {
        if let Some(bell) = place.bell.get() {
            bell.ring();
        }
    }
    // SAFETY: as above.
    unsafe { *errno = kept };
}

/// Listens until it is dropped.
pub(crate) struct Interrupts {
    place: &'static Place,
}

impl Interrupts {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// If descriptors have run out, or too many listen.
    pub(crate) fn new() -> io::Result<Self> {
        let mut before = before();
        let free = PLACES.iter().find(|place| !place.is_taken.load(Ordering::Relaxed));
        let place = free.ok_or_else(|| io::Error::other("64 listen to ctrl-c already"))?;
        match place.bell.get() {
            Some(bell) => bell.clear(),
            None => drop(place.bell.set(EventFd::new()?)),
        }
        place.is_taken.store(true, Ordering::Release);
        before.listeners += 1;
        if let Some(action) = install() {
            before.action.get_or_insert(action);
        }
        Ok(Self { place })
    }

    /// What becomes readable when the signal comes. It is never closed.
    pub(crate) fn bell(&self) -> RawFd {
        self.place.bell.get().expect("a place that is taken has a bell").as_raw_fd()
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let mut before = before();
        self.place.is_taken.store(false, Ordering::Release);
        before.listeners -= 1;
        if before.listeners == 0 {
            if let Some(action) = before.action.take() {
                set_action(&action);
            }
        }
    }
}

/// Installs the handler for one signal, and gives what was there before; `None` if that was the handler,
/// or nothing is to be done because the signal is ignored.
fn install() -> Option<libc::sigaction> {
    let handler = handle as extern "C" fn(libc::c_int) as usize;
    let present = get_action();
    if present.sa_sigaction == libc::SIG_IGN || present.sa_sigaction == handler {
        return None;
    }
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
    set_action(&action);
    Some(present)
}

fn get_action() -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action = unsafe { mem::zeroed() };
    // SAFETY: the call writes one `sigaction`. It fails only for a signal that there is not.
    unsafe { libc::sigaction(libc::SIGINT, ptr::null(), &raw mut action) };
    action
}

fn set_action(action: &libc::sigaction) {
    // SAFETY: the call reads one `sigaction`, whose handler does only what a handler may. It fails only
    // for a signal that there is not.
    unsafe { libc::sigaction(libc::SIGINT, action, ptr::null_mut()) };
}

/// Ends the process as ctrl-c does by itself, so that whoever started it knows.
pub(crate) fn die() -> ! {
    // SAFETY: neither call touches memory.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL);
        libc::raise(libc::SIGINT);
    }
    // Only if the signal is blocked.
    std::process::exit(128 + libc::SIGINT)
}
