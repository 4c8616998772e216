//! Files and directories. What counts the descriptors of the process is in `tests/descriptors`.

#[path = "../common/mod.rs"]
mod common;

mod chain;
mod copy;
mod crash;
mod cursor;
mod dir;
mod direct_io;
mod ends;
mod failures;
mod fifo;
mod file;
mod limits;
mod lock;
mod open_options;
mod paths;
mod read_dir;
mod registered_buffers;
mod remove_dir_all;
mod space;
mod temporary;
mod vectored;
mod vectored_chains;
mod whole;

use std::fs::OpenOptions;
use std::path::Path;

use annulus::Runtime;
use annulus::fs::File;

use common::bounded::bounded;

/// How often a future that is dropped is polled: from never to completed.
const STAGES: std::ops::Range<usize> = 0..6;

/// Runs a test in a runtime, bounded in time. One poll a turn: so a test decides how far the kernel
/// has come.
fn run<T>(test: impl AsyncFnOnce() -> T) -> T {
    bounded(|| {
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        runtime.block_on(test())
    })
}

/// Opens a file that exists, to read and write it.
fn writable(path: &Path) -> File {
    File::from_std(OpenOptions::new().read(true).write(true).open(path).unwrap())
}
