//! How many sockets of some origin are open, counted where other threads can read it.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// A count of open connections. Clones are of the same count.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenCount(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    open: AtomicUsize,
    /// Whether a waker may be registered. It is set before the registering thread reads the count,
    /// and read after a closing thread has changed that: one of them sees what the other did.
    has_wakers: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl OpenCount {
    pub(crate) fn get(&self) -> usize {
        self.0.open.load(SeqCst)
    }

    /// Counts one connection more, until the guard is dropped.
    pub(crate) fn add(&self) -> OpenGuard {
        self.0.open.fetch_add(1, SeqCst);
        OpenGuard(Arc::clone(&self.0))
    }

    /// Wakes a waker when a connection is closed, once. The caller reads the count afterwards.
    /// Returns the waker if it is registered already.
    pub(crate) fn wake_at_close(&self, waker: Waker) -> Option<Waker> {
        let mut wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = wakers.iter().any(|one| one.will_wake(&waker));
        self.0.has_wakers.store(true, SeqCst);
        if known {
            return Some(waker);
        }
        wakers.push(waker);
        None
    }
}

/// One connection is counted while this lives.
#[derive(Debug)]
pub(crate) struct OpenGuard(Arc<Count>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
        if !self.0.has_wakers.load(SeqCst) {
            return;
        }
        let mut registered = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.has_wakers.store(false, SeqCst);
        let wakers = mem::take(&mut *registered);
        drop(registered);
        wakers.into_iter().for_each(Waker::wake);
    }
}
