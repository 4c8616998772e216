//! What a subscriber of the `tracing` crate sees of a runtime: spans of tasks, connections and
//! operations, polls that take long, and what tokio-console shows.
//!
//! The rest of the crate calls this module without conditions. With neither of the features
//! `tracing` and `console` its types have no size and its functions are empty, so they cost
//! nothing. The conditions are in this file and `facts`.
//!
//! A subscriber is foreign code. It is called with nothing borrowed that it could reach, except
//! that wakers may be cloned, woken and dropped amid other work: a subscriber must not use the
//! runtime in an event of the target `tokio::task::waker`. Its panics are caught, and reported by
//! the panic hook alone.

#[cfg(feature = "console")]
mod console;
#[cfg(not(feature = "tracing"))]
mod disabled;
mod facts;
#[cfg(feature = "tracing")]
mod opcode;
#[cfg(any(feature = "console", feature = "tracing"))]
mod slot;
#[cfg(feature = "tracing")]
mod spans;

#[cfg(not(feature = "tracing"))]
pub(crate) use disabled::{ConnectionSpan, OperationSpan, SlowPolls};
pub(crate) use facts::{TaskFacts, WakerEvent};
#[cfg(feature = "tracing")]
pub(crate) use spans::{ConnectionSpan, OperationSpan, SlowPolls};

/// The spans of a task. For the thread that owns the task, except for what says otherwise.
pub(crate) struct TaskSpans {
    #[cfg(feature = "tracing")]
    task: slot::SpanSlot,
    #[cfg(feature = "console")]
    console: console::ConsoleSpan,
}

impl TaskSpans {
    /// Those of a task whose future has `bytes` bytes.
    #[inline(always)]
    #[cfg_attr(not(feature = "console"), allow(unused_variables))]
    pub(crate) fn new(facts: &TaskFacts<'_>, bytes: usize) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            task: spans::task(facts),
            #[cfg(feature = "console")]
            console: console::ConsoleSpan::new(facts, bytes),
        }
    }

    /// Polls or drops the task's future in `body`, inside of the spans.
    #[inline(always)]
    pub(crate) fn run<'a, T>(
        &self,
        slow: &SlowPolls,
        facts: impl FnOnce() -> TaskFacts<'a>,
        body: impl FnOnce() -> T,
    ) -> T {
        let body = || slow.watch(facts, body);
        #[cfg(feature = "tracing")]
        let body = || self.task.run(body);
        #[cfg(feature = "console")]
        let body = || self.console.slot.run(body);
        body()
    }

    /// Closes the spans: the task has ended.
    #[inline(always)]
    pub(crate) fn close(&self) {
        #[cfg(feature = "tracing")]
        self.task.close();
        #[cfg(feature = "console")]
        self.console.slot.close();
    }

    /// Tells of a waker of the task. For any thread.
    #[inline(always)]
    #[cfg_attr(not(feature = "console"), allow(unused_variables))]
    pub(crate) fn tell(&self, event: WakerEvent) {
        #[cfg(feature = "console")]
        self.console.tell(event);
    }
}
