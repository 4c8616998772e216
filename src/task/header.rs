//! The part of a task that does not depend on its future, and that other threads may reference.
//!
//! # Phases
//!
//! A task waits, runs, or has ended ([`Phase`]). It runs while its future is polled or dropped,
//! which may call anything, even code that would poll or drop the same future. The phase tells such
//! code that it must not. It is set by `TaskRef` alone, and no other flag could contradict it.
//!
//! # Being queued
//!
//! Queueing is independent of the phase, as a task can be woken while it runs and is then polled
//! again.
//!
//! A task is in the ready queue at most once (`queued`, for the owner's thread only), and in the
//! inbox at most once (`in_inbox`, atomic). It may be in both; then it is polled once more than
//! necessary, which is allowed. So a wake on the owner's thread needs no atomic read-modify-write.
//!
//! A wake from another thread that finds `in_inbox` set does nothing more: the owner has yet to
//! clear it, by a swap that reads from this very wake, and polls the task afterwards. So that poll
//! sees whatever the waking thread did before.

use std::any::Any;
use std::cell::Cell;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Waker};

use super::id::TaskId;
use super::links::Links;
use super::loom::{AtomicBool, AtomicU32};
use super::origin::Origin;
use super::pool::Class;
use super::scheduler::Scheduler;
use super::values::Values;
use crate::trace::{TaskFacts, TaskSpans};

/// What may be done with a task's future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It may be polled or dropped.
    Waiting,
    /// It is being polled or dropped, further down on this stack: it must not be touched.
    Running,
    /// It has been dropped. The outcome is stored, or was taken.
    Ended,
}

/// Laid out for the cache: what each poll of a task touches comes first and fits one line.
#[repr(C)]
pub(super) struct Header {
    /// The first field, so that a pointer to the header is one to the links.
    links: Links,
    // Any thread:
    pub(super) refs: AtomicU32,
    // The owner's thread only:
    pub(super) local_refs: Cell<u32>,
    pub(super) queued: Cell<bool>,
    pub(super) cancelled: Cell<bool>,
    pub(super) phase: Cell<Phase>,
    /// Whether a handle may still take the outcome.
    pub(super) joinable: Cell<bool>,
    /// Whether the header has a reference of its own to the scheduler. Changed by the owner's
    /// thread only, and read by the thread that frees the memory after it.
    pub(super) keeps_scheduler: Cell<bool>,
    // Any thread:
    pub(super) in_inbox: AtomicBool,
    // Any thread, never changed:
    pub(super) vtable: &'static Vtable,
    pub(super) scheduler: NonNull<Scheduler>,
    // The owner's thread only:
    /// Wakes the task that joins this one. The waker of a `LocalWaker`. Empty once the task has
    /// ended and its handle is gone, so that no other thread drops it.
    pub(super) joiner: Cell<Option<Waker>>,
    /// Empty once the task has ended, so that no other thread drops them.
    pub(super) values: Cell<Option<Values>>,
    // Any thread, never changed:
    pub(super) id: TaskId,
    pub(super) parent: Option<TaskId>,
    pub(super) spawned_at: &'static Location<'static>,
    /// Boxed, since few tasks have one.
    pub(super) name: Option<Box<Arc<str>>>,
    /// Has no size, unless a subscriber can be told of the task.
    pub(super) spans: TaskSpans,
}

/// What can be done with a task without knowing its future's type. The functions are for the
/// owner's thread only.
pub(super) struct Vtable {
    /// Polls the future; when it completes, its output becomes the outcome. Returns whether the
    /// task has ended. Called in [`Phase::Running`].
    pub(super) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> bool,
    /// Drops the future; the outcome is that it was cancelled. Called in [`Phase::Running`].
    pub(super) cancel: unsafe fn(NonNull<Header>),
    /// A pointer to the outcome, a `Result<F::Output, JoinError>`; null if it was moved out.
    pub(super) outcome: unsafe fn(NonNull<Header>) -> *const (),
    /// Moves the outcome to where the pointer points, a `Result<F::Output, JoinError>`.
    pub(super) take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the outcome; returns the panic's payload if the task or the drop panicked.
    pub(super) discard: unsafe fn(NonNull<Header>) -> Option<Box<dyn Any + Send>>,
    /// That of the task's memory.
    pub(super) class: Class,
}

impl Header {
    /// The header of a new task that is about to be queued and listed. It counts one reference, and
    /// `local_refs` local ones. The future has `bytes` bytes.
    #[inline]
    pub(super) fn new(
        vtable: &'static Vtable,
        scheduler: NonNull<Scheduler>,
        local_refs: u32,
        id: TaskId,
        origin: Origin,
        values: Option<Values>,
        bytes: usize,
    ) -> Self {
        let facts = TaskFacts {
            id: id.0,
            name: origin.name.as_deref(),
            parent: origin.parent.map(|parent| parent.0),
            spawned_at: origin.spawned_at,
        };
        let spans = TaskSpans::new(&facts, bytes);
        Self {
            links: Links::new(),
            refs: AtomicU32::new(1),
            local_refs: Cell::new(local_refs),
            queued: Cell::new(true),
            cancelled: Cell::new(false),
            phase: Cell::new(Phase::Waiting),
            joinable: Cell::new(true),
            keeps_scheduler: Cell::new(false),
            in_inbox: AtomicBool::new(false),
            vtable,
            scheduler,
            joiner: Cell::new(None),
            values: Cell::new(values),
            id,
            parent: origin.parent,
            spawned_at: origin.spawned_at,
            name: origin.name.map(Box::new),
            spans,
        }
    }

    /// The links of a task.
    #[inline]
    pub(super) fn links(task: NonNull<Self>) -> NonNull<Links> {
        // They are the first field.
        task.cast()
    }

    /// The task with these links.
    #[inline]
    pub(super) fn of(links: NonNull<Links>) -> NonNull<Self> {
        // Links exist as the first field of a header only, and pointers to them are made by
        // `links`.
        links.cast()
    }

    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        self.phase.get() == Phase::Ended
    }

    /// Runs what polls or drops the future, inside of the task's spans. For the owner's thread.
    #[inline(always)]
    pub(super) fn traced<T>(&self, body: impl FnOnce() -> T) -> T {
        let facts = || TaskFacts {
            id: self.id.0,
            name: self.name.as_ref().map(|name| &***name),
            parent: self.parent.map(|parent| parent.0),
            spawned_at: self.spawned_at,
        };
        self.spans.run(&self.scheduler().slow_polls, facts, body)
    }

    #[inline]
    pub(super) fn scheduler(&self) -> &Scheduler {
        // SAFETY: a reference to the header keeps its scheduler; see `refs`.
        unsafe { self.scheduler.as_ref() }
    }
}
