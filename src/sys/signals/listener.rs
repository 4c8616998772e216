//! Who listens for signals, and what to restore when the last listener is gone.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bell::{ALL, Bell, free_bell};
use super::handler::{install, replace_ours, take_over, this_process, was_ignored};
use super::number::SIGNALS_END;

/// What to restore when the last listener for a signal is gone: the action from before, if the
/// handler was installed.
static BEFORE: Mutex<[Before; SIGNALS_END]> = Mutex::new([const { Before::NONE }; SIGNALS_END]);

struct Before {
    listeners: usize,
    /// How many of them listen even to a signal that was ignored.
    insistent: usize,
    action: Option<libc::sigaction>,
}

fn before() -> MutexGuard<'static, [Before; SIGNALS_END]> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens until it is dropped.
pub(crate) struct SignalListener {
    bell: &'static Bell,
}

impl SignalListener {
    /// Listens from now on for each of some signals, until `wanted` of them have come: one or two.
    /// A signal that the process ignores stays ignored.
    ///
    /// # Errors
    ///
    /// If descriptors have run out.
    pub(crate) fn new(signals: &[libc::c_int], wanted: usize) -> io::Result<Self> {
        Self::with(signals, wanted as u64)
    }

    /// Listens from now on for all of a signal, also if the process ignores it. The signal must be
    /// one that can be [caught](super::expect_catchable).
    ///
    /// # Errors
    ///
    /// If descriptors have run out.
    pub(crate) fn of_all(signal: libc::c_int) -> io::Result<Self> {
        Self::with(&[signal], ALL)
    }

    fn with(signals: &[libc::c_int], wanted: u64) -> io::Result<Self> {
        let mut before = before();
        let this = this_process();
        let bell = free_bell(this);
        bell.listen(signals, wanted, this)?;
        for &signal in signals {
            let before = &mut before[signal as usize];
            if take_over(signal) {
                // Forked from another, it knows nothing of that one's listeners.
                *before = Before::NONE;
            }
            before.add(signal, wanted == ALL);
        }
        Ok(Self { bell })
    }

    /// What becomes readable when the signal has come for the `nth` time, counted from one. It is
    /// never closed.
    pub(crate) fn bell(&self, nth: usize) -> RawFd {
        self.bell.eventfd(nth - 1).as_raw_fd()
    }

    /// Has the first bell of one that wants all signals wait for the next.
    pub(crate) fn clear(&self) {
        self.bell.eventfd(0).clear();
    }

    /// How many of the signals have come.
    pub(crate) fn heard(&self) -> u64 {
        self.bell.heard()
    }

    /// Whether it was made by this process, not by one that this one was forked from.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.bell.is_used_by(this_process())
    }
}

impl Drop for SignalListener {
    fn drop(&mut self) {
        if !self.is_of_this_process() {
            return;
        }
        let mut before = before();
        let is_insistent = self.bell.wants_all();
        // A signal that finds no listener any more finds the action from before.
        for signal in (1..SIGNALS_END as libc::c_int).filter(|&one| self.bell.listens_for(one)) {
            before[signal as usize].remove(signal, is_insistent);
        }
        self.bell.release(this_process());
    }
}

impl Before {
    const NONE: Self = Self { listeners: 0, insistent: 0, action: None };

    /// There is one more listener.
    fn add(&mut self, signal: libc::c_int, is_insistent: bool) {
        self.listeners += 1;
        self.insistent += usize::from(is_insistent);
        // From before the first listener, or another's, installed since.
        if let Some(action) = install(signal, !is_insistent, self.action.is_some()) {
            self.action = Some(action);
        }
    }

    /// There is one listener less. Puts back the action from before if none is left, or none that
    /// listens to a signal which was ignored.
    fn remove(&mut self, signal: libc::c_int, is_insistent: bool) {
        self.listeners -= 1;
        self.insistent -= usize::from(is_insistent);
        if self.listeners == 0 || (self.insistent == 0 && was_ignored(signal)) {
            if let Some(action) = self.action.take() {
                // Another one may have been installed since.
                replace_ours(signal, &action);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::signals::SIGWINCH;
    use crate::sys::signals::bell::Handling;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no signal handlers")]
    fn a_bell_is_not_used_again_while_a_handler_may_ring_it_for_a_listener_that_is_gone() {
        let first = SignalListener::of_all(SIGWINCH).unwrap();
        let bell = first.bell;
        let handling = Handling::begin(this_process());
        // The handler has found the first listener.
        drop(first);
        let second = SignalListener::of_all(SIGWINCH).unwrap();
        bell.hear();
        assert!(!std::ptr::eq(second.bell, bell));
        assert_eq!(second.heard(), 0, "a signal for another listener");
        drop(handling);
    }

    /// Each listener here begins while a handler runs, and ends while none does. Handlers of other
    /// tests may run then, too, so that some bells are not settled at once.
    #[test]
    #[cfg_attr(miri, ignore = "Miri has no signal handlers")]
    fn handlers_that_run_when_listeners_begin_do_not_have_a_new_bell_made_for_each() {
        let mut bells = std::collections::HashSet::new();
        for _ in 0..1000 {
            let handling = Handling::begin(this_process());
            let listener = SignalListener::of_all(SIGWINCH).unwrap();
            bells.insert(std::ptr::from_ref(listener.bell));
            drop(handling);
            drop(listener);
        }
        assert!(bells.len() < 100, "{} bells for one listener at a time", bells.len());
    }
}
