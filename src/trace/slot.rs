//! A span that its owner enters again and again, and closes once.

use std::cell::RefCell;

use tracing::Span;

use crate::error::catch_panic;

/// Calls a subscriber. Its panic must not disturb what the runtime is amid of.
#[inline]
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let mut result = None;
    // The panic hook has reported it.
    let _ = catch_panic(|| result = Some(call()));
    result
}

/// The span, until it is closed.
pub(super) struct SpanSlot(RefCell<Span>);

impl SpanSlot {
    pub(super) fn new(make: impl FnOnce() -> Span) -> Self {
        Self(RefCell::new(guarded(make).unwrap_or_else(Span::none)))
    }

    /// Returns the subscriber's name for the span.
    #[cfg(feature = "console")]
    pub(super) fn id(&self) -> Option<u64> {
        self.0.borrow().id().map(|id| id.into_u64())
    }

    /// Runs `body` inside of the span.
    #[inline]
    pub(super) fn run<T>(&self, body: impl FnOnce() -> T) -> T {
        let span = self.0.borrow();
        if span.is_disabled() {
            return body();
        }
        let entered = guarded(|| span.enter());
        let value = body();
        guarded(|| drop(entered));
        value
    }

    /// Closes the span.
    #[inline]
    pub(super) fn close(&self) {
        let span = self.0.replace(Span::none());
        if !span.is_disabled() {
            guarded(|| drop(span));
        }
    }
}
