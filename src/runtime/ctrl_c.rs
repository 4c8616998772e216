//! Cancelling the main task by ctrl-c.

use std::cell::Cell;
use std::rc::Rc;

use super::interrupted::Interrupted;
use super::signals::rung;
use super::spawn::spawn;
use crate::sys::signals::{SIGINT, SignalListener};
use crate::task::{Join, TaskRef};

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
        self.interrupted.get().then(Interrupted::by_ctrl_c)
    }
}
