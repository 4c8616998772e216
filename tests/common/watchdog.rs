//! A bound in time for whatever could hang: the process is aborted, with the test's name.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use annulus::Runtime;

use super::patience::limit;

/// Runs a future on a new runtime, for a minute at most.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let _watchdog = Watchdog::new(limit());
    annulus::run(future).expect("io_uring works here")
}

/// Runs a future on `runtime`, for a minute at most.
pub(crate) fn block_on<F: Future>(runtime: &Runtime, future: F) -> F::Output {
    let _watchdog = Watchdog::new(limit());
    runtime.block_on(future)
}

/// Aborts the process unless it is dropped in time.
pub(crate) struct Watchdog {
    /// Its end tells the thread.
    _alive: Sender<()>,
}

impl Watchdog {
    pub(crate) fn new(limit: Duration) -> Self {
        let test = thread::current().name().unwrap_or("unnamed").to_owned();
        let (alive, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // Not by a macro, whose output the test harness would capture and lose.
                let _ = writeln!(std::io::stderr(), "test {test} hangs: not over after {limit:?}");
                print_faults();
                std::process::abort();
            }
        });
        Self { _alive: alive }
    }
}

/// Says what the rings of this process have done on purpose.
#[allow(
    unexpected_cfgs,
    reason = "the crates beside the core, which use this file, lack the feature"
)]
fn print_faults() {
    #[cfg(feature = "faults")]
    annulus::faults::FaultLog::print_all();
}
