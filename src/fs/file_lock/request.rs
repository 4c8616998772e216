//! A request for a lock, for which a thread waits.
//!
//! flock(2) cannot be cancelled, and the lock belongs to the open file, not to the thread. So a
//! request whose future is dropped is marked: its thread releases the lock as soon as it has it,
//! unless a later request of the same kind takes the wait over. There is one request of a file at a
//! time, also of its clones: two threads that waited for the same open file would both be granted
//! the lock, and the first to release it would take it from the other.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::blocking::{ThreadHandle, ThreadPool};
use crate::error::Describe;
use crate::op::FileFd;
use crate::sys::file::{LockKind, lock, unlock};

/// A thread for each request: one that waited in a queue would wait for locks of other files.
static WAITING: LazyLock<ThreadPool> =
    LazyLock::new(|| ThreadPool::new(usize::MAX, Duration::from_secs(10)));

/// The request of a file, if there is one.
#[derive(Clone, Default)]
pub(in crate::fs) struct Request(Arc<Mutex<Stage>>);

#[derive(Default)]
enum Stage {
    #[default]
    None,
    /// A thread waits for the lock.
    Waiting {
        kind: LockKind,
        /// Whether no future waits for the outcome.
        is_abandoned: bool,
        waker: Option<Waker>,
    },
    /// A thread has the lock and releases it, since no future wants it.
    Releasing(Option<Waker>),
    /// The thread has ended, and the future has not taken the outcome.
    Ended(io::Result<()>),
}

impl Request {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().expect("no code that may panic runs under this lock")
    }

    /// Whether a thread waits for the lock, or its outcome has not been taken.
    pub(in crate::fs) fn is_pending(&self) -> bool {
        !matches!(*self.stage(), Stage::None)
    }

    /// Waits until the thread of a request whose future is gone has ended; or, if `kind` is given,
    /// until it has or waits for a lock of this kind. For one waiter.
    pub(in crate::fs) fn poll_free(
        &self,
        kind: Option<LockKind>,
        context: &Context<'_>,
    ) -> Poll<()> {
        // Foreign code, so not under the lock.
        let waker = context.waker().clone();
        let mut stage = self.stage();
        let old = match &mut *stage {
            Stage::Waiting { kind: its, .. } if kind == Some(*its) => return Poll::Ready(()),
            Stage::Waiting { waker: waits, .. } | Stage::Releasing(waits) => waits.replace(waker),
            Stage::None | Stage::Ended(_) => return Poll::Ready(()),
        };
        drop(stage);
        drop(old);
        Poll::Pending
    }

    /// Takes over the wait of a request whose future is gone, or has a thread wait, with a
    /// descriptor of its own. The caller has waited for [`poll_free`](Self::poll_free).
    pub(in crate::fs) fn begin(&self, kind: LockKind, file: &Rc<FileFd>) -> io::Result<Granted> {
        let mut granted = Granted { request: self.clone(), file: Rc::clone(file), thread: None };
        if let Stage::Waiting { is_abandoned, .. } = &mut *self.stage() {
            *is_abandoned = false;
            return Ok(granted);
        }
        let fd = file.fd()?.try_clone().describe("duplicate the descriptor")?;
        *self.stage() = Stage::Waiting { kind, is_abandoned: false, waker: None };
        let request = self.clone();
        granted.thread = Some(WAITING.spawn(move || request.run(kind, &fd)));
        Ok(granted)
    }

    /// On the thread.
    fn run(&self, kind: LockKind, fd: &OwnedFd) {
        let outcome = lock(fd, kind);
        let mut stage = self.stage();
        let Stage::Waiting { is_abandoned, waker, .. } = &mut *stage else { return };
        let (is_abandoned, mut waker) = (*is_abandoned, waker.take());
        if is_abandoned && outcome.is_ok() {
            *stage = Stage::Releasing(waker);
            drop(stage);
            // It fails only for what cannot be locked.
            let _ = unlock(fd);
            stage = self.stage();
            let Stage::Releasing(waits) = &mut *stage else { return };
            waker = waits.take();
        }
        *stage = if is_abandoned { Stage::None } else { Stage::Ended(outcome) };
        drop(stage);
        // Foreign code.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The future of a request.
pub(in crate::fs) struct Granted {
    request: Request,
    file: Rc<FileFd>,
    /// `None` if the thread was that of another request, or has ended.
    thread: Option<ThreadHandle<()>>,
}

impl Granted {
    /// Takes the outcome, if the thread has ended.
    fn take(&self) -> Option<io::Result<()>> {
        let mut stage = self.request.stage();
        match std::mem::take(&mut *stage) {
            Stage::Ended(outcome) => Some(outcome),
            other => {
                *stage = other;
                None
            }
        }
    }
}

impl Future for Granted {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waker = context.waker().clone();
        if let Some(outcome) = self.take() {
            return Poll::Ready(outcome);
        }
        if let Some(thread) = &mut self.thread {
            match Pin::new(thread).poll(context) {
                Poll::Ready(Err(error)) => {
                    // It was not started.
                    self.thread = None;
                    *self.request.stage() = Stage::None;
                    return Poll::Ready(Err(error.into()));
                }
                Poll::Ready(Ok(())) => self.thread = None,
                Poll::Pending => {}
            }
        }
        let mut stage = self.request.stage();
        let Stage::Waiting { waker: waits, .. } = &mut *stage else {
            drop(stage);
            return Poll::Ready(self.take().expect("the thread has ended"));
        };
        let old = waits.replace(waker);
        drop(stage);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Granted {
    /// A lock that has come is released: no future takes it. A thread that was not started takes
    /// none, either: the next request would wait for it.
    fn drop(&mut self) {
        let mut stage = self.request.stage();
        if let Stage::Waiting { is_abandoned, .. } = &mut *stage {
            *is_abandoned = true;
            // One that has run has changed the stage.
            let is_refused = self.thread.as_ref().is_some_and(ThreadHandle::is_finished);
            if is_refused {
                *stage = Stage::None;
            }
            return;
        }
        drop(stage);
        if let (Some(Ok(())), Ok(fd)) = (self.take(), self.file.fd()) {
            let _ = unlock(fd);
        }
    }
}
