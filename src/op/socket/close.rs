//! Closing a socket: at once, or on a kernel worker if that may block.

use std::net::Shutdown;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;

use crate::driver::{Driver, Orphan};
use crate::op::descriptor::Descriptor;
use crate::sys::bypass::Bypass;
use crate::sys::errno::ECANCELED;
use crate::sys::socket::{linger, set_linger, shutdown};
use crate::sys::types::Fd;
use crate::sys::{Completion, SubmissionFlags, opcode};

/// A descriptor that is closed when this is dropped.
pub(super) struct Closing {
    driver: Rc<Driver>,
    descriptor: Option<Descriptor>,
    /// Whether a close may take time, because it waits for unsent bytes.
    lingers: bool,
}

impl Closing {
    pub(super) fn new(driver: &Rc<Driver>, descriptor: Descriptor, lingers: bool) -> Self {
        Self { driver: Rc::clone(driver), descriptor: Some(descriptor), lingers }
    }

    pub(super) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    /// Tells the peer already, where the close itself has to wait. A connection that is to be reset
    /// is left alone: its peer must not mistake the reset for EOF. So is one that has no descriptor
    /// for the call: its close comes a turn later.
    pub(super) fn announce(&self) {
        let fd = self.descriptor.as_ref().and_then(Descriptor::fd_if_open);
        let Some(fd) = fd.filter(|_| self.driver.allows(Bypass::Shutdown)) else { return };
        let resets = linger(fd).is_ok_and(|linger| linger.is_some_and(|linger| linger.is_zero()));
        if !resets {
            // The close comes, whether this succeeds or not.
            let _ = shutdown(fd, Shutdown::Both);
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let Some(descriptor) = self.descriptor.take() else { return };
        if let Some(fd) = descriptor.fd_if_open() {
            self.driver.forget(fd.as_raw_fd());
        }
        if self.lingers {
            close_off_the_loop(&self.driver, descriptor);
        } else {
            drop(descriptor);
            self.driver.note_close();
        }
    }
}

/// Closes a socket without making this thread wait for it. It has a descriptor of the process, by
/// which it was told to linger.
fn close_off_the_loop(driver: &Driver, descriptor: Descriptor) {
    let (slot, fd) = descriptor.into_parts();
    // The last reference to a file closes it: that is to be the worker's.
    drop(slot);
    if let Some(fd) = fd {
        close_on_a_worker(driver, fd);
    }
}

/// Closes a descriptor of the process on a kernel worker: this thread does not wait, whatever the
/// close does.
pub(in crate::op) fn close_on_a_worker(driver: &Driver, fd: OwnedFd) {
    let close = opcode::Close::new(Fd(fd.as_raw_fd())).build().flags(SubmissionFlags::ASYNC);
    // SAFETY: the SQE points to no memory.
    unsafe { driver.submit_detached(close, Box::new(Lingering(Some(fd)))) };
}

/// The descriptor, while the kernel may not have begun to close it.
struct Lingering(Option<OwnedFd>);

impl Orphan for Lingering {
    fn settle(&mut self, completion: Completion) {
        let Some(fd) = self.0.take() else { return };
        if completion.failed_with(ECANCELED) {
            // The runtime's end cancelled it before it was begun. Closed here, it must not make
            // this thread wait: without lingering the kernel sends the rest afterwards.
            let _ = set_linger(&fd, None);
        } else {
            // The kernel has released the number, whatever error it reports.
            let _ = fd.into_raw_fd();
        }
    }
}
