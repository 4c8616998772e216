//! What the rest of the crate tells of its tasks.

use std::num::NonZeroU64;
use std::panic::Location;

/// What is told of a task.
#[cfg_attr(not(any(feature = "console", feature = "tracing")), allow(dead_code))]
pub(crate) struct TaskFacts<'a> {
    pub(crate) id: NonZeroU64,
    pub(crate) name: Option<&'a str>,
    pub(crate) parent: Option<NonZeroU64>,
    pub(crate) spawned_at: &'static Location<'static>,
}

/// What is done with a task's waker.
#[cfg_attr(not(feature = "console"), allow(dead_code))]
#[derive(Clone, Copy)]
pub(crate) enum WakerEvent {
    Clone,
    Wake,
    WakeByRef,
    Drop,
}
