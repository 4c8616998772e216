//! The future of a synchronisation that shares a call of the kernel with others of the same file
//! ([`sync_queue`](super::sync_queue)).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::fd::FileFd;
use super::fsync::Fsync;
use super::sync_queue::{Extent, NextCall, Place};
use crate::driver::{Detached, Driver, Key};
use crate::error::Describe;
use crate::op::check_loop::check_loop;
use crate::op::operation::Operation;
use crate::sys::errno::ECANCELED;
use crate::sys::{Completion, opcode};
use crate::task::LocalWaker;
use crate::trace::OperationSpan;

/// Synchronises a file with its device. It waits for orphaned writes first. Dropped, the file may
/// be synchronised or not.
pub(crate) struct SharedSync {
    file: Rc<FileFd>,
    extent: Extent,
    /// `None` before it waits for a call, and after.
    place: Option<Place>,
    span: OperationSpan,
}

impl SharedSync {
    /// Data and metadata, as fsync(2) does.
    pub(crate) fn all(file: &Rc<FileFd>) -> Self {
        Self::new(file, Extent::All)
    }

    /// Data, and what of the metadata is needed to read it, as fdatasync(2) does.
    pub(crate) fn data(file: &Rc<FileFd>) -> Self {
        Self::new(file, Extent::Data)
    }

    fn new(file: &Rc<FileFd>, extent: Extent) -> Self {
        Self { file: Rc::clone(file), extent, place: None, span: OperationSpan::none() }
    }

    pub(super) fn driver(&self) -> &Rc<Driver> {
        self.file.driver()
    }

    /// The same as a call of its own, which may be linked to a write.
    pub(super) fn own_call(&self) -> Fsync {
        fsync(&self.file, self.extent)
    }

    /// A guard, if the synchronisation is to be linked to a write: while it lives, one is.
    pub(super) fn try_link(&self) -> Option<LinkedSync> {
        self.file.syncs().try_link().then(|| LinkedSync(Rc::clone(&self.file)))
    }

    fn outcome(&self) -> Option<Result<(), i32>> {
        self.file.syncs().outcome(self.place?)
    }

    /// Has the task wait, if it does not.
    fn wait(&mut self, context: &Context<'_>) {
        let queue = self.file.syncs();
        if self.place.is_some_and(|place| queue.is_registered(place, context)) {
            return;
        }
        // Foreign code, which may have ended calls, or submitted some.
        let waker = LocalWaker::new(context.waker());
        if self.outcome().is_some() {
            return;
        }
        match self.place {
            None => {
                self.place = Some(queue.join(self.extent, waker));
                self.span.begin(opcode::Fsync::CODE.into());
            }
            Some(place) => drop(queue.replace(place, waker)),
        }
    }
}

fn fsync(file: &Rc<FileFd>, extent: Extent) -> Fsync {
    match extent {
        Extent::Data => Fsync::data(file),
        Extent::All => Fsync::all(file),
    }
}

/// Submits a call, if waiters need one and it may be in flight. Runs foreign code if the driver is
/// closed.
fn submit_next(file: &Rc<FileFd>) {
    if let Some(call) = file.syncs().next() {
        submit(file, &call);
    }
}

fn submit(file: &Rc<FileFd>, call: &NextCall) {
    let sqe = fsync(file, call.extent).submission();
    let owner: Rc<dyn Detached> = Rc::<FileFd>::clone(file);
    // SAFETY: the SQE points to no memory.
    match unsafe { file.driver().submit_of(sqe, owner) } {
        Some(key) => file.syncs().note_submitted(call, key),
        None => file.syncs().fail(call, ECANCELED, file.driver()),
    }
}

impl Future for SharedSync {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        check_loop(this.file.driver());
        if this.place.is_none() {
            ready!(this.file.poll_writes_drained(context));
        }
        if this.outcome().is_none() {
            this.wait(context);
            submit_next(&this.file);
        }
        let Some(outcome) = this.outcome() else { return Poll::Pending };
        this.span.end();
        Poll::Ready(outcome.map_err(io::Error::from_raw_os_error).describe("fsync"))
    }
}

impl Unpin for SharedSync {}

impl Drop for SharedSync {
    fn drop(&mut self) {
        let waker = self.place.take().and_then(|place| self.file.syncs().leave(place));
        drop(waker);
    }
}

/// The calls in flight belong to the file.
impl Detached for FileFd {
    fn completed(self: Rc<Self>, key: Key, completion: Completion) {
        if let Some(call) = self.syncs().end(key, completion, self.driver()) {
            submit(&self, &call);
        }
        submit_next(&self);
    }

    fn submit_staged(self: Rc<Self>, _is_only: bool) {
        unreachable!("a file stages nothing");
    }
}

/// While it lives, a synchronisation that is linked to a write is in flight.
pub(super) struct LinkedSync(Rc<FileFd>);

impl Drop for LinkedSync {
    fn drop(&mut self) {
        self.0.syncs().note_unlinked();
        submit_next(&self.0);
    }
}
