//! Why a main task was cancelled.

use std::process::exit;
use std::{error, fmt, io};

use crate::sys::signals::kill_self_with_sigint;

/// Why [`Runtime::try_block_on`](crate::Runtime::try_block_on) has cancelled the main task.
///
/// By ctrl-c ([`Builder::cancel_on_ctrl_c`](crate::Builder::cancel_on_ctrl_c)) or by
/// [`Handle::stop`](crate::Handle::stop).
///
/// Converts to an [`io::Error`] of the kind `Interrupted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "KeyboardInterrupt")]
pub struct Interrupted(Cause);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    CtrlC,
    Stop,
}

impl Interrupted {
    pub(crate) fn by_ctrl_c() -> Self {
        Self(Cause::CtrlC)
    }

    pub(super) fn by_stop() -> Self {
        Self(Cause::Stop)
    }

    /// Whether ctrl-c has cancelled the main task.
    pub fn is_ctrl_c(&self) -> bool {
        self.0 == Cause::CtrlC
    }

    /// Whether [`Handle::stop`](crate::Handle::stop) has cancelled the main task.
    pub fn is_stopped(&self) -> bool {
        self.0 == Cause::Stop
    }

    /// Ends the process. After ctrl-c, as an unhandled one does: killed by SIGINT, so that a shell
    /// or supervisor that started it knows. After a stop, with code 0: the program itself has
    /// requested its end.
    ///
    /// No destructor runs: first drop what needs it, above all the [`Runtime`](crate::Runtime).
    pub fn exit(self) -> ! {
        match self.0 {
            Cause::CtrlC => kill_self_with_sigint(),
            Cause::Stop => exit(0),
        }
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Cause::CtrlC => "interrupted by ctrl-c",
            Cause::Stop => "stopped by Handle::stop before the main task completed",
        })
    }
}

impl error::Error for Interrupted {}

impl From<Interrupted> for io::Error {
    fn from(interrupted: Interrupted) -> Self {
        io::Error::new(io::ErrorKind::Interrupted, interrupted)
    }
}
