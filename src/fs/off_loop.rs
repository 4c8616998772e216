//! Calls on a file for which the ring has no operation, and which may wait: on a thread.
//!
//! The thread has a descriptor of its own, so that the file may be closed meanwhile. A call cannot
//! be cancelled: if its future is dropped, it counts as an orphaned write of the file until it has
//! returned, and what follows on the file waits for it.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::blocking::{ThreadHandle, to_thread};
use crate::op::FileFd;
use crate::runtime::{is_running, spawn};

/// Changes a file by a call on a thread, once dropped writes are over.
pub(super) fn change_off_loop<T, F>(
    file: &Rc<FileFd>,
    call: F,
) -> impl Future<Output = io::Result<T>> + use<T, F>
where
    T: Send + 'static,
    F: FnOnce(&OwnedFd) -> io::Result<T> + Send + 'static,
{
    let file = Rc::clone(file);
    async move {
        poll_fn(|context| file.poll_writes_drained(context)).await;
        let fd = file.fd()?.try_clone()?;
        let handle = Some(to_thread(move || call(&fd)));
        Change { handle, file }.await
    }
}

/// A call that is on its thread.
struct Change<T: 'static> {
    /// `None` once it has returned.
    handle: Option<ThreadHandle<io::Result<T>>>,
    file: Rc<FileFd>,
}

impl<T> Future for Change<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let handle = self.handle.as_mut().expect("a future was polled after its end");
        let returned = ready!(Pin::new(handle).poll(context));
        self.handle = None;
        Poll::Ready(returned.unwrap_or_else(|error| Err(error.into())))
    }
}

impl<T> Drop for Change<T> {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take().filter(|handle| !handle.is_finished()) else {
            return;
        };
        // At the end of the runtime no operation follows.
        if is_running() {
            let draining = self.file.orphaned_write();
            drop(spawn(async move {
                drop(handle.await);
                drop(draining);
            }));
        }
    }
}
