//! The spans and events of the feature `tracing`.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use tracing::{Span, debug_span, trace_span, warn};

use super::facts::TaskFacts;
use super::opcode::opcode_name;
use super::slot::{SpanSlot, guarded};

/// The span of a task.
#[inline]
pub(super) fn task(facts: &TaskFacts<'_>) -> SpanSlot {
    SpanSlot::new(|| {
        // A root: as a child it would keep the spans of all of its ancestors open.
        debug_span!(
            target: "annulus::task",
            parent: None,
            "task",
            id = facts.id,
            name = facts.name,
            parent = facts.parent.map(NonZeroU64::get),
            spawned_at = %facts.spawned_at,
        )
    })
}

/// The span of a connection that a server handles.
pub(crate) struct ConnectionSpan(SpanSlot);

impl ConnectionSpan {
    pub(crate) fn of_peer(peer: impl FnOnce() -> String) -> Self {
        Self(SpanSlot::new(
            || debug_span!(target: "annulus::connection", "connection", peer = peer()),
        ))
    }

    /// Polls what handles the connection.
    #[inline]
    pub(crate) fn run<T>(&self, body: impl FnOnce() -> T) -> T {
        self.0.run(body)
    }
}

impl Drop for ConnectionSpan {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The span of an operation: from its SQE until its completion is taken, or its future dropped.
pub(crate) struct OperationSpan(Span);

impl OperationSpan {
    #[inline]
    pub(crate) fn none() -> Self {
        Self(Span::none())
    }

    /// An SQE with this opcode is submitted.
    #[inline]
    pub(crate) fn begin(&mut self, opcode: u32) {
        let span = guarded(
            || trace_span!(target: "annulus::operation", "operation", opcode = opcode_name(opcode)),
        );
        self.replace(span.unwrap_or_else(Span::none));
    }

    /// Its completion was taken.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.replace(Span::none());
    }

    #[inline]
    fn replace(&mut self, span: Span) {
        let old = std::mem::replace(&mut self.0, span);
        if !old.is_disabled() {
            guarded(|| drop(old));
        }
    }
}

impl Drop for OperationSpan {
    fn drop(&mut self) {
        self.end();
    }
}

/// How long a poll may take before it is called slow, if any is.
#[derive(Clone, Default)]
pub(crate) struct SlowPolls {
    threshold: Option<Duration>,
}

impl SlowPolls {
    pub(crate) fn longer_than(threshold: Duration) -> Self {
        Self { threshold: Some(threshold) }
    }

    /// Runs `body`, which polls a task or drops its future, and tells if it takes too long.
    #[inline]
    pub(super) fn watch<'a, T>(
        &self,
        facts: impl FnOnce() -> TaskFacts<'a>,
        body: impl FnOnce() -> T,
    ) -> T {
        let Some(threshold) = self.threshold else { return body() };
        let start = Instant::now();
        let value = body();
        let elapsed = start.elapsed();
        if elapsed > threshold {
            guarded(|| tell_slow_poll(&facts(), elapsed));
        }
        value
    }
}

#[cold]
fn tell_slow_poll(facts: &TaskFacts<'_>, elapsed: Duration) {
    warn!(
        target: "annulus::slow_poll",
        id = facts.id,
        name = facts.name,
        spawned_at = %facts.spawned_at,
        elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        "a poll of a task took long; the thread's other tasks waited meanwhile",
    );
}
