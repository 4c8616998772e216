//! A task's one allocation: the header and, behind it, the future or what became of it.
//!
//! # The stage
//!
//! | stage      | contains             | next                                                 |
//! |------------|----------------------|------------------------------------------------------|
//! | `Running`  | the future           | `Finished`, by a poll that completes it or a cancel  |
//! | `Finished` | the outcome          | `Consumed`, when the handle takes or drops it        |
//! | `Consumed` | nothing              | none                                                 |
//!
//! The header's phase decides which code may touch the stage. `poll` and `cancel` are called in
//! `Phase::Running`, which one call at a time can enter, and make the stage `Finished` before the
//! phase becomes `Ended`. Handles touch the stage only then. So nothing that the future calls,
//! while it is polled or dropped in place, reaches the stage. An outcome is moved out before it is
//! dropped.

use std::alloc::Layout;
use std::any::Any;
use std::cell::UnsafeCell;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use super::current::inherited_values;
use super::header::{Header, Vtable};
use super::join_error::JoinError;
use super::origin::Origin;
use super::pool::Class;
use super::scheduler::Scheduler;
use crate::error::{catch_panic, discard};

enum Stage<F: Future> {
    Running(ManuallyDrop<F>),
    Finished(Result<F::Output, JoinError>),
    Consumed,
}

/// The header is first, so that a pointer to the cell is one to the header.
#[repr(C)]
struct TaskCell<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
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
        // SAFETY: this is the owner's thread, and in `Phase::Running` no other call touches the
        // stage (see the module's text).
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
            // SAFETY: as above; the future's destructor has panicked.
            (Err(payload), Some(output)) => unsafe {
                let payload = first_panic(Ok(output), payload);
                Self::put(task, Err(JoinError::Panicked(payload)));
            },
            // SAFETY: as above; the poll has panicked, and the future is not polled again.
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

    /// Drops the future and stores the outcome in its place. A panic of its destructor becomes the
    /// outcome, unless the task had panicked before.
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

    /// Stores the outcome where the future was.
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
        // SAFETY: by this function's contract.
        let outcome =
            unsafe { Self::remove_outcome(task) }.expect("a task's outcome is taken once");
        // SAFETY: the target is of this type, and is written without being read.
        unsafe { target.cast::<Result<F::Output, JoinError>>().write(outcome) };
    }

    unsafe fn discard(task: NonNull<Header>) -> Option<Box<dyn Any + Send>> {
        // SAFETY: by this function's contract.
        match unsafe { Self::remove_outcome(task) }? {
            Err(JoinError::Panicked(payload)) => Some(payload),
            outcome => catch_unwind(AssertUnwindSafe(|| drop(outcome))).err(),
        }
    }
}

/// Which panic becomes the outcome, when a future's destructor panicked after its last poll.
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
            // A third panic is not reported; the one before it is.
            let _ = catch_panic(|| drop(outcome));
            later
        }
    }
}

/// How many local references `allocate` makes: the list's, the ready queue's, and the caller's.
const FIRST_LOCAL_REFS: u32 = 3;

/// Makes a task, and adds it to the list of all tasks and to the ready queue. Returns a local
/// reference.
///
/// # Safety
///
/// The scheduler came from an `Arc` that is alive, and this is its owner's thread. If the future
/// borrows, the caller empties the cell before the borrow ends.
#[inline]
pub(super) unsafe fn allocate<F: Future>(
    future: F,
    scheduler: NonNull<Scheduler>,
    origin: Origin,
) -> NonNull<Header> {
    let vtable = TaskCell::<F>::VTABLE;
    // SAFETY: by this function's contract.
    let owner = unsafe { scheduler.as_ref() };
    let task = owner.pool.take(vtable.class).cast::<Header>();
    // SAFETY: this is the owner's thread. The memory has at least the cell's layout; the two parts
    // are written one by one, each in its place.
    unsafe {
        let (scheduler, id) = (Scheduler::enter(scheduler), owner.next_id());
        let values = inherited_values();
        task.write(Header::new(
            vtable,
            scheduler,
            FIRST_LOCAL_REFS,
            id,
            origin,
            values,
            size_of::<F>(),
        ));
        TaskCell::<F>::stage(task).write(Stage::Running(ManuallyDrop::new(future)));
    }
    // SAFETY: two of the local references are passed on, and the task is in neither container yet.
    unsafe {
        owner.listed.push(Header::links(task));
        owner.push_ready(Header::links(task));
    }
    task
}
