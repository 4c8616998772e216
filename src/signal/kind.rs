//! Which signal.

use std::fmt;

use crate::sys::signals::{
    SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGIO, SIGKILL, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
    SIGWINCH, name, real_time,
};

/// A signal, by its number.
///
/// It is displayed by its name.
///
/// # Example
///
/// ```
/// use annulus::signal::SignalKind;
///
/// assert_eq!(SignalKind::hangup().to_string(), "SIGHUP");
/// assert_eq!(SignalKind::from_raw(10), SignalKind::user_defined1());
/// assert_eq!(SignalKind::real_time(1).to_string(), "SIGRTMIN+1");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

impl SignalKind {
    /// The signal with a number.
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn as_raw_value(&self) -> i32 {
        self.0
    }

    /// SIGALRM, of a timer that has expired.
    pub const fn alarm() -> Self {
        Self(SIGALRM)
    }

    /// SIGCHLD: a child has ended, was stopped or continues.
    ///
    /// To listen for it takes no child's status: other code can wait for its children as before.
    pub const fn child() -> Self {
        Self(SIGCHLD)
    }

    /// SIGHUP: the terminal is gone, or a daemon is to read its configuration again.
    pub const fn hangup() -> Self {
        Self(SIGHUP)
    }

    /// SIGINT, of ctrl-c.
    pub const fn interrupt() -> Self {
        Self(SIGINT)
    }

    /// SIGIO, of descriptors that were made to send it.
    pub const fn io() -> Self {
        Self(SIGIO)
    }

    /// SIGKILL, which ends a process. It can be sent, but not listened for.
    pub const fn kill() -> Self {
        Self(SIGKILL)
    }

    /// SIGPIPE, of a write to a pipe that has no reader.
    pub const fn pipe() -> Self {
        Self(SIGPIPE)
    }

    /// SIGQUIT, of ctrl-\\.
    pub const fn quit() -> Self {
        Self(SIGQUIT)
    }

    /// The real-time signal `SIGRTMIN + offset`. The kernel queues each that is sent.
    pub fn real_time(offset: u8) -> Self {
        Self(real_time(offset))
    }

    /// SIGTERM, by which supervisors ask a process to end.
    pub const fn terminate() -> Self {
        Self(SIGTERM)
    }

    /// SIGUSR1.
    pub const fn user_defined1() -> Self {
        Self(SIGUSR1)
    }

    /// SIGUSR2.
    pub const fn user_defined2() -> Self {
        Self(SIGUSR2)
    }

    /// SIGWINCH: the terminal has another size.
    pub const fn window_change() -> Self {
        Self(SIGWINCH)
    }
}

impl From<i32> for SignalKind {
    fn from(number: i32) -> Self {
        Self(number)
    }
}

impl From<SignalKind> for i32 {
    fn from(kind: SignalKind) -> Self {
        kind.0
    }
}

impl fmt::Display for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&name(self.0))
    }
}

impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalKind({self})")
    }
}
