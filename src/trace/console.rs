//! What tokio-console shows of a task (the crate `console-subscriber`): a span of the shape that
//! Tokio's tasks have, which is entered at each poll, and an event for each use of a waker.
//!
//! The console knows task spans by their name, `runtime.spawn`, and events of wakers by their
//! target, `tokio::task::waker`; these name the span by the subscriber's id for it. Its default
//! filter admits the targets `tokio` and `runtime`.

use std::num::NonZeroU64;

use tracing::{trace, trace_span};

use super::facts::{TaskFacts, WakerEvent};
use super::slot::{SpanSlot, guarded};

/// A task, as the console knows it.
pub(super) struct ConsoleSpan {
    pub(super) slot: SpanSlot,
    /// The subscriber's name for the span. Never changed, so that any thread may read it.
    id: Option<u64>,
}

impl ConsoleSpan {
    #[inline]
    pub(super) fn new(facts: &TaskFacts<'_>, bytes: usize) -> Self {
        let slot = SpanSlot::new(|| {
            trace_span!(
                target: "tokio::task",
                parent: None,
                "runtime.spawn",
                kind = "local",
                task.name = facts.name.unwrap_or_default(),
                task.id = facts.id,
                task.parent = facts.parent.map(NonZeroU64::get),
                size.bytes = bytes,
                loc.file = facts.spawned_at.file(),
                loc.line = facts.spawned_at.line(),
                loc.col = facts.spawned_at.column(),
            )
        });
        let id = slot.id();
        Self { slot, id }
    }

    /// For any thread.
    #[inline]
    pub(super) fn tell(&self, event: WakerEvent) {
        if let Some(id) = self.id {
            tell(id, event);
        }
    }
}

#[inline(never)]
fn tell(id: u64, event: WakerEvent) {
    let op = match event {
        WakerEvent::Clone => "waker.clone",
        WakerEvent::Wake => "waker.wake",
        WakerEvent::WakeByRef => "waker.wake_by_ref",
        WakerEvent::Drop => "waker.drop",
    };
    guarded(|| trace!(target: "tokio::task::waker", op, task.id = id));
}
