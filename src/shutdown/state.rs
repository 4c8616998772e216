//! How far a shutdown has come.

use std::os::fd::RawFd;

use crate::join::CancelToken;
use crate::sys::signals::SignalListener;

/// How far a shutdown can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Requested,
    Forced,
}

impl Level {
    /// How many signals it takes.
    fn signals(self) -> u64 {
        match self {
            Self::Requested => 1,
            Self::Forced => 2,
        }
    }
}

/// What the clones of a shutdown share.
pub(super) struct State {
    requested: CancelToken,
    forced: CancelToken,
    signals: Option<SignalListener>,
}

impl State {
    pub(super) fn new(signals: Option<SignalListener>) -> Self {
        Self { requested: CancelToken::new(), forced: CancelToken::new(), signals }
    }

    pub(super) fn is_on_signals(&self) -> bool {
        self.signals.is_some()
    }

    pub(super) fn raise(&self, level: Level) {
        self.requested.cancel();
        if level == Level::Forced {
            self.forced.cancel();
        }
    }

    pub(super) fn has_reached(&self, level: Level) -> bool {
        self.token(level).is_cancelled()
            || self.signals.as_ref().is_some_and(|signals| signals.heard() >= level.signals())
    }

    /// What is cancelled when a level is reached; by a signal, as soon as a watcher has seen it.
    pub(super) fn token(&self, level: Level) -> &CancelToken {
        match level {
            Level::Requested => &self.requested,
            Level::Forced => &self.forced,
        }
    }

    /// What a signal rings when a level is reached. It is never closed.
    pub(super) fn bell(&self, level: Level) -> Option<RawFd> {
        // A process that was forked shares the bells, but its parent's signals are not its own.
        let signals = self.signals.as_ref().filter(|signals| signals.is_of_this_process())?;
        Some(signals.bell(level.signals() as usize))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // No task waits any more, but the watchers do: this ends them.
        self.raise(Level::Forced);
    }
}
