//! Closing a descriptor whose close may block, on a kernel worker.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use crate::driver::{Driver, Orphan};
use crate::sys::errno::ECANCELED;
use crate::sys::socket::set_linger;
use crate::sys::types::Fd;
use crate::sys::{Completion, SubmissionFlags, opcode};

/// Closes `fd` without making this thread wait for it.
pub(super) fn close_off_the_loop(driver: &Driver, fd: OwnedFd) {
    let entry = opcode::Close::new(Fd(fd.as_raw_fd())).build().flags(SubmissionFlags::ASYNC);
    // SAFETY: the entry points to no memory.
    unsafe { driver.submit_detached(entry, Box::new(Closing(Some(fd)))) };
}

/// The descriptor, while the kernel may not have got round to closing it.
struct Closing(Option<OwnedFd>);

impl Orphan for Closing {
    fn settle(&mut self, completion: Completion) {
        let Some(fd) = self.0.take() else { return };
        if completion.failed_with(ECANCELED) {
            // The runtime's end cancelled it before it was begun. Closed here, it must not make this
            // thread wait: without lingering the kernel sends the rest afterwards.
            let _ = set_linger(&fd, None);
        } else {
            // The kernel has released the number, whatever error it reports.
            let _ = fd.into_raw_fd();
        }
    }
}
