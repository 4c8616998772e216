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
//! the stage. The future is dropped in place while `finished` is not set yet and the task has its
//! turn, so nothing that its destructor calls can reach the stage. An outcome is moved out before it
//! is dropped.

use std::alloc::Layout;
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::atomic::{AtomicBool, AtomicPtr, AtomicU32};
use super::context::inherited;
use super::header::{Header, hold, let_go};
use super::pool::Class;
use super::shard::Shard;
use super::tasks::Origin;
use super::{JoinError, LocalWaker, TaskId, current, waker};
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

/// What can be done with a cell without knowing its future's type. The functions are for the owner's
/// thread only.
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
    /// That of the memory.
    pub(super) class: Class,
}

impl<F: Future> TaskCell<F> {
    const VTABLE: &'static Vtable = &Vtable {
        poll: Self::poll,
        cancel: Self::cancel,
        outcome: Self::outcome,
        take: Self::take,
        discard: Self::discard,
        class: Class::of(Layout::new::<Self>()),
    };

    /// # Safety
    ///
    /// `task` is the header of a cell of this type.
    #[inline]
    unsafe fn stage(task: NonNull<Header>) -> *mut Stage<F> {
        // SAFETY: the header is the cell's first field.
        unsafe { (*task.cast::<Self>().as_ptr()).stage.get() }
    }

    unsafe fn poll(task: NonNull<Header>, context: &mut Context<'_>) -> bool {
        let mut output = None;
        // SAFETY: this is the owner's thread, which alone reaches the stage, and the stage is not
        // reached again while it is `Running` (see the module's text).
        let polled = catch_unwind(AssertUnwindSafe(|| unsafe {
            let Stage::Running(future) = &mut *Self::stage(task) else { return true };
            // The future stays where it is until it is dropped in place.
            match Pin::new_unchecked(&mut **future).poll(context) {
                Poll::Pending => return false,
                Poll::Ready(value) => output = Some(value),
            }
            ManuallyDrop::drop(future);
            true
        }));
        match (polled, output) {
            (Ok(false), _) => return false,
            // SAFETY: as above; the future has been dropped.
            (Ok(true), Some(output)) => unsafe { Self::put(task, Ok(output)) },
            (Ok(true), None) => {}
            // SAFETY: as above; its own destructor has panicked.
            (Err(payload), Some(output)) => unsafe {
                let payload = first_panic(Ok(output), payload);
                Self::put(task, Err(JoinError::Panicked(payload)));
            },
            // SAFETY: as above; the poll has panicked, and the future runs no more.
            (Err(payload), None) => unsafe {
                Self::finish(task, Err(JoinError::Panicked(payload)));
            },
        }
        true
    }

    unsafe fn cancel(task: NonNull<Header>) {
        // SAFETY: this is the owner's thread, and the future is not being polled.
        unsafe { Self::finish(task, Err(JoinError::Cancelled)) };
    }

    /// Drops the future and puts the outcome in its place. If its destructor panics, that is the
    /// outcome of a task that had not failed before.
    unsafe fn finish(task: NonNull<Header>, outcome: Result<F::Output, JoinError>) {
        // SAFETY: as in `poll`.
        let Stage::Running(future) = (unsafe { &mut *Self::stage(task) }) else { return };
        // SAFETY: the future is dropped once: the stage is replaced right below.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { ManuallyDrop::drop(future) }));
        let outcome = match dropped {
            Ok(()) => outcome,
            Err(payload) => Err(JoinError::Panicked(first_panic(outcome, payload))),
        };
        // SAFETY: as in `poll`; the future has been dropped.
        unsafe { Self::put(task, outcome) };
    }

    /// Puts the outcome where the future was.
    unsafe fn put(task: NonNull<Header>, outcome: Result<F::Output, JoinError>) {
        // SAFETY: as in `poll`. The old stage has no drop glue left to run: the future in it is
        // `ManuallyDrop`.
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

/// A reference to a task on its own thread.
pub(crate) struct Task {
    header: NonNull<Header>,
    /// Not for other threads.
    _local: PhantomData<Rc<()>>,
}

impl Task {
    /// Makes a task, which stands in the list of all and in the ready queue.
    ///
    /// # Safety
    ///
    /// The shard came from an `Arc` that is alive, and this is its owner. The future may borrow: then
    /// whoever calls sees to it that [`end`](Self::end) and [`discard`](Self::discard), or their
    /// like, have emptied the cell before the borrow ends.
    #[inline]
    pub(super) unsafe fn new<F: Future>(future: F, shard: NonNull<Shard>, origin: Origin) -> Self {
        // SAFETY: passed on by the caller.
        let owner = unsafe { shard.as_ref() };
        let memory = owner.pool.take(TaskCell::<F>::VTABLE.class).cast::<TaskCell<F>>();
        let header = memory.cast::<Header>();
        // SAFETY: this is the owner's thread. The memory has the cell's layout, but for a size that is
        // rounded up; the parts are written one by one, each where it is to stand.
        unsafe {
            header.write(Header {
                references: AtomicU32::new(1),
                // The list's, the ready queue's, and the one that is returned.
                held: Cell::new(3),
                queued: Cell::new(true),
                cancelled: Cell::new(false),
                finished: Cell::new(false),
                joinable: Cell::new(true),
                keeps_shard: Cell::new(false),
                in_inbox: AtomicBool::new(false),
                vtable: TaskCell::<F>::VTABLE,
                shard: Shard::enter(shard),
                ready_next: Cell::new(None),
                list_before: Cell::new(None),
                list_after: Cell::new(None),
                joiner: Cell::new(None),
                values: Cell::new(inherited()),
                inbox_next: AtomicPtr::new(ptr::null_mut()),
                id: owner.next_id(),
                parent: origin.parent,
                spawned_at: origin.spawned_at,
                name: origin.name.map(Box::new),
            });
            TaskCell::<F>::stage(header).write(Stage::Running(ManuallyDrop::new(future)));
        }
        // SAFETY: two of the holds are given away, and the task stands nowhere yet.
        unsafe {
            owner.listed.push(header);
            owner.ready.push(header);
        }
        Self { header, _local: PhantomData }
    }

    /// Takes over one of the owner's holds.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and the hold is the caller's to give.
    #[inline]
    pub(super) unsafe fn from_held(header: NonNull<Header>) -> Self {
        Self { header, _local: PhantomData }
    }

    /// Gives the hold to the caller.
    #[inline]
    pub(super) fn into_held(self) -> NonNull<Header> {
        ManuallyDrop::new(self).header
    }

    /// Adds a hold.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, which holds the task.
    #[inline]
    pub(super) unsafe fn hold(header: NonNull<Header>) -> Self {
        // SAFETY: passed on by the caller.
        unsafe { hold(header) };
        Self { header, _local: PhantomData }
    }

    /// The pointer to the whole cell.
    #[inline]
    pub(super) fn pointer(&self) -> NonNull<Header> {
        self.header
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: this is a reference.
        unsafe { self.header.as_ref() }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.header().id
    }

    #[inline]
    pub(crate) fn is_finished(&self) -> bool {
        self.header().finished.get()
    }

    /// Puts the task at the end of the ready queue.
    #[inline]
    pub(crate) fn make_ready(&self) {
        // SAFETY: a `Task` exists only on the owner's thread.
        unsafe { self.header().shard().make_ready(self.header) };
    }

    /// Puts the task at the end of the ready queue, and this hold with it.
    #[inline]
    pub(super) fn into_ready(self) {
        // The last hold of a task that has ended may be that of the shard too: it is given up here,
        // where nothing borrows the shard.
        if self.is_finished() {
            return;
        }
        let header = self.into_held();
        // SAFETY: a `Task` exists only on the owner's thread, and is a hold, which is given away. The
        // list has another, as the task has not ended.
        unsafe { header.as_ref().shard().make_ready_held(header) };
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
    #[inline]
    pub(crate) fn run(&self) {
        let header = self.header();
        if header.finished.get() {
            // It was woken by the poll that ended it, and stood in the queue since.
            return;
        }
        let ended = current::with_turn(self, || {
            if header.cancelled.get() {
                // SAFETY: this is the owner's thread; one task has its turn at a time, so the future
                // is not being polled.
                unsafe { (header.vtable.cancel)(self.header) };
                return true;
            }
            // SAFETY: `self` is a reference for as long as the waker is used.
            let waker = unsafe { waker::borrowed(self.header) };
            // SAFETY: as above.
            unsafe { (header.vtable.poll)(self.header, &mut Context::from_waker(&waker)) }
        });
        if ended {
            self.settle();
        }
    }

    /// Ends the task now, whatever it was doing, if it has not ended.
    pub(crate) fn end(&self) {
        self.header().cancelled.set(true);
        self.run();
    }

    /// The outcome is there: tell whoever waits for it, or nobody will ever.
    #[inline]
    fn settle(&self) {
        let header = self.header();
        header.finished.set(true);
        // SAFETY: this is the owner's thread; an unfinished task stands in its shard's list, whose
        // hold is given up here. `self` is another.
        unsafe {
            header.shard().listed.remove(self.header);
            let_go(self.header);
        }
        if let Some(values) = header.values.take() {
            self.shielded(|| drop(values));
        }
        if !header.joinable.get() {
            self.discard();
        } else if let Some(joiner) = header.joiner.take() {
            self.report_panic(joiner.wake_shielded());
        }
    }

    /// Keeps the waker of whoever waits for the end. The newest counts.
    #[inline]
    pub(super) fn set_joiner(&self, waker: &Waker) {
        let joiner = &self.header().joiner;
        // Dropped, which may be foreign code, when the new one is in its place.
        let old = joiner.take();
        if old.as_ref().is_some_and(|old| old.will_wake(waker)) {
            joiner.set(old);
        } else {
            joiner.set(Some(LocalWaker::new(waker)));
        }
    }

    /// Nobody will take the outcome; if it is there already, it is dropped.
    pub(super) fn detach(&self) {
        self.header().joinable.set(false);
        if let Some(joiner) = self.header().joiner.take() {
            self.shielded(|| drop(joiner));
        }
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
            header.shard().report(&Incident::TaskPanicked {
                task: header.name.as_deref().cloned(),
                spawned_at: header.spawned_at,
                message: panic_message(&*payload),
            });
            self.shielded(|| drop(payload));
        }
    }

    /// Runs foreign code; a panic in it becomes an incident and goes no further.
    fn shielded(&self, foreign: impl FnOnce()) {
        self.report_panic(shielded(foreign));
    }

    fn report_panic(&self, message: Option<String>) {
        if let Some(message) = message {
            self.header().shard().report(&Incident::CallbackPanicked { message });
        }
    }
}

impl Clone for Task {
    fn clone(&self) -> Self {
        // SAFETY: a `Task` is a hold, and exists only on the owner's thread.
        unsafe { Self::hold(self.header) }
    }
}

impl Drop for Task {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: as above; this hold is given up here.
        unsafe { let_go(self.header) };
    }
}
