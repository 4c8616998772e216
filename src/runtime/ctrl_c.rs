//! Cancelling the main task by ctrl-c.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::{error, fmt};

use super::signals::rung;
use super::spawn::spawn;
use crate::sys::signals::{SIGINT, SignalListener, kill_self_with_sigint};
use crate::task::{Join, TaskRef};

/// The error of [`Runtime::try_block_on`](crate::Runtime::try_block_on) after ctrl-c has cancelled
/// the main task.
///
/// Converts to an [`io::Error`] of the kind `Interrupted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "KeyboardInterrupt")]
pub struct Interrupted(());

impl Interrupted {
    /// Ends the process as an unhandled ctrl-c does: killed by SIGINT, so that a shell or
    /// supervisor that started it knows.
    ///
    /// No destructor runs: first drop what needs it, above all the [`Runtime`](crate::Runtime).
    pub fn exit(self) -> ! {
        kill_self_with_sigint()
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted by ctrl-c")
    }
}

impl error::Error for Interrupted {}

impl From<Interrupted> for io::Error {
    fn from(interrupted: Interrupted) -> Self {
        io::Error::new(io::ErrorKind::Interrupted, interrupted)
    }
}

/// Cancels the main task at ctrl-c. Listens for as long as it lives.
pub(super) struct CtrlCWatch {
    interrupted: Rc<Cell<bool>>,
    // Its drop ends the task.
    _watcher: Join<()>,
    _listener: SignalListener,
}

impl CtrlCWatch {
    /// `None` if it cannot listen: then ctrl-c has its default effect.
    pub(super) fn new(main: &TaskRef) -> Option<Self> {
        let listener = SignalListener::new(&[SIGINT], 1).ok()?;
        let (interrupted, main) = (Rc::new(Cell::new(false)), main.clone());
        let (flag, received) = (Rc::clone(&interrupted), rung(listener.bell(1)));
        let watcher = spawn(async move {
            if received.await.is_ok() {
                flag.set(true);
                main.cancel();
            }
        });
        Some(Self { interrupted, _watcher: watcher.into_future(), _listener: listener })
    }

    /// Whether ctrl-c was received, which has cancelled the main task unless that ended before.
    pub(super) fn interrupted(&self) -> Option<Interrupted> {
        self.interrupted.get().then_some(Interrupted(()))
    }
}
