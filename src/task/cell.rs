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
//! The stage changes only in the phases of the header (see [`Phase`]): `poll` and `cancel` are called
//! in the phase `Running`, which one call at a time can enter, and leave a stage that is no longer
//! `Running` before the phase becomes `Ended`. Only then do handles look at the stage. So nothing
//! that the future calls, while it is polled or dropped in place, reaches the stage. An outcome is
//! moved out before it is dropped.

use std::alloc::Layout;
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use super::JoinError;
use super::context_var::inherited;
use super::executor::Origin;
use super::header::{Header, Phase};
use super::loom::{AtomicBool, AtomicPtr, AtomicU32};
use super::pool::Class;
use super::scheduler::Scheduler;
use crate::error::{catch_panic, discard};

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
    /// Polls the future; at its end the outcome takes its place. Returns whether it has ended. For the
    /// phase `Running`.
    pub(super) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> bool,
    /// Drops the future; that it was cancelled is the outcome. For the phase `Running`.
    pub(super) cancel: unsafe fn(NonNull<Header>),
    /// Where the outcome is, a `Result<F::Output, JoinError>`; null if it was moved out.
    pub(super) outcome: unsafe fn(NonNull<Header>) -> *const (),
    /// Moves the outcome to where the pointer points, a `Result<F::Output, JoinError>`.
    pub(super) take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the outcome, and gives the panic if that is what it was.
    pub(super) discard: unsafe fn(NonNull<Header>) -> Option<Box<dyn Any + Send>>,
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
        // SAFETY: this is the owner's thread, which alone reaches the stage, and in the phase `Running`
        // the stage is reached from this one call (see the module's text).
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
        // SAFETY: as in `poll`.
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
            let _ = catch_panic(|| drop(outcome));
            later
        }
    }
}

/// Makes a cell, which stands in the list of all tasks and in the ready queue. Returns the third hold.
///
/// # Safety
///
/// The scheduler came from an `Arc` that is alive, and this is its owner. The future may borrow: then
/// whoever calls sees to it that the cell is emptied before the borrow ends.
#[inline]
pub(super) unsafe fn allocate<F: Future>(
    future: F,
    scheduler: NonNull<Scheduler>,
    origin: Origin,
) -> NonNull<Header> {
    // SAFETY: passed on by the caller.
    let owner = unsafe { scheduler.as_ref() };
    let memory = owner.pool.take(TaskCell::<F>::VTABLE.class).cast::<TaskCell<F>>();
    let header = memory.cast::<Header>();
    // SAFETY: this is the owner's thread. The memory has the cell's layout, but for a size that is
    // rounded up; the parts are written one by one, each where it is to stand.
    unsafe {
        header.write(Header {
            refs: AtomicU32::new(1),
            // The list's, the ready queue's, and the one that is returned.
            local_refs: Cell::new(3),
            queued: Cell::new(true),
            cancelled: Cell::new(false),
            phase: Cell::new(Phase::Waiting),
            joinable: Cell::new(true),
            keeps_scheduler: Cell::new(false),
            in_inbox: AtomicBool::new(false),
            vtable: TaskCell::<F>::VTABLE,
            scheduler: Scheduler::enter(scheduler),
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
    header
}
