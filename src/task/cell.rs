//! A task's one allocation: the header and, behind it, the future or what became of it.
//!
//! # The stage
//!
//! | stage      | holds                | left by                                              |
//! |------------|----------------------|------------------------------------------------------|
//! | `Running`  | the future           | a poll that ends it, or a cancel: → `Finished`       |
//! | `Finished` | the outcome          | the handle takes or drops it: → `Consumed`           |
//! | `Consumed` | nothing              | never                                                |
//!
//! `header.finished` is set once the stage is no longer `Running`, and only then do handles look at
//! the stage. The future is dropped in place while `finished` is not set yet, so nothing that its
//! destructor calls can reach the stage. An outcome is moved out before it is dropped.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use super::context::inherited;
use super::header::{Header, release};
use super::shard::{Origin, Shard};
use super::{JoinError, TaskId, budget, current, waker};
use crate::error::{Incident, discard, panic_message, shielded};

enum Stage<F: Future> {
    Running(ManuallyDrop<F>),
    Finished(Result<F::Output, JoinError>),
    Consumed,
}

/// The header stands first, so that a pointer to the cell is one to the header.
#[repr(C)]
struct TaskCell<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// What can be done with a cell without knowing its future's type. All but `free` are for the
/// owner's thread only.
pub(super) struct Vtable {
    /// Polls the future; at its end the outcome takes its place. Returns whether it has ended.
    poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> bool,
    /// Drops the future; that it was cancelled is the outcome.
    cancel: unsafe fn(NonNull<Header>),
    /// Where the outcome is, a `Result<F::Output, JoinError>`; null if it was moved out.
    outcome: unsafe fn(NonNull<Header>) -> *const (),
    /// Moves the outcome to where the pointer points, a `Result<F::Output, JoinError>`.
    take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the outcome, and gives the panic if that is what it was.
    discard: unsafe fn(NonNull<Header>) -> Option<Box<dyn Any + Send>>,
    /// Frees the memory, from any thread. The stage holds nothing by then.
    pub(super) free: unsafe fn(NonNull<Header>),
}

impl<F: Future> TaskCell<F> {
    const VTABLE: &'static Vtable = &Vtable {
        poll: Self::poll,
        cancel: Self::cancel,
        outcome: Self::outcome,
        take: Self::take,
        discard: Self::discard,
        free: Self::free,
    };

    /// # Safety
    ///
    /// `task` is the header of a cell of this type.
    unsafe fn stage(task: NonNull<Header>) -> *mut Stage<F> {
        // SAFETY: the header is the cell's first field.
        unsafe { (*task.cast::<Self>().as_ptr()).stage.get() }
    }

    unsafe fn poll(task: NonNull<Header>, context: &mut Context<'_>) -> bool {
        // SAFETY: this is the owner's thread, which alone reaches the stage, and the stage is not
        // reached again while it is `Running` (see the module's text).
        let Stage::Running(future) = (unsafe { &mut *Self::stage(task) }) else { return true };
        // SAFETY: the future stays where it is until it is dropped in place.
        let future = unsafe { Pin::new_unchecked(&mut **future) };
        let outcome = match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(JoinError::Panicked(payload)),
        };
        // SAFETY: the future runs no more.
        unsafe { Self::finish(task, outcome) };
        true
    }

    unsafe fn cancel(task: NonNull<Header>) {
        // SAFETY: this is the owner's thread, and the future is not being polled.
        unsafe { Self::finish(task, Err(JoinError::Cancelled)) };
    }

    /// Puts the outcome in the future's place. If the future's destructor panics, that is the
    /// outcome of a task that had not failed before.
    unsafe fn finish(task: NonNull<Header>, outcome: Result<F::Output, JoinError>) {
        // SAFETY: as in `poll`.
        let Stage::Running(future) = (unsafe { &mut *Self::stage(task) }) else { return };
        // SAFETY: the future is dropped once: the stage is replaced right below.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { ManuallyDrop::drop(future) }));
        // SAFETY: as in `poll`. The old stage has no drop glue left to run: the future in it is
        // `ManuallyDrop`.
        unsafe { Self::stage(task).write(Stage::Consumed) };
        let outcome = match dropped {
            Ok(()) => outcome,
            Err(payload) => Err(JoinError::Panicked(first_panic(outcome, payload))),
        };
        // SAFETY: as above.
        unsafe { Self::stage(task).write(Stage::Finished(outcome)) };
    }

    unsafe fn outcome(task: NonNull<Header>) -> *const () {
        // SAFETY: this is the owner's thread, and the future has ended.
        match unsafe { &*Self::stage(task) } {
            Stage::Finished(outcome) => ptr::from_ref(outcome).cast(),
            Stage::Running(_) | Stage::Consumed => ptr::null(),
        }
    }

    /// Moves the outcome out.
    unsafe fn remove_outcome(task: NonNull<Header>) -> Option<Result<F::Output, JoinError>> {
        // SAFETY: this is the owner's thread, and the future has ended.
        match mem::replace(unsafe { &mut *Self::stage(task) }, Stage::Consumed) {
            Stage::Finished(outcome) => Some(outcome),
            Stage::Running(_) | Stage::Consumed => None,
        }
    }

    unsafe fn take(task: NonNull<Header>, target: *mut ()) {
        // SAFETY: passed on by the caller.
        let outcome =
            unsafe { Self::remove_outcome(task) }.expect("a task's outcome is taken once");
        // SAFETY: the target is of this type, and is written without reading what was there.
        unsafe { target.cast::<Result<F::Output, JoinError>>().write(outcome) };
    }

    unsafe fn discard(task: NonNull<Header>) -> Option<Box<dyn Any + Send>> {
        // SAFETY: passed on by the caller.
        match unsafe { Self::remove_outcome(task) }? {
            Err(JoinError::Panicked(payload)) => Some(payload),
            outcome => catch_unwind(AssertUnwindSafe(|| drop(outcome))).err(),
        }
    }

    unsafe fn free(task: NonNull<Header>) {
        // SAFETY: the memory came from a box of this type and has no other reference. Nothing of
        // the future is dropped here: the stage is `Consumed`, or the owner's references would not
        // all be gone.
        drop(unsafe { Box::from_raw(task.cast::<Self>().as_ptr()) });
    }
}

/// The panic that counts, when a future's destructor panicked after its poll had ended in some way.
fn first_panic<T>(
    outcome: Result<T, JoinError>,
    later: Box<dyn Any + Send>,
) -> Box<dyn Any + Send> {
    match outcome {
        Err(JoinError::Panicked(first)) => {
            discard(later);
            first
        }
        outcome => {
            // A third panic is heard of by nobody; the later one it comes behind is.
            let _ = shielded(|| drop(outcome));
            later
        }
    }
}

/// What a turn brought a task to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It waits for a wake.
    Waiting,
    /// It has ended.
    Ended,
    /// It had ended before.
    EndedBefore,
}

/// A reference to a task on its own thread.
pub(crate) struct Task {
    header: NonNull<Header>,
    /// Not for other threads.
    _local: PhantomData<Rc<()>>,
}

impl Task {
    /// Makes a task, with one reference that is returned.
    ///
    /// # Safety
    ///
    /// The future may borrow: then whoever calls sees to it that [`cancel`](Self::cancel) and
    /// [`discard`](Self::discard), or their like, have emptied the cell before the borrow ends.
    pub(super) unsafe fn new<F: Future>(future: F, shard: &Arc<Shard>, origin: Origin) -> Self {
        let header = Header {
            references: AtomicUsize::new(1),
            in_inbox: AtomicBool::new(false),
            inbox_next: AtomicPtr::new(ptr::null_mut()),
            vtable: TaskCell::<F>::VTABLE,
            shard: Arc::clone(shard),
            id: shard.next_id(),
            parent: origin.parent,
            name: origin.name,
            spawned_at: origin.spawned_at,
            held: Cell::new(1),
            place: Cell::new(usize::MAX),
            queued: Cell::new(false),
            ready_next: Cell::new(None),
            cancelled: Cell::new(false),
            finished: Cell::new(false),
            joinable: Cell::new(true),
            joiner: Cell::new(None),
            values: Cell::new(inherited()),
        };
        let stage = UnsafeCell::new(Stage::Running(ManuallyDrop::new(future)));
        let cell = NonNull::from(Box::leak(Box::new(TaskCell { header, stage })));
        Self { header: cell.cast(), _local: PhantomData }
    }

    /// Takes over a reference that is counted in `held`.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and the reference is the caller's to give.
    pub(super) unsafe fn from_held(header: NonNull<Header>) -> Self {
        Self { header, _local: PhantomData }
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: this is a reference.
        unsafe { self.header.as_ref() }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.header().id
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.header().finished.get()
    }

    /// Where the runtime's list keeps the task; `usize::MAX` before it was set.
    pub(crate) fn place(&self) -> usize {
        self.header().place.get()
    }

    pub(crate) fn set_place(&self, place: usize) {
        self.header().place.set(place);
    }

    /// Puts the task at the end of the ready queue.
    pub(crate) fn make_ready(&self) {
        // SAFETY: a `Task` exists only on the owner's thread.
        unsafe { self.header().shard.make_ready(self.header) };
    }

    /// Asks for the task's end at its next turn. Returns whether it has not ended yet.
    pub(crate) fn cancel(&self) -> bool {
        if self.is_finished() {
            return false;
        }
        self.header().cancelled.set(true);
        self.make_ready();
        true
    }

    /// Gives the task its turn: polls it, or ends it if it was cancelled.
    pub(crate) fn run(&self) -> Progress {
        let header = self.header();
        if header.finished.get() {
            // It was woken by the poll that ended it, and stood in the queue since.
            return Progress::EndedBefore;
        }
        let _current = current::enter(self);
        let ended = if header.cancelled.get() {
            // SAFETY: this is the owner's thread; the runtime runs one task at a time, so the
            // future is not being polled.
            unsafe { (header.vtable.cancel)(self.header) };
            true
        } else {
            budget::refill();
            // SAFETY: `self` is a reference for as long as the waker is used.
            let waker = unsafe { waker::borrowed(self.header) };
            // SAFETY: as above.
            unsafe { (header.vtable.poll)(self.header, &mut Context::from_waker(&waker)) }
        };
        if !ended {
            return Progress::Waiting;
        }
        self.settle();
        Progress::Ended
    }

    /// Ends the task now, whatever it was doing, if it has not ended.
    pub(crate) fn end(&self) {
        self.header().cancelled.set(true);
        self.run();
    }

    /// The outcome is there: tell whoever waits for it, or nobody will ever.
    fn settle(&self) {
        let header = self.header();
        header.finished.set(true);
        if let Some(values) = header.values.take() {
            self.shielded(|| drop(values));
        }
        if !header.joinable.get() {
            self.discard();
        } else if let Some(joiner) = header.joiner.take() {
            self.shielded(|| joiner.wake());
        }
    }

    /// Keeps the waker of whoever waits for the end. The newest counts.
    pub(super) fn set_joiner(&self, waker: &Waker) {
        let joiner = &self.header().joiner;
        let present = joiner.take();
        if present.as_ref().is_some_and(|present| present.will_wake(waker)) {
            joiner.set(present);
        } else {
            joiner.set(Some(waker.clone()));
        }
    }

    /// Nobody will take the outcome; if it is there already, it is dropped.
    pub(super) fn detach(&self) {
        self.header().joinable.set(false);
        let joiner = self.header().joiner.take();
        self.shielded(|| drop(joiner));
        if self.is_finished() {
            self.discard();
        }
    }

    /// The outcome of a finished task, if it has not been taken.
    ///
    /// # Safety
    ///
    /// `T` is the output of the task's future, and the outcome is neither taken nor discarded while
    /// it is borrowed.
    pub(super) unsafe fn outcome<T>(&self) -> Option<&Result<T, JoinError>> {
        assert!(self.is_finished(), "only a finished task has an outcome");
        // SAFETY: this is the owner's thread, and the future has ended.
        let outcome = unsafe { (self.header().vtable.outcome)(self.header) };
        // SAFETY: it is null or points to the cell's outcome, of this type, which stays there as the
        // caller says.
        unsafe { outcome.cast::<Result<T, JoinError>>().as_ref() }
    }

    /// Takes the outcome of a finished task.
    ///
    /// # Safety
    ///
    /// `T` is the output of the task's future.
    pub(super) unsafe fn take<T>(&self) -> Result<T, JoinError> {
        assert!(self.is_finished(), "only a finished task has an outcome");
        let mut outcome = mem::MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: this is the owner's thread, the future has ended, and the target is of the type
        // that the cell's outcome has.
        unsafe { (self.header().vtable.take)(self.header, outcome.as_mut_ptr().cast()) };
        // SAFETY: `take` has written it.
        unsafe { outcome.assume_init() }
    }

    /// Drops the outcome of a finished task. A panic that nobody took becomes an incident.
    pub(super) fn discard(&self) {
        debug_assert!(self.is_finished());
        let header = self.header();
        // SAFETY: this is the owner's thread, and the future has ended.
        if let Some(payload) = unsafe { (header.vtable.discard)(self.header) } {
            header.shard.report(&Incident::TaskPanicked {
                task: header.name.clone(),
                spawned_at: header.spawned_at,
                message: panic_message(&*payload),
            });
            self.shielded(|| drop(payload));
        }
    }

    /// Runs foreign code; a panic in it becomes an incident and goes no further.
    fn shielded(&self, foreign: impl FnOnce()) {
        if let Some(message) = shielded(foreign) {
            self.header().shard.report(&Incident::CallbackPanicked { message });
        }
    }
}

impl Clone for Task {
    fn clone(&self) -> Self {
        let held = &self.header().held;
        held.set(held.get() + 1);
        Self { header: self.header, _local: PhantomData }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let held = &self.header().held;
        held.set(held.get() - 1);
        if held.get() == 0 {
            // SAFETY: the owner's thread holds nothing more, so its one counted reference goes.
            unsafe { release(self.header) };
        }
    }
}
