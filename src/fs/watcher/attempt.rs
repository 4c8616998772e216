//! Making a watch on a thread.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use super::event::WatchId;
use super::watch_for::WatchFor;
use super::watches::{Watches, lock};
use crate::sys::inotify;

/// A watch that a thread makes. Dropped before the caller has it, the watch is removed.
pub(super) struct Attempt {
    fd: Arc<OwnedFd>,
    made: Arc<Mutex<Made>>,
}

#[derive(Default)]
struct Made {
    is_abandoned: bool,
    number: Option<i32>,
}

impl Attempt {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd), made: Arc::default() }
    }

    /// What the thread does.
    pub(super) fn call(
        &self,
        watches: Arc<Mutex<Watches>>,
        path: CString,
        what: WatchFor,
    ) -> impl FnOnce() -> io::Result<WatchId> + Send + use<> {
        let (fd, made) = (Arc::clone(&self.fd), Arc::clone(&self.made));
        move || {
            if lock(&made).is_abandoned {
                return Err(io::ErrorKind::Interrupted.into());
            }
            // A watch that exists would be changed, and be the caller's and another's.
            let mask = what.mask() | inotify::IN_MASK_CREATE;
            let number = inotify::add(fd.as_fd(), &path, mask)?;
            let id = lock(&watches).claim(number);
            let mut made = lock(&made);
            if made.is_abandoned {
                let _ = inotify::remove(fd.as_fd(), number);
            }
            made.number = Some(number);
            Ok(id)
        }
    }

    /// The caller has the outcome.
    pub(super) fn conclude(&self) {
        lock(&self.made).number = None;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut made = lock(&self.made);
        made.is_abandoned = true;
        if let Some(number) = made.number.take() {
            let _ = inotify::remove(self.fd.as_fd(), number);
        }
    }
}
