//! Ctrl-c: waiting for it, and ending the main task by it.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::{error, fmt};

use super::context;
use super::spawn::spawn;
use crate::op::{Op, PollOnce};
use crate::sys::poll::READABLE;
use crate::sys::sigint::{SigintListener, kill_self_with_sigint};
use crate::task::{Join, TaskRef};

/// Waits for ctrl-c (SIGINT), from the call on.
pub(crate) fn ctrl_c() -> impl Future<Output = io::Result<()>> {
    let interrupts = SigintListener::new();
    async move {
        let interrupts = interrupts?;
        rung(&interrupts).await
    }
}

/// Waits until it comes, also when nobody listens any more.
fn rung(interrupts: &SigintListener) -> impl Future<Output = io::Result<()>> + use<> {
    let bell = interrupts.bell();
    async move { Op::new(&context::driver(), PollOnce::of_permanent(bell, READABLE)).await }
}

/// The main task was ended by ctrl-c.
///
/// It converts to an [`io::Error`] of the kind `Interrupted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "KeyboardInterrupt")]
pub struct Interrupted(());

impl Interrupted {
    /// Ends the process as ctrl-c does by itself: killed by SIGINT, so that a shell or supervisor that
    /// started it knows.
    ///
    /// Nothing is cleaned up any more: drop what needs it before, the [`Runtime`](crate::Runtime) first.
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

/// Cancels the main task at ctrl-c. It listens as long as this lives.
pub(super) struct CtrlCWatch {
    interrupted: Rc<Cell<bool>>,
    // Dropped, it ends the task.
    _watcher: Join<()>,
    _interrupts: SigintListener,
}

impl CtrlCWatch {
    /// `None` if it cannot listen: then ctrl-c does what it does by itself.
    pub(super) fn new(main: &TaskRef) -> Option<Self> {
        let interrupts = SigintListener::new().ok()?;
        let (interrupted, main) = (Rc::new(Cell::new(false)), main.clone());
        let (its, rung) = (Rc::clone(&interrupted), rung(&interrupts));
        let watcher = spawn(async move {
            if rung.await.is_ok() {
                its.set(true);
                main.cancel();
            }
        });
        Some(Self { interrupted, _watcher: watcher.into_future(), _interrupts: interrupts })
    }

    /// Whether it has come, and ended the main task if that has been cancelled.
    pub(super) fn interrupted(&self) -> Option<Interrupted> {
        self.interrupted.get().then_some(Interrupted(()))
    }
}
