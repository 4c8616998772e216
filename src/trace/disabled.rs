//! Without the feature `tracing`: nothing.

use super::facts::TaskFacts;

/// The span of a connection.
pub(crate) struct ConnectionSpan;

impl ConnectionSpan {
    #[inline(always)]
    pub(crate) fn of_peer(_peer: impl FnOnce() -> String) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn run<T>(&self, body: impl FnOnce() -> T) -> T {
        body()
    }
}

/// The span of an operation.
pub(crate) struct OperationSpan;

impl OperationSpan {
    #[inline(always)]
    pub(crate) fn none() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn begin(&mut self, _opcode: u32) {}

    #[inline(always)]
    pub(crate) fn end(&mut self) {}
}

/// The threshold of slow polls.
#[derive(Clone, Default)]
pub(crate) struct SlowPolls(());

impl SlowPolls {
    #[inline(always)]
    pub(super) fn watch<'a, T>(
        &self,
        _facts: impl FnOnce() -> TaskFacts<'a>,
        body: impl FnOnce() -> T,
    ) -> T {
        body()
    }
}
