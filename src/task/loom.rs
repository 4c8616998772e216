//! The atomics that threads share: the standard library's, or loom's when a model is checked.

#[cfg(annulus_loom)]
pub(super) use ::loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence};
#[cfg(not(annulus_loom))]
pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence};
