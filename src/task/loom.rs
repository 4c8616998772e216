//! What threads share: the standard library's atomics and cells, or loom's when a model is checked.

#[cfg(annulus_loom)]
pub(super) use ::loom::cell::UnsafeCell;
#[cfg(annulus_loom)]
pub(super) use ::loom::sync::Arc;
#[cfg(annulus_loom)]
pub(crate) use ::loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(annulus_loom)]
pub(super) use ::loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence};
#[cfg(not(annulus_loom))]
pub(super) use std::sync::Arc;
#[cfg(not(annulus_loom))]
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(annulus_loom))]
pub(super) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence};

/// A cell with loom's interface, by which a model sees when each access begins and ends.
#[cfg(not(annulus_loom))]
pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(annulus_loom))]
impl<T> UnsafeCell<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// An access that does not write.
    #[inline]
    pub(super) fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
        access(self.0.get())
    }

    #[inline]
    pub(super) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.0.get())
    }
}
